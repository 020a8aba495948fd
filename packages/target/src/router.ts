import type { ObjectClass } from "@cipsec/objects";
import {
  BugError,
  EmbeddedMessages,
  MessageRouterRequest,
  MultipleServiceReply,
  Service,
  Status,
  decode,
  encode,
  noOctets,
  type Key,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import type { AccessDecision } from "./access.ts";
import { inTurn, proceed, type Awaitable } from "./awaitable.ts";
import { callClass, callInstance, type CallResult } from "./call.ts";
import type { RequestContext } from "./context.ts";
import type { ClassHandlers, Hosted, InstanceHandlers, Instances, UntypedHandlers } from "./hosting.ts";
import { Refusal, refuse } from "./refusal.ts";
import { toPeer, type Where } from "./to-peer.ts";

/** Where a request goes once its path is understood. */
export interface Destination {
  readonly classId: number;
  readonly instance: number;
  readonly attribute?: number | undefined;
  /** Electronic key in front of the path. */
  readonly key?: Key | undefined;
  /** Full name of the tag that the path leads to. */
  readonly symbol?: string | undefined;
}

/** Where a path of symbols leads, and the answer from there. */
export interface Symbolic {
  /** Whom the access decision is about, with the symbol's name. */
  readonly destination: Destination;
  /** Answers a request that is allowed, or leaves it (`undefined`) to the object of class and instance. */
  answer(context: RequestContext): Reply | undefined;
}

/** Follows paths that go by symbols, and those to the classes behind them; `undefined` for paths that go by other numbers. */
export type SymbolResolver = (request: Request) => Symbolic | undefined;

/** A class whose requests do not follow the usual pattern handles them itself: the Connection Manager's connection services. */
export type SpecialService = (request: Request, context: RequestContext) => Awaitable<Reply>;

/** Tells what the router did, for counters and events. */
export type RouterObserver = (event: {
  readonly destination?: Destination | undefined;
  readonly service: number;
  readonly reply: Reply;
  readonly error?: unknown;
  readonly context: RequestContext;
}) => void;

const messageRouterClass = 0x02;

/** Octets of a Message Router reply in front of extended status and data. */
const replyHeader = 4;

/**
 * The Message Router: finds the object a request is for, asks once whether it is allowed, and calls its handler.
 *
 * Errors are told in the order that conformance tests probe: path, access, class and instance (0x05), service (0x08), attribute (0x14),
 * settable (0x0E), data length (0x13, 0x15), value (0x09), state (0x0C).
 *
 * @see CIP Vol 1, chapter 5; reference ethernet-ip.md 3.2
 */
export class Router {
  readonly #classes = new Map<number, Hosted>();
  readonly #fixed = new Map<number, Map<number, UntypedHandlers>>();
  readonly #special = new Map<number, SpecialService>();
  readonly #access: AccessDecision;
  readonly #observe: RouterObserver;
  #keyFits: (key: Key) => boolean = () => true;
  #resolve: SymbolResolver = () => undefined;

  constructor(access: AccessDecision, observe: RouterObserver = () => undefined) {
    this.#access = access;
    this.#observe = observe;
  }

  /** Hosts one instance that is always there. */
  host<C extends ObjectClass>(declaration: C, instance: number, handlers: InstanceHandlers<C>): void {
    const instances = this.#fixed.get(declaration.classId) ?? new Map<number, UntypedHandlers>();
    this.#fixed.set(declaration.classId, instances);
    instances.set(instance, handlers);
    const known = this.#classes.get(declaration.classId);
    this.#classes.set(declaration.classId, {
      declaration,
      classHandlers: known?.classHandlers ?? {},
      ids: () => [...instances.keys()].sort((a, b) => a - b),
      instance: (id) => instances.get(id),
    });
  }

  /** Hosts a class whose instances come and go, with the class's own attributes and services. */
  hostMany<C extends ObjectClass>(declaration: C, classHandlers: ClassHandlers<C>, instances: Instances<C>): void {
    this.#classes.set(declaration.classId, {
      declaration,
      classHandlers,
      ids: () => instances.ids(),
      instance: (id) => instances.get(id),
    });
  }

  /** Adds behaviour of the class itself to a class hosted with {@link host}. */
  hostClass<C extends ObjectClass>(declaration: C, classHandlers: ClassHandlers<C>): void {
    const known = this.#classes.get(declaration.classId);
    if (known === undefined)
      throw new BugError("bug/unreachable", `${declaration.name}: host an instance before the class`);
    this.#classes.set(declaration.classId, { ...known, classHandlers });
  }

  /** Hands one service of one class, on instance 1, to `handler` with its data undecoded. */
  hostSpecial(classId: number, service: number, handler: SpecialService): void {
    this.#special.set(key(classId, service), handler);
  }

  /** Takes paths of symbols, which are refused (0x04) on a device without. */
  hostSymbols(resolve: SymbolResolver): void {
    this.#resolve = resolve;
  }

  /** Says whether an electronic key in front of a path fits the device; a request whose key does not is refused with 0x25. */
  checkKeys(fits: (key: Key) => boolean): void {
    this.#keyFits = fits;
  }

  /** Class codes hosted, ascending: the Message Router's object list. */
  classIds(): readonly number[] {
    return [...this.#classes.keys()].sort((a, b) => a - b);
  }

  /** Answers the octets of a request. Never throws and never rejects: every error becomes a status. */
  handleOctets(bytes: Uint8Array, context: RequestContext): Awaitable<Reply> {
    let request: Request;
    try {
      request = decode(MessageRouterRequest, bytes);
    } catch (error) {
      const reply: Reply = { service: (bytes[0] ?? 0) & 0x7f, ...toPeer(error, "message") };
      this.#observe({ service: reply.service, reply, error, context });
      return reply;
    }
    return this.handle(request, context);
  }

  /**
   * Answers a request, at once where the object does. Never throws and never rejects: every error becomes a status.
   */
  handle(request: Request, context: RequestContext): Awaitable<Reply> {
    let destination: Destination | undefined;
    let where: Where = "message";
    const answered = (reply: Reply): Reply => {
      if (sizeOf(reply) > context.maxReply) throw refuse(Status.replyDataTooLarge);
      this.#observe({ destination, service: request.service, reply, context });
      return reply;
    };
    const failed = (error: unknown): Reply => {
      const whole: Reply = { service: request.service, ...toPeer(error, where) };
      const reply = sizeOf(whole) > context.maxReply ? { ...whole, extended: [], data: noOctets } : whole;
      this.#observe({ destination, service: request.service, reply, error, context });
      return reply;
    };
    try {
      const symbolic = this.#resolve(request);
      destination = symbolic?.destination ?? destinationOf(request.path);
      if (destination.key !== undefined && !this.#keyFits(destination.key)) throw refuse(Status.keyFailureInPath);
      this.#refuseUnlessAllowed(request, destination, context);
      where = request.service === Service.setAttributeSingle ? "attribute" : "service";
      const bySymbol = symbolic?.answer(context);
      const reply = proceed(bySymbol ?? this.#dispatch(request, destination, context), answered);
      return reply instanceof Promise ? reply.catch(failed) : reply;
    } catch (error) {
      return failed(error);
    }
  }

  #refuseUnlessAllowed({ service }: Request, destination: Destination, { channel }: RequestContext): void {
    const { classId, instance, attribute, symbol } = destination;
    const status = this.#access({ channel, classId, instance, service, attribute, symbol });
    if (status !== undefined) throw new Refusal(status, { reason: "refused by the access policy" });
  }

  #dispatch(request: Request, destination: Destination, context: RequestContext): Awaitable<Reply> {
    const { classId, instance } = destination;
    if (classId === messageRouterClass && instance === 1 && request.service === Service.multipleServicePacket)
      return this.#multiple(request, context);
    const hosted = this.#classes.get(classId);
    if (hosted === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "no such class" });
    const special = this.#special.get(key(classId, request.service));
    if (special !== undefined && instance === 1) return special(request, context);
    const answered = (result: CallResult): Reply => answer(request, result);
    if (instance === 0) return proceed(callClass(hosted, request, destination, context), answered);
    const handlers = hosted.instance(instance);
    if (handlers === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "no such instance" });
    return proceed(callInstance(hosted.declaration, handlers, request, destination, context), answered);
  }

  /**
   * Multiple_Service_Packet: each embedded request is understood, decided and answered on its own. A packet whose replies could
   * not even carry their statuses is refused before anything is done.
   */
  #multiple(request: Request, context: RequestContext): Awaitable<Reply> {
    const inside = context.inside ?? [];
    if (inside.includes(request.service))
      throw refuse(Status.serviceNotSupported, { reason: "a Multiple_Service_Packet inside another" });
    const messages = decode(EmbeddedMessages, request.data);
    let room = context.maxReply - 2 - (2 + replyHeader) * messages.length;
    if (room < 0) throw refuse(Status.replyDataTooLarge);
    const replies: Reply[] = [];
    const add = (reply: Reply): void => {
      room -= sizeOf(reply);
      replies.push(reply);
    };
    const around = [...inside, request.service];
    const all = inTurn(messages, (message) =>
      proceed(this.handleOctets(message, { ...context, maxReply: room, inside: around }), add),
    );
    return proceed(all, () => ({
      service: request.service,
      status: replies.every(({ status }) => status === Status.success) ? Status.success : Status.embeddedServiceError,
      extended: [],
      data: encode(MultipleServiceReply, replies),
    }));
  }
}

