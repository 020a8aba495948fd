import { isCompromise, revocationReasons, type RevocationReason } from "./crl-entry.ts";
import type { Certificate } from "./certificate.ts";
import { UsageError } from "./errors.ts";

/** What a certificate was issued for. */
export type Profile = "device" | "tool" | "user" | "vendor-device";

/** One issued certificate in the index. Times are ISO 8601. */
export interface IndexRow {
  readonly serial: string;
  readonly profile: Profile | "issuing-ca";
  readonly subject: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly sha256: string;
  readonly revoked?: { readonly at: string; readonly reason: RevocationReason };
  /** Number of the issuing authority that signed it, for an issuing authority that of the root; absent: 1. */
  readonly by?: number;
}

/** Which key pairs a plant's root and issuing authority have: they are numbered from 1 as they are made. */
export interface Tiers {
  readonly root: number;
  readonly issuing: number;
}

/**
 * A change of authority under way. `prepared`: the new one is made and published, the old one issues; `switched`: the new one
 * issues, the old one is still trusted.
 */
export interface TierChange {
  readonly kind: "root" | "issuing";
  readonly phase: "prepared" | "switched";
  /** The other pair: the new one while prepared, then the old one. */
  readonly other: Tiers;
  /** When this phase began, ISO 8601. */
  readonly at: string;
}

/** What an authority remembers: every certificate it signed, the number of its last revocation list, and which keys it uses. */
export interface CaIndex {
  readonly name: string;
  readonly crlNumber: number;
  readonly tiers: Tiers;
  readonly change: TierChange | undefined;
  readonly issued: readonly IndexRow[];
  /** The address below which revocation lists are found; absent: certificates name none. */
  readonly crlBase?: string;
}

/** One change of an index. Each may be applied twice without doing more than once. */
export type CaRecord =
  | { readonly op: "issued"; readonly row: IndexRow }
  | { readonly op: "revoked"; readonly serial: string; readonly at: string; readonly reason: RevocationReason }
  | { readonly op: "crl"; readonly number: number }
  | { readonly op: "crl-base"; readonly base: string | null }
  | { readonly op: "tiers"; readonly tiers: Tiers; readonly change: TierChange | null };

/** An index that records are applied to, with its rows by serial number. */
export interface LiveIndex {
  name: string;
  crlNumber: number;
  tiers: Tiers;
  change: TierChange | undefined;
  crlBase: string | undefined;
  readonly rows: Map<string, IndexRow>;
}

/** The first pair of keys. */
export const firstTiers: Tiers = { root: 1, issuing: 1 };

/** An index that records can be applied to. */
export function liveIndex({ issued, crlBase, ...rest }: CaIndex): LiveIndex {
  return { ...rest, crlBase, rows: new Map(issued.map((row) => [row.serial, row])) };
}

/** Applies a record. */
export function applyRecord(index: LiveIndex, record: CaRecord): void {
  switch (record.op) {
    case "issued":
      if (!index.rows.has(record.row.serial)) index.rows.set(record.row.serial, record.row);
      return;
    case "revoked": {
      const row = index.rows.get(record.serial);
      if (row === undefined || !addsTo(row.revoked?.reason, record.reason)) return;
      index.rows.set(record.serial, { ...row, revoked: { at: row.revoked?.at ?? record.at, reason: record.reason } });
      return;
    }
    case "crl":
      index.crlNumber = Math.max(index.crlNumber, record.number);
      return;
    case "crl-base":
      index.crlBase = record.base ?? undefined;
      return;
    case "tiers":
      index.tiers = record.tiers;
      index.change = record.change ?? undefined;
  }
}

/** Whether a revocation says more than one before it: that others may have the key is often learnt later. */
export function addsTo(before: RevocationReason | undefined, reason: RevocationReason): boolean {
  return before === undefined || (isCompromise(reason) && !isCompromise(before));
}

