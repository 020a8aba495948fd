import { encode, template, type TemplateMember } from "@cipsec/wire";
import {
  dintType,
  dwordType,
  octetsOf,
  sintType,
  symbolTypeOf,
  type ElementType,
  type Shape,
  type StructMember,
  type StructType,
} from "./types.ts";

/** A member as it is declared: `elements` makes it an array. */
export interface MemberWish {
  readonly name: string;
  readonly type: ElementType;
  readonly elements?: number;
}

/** Names of members that only host BOOLs begin so, and clients hide them. */
const hostPrefix = "ZZZZZZZZZZ";

/** Bits in an octet: so many BOOLs in a row share one. */
const octetBits = 8;

/** Longer type texts count to here: structures inside one another would double it with each level. */
const maxTypeText = 16_384;

/** Structures start at multiples of this, and end at one. */
const structAlignment = 4;

/**
 * Lays a structure out as controllers do: members in their order, each at a multiple of its own size; BOOLs in a row share an
 * octet; the end filled up to four octets, eight where a member has eight.
 *
 * @param template Instance of class 0x6C that the structure gets.
 * @param handle The structure's handle; by default the checksum of its type text, as controllers have it.
 * @see reference ethernet-ip.md 8.4
 */
export function layOut(
  name: string,
  wishes: readonly MemberWish[],
  { template: instance, handle, title = name }: { template: number; handle?: number; title?: string },
): StructType {
  const members: StructMember[] = [];
  const records: TemplateMember[] = [];
  let typeText = name;
  let end = 0;
  let alignment = structAlignment;
  let host: { readonly offset: number; used: number } | undefined;
  for (const wish of wishes) {
    const shape = shapeOf(wish.type, wish.elements === undefined ? [] : [wish.elements]);
    if (shape.type.name === "BOOL") {
      if (host === undefined || host.used === octetBits) {
        host = { offset: end, used: 0 };
        end += 1;
        typeText += `,${hostShape.type.name}`;
        records.push(record(`${hostPrefix}${name.slice(0, 24)}${records.length}`, hostShape, 0, host.offset));
      }
      members.push({ ...shape, name: wish.name, offset: host.offset, bit: host.used });
      records.push(record(wish.name, shape, host.used, host.offset));
      host.used += 1;
      continue;
    }
    host = undefined;
    const step = alignmentOf(shape.type, shape.dimensions.length > 0);
    const offset = upTo(end, step);
    end = offset + octetsOf(shape);
    alignment = Math.max(alignment, step);
    members.push({ ...shape, name: wish.name, offset });
    records.push(record(wish.name, shape, shape.dimensions[0] ?? 0, offset));
    typeText += `,${textOf(shape)}`;
  }
  typeText = typeText.slice(0, maxTypeText);
  const definition = encode(template(records.length), { name: title, tail: tailOf(records), members: records });
  return {
    kind: "struct",
    name,
    template: instance,
    handle: handle ?? crc16(Buffer.from(typeText, "latin1")),
    typeText,
    size: upTo(end, alignment),
    alignment,
    members,
    memberCount: records.length,
    definition,
  };
}

/** The shape of `type` with these dimensions; an array of BOOL becomes one of DWORD. The last dimension counts bits there. */
export function shapeOf(type: ElementType, dimensions: readonly number[]): Shape {
  if (type.name !== "BOOL" || dimensions.length === 0) return { type, dimensions, isBits: false };
  const counts = dimensions.map((count, i) => (i === dimensions.length - 1 ? Math.ceil(count / 32) : count));
  return { type: dwordType, dimensions: counts, isBits: true };
}

/** The controllers' predefined text type: 82 characters. Its handle and template are the same number everywhere. */
export function stringType(): StructType {
  return layOut(
    "STRING",
    [
      { name: "LEN", type: dintType },
      { name: "DATA", type: sintType, elements: 82 },
    ],
    { template: 0x0fce, handle: 0x0fce, title: "ASCIISTRING82" },
  );
}

const hostShape: Shape = { type: sintType, dimensions: [], isBits: false };

function record(name: string, shape: Shape, info: number, offset: number): TemplateMember {
  return { name, info, type: symbolTypeOf(shape), offset };
}

/**
 * What stands behind the name of a structure: two characters a member, of whose meaning one is known: the lowest two bits of the
 * second are 0 for a hidden member. pylogix reads them.
 */
function tailOf(records: readonly TemplateMember[]): string {
  return `n${records.map(({ name }) => (name.startsWith(hostPrefix) ? "E@" : "EA")).join("")}`;
}

/** Arrays of small elements start on a word of the controller all the same. */
function alignmentOf(type: ElementType, isArray: boolean): number {
  if (type.kind === "struct") return type.alignment;
  return isArray ? Math.max(type.size, structAlignment) : type.size;
}

function upTo(offset: number, step: number): number {
  return Math.ceil(offset / step) * step;
}

/** A member's part of the type text: `DINT`, `SINT[82]`, or the whole text of a structure. */
function textOf({ type, dimensions }: Shape): string {
  const text = type.kind === "struct" ? type.typeText : type.name;
  return dimensions.length === 0 ? text : `${text}[${dimensions.join(",")}]`;
}

/** CRC-16 with the polynomial 0x8005, reflected. Clients that know a structure's members compute its handle so, as gologix does. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const octet of bytes) {
    crc ^= octet;
    for (let bit = 0; bit < octetBits; bit += 1) crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
  }
  return crc;
}
