import {
  PeerError,
  ReadModifyWriteRequest,
  TagService,
  UsageError,
  encode,
  isStackError,
  structureTypeCode,
  type Segment,
} from "@cipsec/wire";
import type { Requester } from "../replies.ts";
import { routed } from "../route.ts";
import { findSymbol, listTags, type ListOptions, type TagInfo } from "./catalogue.ts";
import { parseTagName, type TagName } from "./name.ts";
import { templates, type Templates } from "./template.ts";
import { done, readRaw, writeRaw, type RawTag, type Room, type Wanted } from "./transfer.ts";
import { atoms, isList, listOf, readElements, writeElement, type ElementType, type TagValue } from "./values.ts";

/** The way to a controller's tags. */
export interface TagOptions {
  /** Port segments to the controller, where the device reached is not it: {@link parseRoute}. */
  readonly route?: readonly Segment[];
  /** Octets of a CIP message; default 500, which every controller takes without a connection. */
  readonly maxOctets?: number;
}

/** What became of one tag that was asked for. */
export type TagResult =
  | { readonly name: string; readonly typeName: string; readonly value: TagValue }
  | { readonly name: string; readonly error: Error };

/** Tags of one controller. */
export interface Tags {
  /**
   * Reads tags, packed together as far as they fit. A tag that cannot be read has its error in its place.
   *
   * @throws {TransportError} when the way to the controller fails; {@link UsageError} for a name that is none.
   */
  read(names: readonly string[]): Promise<readonly TagResult[]>;
  /**
   * Writes a tag. A structure may be given in part: what is left out keeps its value. A list writes elements from the index on.
   *
   * @throws {PeerError} `cip/status`; {@link UsageError} when the value does not suit the tag's type.
   */
  write(name: string, value: TagValue): Promise<void>;
  list(options?: ListOptions): Promise<readonly TagInfo[]>;
}

/** Without a connection Logix takes 504 octets. @see reference ethernet-ip.md 8.5 */
const defaultMaxOctets = 500;

/** Octets that a value is taken for before it was read once. */
const guessedOctets = 8;

/** Names that are remembered. */
const maxRemembered = 10_000;

/** What a tag's name says, the name as it was given, and the octets of its value once it was read: by them reads are packed. */
interface Remembered extends TagName {
  readonly text: string;
  octets?: number;
}

/**
 * Tags over a session, a class 3 connection or anything else that carries requests.
 *
 * @see reference ethernet-ip.md 8
 */
export function tags(requester: Requester, { route = [], maxOctets = defaultMaxOctets }: TagOptions = {}): Tags {
  const way = routed(requester, route);
  const room: Room = { request: maxOctets - way.overhead, reply: maxOctets };
  const structures = templates(way);
  const remembered = new Map<string, Remembered>();

  /** What a name says; programs read the same tags again and again. */
  function named(text: string): Remembered {
    const known = remembered.get(text);
    if (known !== undefined) return known;
    const name: Remembered = { ...parseTagName(text), text };
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(text, name);
    return name;
  }

  async function readAll(names: readonly Remembered[]): Promise<readonly (RawTag | Error)[]> {
    const wanted = names.map(({ path, base, elements = 1, octets }): Wanted => {
      return { path, elements, name: base, expected: octets ?? guessedOctets * elements };
    });
    const raws = await readRaw(way, wanted, room);
    for (const [i, name] of names.entries()) {
      const raw = raws[i];
      if (raw !== undefined && !(raw instanceof Error)) name.octets = raw.data.length;
    }
    return raws;
  }

  return {
    async read(texts) {
      const names = texts.map(named);
      const raws = await readAll(names);
      const results: TagResult[] = [];
      for (const [i, name] of names.entries()) {
        const raw = raws[i] ?? new PeerError("cip/mismatch", `read ${name.base}: no answer`);
        if (raw instanceof Error) results.push({ name: name.text, error: raw });
        else if (isKnown(structures, raw)) results.push(valued(structures, name, raw));
        else results.push(await learned(way, structures, name, raw));
      }
      return results;
    },
    async write(text, value) {
      const name = named(text);
      const [raw = new PeerError("cip/mismatch", `read ${name.base}: no answer`)] = await readAll([
        { ...name, elements: isList(value) ? Math.max(1, value.length) : (name.elements ?? 1) },
      ]);
      if (raw instanceof Error) throw raw;
      if (!isKnown(structures, raw)) await learn(way, structures, name, raw);
      const type = typeOf(structures, raw);
      if (type === undefined) throw unknownType(text, raw);
      if (name.bit === undefined) await writeValue(way, name, type, raw, value, room);
      else await writeBit(way, name, name.bit, type, value);
    },
    list: (options) => listTags(way, structures, options),
  };
}

/** The value, or why the octets are none. */
function valued(structures: Templates, name: Remembered, raw: RawTag): TagResult {
  try {
    return { name: name.text, ...valueIn(structures, name, raw) };
  } catch (error) {
    return refused(name, error);
  }
}

