import { randomInt } from "node:crypto";
import type { ObjectClass } from "@cipsec/objects";
import type { Cancel, Clock } from "@cipsec/transport";
import {
  ConnectedAddress,
  ConnectionService,
  ConnectionType,
  ForwardClose,
  ForwardOpen,
  ForwardOpenReply,
  ItemType,
  LargeForwardOpen,
  MessageRouterReply,
  MessageRouterRequest,
  Service,
  Status,
  TransportError,
  UsageError,
  WireError,
  decode,
  encode,
  noOctets,
  objectPath,
  type CpfItem,
  type Reply,
  type Request,
  type Segment,
  type Triad,
  type Value,
} from "@cipsec/wire";
import { Deadline } from "./deadline.ts";
import { forwardClose } from "./io/forward-close.ts";
import { openRefusal } from "./open-refusal.ts";
import { matchReply, requestText, statusError, type Requester, type RequestOptions } from "./replies.ts";
import { classAccess, objectAccess, type ClassAccess, type ObjectAccess } from "./typed.ts";
import { abortReason } from "./waiting.ts";

/** How a class 3 connection is opened. */
export interface Class3Options {
  /** Requested packet interval, microseconds; default 2 s. The target drops the connection after its timeout without a request. */
  readonly rpiMicros?: number;
  /** Octets of a message with its sequence count; default 504, above 511 it takes Large_Forward_Open. */
  readonly size?: number;
  /** Whether to use Large_Forward_Open; default when `size` needs it. Falls back when the target does not know it. */
  readonly large?: boolean;
  /** 0 to 7 stand for 4 to 512 intervals; default 2 (16). */
  readonly timeoutMultiplier?: number;
  /** Port segments to the device at the end, where the one reached is a router or a backplane: {@link parseRoute}. */
  readonly route?: readonly Segment[];
  /** Milliseconds that a request may take; default 5000. */
  readonly requestTimeoutMs?: number;
  /** Vendor id and serial number of this originator. */
  readonly originatorVendor?: number;
  readonly originatorSerial?: number;
  readonly signal?: AbortSignal;
}

/** Milliseconds until a request is repeated where it can get lost; doubled each time. */
const resendAfterMs = 1000;

/** Receives connected messages of one connection. */
export type ConnectedReceiver = (data: Uint8Array) => void;

/** What a class 3 connection needs of the session that carries it. */
export interface Class3Carrier extends Requester {
  readonly clock: Clock;
  readonly isConnected: boolean;
  /** Whether the channel may lose what is sent: a request is then repeated with its sequence count, which the target knows again. */
  readonly isLossy?: boolean;
  /** Counts channels; a connection lives and dies with one of them. */
  readonly generation: number;
  readonly disconnected: Promise<Error>;
  sendConnected(generation: number, items: readonly CpfItem[]): void;
  onConnected(connectionId: number, receiver: ConnectedReceiver): () => void;
}

/** An open class 3 connection: requests go one after the other, each echoed with its sequence count. */
export interface Class3Connection extends Requester, AsyncDisposable {
  /** What the target granted. */
  readonly granted: Class3Grant;
  readonly isOpen: boolean;
  object<C extends ObjectClass>(declaration: C, instance: number): ObjectAccess<C>;
  class<C extends ObjectClass>(declaration: C): ClassAccess<C>;
  /** Forward_Close; the session stays. A device that does not answer it is no error. */
  close(): Promise<void>;
}

/** Ids, size and intervals of an open connection. */
export interface Class3Grant {
  readonly oToTConnectionId: number;
  readonly tToOConnectionId: number;
  readonly size: number;
  readonly large: boolean;
  readonly oToTApiMicros: number;
  readonly timeoutMs: number;
}

/** Largest size that the small Forward_Open can say. @see CIP Vol 1, 3-5.5.1 */
const maxSmallSize = 511;

/** Sizes to fall back to where a target refuses one without saying what it takes: Logix, Omron, everyone. */
const smallerSizes = [4002, 1994, 504] as const;

const extendedInvalidSizes: readonly number[] = [0x0109, 0x0127, 0x0128];

