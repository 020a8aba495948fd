import { UsageError } from "@cipsec/wire";
import { Fields, wrong } from "../fields.ts";
import { layOut, shapeOf, stringType, type MemberWish } from "./layout.ts";
import { elementaryTypes, octetsOf, type ElementType, type Shape, type StructType } from "./types.ts";
import { writeValue } from "./values.ts";

/** What the network may do with a tag. */
export type TagAccess = "read-write" | "read-only" | "none";

/** One tag as the device description has it, checked and laid out. */
export interface TagDescription {
  readonly name: string;
  /** Program that the tag belongs to; absent for the controller's own. */
  readonly program?: string;
  readonly shape: Shape;
  readonly access: TagAccess;
  /** The value that the device starts with. */
  readonly initial: Uint8Array;
}

/** Tags of a device and the structures they are made of. */
export interface TagsDescription {
  readonly structs: readonly StructType[];
  readonly tags: readonly TagDescription[];
}

/** Names as controllers allow them. */
const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;

const maxName = 40;

/** Bounds on what a description can make the device hold; controllers of the field have as many. */
const maxTags = 10_000;
const maxStructs = 500;
const maxMembers = 500;
const maxOctets = 16 * 1024 * 1024;

/** An element index takes 32 bits on the wire, a count of elements 16. */
const maxDimension = 1_000_000;

/** Predefined templates have numbers of their own; ours start here. */
const firstTemplate = 0x100;

/**
 * Reads `structs` and `tags` of a device description; nothing where it has neither.
 *
 * @throws {UsageError} `usage/file` naming the entry that is wrong and what it must be.
 */
export function readTags(device: Fields): { readonly tags?: TagsDescription } {
  if (device.raw("tags") === undefined && device.raw("structs") === undefined) return {};
  const types = new Map<string, ElementType>(elementaryTypes);
  const text = stringType();
  types.set(text.name, text);
  const structs: StructType[] = [text];
  for (const [i, item] of device.items("structs", maxStructs, []).entries()) {
    const where = `device.structs[${i}]`;
    const struct = readStruct(new Fields(item, where), where, types, firstTemplate + i);
    if (types.has(struct.name)) throw wrong(`${where}.name`, `'${struct.name}' is a type already`);
    types.set(struct.name, struct);
    structs.push(struct);
  }
  const tags: TagDescription[] = [];
  const names = new Set<string>();
  let octets = 0;
  for (const [i, item] of device.items("tags", maxTags, []).entries()) {
    const where = `device.tags[${i}]`;
    const { tag, value } = readTag(new Fields(item, where), where, types);
    const fullName = `${tag.program ?? ""}.${tag.name}`.toLowerCase();
    if (names.has(fullName)) throw wrong(`${where}.name`, `'${tag.name}' is there twice; case does not count`);
    names.add(fullName);
    octets += octetsOf(tag.shape);
    if (octets > maxOctets) throw wrong("device.tags", `have more than ${maxOctets} octets together`);
    tags.push({ ...tag, initial: initialOctets(tag.shape, value, `${where}.value`) });
  }
  return { tags: { structs, tags } };
}

function readStruct(at: Fields, where: string, types: ReadonlyMap<string, ElementType>, template: number): StructType {
  const name = readName(at, where);
  const members: MemberWish[] = [];
  let octets = 0;
  for (const [i, item] of at.items("members", maxMembers, []).entries()) {
    const inner = `${where}.members[${i}]`;
    const member = readMember(new Fields(item, inner), inner, types);
    const isTwice = members.some((known) => known.name.toLowerCase() === member.name.toLowerCase());
    if (isTwice) throw wrong(`${inner}.name`, `'${member.name}' is there twice; case does not count`);
    octets += octetsOf(shapeOf(member.type, [member.elements ?? 1]));
    if (octets > maxOctets) throw wrong(inner, `makes the structure larger than ${maxOctets} octets`);
    members.push(member);
  }
  if (members.length === 0) throw wrong(`${where}.members`, "must be a list of at least one");
  at.end();
  return layOut(name, members, { template });
}

function readMember(at: Fields, where: string, types: ReadonlyMap<string, ElementType>): MemberWish {
  const name = readName(at, where);
  const type = readType(at, where, types);
  const elements = at.raw("elements") === undefined ? undefined : at.number("elements", 1, 0xffff);
  at.end();
  return { name, type, ...(elements === undefined ? {} : { elements }) };
}

function readTag(
  at: Fields,
  where: string,
  types: ReadonlyMap<string, ElementType>,
): { readonly tag: Omit<TagDescription, "initial">; readonly value: unknown } {
  const name = readName(at, where);
  const type = readType(at, where, types);
  const dimensions = at.items("dimensions", 3, []).map((count, i) => asDimension(count, `${where}.dimensions[${i}]`));
  const program = at.raw("program") === undefined ? undefined : readName(at, where, "program");
  const access = at.choice("access", ["read-write", "read-only", "none"], "read-write");
  const value = at.raw("value");
  at.end();
  const shape = shapeOf(type, dimensions);
  if (octetsOf(shape) > maxOctets) throw wrong(where, `has more than ${maxOctets} octets`);
  return { tag: { name, shape, access, ...(program === undefined ? {} : { program }) }, value };
}

function initialOctets(shape: Shape, value: unknown, where: string): Uint8Array {
  const bytes = new Uint8Array(octetsOf(shape));
  if (value === undefined) return bytes;
  try {
    writeValue(shape, value, bytes, where);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw wrong(where, `does not fit: ${error.message}`);
  }
  return bytes;
}

function readName(at: Fields, where: string, entry = "name"): string {
  const name = at.text(entry, maxName);
  if (!namePattern.test(name))
    throw wrong(`${where}.${entry}`, "must be letters, digits and _, and not begin with a digit");
  return name;
}

function readType(at: Fields, where: string, types: ReadonlyMap<string, ElementType>): ElementType {
  const name = at.text("type", maxName);
  const type = types.get(name);
  if (type === undefined)
    throw wrong(`${where}.type`, `must be one of ${[...types.keys()].join(", ")}; structs are listed before their use`);
  return type;
}

function asDimension(count: unknown, where: string): number {
  if (typeof count !== "number" || !Number.isInteger(count) || count < 1 || count > maxDimension)
    throw wrong(where, `must be a whole number from 1 to ${maxDimension}`);
  return count;
}
