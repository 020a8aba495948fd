import type { Cancel, Clock } from "@cipsec/transport";

/** Timers of the runtime may fire this much before their time, by the finer clock that is read here. */
const slackMs = 1;

/**
 * A timer that is moved far more often than it fires: moving it to a later time, or away, touches no timer of the runtime, which
 * would cost as much as a request takes to encode. It looks at the time when it fires, and waits on where it is too soon; what has
 * arrived by then counts as in time.
 */
export class Deadline {
  readonly #clock: Clock;
  readonly #run: (nowMs: number) => void;
  #dueMs = Infinity;
  #armedForMs = Infinity;
  #cancel: Cancel | undefined;

  /** @param run Called once for each time that is reached, with the clock's time; it may set the next. */
  constructor(clock: Clock, run: (nowMs: number) => void) {
    this.#clock = clock;
    this.#run = run;
  }

  /** When it is due, milliseconds of the clock; infinity when it is not set. */
  get dueMs(): number {
    return this.#dueMs;
  }

  /** Whether a time of the clock counts as reached. */
  static isReached(dueMs: number, nowMs: number): boolean {
    return dueMs - nowMs < slackMs;
  }

  /** Fires at this time of the clock, in place of any other. */
  set(dueMs: number): void {
    this.#dueMs = dueMs;
    if (dueMs < this.#armedForMs) this.#arm();
  }

  /** Does not fire any more, until it is set again. */
  clear(): void {
    this.#dueMs = Infinity;
  }

  /** Like {@link clear}, and leaves no timer behind. */
  end(): void {
    this.clear();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedForMs = Infinity;
  }

  #arm(): void {
    this.#cancel?.();
    this.#armedForMs = this.#dueMs;
    this.#cancel = this.#clock.after(Math.max(0, this.#dueMs - this.#clock.now()), () => this.#fire());
  }

  #fire(): void {
    this.#cancel = undefined;
    this.#armedForMs = Infinity;
    if (!Deadline.isReached(this.#dueMs, this.#clock.now())) return this.#goOn();
    // A process that was held up runs its timers before its sockets: what is waited for may have come, and has to be read first.
    if (this.#clock.afterReading === undefined) this.#judge();
    else this.#clock.afterReading(() => this.#judge());
  }

  #judge(): void {
    const nowMs = this.#clock.now();
    if (!Deadline.isReached(this.#dueMs, nowMs)) return this.#goOn();
    this.#dueMs = Infinity;
    this.#run(nowMs);
  }

  #goOn(): void {
    if (this.#dueMs < this.#armedForMs) this.#arm();
  }
}
