import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { mixedPlant, type PlannedDevice } from "../src/plant.ts";

/** A folder that goes with the test. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "cipsec-lab-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Devices of a mixed plant at addresses of the test's own. */
export function plannedAt(addresses: readonly string[]): readonly PlannedDevice[] {
  return mixedPlant(addresses.length).map(({ kind, description }, i) => ({
    kind,
    description: { ...description, address: addresses[i] ?? description.address },
  }));
}

/** Ids of device processes that this one, or the one named, has started. */
export function deviceProcesses(parent = process.pid): readonly number[] {
  const { stdout } = spawnSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" });
  return stdout
    .split("\n")
    .map((row) => /^\s*(\d+)\s+(\d+)\s.*device-process/.exec(row))
    .flatMap((found) => (found !== null && Number(found[2]) === parent ? [Number(found[1])] : []));
}

/** Those of the processes that still run after they had a moment to end. */
export async function survivors(pids: readonly number[]): Promise<readonly number[]> {
  const until = performance.now() + 30_000;
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
