import { createHash, randomBytes } from "node:crypto";
import { chmod, link, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { StateError, systemCode } from "./errors.ts";

/** Options of {@link writeFileAtomic}. */
export interface WriteOptions {
  /** Permissions of the file; default 0600. */
  readonly mode?: number;
}

/** What a checked file is for, so that one cannot be taken for another. */
export interface CheckedFormat {
  /** Lower-case letters, digits and dashes, for example `ca-index`. */
  readonly format: string;
  /** Counts changes of the layout. */
  readonly version: number;
}

/** How to read a checked file. */
export interface CheckedReader<T> extends CheckedFormat {
  /** Turns stored JSON of this or an earlier version into a value; a throw makes the generation count as bad. */
  readonly parse: (value: unknown, version: number) => T;
}

/** What was read, and from which generation. */
export interface Checked<T> {
  readonly value: T;
  /** `previous` when the newest generation was unreadable: what it alone held is lost. */
  readonly generation: "current" | "previous";
}

/**
 * Replaces a file so that after a crash at any instant it holds the old or the new content, whole, and so that the new
 * content is on disk when this returns: temporary file in the same folder, fsync, rename, fsync of the folder.
 *
 * @throws {StateError} `state/write`; the old content is then still there.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: WriteOptions = {},
): Promise<void> {
  await oneAtATime(path, async () => await replace(path, data, options.mode ?? 0o600, false));
}

/** Makes a folder, and those above it, that only its owner can enter. */
export async function makePrivateFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    await chmod(path, 0o700);
  } catch (error) {
    throw new StateError("state/write", `the folder '${path}' cannot be made (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
}

/**
 * Stores a JSON value with checksum and version, and keeps the generation before it as `<path>.previous`.
 *
 * @throws {StateError} `state/write`
 */
export async function writeChecked(path: string, { format, version }: CheckedFormat, value: unknown): Promise<void> {
  const body = `${JSON.stringify(value)}\n`;
  const text = `cipsec-state ${format} ${version} sha256=${digest(body)}\n${body}`;
  await oneAtATime(path, async () => {
    // A damaged generation must not push out the last good one.
    const current = await readText(path);
    await replace(path, text, 0o600, current !== undefined && splitChecked(current, format) !== undefined);
  });
}

/**
 * Reads what {@link writeChecked} stored; falls back to the previous generation when the current one is damaged.
 *
 * @returns Nothing when it was never written.
 * @throws {StateError} `state/corrupt` when no generation is good.
 */
export async function readChecked<T>(path: string, reader: CheckedReader<T>): Promise<Checked<T> | undefined> {
  const found: string[] = [];
  for (const generation of ["current", "previous"] as const) {
    const text = await readText(generation === "current" ? path : previousOf(path));
    if (text === undefined) continue;
    const stored = splitChecked(text, reader.format);
    if (stored === undefined || stored.version > reader.version) {
      found.push(
        stored === undefined
          ? `${generation}: damaged`
          : `${generation}: version ${stored.version} is newer than this program`,
      );
      continue;
    }
    try {
      return { value: reader.parse(JSON.parse(stored.body), stored.version), generation };
    } catch {
      found.push(`${generation}: content not understood`);
    }
  }
  if (found.length === 0) return undefined;
  throw new StateError("state/corrupt", `'${path}' cannot be used (${found.join("; ")})`, { facts: { path } });
}

/** Where the generation before the current one is kept. */
export function previousOf(path: string): string {
  return `${path}.previous`;
}

/** Writers of the same path in this process take turns; other processes are kept out by a lock (`lock.ts`). */
const turns = new Map<string, Promise<void>>();

async function oneAtATime(path: string, work: () => Promise<void>): Promise<void> {
  const before = turns.get(path);
  const mine = (async () => {
    await before?.catch(() => undefined);
    await work();
  })();
  turns.set(path, mine);
  try {
    await mine;
  } finally {
    if (turns.get(path) === mine) turns.delete(path);
  }
}

async function replace(path: string, data: string | Uint8Array, mode: number, keepPrevious: boolean): Promise<void> {
  const folder = dirname(path);
  const unique = `.${process.pid}-${randomBytes(6).toString("hex")}`;
  const temporary = join(folder, `${basename(path)}${unique}.tmp`);
  const kept = join(folder, `${basename(path)}${unique}.old`);
  try {
    const file = await open(temporary, "wx", mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    if (keepPrevious) {
      // A second name for the old content, so that the path itself is never without one.
      await link(path, kept);
      await rename(kept, previousOf(path));
      // A rename between two names of one file does nothing; they are that when a crash came right here before.
      await rm(kept, { force: true });
    }
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    await Promise.all([rm(temporary, { force: true }), rm(kept, { force: true })]);
    throw new StateError("state/write", `'${path}' cannot be written (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
}

/** Has the names in a folder on disk. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder; its file systems order renames themselves.
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw new StateError("state/corrupt", `'${path}' cannot be read (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
}

function splitChecked(text: string, format: string): { readonly version: number; readonly body: string } | undefined {
  const [, stored, version, sum] = /^cipsec-state ([a-z0-9-]+) (\d{1,6}) sha256=([0-9a-f]{64})\n/.exec(text) ?? [];
  if (stored !== format || sum === undefined) return undefined;
  const body = text.slice(text.indexOf("\n") + 1);
  return digest(body) === sum ? { version: Number(version), body } : undefined;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
