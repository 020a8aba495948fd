/** Cancels a timer; harmless when it has fired. */
export type Cancel = () => void;

/** Time as the rest of the stack sees it: nothing outside `transport` reads a clock or sets a timer. */
export interface Clock {
  /** Milliseconds on a monotonic clock with an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC, or `undefined` on a device without a trustworthy clock. */
  wallNow(): number | undefined;
  /** Calls `run` once after `ms` milliseconds. Timers do not keep the process alive. */
  after(ms: number, run: () => void): Cancel;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** The machine's monotonic clock, for a device that does not trust its wall clock. */
export const clockWithoutDate: Clock = { ...systemClock, wallNow: () => undefined };
