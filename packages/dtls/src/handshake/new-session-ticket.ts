import { concat, Reader, u32, vector16 } from "../presentation.ts";

/** What a client shows later to resume. */
export interface NewSessionTicket {
  /** 0 where the server says nothing. */
  readonly lifetimeSeconds: number;
  /** Empty where the server changed its mind. */
  readonly ticket: Uint8Array;
}

/** @see RFC 5077 3.3 */
export function readNewSessionTicket(body: Uint8Array): NewSessionTicket {
  const reader = new Reader(body, "NewSessionTicket");
  const lifetimeSeconds = reader.u32("lifetime hint");
  const ticket = reader.vector(2, "ticket").slice();
  reader.end();
  return { lifetimeSeconds, ticket };
}

export function writeNewSessionTicket({ lifetimeSeconds, ticket }: NewSessionTicket): Uint8Array {
  return concat(u32(lifetimeSeconds), vector16(ticket));
}
