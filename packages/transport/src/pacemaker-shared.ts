/** Memory that the pacemaker and its thread share. */
export interface PacemakerShared {
  readonly state: Int32Array<SharedArrayBuffer>;
  /** One number: when to wake the main thread, {@link monotonicMs}. */
  readonly deadline: Float64Array<SharedArrayBuffer>;
}

/** Places in {@link PacemakerShared.state}: orders given by the main thread, beats given by the other. */
export const slots = { orders: 0, beats: 1 } as const;

/** Milliseconds since the machine started: unlike `performance.now()` the same on every thread. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
