/** Memory that the pacemaker and its thread share, by {@link slots}. All of it is read and written by `Atomics` only. */
export type PacemakerShared = Int32Array<SharedArrayBuffer>;

/**
 * Orders given by the main thread, and beats given by the other: counts, and what each waits on. When the main thread wants to be
 * woken, and when the other wakes by itself: {@link ticks}, or {@link never}.
 */
export const slots = { orders: 0, beats: 1, deadline: 2, wakes: 3 } as const;

export const never = 0;

/** Milliseconds since the machine started: unlike `performance.now()` the same on every thread. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

/** {@link monotonicMs} as microseconds that wrap around at 32 bits, as atomics have integers only. Two compare by difference. */
export function ticks(ms: number): number {
  return Math.round(ms * 1000) | 0 || 1;
}
