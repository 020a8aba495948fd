import type { ObjectClass } from "@cipsec/objects";
import {
  BugError,
  MessageRouterRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  Service,
  Status,
  decode,
  encode,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import type { AccessDecision } from "./access.ts";
import { callClass, callInstance, type CallResult } from "./call.ts";
import type { RequestContext } from "./context.ts";
import type { ClassHandlers, Hosted, InstanceHandlers, Instances, UntypedHandlers } from "./hosting.ts";
import { Refusal, refuse } from "./refusal.ts";
import { toPeer, type Where } from "./to-peer.ts";

/** Where a request goes once its path is understood. */
export interface Destination {
  readonly classId: number;
  readonly instance: number;
  readonly attribute?: number;
}

/** A class whose requests do not follow the usual pattern handles them itself: the Connection Manager's connection services. */
export type SpecialService = (request: Request, context: RequestContext) => Promise<Reply> | Reply;

/** Tells what the router did, for counters and events. */
export type RouterObserver = (event: {
  readonly destination?: Destination;
  readonly service: number;
  readonly reply: Reply;
  readonly error?: unknown;
  readonly context: RequestContext;
}) => void;

const messageRouterClass = 0x02;

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

  constructor(access: AccessDecision, observe: RouterObserver = () => undefined) {
    this.#access = access;
    this.#observe = observe;
  }

  /** Hosts one instance that is always there. */
  host<C extends ObjectClass>(declaration: C, instance: number, handlers: InstanceHandlers<C>): void {
    const instances = this.#fixed.get(declaration.classId) ?? new Map<number, UntypedHandlers>();
    this.#fixed.set(declaration.classId, instances);
    instances.set(instance, handlers as UntypedHandlers);
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
      classHandlers: classHandlers as UntypedHandlers,
      ids: () => instances.ids(),
      instance: (id) => instances.get(id) as UntypedHandlers | undefined,
    });
  }

  /** Adds behaviour of the class itself to a class hosted with {@link host}. */
  hostClass<C extends ObjectClass>(declaration: C, classHandlers: ClassHandlers<C>): void {
    const known = this.#classes.get(declaration.classId);
    if (known === undefined)
      throw new BugError("bug/unreachable", `${declaration.name}: host an instance before the class`);
    this.#classes.set(declaration.classId, { ...known, classHandlers: classHandlers as UntypedHandlers });
  }

  /** Hands one service of one class, on instance 1, to `handler` with its data undecoded. */
  hostSpecial(classId: number, service: number, handler: SpecialService): void {
    this.#special.set(key(classId, service), handler);
  }

  /** Class codes hosted, ascending: the Message Router's object list. */
  classIds(): readonly number[] {
    return [...this.#classes.keys()].sort((a, b) => a - b);
  }

  /** Answers the octets of a request. Never throws and never rejects: every error becomes a status. */
  async handleOctets(bytes: Uint8Array, context: RequestContext): Promise<Reply> {
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

  /** Answers a request. Never throws and never rejects: every error becomes a status. */
  async handle(request: Request, context: RequestContext, depth = 0): Promise<Reply> {
    let destination: Destination | undefined;
    let where: Where = "message";
    try {
      destination = destinationOf(request.path);
      this.#refuseUnlessAllowed(request, destination, context);
      where = request.service === Service.setAttributeSingle ? "attribute" : "service";
      const reply = await this.#dispatch(request, destination, context, depth);
      if (reply.data.length > context.maxReply) throw refuse(Status.replyDataTooLarge);
      this.#observe({ destination, service: request.service, reply, context });
      return reply;
    } catch (error) {
      const reply: Reply = { service: request.service, ...toPeer(error, where) };
      this.#observe({
        ...(destination === undefined ? {} : { destination }),
        service: request.service,
        reply,
        error,
        context,
      });
      return reply;
    }
  }

  #refuseUnlessAllowed(request: Request, { classId, instance, attribute }: Destination, context: RequestContext): void {
    const question = { channel: context.channel, classId, instance, service: request.service };
    const status = this.#access(attribute === undefined ? question : { ...question, attribute });
    if (status !== undefined) throw new Refusal(status, { reason: "refused by the access policy" });
  }

  async #dispatch(request: Request, destination: Destination, context: RequestContext, depth: number): Promise<Reply> {
    if (destination.classId === messageRouterClass && request.service === Service.multipleServicePacket) {
      return this.#multiple(request, context, depth);
    }
    const hosted = this.#classes.get(destination.classId);
    if (hosted === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "no such class" });
    const special = this.#special.get(key(destination.classId, request.service));
    if (special !== undefined && destination.instance === 1) return special(request, context);
    if (destination.instance === 0) return answer(request, await callClass(hosted, request, destination, context));
    const handlers = hosted.instance(destination.instance);
    if (handlers === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "no such instance" });
    return answer(request, await callInstance(hosted.declaration, handlers, request, destination, context));
  }

  /** Multiple_Service_Packet: each embedded request is decided on its own; one level deep only. */
  async #multiple(request: Request, context: RequestContext, depth: number): Promise<Reply> {
    if (depth > 0) throw refuse(Status.serviceNotSupported, { reason: "a Multiple_Service_Packet inside another" });
    const requests = decode(MultipleServiceRequest, request.data);
    const replies: Reply[] = [];
    let room = context.maxReply - 2 - 2 * requests.length;
    for (const embedded of requests) {
      const reply = await this.handle(embedded, { ...context, maxReply: Math.max(room - 4, 0) }, depth + 1);
      room -= 4 + 2 * reply.extended.length + reply.data.length;
      replies.push(reply);
    }
    const failed = replies.some((reply) => reply.status !== Status.success);
    return {
      service: request.service,
      status: failed ? Status.embeddedServiceError : Status.success,
      extended: [],
      data: encode(MultipleServiceReply, replies),
    };
  }
}

/**
 * The object a path names. An electronic key in front is skipped here: the objects that care check it.
 *
 * @throws {Refusal} 0x04 for segments that name no object; 0x05 for a path without a class.
 */
export function destinationOf(path: readonly Segment[]): Destination {
  let classId: number | undefined;
  let instance = 0;
  let attribute: number | undefined;
  for (const segment of path) {
    if (segment.kind === "class") classId = segment.value;
    else if (segment.kind === "instance" || segment.kind === "connectionPoint") instance = segment.value;
    else if (segment.kind === "attribute") attribute = segment.value;
    else if (segment.kind !== "key" && segment.kind !== "member")
      throw refuse(Status.pathSegmentError, { reason: `a ${segment.kind} segment names no object here` });
  }
  if (classId === undefined) throw refuse(Status.pathDestinationUnknown, { reason: "the path names no class" });
  return attribute === undefined ? { classId, instance } : { classId, instance, attribute };
}

function answer(request: Request, { status, data }: CallResult): Reply {
  return { service: request.service, status, extended: [], data };
}

function key(classId: number, service: number): number {
  return classId * 0x100 + service;
}
