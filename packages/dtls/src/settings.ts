import type { Credentials } from "./credentials.ts";
import { DtlsError } from "./errors.ts";
import { groups } from "./groups.ts";
import { requireAcceleration } from "./record/acceleration.ts";
import type { Acceleration } from "./record/acceleration.ts";
import { lastSequence } from "./record/layer.ts";
import type { ClientSession, ServerSessions } from "./session.ts";
import { signatureSchemes } from "./signatures.ts";
import { cipherSuite, defaultSuites } from "./suites.ts";

/** What both roles are told. Everything has a safe default. */
export interface CommonOptions {
  readonly credentials?: Credentials;
  /** Suites by IANA number, best first; {@link defaultSuites} unless given. */
  readonly suites?: readonly number[];
  /** Groups by IANA number, best first: X25519 (29), P-256 (23), P-384 (24). */
  readonly groups?: readonly number[];
  /** Signature schemes by IANA number; never one with a hash below SHA-256. */
  readonly signatureSchemes?: readonly number[];
  /** The largest datagram (UDP payload) that this side sends, octets: 300 to 65,507, 1,452 unless given. */
  readonly mtu?: number;
  /** A handshake that takes longer ends; 30,000 unless given. */
  readonly handshakeTimeoutMs?: number;
  /** Silence after which a flight is repeated first; 200 unless given. It doubles each time. */
  readonly retransmitMs?: number;
  /** Silence after which an open association ends; 0, which is the default, is never. */
  readonly idleTimeoutMs?: number;
  /** Protected records that one side sends before the association ends; at most, and by default, 2^48 - 1. */
  readonly maxRecords?: number;
  /** What the peer puts into its records so that an address change is survived (RFC 9146); not offered unless given. */
  readonly connectionId?: Uint8Array;
  /** Lets CBC suites run without Encrypt-then-MAC, for peers known to be old. Weak: see the security notes. */
  readonly allowsMacThenEncrypt?: boolean;
  /** Whether records go through direct calls into OpenSSL (package `koffi`); `auto`, where it can be done, unless given. */
  readonly acceleration?: Acceleration;
  /** Emits a key log line for each handshake. Whoever holds it reads the association. */
  readonly keyLog?: boolean;
}

/** What a client is told. */
export interface ClientOptions extends CommonOptions {
  /** The name that the server is asked for (SNI). */
  readonly serverName?: string;
  /** An earlier session, to skip most of the handshake where the server still knows it. */
  readonly session?: ClientSession;
}

/** What a server is told. */
export interface ServerOptions extends CommonOptions {
  /** Whether clients show a certificate: `none` unless given. With a pre-shared key none is asked for. */
  readonly clientAuth?: "none" | "request" | "require";
  /** DER names of the authorities that clients' certificates may come from; only a hint to the client. */
  readonly authorities?: readonly Uint8Array[];
  /** Where sessions live that may be taken up again; without it none is. */
  readonly sessions?: ServerSessions;
}

/** Options with nothing left open. */
export interface Settings {
  readonly credentials: Credentials;
  readonly suites: readonly number[];
  readonly groups: readonly number[];
  readonly signatureSchemes: readonly number[];
  readonly mtu: number;
  readonly handshakeTimeoutMs: number;
  readonly retransmitMs: number;
  readonly idleTimeoutMs: number;
  readonly maxRecords: number;
  readonly connectionId: Uint8Array | undefined;
  readonly allowsMacThenEncrypt: boolean;
  readonly acceleration: Acceleration;
  readonly keyLog: boolean;
}

/** The least datagram size that handshakes are cut down to. */
export const leastMtu = 300;

/** Ethernet's 1,500 octets without the headers of IPv6 and UDP. */
const defaultMtu = 1452;

/**
 * Fills in what was left open.
 *
 * @throws {DtlsError} `usage/argument` for a number out of its range, an unknown suite, group or scheme, an empty list;
 * `usage/state` where acceleration is required and cannot be had.
 */
export function settle(options: CommonOptions): Settings {
  const settings: Settings = {
    credentials: options.credentials ?? {},
    suites: known("suites", options.suites ?? defaultSuites, (id) => cipherSuite(id) !== undefined),
    groups: known("groups", options.groups ?? groups.map(({ id }) => id), (id) =>
      groups.some((group) => group.id === id),
    ),
    signatureSchemes: known(
      "signatureSchemes",
      options.signatureSchemes ?? signatureSchemes.map(({ id }) => id),
      (id) => signatureSchemes.some((scheme) => scheme.id === id),
    ),
    mtu: within("mtu", options.mtu ?? defaultMtu, leastMtu, 65_507),
    handshakeTimeoutMs: within("handshakeTimeoutMs", options.handshakeTimeoutMs ?? 30_000, 100, 600_000),
    retransmitMs: within("retransmitMs", options.retransmitMs ?? 200, 10, 60_000),
    idleTimeoutMs: within("idleTimeoutMs", options.idleTimeoutMs ?? 0, 0, 2 ** 31),
    maxRecords: within("maxRecords", options.maxRecords ?? lastSequence, 16, lastSequence),
    connectionId: options.connectionId,
    allowsMacThenEncrypt: options.allowsMacThenEncrypt ?? false,
    acceleration: options.acceleration ?? "auto",
    keyLog: options.keyLog ?? false,
  };
  if (settings.acceleration === "required") requireAcceleration();
  within("connectionId length", settings.connectionId?.length ?? 0, 0, 32);
  const psk = settings.credentials.psk;
  if (psk !== undefined) {
    within("psk identity length", psk.identity.length, 1, 255);
    within("psk key length", psk.key.length, 1, 1024);
  }
  return settings;
}

function within(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new DtlsError("usage/argument", `${name} is ${value}, allowed are ${least} to ${most}`, {
    facts: { name, value },
  });
}

function known(name: string, ids: readonly number[], isKnown: (id: number) => boolean): readonly number[] {
  const unknown = ids.find((id) => !isKnown(id));
  if (ids.length > 0 && unknown === undefined) return ids;
  const what =
    unknown === undefined ? "is empty" : `has 0x${unknown.toString(16).padStart(4, "0")}, which is not known`;
  throw new DtlsError("usage/argument", `${name} ${what}`, { facts: { name } });
}