const defaults = { rpiMicros: 2_000_000, size: 504, timeoutMultiplier: 2, requestTimeoutMs: 5000 };

/** Milliseconds for closing. */
const closeTimeoutMs = 1000;

/** Of the vendor numbers, 0xFFFF is nobody's. */
const nobody = 0xffff;

const messageRouter = objectPath(0x02, 1);
const connectionManager = objectPath(0x06, 1);

/** Class 3, application trigger, server. */
const transportClass3 = 0xa3;

/** 2^7 ms × 39: about five seconds for the Connection Manager to act. */
const requestTime = { priorityTick: 7, timeoutTicks: 39 } as const;

/**
 * Opens a class 3 connection to the message router of the target.
 *
 * @throws {PeerError} `cip/status` when Forward_Open is refused for another reason than its service or size.
 * @see CIP Vol 1, 3-5.5.2; reference ethernet-ip.md 6.15
 */
export async function openClass3(session: Class3Carrier, options: Class3Options = {}): Promise<Class3Connection> {
  const { grant, triad } = await forwardOpen(session, options);
  return new Class3(session, grant, triad, options);
}

interface Opened {
  readonly grant: Class3Grant;
  readonly triad: Triad;
}

async function forwardOpen(session: Class3Carrier, options: Class3Options): Promise<Opened> {
  let size = options.size ?? defaults.size;
  let large = options.large ?? size > maxSmallSize;
  const tried = new Set<number>();
  for (;;) {
    if (!large) size = Math.min(size, maxSmallSize);
    tried.add(size);
    const triad: Triad = {
      connectionSerial: randomInt(1, 0x1_0000),
      originatorVendor: options.originatorVendor ?? nobody,
      originatorSerial: options.originatorSerial ?? randomInt(1, 2 ** 32),
    };
    const asked = question(options, size, triad);
    const codec = large ? LargeForwardOpen : ForwardOpen;
    const service = large ? ConnectionService.largeForwardOpen : ConnectionService.forwardOpen;
    const request = { service, path: connectionManager, data: encode(codec, asked) };
    const reply = await opening(session, request, { triad, path: asked.path }, options);
    if (reply.status === Status.success) return { grant: granted(session, reply, asked, size, large), triad };
    if (large && reply.status === Status.serviceNotSupported) {
      large = false;
      continue;
    }
    const smaller = nextSize(reply, size);
    if (smaller === undefined || tried.has(smaller)) {
      throw openRefusal(reply, "Forward_Open of a class 3 connection", options.route);
    }
    size = smaller;
  }
}

/** Without an answer the target may have opened it all the same, and would keep it until its watchdog ends it. */
async function opening(
  session: Class3Carrier,
  request: Request,
  { triad, path }: { readonly triad: Triad; readonly path: readonly Segment[] },
  { signal }: Class3Options,
): Promise<Reply> {
  try {
    return await session.request(request, signal === undefined ? {} : { signal });
  } catch (error) {
    const mayBeOpen = error instanceof TransportError || signal?.aborted === true;
    if (mayBeOpen && session.isConnected) forwardClose(session, triad, path).catch(() => undefined);
    throw error;
  }
}

function question(options: Class3Options, size: number, triad: Triad): Value<typeof ForwardOpen> {
  const rpi = options.rpiMicros ?? defaults.rpiMicros;
  const parameters = { redundantOwner: false, type: ConnectionType.pointToPoint, priority: 0, variable: true, size };
  return {
    ...requestTime,
    ...triad,
    oToTConnectionId: 0,
    // The consumer chooses; random, so that another's messages do not meet it by chance.
    tToOConnectionId: randomInt(1, 2 ** 32),
    timeoutMultiplier: options.timeoutMultiplier ?? defaults.timeoutMultiplier,
    oToTRpiMicros: rpi,
    oToT: parameters,
    tToORpiMicros: rpi,
    tToO: parameters,
    transport: transportClass3,
    path: pathTo(options),
  };
}

/** The message router at the end of the route. */
function pathTo({ route = [] }: Class3Options): readonly Segment[] {
  return [...route, ...messageRouter];
}

