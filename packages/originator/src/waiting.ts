import type { Clock } from "@cipsec/transport";
import { TransportError } from "@cipsec/wire";

/** Waits `ms` milliseconds of the caller's clock, keeping the process alive; an abort ends the wait with the signal's reason. */
export function delay(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  if (signal?.aborted === true) {
    reject(abortReason(signal));
    return promise;
  }
  const cancel = clock.after(
    ms,
    () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    },
    true,
  );
  function onAbort(): void {
    cancel();
    if (signal !== undefined) reject(abortReason(signal));
  }
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}

/** What an aborted wait rejects with: the signal's reason where it is an error, else `transport/closed`. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof Error
    ? reason
    : new TransportError("transport/closed", "the operation was cancelled", { fix: "Start it again." });
}

/** Throws the abort reason when the signal has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal);
}

/** A wait that several share, as one of them sees it: an abort ends this one's wait and nobody else's. */
export async function orAborted<T>(shared: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return shared;
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(abortReason(signal));
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([shared, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