/** The row of a certificate. */
export function rowOf(certificate: Certificate, profile: IndexRow["profile"], by = 1): IndexRow {
  const { serialHex, subject, notBefore, notAfter, sha256 } = certificate.facts;
  return {
    serial: serialHex,
    profile,
    subject,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    sha256,
    ...(by === 1 ? {} : { by }),
  };
}

/** Whether a row was signed by this issuing authority (`issuing`) or is an authority that this root signed (`root`). */
export function isSignedByTier({ profile, by = 1 }: IndexRow, tier: keyof Tiers, number: number): boolean {
  return (profile === "issuing-ca") === (tier === "root") && by === number;
}

/** Reads a stored index of any version. @throws {UsageError} `usage/file` */
export function parseIndex(value: unknown): CaIndex {
  const { name, crlNumber, issued, tiers, change, crlBase } = fields(value);
  if (typeof name !== "string" || !isCount(crlNumber) || !Array.isArray(issued)) throw notAnIndex();
  return {
    name,
    crlNumber,
    tiers: tiers === undefined ? firstTiers : parseTiers(tiers),
    change: parseChange(change),
    issued: issued.map(parseRow),
    ...(crlBase === undefined ? {} : { crlBase: parseBase(crlBase) }),
  };
}

/** Reads a stored record. @throws {UsageError} `usage/file` */
export function parseRecord(value: unknown): CaRecord {
  const { op, row, serial, at, reason, number, tiers, change, base } = fields(value);
  if (op === "issued") return { op, row: parseRow(row) };
  if (op === "revoked" && isText(serial) && isText(at) && isReason(reason)) return { op, serial, at, reason };
  if (op === "crl" && isCount(number)) return { op, number };
  if (op === "crl-base") return { op, base: base === null ? null : parseBase(base) };
  if (op === "tiers") return { op, tiers: parseTiers(tiers), change: parseChange(change) ?? null };
  throw notAnIndex();
}

const profiles: readonly string[] = [
  "device",
  "tool",
  "user",
  "vendor-device",
  "issuing-ca",
] satisfies readonly IndexRow["profile"][];

function parseRow(value: unknown): IndexRow {
  const { serial, profile, subject, notBefore, notAfter, sha256, revoked, by } = fields(value);
  if (
    !isText(serial) ||
    !isProfile(profile) ||
    !isText(subject) ||
    !isText(notBefore) ||
    !isText(notAfter) ||
    !isText(sha256) ||
    !(by === undefined || isCount(by))
  )
    throw notAnIndex();
  const row = { serial, profile, subject, notBefore, notAfter, sha256, ...(by === undefined ? {} : { by }) };
  if (revoked === undefined) return row;
  const { at, reason } = fields(revoked);
  if (!isText(at) || !isReason(reason)) throw notAnIndex();
  return { ...row, revoked: { at, reason } };
}

function parseBase(value: unknown): string {
  // Written by us, after a closer look.
  if (!isText(value) || !/^http:\/\/[!-~]{1,200}$/.test(value)) throw notAnIndex();
  return value;
}

function parseTiers(value: unknown): Tiers {
  const { root, issuing } = fields(value);
  if (!isCount(root) || !isCount(issuing)) throw notAnIndex();
  return { root, issuing };
}

function parseChange(value: unknown): TierChange | undefined {
  if (value === undefined || value === null) return undefined;
  const { kind, phase, other, at } = fields(value);
  if ((kind !== "root" && kind !== "issuing") || (phase !== "prepared" && phase !== "switched") || !isText(at))
    throw notAnIndex();
  return { kind, phase, other: parseTiers(other), at };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw notAnIndex();
  return Object.fromEntries(Object.entries(value));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isProfile(value: unknown): value is IndexRow["profile"] {
  return isText(value) && profiles.includes(value);
}

function isReason(value: unknown): value is RevocationReason {
  return isText(value) && Object.hasOwn(revocationReasons, value);
}

function notAnIndex(): UsageError {
  return new UsageError("usage/file", "the index of the certificate authority has an unknown shape");
}
