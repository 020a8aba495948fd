import { randomInt } from "node:crypto";
import type { Clock } from "@cipsec/transport";
import type { NetworkParameters, Segment, Triad } from "@cipsec/wire";
import { watchSilence, type SilenceWatch } from "./silence.ts";

/** An open class 3 connection. */
export interface Class3Connection extends Triad {
  /** Number among all connections of the device. */
  readonly number: number;
  /** Chosen by us; the originator addresses its messages with it. */
  readonly oToTConnectionId: number;
  /** Chosen by the originator; our replies carry it. */
  readonly tToOConnectionId: number;
  /** The encapsulation session that it lives on. */
  readonly session: number;
  /** Who opened it: the proven identity where there is one, otherwise the address. */
  readonly owner: string;
  readonly oToTRpiMicros: number;
  readonly tToORpiMicros: number;
  readonly timeoutMultiplier: number;
  readonly oToT: NetworkParameters;
  readonly tToO: NetworkParameters;
  readonly path: readonly Segment[];
  /** Sequence count of the last request, and the reply that it got: a repeat gets that again without being executed. */
  lastSequence: number | undefined;
  lastReply: Uint8Array | undefined;
}

interface Kept {
  readonly connection: Class3Connection;
  readonly watch: SilenceWatch;
}

/** The first message may take longer than the interval asks for. @see reference ethernet-ip.md 6.14 */
const firstWaitMs = 10_000;

/** The longest wait that a timer of the runtime can have: 24.8 days. One that asks for more would fire at once. */
const longestWaitMs = 0x7fff_ffff;

/**
 * The device's class 3 connections, each with its inactivity watchdog: interval times multiplier, at least 10 s before the
 * first message. Ids have a random upper half drawn at start and count up below it, so that they do not repeat after a restart.
 *
 * @see CIP Vol 1, 3-4.6; reference ethernet-ip.md 6.7, 6.14
 */
export class ConnectionTable {
  readonly #clock: Clock;
  readonly #timedOut: (connection: Class3Connection) => void;
  readonly #byId = new Map<number, Kept>();
  readonly #incarnation = randomInt(1, 0xffff) * 0x1_0000;
  #next = randomInt(0, 0xffff);

  constructor(clock: Clock, timedOut: (connection: Class3Connection) => void) {
    this.#clock = clock;
    this.#timedOut = timedOut;
  }

  get size(): number {
    return this.#byId.size;
  }

  get connections(): readonly Class3Connection[] {
    return Array.from(this.#byId.values(), ({ connection }) => connection);
  }

  /** Connections that an owner has open. */
  countOf(owner: string): number {
    let count = 0;
    for (const { connection } of this.#byId.values()) if (connection.owner === owner) count += 1;
    return count;
  }

  /** An id that no open connection has. */
  freeId(): number {
    do this.#next = (this.#next + 1) & 0xffff;
    while (this.#byId.has(this.#incarnation + this.#next));
    return this.#incarnation + this.#next;
  }

  open(connection: Class3Connection): void {
    const watch = watchSilence(this.#clock, Math.max(firstWaitMs, watchdogMs(connection)), () => {
      this.close(connection);
      this.#timedOut(connection);
    });
    this.#byId.set(connection.oToTConnectionId, { connection, watch });
  }

  /** The connection that a message of this session addresses. */
  find(id: number, session: number): Class3Connection | undefined {
    const kept = this.#byId.get(id);
    return kept?.connection.session === session ? kept.connection : undefined;
  }

  /** Starts the watchdog anew: a message came. */
  touch(connection: Class3Connection): void {
    this.#byId.get(connection.oToTConnectionId)?.watch.heard(watchdogMs(connection));
  }

  close(connection: Class3Connection): void {
    this.#byId.get(connection.oToTConnectionId)?.watch.stop();
    this.#byId.delete(connection.oToTConnectionId);
  }

  /** Closes what a session that has ended leaves. */
  closeSession(session: number): void {
    for (const { connection } of this.#byId.values()) if (connection.session === session) this.close(connection);
  }
}

/** Silence in milliseconds after which a connection is given up. */
export function watchdogMs(connection: { readonly oToTRpiMicros: number; readonly timeoutMultiplier: number }): number {
  return Math.min((connection.oToTRpiMicros * 4 * 2 ** connection.timeoutMultiplier) / 1000, longestWaitMs);
}
