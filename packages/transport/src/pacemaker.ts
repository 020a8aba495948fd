import { Worker } from "node:worker_threads";
import { systemClock, type Cancel, type Clock } from "./clock.ts";
import { monotonicMs, never, slots, ticks, type PacemakerShared } from "./pacemaker-shared.ts";

interface Alarm {
  /** On the clock of {@link monotonicMs}. */
  readonly due: number;
  readonly run: () => void;
}

/**
 * The machine's clock with timers that end within some tens of microseconds of their time: a helper thread keeps them. One
 * thread serves the process; it starts with the first timer and does not keep the process alive. Until it runs, and where it
 * cannot, timers are the runtime's, of 1 ms.
 *
 * Its timers are few, one for each wheel that has work of short period. Why a thread: docs/decisions/009-io.md.
 */
export const preciseClock: Pick<Clock, "now" | "after"> = {
  now: () => systemClock.now(),
  after: (ms, run) => (pacemaker ??= new Pacemaker()).after(ms, run),
};

let pacemaker: Pacemaker | undefined;

/** The thread's clock wraps around: what is due later than this is asked for again then. */
const longestOrderMs = 600_000;

class Pacemaker {
  readonly #shared: PacemakerShared = new Int32Array(new SharedArrayBuffer(16));
  readonly #alarms: Alarm[] = [];
  /** From the thread's first beat on: a thread that is still loading keeps no time. */
  #isRunning = false;
  #isLost = false;
  #beats = 0;
  /** What the thread was asked for, on the clock of {@link monotonicMs}. */
  #orderedFor = Infinity;
  readonly #beat = (): void => this.#fire();

  constructor() {
    const file = import.meta.url.endsWith(".ts") ? "./pacemaker-thread.ts" : "./pacemaker-thread.js";
    const thread = new Worker(new URL(file, import.meta.url), {
      workerData: this.#shared,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 },
    });
    thread.unref();
    this.#listen();
    thread.once("error", () => this.#lost());
    thread.once("exit", () => this.#lost());
  }

  after(ms: number, run: () => void): Cancel {
    if (!this.#isRunning) return systemClock.after(ms, run);
    const alarm: Alarm = { due: monotonicMs() + ms, run };
    this.#alarms.push(alarm);
    this.#order();
    return () => {
      const at = this.#alarms.indexOf(alarm);
      if (at >= 0) this.#alarms.splice(at, 1);
    };
  }

  /** Tells the thread when the next alarm is due, where that is sooner than what it knows; wakes it only where it has to be. */
  #order(): void {
    let due = Infinity;
    for (const alarm of this.#alarms) due = Math.min(due, alarm.due);
    if (due >= this.#orderedFor) return;
    this.#orderedFor = due;
    const shared = this.#shared;
    const last = Atomics.load(shared, slots.deadline);
    const asked = ticks(Math.min(due, monotonicMs() + longestOrderMs));
    // One that says the same would be taken for the last, which has had its beat.
    const deadline = asked === last ? asked + 1 || 1 : asked;
    Atomics.store(shared, slots.deadline, deadline);
    const wakes = Atomics.load(shared, slots.wakes);
    if (wakes !== never && ((deadline - wakes) | 0) >= 0) return;
    Atomics.add(shared, slots.orders, 1);
    Atomics.notify(shared, slots.orders);
  }

  #listen(): void {
    const next = Atomics.waitAsync(this.#shared, slots.beats, this.#beats);
    if (next.async) void next.value.then(this.#beat);
    else setImmediate(this.#beat);
  }

  /** Without its thread the runtime's timers take over. */
  #lost(): void {
    this.#isLost = true;
    this.#isRunning = false;
    for (const { due, run } of this.#alarms.splice(0)) systemClock.after(Math.max(0, due - monotonicMs()), run);
  }

  #fire(): void {
    this.#beats = Atomics.load(this.#shared, slots.beats);
    this.#isRunning = !this.#isLost;
    this.#listen();
    const now = monotonicMs();
    const due = this.#alarms.filter((alarm) => alarm.due <= now + 0.05).sort((a, b) => a.due - b.due);
    for (const alarm of due) this.#alarms.splice(this.#alarms.indexOf(alarm), 1);
    this.#orderedFor = Infinity;
    let next = 0;
    try {
      for (const { run } of due) {
        next += 1;
        run();
      }
    } finally {
      // Those behind one that threw come with the next beat.
      this.#alarms.push(...due.slice(next));
      this.#order();
    }
  }
}
