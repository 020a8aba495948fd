import { isIP } from "node:net";
import { readElements, readOnly, Tag } from "./der.ts";
import { Name, SubjectAlternativeNameExtension, type JsonGeneralName } from "./x509.ts";
import { UsageError } from "./errors.ts";

/** The parts of a subject, as Create_CSR names them. Empty or absent parts are left out of the name. */
export interface Subject {
  readonly commonName?: string;
  readonly organization?: string;
  readonly organizationalUnit?: string;
  readonly locality?: string;
  readonly state?: string;
  /** Two letters, ISO 3166. */
  readonly country?: string;
  readonly emailAddress?: string;
  readonly serialNumber?: string;
}

/** Subject alternative names that peers are checked by. */
export interface AlternativeNames {
  readonly ip: readonly string[];
  readonly dns: readonly string[];
  readonly uri: readonly string[];
}

/** Alternative names as a caller gives them. */
export type AlternativeNamesInput = Partial<AlternativeNames>;

/** No device has more addresses and names than this; it bounds the work that one certificate can ask for. */
export const maxAlternativeNames = 32;

/** In the order of a name, from the widest part; lengths are the upper bounds of RFC 5280 appendix A. */
const parts = [
  { key: "country", id: "2.5.4.6", max: 2, type: "printableString" },
  { key: "state", id: "2.5.4.8", max: 128, type: "utf8String" },
  { key: "locality", id: "2.5.4.7", max: 128, type: "utf8String" },
  { key: "organization", id: "2.5.4.10", max: 64, type: "utf8String" },
  { key: "organizationalUnit", id: "2.5.4.11", max: 64, type: "utf8String" },
  { key: "commonName", id: "2.5.4.3", max: 64, type: "utf8String" },
  { key: "serialNumber", id: "2.5.4.5", max: 64, type: "printableString" },
  { key: "emailAddress", id: "1.2.840.113549.1.9.1", max: 255, type: "ia5String" },
] as const;

/** Identifiers of the parts that {@link Subject} has. */
export const subjectPartIds: readonly string[] = parts.map(({ id }) => id);

const allowed = {
  printableString: /^[A-Za-z0-9 '()+,\-./:=?]*$/,
  ia5String: /^[ -~]*$/,
  utf8String: /^\P{C}*$/u,
} as const;

/**
 * Builds an X.500 name.
 *
 * @throws {UsageError} `usage/argument` when a part is too long or has characters that its type cannot hold, or when
 * there is no part at all.
 */
export function makeName(subject: Subject): Name {
  const rdns = parts.flatMap(({ key, id, max, type }) => {
    const value = subject[key] ?? "";
    if (value === "") return [];
    if (value.length > max || !allowed[type].test(value)) throw badPart(key, `up to ${max} characters, printable`);
    if (key === "country" && !/^[A-Za-z]{2}$/.test(value)) throw badPart(key, "two letters");
    return [{ [id]: [{ [type]: value }] }];
  });
  if (rdns.length === 0) throw new UsageError("usage/argument", "the subject has no part: give at least a common name");
  return new Name(rdns);
}

/** The parts of a parsed name; of a repeated part the first counts. */
export function subjectOf(name: Name): Subject {
  return Object.fromEntries(
    parts.flatMap(({ key, id }) => {
      const value = name.getField(id)[0];
      return value === undefined ? [] : [[key, printable(value, 255)]];
    }),
  );
}

/** Text for people and logs: control and bidirectional characters shown as code points, and cut at `max`. */
export function printable(text: string, max = 200): string {
  const shown = text.replace(/\p{C}/gu, (c) => `\\u{${c.codePointAt(0)?.toString(16) ?? ""}}`);
  return shown.length > max ? `${shown.slice(0, max)}…` : shown;
}

/**
 * Checks alternative names that a person or a peer gave, and brings addresses to one spelling.
 *
 * @throws {UsageError} `usage/argument`
 */
export function checkAlternativeNames(names: AlternativeNamesInput): AlternativeNames {
  const { ip = [], dns = [], uri = [] } = names;
  if (ip.length + dns.length + uri.length > maxAlternativeNames) {
    throw new UsageError("usage/argument", `there are more than ${maxAlternativeNames} alternative names`);
  }
  return {
    ip: ip.map((text) => canonicalIp(text) ?? refuse("IP address", text)),
    dns: dns.map((text) => (isDnsName(text) ? text.toLowerCase() : refuse("host name", text))),
    uri: uri.map((text) => (/^[!-~]{1,255}$/.test(text) && URL.canParse(text) ? text : refuse("URI", text))),
  };
}

/** The extension for alternative names, or none when there are none. */
export function alternativeNamesExtension({ ip, dns, uri }: AlternativeNames): SubjectAlternativeNameExtension[] {
  const names: JsonGeneralName[] = [
    ...ip.map((value): JsonGeneralName => ({ type: "ip", value })),
    ...dns.map((value): JsonGeneralName => ({ type: "dns", value })),
    ...uri.map((value): JsonGeneralName => ({ type: "url", value })),
  ];
  return names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)];
}

/**
 * Reads the value of a subjectAltName extension. Kinds that no peer is checked by (mail, directory names) are skipped.
 *
 * @throws {UsageError} `usage/encoding`; `usage/argument` for a name that no peer can have
 * @see RFC 5280 4.2.1.6
 */
export function readAlternativeNames(value: Uint8Array): AlternativeNames {
  const names = readElements(
    readOnly(value, Tag.sequence, "alternative names").content,
    maxAlternativeNames,
    "alternative names",
  );
  const of = (tag: number): string[] =>
    names.filter((name) => name.tag === tag).map(({ content }) => Buffer.from(content).toString("latin1"));
  const ip = names.filter((name) => name.tag === 0x87).map(({ content }) => ipText(content));
  return checkAlternativeNames({ ip, dns: of(0x82), uri: of(0x86) });
}

/**
 * One spelling for every IP address; an IPv4 address mapped into IPv6, as dual-stack sockets report it, becomes IPv4.
 *
 * @returns Nothing when the text is no address (zone indexes included: they mean nothing to a peer).
 */
export function canonicalIp(text: string): string | undefined {
  if (isIP(text) === 4) return text;
  if (isIP(text) !== 6 || text.includes("%")) return undefined;
  const canonical = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (mapped === null) return canonical;
  return mapped
    .slice(1)
    .flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff])
    .join(".");
}

/** Tells whether text is a host name, or one with a single leading wildcard label. */
export function isDnsName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^(\*\.)?([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(
      text,
    )
  );
}

function ipText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  // Any other length comes out as no address, and is refused as such.
  return Buffer.from(octets)
    .toString("hex")
    .replace(/.{4}(?=.)/g, "$&:");
}

function badPart(part: string, rule: string): UsageError {
  return new UsageError("usage/argument", `the subject's ${part} must be ${rule}`, { facts: { part } });
}

function refuse(kind: string, text: string): never {
  throw new UsageError(
    "usage/argument",
    `'${printable(text, 64)}' is not a usable ${kind} for a subject alternative name`,
  );
}
