import { randomInt } from "node:crypto";
import { PeerError, isStackError, timeoutFactor } from "@cipsec/wire";
import type { IoRequest } from "./request.ts";

/** How long a scanner waits before it tries again, milliseconds. Each further failure doubles the wait. */
export interface BackoffPolicy {
  /** After a refusal; default 1 s, up to 30 s: what is refused once is so most likely again. */
  readonly refusedMs: number;
  readonly maxRefusedMs: number;
  /** After a lost connection or a device that does not answer; default 200 ms, up to 5 s. */
  readonly lostMs: number;
  readonly maxLostMs: number;
}

export const defaultBackoff: BackoffPolicy = { refusedMs: 1000, maxRefusedMs: 30_000, lostMs: 200, maxLostMs: 5000 };

/** Targets wait this long for a first packet, so they may hold what we lost for as long. */
const maxWatchdogMs = 10_000;

/** So often an ownership conflict is taken for a connection of our own that is still there. */
const ownTries = 3;

/** In use, and owned: what a connection of ours looks like that has not timed out in the device yet. */
const heldStatuses: readonly string[] = ["0x0100", "0x0106"];

/**
 * Milliseconds until the next try.
 *
 * @param failures In a row, this one counted.
 */
export function waitAfter(error: unknown, failures: number, request: IoRequest, policy: BackoffPolicy): number {
  if (isHeld(error) && failures <= ownTries) return watchdogMs(request);
  const isRefusal = isStackError(error) && !error.code.startsWith("transport/");
  const first = isRefusal ? policy.refusedMs : policy.lostMs;
  const most = isRefusal ? policy.maxRefusedMs : policy.maxLostMs;
  const wait = Math.min(most, first * 2 ** Math.min(failures - 1, 16));
  // Many connections that were lost together do not come back in step.
  return Math.round((wait * (90 + randomInt(0, 21))) / 100);
}

function isHeld(error: unknown): boolean {
  if (!(error instanceof PeerError)) return false;
  const { extended } = error.facts;
  return typeof extended === "string" && heldStatuses.includes(extended.slice(0, 6));
}

/** Time in which the target's own watchdog ends a connection like this one. */
function watchdogMs({ oToT, timeoutMultiplier }: IoRequest): number {
  const factor = timeoutFactor(timeoutMultiplier ?? 2) ?? 4;
  return Math.min(maxWatchdogMs, Math.max(200, (oToT.rpiMicros * factor) / 1000 + 100));
}
