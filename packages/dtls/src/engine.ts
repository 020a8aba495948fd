import { alertName, alerts, readAlert, writeAlert } from "./alert.ts";
import { startClient } from "./client/hello.ts";
import type { Verdict } from "./credentials.ts";
import type { Engine, EngineEvent, EngineInput, EngineOutput, HelloNumbers } from "./engine-contract.ts";
import { DtlsError } from "./errors.ts";
import { Exchange } from "./exchange.ts";
import type { Next, Step } from "./exchange.ts";
import { factsOf } from "./facts.ts";
import type { AssociationFacts } from "./facts.ts";
import { packFlight } from "./flight/pack.ts";
import type { FlightItem } from "./flight/pack.ts";
import { Reassembly } from "./flight/reassembly.ts";
import { Retransmission } from "./flight/retransmission.ts";
import { handshakeName, handshakeTypes, readFragments } from "./handshake/message.ts";
import type { HandshakeFragment } from "./handshake/message.ts";
import { keyLogLine } from "./key-schedule.ts";
import { contentTypes, readRecords } from "./record/header.ts";
import type { RawRecord } from "./record/header.ts";
import { RecordLayer } from "./record/layer.ts";
import type { DropReason } from "./record/layer.ts";
import { startServer } from "./server/hello.ts";
import { settle } from "./settings.ts";
import type { ClientOptions, ServerOptions, Settings } from "./settings.ts";
import { Statistics } from "./statistics.ts";

/** Protected records that may come before the keys, and payloads before the peer's Finished: reordering, no more. */
const maxEarly = 16;

/** All early records together: a Finished and some payloads, of which a peer that has proved no more than its address may send any. */
const maxEarlyOctets = 32_768;

/** Silences after which a flight is cut smaller: perhaps the path carries less than the caller thought. */
const smallerAfter = 3;
const smallMtu = 508;

/** An engine that opens an association. Its first input is `start`. */
export function createClientEngine(options: ClientOptions = {}): Engine {
  const settings = settle(options);
  return new Machine("client", settings, { messageSeq: 0, recordSeq: 0 }, (x) =>
    startClient(x, options.serverName, options.session),
  );
}

/**
 * An engine that answers a client whose cookie was right. Its first input is the datagram with that hello.
 *
 * @param hello From the gate, see {@link HelloNumbers}.
 */
export function createServerEngine(options: ServerOptions, hello: HelloNumbers): Engine {
  return new Machine("server", settle(options), hello, (x, now) => startServer(x, options, now));
}

type Begin = (x: Exchange, now: () => number) => Step;

interface Flight {
  readonly items: readonly FlightItem[];
  readonly timer: Retransmission;
}

class Machine implements Engine {
  readonly statistics = new Statistics();
  readonly #settings: Settings;
  readonly #layer: RecordLayer;
  readonly #exchange: Exchange;
  readonly #reassembly: Reassembly;
  readonly #begin: Begin;
  readonly #cidLength: number;
  #state: Engine["state"] = "new";
  #facts: AssociationFacts | undefined;
  #step: Step | undefined;
  #then: (() => Next) | undefined;
  #flight: Flight | undefined;
  #early: RawRecord[] = [];
  #earlyOctets = 0;
  #earlyPayloads: Uint8Array[] = [];
  #hint: number | undefined;
  #deadline = 0;
  #now = 0;
  #lastHeard = 0;
  #send: Uint8Array[] = [];
  #received: Uint8Array[] = [];
  #events: EngineEvent[] = [];
  #authentic = 0;
  #newest = false;

  constructor(role: "client" | "server", settings: Settings, hello: HelloNumbers, begin: Begin) {
    this.#settings = settings;
    this.#begin = begin;
    this.#layer = new RecordLayer(settings.maxRecords);
    this.#layer.startAt(hello.recordSeq);
    this.#exchange = new Exchange(role, settings, this.#layer, hello.messageSeq);
    this.#reassembly = new Reassembly(hello.messageSeq);
    this.#cidLength = settings.connectionId?.length ?? 0;
  }

  get state(): Engine["state"] {
    return this.#state;
  }

  get facts(): AssociationFacts | undefined {
    return this.#facts;
  }

  get clientRandom(): Uint8Array {
    return this.#exchange.clientRandom;
  }

  dispose(): void {
    this.#state = "closed";
    this.#exchange.settleDown();
    this.#layer.dispose();
  }

