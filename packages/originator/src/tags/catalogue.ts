import {
  LogixClass,
  PeerError,
  Status,
  SymbolAttribute,
  SymbolListRequest,
  TagService,
  decode,
  encode,
  objectPath,
  symbolList,
  type Segment,
  type SymbolEntry,
} from "@cipsec/wire";
import { statusError, type Requester } from "../replies.ts";
import type { Templates } from "./template.ts";
import type { ElementType } from "./values.ts";

/** One tag of a controller. */
export interface TagInfo {
  /** With its program in front: `Program:Main.Step`. */
  readonly name: string;
  readonly instance: number;
  /** Elements in each dimension; empty for a tag that is no array. */
  readonly dimensions: readonly number[];
  /** `undefined` for a type that is not known here. */
  readonly type: ElementType | undefined;
  /** `DINT`, `STRING`, the structure's name, with dimensions: `DINT[10]`. */
  readonly typeName: string;
  readonly access: "read/write" | "read" | "none";
}

/** What to list. */
export interface ListOptions {
  /** Tags of programs too; default true. */
  readonly programs?: boolean;
  /** The controller's own symbols too; default false. */
  readonly system?: boolean;
}

/** Controllers have some ten thousand; more is a list without end. */
const maxSymbols = 200_000;

const listed = [
  SymbolAttribute.name,
  SymbolAttribute.symbolType,
  SymbolAttribute.dimensions,
  SymbolAttribute.externalAccess,
] as const;

/** Old controllers do not know the access of a tag. */
const listedByOld = [SymbolAttribute.name, SymbolAttribute.symbolType, SymbolAttribute.dimensions] as const;

/** Symbols that are no tags: parts of the program. */
const notTags = /^(?:routine|task|map|cxn|udi|__)/iu;

/**
 * Every tag of the controller, programs' tags behind their program.
 *
 * @throws {PeerError} `cip/status`; `cip/mismatch` for a list that does not end.
 * @see reference ethernet-ip.md 8.3
 */
export async function listTags(
  requester: Requester,
  structures: Templates,
  { programs = true, system = false }: ListOptions = {},
): Promise<readonly TagInfo[]> {
  const symbols = await readSymbols(requester, undefined);
  const tags = await describe(symbols, undefined, structures, system);
  if (!programs) return tags;
  const all = [...tags];
  let left = maxSymbols - symbols.length;
  for (const { name = "" } of symbols.filter((symbol) => isProgram(symbol))) {
    const own = await readSymbols(requester, name, left);
    left -= own.length;
    for (const tag of await describe(own, name, structures, system)) all.push(tag);
  }
  return all;
}

/** The symbol of this name in the controller or one of its programs; names are the same in any case. */
export async function findSymbol(
  requester: Requester,
  program: string | undefined,
  name: string,
): Promise<SymbolEntry | undefined> {
  const symbols = await readSymbols(requester, program);
  return symbols.find((symbol) => symbol.name?.toLowerCase() === name.toLowerCase());
}

async function readSymbols(
  requester: Requester,
  program: string | undefined,
  most = maxSymbols,
): Promise<readonly SymbolEntry[]> {
  const found: SymbolEntry[] = [];
  let attributes: readonly number[] = listed;
  let next = 0;
  for (;;) {
    const what = `list tags${program === undefined ? "" : ` of ${program}`} from instance ${next}`;
    const reply = await requester.request(
      {
        service: TagService.getInstanceAttributeList,
        path: scoped(program, next),
        data: encode(SymbolListRequest, attributes),
      },
      { idempotent: true },
    );
    const isDone = reply.status === Status.success;
    if (!isDone && reply.status !== Status.partialTransfer) {
      if (found.length > 0 || attributes === listedByOld) throw statusError(reply, what);
      attributes = listedByOld;
      continue;
    }
    const entries = decode(symbolList(attributes), reply.data);
    found.push(...entries);
    const isTooMuch = found.length > most;
    if (isDone && !isTooMuch) return found;
    const last = entries.at(-1)?.instance ?? -1;
    if (last < next || isTooMuch)
      throw new PeerError("cip/mismatch", `${what}: the list does not go on behind instance ${last}`, {
        facts: { next, last, symbols: found.length },
      });
    next = last + 1;
  }
}

function scoped(program: string | undefined, instance: number): readonly Segment[] {
  const path = objectPath(LogixClass.symbol, instance);
  return program === undefined ? path : [{ kind: "symbol", name: program, form: "ansi" }, ...path];
}

function isProgram({ name = "" }: SymbolEntry): boolean {
  return /^program:\w+$/iu.test(name);
}

async function describe(
  symbols: readonly SymbolEntry[],
  program: string | undefined,
  structures: Templates,
  system: boolean,
): Promise<readonly TagInfo[]> {
  const tags: TagInfo[] = [];
  for (const symbol of symbols) {
    const { instance, name = "", symbolType, dimensions = [0, 0, 0], externalAccess = 0 } = symbol;
    const isOwn = symbolType === undefined || symbolType.system || notTags.test(name);
    if (symbolType === undefined || isProgram(symbol) || (isOwn && !system)) continue;
    const sizes = dimensions.slice(0, symbolType.dimensions);
    const type = await structures.typeOf(symbolType);
    const base = type?.name ?? `0x${symbolType.code.toString(16)}`;
    tags.push({
      name: program === undefined ? name : `${program}.${name}`,
      instance,
      dimensions: sizes,
      type,
      typeName: sizes.length === 0 ? base : `${base}[${sizes.join(",")}]`,
      access: externalAccess === 3 ? "none" : externalAccess === 2 ? "read" : "read/write",
    });
  }
  return tags;
}
