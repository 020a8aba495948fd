import { systemClock, type Cancel, type Clock } from "./clock.ts";
import { preciseClock } from "./pacemaker.ts";

/** A thing that happens again and again, at a fixed period. */
export interface Repeat {
  /** Ends it; harmless when it has ended. */
  cancel(): void;
  /** Turns left out because they came a whole period late or more. */
  readonly missed: number;
  /** Changes the period; the next turn is one new period after the last. */
  setPeriod(micros: number): void;
}

/** One entry of the heap; `period` 0 happens once. */
interface Entry {
  run: (lateMicros: number) => void;
  /** Microseconds on the wheel's clock. */
  due: number;
  /** When it was last due: what a new period counts from. */
  last: number;
  period: number;
  missed: number;
  /** Whether its turns have their phase: not before the first, which may be at any time. */
  isPlaced: boolean;
  /** Order among those that are due together: the same each time, so that each keeps its distance. */
  readonly order: number;
  /** Place in the heap; -1 outside it. */
  at: number;
}

/** What a wheel needs of a clock. */
type WheelClock = Pick<Clock, "now" | "after" | "afterReading">;

/** What is due this soon runs now: going to sleep for less costs more than it gains. */
const coalesceMicros = 20;

/** Deadlines start on whole milliseconds, so that many connections cost few wake-ups. */
const gridMicros = 1000;

/**
 * Phases that a period has: entries of one period share so many wake-ups, each of which costs as much as sending some packets.
 * 128 connections at 10 ms that opened at any time make 400 a second, not 1,000.
 */
const phases = 4;

/** Periods up to this need better than the runtime's timers: at 50 ms, one that is 1 ms late is 2 % late. */
const preciseUpToMicros = 50_000;

/** The longest wait that a timer of the runtime can have, 24.8 days: one that asks for more would fire at once. */
const longestWaitMs = 0x7fff_ffff;

/** Turns that one wake-up runs before others get the processor: a flood of short periods must not starve the sockets. */
const maxTurnsPerWake = 10_000;

/**
 * One timer for everything that a device or scanner has to do in time. Deadlines are absolute, so nothing drifts: a turn that
 * came late does not move the next. What is due together runs in one wake-up, and a turn allocates nothing.
 *
 * Without a clock of its own it runs by the machine's monotonic clock, finer than the runtime's timers of 1 ms
 * (docs/decisions/009-io.md).
 */
export class TimerWheel {
  readonly #clock: WheelClock;
  readonly #precise: WheelClock;
  readonly #heap: Entry[] = [];
  #cancel: Cancel | undefined;
  /** What the clock is set to, microseconds; infinity when it is not set. */
  #armedFor = Infinity;
  #isRunning = false;
  #made = 0;
  readonly #wake = (): void => this.#turn();

  constructor(clock?: WheelClock) {
    this.#clock = clock ?? systemClock;
    this.#precise = clock ?? preciseClock;
  }

  /** Entries that wait. */
  get size(): number {
    return this.#heap.length;
  }

