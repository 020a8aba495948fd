import { randomBytes } from "node:crypto";
import { Association } from "./association.ts";
import type { Ending } from "./association.ts";
import { CookieJar } from "./cookie.ts";
import type { Credentials, VerifyRequest } from "./credentials.ts";
import { publishClose, publishOpen, publishRefusal } from "./diagnostics.ts";
import { refuseAll, settleLimits } from "./endpoint-options.ts";
import type { ConnectOptions, EndpointOptions, Limits, LiveOptions, Verify } from "./endpoint-options.ts";
import { createClientEngine, createServerEngine } from "./engine.ts";
import type { Engine, EngineInput, EngineOutput } from "./engine-contract.ts";
import { DtlsError } from "./errors.ts";
import { judgeHello } from "./gate.ts";
import { HandshakeRate } from "./handshake-rate.ts";
import { handshakeTypes } from "./handshake/message.ts";
import { MoveGuard } from "./move-guard.ts";
import { Peers, placeName } from "./peers.ts";
import type { Peer, Remote } from "./peers.ts";
import { contentTypes, headerLength } from "./record/header.ts";
import { ServerSessions } from "./session.ts";
import { settle } from "./settings.ts";
import { Statistics } from "./statistics.ts";
import { TokenBucket } from "./token-bucket.ts";
import { Wheel } from "./wheel.ts";

/** What a switchboard needs of the world. */
export interface SwitchboardHost {
  send(bytes: Uint8Array, remote: Remote, dscp?: number): void;
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** A timer may have to be set earlier or anew: `wakeAt` has changed. */
  rearm(): void;
}

/** Counters of an endpoint beside those of its associations. */
export interface Admission {
  /** Hellos answered with a cookie; nothing was kept of them. */
  cookiesSent: number;
  /** Handshakes begun as server. */
  admitted: number;
  /** Hellos with a good cookie that a limit turned away. */
  turnedAway: number;
  /** Late copies of the hello of an association that is there: nothing was begun. */
  lateHellos: number;
  /** Datagrams that belong to nobody. */
  strangers: number;
  /** Associations that went on from another address. */
  moves: number;
  /** Datagrams held back because the new address of a peer is not proved yet. */
  heldBack: number;
}

/** Whom a handshake begins with. */
interface NewPeer {
  readonly engine: Engine;
  readonly role: "client" | "server";
  readonly hello?: Uint8Array;
  readonly connectionId: Uint8Array | undefined;
  readonly remote: Remote;
  readonly verify: Verify | undefined;
  readonly credentials: Credentials | undefined;
}

/** What a handshake gets before it may have to give way: several repetitions on a bad link. */
const handshakeChanceMs = 2000;

/** Peers turned away that a second tells of; all are counted. */
const toldPerSecond = 10;

const noCid = new Uint8Array(0);

/**
 * Routes datagrams between one socket and many associations of both roles: by connection id, then by address. Holds the
 * limits and the timers, but no socket and no clock.
 */
export class Switchboard {
  readonly admission: Admission = {
    cookiesSent: 0,
    admitted: 0,
    turnedAway: 0,
    lateHellos: 0,
    strangers: 0,
    moves: 0,
    heldBack: 0,
  };
  readonly #options: EndpointOptions;
  readonly #host: SwitchboardHost;
  readonly #limits: Limits;
  readonly #cidLength: number;
  readonly #peers = new Peers();
  readonly #wheel = new Wheel<Peer>();
  readonly #cookies = new CookieJar();
  readonly #sessions: ServerSessions | undefined;
  readonly #rate: HandshakeRate;
  readonly #told = new TokenBucket(toldPerSecond);
  readonly #moves: MoveGuard;
  readonly #past = new Statistics();
  readonly #connecting = new Map<Peer, { resolve(association: Association): void; reject(error: DtlsError): void }>();
  readonly #verify = new Map<Peer, Verify>();
  #live: LiveOptions;

