import { REST, list, mapped, struct, type Codec } from "./codec.ts";
import { WireError } from "./errors.ts";
import { UDINT, UINT } from "./types.ts";

/*
 * Services on tags of Logix controllers, as they go to a path of symbols or to class 0x6B.
 * Source: publication 1756-PM020; reference ethernet-ip.md 8.
 */

/** Services on tags. The same codes mean other things in other classes: 0x4E is Forward_Close there, 0x52 Unconnected_Send. */
export const TagService = {
  readTag: 0x4c,
  writeTag: 0x4d,
  readModifyWriteTag: 0x4e,
  readTagFragmented: 0x52,
  writeTagFragmented: 0x53,
  getInstanceAttributeList: 0x55,
} as const;

/** Type word of a structure; the structure's handle follows. On the wire it is `A0 02`. */
export const structureTypeCode = 0x02a0;

/** Type of a tag's value: an elementary type's code, or {@link structureTypeCode} with the handle of the structure. */
export interface TagType {
  readonly code: number;
  /** Attribute 1 of the structure's template; for structures only. */
  readonly handle?: number;
}

/** A tag's type in front of its octets. */
export const TagType: Codec<TagType> = {
  type: "tag type",
  read(r) {
    const code = r.u16("tag type");
    return code === structureTypeCode ? { code, handle: r.u16("structure handle") } : { code };
  },
  write(w, { code, handle }) {
    if ((code === structureTypeCode) !== (handle !== undefined))
      throw new WireError("wire/value", "tag type: a handle belongs to a structure, and to nothing else", {
        facts: { code },
      });
    w.u16(code);
    if (handle !== undefined) w.u16(handle);
  },
};

/** Octets of a type in front of a value. */
export function tagTypeSize({ handle }: TagType): number {
  return handle === undefined ? 2 : 4;
}

/** Request data of Read_Tag: how many elements, 1 for a tag that is no array. */
export const ReadTagRequest = struct("Read_Tag request", { elements: UINT });

/** Reply data of Read_Tag and Read_Tag_Fragmented; with status 0x06 more octets are to be asked for. */
export const ReadTagReply = struct("Read_Tag reply", { type: TagType, data: REST });

/** Request data of Write_Tag. */
export const WriteTagRequest = struct("Write_Tag request", { type: TagType, elements: UINT, data: REST });

/** Request data of Read_Tag_Fragmented: `offset` in octets of the value, the type in front not counted. */
export const ReadTagFragmentedRequest = struct("Read_Tag_Fragmented request", { elements: UINT, offset: UDINT });

/** Request data of Write_Tag_Fragmented: `elements` are those of the whole write. */
export const WriteTagFragmentedRequest = struct("Write_Tag_Fragmented request", {
  type: TagType,
  elements: UINT,
  offset: UDINT,
  data: REST,
});

/** Bits to set and bits to keep: the new value is (old OR `or`) AND `and`. */
export interface ReadModifyWrite {
  readonly or: Uint8Array;
  readonly and: Uint8Array;
}

/** Octets that the masks of Read_Modify_Write_Tag may have. */
const maskSizes: readonly number[] = [1, 2, 4, 8, 12];

/** Request data of Read_Modify_Write_Tag. @throws {WireError} `wire/value` for masks of a size that does not exist. */
export const ReadModifyWriteRequest: Codec<ReadModifyWrite> = {
  type: "Read_Modify_Write_Tag request",
  read(r) {
    const size = maskSize(r.u16("mask size"));
    return { or: r.octets(size, "OR mask"), and: r.octets(size, "AND mask") };
  },
  write(w, { or, and }) {
    if (or.length !== and.length)
      throw new WireError("wire/value", `masks of ${or.length} and ${and.length} octets differ in size`, {
        facts: { or: or.length, and: and.length },
      });
    w.u16(maskSize(or.length));
    w.octets(or);
    w.octets(and);
  },
};

/** What a symbol or a structure's member is, in one word. */
export interface SymbolType {
  /** Whether `code` is the instance of a template (class 0x6C) and not an elementary type. */
  readonly structured: boolean;
  /** 0 to 3 for a symbol; a member with 1 is an array. */
  readonly dimensions: number;
  /** The controller's own: not meant for people. */
  readonly system: boolean;
  readonly code: number;
  /** For a BOOL that is part of an integer, which bit of it; else 0. */
  readonly bit: number;
}

/** Attribute 2 of class 0x6B, and the type word of a structure's member. @see reference ethernet-ip.md 8.3 */
export const SymbolType: Codec<SymbolType> = mapped(
  "symbol type",
  UINT,
  (word) => {
    const structured = (word & 0x8000) !== 0;
    return {
      structured,
      dimensions: (word >> 13) & 3,
      system: (word & 0x1000) !== 0,
      code: structured ? word & 0x0fff : word & 0xff,
      bit: structured ? 0 : (word >> 8) & 0x0f,
    };
  },
  ({ structured, dimensions, system, code, bit }) => {
    const fits = structured ? code <= 0x0fff && bit === 0 : code <= 0xff && bit <= 0x0f;
    if (!fits || dimensions > 3)
      throw new WireError("wire/value", `symbol type: code ${code}, bit ${bit}, ${dimensions} dimensions cannot be`, {
        facts: { code, bit, dimensions },
      });
    return (structured ? 0x8000 : 0) | (dimensions << 13) | (system ? 0x1000 : 0) | (bit << 8) | code;
  },
);

function maskSize(size: number): number {
  if (!maskSizes.includes(size))
    throw new WireError("wire/value", `masks of ${size} octets: 1, 2, 4, 8 or 12 are allowed`, { facts: { size } });
  return size;
}

/** Attributes that one Get_Instance_Attribute_List may ask for. */
const maxListAttributes = 16;

/** Request data of Get_Instance_Attribute_List (0x55): which attributes; the path says from which instance on. */
export const SymbolListRequest = list(UINT, UINT, maxListAttributes);
