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
  WORD,
  structureTypeCode,
  type Codec,
  type SymbolType,
  type TagType,
} from "@cipsec/wire";

/** A type whose values are one number or bit. */
export interface ElementaryType {
  readonly kind: "elementary";
  readonly name: string;
  /** Code on the wire. @see reference ethernet-ip.md 4 */
  readonly code: number;
  /** Octets. */
  readonly size: number;
  readonly codec: Codec<unknown>;
  /** Whether its bits can be named and changed one by one. */
  readonly hasBits: boolean;
}

/** A structure with the place of each member, and its definition as class 0x6C hands it out. */
export interface StructType {
  readonly kind: "struct";
  readonly name: string;
  /** Instance of class 0x6C. */
  readonly template: number;
  /** What a message names the structure by. */
  readonly handle: number;
  /** Name and types of the members with commas between, those of structures inside in their place: what the handle is made of. */
  readonly typeText: string;
  /** Octets, with those that fill up at the end. */
  readonly size: number;
  /** Octets that a value's start is a multiple of. */
  readonly alignment: number;
  readonly members: readonly StructMember[];
  /** Members as the definition counts them, those that only host BOOLs included. */
  readonly memberCount: number;
  readonly definition: Uint8Array;
}

/** Type of one element of a tag. */
export type ElementType = ElementaryType | StructType;

/** What a tag or member holds: one value, or an array where there are dimensions. */
export interface Shape {
  readonly type: ElementType;
  /** Elements in each dimension, the last running fastest; at most three. */
  readonly dimensions: readonly number[];
  /** An array of BOOL: it travels as DWORDs, 32 bits each, and the application sees bits. */
  readonly isBits: boolean;
}

/** One member of a structure. */
export interface StructMember extends Shape {
  readonly name: string;
  /** Octets from the start of the structure. */
  readonly offset: number;
  /** For a BOOL: which bit of the octet at `offset`. */
  readonly bit?: number;
}

/** One bit, alone in an octet; in a structure eight share one. */
export const boolType = elementary("BOOL", 0xc1, 1, BOOL, false);
export const sintType = elementary("SINT", 0xc2, 1, SINT, true);
export const dintType = elementary("DINT", 0xc4, 4, DINT, true);
/** Also what a BOOL array is made of. */
export const dwordType = elementary("DWORD", 0xd3, 4, DWORD, true);

const elementaryTypeList: readonly ElementaryType[] = [
  boolType,
  sintType,
  elementary("INT", 0xc3, 2, INT, true),
  dintType,
  elementary("LINT", 0xc5, 8, LINT, true),
  elementary("USINT", 0xc6, 1, USINT, true),
  elementary("UINT", 0xc7, 2, UINT, true),
  elementary("UDINT", 0xc8, 4, UDINT, true),
  elementary("ULINT", 0xc9, 8, ULINT, true),
  elementary("REAL", 0xca, 4, REAL, false),
  elementary("LREAL", 0xcb, 8, LREAL, false),
  elementary("BYTE", 0xd1, 1, BYTE, true),
  elementary("WORD", 0xd2, 2, WORD, true),
  dwordType,
  elementary("LWORD", 0xd4, 8, LWORD, true),
];

/** Elementary types that tags can have, by name. */
export const elementaryTypes: ReadonlyMap<string, ElementaryType> = new Map(
  elementaryTypeList.map((type) => [type.name, type]),
);

/** How many elements a shape has; 1 without dimensions. */
export function elementsOf({ dimensions }: Shape): number {
  return dimensions.reduce((product, count) => product * count, 1);
}

/** Octets of a whole value. */
export function octetsOf(shape: Shape): number {
  return elementsOf(shape) * shape.type.size;
}

/** How messages name a type. */
export function tagTypeOf(type: ElementType): TagType {
  return type.kind === "struct" ? { code: structureTypeCode, handle: type.handle } : { code: type.code };
}

/** How class 0x6B and templates name a shape. */
export function symbolTypeOf({ type, dimensions }: Shape): SymbolType {
  const isStruct = type.kind === "struct";
  return {
    structured: isStruct,
    dimensions: dimensions.length,
    system: false,
    code: isStruct ? type.template : type.code,
    bit: 0,
  };
}

/** The octets of a text structure's text, where `type` is one: LEN (DINT) and DATA (SINT array), nothing else. */
export function textRoom(type: StructType): number | undefined {
  const [length, data, ...more] = type.members;
  const isText =
    more.length === 0 &&
    length?.name === "LEN" &&
    isScalar(length, "DINT") &&
    data?.name === "DATA" &&
    data.type.name === "SINT" &&
    data.dimensions.length === 1;
  return isText ? data.dimensions[0] : undefined;
}

function isScalar(member: StructMember, name: string): boolean {
  return member.type.name === name && member.dimensions.length === 0;
}

function elementary(name: string, code: number, size: number, codec: Codec<unknown>, hasBits: boolean): ElementaryType {
  return { kind: "elementary", name, code, size, codec, hasBits };
}
