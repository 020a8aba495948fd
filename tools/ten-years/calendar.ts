import type { Cancel, Clock } from "@cipsec/transport";

/** Milliseconds of a day. */
export const dayMs = 86_400_000;

/** Timers that are due within so many milliseconds of each other run one after another; what they began is waited for then. */
const windowMs = 3_600_000;

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

/**
 * A clock whose days somebody turns. It stands still while what its timers began goes on, so that a slow machine makes a run longer and
 * nothing else: certificates and renewals live by it, handshakes and I/O by the machine's clock.
 */
export class Calendar implements Clock {
  readonly #startMs: number;
  readonly #timers = new Set<Timer>();
  #now = 0;

  constructor(start: Date) {
    this.#startMs = start.getTime();
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#startMs + this.#now;
  }

  date(): Date {
    return new Date(this.wallNow());
  }

  /** Days since the start. */
  get day(): number {
    return this.#now / dayMs;
  }

  after(ms: number, run: () => void): Cancel {
    const timer: Timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Turns to the end of this day. @param settled Waits until nothing is under way. */
  async turnTo(day: number, settled: () => Promise<void>): Promise<void> {
    const end = day * dayMs;
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      const until = Math.min(end, Math.max(this.#now, next.at) + windowMs);
      for (let due: Timer | undefined = next; due !== undefined; due = this.#next(until)) {
        this.#timers.delete(due);
        this.#now = Math.max(this.#now, due.at);
        due.run();
      }
      await settled();
    }
    this.#now = Math.max(this.#now, end);
    await settled();
  }

  /** The first timer that is due by then. */
  #next(until: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) if (timer.at <= until && timer.at < (first?.at ?? Infinity)) first = timer;
    return first;
  }
}
