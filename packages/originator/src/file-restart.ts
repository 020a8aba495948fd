import { FileObject } from "@cipsec/objects";
import { systemClock, type Clock } from "@cipsec/transport";
import { FileState, PeerError, Status } from "@cipsec/wire";
import { cipStatusOf, hexWord } from "./replies.ts";
import type { ObjectAccess } from "./typed.ts";
import { delay, throwIfAborted } from "./waiting.ts";

/** What a transfer that can be begun again needs to know. */
export interface RestartOptions {
  /** Times that a transfer is begun anew; default 2. */
  readonly restarts?: number;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

const defaultRestarts = 2;

/** Between two looks at whether the device has given up the transfer before. */
const pollMs = 500;

/** Extended status of a packet out of sequence. @see reference cip-security.md 3.4 */
const outOfSequence = 0x0006;

/** States of a file that a transfer is under way of. */
const busy: readonly number[] = [
  FileState.uploadInitiated,
  FileState.downloadInitiated,
  FileState.uploadInProgress,
  FileState.downloadInProgress,
  FileState.storing,
];

const packets: readonly unknown[] = [
  FileObject.services.uploadTransfer.code,
  FileObject.services.downloadTransfer.code,
];

/**
 * Runs a transfer, and runs it again from its start when the device says, by the answer to a packet, that it knows of no such
 * transfer: many drop one with the connection that it came by.
 */
export async function transferAnew<T>(options: RestartOptions, run: () => Promise<T>): Promise<T> {
  const { restarts = defaultRestarts, signal } = options;
  for (let start = 0; ; start += 1) {
    try {
      return await run();
    } catch (error) {
      if (start >= restarts || !isForgotten(error)) throw error;
      throwIfAborted(signal);
    }
  }
}

/**
 * Begins a transfer. Where another one is under way, which may be our own of a connection that broke, it waits for as long as
 * the device keeps one that is silent.
 */
export async function beginTransfer<T>(
  file: ObjectAccess<typeof FileObject>,
  { clock = systemClock, signal }: RestartOptions,
  begin: () => Promise<T>,
): Promise<T> {
  let until: number | undefined;
  for (;;) {
    try {
      return await begin();
    } catch (error) {
      if (!isBusy(error)) throw error;
      until ??= clock.now() + 1000 * (await file.get("transferTimeout")) + 2 * pollMs;
      if (clock.now() >= until) throw error;
      await delay(clock, pollMs, signal);
    }
  }
}

/** Whether the device refuses a packet as one of a transfer that it does not know (any more). */
function isForgotten(error: unknown): boolean {
  if (!(error instanceof PeerError) || !packets.includes(error.facts["service"])) return false;
  const status = cipStatusOf(error);
  if (status === Status.objectStateConflict) return true;
  return status === Status.invalidParameter && error.facts["extended"] === hexWord(outOfSequence);
}

/** Whether the device refuses to begin because another transfer of the file is under way. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof PeerError) || cipStatusOf(error) !== Status.objectStateConflict) return false;
  return busy.some((state) => error.facts["extended"] === hexWord(state));
}
