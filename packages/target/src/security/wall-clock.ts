import { join } from "node:path";
import { readChecked, writeChecked, type CheckedReader } from "@cipsec/pki";
import type { Cancel, Clock } from "@cipsec/transport";
import { StateError, isStackError, type Facts } from "@cipsec/wire";

/** What a device's view of the time rests on. */
export interface WallClockOptions {
  /** Folder of the device's state. */
  readonly folder: string;
  readonly clock: Clock;
  /** Whether the device trusts its clock. */
  readonly hasClock: boolean;
  readonly event: (name: string, facts: Facts) => void;
}

/**
 * The time as far as a device can know it. A clock that has been set back, or lost its battery, would bring expired certificates to
 * life again: so the device remembers how late it has been, and what it trusts has a beginning too. A clock that tells less than that
 * is behind, and is not believed.
 */
export interface WallClock {
  /** Milliseconds since 1970; nothing without a clock, or while it is behind. */
  wallNow(): number | undefined;
  /** The same, but while the clock is behind the latest moment that is known to have passed: good to say what has ended. */
  atLeast(): number | undefined;
  isBehind(): boolean;
  /** Takes what the applied configuration says of the time: no authority signs in the future. Milliseconds since 1970. */
  believe(evidence: number): void;
  /** Forgets what the clock itself has told: the device goes back to its box. */
  forget(): Promise<void>;
  close(): void;
}

const file = "clock";

const format: CheckedReader<number> = { format: "target-clock", version: 1, parse: readFloor };

/** A clock is corrected by seconds or minutes every day; that is no reason for doubt. */
const toleranceMs = 300_000;

/** A clock that was wrong for less than this leaves nothing behind, and then the memory of a device is written once a day. */
const firstSaveMs = 3_600_000;
const saveMs = 24 * 3_600_000;

/**
 * What one look may add: a clock that runs years ahead for a day must not make everything look expired for years after it was
 * corrected. A device that lay in a store catches up a month a day, and at once by certificates and lists that are new.
 */
const maxStepMs = 31 * 24 * 3_600_000;

/**
 * Opens a device's view of the time.
 *
 * @throws {StateError} `state/corrupt` when what it remembers cannot be used.
 */
export async function openWallClock({ folder, clock, hasClock, event }: WallClockOptions): Promise<WallClock> {
  const path = join(folder, file);
  let saved = hasClock ? ((await readChecked(path, format))?.value ?? 0) : 0;
  let evidence = 0;
  let wasBehind = false;
  let timer: Cancel = () => undefined;
  const floor = (): number => Math.max(saved, evidence);
  const raw = (): number | undefined => (hasClock ? clock.wallNow() : undefined);
  const isBehind = (): boolean => {
    const now = raw();
    const behindMs = now === undefined ? 0 : floor() - now;
    const isSo = behindMs > toleranceMs;
    if (isSo !== wasBehind) {
      wasBehind = isSo;
      event(isSo ? "clock/behind" : "clock/right", isSo ? { seconds: Math.round(behindMs / 1000) } : {});
    }
    return isSo;
  };
  const remember = async (): Promise<void> => {
    const now = raw();
    if (now === undefined || isBehind()) return;
    const next = saved === 0 ? now : Math.min(now, saved + maxStepMs);
    if (next <= saved) return;
    if (next < now) event("clock/ahead", { seconds: Math.round((now - saved) / 1000) });
    await writeChecked(path, format, next);
    saved = next;
  };
  const look = (afterMs: number): void => {
    timer = clock.after(afterMs, () => {
      look(saveMs);
      remember().catch((error: unknown) =>
        event("clock/not-saved", { code: isStackError(error) ? error.code : "bug/unreachable" }),
      );
    });
  };
  if (hasClock) look(firstSaveMs);
  return {
    wallNow: () => (isBehind() ? undefined : raw()),
    atLeast: () => (isBehind() ? floor() : raw()),
    isBehind,
    believe(latest) {
      evidence = latest;
      isBehind();
    },
    async forget() {
      saved = 0;
      evidence = 0;
      if (hasClock) await writeChecked(path, format, 0);
    },
    close: () => timer(),
  };
}

function readFloor(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw new StateError("state/corrupt", "the time that the device remembers is not a number of milliseconds");
}
