import type { ObjectClass } from "@cipsec/objects";
import type { Certificate } from "@cipsec/pki";
import { judgeAgain, systemClock, type Channel, type ChannelFacts, type Clock, type Verdict } from "@cipsec/transport";
import {
  MessageRouterReply,
  MessageRouterRequest,
  Service,
  TransportError,
  UsageError,
  decode,
  encode,
  type CpfItem,
  type Reply,
  type Request,
  type Segment,
} from "@cipsec/wire";
import {
  openClass3,
  type Class3Carrier,
  type Class3Connection,
  type Class3Options,
  type ConnectedReceiver,
} from "./class3.ts";
import { dtlsLink } from "./dtls-link.ts";
import type { IoGate } from "./io/gate.ts";
import { SessionPool, type Lease } from "./io/session-pool.ts";
import { registerLink, type Link, type LinkOptions } from "./link.ts";
import { matchReply, pathText, requestText, type RequestOptions } from "./replies.ts";
import { routed, type RoutedRequester } from "./route.ts";
import { classAccess, getRaw, objectAccess, setRaw, type ClassAccess, type ObjectAccess } from "./typed.ts";
import { originatorTrust, type Protection, type SecurityOptions, type TrustFacts } from "./trust.ts";
import { delay, orAborted } from "./waiting.ts";

/** How often and how fast a session dials again after its channel has ended. */
export interface ReconnectPolicy {
  readonly attempts: number;
  /** Wait before the first attempt, milliseconds; it doubles with each. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
}

/** What a session needs to know. */
export interface SessionOptions {
  /** Milliseconds that a request may take; default 5000, and 8000 over DTLS, where lost datagrams are sent again. */
  readonly requestTimeoutMs?: number;
  /** Requests on the way at one time; default 16. */
  readonly maxInFlight?: number;
  /** Default: five attempts, from 100 ms to 2 s apart. `false`: the session ends with its channel. */
  readonly reconnect?: ReconnectPolicy | false;
  readonly clock?: Clock;
  /** Who is at the other end, for messages. */
  readonly peer?: string;
  /** What the trust in the device rests on, asked after each handshake. */
  readonly trust?: () => TrustFacts | undefined;
  /** Our own certificate in the channel in use, asked for when it is needed. */
  readonly identity?: () => Certificate | undefined;
  /** The channel's datagrams are encapsulation frames, as behind StartDTLS; else they are items. */
  readonly carriesFrames?: boolean;
  /** Opens a session with the same device, by an association with this protection. */
  readonly openProtected?: (protection: Protection, signal?: AbortSignal) => Promise<Session>;
}

/** Makes a channel: once for a new session, again for each reconnect. */
export type Dialer = (signal?: AbortSignal) => Promise<Channel>;

/** Five attempts in about three seconds: a device that restarts its stack is back by then, one that is off is told soon. */
export const defaultReconnect: ReconnectPolicy = { attempts: 5, firstDelayMs: 100, maxDelayMs: 2000 };

/** Targets take few at once; more only queue there. */
const defaultMaxInFlight = 16;

/** Reads that may be repeated when their reply is lost: they change nothing. */
const idempotentServices: readonly number[] = [
  Service.getAttributesAll,
  Service.getAttributeList,
  Service.getAttributeSingle,
  Service.getMember,
  Service.findNextObjectInstance,
];

/**
 * A session with a target: requests without a connection (UCMM), and the road for connections. On a stream (TCP, TLS) it is an
 * encapsulation session; on a DTLS association requests and I/O share the association, and there is no class 3.
 *
 * When the channel ends, the next request dials and registers again. A request whose reply was lost is repeated only when that
 * changes nothing (get services, or `idempotent`); any other fails with `transport/closed`, as the device may have done it.
 * Requests that had not been sent yet go over the new channel.
 */
export class Session implements Class3Carrier, AsyncDisposable {
  readonly #dial: Dialer;
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #peer: string;
  readonly #receivers: Receivers;
  #link: Link;
  #connecting: Promise<Link> | undefined;
  readonly #siblings = new SessionPool();
  #isClosed = false;
  #generation = 0;

  private constructor(link: Link, receivers: Receivers, dial: Dialer, options: SessionOptions) {
    this.#dial = dial;
    this.#receivers = receivers;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#peer = options.peer ?? "the device";
    this.#link = this.#adopt(link);
  }

  /**
   * Dials, and registers where the channel is a stream.
   *
   * @throws whatever `dial` throws; {@link PeerError} `encap/status` when RegisterSession is refused; {@link TransportError}
   *   `transport/closed` (`facts.during` is `RegisterSession`) when the device hangs up, `transport/timeout` when it is silent.
   */
  static async open(dial: Dialer, options: SessionOptions = {}, signal?: AbortSignal): Promise<Session> {
    const receivers: Receivers = new Map();
    return new Session(await openLink(dial, receivers, options, signal), receivers, dial, options);
  }

  /** Facts of the channel in use: addresses, and what protects it. */
  get facts(): ChannelFacts {
    return this.#link.channel.facts;
  }

