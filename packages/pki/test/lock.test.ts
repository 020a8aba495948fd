import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { acquireLock, withLock } from "../src/lock.ts";
import { temporaryFolder } from "./support.ts";

const base = temporaryFolder();
function folder(name: string, lock?: string): string {
  const path = join(base, name);
  mkdirSync(path);
  if (lock !== undefined) writeFileSync(join(path, "lock.4"), lock);
  return path;
}

test("one holder at a time, whoever waits", async () => {
  const path = folder("turns");
  const seen: number[] = [];
  let inside = 0;
  const work = async (n: number): Promise<void> => {
    expect(++inside).toBe(1);
    await sleep(2);
    seen.push(n);
    inside--;
  };
  await Promise.all([1, 2, 3].map(async (n) => await withLock(path, undefined, async () => await work(n))));
  // Not by turns in this process, but by the files: as several processes do.
  const contend = async (n: number): Promise<void> => {
    const lock = await acquireLock(path, sleep);
    await work(n);
    await lock.release();
  };
  await Promise.all([4, 5, 6, 7].map(contend));
  expect(seen.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(readdirSync(path).filter((name) => !/^lock\.\d+$/.test(name))).toEqual([]);
  expect(readdirSync(path)).toHaveLength(1);
});

test("a failure inside lets the next one in", async () => {
  const path = folder("failure");
  await expect(withLock(path, undefined, async () => await Promise.reject(new TypeError("mine")))).rejects.toThrow(
    "mine",
  );
  expect(await withLock(path, undefined, async () => await Promise.resolve(5))).toBe(5);
});

test("without a way to wait, a held lock is refused and its holder named", async () => {
  const path = folder("held");
  const lock = await acquireLock(path);
  await expect(acquireLock(path)).rejects.toMatchObject({
    code: "state/locked",
    facts: { holder: process.pid },
    message: expect.stringContaining(String(process.pid)),
  });
  await lock.release();
  await (await acquireLock(path)).release();
});

test("waiting ends when the holder never lets go", async () => {
  const path = folder("never");
  await acquireLock(path);
  let waits = 0;
  await expect(acquireLock(path, async () => await Promise.resolve(void waits++))).rejects.toMatchObject({
    code: "state/locked",
  });
  expect(waits).toBe(3000);
});

test.each([
  { name: "a dead process", lock: "4194304 123 abc" },
  { name: "a later process with the same id", lock: `${process.pid} 1 abc` },
  { name: "nobody", lock: "" },
])("takes over from $name", async ({ name, lock }) => {
  const path = folder(name, lock);
  const mine = await acquireLock(path);
  expect(readdirSync(path)).toEqual(["lock.5"]);
  await mine.release();
});

test("respects a living process of another user", async () => {
  // Process 1 lives, and as any user but root it cannot be signalled, which also means alive.
  const path = folder("init");
  const { readFile } = await import("node:fs/promises");
  const stat = await readFile("/proc/1/stat", "utf8");
  const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  writeFileSync(join(path, "lock.1"), `1 ${start} abc`);
  await expect(acquireLock(path)).rejects.toMatchObject({ code: "state/locked", facts: { holder: 1 } });
});

test("a folder that is not there cannot be locked", async () => {
  await expect(acquireLock(join(base, "no folder"))).rejects.toMatchObject({
    code: "state/write",
    message: expect.stringContaining("ENOENT"),
  });
});

test("several processes, some killed while holding it, never hold it together", async () => {
  const path = folder("processes");
  writeFileSync(join(path, "count"), "0");
  const script = `
    import { readFileSync, writeFileSync } from "node:fs";
    import { setTimeout as sleep } from "node:timers/promises";
    import { acquireLock } from ${JSON.stringify(join(import.meta.dirname, "../src/lock.ts"))};
    for (;;) {
      const lock = await acquireLock(${JSON.stringify(path)}, sleep);
      writeFileSync(${JSON.stringify(join(path, "in"))}, "", { flag: "wx" });
      await sleep(Math.random() * 3);
      (await import("node:fs")).unlinkSync(${JSON.stringify(join(path, "in"))});
      await lock.release();
      process.stdout.write(".");
      // Who has had its turn lets the others look: none of them may be without one for half a minute.
      await sleep(Math.random() * 20);
    }`;
  const start = (): { child: ReturnType<typeof spawn>; turns: () => number; errors: () => string } => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
    let turns = 0;
    let errors = "";
    child.stdout.on("data", (data: Buffer) => (turns += data.length));
    child.stderr.on("data", (data: Buffer) => (errors += data.toString()));
    return { child, turns: () => turns, errors: () => errors };
  };
  const workers = [start(), start(), start()];
  while (workers.some(({ turns, errors }) => turns() < 20 && errors() === "")) await sleep(20);
  const errors = workers.map((worker) => worker.errors()).join("");
  for (const { child } of workers) child.kill("SIGKILL");
  await Promise.all(workers.map(async ({ child }) => await new Promise((resolve) => child.once("exit", resolve))));
  expect(errors).toBe("");
  // One of them very likely died inside: the lock is still to be had.
  await (await acquireLock(path)).release();
});
