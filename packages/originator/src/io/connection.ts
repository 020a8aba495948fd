import { Qos } from "@cipsec/objects";
import {
  sharedWheel,
  watchSilence,
  type Cancel,
  type ChannelFacts,
  type DatagramPath,
  type Repeat,
  type TimerWheel,
} from "@cipsec/transport";
import { IoWriter, TransportError, UsageError, isNewer16, readIoData, timeoutFactor, type IoFrame } from "@cipsec/wire";
import type { Session } from "../session.ts";
import type { Protection } from "../trust.ts";
import { forwardClose } from "./forward-close.ts";
import { forwardOpen, fullPath, type IoGrant } from "./forward-open.ts";
import { openUdpGate, type IoGate, type OpenGate } from "./gate.ts";
import type { IoRequest } from "./request.ts";
import { Arrivals, type IoStatistics } from "./statistics.ts";
import type { UnansweredOpens } from "./unanswered.ts";

/** What a packet says beside its data. */
export interface InputState {
  /** Whether the producer runs; `undefined` where the format does not tell. */
  readonly run: boolean | undefined;
  /** False for a packet that only told a change of run and idle. */
  readonly isNew: boolean;
}

/** How an I/O connection is used. */
export interface IoOptions {
  /** Gets new input data, good during the call only: copy what is kept. */
  readonly onInput?: (data: Uint8Array, state: InputState) => void;
  /** What is sent first; zeros where left out. */
  readonly output?: Uint8Array;
  /** Default true. */
  readonly run?: boolean;
  /** Default {@link openUdpGate}; a session over DTLS carries its I/O itself. */
  readonly openGate?: OpenGate;
  readonly wheel?: TimerWheel;
  /** Send I/O without protection though the session is secured. */
  readonly allowPlainIo?: boolean;
  /**
   * What the association does for this connection's data; default what that of the session does. Another protection takes another
   * association with the device, shared by the connections of the session that ask for it.
   */
  readonly protection?: Protection;
  /** Differentiated services code point of what goes out; default what the QoS Object has for the priority. */
  readonly dscp?: number;
  /** Earlier tries of this connection that no answer came to; closed before it is opened. One for each connection that is kept. */
  readonly unanswered?: UnansweredOpens;
  readonly signal?: AbortSignal;
}

/** Why a connection ended. `lost`: the association that carried it ended. */
export interface IoEnd {
  readonly reason: "closed" | "timed-out" | "lost";
  readonly error?: Error;
}

/** An open I/O connection. */
export interface IoConnection extends AsyncDisposable {
  readonly granted: IoGrant;
  readonly isOpen: boolean;
  /** Facts of the way that data takes. */
  readonly facts: ChannelFacts;
  /** Code point that our packets carry; `undefined` where they go unmarked, as the runtime cannot mark UDP. */
  readonly dscp: number | undefined;
  /** Settles when the connection has ended; never rejects. */
  readonly ended: Promise<IoEnd>;
  /** Output data from now on; it goes out at the next interval, or at once where the trigger is change of state. */
  setOutput(data: Uint8Array): void;
  /** Run, or idle. */
  setRun(isRun: boolean): void;
  /** Sends now, where the trigger is the application's; not sooner than the inhibit time allows. */
  send(): void;
  statistics(): IoStatistics;
  /** Forgets the times between packets until now, for a measurement that begins here: opening is not what it is to tell. */
  restartIntervals(): void;
  /** Times between packets since the last call, for a report that is repeated; the first gives all until now. */
  takeIntervals(): IoStatistics["intervalMicros"];
  /** Forward_Close. Safe to call twice; a device that is gone is no error. */
  close(): Promise<void>;
}

/** What to do where not one packet has come. */
const firstPacketFixes = {
  plain: "Check that UDP port 2222 passes both ways, and that multicast reaches this machine where it is used.",
  secured: "The device answers on this association but sends no data on it: look into its diagnostics.",
} as const;

/** A first packet may take this long, however short the interval. @see reference ethernet-ip.md 6.14 */
const firstPacketMicros = 10_000_000;

