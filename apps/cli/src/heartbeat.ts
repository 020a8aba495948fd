import type { RunProgress } from "@cipsec/assess";
import { systemClock, type Clock } from "@cipsec/transport";
import type { Output } from "./output.ts";

/** Tells once a second, at a terminal, what the checks that run do, and for how long each has. */
export interface Heartbeat {
  /** @param subject Who is assessed, where there are several. */
  watch(subject: string): Watch;
}

/** What is told of one subject; nothing any more once it is disposed of. */
export interface Watch extends Disposable {
  /** A check begins. */
  begins(check: RunProgress): void;
  /** What it does now. */
  doing(what: string): void;
}

interface Watched {
  readonly subject: string;
  check?: RunProgress;
  what?: string;
  since: number;
}

const everyMs = 1000;

/** A heartbeat that beats while something is watched. */
export function makeHeartbeat({ status }: Pick<Output, "status">, clock: Clock = systemClock): Heartbeat {
  const watched = new Set<Watched>();
  let stop: (() => void) | undefined;
  const beat = (): void => {
    const text = wordsOf([...watched], clock.now());
    if (text !== "") status(text);
    stop = clock.after(everyMs, beat);
  };
  return {
    watch(subject) {
      const one: Watched = { subject, since: clock.now() };
      watched.add(one);
      stop ??= clock.after(everyMs, beat);
      return {
        begins(check) {
          one.check = check;
          delete one.what;
          one.since = clock.now();
        },
        doing(what) {
          one.what = what;
        },
        [Symbol.dispose]() {
          watched.delete(one);
          if (watched.size > 0) return;
          stop?.();
          stop = undefined;
        },
      };
    },
  };
}

/** Of one subject all that is known; of several, each in a few words. */
function wordsOf(watched: readonly Watched[], now: number): string {
  const busy = watched.flatMap(({ check, ...one }) => (check === undefined ? [] : [{ ...one, check }]));
  const [first] = busy;
  if (first === undefined) return "";
  const lasts = ({ since }: Watched): string => durationText(now - since);
  if (busy.length > 1)
    return busy
      .map((one) => `${one.subject} ${one.check.number}/${one.check.of} ${one.check.check} ${lasts(one)}`)
      .join(", ");
  const { number, of, check, title, remainingMs } = first.check;
  const left = durationText(remainingMs - (now - first.since));
  const prefix = first.subject === "" ? "" : `${first.subject}: `;
  return `${prefix}${number}/${of} ${check} for ${lasts(first)}: ${first.what ?? title} (about ${left} left)`;
}

/** A duration for people: `40 s`, `3 min`. */
export function durationText(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
