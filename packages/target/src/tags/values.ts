import { Reader, UsageError, Writer, fromLatin1, isStackError, latin1 } from "@cipsec/wire";
import { elementsOf, octetsOf, textRoom, type ElementType, type Shape, type StructType } from "./types.ts";

/**
 * A tag's value as the application sees it: numbers, `bigint` for 64 bits, booleans for BOOL, text for STRING and structures of the
 * same make, lists for arrays (all dimensions in one list, the last running fastest) and objects for structures.
 */
export type TagValue =
  | number
  | bigint
  | boolean
  | string
  | readonly TagValue[]
  | { readonly [member: string]: TagValue };

/** Reads a value; `bytes` are exactly those of the shape. */
export function readValue(shape: Shape, bytes: Uint8Array): TagValue {
  const { type, dimensions, isBits } = shape;
  if (isBits) return Array.from({ length: 32 * elementsOf(shape) }, (_, bit) => readBit(bytes, bit));
  if (dimensions.length === 0) return readElement(type, bytes);
  return Array.from({ length: elementsOf(shape) }, (_, i) => readElement(type, part(bytes, i, type.size)));
}

/**
 * Writes a value into `bytes`, which are those of the shape. Structures may leave members out: these keep what they have. Lists have
 * all elements.
 *
 * @param where The value's name, for the error.
 * @throws {UsageError} `usage/argument` for a value that the type does not hold; `bytes` may then be written in part.
 */
export function writeValue(shape: Shape, value: unknown, bytes: Uint8Array, where: string): void {
  const { type, dimensions, isBits } = shape;
  if (dimensions.length === 0) return writeElement(type, value, bytes, where);
  const count = elementsOf(shape) * (isBits ? 32 : 1);
  if (!Array.isArray(value) || value.length > count || (!isBits && value.length < count))
    throw misfit(where, `a list of ${count}`);
  const values: readonly unknown[] = value;
  for (const [i, element] of values.entries()) {
    if (isBits) writeBit(bytes, i, asBoolean(element, `${where}[${i}]`));
    else writeElement(type, element, part(bytes, i, type.size), `${where}[${i}]`);
  }
}

/** Bit `bit` of these octets, the lowest of the first octet being 0. */
export function readBit(bytes: Uint8Array, bit: number): boolean {
  return (((bytes[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1;
}

/** Sets or clears bit `bit` of these octets. */
export function writeBit(bytes: Uint8Array, bit: number, isSet: boolean): void {
  const mask = 1 << (bit & 7);
  const octet = bytes[bit >> 3] ?? 0;
  bytes[bit >> 3] = isSet ? octet | mask : octet & ~mask;
}

/** A BOOL as the application gives it. @throws {UsageError} `usage/argument` */
export function asBoolean(value: unknown, where: string): boolean {
  if (value === 0 || value === 1) return value === 1;
  if (typeof value !== "boolean") throw misfit(where, "true or false");
  return value;
}

function readElement(type: ElementType, bytes: Uint8Array): TagValue {
  if (type.kind === "elementary") return plain(type.codec.read(new Reader(bytes)));
  const room = textRoom(type);
  if (room !== undefined) {
    const length = new Reader(bytes).i32("LEN");
    return latin1(bytes.subarray(4, 4 + Math.min(Math.max(length, 0), room)));
  }
  const values: Record<string, TagValue> = {};
  for (const member of type.members) {
    const from = bytes.subarray(member.offset);
    values[member.name] =
      member.bit === undefined ? readValue(member, from.subarray(0, octetsOf(member))) : readBit(from, member.bit);
  }
  return values;
}

function writeElement(type: ElementType, value: unknown, bytes: Uint8Array, where: string): void {
  if (type.kind === "struct") return writeStruct(type, value, bytes, where);
  const w = new Writer();
  try {
    type.codec.write(w, type.name === "BOOL" ? asBoolean(value, where) : asNumber(type.size, type.name, value, where));
  } catch (error) {
    throw isStackError(error) && error.code.startsWith("wire/") ? misfit(where, `a ${type.name}`) : error;
  }
  bytes.set(w.finish());
}

function writeStruct(type: StructType, value: unknown, bytes: Uint8Array, where: string): void {
  const room = textRoom(type);
  if (room !== undefined && typeof value === "string") return writeText(room, value, bytes, where);
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw misfit(where, room === undefined ? `an object with members of ${type.name}` : `text`);
  for (const [name, inner] of Object.entries(value)) {
    const member = type.members.find((known) => known.name === name);
    if (member === undefined)
      throw misfit(`${where}.${name}`, `a member of ${type.name}, and there is none of this name`);
    const into = bytes.subarray(member.offset);
    if (member.bit !== undefined) writeBit(into, member.bit, asBoolean(inner, `${where}.${name}`));
    else writeValue(member, inner, into.subarray(0, octetsOf(member)), `${where}.${name}`);
  }
}

function writeText(room: number, text: string, bytes: Uint8Array, where: string): void {
  let characters: Uint8Array;
  try {
    characters = fromLatin1(text, room, where);
  } catch {
    throw misfit(where, `ISO 8859-1 text of at most ${room} characters`);
  }
  bytes.fill(0);
  new DataView(bytes.buffer, bytes.byteOffset).setInt32(0, characters.length, true);
  bytes.set(characters, 4);
}

/** Numbers of 64 bits are taken as `bigint`, as a safe whole number, or as digits: JSON has no other way to say them. */
function asNumber(size: number, name: string, value: unknown, where: string): number | bigint {
  const isBig = size === 8 && name !== "LREAL";
  if (isBig) {
    if (typeof value === "bigint") return value;
    if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value);
    if (typeof value === "string" && /^-?\d{1,20}$/.test(value)) return BigInt(value);
    throw misfit(where, `a ${name}`);
  }
  const isReal = name === "REAL" || name === "LREAL";
  if (typeof value !== "number" || (!isReal && !Number.isInteger(value))) throw misfit(where, `a ${name}`);
  return value;
}

function plain(value: unknown): TagValue {
  return typeof value === "bigint" || typeof value === "boolean" ? value : Number(value);
}

function part(bytes: Uint8Array, i: number, size: number): Uint8Array {
  return bytes.subarray(i * size, (i + 1) * size);
}

function misfit(where: string, must: string): UsageError {
  return new UsageError("usage/argument", `tag ${where} must be ${must}`, {
    facts: { tag: where },
    fix: "Give a value of the tag's type; docs/device-description.md lists the types with their values.",
  });
}
