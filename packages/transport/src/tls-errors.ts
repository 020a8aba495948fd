import { isStackError, PeerError, TrustError, UsageError } from "@cipsec/wire";
import type { StackErrorShape } from "@cipsec/wire";
import { networkError, systemCode } from "./network-errors.ts";
import { alertMeaning } from "./tls-alerts.ts";

/**
 * An error of a TLS socket as an error of the stack.
 *
 * @param where The other end, such as `192.0.2.7:2221`; begins the message.
 * @returns `tls/alert` when the peer sent an alert (`facts.alert` has its name), `tls/handshake` when the handshake
 * failed on our side, `trust/refused` for a missing certificate or unknown pre-shared key, else a `transport/…` error.
 */
export function tlsError(error: unknown, where: string): StackErrorShape {
  if (isStackError(error)) return error;
  const number = receivedAlert(error);
  if (number !== undefined) return alertError(number, where, error);
  const code = systemCode(error);
  if (!code.startsWith("ERR_SSL_")) return networkError(error, where);
  return local(code)?.(where, error) ?? unnamed(where, error);
}

/** The peer sent this alert, of TLS or DTLS. */
export function alertError(number: number, where: string, error: unknown): PeerError {
  const { name, cause, fix } = alertMeaning(number);
  const message = `${where}: the other side sent the TLS alert ${name}: ${cause}`;
  return new PeerError("tls/alert", message, { cause: error, facts: { where, alert: name, number }, fix });
}

/** The peer closed the connection, or cut it, before the handshake was done. */
export function closedInHandshake(where: string, cause?: unknown): PeerError {
  return new PeerError("tls/handshake", `${where}: the other side closed the connection during the TLS handshake`, {
    cause,
    facts: { where, reason: "closed" },
    fix: "Check that the port speaks TLS, that the other side accepts our certificate, and that it is not full.",
  });
}

/** The number of an alert that the peer sent; OpenSSL names it in the text only. */
function receivedAlert(error: unknown): number | undefined {
  const found = error instanceof Error ? /SSL alert number (\d{1,3})/.exec(error.message)?.[1] : undefined;
  return found === undefined ? undefined : Number(found);
}

type Translate = (where: string, cause: unknown) => StackErrorShape;

function local(code: string): Translate | undefined {
  return ours[code.slice("ERR_SSL_".length)];
}

const notTls = handshake("not-tls", "the other side speaks something else than TLS", "Check that the port speaks TLS.");
const version = handshake("version", "no TLS version in common", "Allow TLS 1.2 or 1.3 on both sides.");
const keysDiffer = handshake(
  "keys-differ",
  "the two sides have different keys: most likely the pre-shared key is wrong",
  "Set the same pre-shared key on both sides.",
);

/** OpenSSL's reasons for failures that we find ourselves. */
const ours: Readonly<Record<string, Translate>> = {
  WRONG_VERSION_NUMBER: notTls,
  HTTP_REQUEST: notTls,
  HTTPS_PROXY_REQUEST: notTls,
  PACKET_LENGTH_TOO_LONG: notTls,
  UNEXPECTED_MESSAGE: notTls,
  BAD_RECORD_TYPE: notTls,
  RECORD_LENGTH_MISMATCH: notTls,
  UNSUPPORTED_PROTOCOL: version,
  VERSION_TOO_LOW: version,
  WRONG_SSL_VERSION: version,
  NO_SHARED_CIPHER: handshake(
    "no-common-suite",
    "no cipher suite in common, or none for the type of our certificate's key",
    "Compare the allowed cipher suites of both sides, and the key type of the certificate.",
  ),
  WRONG_CIPHER_RETURNED: handshake(
    "no-common-suite",
    "the other side chose a cipher suite that was not offered",
    "Report the other side: this is a fault or an attack.",
  ),
  NO_SUITABLE_SIGNATURE_ALGORITHM: handshake(
    "no-common-signature",
    "no signature algorithm in common",
    "Use certificates with ECDSA P-256 or RSA 2048 keys and SHA-256 or stronger.",
  ),
  DECRYPTION_FAILED_OR_BAD_RECORD_MAC: keysDiffer,
  DIGEST_CHECK_FAILED: keysDiffer,
  BINDER_DOES_NOT_VERIFY: keysDiffer,
  PEER_DID_NOT_RETURN_A_CERTIFICATE: (where, cause) =>
    new TrustError("trust/refused", `${where}: the other side showed no certificate, but one is required`, {
      cause,
      facts: { where, reason: "no-certificate" },
      fix: "Give the other side a certificate of an authority that this side trusts.",
    }),
  PSK_IDENTITY_NOT_FOUND: (where, cause) =>
    new TrustError("trust/refused", `${where}: the other side used a pre-shared key identity that is not known here`, {
      cause,
      facts: { where, reason: "unknown-psk-identity" },
      fix: "Set identity and key on this side, or use an identity that is known here.",
    }),
  NO_CIPHERS_AVAILABLE: (where, cause) =>
    new UsageError("usage/state", `${where}: none of our cipher suites can be used`, {
      cause,
      facts: { where },
      fix: "Allow a suite of the TLS version in use; pre-shared key suites need a key for this role.",
    }),
};

function handshake(reason: string, words: string, fix: string): Translate {
  return (where, cause) =>
    new PeerError("tls/handshake", `${where}: TLS handshake failed: ${words}`, {
      cause,
      facts: { where, reason },
      fix,
    });
}

function unnamed(where: string, error: unknown): PeerError {
  const reason = error instanceof Error && "reason" in error ? String(error.reason) : systemCode(error);
  return new PeerError("tls/handshake", `${where}: TLS failed: ${reason}`, { cause: error, facts: { where, reason } });
}