/**
 * Opens an I/O connection. Packets go out at the granted interval from the moment of the answer on: over the association of the
 * session where that is DTLS, else from UDP port 2222.
 *
 * @throws {PeerError} `cip/status` with cause, fix and `facts.field` when Forward_Open is refused; `cip/mismatch`.
 * @throws {TransportError} `transport/address` when no UDP port can be bound; whatever the session throws.
 * @throws {UsageError} `usage/state` when data would go unprotected beside a secured session, or a protection is asked for on a
 *   session that is not over DTLS.
 * @throws {PeerError} `tls/alert` with `facts.protection` when the device allows no suite of the protection asked for.
 * @see CIP Vol 1, 3-5.5.2; reference ethernet-ip.md 6
 */
export async function openIo(session: Session, request: IoRequest, options: IoOptions = {}): Promise<IoConnection> {
  const { protection, signal } = options;
  if (protection === undefined) return openOn(session, request, options);
  const lease = await session.leaseProtected(protection, signal);
  try {
    return await openOn(lease.session, request, options, () => lease.release());
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** @param alsoRelease Gives back what the connection needs beside its gate. */
async function openOn(
  session: Session,
  request: IoRequest,
  options: IoOptions,
  alsoRelease?: () => Promise<void>,
): Promise<IoConnection> {
  const openGate = options.openGate ?? openUdpGate;
  const own = (await session.ioGate(options.signal)) ?? (await openGate(addressesOf(session)));
  const gate = alsoRelease === undefined ? own : releasing(own, alsoRelease);
  const { remote } = session.facts;
  try {
    const probe = gate.path({ address: remote.address, port: 1 }).facts;
    if (session.facts.security !== undefined && probe.security === undefined && options.allowPlainIo !== true)
      throw new UsageError(
        "usage/state",
        `${session.peer}: the session is secured, but its I/O would go in the clear`,
        {
          fix: "Carry I/O over DTLS, or allow plain I/O explicitly.",
        },
      );
    const grant = await forwardOpen(session, request, gate, options);
    return new Connection(session, request, grant, gate, options);
  } catch (error) {
    await gate.release();
    throw error;
  }
}

function releasing(gate: IoGate, also: () => Promise<void>): IoGate {
  return {
    port: gate.port,
    path: (remote, options) => gate.path(remote, options),
    newConnectionId: () => gate.newConnectionId(),
    receive: (id, from, receiver) => gate.receive(id, from, receiver),
    join: (group) => gate.join(group),
    leave: (group) => gate.leave(group),
    onLost: (listener) => gate.onLost?.(listener) ?? (() => undefined),
    async release() {
      await gate.release();
      await also();
    },
  };
}

/** Code points by priority, low first. @see reference ethernet-ip.md 7.9 */
const { dscpLow, dscpHigh, dscpScheduled, dscpUrgent } = Qos.attributes;
const dscpByPriority = {
  low: dscpLow.default,
  high: dscpHigh.default,
  scheduled: dscpScheduled.default,
  urgent: dscpUrgent.default,
} as const;

function addressesOf({ facts: { local, remote } }: Session): Parameters<OpenGate>[0] {
  return { local: local.address, remote: remote.address };
}

class Connection implements IoConnection {
  readonly granted: IoGrant;
  readonly ended: Promise<IoEnd>;
  readonly #session: Session;
  readonly #request: IoRequest;
  readonly #gate: IoGate;
  readonly #options: IoOptions;
  readonly #wheel: TimerWheel;
  readonly #path: DatagramPath;
  readonly #arrivals: Arrivals;
  readonly #transportClass: 0 | 1;
  readonly #openedMs: number;
  readonly #timeoutMicros: number;
  readonly #inhibitMicros: number;
  readonly #unsubscribe: () => void;
  readonly #end: (end: IoEnd) => void;
  readonly #writer: IoWriter | undefined;
  #forgetLoss: (() => void) | undefined;
  #production: Repeat | undefined;
  #cancelWatchdog: Cancel = () => undefined;
  #cancelInhibited: Cancel | undefined;
  #sent = 0;
  #lastSentMs = -Infinity;
  #lastInputMs: number | undefined;
  #lastCount: number | undefined;
  #lastRun: boolean | undefined;
  #isEnded = false;
  #closing: Promise<void> | undefined;

  constructor(session: Session, request: IoRequest, granted: IoGrant, gate: IoGate, options: IoOptions) {
    this.granted = granted;
    this.#session = session;
    this.#request = request;
    this.#gate = gate;
    this.#options = options;
    this.#wheel = options.wheel ?? sharedWheel();
    this.#transportClass = request.transportClass ?? 1;
    this.#openedMs = session.clock.now();
    this.#arrivals = new Arrivals(granted.tToOApiMicros);
    const factor = timeoutFactor(granted.timeoutMultiplier) ?? 4;
    this.#timeoutMicros = granted.tToOApiMicros * factor;
    this.#inhibitMicros = request.inhibitMicros ?? granted.oToTApiMicros / 4;
    const { promise, resolve } = Promise.withResolvers<IoEnd>();
    this.ended = promise;
    this.#end = resolve;
    this.#path = gate.path(granted.remote, {
      dscp: options.dscp ?? dscpByPriority[request.oToT.priority ?? "scheduled"],
    });
    this.#unsubscribe = gate.receive(granted.tToOConnectionId, granted.remote.address, (frame) => this.#receive(frame));
    if (granted.group !== undefined) gate.join(granted.group);
    this.#writer = request.oToT.type === "null" ? undefined : this.#makeWriter();
    this.#produce();
    if (request.tToO.type !== "null") this.#watch(Math.max(firstPacketMicros, this.#timeoutMicros));
    this.#forgetLoss = gate.onLost?.((error) => this.#lose(error));
  }

  get isOpen(): boolean {
    return !this.#isEnded;
  }

  get facts(): ChannelFacts {
    return this.#path.facts;
  }

  get dscp(): number | undefined {
    return this.#path.dscp;
  }

  setOutput(data: Uint8Array): void {
    this.#writer?.setData(data);
    if (this.#request.trigger === "change-of-state") this.#sendSoon();
  }

  setRun(isRun: boolean): void {
    this.#writer?.setRun(isRun);
    if (this.#request.trigger === "change-of-state") this.#sendSoon();
  }

  send(): void {
    if ((this.#request.trigger ?? "cyclic") !== "cyclic") this.#sendSoon();
  }

  statistics(): IoStatistics {
    const { received, lost, late, duplicates, outOfOrder, malformed } = this.#arrivals;
    const seconds = (this.#session.clock.now() - this.#openedMs) / 1000;
    return {
      seconds,
      sent: this.#sent,
      sendMissed: this.#production?.missed ?? 0,
      received,
      receivedPerSecond: seconds > 0 ? received / seconds : 0,
      lost,
      late,
      duplicates,
      outOfOrder,
      malformed,
      intervalMicros: this.#arrivals.intervals(),
    };
  }

  restartIntervals(): void {
    this.#arrivals.restartIntervals();
  }

  takeIntervals(): IoStatistics["intervalMicros"] {
    return this.#arrivals.takeIntervals();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #makeWriter(): IoWriter {
    const { oToTConnectionId, oToTFormat, oToTSize } = this.granted;
    const writer = new IoWriter({
      connectionId: oToTConnectionId,
      transportClass: this.#transportClass,
      format: oToTFormat,
      size: oToTSize,
    });
    if (this.#options.output !== undefined) writer.setData(this.#options.output);
    writer.setRun(this.#options.run ?? true);
    return writer;
  }

  /** At once, and at each granted interval: some targets send nothing before they have received something. */
  #produce(): void {
    if (this.#writer === undefined) return;
    const tick = (): void => this.#sendNow();
    this.#production = this.#wheel.every(this.granted.oToTApiMicros, tick);
    this.#sendNow();
  }

  #sendNow(): void {
    if (this.#writer === undefined || this.#isEnded) return;
    this.#path.send(this.#writer.next());
    this.#sent += 1;
    if ((this.#request.trigger ?? "cyclic") !== "cyclic") this.#lastSentMs = this.#session.clock.now();
  }

  /** Now, or when the inhibit time has passed; what changes until then goes in the same packet. */
  #sendSoon(): void {
    if (this.#cancelInhibited !== undefined || this.#isEnded) return;
    const waitMicros = this.#inhibitMicros - (this.#session.clock.now() - this.#lastSentMs) * 1000;
    if (waitMicros <= 0) return this.#sendNow();
    this.#cancelInhibited = this.#wheel.after(waitMicros, () => {
      this.#cancelInhibited = undefined;
      this.#sendNow();
    });
  }

  #watch(limitMicros: number): void {
    this.#cancelWatchdog = watchSilence(this.#wheel, {
      limitMicros,
      silenceMicros: () => this.#sinceInputMicros(),
      graceMicros: this.granted.tToOApiMicros,
      expired: () => this.#timeOut(),
    });
  }

  /** The long wait for the first packet is over. */
  #rewatch(): void {
    this.#cancelWatchdog();
    this.#watch(this.#timeoutMicros);
  }

  #sinceInputMicros(): number {
    return this.#lastInputMs === undefined ? Infinity : (this.#session.clock.now() - this.#lastInputMs) * 1000;
  }

  #receive({ sequence, data }: IoFrame): void {
    if (this.#isEnded) return;
    const arrivals = this.#arrivals;
    const arrival = arrivals.judge(sequence);
    if (arrival === "duplicate" || arrival === "old") return arrivals.drop(arrival);
    const { tToOFormat, tToOSize } = this.granted;
    const input = readIoData(data, this.#transportClass, tToOFormat);
    if (input === undefined || !this.#fits(input.data.length, tToOSize)) {
      arrivals.malformed += 1;
      return undefined;
    }
    const nowMs = this.#session.clock.now();
    arrivals.take(sequence, arrival, nowMs * 1000);
    this.#lastInputMs = nowMs;
    if (arrival === "first") this.#rewatch();
    const last = this.#lastCount;
    const isNew = input.count === undefined || last === undefined || isNewer16(input.count, last);
    if (isNew) this.#lastCount = input.count;
    const hasTurned = input.run !== this.#lastRun;
    this.#lastRun = input.run;
    if (isNew || hasTurned) this.#options.onInput?.(input.data, { run: input.run, isNew });
    return undefined;
  }

  #fits(octets: number, size: number): boolean {
    const { format, variable } = this.#request.tToO;
    return octets === size || ((variable === true || format === "zero-length") && octets < size);
  }

  #timeOut(): void {
    const ms = Math.round(this.#timeoutMicros / 1000);
    const never = this.#arrivals.received === 0;
    const error = new TransportError(
      "transport/timeout",
      `${this.#session.peer}: no I/O packet ${never ? "came at all" : `in ${ms} ms`}`,
      {
        facts: { timeoutMs: ms, received: this.#arrivals.received },
        fix: never
          ? firstPacketFixes[this.facts.security === undefined ? "plain" : "secured"]
          : "Check cable, switch and the device; allow more intervals where the network loses packets.",
      },
    );
    this.#stop({ reason: "timed-out", error });
    // Where the device still has its half, it need not hold the outputs until its own watchdog ends them.
    // A device that has restarted knows nothing of the association, and nobody tells us: the next request opens another.
    const since = this.#lastInputMs ?? this.#openedMs;
    if (this.#session.isConnected) this.#closeAtTarget().catch(() => this.#session.dropIfSilent(since));
    void this.#gate.release();
  }

  /** The association is gone, and the device closes what went over it. */
  #lose(error: Error): void {
    if (this.#isEnded) return;
    this.#stop({ reason: "lost", error });
    void this.#gate.release();
  }

  async #close(): Promise<void> {
    if (this.#isEnded) return;
    this.#stop({ reason: "closed" });
    try {
      // Targets end idle TCP connections while I/O runs: the session dials again for this.
      if (this.#session.isConnected || this.#sinceInputMicros() < this.#timeoutMicros) await this.#closeAtTarget();
    } catch (error) {
      // The device is gone or busy: its watchdog closes what we could not.
      if (!(error instanceof TransportError)) throw error;
    } finally {
      await this.#gate.release();
    }
  }

  async #closeAtTarget(): Promise<void> {
    await forwardClose(this.#session, this.granted.triad, fullPath(this.#request));
  }

  #stop(end: IoEnd): void {
    this.#isEnded = true;
    this.#production?.cancel();
    this.#cancelWatchdog();
    this.#cancelInhibited?.();
    this.#unsubscribe();
    this.#forgetLoss?.();
    if (this.granted.group !== undefined) this.#gate.leave(this.granted.group);
    this.#end(end);
  }
}
