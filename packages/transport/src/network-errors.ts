import { isStackError, TransportError } from "@cipsec/wire";
import type { StackErrorShape } from "@cipsec/wire";

/** The system's code of a caught value (`ECONNREFUSED`, `ERR_SSL_…`), or an empty string. */
export function systemCode(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/**
 * An error of a socket as an error of the stack: errors of the stack pass through.
 *
 * @param where Who was spoken to or what was bound, such as `192.0.2.7:44818`; begins the message.
 */
export function networkError(error: unknown, where: string): StackErrorShape {
  if (isStackError(error)) return error;
  const system = systemCode(error);
  const [code, words] = known[system] ?? ["transport/closed", "the connection failed"];
  const message = `${where}: ${words}${system === "" ? "" : ` (${system})`}`;
  return new TransportError(code, message, { cause: error, facts: { where, system } });
}

type Code = ConstructorParameters<typeof TransportError>[0];

const known: Readonly<Record<string, readonly [Code, string]>> = {
  ECONNREFUSED: ["transport/refused", "nothing listens there"],
  ECONNRESET: ["transport/closed", "the other side cut the connection (RST)"],
  ECONNABORTED: ["transport/closed", "the connection was cut"],
  EPIPE: ["transport/closed", "the other side has closed the connection"],
  ETIMEDOUT: ["transport/timeout", "the other side does not answer"],
  EHOSTUNREACH: ["transport/unreachable", "no way to this host"],
  ENETUNREACH: ["transport/unreachable", "no way to this network"],
  ENETDOWN: ["transport/unreachable", "the network is down"],
  EHOSTDOWN: ["transport/unreachable", "the host is down"],
  ENOTFOUND: ["transport/address", "this name does not exist"],
  EAI_AGAIN: ["transport/address", "the name could not be looked up: no answer from the name server"],
  EADDRINUSE: ["transport/address", "another program listens there"],
  EADDRNOTAVAIL: ["transport/address", "this machine does not have the address"],
  EACCES: ["transport/address", "this needs rights that the process does not have"],
  EINVAL: ["transport/address", "the address cannot be used"],
  EMFILE: ["transport/limit", "the process has no file descriptor left"],
  ENFILE: ["transport/limit", "the machine has no file descriptor left"],
};
