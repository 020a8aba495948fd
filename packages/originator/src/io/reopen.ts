import { randomInt } from "node:crypto";
import { parseCertificate, type CertificateFacts } from "@cipsec/pki";
import type { ChannelFacts, Clock } from "@cipsec/transport";
import type { Session } from "../session.ts";
import { delay } from "../waiting.ts";

/**
 * When a scanner opens connections anew by itself though nothing is wrong with them: an association lasts no longer than the
 * certificates that it was opened with.
 */
export interface ReopenPolicy {
  /** Share of a certificate's life, of either end, after which its association is replaced; default 0.8. */
  readonly share?: number;
  /** Replace it as well when our own certificate was renewed; default true. */
  readonly onRenewal?: boolean;
  /** Whether this line can have the gap now; asked again after {@link ReopenPolicy.retryMs}. Default: always. */
  readonly mayReopen?: (name: string) => boolean;
  /** Connections that are due together go one after the other within this time; default 10 s. */
  readonly spreadMs?: number;
  /** Pause after a device could not be reached, or had nothing newer to show; default a minute, doubling up to an hour. */
  readonly retryMs?: number;
}

const defaultShare = 0.8;
const defaultSpreadMs = 10_000;
const defaultRetryMs = 60_000;

/** Clocks are set, and timers hold 24 days: what is far off is looked at again. */
const longestMs = 3_600_000;

/** What the end of an association depends on. */
export interface Credentials {
  /** SHA-256 of our own certificate; nothing where we showed none. */
  readonly own: string | undefined;
  /** Of both ends. */
  readonly certificates: readonly Pick<CertificateFacts, "notBefore" | "notAfter">[];
}

/** What is looked at of a session. */
export type Shown = Pick<Session, "isLossy" | "identity"> & { readonly facts: Pick<ChannelFacts, "security"> };

/** Another session, until it is given back. */
interface Replacement {
  readonly session: Shown;
  release(): Promise<void>;
}

/** What the association of a session rests on; nothing where its end is not that of its I/O. */
export function credentialsOf(session: Shown): Credentials | undefined {
  const { security } = session.facts;
  if (security?.peer.kind !== "certificate" || !session.isLossy) return undefined;
  const own = session.identity?.facts;
  const peer = parseCertificate(security.peer.der).facts;
  return { own: own?.sha256, certificates: own === undefined ? [peer] : [own, peer] };
}

/** Milliseconds since 1970 after which the share of a life is over; of several the first. Infinite where nothing ends. */
export function dueAt({ certificates }: Credentials, share = defaultShare): number {
  const dues = certificates.map(({ notBefore, notAfter }) => {
    const from = notBefore.getTime();
    return from + share * (notAfter.getTime() - from);
  });
  return Math.min(Infinity, ...dues);
}

/** Whether another association would last longer, or has our new certificate. */
export function isGain(now: Credentials, next: Credentials): boolean {
  return next.own !== now.own || endOf(next) > endOf(now);
}

function endOf({ certificates }: Credentials): number {
  return Math.min(Infinity, ...certificates.map(({ notAfter }) => notAfter.getTime()));
}

/** What {@link nextSession} works on. */
export interface ReopenTask<L extends Replacement> {
  readonly name: string;
  readonly session: Shown;
  readonly clock: Clock;
  readonly policy: ReopenPolicy;
  /** SHA-256 of the certificate that we would show now. */
  readonly ownNow: () => string | undefined;
  /** Settles with the next change of our credentials. */
  readonly renewed: () => Promise<void>;
  /** Opens another session with the device, beside the one in use. */
  readonly open: () => Promise<L>;
  readonly signal: AbortSignal;
}

/**
 * Waits until the association of a session is to be replaced, and opens another one beside it. The one in use is left alone until then:
 * a device that is away, or has nothing newer to show, loses nothing.
 *
 * @throws the signal's reason
 */
export async function nextSession<L extends Replacement>(task: ReopenTask<L>): Promise<L> {
  const { name, session, clock, policy, signal } = task;
  const { share, mayReopen = () => true, spreadMs = defaultSpreadMs, retryMs = defaultRetryMs } = policy;
  let patienceMs = retryMs;
  const isDue = (now: Credentials): boolean => {
    const isRenewed = policy.onRenewal !== false && task.ownNow() !== now.own;
    return isRenewed || dueAt(now, share) <= (clock.wallNow() ?? -Infinity);
  };
  for (;;) {
    const now = credentialsOf(session);
    if (now === undefined || !isDue(now)) {
      const leftMs = now === undefined ? longestMs : dueAt(now, share) - (clock.wallNow() ?? -Infinity);
      await pauseOr(task, Math.min(longestMs, Math.max(1, leftMs)));
      continue;
    }
    if (spreadMs > 0) await delay(clock, randomInt(0, spreadMs), signal);
    if (!mayReopen(name)) {
      await pauseOr(task, retryMs);
      continue;
    }
    const next = await task.open().catch(() => undefined);
    const shown = next === undefined ? undefined : credentialsOf(next.session);
    if (next !== undefined && !signal.aborted && shown !== undefined && isGain(now, shown)) return next;
    await next?.release().catch(() => undefined);
    await pauseOr(task, patienceMs);
    patienceMs = Math.min(longestMs, patienceMs * 2);
  }
}

/** A pause that renewed credentials end. */
async function pauseOr(
  { clock, renewed, signal }: Pick<ReopenTask<Replacement>, "clock" | "renewed" | "signal">,
  ms: number,
): Promise<void> {
  const over = new AbortController();
  const pause = delay(clock, ms, AbortSignal.any([signal, over.signal]));
  try {
    await Promise.race([pause, renewed()]);
  } finally {
    over.abort();
    await pause.catch(() => undefined);
  }
  signal.throwIfAborted();
}