/** {@link valued}, for a structure that is not known yet. */
async function learned(way: Requester, structures: Templates, name: Remembered, raw: RawTag): Promise<TagResult> {
  try {
    await learn(way, structures, name, raw);
  } catch (error) {
    return refused(name, error);
  }
  return valued(structures, name, raw);
}

/** An error in the place of the tag it is about; that of the way is everybody's. */
function refused({ text }: Remembered, error: unknown): TagResult {
  if (isStackError(error) && !error.code.startsWith("transport/")) return { name: text, error };
  throw error;
}

function valueIn(structures: Templates, name: Remembered, raw: RawTag): { typeName: string; value: TagValue } {
  const { text } = name;
  const type = typeOf(structures, raw);
  if (type === undefined) return { typeName: typeWord(raw), value: raw.data };
  const values = readElements(type, raw.data);
  const [first] = values;
  if (first === undefined)
    throw new PeerError("cip/mismatch", `read ${text}: ${raw.data.length} octets are no ${type.name}`, {
      facts: { octets: raw.data.length, size: type.size },
    });
  if (name.bit !== undefined) return { typeName: "BOOL", value: bitOf(first, name.bit, type, text) };
  if (name.elements === undefined) return { typeName: type.name, value: first };
  return { typeName: `${type.name}[${values.length}]`, value: values };
}

/** Whether asking for the type would tell nothing new: it is no structure, or one whose template is here. */
function isKnown(structures: Templates, { type: { code, handle } }: RawTag): boolean {
  return code !== structureTypeCode || handle === undefined || structures.byHandle(handle) !== undefined;
}

/** Loads the template of a tag's structure, which the list of symbols leads to; a controller may have neither. */
async function learn(way: Requester, structures: Templates, { program, root }: TagName, raw: RawTag): Promise<void> {
  const { handle = 0 } = raw.type;
  try {
    const symbol = await findSymbol(way, program, root);
    if (symbol?.symbolType?.structured === true) await structures.load(symbol.symbolType.code);
    structures.assume(handle);
  } catch (error) {
    if (isStackError(error) && !error.code.startsWith("transport/")) structures.assume(handle);
    if (structures.byHandle(handle) === undefined) throw error;
  }
}

/** The type of a tag's elements: by its code, or by the structure's handle. */
function typeOf(structures: Templates, { type: { code, handle } }: RawTag): ElementType | undefined {
  return code !== structureTypeCode || handle === undefined ? atoms.get(code & 0xff) : structures.byHandle(handle);
}

async function writeValue(
  way: Requester,
  name: TagName,
  type: ElementType,
  raw: RawTag,
  value: TagValue,
  room: Room,
): Promise<void> {
  const count = Math.floor(raw.data.length / type.size);
  const values = isList(value) ? listOf(value, count, name.base) : [value];
  if (values.length === 0) throw new UsageError("usage/argument", `${name.base}: an empty list writes nothing`);
  const data = new Uint8Array(values.length * type.size);
  for (const [i, part] of values.entries()) {
    const before = raw.data.subarray(i * type.size, (i + 1) * type.size);
    data.set(writeElement(type, part, before, name.base), i * type.size);
  }
  const tag = { path: name.path, name: name.base, elements: values.length, unit: type.size, type: raw.type, data };
  await writeRaw(way, tag, room);
}

/** One bit: what else happens to the integer meanwhile is kept, as the controller does it in one step. */
async function writeBit(way: Requester, name: TagName, bit: number, type: ElementType, value: TagValue): Promise<void> {
  const what = `write ${name.base}.${bit}`;
  if (type.kind !== "atom" || bit >= 8 * type.size)
    throw new UsageError("usage/argument", `${what}: ${type.name} has no bit ${bit}`);
  if (typeof value !== "boolean" && value !== 0 && value !== 1)
    throw new UsageError("usage/argument", `${what}: true or false is needed`);
  const or = new Uint8Array(type.size);
  const and = new Uint8Array(type.size).fill(0xff);
  const mask = 1 << (bit & 7);
  if (value === true || value === 1) or[bit >> 3] = mask;
  else and[bit >> 3] = 0xff & ~mask;
  const data = encode(ReadModifyWriteRequest, { or, and });
  done(await way.request({ service: TagService.readModifyWriteTag, path: name.path, data }), what);
}

function bitOf(value: TagValue, bit: number, type: ElementType, text: string): boolean {
  const isInteger = typeof value === "bigint" || (typeof value === "number" && Number.isInteger(value));
  if (!isInteger || bit >= 8 * type.size)
    throw new UsageError("usage/argument", `${text}: ${type.name} has no bit ${bit}`);
  return ((BigInt(value) >> BigInt(bit)) & 1n) === 1n;
}

function typeWord({ type }: RawTag): string {
  return type.handle === undefined ? `0x${type.code.toString(16)}` : `structure 0x${type.handle.toString(16)}`;
}

function unknownType(text: string, raw: RawTag): UsageError {
  return new UsageError("usage/state", `${text}: its type ${typeWord(raw)} is not known here, so it cannot be written`);
}
