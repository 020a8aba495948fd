import {
  AttributeIds,
  EmbeddedMessages,
  MessageRouterReply,
  MessageRouterRequest,
  ReadModifyWriteRequest,
  ReadTagFragmentedRequest,
  ReadTagReply,
  ReadTagRequest,
  ReadTemplateRequest,
  Service,
  SymbolListRequest,
  TagService,
  UINT,
  UDINT,
  WriteTagFragmentedRequest,
  WriteTagRequest,
  decode,
  encode,
  encodeAttributeResults,
  structureTypeCode,
  symbolList,
  template,
  type Reply,
  type Request,
  type SymbolEntry,
  type Template,
} from "@cipsec/wire";
import type { Requester } from "../../src/index.ts";

/** A structure that the controller defines. */
export interface FakeTemplate {
  readonly instance: number;
  readonly handle: number;
  readonly size: number;
  readonly definition: Template;
}

/** A tag; `code` is an elementary type, or `template` an instance. */
export interface FakeTag {
  readonly name: string;
  readonly program?: string;
  readonly code?: number;
  readonly template?: number;
  /** Octets of one element. */
  readonly unit: number;
  readonly octets: Uint8Array;
}

/** Just enough of a controller to answer tag services out of octets; replies never exceed `room`. Not a target. */
export class FakeController implements Requester {
  readonly requests: Request[] = [];
  readonly tags: readonly FakeTag[];
  readonly templates: readonly FakeTemplate[];
  readonly room: number;
  /** Attributes of a symbol that an old controller refuses. */
  refusesAccess = false;
  hasPackets = true;

  constructor(tags: readonly FakeTag[], templates: readonly FakeTemplate[] = [], room = 500) {
    this.tags = tags;
    this.templates = templates;
    this.room = room;
  }

  request(request: Request): Promise<Reply> {
    this.requests.push(request);
    // Through octets, as the network would.
    const read = decode(MessageRouterRequest, encode(MessageRouterRequest, request));
    return Promise.resolve(decode(MessageRouterReply, encode(MessageRouterReply, this.#answer(read, this.room))));
  }

  #answer(request: Request, room: number): Reply {
    const { service, path } = request;
    const [first] = path;
    if (service === Service.multipleServicePacket) return this.#packet(request);
    const classId = logical(path, "class");
    if (classId === 0x6b && service === TagService.getInstanceAttributeList) return this.#list(request);
    if (classId === 0x6c) return this.#template(request);
    if (first?.kind !== "symbol") return failed(service, 0x05);
    return this.#tag(request, room);
  }

  #packet({ service, data }: Request): Reply {
    if (!this.hasPackets) return failed(service, 0x08);
    const replies: Reply[] = [];
    let left = this.room - 8;
    for (const octets of decode(EmbeddedMessages, data)) {
      const reply = this.#answer(decode(MessageRouterRequest, octets), left - 8);
      replies.push(reply);
      left -= 8 + reply.data.length;
    }
    const inner = replies.map((reply) => encode(MessageRouterReply, reply));
    const isGood = replies.every(({ status }) => status === 0);
    return { service, status: isGood ? 0 : 0x1e, extended: [], data: encode(EmbeddedMessages, inner) };
  }

  #tag({ service, path, data }: Request, room: number): Reply {
    const [scope, next] = path;
    if (scope?.kind !== "symbol") return failed(service, 0x05);
    const program = scope.name.startsWith("Program:") ? scope.name : undefined;
    const symbol = program === undefined ? scope : next;
    const wanted = symbol?.kind === "symbol" ? symbol.name.toLowerCase() : "";
    const tag = this.tags.find((one) => one.name.toLowerCase() === wanted && one.program === program);
    if (tag === undefined) return failed(service, 0x05, [0]);
    const index = logical(path, "member") ?? 0;
    const octets = tag.octets.subarray(index * tag.unit);
    const structure = this.templates.find(({ instance }) => instance === tag.template);
    const type =
      structure === undefined ? { code: tag.code ?? 0 } : { code: structureTypeCode, handle: structure.handle };
    const sent = (elements: number, offset: number): Reply => {
      if (elements * tag.unit > octets.length) return failed(service, 0xff, [0x2105]);
      const all = octets.subarray(offset, elements * tag.unit);
      const part = all.subarray(0, Math.max(0, room - 8));
      const reply = encode(ReadTagReply, { type, data: part });
      return { service, status: part.length < all.length ? 0x06 : 0, extended: [], data: reply };
    };
    if (service === TagService.readTag) return sent(decode(ReadTagRequest, data).elements, 0);
    if (service === TagService.readTagFragmented) {
      const { elements, offset } = decode(ReadTagFragmentedRequest, data);
      return sent(elements, offset);
    }
    if (service === TagService.readModifyWriteTag) {
      const { or, and } = decode(ReadModifyWriteRequest, data);
      for (const [i, mask] of or.entries()) octets[i] = ((octets[i] ?? 0) | mask) & (and[i] ?? 0);
      return { service, status: 0, extended: [], data: new Uint8Array(0) };
    }
    const isWhole = service === TagService.writeTag;
    const write = isWhole ? { ...decode(WriteTagRequest, data), offset: 0 } : decode(WriteTagFragmentedRequest, data);
    if (write.type.code !== type.code) return failed(service, 0xff, [0x2107]);
    octets.set(write.data, write.offset);
    return { service, status: 0, extended: [], data: new Uint8Array(0) };
  }