/** What an answer grants. One that cannot be understood, or is another's, leaves a connection that nobody uses: it is closed. */
function granted(
  session: Class3Carrier,
  reply: Reply,
  asked: Value<typeof ForwardOpen>,
  size: number,
  large: boolean,
): Class3Grant {
  try {
    return grantOf(reply, asked, size, large);
  } catch (error) {
    forwardClose(session, asked, asked.path).catch(() => undefined);
    throw error;
  }
}

function grantOf(reply: Reply, asked: Value<typeof ForwardOpen>, size: number, large: boolean): Class3Grant {
  const opened = decode(ForwardOpenReply, reply.data);
  if (opened.connectionSerial !== asked.connectionSerial || opened.tToOConnectionId !== asked.tToOConnectionId)
    throw new WireError("wire/value", "Forward_Open: the reply is for another connection", {
      facts: { asked: asked.connectionSerial, received: opened.connectionSerial },
    });
  const { oToTConnectionId, tToOConnectionId, oToTApiMicros } = opened;
  const timeoutMs = (Math.max(oToTApiMicros, 1000) / 1000) * 4 * 2 ** asked.timeoutMultiplier;
  return { oToTConnectionId, tToOConnectionId, size, large, oToTApiMicros, timeoutMs };
}

/** The size to try next: what the target says that it takes, else the next usual one. */
function nextSize(reply: Reply, size: number): number | undefined {
  const [extended, supported] = reply.extended;
  if (reply.status !== Status.connectionFailure || extended === undefined) return undefined;
  if (!extendedInvalidSizes.includes(extended)) return undefined;
  if (supported !== undefined && supported > 32 && supported < size) return supported;
  return smallerSizes.find((smaller) => smaller < size);
}

