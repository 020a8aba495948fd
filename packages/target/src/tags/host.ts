import { SymbolObject, TemplateObject } from "@cipsec/objects";
import {
  LogixClass,
  ReadTemplateRequest,
  Status,
  TagService,
  decode,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import { refuse } from "../refusal.ts";
import { destinationOf, type Router, type Symbolic } from "../router.ts";
import { hostControllerName } from "./controller-name.ts";
import { locate, type Astray, type Place } from "./locate.ts";
import { programPrefix } from "./name.ts";
import { beyondEnd, serveTag } from "./services.ts";
import { listSymbols, symbolEntry, symbolsOf } from "./symbols.ts";
import { fullName, type TagTable } from "./table.ts";
import type { StructType } from "./types.ts";

const tagServices = new Set<number>(Object.values(TagService));

/** Octets of the controller's own that a definition's size counts besides the definition. */
const definitionOverhead = 23;

/**
 * Hosts tags: services on paths of symbols and on instances of class 0x6B, the list of symbols, and the templates of structures
 * in class 0x6C.
 *
 * @param name Name of the controller for tag clients; ISO 8859-1.
 * @see reference ethernet-ip.md 8
 */
export function hostTags(router: Router, table: TagTable, name: string): void {
  hostControllerName(router, name);
  router.hostSymbols((request) => resolve(table, request));
  const { tags } = table.controller;
  router.hostMany(
    SymbolObject,
    {},
    {
      ids: () => tags.map(({ instance }) => instance),
      get(instance) {
        const tag = tags[instance - 1];
        if (tag === undefined) return undefined;
        const entry = symbolEntry(tag);
        const [first, second, third] = entry.dimensions;
        return {
          name: { get: () => entry.name },
          symbolType: { get: () => entry.symbolType },
          byteCount: { get: () => entry.byteCount },
          dimensions: { get: () => ({ first, second, third }) },
          externalAccess: { get: () => entry.externalAccess ?? 0 },
        };
      },
    },
  );
  const structs = table.structs.toSorted((a, b) => a.template - b.template);
  router.hostMany(
    TemplateObject,
    {},
    {
      ids: () => structs.map(({ template }) => template),
      get(instance) {
        const struct = structs.find(({ template }) => template === instance);
        if (struct === undefined) return undefined;
        return {
          handle: { get: () => struct.handle },
          memberCount: { get: () => struct.memberCount },
          unpublished: { get: () => 0 },
          definitionWords: { get: () => definitionWords(struct) },
          structureSize: { get: () => struct.size },
        };
      },
    },
  );
}

/**
 * Where a path of symbols, or one to the classes behind them, leads, and the answer from there. The symbol is told to the access
 * decision also where the path goes by instance of class 0x6B, or a rule on names could be passed by.
 */
function resolve(table: TagTable, request: Request): Symbolic | undefined {
  const [head] = request.path;
  const key = head?.kind === "key" ? head.key : undefined;
  const path = key === undefined ? request.path : request.path.slice(1);
  const [first, second] = path;
  if (first?.kind === "symbol") {
    const place = locate(table, path);
    return {
      destination: { classId: LogixClass.symbol, instance: 0, key, symbol: symbolName(place, path) },
      answer: (context) => answer(table, request, path, place, context),
    };
  }
  if (first?.kind !== "class") return undefined;
  if (first.value === LogixClass.template)
    return {
      destination: destinationOf(request.path),
      answer: (context) => readTemplate(table, request, path, context),
    };
  if (first.value !== LogixClass.symbol) return undefined;
  const instance = second?.kind === "instance" ? second.value : 0;
  const tag = table.controller.tags[instance - 1];
  const symbol = tag === undefined ? undefined : fullName(tag);
  if (!tagServices.has(request.service))
    return { destination: { ...destinationOf(request.path), symbol }, answer: () => undefined };
  return {
    destination: { classId: LogixClass.symbol, instance, key, symbol },
    answer: (context) => answer(table, request, path, locate(table, path), context),
  };
}

/** Full name of the tag that a path of symbols leads to, spelt as it is declared; as the path has it where there is none. */
function symbolName(place: Place | Astray, path: readonly Segment[]): string {
  if (typeof place !== "string") return fullName(place.tag);
  const [first, second] = path;
  const names = [first, second].flatMap((segment) => (segment?.kind === "symbol" ? [segment.name] : []));
  const [program = "", tag] = names;
  return program.toLowerCase().startsWith(programPrefix) && tag !== undefined ? `${program}.${tag}` : program;
}

/** Answers a request to a tag. What a wrong name and a wrong number are told as: docs/decisions/008-tag-status.md. */
function answer(
  table: TagTable,
  request: Request,
  path: readonly Segment[],
  place: Place | Astray,
  context: RequestContext,
): Reply {
  if (!tagServices.has(request.service)) throw refuse(Status.serviceNotSupported);
  if (request.service === TagService.getInstanceAttributeList) return list(table, request, path, context);
  if (place === "syntax" || place === "unknown-name") throw refuse(Status.pathSegmentError, { extended: [0] });
  if (place === "unknown-number") throw refuse(Status.pathDestinationUnknown, { extended: [0] });
  if (place === "beyond") throw beyondEnd();
  const { status, data, wrote } = serveTag(request.service, place, request.data, context.maxReply);
  if (wrote !== undefined) table.written(place.tag, wrote === "wholly");
  return { service: request.service, status, extended: [], data };
}

/** The list of a scope's symbols; the path is class 0x6B with the instance to start from, behind a program's name or not. */
function list(table: TagTable, request: Request, path: readonly Segment[], { maxReply }: RequestContext): Reply {
  const symbols = symbolsOf(table, path);
  if (symbols === undefined) throw refuse(Status.pathSegmentError, { extended: [0] });
  const [first, second, ...more] = path[0]?.kind === "symbol" ? path.slice(1) : path;
  const isList = first?.kind === "class" && first.value === LogixClass.symbol && more.length === 0;
  if (!isList || (second !== undefined && second.kind !== "instance")) throw refuse(Status.pathSegmentError);
  const answer = listSymbols(symbols, second?.value ?? 0, request.data, maxReply);
  return { service: request.service, extended: [], ...answer };
}

/**
 * Read of class 0x6C: a window on the definition. Clients work out its length from attribute 4, some a few octets too long: what
 * attribute 4 counts reads as zeros.
 */
function readTemplate(
  table: TagTable,
  request: Request,
  [, second, ...more]: readonly Segment[],
  { maxReply }: RequestContext,
): Reply | undefined {
  if (request.service !== TagService.readTag || second?.kind !== "instance") return undefined;
  const struct = table.structs.find(({ template }) => template === second.value);
  if (struct === undefined || more.length > 0) return undefined;
  const { offset, length } = decode(ReadTemplateRequest, request.data);
  const total = definitionWords(struct) * 4;
  if (offset >= total) throw refuse(0xff, { extended: [0x2104] });
  const window = new Uint8Array(Math.min(length, total - offset, maxReply));
  window.set(struct.definition.subarray(offset, offset + window.length));
  const isWhole = window.length === Math.min(length, total - offset);
  return {
    service: request.service,
    status: isWhole ? Status.success : Status.partialTransfer,
    extended: [],
    data: window,
  };
}

function definitionWords({ definition }: StructType): number {
  return Math.ceil((definition.length + definitionOverhead) / 4);
}
