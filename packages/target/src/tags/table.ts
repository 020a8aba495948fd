import { UsageError } from "@cipsec/wire";
import type { TagAccess, TagDescription, TagsDescription } from "./description.ts";
import { pathOf } from "./name.ts";
import { locate, type Place } from "./locate.ts";
import type { Shape, StructType } from "./types.ts";
import { asBoolean, readBit, readValue, writeBit, writeValue, type TagValue } from "./values.ts";

/** One tag with its octets, which are the value. */
export interface Tag {
  /** Number in its scope, from 1: the instance of class 0x6B. */
  readonly instance: number;
  readonly name: string;
  readonly program?: string;
  readonly shape: Shape;
  readonly access: TagAccess;
  readonly bytes: Uint8Array;
}

/** Tags of the controller itself or of one program, in the order of their numbers. */
export interface Scope {
  readonly tags: readonly Tag[];
  /** @param name In lower case. */
  find(name: string): Tag | undefined;
}

/** The network changed a tag. */
export interface TagWrite {
  /** Full name of the tag, `Program:NAME.` in front where it belongs to one; whichever part of it was written. */
  readonly name: string;
  /** False while more fragments of the same write are still to come. */
  readonly isComplete: boolean;
}

/**
 * The tags of a device, for its application. Names are as clients write them, without regard to case: `Speed`, `Motors[2].Torque`,
 * `Program:Main.Count`, `Flags.3` for a bit of an integer.
 */
export interface Tags {
  /** Full names of all tags, those of programs behind the controller's own. */
  readonly names: readonly string[];
  /** @throws {UsageError} `usage/argument` for a name that leads to no value. */
  get(name: string): TagValue;
  /** Sets a value, whatever access the network has. @throws {UsageError} `usage/argument` for a name or value that does not fit; nothing is changed then. */
  set(name: string, value: TagValue): void;
  /** Calls `listener` after each write from the network, before the reply is sent. It must not throw. @returns ends that. */
  onWrite(listener: (write: TagWrite) => void): () => void;
}

/** The tags of a device, as the application and the network's services share them. */
export class TagTable implements Tags {
  readonly structs: readonly StructType[];
  readonly controller: Scope;
  /** By name in lower case; the value keeps the name as it is written. */
  readonly programs: ReadonlyMap<string, Scope & { readonly name: string }>;
  readonly #listeners = new Set<(write: TagWrite) => void>();

  constructor({ structs, tags }: TagsDescription) {
    this.structs = structs;
    this.controller = scope(tags.filter((tag) => tag.program === undefined));
    const programs = new Map<string, Scope & { readonly name: string }>();
    for (const { program } of tags) {
      const key = program?.toLowerCase();
      if (program === undefined || key === undefined || programs.has(key)) continue;
      programs.set(key, { name: program, ...scope(tags.filter((tag) => tag.program?.toLowerCase() === key)) });
    }
    this.programs = programs;
  }

  get names(): readonly string[] {
    const scopes = [this.controller, ...this.programs.values()];
    return scopes.flatMap(({ tags }) => tags.map(fullName));
  }

  get(name: string): TagValue {
    const { tag, shape, offset, bit, octets } = this.#place(name);
    const bytes = tag.bytes.subarray(offset, offset + octets);
    return bit === undefined ? readValue(shape, bytes) : readBit(bytes, bit);
  }

  set(name: string, value: TagValue): void {
    const { tag, shape, offset, bit, octets } = this.#place(name);
    const next = tag.bytes.slice(offset, offset + octets);
    if (bit === undefined) writeValue(shape, value, next, name);
    else writeBit(next, bit, asBoolean(value, name));
    tag.bytes.set(next, offset);
  }

  onWrite(listener: (write: TagWrite) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Tells the application that the network has written. */
  written(tag: Tag, isComplete: boolean): void {
    for (const listener of this.#listeners) listener({ name: fullName(tag), isComplete });
  }

  #place(name: string): Place {
    const path = pathOf(name);
    const place = path === undefined ? "syntax" : locate(this, path);
    if (typeof place === "string")
      throw new UsageError("usage/argument", `tag '${name}': ${reasons[place]}`, { facts: { tag: name } });
    return place;
  }
}

const missing = "there is no such tag, member or element";

const reasons = {
  syntax: "the name is not written as Name, Name.Member, Name[1,2] or Program:NAME.Name",
  "unknown-name": missing,
  "unknown-number": missing,
  beyond: "the index is beyond the end of the array",
} as const;

/** Name with the program in front, as clients write it. */
export function fullName({ program, name }: { readonly program?: string; readonly name: string }): string {
  return program === undefined ? name : `Program:${program}.${name}`;
}

function scope(described: readonly TagDescription[]): Scope {
  const tags = described.map((tag, i): Tag => {
    const { initial, ...rest } = tag;
    return { ...rest, instance: i + 1, bytes: initial.slice() };
  });
  const byName = new Map(tags.map((tag) => [tag.name.toLowerCase(), tag]));
  return { tags, find: (name) => byName.get(name) };
}
