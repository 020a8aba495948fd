import { PeerError } from "../errors.ts";
import type { Pause } from "../lock.ts";
import type { EnrolAnswer } from "./client.ts";

/** A server that asks for less would be asked too often, one that asks for more is asked once a day all the same. */
const shortestMs = 1000;
const longestMs = 24 * 3600 * 1000;

/** Where the server does not say: half a minute, then twice as long each time, up to an hour. */
const firstMs = 30_000;
const slowestMs = 3_600_000;

/**
 * Milliseconds of a Retry-After header: seconds, or a date, which counts from the server's own Date as the client may have no
 * clock. 0 where there is none to be read.
 *
 * @see RFC 9110 10.2.3
 */
export function readRetryAfter(text: string, date: string): number {
  if (/^\s*\d{1,9}\s*$/.test(text)) return Math.min(longestMs, Number(text) * 1000);
  const wait = Date.parse(text) - Date.parse(date);
  return Number.isFinite(wait) ? Math.min(longestMs, Math.max(0, wait)) : 0;
}

/**
 * How long to wait before asking again: what the server says, or our own growing time; up to a tenth longer, so that devices
 * that started together come apart.
 *
 * @param attempt 1 for the first wait.
 * @param random The caller's randomness, from 0 up to 1.
 */
export function retryDelayMs(retryAfterMs: number, attempt: number, random: () => number): number {
  const own = Math.min(slowestMs, firstMs * 2 ** Math.min(20, attempt - 1));
  const base = Math.max(shortestMs, retryAfterMs > 0 ? retryAfterMs : own);
  return Math.round(base * (1 + random() / 10));
}

/**
 * Asks until there is a certificate: after a 202 again, with the waits of {@link retryDelayMs}. Refusals end it.
 *
 * @param pause Waits by the caller's clock; rejects when the caller gives up.
 * @throws {PeerError} `est/pending` after `maxAttempts`
 */
export async function untilIssued<A extends EnrolAnswer>(
  ask: () => Promise<A>,
  {
    pause,
    random,
    maxAttempts = Number.POSITIVE_INFINITY,
    onPending,
  }: {
    readonly pause: Pause;
    readonly random: () => number;
    readonly maxAttempts?: number;
    readonly onPending?: (waitMs: number) => void;
  },
): Promise<Extract<A, { readonly status: "issued" }>> {
  for (let attempt = 1; ; attempt++) {
    const answer = await ask();
    if (isIssued(answer)) return answer;
    if (attempt >= maxAttempts)
      throw new PeerError("est/pending", `the request still waits at the EST server after ${attempt} tries`, {
        facts: { attempts: attempt },
      });
    const waitMs = retryDelayMs(answer.status === "pending" ? answer.retryAfterMs : 0, attempt, random);
    onPending?.(waitMs);
    await pause(waitMs);
  }
}

function isIssued<A extends EnrolAnswer>(answer: A): answer is Extract<A, { readonly status: "issued" }> {
  return answer.status === "issued";
}
