import type { Codec } from "./codec.ts";
import { Writer, type Reader } from "./cursor.ts";
import { WireError } from "./errors.ts";
import { ElectronicKey, type Key } from "./electronic-key.ts";
import { readNetwork, writeNetwork, type NetworkSegment } from "./network-segment.ts";
import { fromLatin1, latin1 } from "./types.ts";

/** Logical segment types, by the three bits of their type octet. */
export const LogicalType = {
  class: 0,
  instance: 1,
  member: 2,
  connectionPoint: 3,
  attribute: 4,
  special: 5,
  service: 6,
  extended: 7,
} as const;

/** Name of a logical segment that carries a plain number. */
export type LogicalName = "class" | "instance" | "member" | "connectionPoint" | "attribute";

const logicalNames = [
  "class",
  "instance",
  "member",
  "connectionPoint",
  "attribute",
] as const satisfies readonly LogicalName[];

/** Octets of a logical value on the wire: 1, 2 or 4. Kept so that a path encodes back to the octets it came from. */
export type Width = 1 | 2 | 4;

/** One segment of a CIP path. */
export type Segment =
  | { readonly kind: LogicalName; readonly value: number; readonly width?: Width }
  | { readonly kind: "service"; readonly value: number }
  | { readonly kind: "extendedLogical"; readonly subtype: number; readonly value: number; readonly width: Width }
  | { readonly kind: "key"; readonly key: Key }
  | {
      readonly kind: "port";
      readonly port: number;
      readonly link: Uint8Array;
      readonly extendedLink?: boolean;
      readonly extendedPort?: boolean;
    }
  | NetworkSegment
  | { readonly kind: "symbol"; readonly name: string; readonly form: "ansi" | "short" }
  | { readonly kind: "wideSymbol"; readonly format: number; readonly data: Uint8Array }
  | { readonly kind: "data"; readonly words: Uint8Array };

/** Padded paths start every segment on a word; packed paths have no pad octets. */
export type PathForm = "padded" | "packed";

/** Logical segments that carry no plain number: electronic key, service id, and the 8-bit form of extended logical. */
const keyType = 0x34;
const serviceType = 0x38;
const extendedType = 0x3c;

/** Extended symbols that are a number, and its octets. */
const numericSymbols: ReadonlyMap<number, number> = new Map([
  [0xc6, 1],
  [0xc7, 2],
  [0xc8, 4],
]);

/** A connection path may hold a key, hops and symbols; this bounds the work that one path can ask for. */
const maxSegments = 64;

/**
 * Padded EPATH filling all the octets it is given, as in a request path. Every word is looked at once.
 *
 * @throws {WireError} `wire/segment` for a reserved or malformed segment; `wire/truncated` when one claims more than follows.
 * @see CIP Vol 1, appendix C-1.4
 */
export const EPATH: Codec<readonly Segment[]> = pathCodec("padded");

/** Packed EPATH filling all the octets it is given. @see CIP Vol 1, appendix C-1.4 */
export const PACKED_EPATH: Codec<readonly Segment[]> = pathCodec("packed");

/** A path behind a USINT count of 16-bit words, as the security objects carry it; no words is "no path". */
export const COUNTED_EPATH: Codec<readonly Segment[]> = {
  type: "USINT words, EPATH",
  read: (r) => EPATH.read(r.sub(2 * r.u8("path words"), "path")),
  write(w, segments) {
    const inner = new Writer();
    EPATH.write(inner, segments);
    w.u8(words(inner.length));
    w.octets(inner.finish());
  },
};

/** Path to a class, and to an instance and attribute of it where given. The shortest form is used. */
export function objectPath(classId: number, instance?: number, attribute?: number): readonly Segment[] {
  const path: Segment[] = [{ kind: "class", value: classId }];
  if (instance !== undefined) path.push({ kind: "instance", value: instance });
  if (attribute !== undefined) path.push({ kind: "attribute", value: attribute });
  return path;
}

/** Words of a path of this many octets. @throws {WireError} `wire/length` above 255 words. */
export function words(octetCount: number): number {
  if (octetCount > 510)
    throw new WireError("wire/length", `path: ${octetCount} octets are above the bound of 510`, {
      facts: { octetCount },
    });
  return octetCount / 2;
}

/** Reads one segment; `r` stands at its type octet. Used for paths whose end is not known beforehand. */
export function readSegment(r: Reader, form: PathForm): Segment {
  const at = r.offset;
  const type = r.u8("segment type");
  switch (type >> 5) {
    case 0:
      return readPort(r, type, form, at);
    case 1:
      return readLogical(r, type, form, at);
    case 2:
      return readNetwork(r, type, at);
    case 3:
      return readSymbol(r, type, form, at);
    case 4:
      return readData(r, type, form, at);
    default:
      throw reserved(type, at);
  }
}

