import { systemClock, type ChannelFacts, type Clock, type TimerWheel } from "@cipsec/transport";
import { TransportError, UsageError } from "@cipsec/wire";
import { formatTarget, type TargetAddress } from "../address.ts";
import { connect, type ConnectOptions } from "../connect.ts";
import type { SecurityOptions } from "../trust.ts";
import { delay } from "../waiting.ts";
import { defaultBackoff, waitAfter, type BackoffPolicy } from "./backoff.ts";
import { openIo, type InputState, type IoConnection, type IoOptions } from "./connection.ts";
import type { IoGrant } from "./forward-open.ts";
import type { OpenGate } from "./gate.ts";
import type { IoRequest } from "./request.ts";
import { SessionPool, type Lease } from "./session-pool.ts";
import type { IoStatistics } from "./statistics.ts";
import { nextSession, type ReopenPolicy } from "./reopen.ts";
import { UnansweredOpens } from "./unanswered.ts";

/** Where a scanned connection stands. `failed`: what it asks for cannot be, so it is not tried again. */
export type ScanState = "connecting" | "opening" | "running" | "waiting" | "failed" | "stopped";

/** A change of state. */
export interface StateChange {
  readonly name: string;
  readonly state: ScanState;
  /** Why it does not run. */
  readonly reason?: Error;
  /** Milliseconds until the next try, where it waits. */
  readonly retryInMs?: number;
  /** What the target granted, where it runs. */
  readonly granted?: IoGrant;
  /** It is opened anew by plan: the association that carried it is replaced before its certificates end. */
  readonly isPlanned?: true;
}

/** One connection to keep. */
export interface ScanEntry {
  /** Unique in its scanner. */
  readonly name: string;
  readonly target: TargetAddress;
  readonly request: IoRequest;
  readonly onInput?: (data: Uint8Array, state: InputState) => void;
  readonly output?: Uint8Array;
  readonly run?: boolean;
  readonly allowPlainIo?: boolean;
  /** As for `openIo`. */
  readonly protection?: IoOptions["protection"];
}

/** What the connections of a scanner share. */
export interface ScannerOptions {
  readonly connect?: ConnectOptions;
  readonly openGate?: OpenGate;
  readonly wheel?: TimerWheel;
  readonly clock?: Clock;
  readonly backoff?: Partial<BackoffPolicy>;
  /**
   * Replace associations before their certificates end. Without it they are used until an end refuses them: for an exclusive owner
   * the gap is one in the outputs, and when a line can have one is for its owner to say.
   */
  readonly reopen?: ReopenPolicy;
  readonly onState?: (change: StateChange) => void;
}

/** What became of a connection over all its lives. */
export interface ScanStatistics {
  /** Of the connection that runs now. */
  readonly current: IoStatistics | undefined;
  readonly opens: number;
  readonly refusals: number;
  /** Connections that ended by their watchdog, or with the association that carried them. */
  readonly timeouts: number;
  /** Times that it was opened anew by plan; these count among the opens too. */
  readonly reopens: number;
  /** Of all connections, the one that runs included. */
  readonly total: Pick<IoStatistics, "sent" | "received" | "lost" | "late">;
}

/** A connection that its scanner keeps. */
export interface ScannedConnection {
  readonly name: string;
  readonly state: ScanState;
  /** Why it does not run, where it does not. */
  readonly reason: Error | undefined;
  readonly granted: IoGrant | undefined;
  /** Facts of the way that its data takes, while it runs. */
  readonly facts: ChannelFacts | undefined;
  /** As of the connection that runs now. */
  readonly dscp: number | undefined;
  /** Kept over reconnects: what is set while it does not run goes out when it does. */
  setOutput(data: Uint8Array): void;
  setRun(isRun: boolean): void;
  statistics(): ScanStatistics;
  /** As that of the connection that runs now, if one does. */
  restartIntervals(): void;
  /** {@link IoConnection.takeIntervals} of the connection that runs now. */
  takeIntervals(): IoStatistics["intervalMicros"] | undefined;
  /** Closes it and takes it out of the scanner. */
  stop(): Promise<void>;
}