interface Turn {
  readonly request: Request;
  readonly sequence: number;
  readonly timeoutMs: number;
  readonly resolve: (message: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

class Class3 implements Class3Connection {
  readonly granted: Class3Grant;
  readonly #session: Class3Carrier;
  readonly #generation: number;
  readonly #address: CpfItem;
  readonly #triad: Triad;
  readonly #timeoutMs: number;
  readonly #path: readonly Segment[];
  readonly #unsubscribe: () => void;
  #sequence = 0;
  #turn: Turn | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** When the request on its way has taken too long. */
  readonly #turnEnds: Deadline;
  readonly #keepalive: Deadline;
  #isClosed = false;
  /** When the target answered last, on the session's clock. */
  #answeredMs: number;

  constructor(session: Class3Carrier, granted: Class3Grant, triad: Triad, options: Class3Options) {
    this.#session = session;
    this.#answeredMs = session.clock.now();
    this.#generation = session.generation;
    this.granted = granted;
    const address = encode(ConnectedAddress, granted.oToTConnectionId);
    this.#address = { type: ItemType.connectedAddress, data: address };
    this.#triad = triad;
    this.#timeoutMs = options.requestTimeoutMs ?? defaults.requestTimeoutMs;
    this.#path = pathTo(options);
    this.#turnEnds = new Deadline(session.clock, () => this.#turn?.reject(tooLate(this.#turn)));
    this.#keepalive = new Deadline(session.clock, () => this.#keepAlive());
    this.#unsubscribe = session.onConnected(granted.tToOConnectionId, (data) => this.#receive(data));
    void session.disconnected.then((error) => this.#turn?.reject(error));
    this.#armKeepalive();
  }

  get isOpen(): boolean {
    return !this.#isClosed && this.#session.isConnected && this.#session.generation === this.#generation;
  }

  /** Requests wait for those before them: one class 3 message is outstanding at a time. */
  request(request: Request, options: RequestOptions = {}): Promise<Reply> {
    const run = this.#last.then(() => this.#exchange(request, options));
    this.#last = run.catch(() => undefined);
    return run;
  }

  object<C extends ObjectClass>(declaration: C, instance: number): ObjectAccess<C> {
    return objectAccess(this, declaration, instance);
  }

  class<C extends ObjectClass>(declaration: C): ClassAccess<C> {
    return classAccess(this, declaration);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    await this.#last;
    const isOpen = this.isOpen;
    this.#isClosed = true;
    this.#keepalive.end();
    this.#turnEnds.end();
    this.#unsubscribe();
    if (!isOpen) return;
    const data = encode(ForwardClose, { ...requestTime, ...this.#triad, path: this.#path });
    const request = { service: ConnectionService.forwardClose, path: connectionManager, data };
    try {
      const reply = await this.#session.request(request, { timeoutMs: closeTimeoutMs });
      // 0x01: the target has dropped the connection already, which is what was wanted.
      if (reply.status !== Status.success && reply.status !== Status.connectionFailure)
        throw statusError(reply, "Forward_Close");
    } catch (error) {
      // The device is gone, or does not answer this: its watchdog closes what we could not.
      if (!(error instanceof TransportError)) throw error;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #exchange(request: Request, options: RequestOptions): Promise<Reply> {
    if (this.#isClosed) throw new UsageError("usage/state", `${requestText(request)}: the connection is closed`);
    const message = encode(MessageRouterRequest, request);
    const room = this.granted.size - 2;
    if (message.length > room)
      throw new UsageError(
        "usage/argument",
        `${requestText(request)}: ${message.length} octets do not fit the ${room} of the connection`,
      );
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const answer = await this.#converse(this.#sequence, message, request, options);
    this.#answeredMs = this.#session.clock.now();
    this.#armKeepalive();
    return matchReply(decode(MessageRouterReply, answer), request);
  }

  async #converse(
    sequence: number,
    message: Uint8Array,
    request: Request,
    options: RequestOptions,
  ): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    const { signal, timeoutMs = this.#timeoutMs } = options;
    const onAbort = (): void => {
      if (signal !== undefined) reject(abortReason(signal));
    };
    const { clock } = this.#session;
    let cancelResend: Cancel | undefined;
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#turn = { request, sequence, timeoutMs, resolve, reject };
    this.#turnEnds.set(clock.now() + timeoutMs);
    try {
      const data = new Uint8Array(message.length + 2);
      data[0] = sequence;
      data[1] = sequence >> 8;
      data.set(message, 2);
      const items = [this.#address, { type: ItemType.connectedData, data }];
      const send = (waitMs: number): void => {
        this.#session.sendConnected(this.#generation, items);
        if (this.#session.isLossy === true) cancelResend = clock.after(waitMs, () => send(waitMs * 2));
      };
      send(resendAfterMs);
      if (signal?.aborted === true) onAbort();
      return await promise;
    } finally {
      this.#turnEnds.clear();
      cancelResend?.();
      signal?.removeEventListener("abort", onAbort);
      this.#turn = undefined;
    }
  }

  /** A message with another sequence count is a late reply; it is dropped. */
  #receive(data: Uint8Array): void {
    if (data.length < 2 || this.#turn === undefined) return;
    const [low = 0, high = 0] = data;
    if ((low | (high << 8)) === this.#turn.sequence) this.#turn.resolve(data.subarray(2));
  }

  /** The target drops the connection when no request comes within its timeout; a read at a third of it keeps it. */
  #armKeepalive(): void {
    if (!this.#isClosed) this.#keepalive.set(this.#session.clock.now() + this.granted.timeoutMs / 3);
  }

  #keepAlive(): void {
    if (!this.isOpen) return;
    const read = { service: Service.getAttributeSingle, path: objectPath(0x01, 1, 1), data: noOctets };
    // A failed keepalive shows with the next request, which has somebody to tell. A target that was busy may still have the
    // connection, which another keeps; one that was silent for all its time has dropped it.
    this.request(read).catch(() => {
      if (this.#session.clock.now() - this.#answeredMs < this.granted.timeoutMs) this.#armKeepalive();
    });
  }
}

function tooLate({ request, timeoutMs }: Turn): TransportError {
  const what = requestText(request);
  return new TransportError("transport/timeout", `${what}: no answer over the class 3 connection in ${timeoutMs} ms`, {
    facts: { timeoutMs },
    fix: "The device may have dropped the connection; open it again.",
  });
}
