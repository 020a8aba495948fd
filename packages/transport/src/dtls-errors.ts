import { alerts, DtlsError } from "@cipsec/dtls";
import { BugError, isStackError, PeerError, TransportError, TrustError, UsageError } from "@cipsec/wire";
import type { StackErrorShape } from "@cipsec/wire";
import { networkError } from "./network-errors.ts";
import { alertError } from "./tls-errors.ts";

/**
 * An error of DTLS as an error of the stack, with the codes that TLS has.
 *
 * @param where The other end, such as `192.0.2.7:2221`; begins the message.
 */
export function dtlsError(error: unknown, where: string): StackErrorShape {
  // First what it is: an error of DTLS has the shape of ours, but its own codes.
  if (!(error instanceof DtlsError)) return isStackError(error) ? error : networkError(error, where);
  const { code, message, facts } = error;
  const words = `${where}: ${message}`;
  switch (code) {
    case "dtls/alert":
      return alertError(numberOf(facts["alert"]), where, error);
    case "dtls/no-certificate":
      return new TrustError("trust/refused", `${where}: the other side showed no certificate, but one is required`, {
        cause: error,
        facts: { where, reason: "no-certificate" },
        fix: "Give the other side a certificate of an authority that this side trusts.",
      });
    case "dtls/verify":
    case "dtls/handshake":
    case "dtls/decode":
      return handshakeError(error, where);
    case "dtls/timeout":
      return silence(error, where);
    case "dtls/limit":
      return new TransportError("transport/limit", words, { cause: error, facts: { where } });
    case "dtls/socket":
      return networkError(error.cause ?? error, where);
    case "dtls/closed":
    case "dtls/size":
      return new TransportError("transport/closed", words, { cause: error, facts: { where } });
    case "usage/argument":
    case "usage/state":
      return new UsageError(code, words, { cause: error, fix: error.fix });
    case "bug/unreachable":
      return new BugError("bug/unreachable", words, { cause: error });
    default:
      return unreachable(code);
  }
}

function handshakeError(error: DtlsError, where: string): StackErrorShape {
  const { code, message, facts } = error;
  const alert = String(facts["alert"] ?? "decode_error");
  const reason = reasons[alert] ?? (code === "dtls/decode" ? "not-tls" : alert);
  return new PeerError("tls/handshake", `${where}: DTLS handshake failed: ${message}`, {
    cause: error,
    facts: { where, reason },
    fix: error.fix,
  });
}

const reasons: Readonly<Record<string, string>> = {
  handshake_failure: "no-common-suite",
  protocol_version: "version",
  decrypt_error: "keys-differ",
};

/** A DTLS peer that refuses may well say nothing, so the message has to name what silence can mean. */
function silence(error: DtlsError, where: string): TransportError {
  const { idleTimeoutMs, handshakeTimeoutMs, wrongKey } = error.facts;
  const phase = idleTimeoutMs === undefined ? "handshake" : "idle";
  return new TransportError("transport/timeout", `${where}: ${error.message}`, {
    cause: error,
    facts: {
      where,
      phase,
      timeoutMs: Number(idleTimeoutMs ?? handshakeTimeoutMs ?? 0),
      ...(wrongKey !== undefined && { wrongKey }),
    },
    ...(phase === "handshake" && { fix: error.fix }),
  });
}

function numberOf(name: unknown): number {
  const known = Object.entries(alerts).find(([key]) => key === name);
  return known?.[1] ?? Number(/\d+$/.exec(String(name))?.[0] ?? alerts.internal_error);
}

function unreachable(code: never): never {
  throw new BugError("bug/unreachable", `no error of the stack for ${String(code)}`);
}
