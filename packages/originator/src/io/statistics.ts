import { isNewer32 } from "@cipsec/wire";
import { Histogram } from "./histogram.ts";

/** What happened on a connection since it opened. Times are in microseconds. */
export interface IoStatistics {
  readonly seconds: number;
  readonly sent: number;
  /** Turns to send that were left out because the process was late by a whole interval. */
  readonly sendMissed: number;
  /** Packets taken, those with unchanged data counted. */
  readonly received: number;
  readonly receivedPerSecond: number;
  /** Sequence numbers that never came, or came behind a later one. */
  readonly lost: number;
  /** Packets that came more than half an interval behind their turn, with none lost between. */
  readonly late: number;
  readonly duplicates: number;
  /** Packets that came behind a later one; they are not given to the application. */
  readonly outOfOrder: number;
  /** Packets of the wrong length. */
  readonly malformed: number;
  /** Time between packets taken. */
  readonly intervalMicros: {
    readonly p1: number;
    readonly p50: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
}

/** What a packet's sequence number says of it. */
export type Arrival = "first" | "next" | "gap" | "duplicate" | "old";

/** A larger jump is a producer that started over, or a forged packet: it says nothing of losses. */
const maxGap = 1_000_000;

/** Counts what comes in on one connection, in fixed memory. */
export class Arrivals {
  readonly #intervals = new Histogram();
  /** Intervals since the last report; nothing where nobody reports. */
  #recent: Histogram | undefined;
  #lateAboveMicros = Infinity;
  #last: number | undefined;
  #lastMicros = 0;
  received = 0;
  lost = 0;
  late = 0;
  duplicates = 0;
  outOfOrder = 0;
  malformed = 0;

  /** @param apiMicros The interval that the target has granted. */
  constructor(apiMicros: number) {
    this.#lateAboveMicros = apiMicros * 1.5;
  }

  /**
   * Judges a sequence number by the modular comparison of the standard; the first is taken whatever it is.
   *
   * @see reference ethernet-ip.md 6.13
   */
  judge(sequence: number | undefined): Arrival {
    const last = this.#last;
    if (sequence === undefined) return this.received === 0 ? "first" : "next";
    if (last === undefined) return "first";
    if (sequence === last) return "duplicate";
    if (!isNewer32(sequence, last)) return "old";
    return (sequence - last) >>> 0 === 1 ? "next" : "gap";
  }

  /** Counts a packet that is not taken. */
  drop(arrival: "duplicate" | "old"): void {
    if (arrival === "duplicate") this.duplicates += 1;
    else this.outOfOrder += 1;
  }

  /** Counts a packet that is taken. */
  take(sequence: number | undefined, arrival: Arrival, nowMicros: number): void {
    this.received += 1;
    if (arrival !== "first") {
      const interval = nowMicros - this.#lastMicros;
      this.#intervals.add(interval);
      this.#recent?.add(interval);
      if (arrival === "next" && interval > this.#lateAboveMicros) this.late += 1;
    }
    if (arrival === "gap" && sequence !== undefined && this.#last !== undefined) {
      const missing = ((sequence - this.#last) >>> 0) - 1;
      this.lost += missing <= maxGap ? missing : 1;
    }
    this.#lastMicros = nowMicros;
    if (sequence !== undefined) this.#last = sequence;
  }

  /** Forgets the times between packets until now. */
  restartIntervals(): void {
    this.#intervals.clear();
    this.#recent?.clear();
  }

  intervals(): IoStatistics["intervalMicros"] {
    return summary(this.#intervals);
  }

  /** The times since the last call; the first gives all, and begins to keep them apart. */
  takeIntervals(): IoStatistics["intervalMicros"] {
    const taken = summary(this.#recent ?? this.#intervals);
    this.#recent ??= new Histogram();
    this.#recent.clear();
    return taken;
  }
}

function summary(histogram: Histogram): IoStatistics["intervalMicros"] {
  const at = (share: number): number => Math.round(histogram.quantile(share));
  return { p1: at(0.01), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: histogram.max };
}