/** Writes one segment. */
export function writeSegment(w: Writer, segment: Segment, form: PathForm): void {
  switch (segment.kind) {
    case "port":
      return writePort(w, segment, form);
    case "network":
      return writeNetwork(w, segment);
    case "key":
      w.u8(keyType);
      return ElectronicKey.write(w, segment.key);
    case "service":
      w.u8(serviceType);
      return w.u8(segment.value);
    case "extendedLogical":
      return writeExtended(w, segment, form);
    case "symbol":
      return writeSymbol(w, segment, form);
    case "wideSymbol":
      return writeWideSymbol(w, segment, form);
    case "data":
      w.u8(0x80);
      w.u8(words(segment.words.length));
      return w.octets(segment.words);
    default:
      return writeLogical(w, segment, form);
  }
}

function pathCodec(form: PathForm): Codec<readonly Segment[]> {
  return {
    type: form === "padded" ? "EPATH" : "packed EPATH",
    read(r) {
      const segments: Segment[] = [];
      while (r.remaining > 0) {
        if (segments.length === maxSegments) throw tooMany();
        segments.push(readSegment(r, form));
      }
      return segments;
    },
    write(w, segments) {
      if (segments.length > maxSegments) throw tooMany();
      for (const segment of segments) writeSegment(w, segment, form);
    },
  };
}

function readLogical(r: Reader, type: number, form: PathForm, at: number): Segment {
  const logical = (type >> 2) & 0x07;
  const kind = logicalNames[logical];
  if (kind === undefined) return readSpecial(r, type, form, at);
  const width = widthOf(type, at);
  if (width !== 1) readPad(r, form);
  const value = readNumber(r, width);
  return width === shortest(value) ? { kind, value } : { kind, value, width };
}

function readSpecial(r: Reader, type: number, form: PathForm, at: number): Segment {
  if (type === keyType) return { kind: "key", key: ElectronicKey.read(r) };
  if (type === serviceType) return { kind: "service", value: r.u8("service id") };
  if (type < extendedType) throw reserved(type, at);
  const width = widthOf(type, at);
  const subtype = r.u8("extended logical subtype");
  const value = readNumber(r, width);
  if (width === 1) readPad(r, form);
  return { kind: "extendedLogical", subtype, value, width };
}

function writeLogical(w: Writer, segment: { kind: LogicalName; value: number; width?: Width }, form: PathForm): void {
  const width = segment.width ?? shortest(segment.value);
  w.u8(0x20 | (LogicalType[segment.kind] << 2) | formatOf(width));
  if (width !== 1 && form === "padded") w.u8(0);
  writeNumber(w, segment.value, width);
}

function writeExtended(w: Writer, segment: { subtype: number; value: number; width: Width }, form: PathForm): void {
  w.u8(extendedType | formatOf(segment.width));
  w.u8(segment.subtype);
  writeNumber(w, segment.value, segment.width);
  if (segment.width === 1 && form === "padded") w.u8(0);
}

function readPort(r: Reader, type: number, form: PathForm, at: number): Segment {
  const isExtendedLink = (type & 0x10) !== 0;
  const isExtendedPort = (type & 0x0f) === 0x0f;
  if ((type & 0x0f) === 0) throw reserved(type, at);
  const linkLength = isExtendedLink ? r.u8("link address length") : 1;
  const port = isExtendedPort ? r.u16("port number") : type & 0x0f;
  const link = r.octets(linkLength, "link address");
  if (isExtendedLink && linkLength % 2 === 1) readPad(r, form);
  return {
    kind: "port",
    port,
    link,
    ...(isExtendedLink ? { extendedLink: true } : {}),
    ...(isExtendedPort ? { extendedPort: true } : {}),
  };
}

function writePort(w: Writer, segment: Extract<Segment, { kind: "port" }>, form: PathForm): void {
  const isExtendedPort = segment.extendedPort ?? segment.port > 14;
  const isExtendedLink = segment.extendedLink ?? segment.link.length !== 1;
  if ((!isExtendedLink && segment.link.length !== 1) || (!isExtendedPort && (segment.port < 1 || segment.port > 14))) {
    throw new WireError(
      "wire/segment",
      `path: port ${segment.port} with a link address of ${segment.link.length} octets needs the extended form`,
      { facts: { port: segment.port, linkLength: segment.link.length } },
    );
  }
  w.u8((isExtendedLink ? 0x10 : 0) | (isExtendedPort ? 0x0f : segment.port));
  if (isExtendedLink) w.u8(segment.link.length);
  if (isExtendedPort) w.u16(segment.port);
  w.octets(segment.link);
  if (isExtendedLink) pad(w, form, segment.link.length);
}