  /** Who is at the other end: `eips://192.0.2.7:2221`. */
  get peer(): string {
    return this.#peer;
  }

  /** What the trust in the device rests on; nothing on a plain channel. `accepted-any` means that there is none. */
  get trust(): TrustFacts | undefined {
    return this.#options.trust?.();
  }

  /** Our own certificate, as the channel in use was opened with it; nothing where there was none. */
  get identity(): Certificate | undefined {
    return this.#options.identity?.();
  }

  /**
   * A session with the same device whose association has this protection: this one where it has, else another one, which all that
   * ask for the protection share and the last one closes.
   *
   * @throws {UsageError} `usage/state` where no I/O can be protected: on a session that is not over DTLS.
   * @throws {PeerError} `tls/alert` with `facts.protection` when the device allows no suite that gives it.
   */
  leaseProtected(protection: Protection, signal?: AbortSignal): Promise<Lease> {
    const { openProtected } = this.#options;
    const { protocol, security } = this.facts;
    if (protocol !== "dtls" || openProtected === undefined)
      throw new UsageError("usage/state", `${this.#peer}: I/O with a protection of its own needs a session over DTLS`, {
        fix: "Connect by eipd://.",
      });
    if (security?.encrypts === (protection === "encrypted"))
      return Promise.resolve({ session: this, release: () => Promise.resolve() });
    return this.#siblings.lease(protection, () => openProtected(protection, signal));
  }

  /** Whether what is sent can get lost on the channel in use. */
  get isLossy(): boolean {
    return this.#link.channel.kind === "datagram";
  }

  /** Whether a channel stands now; a session that is not connected dials with its next request. */
  get isConnected(): boolean {
    return !this.#isClosed && this.#link.isOpen;
  }

  /** Counts channels: 1 for the first, one more with each reconnect. Class 3 connections live in one of them. */
  get generation(): number {
    return this.#generation;
  }

  get clock(): Clock {
    return this.#clock;
  }

  /** Settles with the reason when the channel in use has ended. */
  get disconnected(): Promise<Error> {
    return this.#link.ended;
  }