  handle(input: EngineInput, now: number): EngineOutput {
    this.#now = now;
    this.#authentic = 0;
    this.#newest = false;
    try {
      if (this.#state === "new") this.#start(input);
      else this.#take(input);
      // Nothing else judges by time: what a process that was held up is told first may be followed by what it waits for.
      if (input.type === "timer") this.#checkTime();
    } catch (error) {
      if (!this.#callersMistake(input, error)) this.#fail(error);
      else throw error;
    }
    const output = {
      send: this.#send,
      received: this.#received,
      events: this.#events,
      wakeAt: this.#wakeAt(),
      authentic: this.#authentic,
      newest: this.#newest,
    };
    this.#send = [];
    this.#received = [];
    this.#events = [];
    return output;
  }

  #callersMistake(input: EngineInput, error: unknown): boolean {
    return input.type === "send" && error instanceof DtlsError && error.alert === undefined;
  }

  #start(input: EngineInput): void {
    if (input.type !== "start" && input.type !== "datagram") {
      if (input.type === "send") throw new DtlsError("usage/state", "the association is not open yet");
      this.#take(input);
      return;
    }
    this.#state = "handshake";
    this.#deadline = this.#now + this.#settings.handshakeTimeoutMs;
    this.#lastHeard = this.#now;
    this.#step = this.#begin(this.#exchange, () => this.#now);
    this.#sendFlight();
    this.#take(input);
  }