  /**
   * Runs `run` at first, first + period, first + 2 periods and so on, and tells it how late it is, in microseconds. Turns that
   * are a whole period late are left out and counted: there is no burst after a stall.
   *
   * The second turn comes up to a quarter of a period sooner, so that few wake-ups serve many entries; from then on all are a
   * period apart. So does the first where it is a period from now.
   *
   * @param firstInMicros From now to the first turn, which is up to 1 ms later; a period where left out.
   */
  every(periodMicros: number, run: (lateMicros: number) => void, firstInMicros = periodMicros): Repeat {
    const now = this.#nowMicros();
    const period = atLeastOne(periodMicros);
    const isPlaced = firstInMicros >= period || !hasPhases(period);
    const entry: Entry = {
      run,
      due: isPlaced && hasPhases(period) ? onPhase(now + firstInMicros, period) : onGrid(now + firstInMicros),
      last: now,
      period,
      missed: 0,
      isPlaced,
      order: (this.#made += 1),
      at: -1,
    };
    this.#insert(entry);
    return {
      cancel: () => this.#remove(entry),
      get missed() {
        return entry.missed;
      },
      setPeriod: (micros) => {
        entry.period = atLeastOne(micros);
        if (entry.at < 0) return;
        this.#remove(entry);
        entry.due = Math.max(entry.last + entry.period, this.#nowMicros());
        this.#insert(entry);
      },
    };
  }

  /** Runs `run` once after at least `micros`, up to a millisecond more, and tells it how late it is, in microseconds. */
  after(micros: number, run: (lateMicros: number) => void): Cancel {
    const due = onGrid(this.#nowMicros() + micros);
    const entry: Entry = { run, due, last: 0, period: 0, missed: 0, isPlaced: true, order: (this.#made += 1), at: -1 };
    this.#insert(entry);
    return () => this.#remove(entry);
  }

  /** Runs `run` once the process has read what waits in its sockets, a turn of it; at once by a clock that has none. */
  afterReading(run: () => void): void {
    if (this.#clock.afterReading === undefined) run();
    else this.#clock.afterReading(run);
  }

  #nowMicros(): number {
    return this.#clock.now() * 1000;
  }

  #turn(): void {
    this.#cancel = undefined;
    this.#armedFor = Infinity;
    this.#isRunning = true;
    try {
      let now = this.#nowMicros();
      for (let turns = 0; turns < maxTurnsPerWake; turns += 1) {
        const entry = this.#heap[0];
        if (entry === undefined || entry.due > now + coalesceMicros) break;
        const late = Math.max(0, now - entry.due);
        // In place for its next turn before it runs: it may cancel itself, or throw.
        this.#advance(entry, late);
        entry.run(late);
        now = this.#nowMicros();
      }
    } finally {
      this.#isRunning = false;
      this.#arm();
    }
  }

  #advance(entry: Entry, late: number): void {
    if (entry.period === 0) return this.#remove(entry);
    const skipped = Math.floor(late / entry.period);
    entry.missed += skipped;
    entry.last = entry.due + skipped * entry.period;
    entry.due = entry.last + entry.period;
    if (!entry.isPlaced) {
      entry.isPlaced = true;
      entry.due = onPhase(entry.due, entry.period);
    }
    this.#down(entry, entry.at);
  }

  #arm(): void {
    if (this.#isRunning) return;
    const next = this.#heap[0];
    const due = next?.due ?? Infinity;
    if (due === this.#armedFor) return;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#armedFor = due;
    if (next === undefined) return;
    const clock = next.period > 0 && next.period <= preciseUpToMicros ? this.#precise : this.#clock;
    const ms = Math.max(0, due / 1000 - this.#clock.now());
    this.#cancel = clock.after(Math.min(ms, longestWaitMs), this.#wake);
  }

  #insert(entry: Entry): void {
    this.#heap.push(entry);
    this.#up(entry, this.#heap.length - 1);
    this.#arm();
  }

  #remove(entry: Entry): void {
    const at = entry.at;
    if (at < 0) return;
    entry.at = -1;
    const last = this.#heap.pop();
    if (last !== undefined && last !== entry) {
      this.#up(last, at);
      this.#down(last, last.at);
    }
    this.#arm();
  }

  /** Places an entry at `at` or nearer the top, moving later ones down. */
  #up(entry: Entry, from: number): void {
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#heap[parentAt];
      if (parent === undefined || isSooner(parent, entry)) break;
      this.#place(parent, at);
      at = parentAt;
    }
    this.#place(entry, at);
  }

  /** Places an entry at `at` or farther down, moving sooner ones up. */
  #down(entry: Entry, from: number): void {
    let at = from;
    for (;;) {
      const left = this.#heap[2 * at + 1];
      if (left === undefined) break;
      const right = this.#heap[2 * at + 2];
      const child = right !== undefined && isSooner(right, left) ? right : left;
      if (isSooner(entry, child)) break;
      const childAt = child.at;
      this.#place(child, at);
      at = childAt;
    }
    this.#place(entry, at);
  }

  #place(entry: Entry, at: number): void {
    entry.at = at;
    this.#heap[at] = entry;
  }
}

/**
 * The wheel that everything in the process shares that runs by the machine's clock: devices of one lab, a scanner's connections.
 */
export function sharedWheel(): TimerWheel {
  return (shared ??= new TimerWheel());
}

let shared: TimerWheel | undefined;

function isSooner(a: Entry, b: Entry): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}

function onGrid(micros: number): number {
  return Math.ceil(micros / gridMicros) * gridMicros;
}

/** Short periods are coarse enough on the grid. */
function hasPhases(period: number): boolean {
  return period / phases >= gridMicros;
}

/** Not later than asked for: what is granted is the longest interval. */
function onPhase(micros: number, period: number): number {
  const phase = period / phases;
  return Math.floor(micros / phase) * phase;
}

function atLeastOne(micros: number): number {
  return Math.max(1, micros);
}
