import { spawn } from "node:child_process";
import type { Clock } from "@cipsec/transport";
import { TransportError } from "@cipsec/wire";

/** What a command gave. */
export interface Ran {
  /** Exit code, or the signal that ended it; `ENOENT` and the like when it could not be started. */
  readonly exit: number | string;
  readonly stdout: string;
  readonly stderr: string;
  /** Whether output was cut off at {@link maxOutput}, which also ends the command. */
  readonly isCut: boolean;
}

/** What is expected in the output, and what is typed then. */
export interface Turn {
  readonly until: RegExp;
  readonly send: string;
}

/** What came of a dialogue. */
export interface Dialogue {
  /** Everything that was shown; what was typed is in it only where it was echoed. */
  readonly transcript: string;
  readonly exit: number | string;
  /** For each turn that was taken: milliseconds from typing to the first visible character after it; fewer when none came. */
  readonly replyMs: readonly number[];
  /** Turns that were taken. */
  readonly taken: number;
}

/** How a process is started. */
export interface ProcessOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** Time for what is still to be said when a dialogue is over, ms. */
const lastWordsMs = 200;

/** Each stream is bounded, as it comes from the host that is judged. Listings of a whole system stay below. */
const maxOutput = 4 * 1024 * 1024;

/**
 * Runs a program to its end. No shell is involved.
 *
 * @throws {TransportError} `transport/timeout` when it does not end in time.
 */
export async function runProcess(
  file: string,
  args: readonly string[],
  input: string | undefined,
  options: ProcessOptions,
): Promise<Ran> {
  const child = start(file, args, options);
  const streams = [collect(child.stdout), collect(child.stderr)] as const;
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  let isCut = false;
  for (const stream of streams)
    stream.onFull = () => {
      isCut = true;
      child.kill("SIGKILL");
    };
  const exit = await ended(child, file, options);
  return { exit, stdout: streams[0].text(), stderr: streams[1].text(), isCut };
}

/**
 * Runs a program that asks: waits for each turn's question and types its answer, then waits for the end. What `endAt` matches once
 * something was typed ends its input: a warning that comes before the first question ends nothing.
 *
 * @throws {TransportError} `transport/timeout` when it does not end in time.
 */
export async function converseWith(
  file: string,
  args: readonly string[],
  turns: readonly Turn[],
  options: ProcessOptions & { readonly endAt?: RegExp },
): Promise<Dialogue> {
  const { clock, endAt } = options;
  const child = start(file, args, options);
  const shown = collect(child.stdout);
  shown.onFull = () => void child.kill("SIGKILL");
  collect(child.stderr);
  child.stdin.on("error", () => undefined);
  const replyMs: number[] = [];
  let taken = 0;
  let from = 0;
  let typedAt = 0;
  let isEnding = false;
  const look = (): void => {
    const fresh = shown.text().slice(from);
    if (taken > replyMs.length && /\S/.test(fresh)) replyMs.push(clock.now() - typedAt);
    const turn = turns[taken];
    if (turn === undefined || !turn.until.test(fresh)) {
      if (taken > 0 && endAt?.test(fresh) === true && !isEnding) {
        isEnding = true;
        child.stdin.end();
        // A program that asks again, whatever its input says; the last words are let through before.
        clock.after(lastWordsMs, () => {
          child.kill("SIGTERM");
          // What stands between, such as nsenter into other processes, may leave a child of its own that holds the stream open.
          child.stdout.destroy();
          child.stderr.destroy();
        });
      }
      return;
    }
    from = shown.text().length;
    taken += 1;
    typedAt = clock.now();
    child.stdin.write(`${turn.send}\n`);
  };
  shown.onText = look;
  const exit = await ended(child, file, options);
  return { transcript: shown.text(), exit, replyMs, taken };
}

/**
 * A program that stays until its standard input ends, and says so by its first line.
 *
 * @throws {TransportError} `transport/closed` when it ends before it has said anything; the message holds what it complained of.
 */
export async function keepProcess(
  file: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly firstLine: string; close(): Promise<void> }> {
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], signal });
  const out = collect(child.stdout);
  const complaints = collect(child.stderr);
  child.stdin.on("error", () => undefined);
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const spoke = new Promise<void>((resolve) => {
    out.onText = () => {
      if (out.text().includes("\n")) resolve();
    };
  });
  await Promise.race([spoke, gone]);
  const [firstLine = ""] = out.text().split("\n");
  if (!out.text().includes("\n"))
    throw new TransportError("transport/closed", `${file} ended at once: ${complaints.text().trim().slice(0, 300)}`);
  return {
    firstLine,
    async close() {
      child.stdin.end();
      await gone;
    },
  };
}

type Child = ReturnType<typeof start>;

function start(file: string, args: readonly string[], { timeoutMs, signal }: ProcessOptions) {
  return spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], timeout: timeoutMs, killSignal: "SIGKILL", signal });
}

/** Gathers a stream's text up to the bound. */
function collect(stream: NodeJS.ReadableStream): { text(): string; onText?: () => void; onFull?: () => void } {
  let text = "";
  const collected: ReturnType<typeof collect> = { text: () => text };
  stream.setEncoding("utf8");
  stream.on("data", (piece: string) => {
    if (text.length >= maxOutput) return;
    text = (text + piece).slice(0, maxOutput);
    collected.onText?.();
    if (text.length >= maxOutput) collected.onFull?.();
  });
  return collected;
}

/** The end of a process, its streams read to their ends. */
async function ended(
  child: Child,
  file: string,
  { timeoutMs, signal, clock }: ProcessOptions,
): Promise<number | string> {
  const start = clock.now();
  const exit = await new Promise<number | string>((resolve) => {
    child.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
    child.once("close", (code, by) => resolve(code ?? by ?? "unknown"));
  });
  signal.throwIfAborted();
  if (exit === "SIGKILL" && clock.now() - start >= timeoutMs - 50)
    throw new TransportError("transport/timeout", `${file} did not end within ${timeoutMs} ms`);
  return exit;
}
