import {
  Status,
  SymbolAttribute,
  SymbolListRequest,
  decode,
  encode,
  symbolList,
  type Reply,
  type Segment,
  type SymbolEntry,
} from "@cipsec/wire";
import { refuse } from "../refusal.ts";
import { scopeOf } from "./locate.ts";
import type { Tag, TagTable } from "./table.ts";
import { symbolTypeOf } from "./types.ts";

/** External access as attribute 10 says it. */
const accessNumbers = { "read-write": 0, "read-only": 2, none: 3 } as const;

const listable = new Set<number>(Object.values(SymbolAttribute));

/** A program in the list of the controller's symbols; its type is the controller's own. */
const programType = { structured: false, dimensions: 0, system: true, code: 0x68, bit: 0 };

/** What class 0x6B says of a tag. */
export function symbolEntry(
  tag: Tag,
): Required<Pick<SymbolEntry, "name" | "symbolType" | "byteCount" | "dimensions">> & SymbolEntry {
  const [first = 0, second = 0, third = 0] = tag.shape.dimensions;
  return {
    instance: tag.instance,
    name: tag.name,
    symbolType: symbolTypeOf(tag.shape),
    byteCount: tag.shape.type.size & 0xffff,
    dimensions: [first, second, third],
    externalAccess: accessNumbers[tag.access],
  };
}

/** All symbols of a scope by their numbers: tags, and behind the controller's own its programs. */
export function symbolsOf(table: TagTable, path: readonly Segment[]): readonly SymbolEntry[] | undefined {
  const found = scopeOf(table, path);
  if (found === undefined) return undefined;
  const entries = found.scope.tags.map(symbolEntry);
  if (found.program !== undefined) return entries;
  const programs = [...table.programs.values()].map(({ name }, i): SymbolEntry => ({
    instance: found.scope.tags.length + 1 + i,
    name: `Program:${name}`,
    symbolType: programType,
  }));
  return [...entries, ...programs];
}

/**
 * Get_Instance_Attribute_List: the symbols from an instance on, as many as the way back takes; 0x06 where there are more.
 *
 * @throws {Refusal} 0x14 for an attribute that no symbol has; 0x11 when not even one symbol fits.
 * @see reference ethernet-ip.md 8.2
 */
export function listSymbols(
  symbols: readonly SymbolEntry[],
  from: number,
  data: Uint8Array,
  maxReply: number,
): Pick<Reply, "status" | "data"> {
  const attributes = decode(SymbolListRequest, data);
  if (!attributes.every((id) => listable.has(id))) throw refuse(Status.attributeNotSupported);
  const codec = symbolList(attributes);
  const parts: Uint8Array[] = [];
  let room = maxReply;
  for (const symbol of symbols) {
    if (symbol.instance < from) continue;
    const bytes = encode(codec, [symbol]);
    room -= bytes.length;
    if (room < 0) {
      if (parts.length === 0) throw refuse(Status.replyDataTooLarge);
      return { status: Status.partialTransfer, data: join(parts) };
    }
    parts.push(bytes);
  }
  return { status: Status.success, data: join(parts) };
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, { length: more }) => length + more, 0));
  let at = 0;
  for (const bytes of parts) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}