  #list({ service, path, data }: Request): Reply {
    const [scope] = path;
    const program = scope?.kind === "symbol" ? scope.name : undefined;
    const start = logical(path, "instance") ?? 0;
    const attributes = decode(SymbolListRequest, data);
    if (this.refusesAccess && attributes.includes(10)) return failed(service, 0x09);
    const programs = new Set(this.tags.flatMap((tag) => (tag.program === undefined ? [] : [tag.program])));
    const entries: SymbolEntry[] = this.tags
      .map((tag, i) => ({ tag, instance: 10 * (i + 1) }))
      .filter(({ tag }) => tag.program === program)
      .map(({ tag, instance }) => entry(tag, instance));
    if (program === undefined)
      for (const [i, name] of [...programs].entries())
        entries.push(entry({ name, code: 0x68, unit: 1, octets: one }, 900 + i));
    const left = entries.filter(({ instance }) => instance >= start);
    // Two at a time, so that the list takes several turns.
    const part = left.slice(0, 2);
    const status = part.length < left.length ? 0x06 : 0;
    return { service, status, extended: [], data: encode(symbolList(attributes), part) };
  }

  #template({ service, path, data }: Request): Reply {
    const instance = logical(path, "instance");
    const found = this.templates.find((one) => one.instance === instance);
    if (found === undefined) return failed(service, 0x05);
    const { definition, handle, size } = found;
    const octets = encode(template(definition.members.length), definition);
    if (service === Service.getAttributeList) {
      const values: Readonly<Record<number, Uint8Array>> = {
        1: encode(UINT, handle),
        2: encode(UINT, definition.members.length),
        4: encode(UDINT, Math.ceil((octets.length + 20) / 4)),
        5: encode(UDINT, size),
      };
      const results = decode(AttributeIds, data).map((id) => ({ id, status: 0, data: values[id] ?? one }));
      return { service, status: 0, extended: [], data: encodeAttributeResults(results) };
    }
    const { offset, length } = decode(ReadTemplateRequest, data);
    const part = octets.subarray(offset, offset + Math.min(length, 40));
    return { service, status: part.length < length ? 0x06 : 0, extended: [], data: part };
  }
}

const one = new Uint8Array(1);

function entry(tag: FakeTag, instance: number): SymbolEntry {
  const count = tag.octets.length / tag.unit;
  return {
    instance,
    name: tag.name,
    symbolType: {
      structured: tag.template !== undefined,
      dimensions: count > 1 ? 1 : 0,
      system: false,
      code: tag.template ?? tag.code ?? 0,
      bit: 0,
    },
    dimensions: [count > 1 ? count : 0, 0, 0],
    externalAccess: 0,
  };
}

function logical(path: Request["path"], kind: "class" | "instance" | "member"): number | undefined {
  for (const segment of path) if (segment.kind === kind) return segment.value;
  return undefined;
}

function failed(service: number, status: number, extended: readonly number[] = []): Reply {
  return { service, status, extended, data: new Uint8Array(0) };
}
