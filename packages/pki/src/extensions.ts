import { readElement, readElements, readOid, readOnly, Tag, type DerElement } from "./der.ts";
import { UsageError } from "./errors.ts";
import { printable, readAlternativeNames, type AlternativeNames } from "./names.ts";

/** Extensions of a certificate or a revocation list, by dotted identifier. */
export type ExtensionMap = ReadonlyMap<string, { readonly critical: boolean; readonly value: Uint8Array }>;

/** What is read from the extensions of a certificate. */
export interface CertificateExtensions {
  readonly ca: boolean;
  readonly pathLength: number | undefined;
  readonly keyUsage: number | undefined;
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectKeyId: string | undefined;
  readonly authorityKeyId: string | undefined;
  readonly san: AlternativeNames;
  readonly crlUrls: readonly string[];
  readonly unsupported: readonly string[];
}

/** The extensions that are read here, and those of revocation lists. */
export const extensionIds = {
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  crlNumber: "2.5.29.20",
  crlReason: "2.5.29.21",
  crlDistributionPoints: "2.5.29.31",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Certificates have about ten extensions; this bounds the work. */
const maxExtensions = 32;

/** A list has one place, or a few copies. */
const maxCrlPlaces = 16;

/** Of an address, what is shown. */
const maxCrlUrl = 500;

/** May be critical without changing a verdict: no policy is asked for, and where to fetch a CRL is the caller's matter. */
const harmless = new Set<string>([...Object.values(extensionIds), "2.5.29.18", "2.5.29.32"]);

/** Restricts what an issuer may sign even when not critical: name constraints. */
const nameConstraints = "2.5.29.30";

/**
 * Reads a list of extensions; none may stand twice (RFC 5280 4.2).
 *
 * @throws {UsageError} `usage/encoding`
 */
export function readExtensions(list: DerElement | undefined): ExtensionMap {
  const map = new Map<string, { critical: boolean; value: Uint8Array }>();
  for (const { tag, content } of list === undefined ? [] : readElements(list.content, maxExtensions, "extensions")) {
    const [oid, ...rest] = readElements(content, 3, "extension");
    const value = rest.at(-1);
    const flag = rest.length === 2 ? rest[0] : undefined;
    if (
      tag !== Tag.sequence ||
      oid === undefined ||
      value?.tag !== Tag.octetString ||
      (flag !== undefined && flag.tag !== Tag.boolean)
    ) {
      throw bad("extension", "is malformed");
    }
    const id = readOid(oid);
    if (map.has(id)) throw bad(`extension ${id}`, "stands there twice");
    map.set(id, { critical: flag !== undefined && flag.content[0] !== 0, value: value.content });
  }
  return map;
}

/**
 * Reads the extensions of a certificate that verdicts rest on.
 *
 * @throws {UsageError} `usage/encoding`, or `usage/argument` for an alternative name that is none
 * @see RFC 5280 4.2.1
 */
export function readCertificateExtensions(list: DerElement | undefined): CertificateExtensions {
  const map = readExtensions(list);
  const value = (id: string): Uint8Array | undefined => map.get(id)?.value;
  const basic = readBasicConstraints(value(extensionIds.basicConstraints));
  const subjectKey = value(extensionIds.subjectKeyId);
  const usages = value(extensionIds.extendedKeyUsage);
  const names = value(extensionIds.subjectAltName);
  return {
    ...basic,
    keyUsage: readKeyUsage(value(extensionIds.keyUsage)),
    extendedKeyUsage: usages === undefined ? undefined : sequence(usages, 16, "extended key usage").map(readOid),
    subjectKeyId:
      subjectKey === undefined
        ? undefined
        : hex(readOnly(subjectKey, Tag.octetString, "subject key identifier").content),
    authorityKeyId: readAuthorityKeyId(value(extensionIds.authorityKeyId)),
    san: names === undefined ? { ip: [], dns: [], uri: [] } : readAlternativeNames(names),
    crlUrls: readCrlUrls(value(extensionIds.crlDistributionPoints)),
    unsupported: [...map].flatMap(([id, { critical }]) =>
      id === nameConstraints || (critical && !harmless.has(id)) ? [id] : [],
    ),
  };
}

/** The key identifier in an authorityKeyIdentifier extension, in hex, if it has one. */
export function readAuthorityKeyId(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const keyId = sequence(value, 3, "authority key identifier").find(({ tag }) => tag === Tag.implicit0);
  return keyId === undefined ? undefined : hex(keyId.content);
}

/**
 * Addresses of full lists. Points that name an entry of a directory, and names of other kinds, are left out: they are shown only.
 *
 * @see RFC 5280 4.2.1.13
 */
function readCrlUrls(value: Uint8Array | undefined): readonly string[] {
  const what = "revocation list address";
  const points = value === undefined ? [] : sequence(value, maxCrlPlaces, what);
  return points.flatMap(({ tag, content }) => {
    if (tag !== Tag.sequence) throw bad(what, "is malformed");
    const named = readElements(content, 3, what).find((part) => part.tag === Tag.context0);
    const full = named === undefined ? undefined : readElement(named.content, what);
    if (full?.tag !== Tag.context0) return [];
    return readElements(full.content, maxCrlPlaces, what)
      .filter((name) => name.tag === Tag.implicit6)
      .map((name) => printable(Buffer.from(name.content).toString("latin1"), maxCrlUrl));
  });
}

function readBasicConstraints(value: Uint8Array | undefined): {
  readonly ca: boolean;
  readonly pathLength: number | undefined;
} {
  const parts = value === undefined ? [] : [...sequence(value, 2, "basic constraints")];
  const flag = parts[0]?.tag === Tag.boolean ? parts.shift() : undefined;
  const length = parts[0]?.tag === Tag.integer ? parts.shift() : undefined;
  if (parts.length > 0 || (length !== undefined && (length.content.length !== 1 || (length.content[0] ?? 0) > 0x7f))) {
    throw bad("basic constraints", "are malformed");
  }
  return { ca: flag !== undefined && flag.content[0] !== 0, pathLength: length?.content[0] };
}

function readKeyUsage(value: Uint8Array | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [unused, ...octets] = readOnly(value, Tag.bitString, "key usage").content;
  if (unused === undefined || unused > 7 || octets.length > 2) throw bad("key usage", "is malformed");
  // The first bit of the string is the highest of its octet; flags count from the lowest.
  let flags = 0;
  for (let bit = 0; bit < octets.length * 8; bit++) {
    if (((octets[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0) flags |= 1 << bit;
  }
  return flags;
}

function sequence(value: Uint8Array, max: number, what: string): readonly DerElement[] {
  return readElements(readOnly(value, Tag.sequence, what).content, max, what);
}

function hex(octets: Uint8Array): string {
  return Buffer.from(octets).toString("hex");
}

function bad(what: string, why: string): UsageError {
  return new UsageError("usage/encoding", `${what} ${why}`, { facts: { part: what } });
}
