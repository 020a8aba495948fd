import { LogixClass, type Segment } from "@cipsec/wire";
import { programPrefix } from "./name.ts";
import type { Scope, Tag, TagTable } from "./table.ts";
import { boolType, elementsOf, octetsOf, type Shape } from "./types.ts";

/** The part of a tag that a path leads to. */
export interface Place {
  readonly tag: Tag;
  readonly shape: Shape;
  /** Octets from the start of the tag. */
  readonly offset: number;
  /** Octets of the part itself: an element's, where an index leads to one. */
  readonly octets: number;
  /** Elements from here to the end of the array; 1 where there is none. */
  readonly elements: number;
  /** For one bit: its number in the octets at `offset`. */
  readonly bit?: number;
}

/**
 * Why a path leads nowhere: it is not a tag's path; there is no such program, tag or member; no such instance or bit, or other
 * dimensions; an element behind the last.
 */
export type Astray = "syntax" | "unknown-name" | "unknown-number" | "beyond";

/** Extended logical segment that names a bit. @see reference ethernet-ip.md 3.5 */
const bitIndex = 3;

/**
 * Follows a path: program, tag by name or by instance of class 0x6B, then members, indices and bits. Case does not count.
 *
 * @param path Without an electronic key.
 * @see reference ethernet-ip.md 8.1
 */
export function locate(table: TagTable, path: readonly Segment[]): Place | Astray {
  const start = startOf(table, path);
  if (typeof start === "string") return start;
  const { tag, rest } = start;
  let place: Place = { tag, ...whole(tag.shape, 0) };
  for (let at = 0; at < rest.length;) {
    if (place.bit !== undefined) return "syntax";
    const indices = rest.slice(at, at + indicesAt(rest, at)).map(valueOf);
    const next = indices.length > 0 ? element(place, indices) : inner(place, rest[at]);
    if (typeof next === "string") return next;
    place = next;
    at += Math.max(1, indices.length);
  }
  return place;
}

/** The scope that a path starts in, and what follows: a program's where its name stands in front. */
export function scopeOf(
  table: TagTable,
  path: readonly Segment[],
): { readonly scope: Scope; readonly program?: string; readonly rest: readonly Segment[] } | undefined {
  const [first, ...rest] = path;
  if (first?.kind !== "symbol" || !first.name.toLowerCase().startsWith(programPrefix))
    return { scope: table.controller, rest: path };
  const scope = table.programs.get(first.name.slice(programPrefix.length).toLowerCase());
  return scope === undefined ? undefined : { scope, program: scope.name, rest };
}

function startOf(table: TagTable, path: readonly Segment[]): { tag: Tag; rest: readonly Segment[] } | Astray {
  const found = scopeOf(table, path);
  if (found === undefined) return "unknown-name";
  const [first, second, ...more] = found.rest;
  let tag: Tag | undefined;
  let rest: readonly Segment[];
  if (first?.kind === "symbol") {
    tag = found.scope.find(first.name.toLowerCase());
    rest = found.rest.slice(1);
  } else {
    if (first?.kind !== "class" || first.value !== LogixClass.symbol || second?.kind !== "instance") return "syntax";
    tag = found.scope.tags[second.value - 1];
    rest = more;
  }
  if (tag === undefined) return first.kind === "symbol" ? "unknown-name" : "unknown-number";
  return { tag, rest };
}

function whole(shape: Shape, offset: number): Omit<Place, "tag"> {
  return { shape, offset, octets: octetsOf(shape), elements: elementsOf(shape) };
}

function indicesAt(path: readonly Segment[], at: number): number {
  let count = 0;
  while (path[at + count]?.kind === "member") count += 1;
  return count;
}

function valueOf(segment: Segment): number {
  return segment.kind === "member" ? segment.value : 0;
}

/** One element by an index for each dimension. The place keeps how many follow: a message may ask for several. */
function element(place: Place, indices: readonly number[]): Place | Astray {
  const { shape, offset, tag } = place;
  const { dimensions, type } = shape;
  if (dimensions.length !== indices.length) return "unknown-number";
  if (indices.some((index, i) => index >= (dimensions[i] ?? 0))) return "beyond";
  const number = indices.reduce((flat, index, i) => flat * (dimensions[i] ?? 1) + index, 0);
  return {
    tag,
    shape: { type, dimensions: [], isBits: false },
    offset: offset + number * type.size,
    octets: type.size,
    elements: elementsOf(shape) - number,
  };
}

/** A member of a structure, or a bit of an integer. */
function inner(place: Place, segment: Segment | undefined): Place | Astray {
  const { tag, shape, offset } = place;
  const { type, dimensions } = shape;
  const bit = bitNumber(segment);
  if (bit !== undefined && type.kind === "elementary" && type.hasBits) {
    if (dimensions.length > 0 || bit >= 8 * type.size) return "unknown-number";
    return bitPlace(tag, offset + (bit >> 3), bit & 7);
  }
  if (segment?.kind !== "symbol") return "syntax";
  if (type.kind !== "struct" || dimensions.length > 0) return "unknown-name";
  const wanted = segment.name.toLowerCase();
  const member = type.members.find(({ name }) => name.toLowerCase() === wanted);
  if (member === undefined) return "unknown-name";
  if (member.bit !== undefined) return bitPlace(tag, offset + member.offset, member.bit);
  return { tag, ...whole(member, offset + member.offset) };
}

/** The bit that a segment names: `3` as clients of text names send it, or the segment that the standard has for it. */
function bitNumber(segment: Segment | undefined): number | undefined {
  if (segment?.kind === "extendedLogical" && segment.subtype === bitIndex) return segment.value;
  return segment?.kind === "symbol" && /^\d{1,2}$/.test(segment.name) ? Number(segment.name) : undefined;
}

function bitPlace(tag: Tag, offset: number, bit: number): Place {
  return { tag, shape: { type: boolType, dimensions: [], isBits: false }, offset, octets: 1, elements: 1, bit };
}
