import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Server } from "./child.ts";
import { datagramOctets, type IoLoad } from "./io-traffic.ts";

/** The reference that no runtime slows: a C program with absolute deadlines. */
export interface Floor extends AsyncDisposable {
  /** Sends to `peer` and counts what comes from there, as a bare flow does. */
  start(address: string, peer: string, load: IoLoad): Promise<Server>;
}

/** Any port: both ends have the same. */
const port = 2298;

/** Compiles `io-floor.c`; `undefined` on a machine without a C compiler. */
export async function buildFloor(): Promise<Floor | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-bench-floor-"));
  const program = join(folder, "io-floor");
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    const source = fileURLToPath(new URL("io-floor.c", import.meta.url));
    await promisify(execFile)("gcc", ["-O2", "-pthread", "-o", program, source]);
  } catch {
    await remove();
    return undefined;
  }
  return {
    start: (address, peer, { connections, rpiMicros }) =>
      started(program, [address, peer, port, connections, rpiMicros, datagramOctets].map(String)),
    [Symbol.asyncDispose]: remove,
  };
}

/** A process that answers each line with a line of JSON, the first unasked. */
async function started(program: string, args: readonly string[]): Promise<Server> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const answers = lines[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { done, value } = await answers.next();
    if (done === true) throw new Error(`${program} ended`);
    return JSON.parse(value);
  };
  await next();
  return {
    ask(): Promise<unknown> {
      child.stdin.write("\n");
      return next();
    },
    stop: () => void child.kill("SIGKILL"),
  };
}
