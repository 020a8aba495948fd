import type { EndpointSubject } from "./subject.ts";

/** What is waited for is looked at as often. */
const probeMs = 20;

/** How much longer than a device took to answer is waited for what it must not answer. */
const moreThanTaken = 5;

/** How long is waited for what must not be answered, by a device that took so long for what it must. */
export function patienceFor(tookMs: number, leastMs: number): number {
  return Math.max(leastMs, moreThanTaken * tookMs);
}

/** Waits; the process goes on meanwhile. */
export async function pause({ clock }: Pick<EndpointSubject, "clock">, ms: number): Promise<void> {
  await new Promise<void>((resolve) => void clock.after(ms, resolve, true));
}

/**
 * Waits until something holds.
 *
 * @returns Whether it did within the time.
 * @throws what the run was aborted with.
 */
export async function waitFor(
  subject: Pick<EndpointSubject, "clock" | "signal">,
  limitMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<boolean> {
  const { clock, signal } = subject;
  const until = clock.now() + limitMs;
  for (;;) {
    signal.throwIfAborted();
    if (await holds()) return true;
    if (clock.now() > until) return false;
    await pause(subject, probeMs);
  }
}
