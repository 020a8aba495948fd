import type { Cancel } from "./clock.ts";
import { datagramsRead } from "./datagram-count.ts";
import type { TimerWheel } from "./wheel.ts";

/** What is watched, and what happens when it has been silent for too long. Times are in microseconds. */
export interface WatchdogOptions {
  readonly limitMicros: number;
  /** The time since the last sign of life. */
  readonly silenceMicros: () => number;
  /** How much longer the end may come while datagrams that have arrived are still being read: an interval. */
  readonly graceMicros: number;
  readonly expired: () => void;
}

/** Turns that are waited for: timers come before sockets in a turn of the event loop, of which it reads only so many datagrams. */
const leastTurns = 2;

/** A socket holds some thousands of datagrams, of which each turn reads 32 at least. */
const mostTurns = 200;

/**
 * Calls `expired` when nothing has been heard for the limit. A packet only has to note its time: when the timer fires, the rest
 * is waited for. A process that was held up reads what has arrived meanwhile before it judges.
 */
export function watchSilence(wheel: TimerWheel, options: WatchdogOptions): Cancel {
  const { limitMicros, silenceMicros, graceMicros, expired } = options;
  let isOver = false;
  const fired = (lateMicros: number): void => {
    const silence = silenceMicros();
    if (silence < limitMicros) return wait(limitMicros - silence);
    judge(0, undefined, silence + graceMicros + lateMicros);
  };
  let cancel = wheel.after(limitMicros, fired);
  return () => {
    isOver = true;
    cancel();
  };

  function wait(micros: number): void {
    cancel = wheel.after(micros, fired);
  }

  function judge(turns: number, readBefore: number | undefined, longestMicros: number): void {
    if (isOver) return;
    const silence = silenceMicros();
    if (silence < limitMicros) return wait(limitMicros - silence);
    const read = datagramsRead();
    const isIdle = turns >= leastTurns && (read === readBefore || silence > longestMicros || turns >= mostTurns);
    if (!isIdle) return wheel.afterReading(() => judge(turns + 1, read, longestMicros));
    isOver = true;
    expired();
  }
}