  async request(request: Request, options: RequestOptions = {}): Promise<Reply> {
    const repeatable = options.idempotent ?? idempotentServices.includes(request.service);
    for (let attempt = 0; ; attempt += 1) {
      const link = this.isConnected ? this.#link : await this.#ready(options.signal);
      try {
        return (await this.#send(link, request, options)).reply;
      } catch (error) {
        if (!isLost(error, repeatable) || attempt > 0 || this.#isClosed || this.#options.reconnect === false)
          throw error;
      }
    }
  }

  /**
   * Sends one request with further items behind it, such as socket addresses, and returns those of the reply too. It is not
   * repeated when its reply is lost: the device may have done it.
   */
  async requestWithItems(
    request: Request,
    further: readonly CpfItem[],
    options: RequestOptions = {},
  ): Promise<ReplyWithItems> {
    return this.#send(await this.#ready(options.signal), request, options, further);
  }

  /** A requester for what is at the end of a route: port segments, such as `parseRoute("1,0")`. */
  route(path: readonly Segment[]): RoutedRequester {
    return routed(this, path);
  }

  /** One instance, through its declaration: `session.object(EtherNetIpSecurity, 1).get("dtlsTimeout")`. */
  object<C extends ObjectClass>(declaration: C, instance: number): ObjectAccess<C> {
    return objectAccess(this, declaration, instance);
  }

  /** The class itself: `session.class(CertificateManagement).call("create", "plant")`. */
  class<C extends ObjectClass>(declaration: C): ClassAccess<C> {
    return classAccess(this, declaration);
  }

  /** Octets of the attribute at `path`. @throws {PeerError} `cip/status` */
  getRaw(path: readonly Segment[], options?: RequestOptions): Promise<Uint8Array> {
    return getRaw(this, path, `get ${pathText(path)}`, options);
  }

  /** Writes octets to the attribute at `path`. @throws {PeerError} `cip/status` */
  setRaw(path: readonly Segment[], data: Uint8Array, options?: RequestOptions): Promise<void> {
    return setRaw(this, path, data, `set ${pathText(path)}`, options);
  }

  /** Opens a class 3 connection; see {@link openClass3}. @throws {UsageError} `usage/argument` over DTLS, which has none. */
  async connectClass3(options?: Class3Options): Promise<Class3Connection> {
    const { noClass3 } = this.#link;
    if (noClass3 !== undefined)
      throw new UsageError("usage/argument", `${this.#peer}: ${noClass3}`, { fix: class3Fix });
    return openClass3(this, options);
  }

  /**
   * The gate for I/O that has to go over this session's own association; nothing where I/O has a port of its own. Dials where
   * the association has ended, so that a Forward_Open that follows goes over the same one.
   */
  async ioGate(signal?: AbortSignal): Promise<IoGate | undefined> {
    return this.#link.openGate === undefined ? undefined : (await this.#ready(signal)).openGate?.();
  }

  /**
   * Sends a connected message (SendUnitData) on the channel in use; there is no reply at this level.
   *
   * @throws {TransportError} `transport/closed` when the channel of that generation is gone.
   */
  sendConnected(generation: number, items: readonly CpfItem[]): void {
    if (generation !== this.#generation || !this.#link.isOpen || this.#isClosed)
      throw new TransportError("transport/closed", `the channel to ${this.#peer} that carried this connection is gone`);
    this.#link.sendConnected(items);
  }

  /** Delivers connected messages for this connection id until the returned function is called. */
  onConnected(connectionId: number, receiver: ConnectedReceiver): () => void {
    this.#receivers.set(connectionId, receiver);
    return () => this.#receivers.delete(connectionId);
  }

  /**
   * Judges the device as a new handshake by these options would, by what it showed in the last one; on a plain channel nothing speaks
   * against it. Suites are not judged: they were agreed on.
   */
  judge({ protection: _, announce: __, ...security }: SecurityOptions): Verdict {
    const { channel } = this.#link;
    const used = channel.facts.security;
    if (used === undefined) return { ok: true };
    return judgeAgain(channel, {
      ...originatorTrust({ ...security, maxVersion: "TLSv1.3" }).policy,
      suites: [used.suite],
    });
  }

  /** Ends the channel in use, for a caller who knows that nobody answers there; the next request dials again. */
  drop(): void {
    this.#link.channel.destroy();
  }

  /** {@link Session.drop}, where nothing has come since `sinceMs` of the session's clock and the channel does not see that by itself. */
  dropIfSilent(sinceMs: number): void {
    const { heardMs } = this.#link;
    if (heardMs !== undefined && heardMs <= sinceMs) this.drop();
  }

  /** UnRegisters and closes. Safe to call twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#siblings.close();
    await this.#link.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #adopt(link: Link): Link {
    this.#generation += 1;
    return link;
  }

  /** The link in use, or a new one. Concurrent requests share one attempt to dial. */
  async #ready(signal: AbortSignal | undefined): Promise<Link> {
    if (this.#isClosed) throw new UsageError("usage/state", `the session with ${this.#peer} is closed`);
    if (this.#link.isOpen) return this.#link;
    if (this.#options.reconnect === false) throw await this.#link.ended;
    this.#connecting ??= this.#reconnect(this.#options.reconnect ?? defaultReconnect).finally(() => {
      this.#connecting = undefined;
    });
    return orAborted(this.#connecting, signal);
  }

  async #reconnect(policy: ReconnectPolicy): Promise<Link> {
    for (let attempt = 1; ; attempt += 1) {
      await delay(this.#clock, Math.min(policy.firstDelayMs * 2 ** (attempt - 1), policy.maxDelayMs));
      try {
        const link = await openLink(this.#dial, this.#receivers, this.#options, undefined);
        if (this.#isClosed) {
          await link.channel.close();
          throw new UsageError("usage/state", `the session with ${this.#peer} is closed`);
        }
        this.#link = this.#adopt(link);
        return link;
      } catch (error) {
        if (attempt >= policy.attempts || !(error instanceof TransportError)) throw error;
      }
    }
  }

  async #send(
    link: Link,
    request: Request,
    { timeoutMs, signal }: RequestOptions,
    further: readonly CpfItem[] = [],
  ): Promise<ReplyWithItems> {
    const how = {
      what: () => requestText(request),
      timeoutMs: timeoutMs ?? this.#options.requestTimeoutMs ?? link.defaultTimeoutMs,
    };
    const octets = encode(MessageRouterRequest, request);
    const { message, further: items } = await link.ask(
      octets,
      further,
      signal === undefined ? how : { ...how, signal },
    );
    return { reply: matchReply(decode(MessageRouterReply, message), request), items };
  }
}

type Receivers = Map<number, ConnectedReceiver>;

const class3Fix = "Send the requests without a connection, or connect by eips://.";

async function openLink(
  dial: Dialer,
  receivers: Receivers,
  options: SessionOptions,
  signal: AbortSignal | undefined,
): Promise<Link> {
  const { requestTimeoutMs } = options;
  const linkOptions: LinkOptions = {
    clock: options.clock ?? systemClock,
    maxInFlight: options.maxInFlight ?? defaultMaxInFlight,
    peer: options.peer ?? "the device",
    receiverOf: (connectionId) => receivers.get(connectionId),
    ...(requestTimeoutMs === undefined ? {} : { registerTimeoutMs: requestTimeoutMs }),
  };
  const channel = await dial(signal);
  return channel.kind === "datagram" && options.carriesFrames !== true
    ? dtlsLink(channel, linkOptions)
    : registerLink(channel, linkOptions, signal);
}

/** A reply, and what came behind it. */
export interface ReplyWithItems {
  readonly reply: Reply;
  readonly items: readonly CpfItem[];
}

/** Whether a request failed with its channel: unsent, or sent where doing it twice does no harm. */
function isLost(error: unknown, repeatable: boolean): boolean {
  if (!(error instanceof TransportError) || error.code !== "transport/closed") return false;
  return repeatable || error.facts["sent"] === false;
}
