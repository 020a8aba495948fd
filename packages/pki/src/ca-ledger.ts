import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { readChecked, writeChecked } from "./atomic-file.ts";
import {
  applyRecord,
  liveIndex,
  parseIndex,
  parseRecord,
  type CaIndex,
  type CaRecord,
  type LiveIndex,
} from "./ca-index.ts";
import { StateError, systemCode, UsageError } from "./errors.ts";
import { appendJournal, journalStart, readJournal, type JournalPlace, type JournalTail } from "./journal.ts";

/**
 * The index of an authority on disk: a snapshot, `index`, with the one before it, and a journal, `journal.<n>`, of what
 * was changed since snapshot n. A change costs one line and not the whole index, however much was issued. A damaged
 * snapshot loses nothing: the one before it and its journal lead to the same.
 */
export interface Ledger {
  /** As it was when last refreshed or changed. */
  readonly index: LiveIndex;
  /** A snapshot or line was unreadable when last refreshed; {@link Ledger.repair} makes it whole. */
  readonly damaged: boolean;
  /**
   * Takes in what others have written since.
   *
   * @throws {UsageError} `usage/ca-missing` where the index is gone
   */
  refresh(): Promise<void>;
  /** Adds records, durably; only under the lock, after {@link Ledger.refresh}. */
  append(records: readonly CaRecord[]): Promise<void>;
  /** Adds records and writes a snapshot, so that a damaged one is none any more; only under the lock. */
  repair(records: readonly CaRecord[]): Promise<void>;
}

const version = 2;
const format = { format: "ca-index", version } as const;

/** Lines since a snapshot after which the next one is written, or as many as it has rows where those are more: so each row is written about twice. */
const minJournalLines = 1000;

/** Snapshots that others may write while one is read. */
const maxTries = 20;

/** Opens the index of a folder; nothing where there is none. */
export async function openLedger(folder: string): Promise<Ledger | undefined> {
  const first = await load(folder);
  return first === undefined ? undefined : ledgerOf(folder, first);
}

/** Writes the first snapshot of a new authority. */
export async function createLedger(folder: string, index: CaIndex): Promise<void> {
  // Journals that a folder without index still has belong to nothing.
  for (const number of await journals(folder)) await rm(journalPath(folder, number), { force: true });
  const first = { generation: 1, ...stored(liveIndex(index)) };
  // Twice, so that there is a snapshot before it from the beginning.
  await writeChecked(join(folder, "index"), format, first);
  await writeChecked(join(folder, "index"), format, first);
}

/** What was read: an index, and where it stands on disk. */
interface Loaded {
  readonly index: LiveIndex;
  /** Which file `index` was. */
  readonly file: string;
  readonly damaged: boolean;
  /** Of the snapshot that the journals were applied to, which is the oldest that is still needed. */
  readonly base: number;
  /** The newest journal, and its end. */
  readonly generation: number;
  readonly end: JournalPlace;
  /** Lines in all journals since the snapshot. */
  readonly lines: number;
  /** Written by an earlier version of this program. */
  readonly isOld: boolean;
}

