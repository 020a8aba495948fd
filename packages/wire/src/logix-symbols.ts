import { struct, type Codec } from "./codec.ts";
import type { Reader, Writer } from "./cursor.ts";
import { WireError } from "./errors.ts";
import { SymbolType } from "./logix.ts";
import { STRING, UDINT, UINT, fromLatin1, latin1 } from "./types.ts";

/** Class ids of what a Logix controller says about its tags. */
export const LogixClass = { symbol: 0x6b, template: 0x6c } as const;

/** Attributes of the Symbol Object that Get_Instance_Attribute_List can ask for. @see reference ethernet-ip.md 8.3 */
export const SymbolAttribute = {
  name: 1,
  symbolType: 2,
  address: 3,
  objectAddress: 5,
  softwareControl: 6,
  byteCount: 7,
  dimensions: 8,
  externalAccess: 10,
} as const;

/** One symbol of a controller or program; what was not asked for is missing. */
export interface SymbolEntry {
  readonly instance: number;
  readonly name?: string;
  readonly symbolType?: SymbolType;
  readonly address?: number;
  readonly objectAddress?: number;
  readonly softwareControl?: number;
  /** Octets of one element. */
  readonly byteCount?: number;
  /** Elements in each dimension; 0 where there is none. */
  readonly dimensions?: readonly [number, number, number];
  /** 0 read and write, 2 read only, 3 none. */
  readonly externalAccess?: number;
}

/** A reply holds at most some 65,000 octets; the shortest entry takes four. */
const maxEntries = 16_384;

/**
 * Reply data of Get_Instance_Attribute_List for these attributes, in the order of the request. With status 0x06 the list goes
 * on behind the last instance.
 *
 * @throws {WireError} `wire/value` for an attribute whose type is not known.
 */
export function symbolList(attributes: readonly number[]): Codec<readonly SymbolEntry[]> {
  return {
    type: "symbol list",
    read(r) {
      const entries: SymbolEntry[] = [];
      while (r.remaining > 0) {
        if (entries.length === maxEntries)
          throw new WireError("wire/length", `symbol list: more than ${maxEntries} entries`, {
            facts: { max: maxEntries },
          });
        let entry: SymbolEntry = { instance: r.u32("symbol instance") };
        for (const id of attributes) entry = { ...entry, ...readAttribute(r, id) };
        entries.push(entry);
      }
      return entries;
    },
    write(w, entries) {
      for (const entry of entries) {
        w.u32(entry.instance);
        for (const id of attributes) writeAttribute(w, id, entry);
      }
    },
  };
}

function readAttribute(r: Reader, id: number): Partial<SymbolEntry> {
  switch (id) {
    case SymbolAttribute.name:
      return { name: STRING.read(r) };
    case SymbolAttribute.symbolType:
      return { symbolType: SymbolType.read(r) };
    case SymbolAttribute.address:
      return { address: r.u32("symbol address") };
    case SymbolAttribute.objectAddress:
      return { objectAddress: r.u32("symbol object address") };
    case SymbolAttribute.softwareControl:
      return { softwareControl: r.u32("software control") };
    case SymbolAttribute.byteCount:
      return { byteCount: r.u16("byte count") };
    case SymbolAttribute.dimensions:
      return { dimensions: [r.u32("dimension"), r.u32("dimension"), r.u32("dimension")] };
    case SymbolAttribute.externalAccess:
      return { externalAccess: r.u8("external access") };
    default:
      throw unknown(id);
  }
}

function writeAttribute(w: Writer, id: number, entry: SymbolEntry): void {
  switch (id) {
    case SymbolAttribute.name:
      return STRING.write(w, entry.name ?? "");
    case SymbolAttribute.symbolType:
      return SymbolType.write(w, entry.symbolType ?? noType);
    case SymbolAttribute.address:
      return w.u32(entry.address ?? 0);
    case SymbolAttribute.objectAddress:
      return w.u32(entry.objectAddress ?? 0);
    case SymbolAttribute.softwareControl:
      return w.u32(entry.softwareControl ?? 0);
    case SymbolAttribute.byteCount:
      return w.u16(entry.byteCount ?? 0);
    case SymbolAttribute.dimensions:
      for (const count of entry.dimensions ?? [0, 0, 0]) w.u32(count);
      return undefined;
    case SymbolAttribute.externalAccess:
      return w.u8(entry.externalAccess ?? 0);
    default:
      throw unknown(id);
  }
}

const noType: SymbolType = { structured: false, dimensions: 0, system: false, code: 0, bit: 0 };

function unknown(id: number): WireError {
  return new WireError("wire/value", `symbol list: the type of attribute ${id} is not known`, { facts: { id } });
}

/** Attributes 1, 2, 4 and 5 of a template, each with its type, as Get_Attribute_List reads them. */
export const templateAttributes: ReadonlyMap<number, Codec<number>> = new Map([
  [1, UINT],
  [2, UINT],
  [4, UDINT],
  [5, UDINT],
]);

/** Attribute ids of a template. */
export const TemplateAttribute = { handle: 1, memberCount: 2, definitionWords: 4, structureSize: 5 } as const;

/** Request data of Read (0x4C) of class 0x6C: a window on the template's definition, octets. */
export const ReadTemplateRequest = struct("Read template request", { offset: UDINT, length: UINT });

/** Octets to read of a definition: 23 less than its words hold are the controller's own, rounded up to a word. */
export function templateOctets(definitionWords: number): number {
  return Math.max(0, definitionWords * 4 - 20);
}

/** A member of a structure. Names that begin with `ZZZZ` or `__` are hidden: they host BOOLs. */
export interface TemplateMember {
  readonly name: string;
  /** Elements of an array, or the bit number of a BOOL. */
  readonly info: number;
  readonly type: SymbolType;
  /** Octets from the start of the structure. */
  readonly offset: number;
}

/** A structure's definition. */
export interface Template {
  readonly name: string;
  /** What stands behind the `;` of the name; the controller's own. */
  readonly tail?: string;
  readonly members: readonly TemplateMember[];
}

const MemberRecord = struct("template member", { info: UINT, type: SymbolType, offset: UDINT });

/**
 * Definition of a structure of so many members: their records, then the name of the structure and of each member, each ended by
 * a zero. Names may be missing at the end, as some predefined structures leave them out; pad octets may follow.
 *
 * @see reference ethernet-ip.md 8.4
 */
export function template(memberCount: number): Codec<Template> {
  return {
    type: "template",
    read(r) {
      const room = r.sub(8 * memberCount, "template members");
      const records = Array.from({ length: memberCount }, () => MemberRecord.read(room));
      const text = `${latin1(r.rest())}\0`;
      const title = text.slice(0, text.indexOf("\0"));
      const names = text.slice(title.length + 1).split("\0");
      const end = title.indexOf(";");
      return {
        name: end < 0 ? title : title.slice(0, end),
        ...(end < 0 ? {} : { tail: title.slice(end + 1) }),
        members: records.map((record, i) => ({ name: names[i] ?? "", ...record })),
      };
    },
    write(w, { name, tail, members }) {
      if (members.length !== memberCount)
        throw new WireError("wire/value", `template: ${members.length} members given, ${memberCount} announced`, {
          facts: { given: members.length, announced: memberCount },
        });
      for (const member of members) MemberRecord.write(w, member);
      for (const text of [tail === undefined ? name : `${name};${tail}`, ...members.map((member) => member.name)]) {
        w.octets(fromLatin1(text, maxName, "name of a template"));
        w.u8(0);
      }
    },
  };
}

/** Names have up to 40 characters; what stands behind the `;` is longer. */
const maxName = 4096;
