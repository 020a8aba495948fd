import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const bin = fileURLToPath(new URL("../bin/cipsec.mjs", import.meta.url));
const source = ["--conditions=@cipsec/source", "--no-warnings"];

/** A command in a process of its own. */
export class Process implements AsyncDisposable {
  readonly child: ChildProcess;
  out = "";
  err = "";
  readonly #ended: Promise<unknown>;

  /** @param how `main`: the command alone; `bin`: as a shell starts it in a checkout. */
  constructor(words: readonly string[], data: string, how: "main" | "bin" = "main") {
    const args = how === "main" ? [...source, main, ...words] : [bin, ...words];
    this.child = spawn(process.execPath, args, {
      env: { ...process.env, CIPSEC_DATA: data },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout?.on("data", (bytes: Buffer) => (this.out += bytes.toString()));
    this.child.stderr?.on("data", (bytes: Buffer) => (this.err += bytes.toString()));
    this.#ended = once(this.child, "close");
  }

  /** Resolves when this stands in what was printed; a busy machine may take a while to start it. */
  async says(text: string | RegExp, stream: "out" | "err" = "out"): Promise<void> {
    const until = performance.now() + 60_000;
    while (!matches(this[stream], text)) {
      if (this.child.exitCode !== null || performance.now() > until)
        throw new RangeError(`the command never said ${String(text)}: ${this.out}${this.err}`);
      await sleep(20);
    }
  }

  /** Exit code, when it has ended. */
  async end(): Promise<number | null> {
    await this.#ended;
    return this.child.exitCode;
  }

  /** Ids of all processes below it. */
  descendants(): readonly number[] {
    const { stdout } = spawnSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" });
    const rows = stdout
      .trim()
      .split("\n")
      .map((row) => row.trim().split(/\s+/).map(Number));
    const below = (parent: number): number[] =>
      rows.flatMap(([pid = 0, ppid]) => (ppid === parent ? [pid, ...below(pid)] : []));
    return below(this.child.pid ?? -1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#ended;
  }
}

function matches(said: string, text: string | RegExp): boolean {
  return typeof text === "string" ? said.includes(text) : text.test(said);
}

/** Those of the processes that still run after they had a moment to end. */
export async function survivors(pids: readonly number[], withinMs = 30_000): Promise<readonly number[]> {
  const until = performance.now() + withinMs;
  let alive = pids.filter(isAlive);
  while (alive.length > 0 && performance.now() < until) {
    await sleep(50);
    alive = alive.filter(isAlive);
  }
  return alive;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
