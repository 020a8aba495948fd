/** Cancels a timer; harmless when it has fired. */
export type Cancel = () => void;

/** Time as the rest of the stack sees it: nothing outside `transport` reads a clock or sets a timer. */
export interface Clock {
  /** Milliseconds on a monotonic clock with an arbitrary start. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC, or `undefined` on a device without a trustworthy clock. */
  wallNow(): number | undefined;
  /**
   * Calls `run` once after `ms` milliseconds.
   *
   * @param keepsAlive For a wait that work goes on after: the process must not end meanwhile. Other timers do not keep it.
   */
  after(ms: number, run: () => void, keepsAlive?: boolean): Cancel;
  /** Calls `run` once what waits in the sockets has been read, a turn of it; a clock without one has no sockets to wait for. */
  afterReading?(run: () => void): void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  after(ms, run, keepsAlive = false) {
    const timer = setTimeout(run, ms);
    if (!keepsAlive) timer.unref();
    return () => clearTimeout(timer);
  },
  // The turn's sockets are read between its timers and its immediates.
  afterReading(run) {
    setImmediate(run);
  },
};

/** The machine's monotonic clock, for a device that does not trust its wall clock. */
export const clockWithoutDate: Clock = { ...systemClock, wallNow: () => undefined };
