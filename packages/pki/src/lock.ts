import { randomBytes } from "node:crypto";
import { link, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { StateError, systemCode } from "./errors.ts";

/** A lock that this process holds. */
export interface Lock {
  release(): Promise<void>;
}

/** Waits for the given time; timers are the caller's. */
export type Pause = (ms: number) => Promise<void>;

const retryMs = 10;

/** Half a minute: the longest that a holder works is a few writes. */
const maxTries = 3000;

/** Contenders that may get in between two looks at the folder. */
const maxRaces = 100;

/**
 * Takes the lock of a folder, waiting for a living holder and taking over from a dead one.
 *
 * A lock is the highest-numbered file `lock.<n>`, made whole by a hard link, which only one process can win. It is
 * free when it is empty, or when the process it names is gone; whoever wants it makes the next number. A lower number
 * is deleted only while a higher one exists, and a winner that finds a higher one withdraws. So no step removes a file
 * that another process may just have made, which is what lets two recoverers both win with a single lock file.
 *
 * @param pause How to wait for the holder; without it a held lock is refused at once.
 * @throws {StateError} `state/locked` when the holder does not let go; `state/write` when the folder cannot be written.
 */
export async function acquireLock(folder: string, pause?: Pause): Promise<Lock> {
  const identity = `${process.pid} ${await startOf(process.pid)} ${randomBytes(8).toString("hex")}`;
  const ticket = join(folder, `ticket.${process.pid}-${randomBytes(6).toString("hex")}`);
  try {
    await writeFile(ticket, identity, { flag: "wx", mode: 0o600 });
    for (let attempt = 0; ; attempt++) {
      const holder = await tryOnce(folder, ticket);
      if (typeof holder === "object") return holder;
      // A lost race (0) is settled at once by the winner; only a holder is waited for.
      const gaveUp = pause === undefined ? holder > 0 || attempt >= maxRaces : attempt >= maxTries;
      if (gaveUp) {
        throw new StateError("state/locked", `'${folder}' is in use by process ${holder}`, {
          facts: { folder, holder },
        });
      }
      await pause?.(retryMs);
    }
  } catch (error) {
    if (error instanceof StateError) throw error;
    throw new StateError("state/write", `'${folder}' cannot be locked (${systemCode(error)})`, {
      facts: { folder },
      cause: error,
    });
  } finally {
    await rm(ticket, { force: true });
  }
}

/** Users of the same folder in this process take turns, without a timer. */
const turns = new Map<string, Promise<unknown>>();

/** Runs work while holding the lock of a folder. */
export async function withLock<T>(folder: string, pause: Pause | undefined, work: () => Promise<T>): Promise<T> {
  const key = resolve(folder);
  const before = turns.get(key);
  const mine = (async () => {
    await before?.catch(() => undefined);
    const lock = await acquireLock(folder, pause);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  })();
  turns.set(key, mine);
  try {
    return await mine;
  } finally {
    if (turns.get(key) === mine) turns.delete(key);
  }
}

/** The lock, or the process id of who has it. */
async function tryOnce(folder: string, ticket: string): Promise<Lock | number> {
  const highest = Math.max(0, ...(await numbers(folder)));
  if (highest > 0) {
    const holder = await livingHolder(join(folder, `lock.${highest}`));
    if (holder !== undefined) return holder;
  }
  const mine = highest + 1;
  const path = join(folder, `lock.${mine}`);
  try {
    await link(ticket, path);
  } catch (error) {
    if (systemCode(error) === "EEXIST") return 0;
    throw error;
  }
  const now = await numbers(folder);
  if (now.some((n) => n > mine)) {
    await rm(path, { force: true });
    return 0;
  }
  await Promise.all(now.filter((n) => n < mine).map(async (n) => await rm(join(folder, `lock.${n}`), { force: true })));
  return { release: async () => await release(path) };
}

async function release(path: string): Promise<void> {
  // The emptied file stays: its number is what keeps a slow contender from winning an old one.
  const empty = `${path}.free`;
  await writeFile(empty, "", { mode: 0o600 });
  await rename(empty, path);
}

async function numbers(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => {
    const found = /^lock\.(\d{1,15})$/.exec(name);
    return found === null ? [] : [Number(found[1])];
  });
}

async function livingHolder(path: string): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  // Gone since it was listed: somebody moved on, so look again.
  if (text === undefined) return 0;
  const [pid, start] = text.split(" ");
  if (pid === undefined || pid === "" || !isAlive(Number(pid))) return undefined;
  return (await startOf(Number(pid))) === start ? Number(pid) : undefined;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) === "EPERM";
  }
}

/** When a process started, in the kernel's ticks: tells a holder from a later process with the same id. */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name in parentheses may hold spaces; field 22 is the 20th after it.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "-";
}
