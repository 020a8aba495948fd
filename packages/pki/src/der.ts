import { UsageError } from "./errors.ts";

/** One DER element: its tag octet, its content, and the octets of the whole. Both are views, not copies. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly raw: Uint8Array;
}

/** The tag octets that X.509 uses, universal and context-specific. */
export const Tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  implicit0: 0x80,
  implicit6: 0x86,
  context0: 0xa0,
  context1: 0xa1,
  context3: 0xa3,
} as const;

/** The three parts that certificates, requests and revocation lists share (RFC 5280 4.1.1). */
export interface Signed {
  /** The octets under the signature. */
  readonly toBeSigned: Uint8Array;
  /** Signature algorithm, dotted. */
  readonly algorithm: string;
  readonly signature: Uint8Array;
}

/**
 * Reads the element at the start of `bytes`: definite, minimal lengths only.
 *
 * @throws {UsageError} `usage/encoding`
 */
export function readElement(bytes: Uint8Array, what: string): DerElement {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) throw bad(what, "ends early");
  if ((tag & 0x1f) === 0x1f) throw bad(what, "uses a long tag");
  let length = first;
  let start = 2;
  if (first > 0x7f) {
    const count = first & 0x7f;
    if (count === 0) throw bad(what, "has no definite length");
    if (count > 3) throw bad(what, "is longer than any certificate");
    length = 0;
    for (const octet of bytes.subarray(2, 2 + count)) length = length * 256 + octet;
    start += count;
    if (length < 0x80 || length < 256 ** (count - 1)) throw bad(what, "has a padded length");
  }
  const end = start + length;
  if (end > bytes.length) throw bad(what, "ends early");
  return { tag, content: bytes.subarray(start, end), raw: bytes.subarray(0, end) };
}

/** Reads exactly one element of the given tag: octets after it are an error. */
export function readOnly(bytes: Uint8Array, tag: number, what: string): DerElement {
  const element = readElement(bytes, what);
  if (element.raw.length !== bytes.length) throw bad(what, "is followed by other octets");
  if (element.tag !== tag) throw bad(what, `has tag ${element.tag}, not ${tag}`);
  return element;
}

/** Reads the elements that a constructed element holds, at most `max`. */
export function readElements(content: Uint8Array, max: number, what: string): readonly DerElement[] {
  const elements: DerElement[] = [];
  for (let rest = content; rest.length > 0;) {
    if (elements.length === max) throw bad(what, `holds more than ${max} elements`);
    const element = readElement(rest, what);
    elements.push(element);
    rest = rest.subarray(element.raw.length);
  }
  return elements;
}

/** Splits a signed structure into its three parts. */
export function readSigned(der: Uint8Array, what: string): Signed {
  const [toBeSigned, algorithm, signature, ...more] = readElements(readOnly(der, Tag.sequence, what).content, 4, what);
  if (toBeSigned?.tag !== Tag.sequence || algorithm?.tag !== Tag.sequence || signature?.tag !== Tag.bitString) {
    throw bad(what, "is not a signed structure");
  }
  // A signature fills whole octets: the count of unused bits that precedes it is zero.
  if (more.length > 0 || signature.content[0] !== 0) throw bad(what, "is not a signed structure");
  return { toBeSigned: toBeSigned.raw, algorithm: readAlgorithm(algorithm), signature: signature.content.subarray(1) };
}

/** The dotted identifier of an AlgorithmIdentifier. */
export function readAlgorithm(element: DerElement): string {
  return readOid(readElement(element.content, "algorithm"));
}

/** Reads an object identifier as dotted text. */
export function readOid(element: DerElement): string {
  const { content } = element;
  if (element.tag !== Tag.oid || content.length === 0 || content.length > 32)
    throw bad("object identifier", "is malformed");
  const arcs: number[] = [];
  let arc = 0;
  for (const octet of content) {
    arc = arc * 128 + (octet & 0x7f);
    if (octet < 0x80) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [head = 0, ...tail] = arcs;
  const first = Math.min(2, Math.floor(head / 40));
  return [first, head - first * 40, ...tail].join(".");
}

/** Writes an object identifier from dotted text. */
export function writeOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const octets = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc % 128];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) groups.unshift(128 + (left % 128));
    return groups;
  });
  return writeElement(Tag.oid, Uint8Array.from(octets));
}

/** Reads a UTCTime or GeneralizedTime, in the one form that RFC 5280 4.1.2.5 allows for each. */
export function readTime(element: DerElement, what: string): Date {
  const text = Buffer.from(element.content).toString("latin1");
  const short = element.tag === Tag.utcTime && /^\d{12}Z$/.test(text);
  const long = element.tag === Tag.generalizedTime && /^\d{14}Z$/.test(text);
  if (!short && !long) throw bad(what, "is not a time");
  const digits = short ? `${Number(text.slice(0, 2)) < 50 ? "20" : "19"}${text}` : text;
  const iso = digits.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) throw bad(what, "is not a time");
  return time;
}

/** Lower-case hex of a positive INTEGER, without the octet that only carries the sign. */
export function readPositive(content: Uint8Array, what: string): string {
  const [first, second] = content;
  if (first === undefined || first > 0x7f || content.length > 21)
    throw bad(what, "is not a positive number of up to 20 octets");
  if (first === 0 && second !== undefined && second < 0x80) throw bad(what, "is padded");
  return Buffer.from(first === 0 && content.length > 1 ? content.subarray(1) : content).toString("hex");
}

/** Elements within each other; CMS has about ten. */
const maxDepth = 32;

/**
 * Gives BER of indefinite length definite ones, from the outside in, as far as they are indefinite: Java's usual CMS is
 * written so. Elements of definite length are copied as they are, so that signatures stay good.
 *
 * @throws {UsageError} `usage/encoding`
 */
export function toDefinite(bytes: Uint8Array, what: string): Uint8Array {
  return bytes[1] === 0x80 ? definite(bytes, what, 0).der : bytes;
}

function definite(
  bytes: Uint8Array,
  what: string,
  depth: number,
): { readonly der: Uint8Array; readonly length: number } {
  const [tag = 0, first] = bytes;
  if (first !== 0x80) {
    const { raw } = readElement(bytes, what);
    return { der: raw, length: raw.length };
  }
  if (depth === maxDepth || (tag & 0x20) === 0) throw bad(what, "has no definite length");
  const parts: Uint8Array[] = [];
  let at = 2;
  while (bytes[at] !== 0 || bytes[at + 1] !== 0) {
    const part = definite(bytes.subarray(at), what, depth + 1);
    parts.push(part.der);
    at += part.length;
  }
  return { der: writeElement(tag, ...parts), length: at + 2 };
}

/** Writes one element around the given parts. */
export function writeElement(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Uint8Array.of(tag, length), content]);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Buffer.concat([Uint8Array.of(tag, 0x80 | octets.length, ...octets), content]);
}

function bad(what: string, why: string): UsageError {
  return new UsageError("usage/encoding", `${what} ${why}`, { facts: { part: what } });
}
