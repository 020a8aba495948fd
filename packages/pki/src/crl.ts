import { createHash } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { Name as AsnName } from "@peculiar/asn1-x509";
import { Name } from "./x509.ts";
import type { Certificate } from "./certificate.ts";
import { revocationReasons, type CrlEntry, type RevocationReason } from "./crl-entry.ts";
import { writeCrl, type CrlContent } from "./crl-write.ts";
import {
  readAlgorithm,
  readElement,
  readElements,
  readOnly,
  readPositive,
  readSigned,
  readTime,
  Tag,
  type DerElement,
  type Signed,
} from "./der.ts";
import { parsing, UsageError } from "./errors.ts";
import { extensionIds, readAuthorityKeyId, readExtensions, type ExtensionMap } from "./extensions.ts";
import { printable } from "./names.ts";
import { readBlocks, writePem, type PemBlock } from "./pem.ts";
import { readPkcs7 } from "./pkcs7.ts";
import { verifySigned } from "./strength.ts";

/** A parsed revocation list; who signed it is for {@link isCrlSignedBy} to say. */
export interface Crl {
  readonly der: Uint8Array;
  readonly issuer: string;
  /** The issuer's name as encoded, in hex: what certificates are matched by. */
  readonly issuerHex: string;
  readonly authorityKeyId: string | undefined;
  /** CRL number in hex; absent in lists of the first version. */
  readonly number: string | undefined;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | undefined;
  readonly entries: ReadonlyMap<string, CrlEntry>;
  readonly sha256: string;
  readonly signed: Signed;
}

/** A list of 100,000 entries has about 5 MiB, in PEM 7. */
export const maxCrlOctets = 8 * 1024 * 1024;

/** A plant's authority revokes a handful a year; a corporate one comes this far. */
export const maxCrlEntries = 200_000;

/** Makes and signs a revocation list. */
export function createCrl(content: CrlContent): Promise<Crl> {
  return Promise.resolve(crlFromDer(Uint8Array.from(writeCrl(content))));
}

/**
 * Parses one revocation list from PEM, DER, PKCS#7 or base64.
 *
 * @throws {UsageError} `usage/crl`; also for delta and indirect lists, which say less than they seem to.
 */
export function parseCrl(input: Uint8Array | string): Crl {
  const [crl, ...more] = parseCrls(input);
  if (crl === undefined || more.length > 0)
    throw new UsageError("usage/crl", `the file holds ${more.length + 1} revocation lists, one is expected`);
  return crl;
}

/** Parses every revocation list of a file, at least one. */
export function parseCrls(input: Uint8Array | string): readonly Crl[] {
  return parsing("usage/crl", "revocation list", () => {
    const ders = readBlocks(input, maxCrlOctets).flatMap(crlsIn);
    if (ders.length === 0) throw new UsageError("usage/crl", "there is no revocation list in it");
    return ders.map((der) => crlFromDer(Uint8Array.from(der)));
  });
}

/** PEM of one or more revocation lists, as `node:tls` takes them. */
export function crlToPem(crls: Crl | readonly Crl[]): string {
  const list = "der" in crls ? [crls] : crls;
  return list.map(({ der }) => writePem("X509 CRL", der)).join("");
}

/** Tells whether `issuer` made the list: same name, and its key made the signature with an accepted algorithm. */
export function isCrlSignedBy(crl: Crl, issuer: Certificate): boolean {
  return crl.issuerHex === issuer.constraints.subjectHex && verifySigned(crl.signed, issuer.publicKey);
}

/** Where a list stands at a time: a list without nextUpdate never becomes stale. */
export function crlFreshness({ thisUpdate, nextUpdate }: Crl, time: Date): "fresh" | "stale" | "not-yet-valid" {
  if (time < thisUpdate) return "not-yet-valid";
  return nextUpdate !== undefined && time > nextUpdate ? "stale" : "fresh";
}

/** Tells whether one list of an issuer takes the place of another: times are whole seconds, then the number decides (RFC 5280 5.2.3). */
export function supersedes(crl: Crl, other: Crl): boolean {
  const laterMs = crl.thisUpdate.getTime() - other.thisUpdate.getTime();
  const numberOf = ({ number = "0" }: Crl): bigint => BigInt(`0x${number}`);
  return laterMs === 0 ? numberOf(crl) > numberOf(other) : laterMs > 0;
}

/** The entry of a certificate; an entry that takes a hold back does not revoke. */
export function findRevoked(crl: Crl, serialHex: string): CrlEntry | undefined {
  const entry = crl.entries.get(serialHex);
  return entry?.reason === "removeFromCRL" ? undefined : entry;
}

