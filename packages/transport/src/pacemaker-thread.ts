import { workerData } from "node:worker_threads";
import { monotonicMs, never, slots, ticks, type PacemakerShared } from "./pacemaker-shared.ts";

/*
 * The thread behind the pacemaker: sleeps until the deadline that the main thread has set, then wakes that thread. A wait on
 * shared memory ends to a few microseconds, the runtime's own timers to a millisecond.
 *
 * Periods repeat, so it guesses the next deadline from the last two and sleeps until then: an order that is not sooner needs no
 * waking, which costs both threads more than anything else they do.
 */

/** Microseconds early that count as there: one more sleep would end later than that. */
const slack = 5;

/** A guess farther off than this saves nothing. */
const longestGuess = 100_000;

const state: PacemakerShared = workerData;
/** The deadline of the last beat, and what was between it and the one before. */
let beaten = never;
let step = 0;

// The first beat says that the thread runs.
beat();

for (;;) {
  const order = Atomics.load(state, slots.orders);
  const deadline = Atomics.load(state, slots.deadline);
  const now = ticks(monotonicMs());
  const isNew = deadline !== never && deadline !== beaten;
  if (isNew && left(deadline, now) <= slack) {
    step = left(deadline, beaten);
    beaten = deadline;
    beat();
    continue;
  }
  const guess = beaten + step;
  const isGuessed = step > 0 && step <= longestGuess && left(guess, now) > slack;
  const wakes = isNew ? deadline : isGuessed ? guess | 0 : never;
  Atomics.store(state, slots.wakes, wakes);
  // Either this sees an order that was given meanwhile, or whoever gives it sees when this wakes.
  if (Atomics.load(state, slots.deadline) !== deadline) continue;
  Atomics.wait(state, slots.orders, order, wakes === never ? Infinity : left(wakes, now) / 1000);
}

function beat(): void {
  Atomics.add(state, slots.beats, 1);
  Atomics.notify(state, slots.beats);
}

/** Microseconds from one point to a later one; negative for an earlier. */
function left(to: number, from: number): number {
  return (to - from) | 0;
}
