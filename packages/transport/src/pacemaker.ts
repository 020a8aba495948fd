import { systemClock, type Clock } from "./clock.ts";

/** The clock of a {@link TimerWheel} that is given none: the machine's. */
export function preciseClock(): Pick<Clock, "now" | "after"> {
  return systemClock;
}