function crlFromDer(der: Uint8Array): Crl {
  const signed = readSigned(der, "revocation list");
  const fields = [...readElements(readElement(signed.toBeSigned, "revocation list").content, 8, "revocation list")];
  const take = (...tags: readonly number[]): DerElement | undefined =>
    tags.includes(fields[0]?.tag ?? -1) ? fields.shift() : undefined;
  const need = (what: string, ...tags: readonly number[]): DerElement => {
    const field = take(...tags);
    if (field === undefined) throw new UsageError("usage/crl", `the revocation list has no ${what}`);
    return field;
  };
  take(Tag.integer);
  if (readAlgorithm(need("algorithm", Tag.sequence)) !== signed.algorithm)
    throw new UsageError("usage/crl", "the list's two signature algorithms differ");
  const issuer = need("issuer", Tag.sequence).raw;
  const thisUpdate = readTime(need("time of issue", Tag.utcTime, Tag.generalizedTime), "thisUpdate");
  const next = take(Tag.utcTime, Tag.generalizedTime);
  const revoked = take(Tag.sequence);
  const wrapped = take(Tag.context0);
  const extensions = understood(wrapped && readOnly(wrapped.content, Tag.sequence, "extensions"));
  if (fields.length > 0) throw new UsageError("usage/crl", "the revocation list has fields that do not belong there");
  const number = extensions.get(extensionIds.crlNumber)?.value;
  return {
    der,
    issuer: printable(new Name(AsnConvert.parse(issuer, AsnName)).toString(), 500),
    issuerHex: Buffer.from(issuer).toString("hex"),
    authorityKeyId: readAuthorityKeyId(extensions.get(extensionIds.authorityKeyId)?.value),
    number:
      number === undefined
        ? undefined
        : readPositive(readOnly(number, Tag.integer, "CRL number").content, "CRL number"),
    thisUpdate,
    nextUpdate: next === undefined ? undefined : readTime(next, "nextUpdate"),
    entries: new Map(
      (revoked === undefined ? [] : readElements(revoked.content, maxCrlEntries, "revocation list")).map(entryReader()),
    ),
    sha256: createHash("sha256").update(der).digest("hex"),
    signed,
  };
}

/** Reads entries. A large list says the same reason, and the same day, thousands of times. */
function entryReader(): (element: DerElement) => [string, CrlEntry] {
  const readReason = remembered((raw) => {
    const code = understood(readOnly(raw, Tag.sequence, "extensions")).get(extensionIds.crlReason)?.value;
    return reasonOf(code === undefined ? 0 : readElement(code, "revocation reason").content[0]);
  });
  const readDate = remembered((raw) => readTime(readElement(raw, "revocation date"), "revocation date"));
  return ({ content }) => {
    const [serial, date, extensions, ...more] = readElements(content, 4, "revoked certificate");
    if (serial?.tag !== Tag.integer || date === undefined || more.length > 0)
      throw new UsageError("usage/crl", "an entry of the revocation list is malformed");
    const serialHex = readPositive(serial.content, "revoked serial number");
    const reason = extensions === undefined ? "unspecified" : readReason(extensions.raw);
    return [serialHex, { serialHex, revokedAt: readDate(date.raw), reason }];
  };
}

/** Values kept of one list; a hostile one has others in each entry. */
const maxRemembered = 1000;

function remembered<T>(read: (raw: Uint8Array) => T): (raw: Uint8Array) => T {
  const known = new Map<string, T>();
  return (raw) => {
    const key = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString("latin1");
    const found = known.get(key) ?? read(raw);
    if (known.size < maxRemembered) known.set(key, found);
    return found;
  };
}

const names = Object.keys(revocationReasons).filter((name): name is RevocationReason => name in revocationReasons);

function reasonOf(code: number | undefined): RevocationReason {
  // A reason of the future still revokes.
  return names.find((name) => revocationReasons[name] === code) ?? "unspecified";
}

const known = new Set<string>([extensionIds.crlNumber, extensionIds.crlReason, extensionIds.authorityKeyId]);
const none: ExtensionMap = new Map();

/** Delta list, partial list, entry of another issuer: such a list says less than it seems to, also where it is not marked critical. */
const partial: readonly string[] = ["2.5.29.27", "2.5.29.28", "2.5.29.29"];

/** Extensions of a list or an entry. A critical one that is not understood makes the list unusable. */
function understood(list: DerElement | undefined): ExtensionMap {
  if (list === undefined) return none;
  const map = readExtensions(list);
  for (const [id, { critical }] of map) {
    if ((critical && !known.has(id)) || partial.includes(id)) {
      throw new UsageError("usage/crl", `the revocation list has extension ${id}, which is not understood`, {
        facts: { extension: id },
      });
    }
  }
  return map;
}

function crlsIn({ label, der }: PemBlock): readonly Uint8Array[] {
  if (label === "X509 CRL") return [der];
  if (label === "PKCS7" || label === "CMS") return readPkcs7(der).crls;
  if (label !== "") return [];
  return readElement(readElement(der, "revocation list").content, "revocation list").tag === Tag.oid
    ? readPkcs7(der).crls
    : [der];
}