  #take(input: EngineInput): void {
    switch (input.type) {
      case "datagram":
        this.#takeDatagram(input.bytes);
        return;
      case "send":
        this.#sendPayload(input.payload);
        return;
      case "verdict":
        this.#takeVerdict(input.verdict);
        return;
      case "close":
        this.#close("local", undefined, { fatal: false, description: alerts.close_notify });
        return;
      case "start":
      case "timer":
    }
  }

  #takeDatagram(bytes: Uint8Array): void {
    if (this.#state === "closed") return;
    this.statistics.datagramsIn++;
    const records = readRecords(bytes, this.#cidLength);
    if (records.length === 0) this.#drop("malformed");
    for (const record of records) this.#takeRecord(record);
  }

  #takeRecord(record: RawRecord): void {
    if (this.#state === "closed") return;
    if (this.#state === "handshake" && record.header.epoch === 1 && !this.#layer.reads) {
      this.#keepEarly(record);
      return;
    }
    if (this.#state === "open" && record.header.epoch === 0) {
      this.#drop("plaintext");
      return;
    }
    const opened = this.#layer.open(record);
    if ("dropped" in opened) {
      this.#drop(opened.dropped);
      return;
    }
    if (opened.epoch === 1) {
      this.#authentic++;
      this.#newest ||= opened.newest;
      this.#lastHeard = this.#now;
      this.statistics.recordsIn++;
    }
    this.#takeContent(opened.type, opened.content, opened.epoch);
  }

  #takeContent(type: number, content: Uint8Array, epoch: number): void {
    if (type === contentTypes.applicationData && epoch === 1) {
      if (this.#state === "open") this.#received.push(content);
      else if (this.#earlyPayloads.length < maxEarly) this.#earlyPayloads.push(content);
      else this.#drop("overflow");
    } else if (type === contentTypes.handshake) this.#takeHandshake(content, epoch);
    else if (type === contentTypes.alert) this.#takeAlert(content, epoch);
    // The epoch of a record says what ChangeCipherSpec would; whether and when that arrives does not matter.
    else if (type !== contentTypes.changeCipherSpec || epoch !== 0) this.#drop("unexpected");
  }

  #takeHandshake(content: Uint8Array, epoch: number): void {
    let fragments: readonly HandshakeFragment[];
    try {
      fragments = readFragments(content);
    } catch {
      this.#drop("malformed");
      return;
    }
    for (const fragment of fragments) {
      // Finished is the one protected message; renegotiation is not spoken.
      if (
        (fragment.type === handshakeTypes.finished) !== (epoch === 1) ||
        fragment.type === handshakeTypes.helloRequest
      ) {
        this.#drop("unexpected");
        continue;
      }
      const accepted = this.#state === "open" ? "old" : this.#reassembly.accept(fragment);
      if (accepted === "refused") this.#drop("unexpected");
      if (accepted === "old") this.#repeatIfAsked();
    }
    this.#advance();
  }

  /** The peer says again what we answered: our answer may be lost. */
  #repeatIfAsked(): void {
    if (this.#flight === undefined || this.#then !== undefined || !this.#flight.timer.asked(this.#now)) return;
    this.#repeat(this.#flight);
  }

  /** Hands whole messages to the state, as long as there are any and no verdict is awaited. */
  #advance(): void {
    while (this.#state === "handshake" && this.#then === undefined && this.#step !== undefined) {
      const message = this.#reassembly.next();
      if (message === undefined) return;
      if (!this.#step.takes.includes(message.type)) {
        throw new DtlsError("dtls/handshake", `${this.#step.name}, and ${handshakeName(message.type)} came`, {
          alert: alerts.unexpected_message,
          facts: { state: this.#step.name, message: handshakeName(message.type) },
        });
      }
      this.#hint = undefined;
      this.#follow(this.#step.on(message));
    }
  }

  #follow(next: Next): void {
    if (next === "done") {
      this.#open();
    } else if ("ask" in next) {
      this.#then = next.accepted;
      this.#events.push({ type: "verify", request: next.ask });
    } else {
      this.#step = next;
      this.#sendFlight();
      this.#takeEarly();
    }
  }

  #takeVerdict(verdict: Verdict): void {
    const then = this.#then;
    if (then === undefined || this.#state !== "handshake") return;
    this.#then = undefined;
    if (!verdict.accepted) {
      const alert = verdict.alert ?? "bad_certificate";
      throw new DtlsError("dtls/verify", `the peer's certificate is refused: ${verdict.reason}`, {
        alert: alerts[alert],
        facts: { alert },
      });
    }
    this.#follow(then());
    this.#advance();
  }

  #keepEarly({ header, body }: RawRecord): void {
    if (this.#early.length === maxEarly || this.#earlyOctets + body.length > maxEarlyOctets) {
      this.#drop("overflow");
      return;
    }
    this.#earlyOctets += body.length;
    this.#early.push({ header, body: body.slice() });
  }

  /** Records that came before their keys. */
  #takeEarly(): void {
    if (!this.#layer.reads || this.#early.length === 0) return;
    const early = this.#early;
    this.#early = [];
    for (const record of early) this.#takeRecord(record);
  }

  #open(): void {
    const x = this.#exchange;
    this.#flight?.timer.settle();
    const last = x.takeFlight();
    if (last !== undefined) this.#sendItems(last.items, false);
    else this.#flight = undefined;
    this.#state = "open";
    this.#step = undefined;
    this.#facts = factsOf(x, this.#settings.mtu);
    if (this.#settings.keyLog) this.#events.push({ type: "keylog", line: keyLogLine(x.clientRandom, x.master) });
    this.#events.push({ type: "open", facts: this.#facts, session: x.session });
    x.settleDown();
    this.#received.push(...this.#earlyPayloads);
    this.#earlyPayloads = [];
    this.#early = [];
  }

  #sendFlight(): void {
    const flight = this.#exchange.takeFlight();
    if (flight !== undefined) this.#sendItems(flight.items, flight.waits);
  }

  #sendItems(items: readonly FlightItem[], waits: boolean): void {
    const timing = { firstMs: this.#settings.retransmitMs, longestMs: Math.max(3200, this.#settings.retransmitMs) };
    this.#flight = { items, timer: new Retransmission(timing, this.#now, waits) };
    this.#emit(packFlight(items, this.#layer, this.#settings.mtu));
  }

  #repeat({ items, timer }: Flight): void {
    this.statistics.flightsRepeated++;
    const mtu = timer.attempts >= smallerAfter ? Math.min(smallMtu, this.#settings.mtu) : this.#settings.mtu;
    this.#emit(packFlight(items, this.#layer, mtu));
  }

  #sendPayload(payload: Uint8Array): void {
    if (this.#state === "closed") throw new DtlsError("dtls/closed", "the association is closed");
    if (this.#state !== "open" || this.#facts === undefined) {
      throw new DtlsError("usage/state", "the association is not open yet");
    }
    const { maxPayload } = this.#facts;
    if (payload.length > maxPayload) {
      throw new DtlsError(
        "dtls/size",
        `${payload.length} octets do not fit: ${maxPayload} do, in datagrams of ${this.#settings.mtu}`,
        {
          facts: { octets: payload.length, maxPayload, mtu: this.#settings.mtu },
        },
      );
    }
    // The last number is kept for the alert that says goodbye.
    if (this.#layer.written >= this.#settings.maxRecords - 1) {
      const error = new DtlsError("dtls/limit", `${this.#layer.written} records were sent: no number may come twice`);
      this.#close("error", error, { fatal: false, description: alerts.close_notify });
      return;
    }
    this.#emit([this.#layer.seal(contentTypes.applicationData, payload, 1)]);
    this.statistics.recordsOut++;
  }

  #takeAlert(content: Uint8Array, epoch: number): void {
    const alert = readAlert(content);
    if (alert === undefined) {
      this.#drop("malformed");
      return;
    }
    const ends = alert.fatal || alert.description === alerts.close_notify;
    if (!ends) return;
    if (epoch === 0) {
      // Anyone can send this. It counts only if the handshake then stands still: see #checkTime.
      this.#hint ??= alert.description;
      return;
    }
    if (alert.description === alerts.close_notify) {
      this.#close("peer", undefined, { fatal: false, description: alerts.close_notify });
    } else this.#close("peer", alertError(alert.description), undefined);
  }

  #checkTime(): void {
    const { idleTimeoutMs } = this.#settings;
    if (this.#state === "open") {
      if (idleTimeoutMs > 0 && this.#now >= this.#lastHeard + idleTimeoutMs) {
        const error = new DtlsError("dtls/timeout", `nothing came for ${idleTimeoutMs} ms`, {
          facts: { idleTimeoutMs },
        });
        this.#close("idle", error, { fatal: false, description: alerts.close_notify });
      }
      return;
    }
    if (this.#state !== "handshake") return;
    if (this.#now >= this.#deadline) {
      this.#close("error", this.#timeoutError(), undefined);
      return;
    }
    if (this.#then !== undefined || this.#flight === undefined || !this.#flight.timer.due(this.#now)) return;
    if (this.#hint === undefined) this.#repeat(this.#flight);
    else this.#close("peer", alertError(this.#hint), undefined);
  }

  #timeoutError(): DtlsError {
    const state =
      this.#then === undefined ? (this.#step?.name ?? "") : "waiting for the verdict on the peer's certificate";
    const { dropped, flightsRepeated } = this.statistics;
    const { handshakeTimeoutMs } = this.#settings;
    const wrongKey = state.includes("pre-shared key");
    const hint = wrongKey ? ": most likely the two sides hold different pre-shared keys for this identity" : "";
    return new DtlsError("dtls/timeout", `no handshake within ${handshakeTimeoutMs} ms, ${state}${hint}`, {
      facts: { handshakeTimeoutMs, state, flightsRepeated, unauthentic: dropped.unauthentic, wrongKey },
    });
  }

  #fail(error: unknown): void {
    const known =
      error instanceof DtlsError ? error : new DtlsError("bug/unreachable", "the engine failed", { cause: error });
    this.#close("error", known, { fatal: true, description: known.alert ?? alerts.internal_error });
  }

  #close(
    by: "local" | "peer" | "error" | "idle",
    error: DtlsError | undefined,
    alert: { fatal: boolean; description: number } | undefined,
  ): void {
    if (this.#state === "closed") return;
    const epoch = this.#state === "open" ? 1 : this.#exchange.writeEpoch;
    // A hello may come with the last record number there is, and the answer then has none.
    if (alert !== undefined && this.#state !== "new" && this.#layer.hasNumber(epoch)) {
      this.#emit([this.#layer.seal(contentTypes.alert, writeAlert(alert), epoch)]);
    }
    this.#state = "closed";
    this.#then = undefined;
    this.#step = undefined;
    this.#flight = undefined;
    this.#early = [];
    this.#earlyPayloads = [];
    this.#exchange.settleDown();
    this.#layer.dispose();
    this.#events.push({ type: "closed", by, error });
  }

  #wakeAt(): number | undefined {
    if (this.#state === "handshake") {
      const flight = this.#then === undefined ? this.#flight?.timer.wakeAt : undefined;
      return Math.min(this.#deadline, flight ?? this.#deadline);
    }
    if (this.#state !== "open" || this.#settings.idleTimeoutMs === 0) return undefined;
    return this.#lastHeard + this.#settings.idleTimeoutMs;
  }

  #emit(datagrams: readonly Uint8Array[]): void {
    this.statistics.datagramsOut += datagrams.length;
    this.#send.push(...datagrams);
  }

  #drop(reason: DropReason): void {
    this.statistics.dropped[reason]++;
  }
}

function alertError(description: number): DtlsError {
  const alert = alertName(description);
  return new DtlsError("dtls/alert", `the peer ended the handshake or the association: ${alert}`, { facts: { alert } });
}
