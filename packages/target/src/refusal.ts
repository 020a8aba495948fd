import { StackError, Status, statusText, type Facts, noOctets } from "@cipsec/wire";

/** What a refusal may carry beside the general status. */
export interface RefusalOptions {
  readonly extended?: readonly number[];
  /** Reply data, for the few services that define data for a failure. */
  readonly data?: Uint8Array;
  /** Why, for the device's own log; the peer sees only the status. */
  readonly reason?: string;
  readonly facts?: Facts;
}

/** An object refuses a service: the general and extended status that the peer is told, and the reason for the log. */
export class Refusal extends StackError<"cip/status"> {
  readonly status: number;
  readonly extended: readonly number[];
  readonly data: Uint8Array;

  constructor(status: number, options: RefusalOptions = {}) {
    super("cip/status", options.reason ?? statusText(status), { facts: { status, ...options.facts } });
    this.status = status;
    this.extended = options.extended ?? [];
    this.data = options.data ?? noOctets;
  }
}

/** Shorthand that reads well where it is thrown: `throw refuse(Status.objectStateConflict)`. */
export function refuse(status: number, options?: RefusalOptions): Refusal {
  return new Refusal(status, options);
}

/** `object state conflict`, the commonest refusal of the security objects. */
export function stateConflict(reason: string): Refusal {
  return new Refusal(Status.objectStateConflict, { reason });
}
