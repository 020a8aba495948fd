import type { Clock } from "@cipsec/transport";
import type { Launcher } from "./launch.ts";
import { converseWith, keepProcess, runProcess, type Dialogue, type Ran, type Turn } from "./process.ts";

/** Longest that a command may take unless its caller says otherwise, ms. */
const usualTimeoutMs = 20_000;

/** After what time a command that was told to end is ended, s; and how much later we give it up, ms. */
const killAfterS = 0.5;
const patienceMs = 5000;

/** How a command is run. */
export interface RunCommand {
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** Runs commands in one place: the host as it is, or a private view of it. */
export interface Runner {
  /** Does not throw for an exit code: that is for the caller to judge. @throws {TransportError} `transport/timeout`. */
  run(argv: readonly string[], options?: RunCommand): Promise<Ran>;
  /** A command on a terminal of its own, and what is typed there. `endAt` ends its input once it is shown. */
  converse(
    argv: readonly string[],
    turns: readonly Turn[],
    options?: { readonly timeoutMs?: number; readonly endAt?: RegExp },
  ): Promise<Dialogue>;
  /** Starts something that lives until it is closed, or until we are gone. */
  keep(argv: readonly string[]): Promise<{ readonly firstLine: string; close(): Promise<void> }>;
  /** A runner for which each command starts with these words. */
  through(words: readonly string[]): Runner;
}

/** Language, search path and nothing else that a person's settings could change. */
const environment = ["env", "LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"];

/** A runner on a launcher. The far side ends a command in time also when the way to it has broken. */
export function makeRunner(
  launch: Launcher,
  words: readonly string[],
  options: { readonly clock: Clock; readonly signal: AbortSignal },
): Runner {
  const limited = (argv: readonly string[], timeoutMs: number): ReturnType<Launcher> => {
    const seconds = Math.ceil(timeoutMs / 1000);
    return launch([...words, ...environment, "timeout", `--kill-after=${killAfterS}`, String(seconds), ...argv]);
  };
  return {
    async run(argv, { input, timeoutMs = usualTimeoutMs } = {}) {
      const { file, args } = limited(argv, timeoutMs);
      return await runProcess(file, args, input, { ...options, timeoutMs: timeoutMs + patienceMs });
    },
    async converse(argv, turns, { timeoutMs = usualTimeoutMs, endAt } = {}) {
      const { file, args } = limited(argv, timeoutMs);
      const more = endAt === undefined ? {} : { endAt };
      return await converseWith(file, args, turns, { ...options, timeoutMs: timeoutMs + patienceMs, ...more });
    },
    async keep(argv) {
      const { file, args } = launch([...words, ...environment, ...argv]);
      return await keepProcess(file, args, options.signal);
    },
    through: (more) => makeRunner(launch, [...words, ...more], options),
  };
}