/** Place of each kind of segment in a path to an object; each may be there once. */
const places: { readonly [K in Segment["kind"]]?: number } = {
  key: 0,
  class: 1,
  instance: 2,
  connectionPoint: 2,
  attribute: 3,
};

/**
 * The object a path names: key, class, instance or connection point, attribute, in this order.
 *
 * @throws {Refusal} 0x04 for segments that name no object or stand in the wrong place; 0x05 for a path without a class.
 */
export function destinationOf(path: readonly Segment[]): Destination {
  let next = 0;
  let key: Key | undefined;
  let classId: number | undefined;
  let instance = 0;
  let attribute: number | undefined;
  for (const segment of path) {
    const place = places[segment.kind];
    if (place === undefined || place < next)
      throw refuse(Status.pathSegmentError, { reason: `a ${segment.kind} segment has no place in this path` });
    next = place + 1;
    if (segment.kind === "key") key = segment.key;
    else if (segment.kind === "class") classId = segment.value;
    else if (segment.kind === "instance" || segment.kind === "connectionPoint") instance = segment.value;
    else if (segment.kind === "attribute") attribute = segment.value;
  }
  if (classId === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "the path names no class" });
  return { classId, instance, attribute, key };
}

/** Octets of a reply that its maximum counts: extended status and data. */
function sizeOf({ extended, data }: Reply): number {
  return 2 * extended.length + data.length;
}

function answer(request: Request, { status, data }: CallResult): Reply {
  return { service: request.service, status, extended: [], data };
}

function key(classId: number, service: number): number {
  return classId * 0x100 + service;
}