function readSymbol(r: Reader, type: number, form: PathForm, at: number): Segment {
  if (type !== 0x60) {
    const name = latin1(r.octets(type & 0x1f, "symbol"));
    if (name.length % 2 === 0) readPad(r, form);
    return { kind: "symbol", name, form: "short" };
  }
  const format = r.u8("extended symbol format");
  const length = wideLength(format);
  if (length === undefined) throw reserved(format, at + 1);
  const data = r.octets(length, "extended symbol");
  if (length % 2 === 1) readPad(r, form);
  return { kind: "wideSymbol", format, data };
}

function writeSymbol(w: Writer, segment: { name: string; form: "ansi" | "short" }, form: PathForm): void {
  const isShort = segment.form === "short";
  if (isShort && segment.name === "")
    throw new WireError("wire/segment", "path: a short symbol has at least one character");
  const bytes = fromLatin1(segment.name, isShort ? 31 : 255, "symbol");
  if (isShort) {
    w.u8(0x60 | bytes.length);
    w.octets(bytes);
    return pad(w, form, bytes.length + 1);
  }
  w.u8(0x91);
  w.u8(bytes.length);
  w.octets(bytes);
  return pad(w, form, bytes.length);
}

function writeWideSymbol(w: Writer, segment: { format: number; data: Uint8Array }, form: PathForm): void {
  if (segment.data.length !== wideLength(segment.format)) {
    throw new WireError("wire/segment", `path: ${segment.data.length} octets do not fit the format of this symbol`, {
      facts: { format: segment.format, length: segment.data.length },
    });
  }
  w.u8(0x60);
  w.u8(segment.format);
  w.octets(segment.data);
  pad(w, form, segment.data.length);
}

/** Octets of an extended symbol: 2 or 3 a character, or a number of 1, 2 or 4. */
function wideLength(format: number): number | undefined {
  const size = format & 0x1f;
  if ((format & 0xe0) === 0x20) return 2 * size;
  if ((format & 0xe0) === 0x40) return 3 * size;
  return numericSymbols.get(format);
}

function readData(r: Reader, type: number, form: PathForm, at: number): Segment {
  if (type === 0x80) return { kind: "data", words: r.octets(2 * r.u8("data segment words"), "data segment") };
  if (type !== 0x91) throw reserved(type, at);
  const name = latin1(r.octets(r.u8("symbol length"), "symbol"));
  if (name.length % 2 === 1) readPad(r, form);
  return { kind: "symbol", name, form: "ansi" };
}

function readPad(r: Reader, form: PathForm): void {
  if (form !== "padded") return;
  const at = r.offset;
  const value = r.u8("pad");
  if (value !== 0)
    throw new WireError("wire/segment", `path: the pad octet at offset ${at} is ${value}, not 0`, {
      facts: { offset: at, value },
    });
}

function pad(w: Writer, form: PathForm, length: number): void {
  if (form === "padded" && length % 2 === 1) w.u8(0);
}

function widthOf(type: number, at: number): Width {
  const format = type & 0x03;
  if (format === 0) return 1;
  if (format === 1) return 2;
  if (format === 2) return 4;
  throw reserved(type, at);
}

function formatOf(width: Width): number {
  return width === 4 ? 2 : width - 1;
}

function shortest(value: number): Width {
  if (value <= 0xff) return 1;
  return value <= 0xffff ? 2 : 4;
}

function readNumber(r: Reader, width: Width): number {
  if (width === 1) return r.u8("logical value");
  return width === 2 ? r.u16("logical value") : r.u32("logical value");
}

function writeNumber(w: Writer, value: number, width: Width): void {
  if (width === 1) w.u8(value);
  else if (width === 2) w.u16(value);
  else w.u32(value);
}

function tooMany(): WireError {
  return new WireError("wire/length", `path: more than ${maxSegments} segments`, { facts: { max: maxSegments } });
}

function reserved(type: number, at: number): WireError {
  const hex = `0x${type.toString(16).padStart(2, "0")}`;
  return new WireError("wire/segment", `path: ${hex} at offset ${at} is not a segment type`, {
    facts: { type, offset: at },
  });
}