/** Reconnecting is the scanner's own: a session tries once. */
const dialOnce = { attempts: 1, firstDelayMs: 0, maxDelayMs: 0 } as const;

/**
 * Keeps many I/O connections to many devices: one session a device, one UDP port a local address, one timer. Each connection
 * comes back by itself after a refusal, a restart of the device or a pulled cable, and says what it does.
 *
 * @see reference ethernet-ip.md 6.14, 6.15
 */
export class Scanner implements AsyncDisposable {
  readonly #options: ScannerOptions;
  readonly #sessions = new SessionPool();
  readonly #kept = new Map<string, Kept>();
  /** What {@link Scanner.renew} gave. */
  #security: SecurityOptions | undefined;
  #renewed = Promise.withResolvers<void>();

  constructor(options: ScannerOptions = {}) {
    this.#options = options;
  }

  /** Names and connections, in the order they were added. */
  get connections(): readonly ScannedConnection[] {
    return [...this.#kept.values()];
  }

  /** Devices with an open session. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Opens a connection and keeps it. @throws {UsageError} `usage/argument` for a name that is taken. */
  add(entry: ScanEntry): ScannedConnection {
    if (this.#kept.has(entry.name))
      throw new UsageError("usage/argument", `the scanner has a connection '${entry.name}' already`);
    const scanned: Scanned = {
      options: this.#optionsNow(),
      sessions: this.#sessions,
      renewed: () => this.#renewed.promise,
      remove: () => this.#kept.delete(entry.name),
    };
    const kept = new Kept(entry, scanned);
    this.#kept.set(entry.name, kept);
    return kept;
  }

  /**
   * Other credentials, authorities or revocation lists from now on: new sessions are opened by them, and devices that would be
   * refused now lose theirs at once, with the connections that go by it. The others go on as they are.
   */
  renew(security: SecurityOptions): void {
    this.#security = security;
    const { resolve } = this.#renewed;
    this.#renewed = Promise.withResolvers<void>();
    resolve();
    for (const kept of this.#kept.values()) kept.judge(security);
  }

  #optionsNow(): ScannerOptions {
    const { security } = this.#options.connect ?? {};
    if (security === undefined) return this.#options;
    return { ...this.#options, connect: { ...this.#options.connect, securityNow: () => this.#security ?? security } };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#kept.values()].map((kept) => kept.stop()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** What a connection has of its scanner. */
interface Scanned {
  readonly options: ScannerOptions;
  readonly sessions: SessionPool;
  /** Settles with the next {@link Scanner.renew}. */
  readonly renewed: () => Promise<void>;
  readonly remove: () => void;
}

class Kept implements ScannedConnection {
  readonly name: string;
  readonly #entry: ScanEntry;
  readonly #options: ScannerOptions;
  readonly #scanned: Scanned;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  readonly #unanswered = new UnansweredOpens();
  readonly #past = { sent: 0, received: 0, lost: 0, late: 0 };
  #state: ScanState = "connecting";
  #reason: Error | undefined;
  #output: Uint8Array | undefined;
  #isRun: boolean;
  #io: IoConnection | undefined;
  #lease: Lease | undefined;
  #opens = 0;
  #refusals = 0;
  #timeouts = 0;
  #reopens = 0;

  constructor(entry: ScanEntry, scanned: Scanned) {
    this.name = entry.name;
    this.#entry = entry;
    this.#options = scanned.options;
    this.#scanned = scanned;
    this.#output = entry.output;
    this.#isRun = entry.run ?? true;
    this.#done = this.#keep();
  }

  get state(): ScanState {
    return this.#state;
  }

  get reason(): Error | undefined {
    return this.#reason;
  }

  get granted(): IoGrant | undefined {
    return this.#io?.granted;
  }

  get facts(): ChannelFacts | undefined {
    return this.#io?.facts;
  }

  get dscp(): number | undefined {
    return this.#io?.dscp;
  }

  setOutput(data: Uint8Array): void {
    this.#output = data.slice();
    this.#io?.setOutput(data);
  }

  setRun(isRun: boolean): void {
    this.#isRun = isRun;
    this.#io?.setRun(isRun);
  }

  statistics(): ScanStatistics {
    const current = this.#io?.statistics();
    const { sent, received, lost, late } = this.#past;
    return {
      current,
      opens: this.#opens,
      refusals: this.#refusals,
      timeouts: this.#timeouts,
      reopens: this.#reopens,
      total: {
        sent: sent + (current?.sent ?? 0),
        received: received + (current?.received ?? 0),
        lost: lost + (current?.lost ?? 0),
        late: late + (current?.late ?? 0),
      },
    };
  }

  restartIntervals(): void {
    this.#io?.restartIntervals();
  }

  takeIntervals(): IoStatistics["intervalMicros"] | undefined {
    return this.#io?.takeIntervals();
  }

  /** Ends what it has with a device that these options refuse. */
  judge(security: SecurityOptions): void {
    const session = this.#lease?.session;
    if (session === undefined || !session.isConnected || session.judge(security).ok) return;
    // Over an association its data end with it; else they have a way of their own, which has to be closed first.
    const closed = session.isLossy ? Promise.resolve() : (this.#io?.close() ?? Promise.resolve());
    void closed.catch(() => undefined).then(() => session.drop());
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  async #keep(): Promise<void> {
    // A turn later, so that whoever adds it can hold it before its first change of state.
    await Promise.resolve();
    let failures = 0;
    while (!this.#abort.signal.aborted) {
      const openedBefore = this.#opens;
      const reason = await this.#live();
      if (this.#abort.signal.aborted) break;
      failures = this.#opens > openedBefore ? 1 : failures + 1;
      if (reason instanceof UsageError) {
        this.#tell("failed", { reason });
        break;
      }
      const policy = { ...defaultBackoff, ...this.#options.backoff };
      const retryInMs = waitAfter(reason, failures, this.#entry.request, policy);
      this.#tell("waiting", { reason, retryInMs });
      await delay(this.#clock(), retryInMs, this.#abort.signal).catch(() => undefined);
    }
    await this.#lease?.release().catch(() => undefined);
    this.#scanned.remove();
    if (this.#state !== "failed") this.#tell("stopped", {});
  }

  /** One life of the connection: from dialling to its end, and why it ended. */
  async #live(): Promise<Error> {
    const { signal } = this.#abort;
    try {
      let lease = await this.#leased();
      let planned: Pick<StateChange, "isPlanned"> = {};
      for (;;) {
        this.#tell("opening", planned);
        const io = await openIo(lease.session, this.#entry.request, this.#ioOptions());
        this.#io = io;
        this.#opens += 1;
        this.#tell("running", { granted: io.granted, ...planned });
        const next = await this.#ended(io);
        if (next instanceof Error || next === undefined) {
          if (signal.aborted) await io.close().catch(() => undefined);
          else this.#timeouts += 1;
          return next ?? new TransportError("transport/closed", `${this.name}: the connection was closed`);
        }
        // The device takes one owner at a time: the old one has to be closed first.
        await io.close().catch(() => undefined);
        this.#bury();
        const old = lease;
        this.#lease = lease = next;
        this.#reopens += 1;
        await old.release().catch(() => undefined);
        planned = { isPlanned: true };
      }
    } catch (error) {
      const reason = error instanceof Error ? error : new TransportError("transport/closed", String(error));
      // Nobody answers on that channel: the next try dials anew, and does not wait for it again.
      if (reason instanceof TransportError) this.#lease?.session.drop();
      else this.#refusals += 1;
      return reason;
    } finally {
      this.#bury();
    }
  }

  async #leased(): Promise<Lease> {
    if (this.#lease !== undefined) return this.#lease;
    this.#tell("connecting", {});
    this.#lease = await this.#openLease();
    return this.#lease;
  }

  async #openLease(): Promise<Lease> {
    const { target, protection } = this.#entry;
    const options: ConnectOptions = { reconnect: dialOnce, ...this.#options.connect };
    const security =
      protection === undefined || options.security === undefined
        ? {}
        : { security: { ...options.security, protection } };
    return await this.#scanned.sessions.lease(this.#key(), () => connect(target, { ...options, ...security }));
  }

  #key(): string {
    const { target, protection } = this.#entry;
    return `${formatTarget(target)} ${protection ?? ""}`;
  }

  #ioOptions(): Parameters<typeof openIo>[2] {
    const { onInput, allowPlainIo, protection } = this.#entry;
    const { openGate, wheel } = this.#options;
    return {
      run: this.#isRun,
      signal: this.#abort.signal,
      unanswered: this.#unanswered,
      ...(this.#output === undefined ? {} : { output: this.#output }),
      ...(onInput === undefined ? {} : { onInput }),
      ...(allowPlainIo === undefined ? {} : { allowPlainIo }),
      ...(protection === undefined ? {} : { protection }),
      ...(openGate === undefined ? {} : { openGate }),
      ...(wheel === undefined ? {} : { wheel }),
    };
  }

  /** Waits for the end of the connection, for being stopped, or for another session to go on over. */
  async #ended(io: IoConnection): Promise<Error | Lease | undefined> {
    const { signal } = this.#abort;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const stopped = (): void => resolve(undefined);
    signal.addEventListener("abort", stopped, { once: true });
    if (signal.aborted) stopped();
    const planning = new AbortController();
    const next = this.#replacement(AbortSignal.any([signal, planning.signal]));
    let end: Error | Lease | undefined;
    try {
      end = await Promise.race([io.ended.then(({ error }) => error), promise, ...(next === undefined ? [] : [next])]);
      return end;
    } finally {
      signal.removeEventListener("abort", stopped);
      planning.abort();
      // What came too late is given back.
      void next
        ?.then(
          (lease) => (lease === end ? undefined : lease.release()),
          () => undefined,
        )
        .catch(() => undefined);
    }
  }

  /** Another session with the device, when it is time; never where nobody asked for that. */
  #replacement(signal: AbortSignal): Promise<Lease> | undefined {
    const { reopen, connect: how } = this.#options;
    const session = this.#lease?.session;
    if (reopen === undefined || session === undefined) return undefined;
    const next = nextSession({
      name: this.name,
      session,
      clock: this.#clock(),
      policy: reopen,
      ownNow: () => (how?.securityNow?.() ?? how?.security)?.certificate?.chain[0]?.facts.sha256,
      renewed: this.#scanned.renewed,
      open: async () => {
        this.#scanned.sessions.retire(this.#key(), session);
        return await this.#openLease();
      },
      signal,
    });
    // Ends with the connection; a failure of ours would show in tests, and must not end the connection.
    return next.catch(async () => await new Promise<Lease>(() => undefined));
  }

  /** Keeps the counts of a connection that has ended. */
  #bury(): void {
    const last = this.#io?.statistics();
    this.#io = undefined;
    if (last === undefined) return;
    this.#past.sent += last.sent;
    this.#past.received += last.received;
    this.#past.lost += last.lost;
    this.#past.late += last.late;
  }

  #clock(): Clock {
    return this.#options.clock ?? systemClock;
  }

  #tell(state: ScanState, facts: Omit<StateChange, "name" | "state">): void {
    this.#state = state;
    this.#reason = facts.reason;
    this.#options.onState?.({ name: this.name, state, ...facts });
  }
}
