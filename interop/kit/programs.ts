import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { describe, expect, test } from "vitest";

/** What a program printed until it ended, or was ended because its time was over. */
export interface Ran {
  readonly code: number | null;
  /** Set where it did not end by itself. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** How a program is run. */
export interface RunOptions {
  readonly input?: Uint8Array;
  /** The program's input stays open until it has printed as many octets as this; then it is closed. */
  readonly untilOctets?: number;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Programs that run now; what a failed test left behind is ended with its file. */
const running = new Set<ChildProcessWithoutNullStreams>();

process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Runs a program to its end; after `timeoutMs` it is ended, and `code` is null. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { input, untilOctets = 0, timeoutMs = 15_000, env = {}, cwd } = options;
  const child = start(program, args, env, cwd);
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const stdout: Buffer[] = [];
  let octets = 0;
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout.push(chunk);
    octets += chunk.length;
    if (octets >= untilOctets) child.stdin.end();
  });
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
  if (input !== undefined) child.stdin.write(input);
  if (untilOctets === 0) child.stdin.end();
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  clearTimeout(timer);
  return { code: child.exitCode, signal: child.signalCode, stdout: Buffer.concat(stdout), stderr };
}

/** Runs a program that must succeed. */
export async function must(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stderr}${stdout.toString()}`);
  return stdout.toString("utf8");
}

/** Starts a program that goes on running; give it to {@link stop}. */
export function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  cwd?: string,
): ChildProcessWithoutNullStreams {
  const child = spawn(program, args, { env: { ...process.env, LC_ALL: "C", ...env }, cwd, stdio: "pipe" });
  running.add(child);
  child.once("close", () => running.delete(child));
  // A peer that has hung up before it read all its input is no fault of the test.
  child.stdin.on("error", () => undefined);
  return child;
}

/** Ends a program that {@link start} started, and waits until it is gone. */
export async function stop(child: ChildProcessWithoutNullStreams, signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("close", resolve));
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
  await gone;
  clearTimeout(timer);
}

/** What a program that {@link start} started prints until it ends, which it has to do well. */
export async function ended(child: ChildProcessWithoutNullStreams, timeoutMs = 30_000): Promise<string> {
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  if (child.exitCode === 0) return Buffer.concat(stdout).toString();
  throw new Error(`${child.spawnargs.join(" ")} ended with ${child.exitCode}:\n${Buffer.concat(stderr).toString()}`);
}

/** Waits until a program prints something that matches, on either stream; the match. */
export async function printed(
  child: ChildProcessWithoutNullStreams,
  pattern: RegExp,
  timeoutMs = 10_000,
): Promise<RegExpExecArray> {
  let text = "";
  return await new Promise((resolve, reject) => {
    const fail = (why: string): void => reject(new Error(`${why}, waiting for ${pattern}; printed:\n${text}`));
    const timer = setTimeout(() => fail(`nothing within ${timeoutMs} ms`), timeoutMs);
    const take = (chunk: Buffer): void => {
      text += chunk.toString("utf8");
      const match = pattern.exec(text);
      if (match === null) return;
      clearTimeout(timer);
      resolve(match);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", (error) => fail(error.message));
    child.once("close", (code) => fail(`it ended with ${code}`));
  });
}

/** Waits until something holds; at most `timeoutMs`. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Stands in a list of peers for the right to open raw sockets. */
export const rootRights = "root rights";

/** Stands in a list of peers for the right to make a network namespace: root in some containers has none. */
export const ownNetwork = "the right to make a network namespace";

/**
 * The cases with these peers. Where one is missing a single case stands for them: it says which, and is skipped; under CI,
 * where no peer may be missing, it fails.
 */
export function withPeers(name: string, programs: readonly string[], cases: () => void): void {
  const missing = programs.filter((program) => !isThere(program));
  if (missing.length === 0) {
    describe(name, cases);
    return;
  }
  const sentence = `${name}: missing here: ${missing.join(", ")}`;
  const inCi = Boolean(process.env["CI"]) && process.env["CI"] !== "false";
  if (inCi) test(sentence, () => expect(missing).toEqual([]));
  else test.skip(sentence, () => undefined);
}

function isThere(peer: string): boolean {
  if (peer === rootRights) return process.getuid?.() === 0;
  return peer === ownNetwork ? spawnSync("unshare", ["--net", "true"]).status === 0 : isOnPath(peer);
}

function isOnPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