  /** @throws {DtlsError} `usage/argument` for options out of their range. */
  constructor(options: EndpointOptions, host: SwitchboardHost) {
    settle(options);
    this.#options = options;
    this.#live = options;
    this.#host = host;
    this.#limits = settleLimits(options.limits);
    this.#cidLength = options.connectionIdLength ?? 6;
    if (!Number.isInteger(this.#cidLength) || this.#cidLength < 0 || this.#cidLength > 32) {
      throw new DtlsError("usage/argument", `connectionIdLength is ${this.#cidLength}, allowed are 0 to 32`);
    }
    this.#sessions = options.resumption === false ? undefined : new ServerSessions();
    this.#rate = new HandshakeRate(this.#limits.handshakesPerSecond);
    this.#moves = new MoveGuard(options.addressChange ?? "authenticated", this.#peers);
  }

  /** When {@link wake} is due. */
  get wakeAt(): number | undefined {
    return this.#wheel.next;
  }

  get open(): number {
    return this.#peers.open;
  }

  get handshakes(): number {
    return this.#peers.pending;
  }

  /** Counters of all associations, past ones too. */
  get statistics(): Statistics {
    const sum = new Statistics();
    sum.add(this.#past);
    for (const { engine } of this.#peers.all()) sum.add(engine.statistics);
    return sum;
  }

  *associations(): Generator<Association> {
    for (const { association } of this.#peers.all()) if (association.open) yield association;
  }

  /** Changes what counts for later handshakes. Sessions of before cannot be taken up again. */
  configure(live: LiveOptions): void {
    const next = { ...this.#live, ...live };
    settle(next);
    this.#live = next;
    this.#sessions?.reset();
  }

  /** A datagram has come. Never throws for what is in it. */
  receive(bytes: Uint8Array, remote: Remote): void {
    // Anybody can send from port 0, and nothing can be sent there.
    if (remote.port === 0) {
      this.admission.strangers++;
      return;
    }
    if (bytes[0] === contentTypes.connectionId && this.#cidLength > 0) {
      const peer = this.#peers.byCid(bytes.subarray(11, 11 + this.#cidLength));
      if (peer === undefined) this.#stranger(bytes, remote);
      else this.#deliverMoving(peer, bytes, remote);
      return;
    }
    const place = this.#peers.at(remote);
    if (isClientHello(bytes) && (place?.pending ?? place?.open)?.role !== "client") {
      this.#receiveHello(bytes, remote);
      return;
    }
    if (place === undefined) {
      this.#stranger(bytes, remote);
      return;
    }
    const { open, pending } = place;
    if (isPlain(bytes) && pending !== undefined) this.#handle(pending, { type: "datagram", bytes });
    else if (open === undefined) this.#handle(pending, { type: "datagram", bytes });
    else if (this.#deliverMoving(open, bytes, remote) === 0) this.#handle(pending, { type: "datagram", bytes });
  }

  /** Opens an association as client. */
  connect(options: ConnectOptions): Promise<Association> {
    const { address, port, verify, signal, ...rest } = options;
    const remote: Remote = { address, port };
    const connectionId = this.#newCid();
    const { verify: _, ...common } = this.#live;
    const engine = createClientEngine({ ...common, ...rest, ...(connectionId && { connectionId }) });
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw closedError("the handshake was ended before it began", signal.reason);
      const place = this.#peers.at(remote);
      if (place !== undefined) {
        throw new DtlsError(
          "usage/state",
          `an association with ${placeName(remote)} is there already: use another port`,
        );
      }
      if (this.#peers.open + this.#peers.pending >= this.#limits.associations) {
        throw new DtlsError("dtls/limit", `${this.#limits.associations} associations are there, which is the limit`);
      }
      const { credentials = common.credentials } = rest;
      const peer = this.#addPeer({ engine, role: "client", connectionId, remote, verify, credentials });
      const abort = (): void => this.#end(peer, "local", closedError("the handshake was ended", signal?.reason));
      this.#connecting.set(peer, {
        resolve: (association) => {
          signal?.removeEventListener("abort", abort);
          resolve(association);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      });
      signal?.addEventListener("abort", abort, { once: true });
      this.#handle(peer, { type: "start" });
    });
  }

  /**
   * The time that `wakeAt` named has come.
   *
   * @param now A time that all that had arrived by then has been received since; the present one unless given.
   */
  wake(now = this.#host.now()): void {
    for (const peer of this.#wheel.take(now)) this.#follow(peer, peer.engine.handle({ type: "timer" }, now));
    this.#host.rearm();
  }

  /** Says goodbye to all. */
  close(): void {
    for (const peer of this.#peers.all()) this.#handle(peer, { type: "close" });
  }

  #receiveHello(bytes: Uint8Array, remote: Remote): void {
    if (this.#options.onAssociation === undefined) {
      this.#stranger(bytes, remote);
      return;
    }
    const place = this.#peers.at(remote);
    const verdict = judgeHello(bytes, placeName(remote), this.#cookies, this.#host.now());
    if (verdict.kind === "answer") {
      this.admission.cookiesSent++;
      this.#host.send(verdict.bytes, remote);
    }
    if (verdict.kind === "ignore") {
      // A later fragment of a hello that is known already.
      if (place?.pending === undefined) this.admission.strangers++;
      else this.#handle(place.pending, { type: "datagram", bytes });
    }
    if (verdict.kind !== "admit") return;
    const { clientRandom, hello } = verdict;
    if (place?.pending !== undefined && isHelloOf(place.pending, clientRandom)) {
      this.#handle(place.pending, { type: "datagram", bytes });
      return;
    }
    if (place?.open !== undefined && isHelloOf(place.open, clientRandom)) {
      this.admission.lateHellos++;
      return;
    }
    const limit = this.#limitFor(remote, place?.pending !== undefined);
    if (limit !== undefined) {
      this.#turnAway(remote, limit);
      return;
    }
    // Without a word: whoever is at this address now knows nothing of the earlier handshake, and would take it as meant for this one.
    if (place?.pending !== undefined) this.#ended(place.pending, { by: "replaced", error: undefined });
    this.admission.admitted++;
    const connectionId = this.#newCid();
    const sessions = this.#sessions;
    const options = { ...this.#live, ...(connectionId && { connectionId }), ...(sessions && { sessions }) };
    const engine = createServerEngine(options, hello);
    const { credentials, verify } = options;
    const peer = this.#addPeer({
      engine,
      role: "server",
      hello: clientRandom,
      connectionId,
      remote,
      verify,
      credentials,
    });
    this.#handle(peer, { type: "datagram", bytes });
  }

  /** The limit that stands against another handshake of this peer, if one does. */
  #limitFor({ address }: Remote, replaces: boolean): keyof Limits | undefined {
    const { associations, handshakes, perHost } = this.#limits;
    if (!replaces) {
      if (this.#peers.open + this.#peers.pending >= associations) return "associations";
      if (this.#peers.ofHost(address).size >= perHost) return "perHost";
    }
    if (!this.#rate.take(address, this.#host.now())) return "handshakesPerSecond";
    return replaces || this.#peers.pending < handshakes || this.#makeRoom() ? undefined : "handshakes";
  }

  /** Counts all, and tells of some: a peer repeats its hello, and a flood of them shall not become a flood of words. */
  #turnAway(remote: Remote, limit: keyof Limits): void {
    this.admission.turnedAway++;
    if (!this.#told.take(this.#host.now())) return;
    const error = new DtlsError("dtls/limit", `turned away: limits.${limit} is ${this.#limits[limit]}`, {
      facts: { limit, value: this.#limits[limit] },
    });
    publishRefusal("server", remote, error);
    this.#options.onRefusal?.(error, remote);
  }

  /** The oldest handshake gives way once it had its chance: those who never finish shall not lock others out. */
  #makeRoom(): boolean {
    const oldest = this.#peers.oldestHandshake();
    if (oldest === undefined || this.#host.now() < oldest.since + handshakeChanceMs) return false;
    const { handshakes } = this.#limits;
    this.#end(
      oldest,
      "error",
      new DtlsError("dtls/limit", `gave way to another: ${handshakes} handshakes are the limit`),
    );
    return true;
  }

  #addPeer({ engine, role, hello, connectionId, remote, verify, credentials }: NewPeer): Peer {
    const association = new Association({
      send: (payload, dscp) => this.#sendPayload(peer, payload, dscp),
      close: () => {
        this.#handle(peer, { type: "close" });
      },
      remote: () => peer.remote,
      credentials,
      statistics: engine.statistics,
    });
    const peer: Peer = {
      engine,
      role,
      hello,
      cid: connectionId ?? noCid,
      association,
      since: this.#host.now(),
      remote,
      home: remote,
      credit: undefined,
      seenThere: 0,
      movedAt: 0,
    };
    this.#verify.set(peer, verify ?? this.#live.verify ?? refuseAll);
    this.#peers.addPending(peer);
    return peer;
  }

  #newCid(): Uint8Array | undefined {
    if (this.#cidLength === 0) return undefined;
    for (;;) {
      const cid = randomBytes(this.#cidLength);
      if (this.#peers.byCid(cid) === undefined) return cid;
    }
  }

  #sendPayload(peer: Peer, payload: Uint8Array, dscp: number | undefined): void {
    this.#follow(peer, peer.engine.handle({ type: "send", payload }, this.#host.now()), dscp);
  }

  /** @returns How many records of it proved to be the peer's. */
  #handle(peer: Peer | undefined, input: EngineInput): number {
    if (peer === undefined) return 0;
    const output = peer.engine.handle(input, this.#host.now());
    this.#follow(peer, output);
    return output.authentic;
  }

  /** A datagram that names an association, or was found to be its; perhaps from a new address. */
  #deliverMoving(peer: Peer, bytes: Uint8Array, remote: Remote): number {
    const same = peer.remote.address === remote.address && peer.remote.port === remote.port;
    const now = this.#host.now();
    const output = peer.engine.handle({ type: "datagram", bytes }, now);
    if (same) this.#moves.stayed(peer, output, bytes.length, now);
    else if (this.#moves.moved(peer, output, bytes.length, remote, now)) this.admission.moves++;
    this.#follow(peer, output);
    return output.authentic;
  }

  #stranger(bytes: Uint8Array, remote: Remote): void {
    const first = bytes[0] ?? 0;
    if (first < 20 || first > 25) {
      this.#options.onForeign?.(bytes, remote);
      if (this.#options.onForeign === undefined) this.admission.strangers++;
      return;
    }
    if (!isPlain(bytes)) {
      for (const peer of this.#moves.candidates(remote, this.#host.now())) {
        if (this.#deliverMoving(peer, bytes, remote) > 0) return;
      }
    }
    this.admission.strangers++;
  }

  #follow(peer: Peer, output: EngineOutput, dscp?: number): void {
    for (const bytes of output.send) {
      if (this.#moves.allows(peer, bytes.length)) this.#host.send(bytes, peer.remote, dscp);
      else this.admission.heldBack++;
    }
    for (const event of output.events) {
      if (event.type === "verify") this.#askVerdict(peer, event.request);
      else if (event.type === "keylog") this.#options.onKeyLog?.(event.line);
      else if (event.type === "open") {
        Association.opened(peer.association, event.facts, event.session);
        publishOpen({ role: peer.role, remote: peer.remote, facts: event.facts });
        this.#opened(peer);
      } else this.#ended(peer, { by: event.by, error: event.error });
    }
    if (output.wakeAt !== undefined && peer.engine.state !== "closed") {
      this.#wheel.schedule(peer, output.wakeAt);
      this.#host.rearm();
    }
    for (const payload of output.received) Association.deliver(peer.association, payload);
  }

  #askVerdict(peer: Peer, request: VerifyRequest): void {
    const verify = this.#verify.get(peer) ?? refuseAll;
    const failed = (): void => {
      const verdict = { accepted: false, reason: "judging it failed", alert: "internal_error" } as const;
      this.#handle(peer, { type: "verdict", verdict });
    };
    try {
      const verdict = verify(request, peer.remote);
      if (!(verdict instanceof Promise)) this.#handle(peer, { type: "verdict", verdict });
      else verdict.then((later) => this.#handle(peer, { type: "verdict", verdict: later }), failed);
    } catch {
      failed();
    }
  }

  #opened(peer: Peer): void {
    this.#verify.delete(peer);
    const old = this.#peers.promote(peer);
    if (old !== undefined) this.#forget(old, { by: "replaced", error: undefined });
    const connecting = this.#connecting.get(peer);
    this.#connecting.delete(peer);
    if (connecting !== undefined) connecting.resolve(peer.association);
    else this.#options.onAssociation?.(peer.association);
  }

  #end(peer: Peer, by: Ending["by"], error: DtlsError | undefined): void {
    for (const bytes of peer.engine.handle({ type: "close" }, this.#host.now()).send)
      this.#host.send(bytes, peer.remote);
    this.#ended(peer, { by, error });
  }

  #ended(peer: Peer, ending: Ending): void {
    this.#peers.remove(peer);
    this.#forget(peer, ending);
  }

  #forget(peer: Peer, ending: Ending): void {
    this.#wheel.remove(peer);
    this.#verify.delete(peer);
    this.#past.add(peer.engine.statistics);
    peer.engine.dispose();
    const connecting = this.#connecting.get(peer);
    this.#connecting.delete(peer);
    const error = ending.error ?? closedError("the handshake was ended", undefined);
    if (peer.engine.facts !== undefined) publishClose(peer, ending);
    else if (ending.error !== undefined) publishRefusal(peer.role, peer.remote, ending.error);
    if (connecting !== undefined) connecting.reject(error);
    else if (peer.engine.facts === undefined && ending.error !== undefined) {
      this.#options.onRefusal?.(ending.error, peer.remote);
    }
    Association.ended(peer.association, ending);
  }
}

function closedError(message: string, cause: unknown): DtlsError {
  return new DtlsError("dtls/closed", message, { cause });
}

function isHelloOf({ hello }: Peer, clientRandom: Uint8Array): boolean {
  return hello !== undefined && Buffer.compare(hello, clientRandom) === 0;
}

/** A handshake record of epoch 0 that begins with a piece of ClientHello. */
function isClientHello(bytes: Uint8Array): boolean {
  return bytes[0] === contentTypes.handshake && isPlain(bytes) && bytes[headerLength] === handshakeTypes.clientHello;
}

function isPlain(bytes: Uint8Array): boolean {
  return bytes[3] === 0 && bytes[4] === 0;
}
