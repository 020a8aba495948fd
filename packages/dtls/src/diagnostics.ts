import { channel } from "node:diagnostics_channel";
import type { Ending } from "./association.ts";
import type { DtlsError, ErrorCode, Facts } from "./errors.ts";
import type { AssociationFacts } from "./facts.ts";
import type { Remote } from "./peers.ts";

/** An association is open. Published on `cipsec.dtls.open`. */
export interface OpenMessage {
  readonly role: "client" | "server";
  readonly remote: Remote;
  readonly facts: AssociationFacts;
}

/** An association has ended that was open. Published on `cipsec.dtls.close`. */
export interface CloseMessage {
  readonly role: "client" | "server";
  readonly remote: Remote;
  readonly by: Ending["by"];
  /** Of the error that ended it, where one did. */
  readonly code: ErrorCode | undefined;
}

/** A handshake has failed, or a limit turned a peer away. Published on `cipsec.dtls.refusal`. */
export interface RefusalMessage {
  readonly role: "client" | "server";
  readonly remote: Remote;
  readonly code: ErrorCode;
  readonly message: string;
  readonly facts: Facts;
}

const opens = channel("cipsec.dtls.open");
const closes = channel("cipsec.dtls.close");
const refusals = channel("cipsec.dtls.refusal");

/** Tells subscribers of an open association. */
export function publishOpen(message: OpenMessage): void {
  if (opens.hasSubscribers) opens.publish(message);
}

/** Tells subscribers how an association ended. */
export function publishClose({ role, remote }: Omit<CloseMessage, "by" | "code">, { by, error }: Ending): void {
  if (closes.hasSubscribers) closes.publish({ role, remote, by, code: error?.code } satisfies CloseMessage);
}

/** Tells subscribers who was not let in, and why. No secret is in an error. */
export function publishRefusal(role: RefusalMessage["role"], remote: Remote, error: DtlsError): void {
  if (!refusals.hasSubscribers) return;
  const { code, message, facts } = error;
  refusals.publish({ role, remote, code, message, facts } satisfies RefusalMessage);
}
