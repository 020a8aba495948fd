import { PeerError, systemCode, TransportError } from "../errors.ts";

/** The other side hung up. */
export function closed(where: string): TransportError {
  return new TransportError("transport/closed", `${where} closed the connection`, { facts: { where } });
}

const unreachable: readonly string[] = ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN"];
const unresolved: readonly string[] = ["ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL", "EINVAL"];

/** What the system says of a connection, as an error of ours. */
export function networkError(error: unknown, where: string): Error {
  const code = systemCode(error);
  const options = { facts: { where, reason: code }, cause: error };
  if (code.startsWith("ERR_SSL_"))
    return new PeerError("est/http", `${where} broke off the TLS handshake (${code})`, {
      ...options,
      facts: { where, reason: code, status: 0 },
    });
  if (code.startsWith("HPE_"))
    return new PeerError("est/answer", `${where} does not answer with HTTP (${code})`, options);
  if (code === "ETIMEDOUT") return new TransportError("transport/timeout", `${where} did not answer`, options);
  if (unreachable.includes(code))
    return new TransportError("transport/unreachable", `${where} cannot be reached (${code})`, options);
  if (unresolved.includes(code))
    return new TransportError("transport/address", `${where} is not known (${code})`, options);
  return new TransportError("transport/closed", `${where} closed the connection (${code})`, options);
}
