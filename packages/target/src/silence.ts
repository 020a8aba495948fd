import type { Cancel, Clock } from "@cipsec/transport";

/** Watches over somebody's silence. */
export interface SilenceWatch {
  /** A message: silence starts anew, and may last so many milliseconds; 0 for ever. */
  heard(limitMs: number): void;
  /** Watches no more. */
  stop(): void;
}

/**
 * Calls `ended` once, when nothing was heard for `limitMs` milliseconds. A message is only noted: a timer set anew for each
 * would cost nearly what the answer does. When the timer fires it waits on for what is left.
 */
export function watchSilence(clock: Clock, limitMs: number, ended: () => void): SilenceWatch {
  let limit = limitMs;
  let heardAt = clock.now();
  let isOver = false;
  let timer: Cancel | undefined;
  set(limit);

  function set(ms: number): void {
    timer?.();
    timer = limit === 0 ? undefined : clock.after(ms, check);
  }

  function check(): void {
    const left = heardAt + limit - clock.now();
    if (left > 0) return set(left);
    isOver = true;
    ended();
  }

  return {
    heard(next) {
      if (isOver) return;
      heardAt = clock.now();
      if (next === limit) return;
      limit = next;
      set(limit);
    },
    stop() {
      isOver = true;
      timer?.();
    },
  };
}
