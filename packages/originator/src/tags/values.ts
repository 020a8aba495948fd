import {
  BOOL,
  BYTE,
  DINT,
  DWORD,
  INT,
  LINT,
  LREAL,
  LWORD,
  REAL,
  SINT,
  UDINT,
  UINT,
  ULINT,
  USINT,
  UsageError,
  WORD,
  decode,
  encode,
  latin1,
  fromLatin1,
  type Codec,
} from "@cipsec/wire";

/** A tag's value. 64-bit integers are `bigint`; a structure that has no definition is its octets. */
export type TagValue =
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly TagValue[]
  | { readonly [member: string]: TagValue };

/** An elementary type of tags. */
export interface Atom {
  readonly kind: "atom";
  readonly code: number;
  readonly name: string;
  readonly size: number;
  read(bytes: Uint8Array): TagValue;
  /** @throws {UsageError} `usage/argument` for a value of another kind; {@link WireError} `wire/value` outside its range. */
  write(value: TagValue): Uint8Array;
}

/** A member of a structure. */
export interface StructureMember {
  readonly name: string;
  /** Hosts BOOLs; not meant for people. */
  readonly hidden: boolean;
  readonly offset: number;
  /** Elements of an array; 0 when it is none. */
  readonly elements: number;
  /** For a BOOL: its bit, counted from the first octet at `offset`. */
  readonly bit?: number;
  readonly type: ElementType;
}

/** A structure that a controller defines. */
export interface Structure {
  readonly kind: "structure";
  readonly name: string;
  readonly handle: number;
  readonly size: number;
  readonly members: readonly StructureMember[];
  /** Values that one element comes to, nested ones counted. */
  readonly leaves: number;
}

/** What one element of a tag is. */
export type ElementType = Atom | Structure;

const atomList: readonly Atom[] = [
  atom(0xc1, "BOOL", 1, BOOL, toBoolean),
  atom(0xc2, "SINT", 1, SINT, toNumber),
  atom(0xc3, "INT", 2, INT, toNumber),
  atom(0xc4, "DINT", 4, DINT, toNumber),
  atom(0xc5, "LINT", 8, LINT, toBigint),
  atom(0xc6, "USINT", 1, USINT, toNumber),
  atom(0xc7, "UINT", 2, UINT, toNumber),
  atom(0xc8, "UDINT", 4, UDINT, toNumber),
  atom(0xc9, "ULINT", 8, ULINT, toBigint),
  atom(0xca, "REAL", 4, REAL, toNumber),
  atom(0xcb, "LREAL", 8, LREAL, toNumber),
  atom(0xd1, "BYTE", 1, BYTE, toNumber),
  atom(0xd2, "WORD", 2, WORD, toNumber),
  atom(0xd3, "DWORD", 4, DWORD, toNumber),
  atom(0xd4, "LWORD", 8, LWORD, toBigint),
];

/** Elementary types that tags have, by type code. */
export const atoms: ReadonlyMap<number, Atom> = new Map(atomList.map((entry) => [entry.code, entry]));

/** One element's value. `bytes` holds exactly the element. */
export function readElement(type: ElementType, bytes: Uint8Array): TagValue {
  if (type.kind === "atom") return type.read(bytes);
  if (isText(type)) return readText(type, bytes);
  return Object.fromEntries(
    type.members.filter((member) => !member.hidden).map((member) => [member.name, readMember(member, bytes)]),
  );
}

/** Octets of one element; what `value` leaves out of a structure keeps the octets of `before`. */
export function writeElement(type: ElementType, value: TagValue, before: Uint8Array, where: string): Uint8Array {
  if (type.kind === "atom") return type.write(value);
  const bytes = before.slice();
  if (isText(type) && typeof value === "string") writeText(type, bytes, value, where);
  else for (const [name, part] of Object.entries(membersOf(value, where))) writeMember(type, name, part, bytes, where);
  return bytes;
}

/** Values of the elements that `bytes` holds. */
export function readElements(type: ElementType, bytes: Uint8Array): readonly TagValue[] {
  const count = Math.floor(bytes.length / type.size);
  // Most tags are one element, which a view of its own octets would cost more than reading it.
  if (count === 1 && bytes.length === type.size) return [readElement(type, bytes)];
  return Array.from({ length: count }, (_, i) => readElement(type, bytes.subarray(i * type.size, (i + 1) * type.size)));
}