function ledgerOf(folder: string, first: Loaded): Ledger {
  let now = first;

  const compact = async (): Promise<void> => {
    const generation = now.generation + 1;
    const value = { generation, ...stored(now.index) };
    await writeChecked(join(folder, "index"), format, value);
    // Twice, so that an earlier version of this program does not take the previous snapshot for the state.
    if (now.isOld) await writeChecked(join(folder, "index"), format, value);
    const base = now.isOld ? generation : now.base;
    for (const number of await journals(folder))
      if (number < base) await rm(journalPath(folder, number), { force: true });
    const file = await fileOf(folder);
    now = {
      index: now.index,
      file,
      damaged: false,
      base: generation,
      generation,
      end: journalStart,
      lines: 0,
      isOld: false,
    };
  };

  /** What others have added to the journal since; nothing where all has to be read again. */
  const tailOf = async ({ damaged, file, generation, end }: Loaded): Promise<JournalTail | undefined> => {
    if (damaged || (await fileOf(folder)) !== file) return undefined;
    const tail = (await readJournal(journalPath(folder, generation), end)) ?? { values: [], end, damaged: false };
    // A snapshot that was written meanwhile took the journal's place.
    return tail.damaged || (await fileOf(folder)) !== file ? undefined : tail;
  };

  const append = async (records: readonly CaRecord[]): Promise<void> => {
    const end = await appendJournal(journalPath(folder, now.generation), now.end, records);
    for (const record of records) applyRecord(now.index, record);
    now = { ...now, end, lines: now.lines + records.length };
  };

  return {
    get index() {
      return now.index;
    },
    get damaged() {
      return now.damaged;
    },
    async refresh() {
      for (;;) {
        const before = now;
        const tail = await tailOf(before);
        const again = tail === undefined ? await load(folder) : before;
        // Who wrote or looked in this process meanwhile knows more than what was read here. Taken back, the next writer would cut it off.
        if (now !== before) continue;
        if (again === undefined)
          throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority any more`, {
            facts: { folder },
          });
        const values = tail?.values ?? [];
        for (const value of values) applyRecord(again.index, parseRecord(value));
        now =
          values.length === 0 ? again : { ...again, end: tail?.end ?? again.end, lines: again.lines + values.length };
        return;
      }
    },
    async append(records) {
      if (now.isOld) await compact();
      await append(records);
      if (now.lines >= minJournalLines && now.lines * 2 >= now.index.rows.size) await compact();
    },
    async repair(records) {
      for (const record of records) applyRecord(now.index, record);
      await compact();
    },
  };
}

async function load(folder: string): Promise<Loaded | undefined> {
  for (let attempt = 0; attempt < maxTries; attempt++) {
    const file = await fileOf(folder);
    const loaded = await loadOnce(folder, file);
    if ((await fileOf(folder)) === file) return loaded;
  }
  throw new StateError("state/locked", `'${folder}' changes faster than it can be read`, { facts: { folder } });
}

async function loadOnce(folder: string, file: string): Promise<Loaded | undefined> {
  const snapshot = await readChecked(join(folder, "index"), {
    ...format,
    parse: (value, stated) => ({ index: parseIndex(value), base: generationOf(value), isOld: stated < version }),
  });
  if (snapshot === undefined) return undefined;
  const { base, isOld } = snapshot.value;
  const index = liveIndex(snapshot.value.index);
  let { generation, end, lines, damaged } = {
    generation: base,
    end: journalStart,
    lines: 0,
    damaged: snapshot.generation === "previous",
  };
  for (const number of (await journals(folder)).filter((one) => one >= base)) {
    const tail = await readJournal(journalPath(folder, number));
    if (tail === undefined) continue;
    for (const value of tail.values) applyRecord(index, parseRecord(value));
    generation = number;
    end = tail.end;
    lines += tail.values.length;
    damaged ||= tail.damaged;
  }
  return { index, file, damaged, base, generation, end, lines, isOld };
}

function stored({ name, crlNumber, tiers, change, crlBase, rows }: LiveIndex): object {
  return {
    name,
    crlNumber,
    tiers,
    ...(change === undefined ? {} : { change }),
    ...(crlBase === undefined ? {} : { crlBase }),
    issued: [...rows.values()],
  };
}

function generationOf(value: unknown): number {
  const found: unknown =
    typeof value === "object" && value !== null && "generation" in value ? value.generation : undefined;
  return typeof found === "number" && Number.isSafeInteger(found) && found >= 0 ? found : 0;
}

function journalPath(folder: string, generation: number): string {
  return join(folder, `journal.${generation}`);
}

/** Numbers of the journals, ascending. */
async function journals(folder: string): Promise<readonly number[]> {
  const names = await readdir(folder);
  return names
    .flatMap((name) => {
      const found = /^journal\.(\d{1,15})$/.exec(name);
      return found === null ? [] : [Number(found[1])];
    })
    .sort((a, b) => a - b);
}

/** Tells one snapshot file from the next: they are never changed, only replaced. */
async function fileOf(folder: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(join(folder, "index"), { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "";
    throw new StateError("state/corrupt", `'${join(folder, "index")}' cannot be read (${systemCode(error)})`, {
      facts: { folder },
      cause: error,
    });
  }
}
