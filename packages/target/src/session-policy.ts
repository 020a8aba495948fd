import { Fields } from "./fields.ts";

/** What becomes of open sessions when trust changes, and when certificates end. */
export interface SessionPolicy {
  /** The peer's certificate has been revoked. */
  readonly onRevocation: "close" | "next-handshake";
  /** The peer would be refused for another reason: its authority, its pin, its key or its cipher suite has been withdrawn. */
  readonly onTrustChange: "close" | "next-handshake";
  /** The peer's certificate has expired, on a device that checks expiration. */
  readonly onExpiry: "close" | "next-handshake";
  /** Seconds from the end of a certificate to the end of the sessions that were opened with it. */
  readonly expiryGraceSeconds: number;
  /** The device presents another certificate now. */
  readonly onRotation: "drain" | "close";
  /** Seconds that sessions without class 0 and 1 connections have to end by themselves after that. */
  readonly drainSeconds: number;
}

/** Who is not trusted any more is out; who is, loses nothing by a renewal. */
export const defaultSessionPolicy: SessionPolicy = {
  onRevocation: "close",
  onTrustChange: "close",
  onExpiry: "close",
  expiryGraceSeconds: 86_400,
  onRotation: "drain",
  drainSeconds: 86_400,
};

const outOrLater = ["close", "next-handshake"] as const;

/** Ten years: longer than what a device is ever without a stop. */
const maxSeconds = 315_360_000;

/** Reads `security.sessions` of a device description. @throws {UsageError} `usage/file` naming the entry that is wrong. */
export function readSessionPolicy(json: unknown): SessionPolicy {
  const at = new Fields(json ?? {}, "device.security.sessions");
  const { onRevocation, onTrustChange, onExpiry, expiryGraceSeconds, onRotation, drainSeconds } = defaultSessionPolicy;
  const policy: SessionPolicy = {
    onRevocation: at.choice("onRevocation", outOrLater, onRevocation),
    onTrustChange: at.choice("onTrustChange", outOrLater, onTrustChange),
    onExpiry: at.choice("onExpiry", outOrLater, onExpiry),
    expiryGraceSeconds: at.number("expiryGraceSeconds", 0, maxSeconds, expiryGraceSeconds),
    onRotation: at.choice("onRotation", ["drain", "close"], onRotation),
    drainSeconds: at.number("drainSeconds", 0, maxSeconds, drainSeconds),
  };
  at.end();
  return policy;
}
