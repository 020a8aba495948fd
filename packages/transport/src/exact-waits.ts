import { readlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

/**
 * Has the waits of the calling thread end at their time. Linux lets each end up to 50 µs late otherwise, so that the machine can
 * wake less often. Where that cannot be asked for, waits stay as they are.
 *
 * @see PR_SET_TIMERSLACK of prctl(2); proc_pid_timerslack_ns(5)
 */
export function askForExactWaits(): void {
  try {
    const thread = basename(readlinkSync("/proc/thread-self"));
    writeFileSync(`/proc/${thread}/timerslack_ns`, "1");
  } catch {
    // Another system, or /proc is not there: nothing is lost but these microseconds.
  }
}
