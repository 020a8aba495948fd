import { workerData } from "node:worker_threads";
import { monotonicMs, slots, type PacemakerShared } from "./pacemaker-shared.ts";

/*
 * The thread behind the pacemaker: sleeps until the deadline that the main thread has set, then wakes that thread. A wait on
 * shared memory ends to a few microseconds, the runtime's own timers to a millisecond.
 */

/** Milliseconds early that count as there: one more sleep would end later than that. */
const slackMs = 0.005;

const { state, deadline }: PacemakerShared = workerData;

// The first beat says that the thread runs.
Atomics.add(state, slots.beats, 1);
Atomics.notify(state, slots.beats);

for (;;) {
  const order = Atomics.load(state, slots.orders);
  const wait = (deadline[0] ?? Infinity) - monotonicMs();
  if (wait > slackMs) {
    // Ends early when a new order comes; either way the deadline is looked at again.
    Atomics.wait(state, slots.orders, order, wait);
    continue;
  }
  Atomics.add(state, slots.beats, 1);
  Atomics.notify(state, slots.beats);
  Atomics.wait(state, slots.orders, order);
}