/** Whether a structure is text: `LEN` and `DATA`, as the controller's STRING and its kin. */
export function isText({ members }: Structure): boolean {
  const [length, data, ...more] = members;
  return (
    length?.name === "LEN" &&
    length.type.kind === "atom" &&
    length.type.code === 0xc4 &&
    data?.name === "DATA" &&
    data.elements > 0 &&
    data.type.kind === "atom" &&
    data.type.size === 1 &&
    more.length === 0
  );
}

function readMember(member: StructureMember, bytes: Uint8Array): TagValue {
  const { type, offset, elements, bit } = member;
  if (bit !== undefined) return (((bytes[offset + (bit >> 3)] ?? 0) >> (bit & 7)) & 1) === 1;
  const octets = bytes.subarray(offset, offset + Math.max(1, elements) * type.size);
  return elements === 0 ? readElement(type, octets) : readElements(type, octets);
}

function writeMember(type: Structure, name: string, value: TagValue, bytes: Uint8Array, where: string): void {
  const member = type.members.find((candidate) => !candidate.hidden && candidate.name === name);
  if (member === undefined)
    throw new UsageError("usage/argument", `${where}: '${name}' is not a member of ${type.name}`, {
      fix: `Its members: ${type.members
        .filter(({ hidden }) => !hidden)
        .map((known) => known.name)
        .join(", ")}`,
    });
  const { offset, elements, bit } = member;
  const place = `${where}.${name}`;
  if (bit !== undefined) {
    const at = offset + (bit >> 3);
    const mask = 1 << (bit & 7);
    bytes[at] = toBoolean(value, place) ? (bytes[at] ?? 0) | mask : (bytes[at] ?? 0) & ~mask;
    return;
  }
  const values = elements === 0 ? [value] : listOf(value, elements, place);
  for (const [i, part] of values.entries()) {
    const at = offset + i * member.type.size;
    bytes.set(writeElement(member.type, part, bytes.subarray(at, at + member.type.size), place), at);
  }
}

function readText({ members }: Structure, bytes: Uint8Array): string {
  const [length, data] = members;
  if (length === undefined || data === undefined) return "";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = Math.min(Math.max(0, view.getInt32(length.offset, true)), data.elements);
  return latin1(bytes.subarray(data.offset, data.offset + count));
}

function writeText({ members, name }: Structure, bytes: Uint8Array, text: string, where: string): void {
  const [length, data] = members;
  if (length === undefined || data === undefined) return;
  if (text.length > data.elements)
    throw new UsageError(
      "usage/argument",
      `${where}: ${text.length} characters do not fit ${name} of ${data.elements}`,
    );
  bytes.fill(0, data.offset, data.offset + data.elements);
  bytes.set(fromLatin1(text, data.elements, where), data.offset);
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).setInt32(length.offset, text.length, true);
}

function atom<T extends boolean | number | bigint>(
  code: number,
  name: string,
  size: number,
  codec: Codec<T>,
  convert: (value: TagValue, where: string) => T,
): Atom {
  return {
    kind: "atom",
    code,
    name,
    size,
    read: (bytes) => decode(codec, bytes),
    write: (value) => encode(codec, convert(value, name)),
  };
}

function toBoolean(value: TagValue, where: string): boolean {
  if (typeof value === "boolean") return value;
  if (value === 0 || value === 1) return value === 1;
  throw wrongKind(where, "true or false", value);
}

function toNumber(value: TagValue, where: string): number {
  if (typeof value === "number") return value;
  throw wrongKind(where, "a number", value);
}

function toBigint(value: TagValue, where: string): bigint {
  if (typeof value === "bigint") return value;
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
  if (typeof value === "string" && /^-?\d{1,20}$/u.test(value)) return BigInt(value);
  throw wrongKind(where, "a whole number", value);
}

/** The elements of a value that must be a list of so many at most. */
export function listOf(value: TagValue, max: number, where: string): readonly TagValue[] {
  if (!isList(value)) throw wrongKind(where, `a list of up to ${max}`, value);
  if (value.length > max)
    throw new UsageError("usage/argument", `${where}: ${value.length} elements given, ${max} are there`);
  return value;
}

/** Whether a value is a list. */
export function isList(value: TagValue): value is readonly TagValue[] {
  return Array.isArray(value);
}

function membersOf(value: TagValue, where: string): { readonly [member: string]: TagValue } {
  if (typeof value === "object" && !isList(value) && !(value instanceof Uint8Array)) return value;
  throw wrongKind(where, "an object of members", value);
}

function wrongKind(where: string, wanted: string, value: TagValue): UsageError {
  return new UsageError(
    "usage/argument",
    `${where}: ${wanted} is needed, not ${isList(value) ? "a list" : typeof value}`,
  );
}
