import { hash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "./atomic-file.ts";
import { StateError, systemCode } from "./errors.ts";

/** How far a journal is known: octets of it that are good, and the number of the next line. */
export interface JournalPlace {
  readonly octets: number;
  readonly next: number;
}

/** Lines that came after a place. */
export interface JournalTail {
  readonly values: readonly unknown[];
  readonly end: JournalPlace;
  /** Lines before the end cannot be read: what they said is lost. The torn last line of a crash is none of them. */
  readonly damaged: boolean;
}

/** The start of a journal. */
export const journalStart: JournalPlace = { octets: 0, next: 1 };

/**
 * Appends values as lines, each with its number and checksum, and has them on disk when this returns. After a crash at any instant
 * the journal has all lines, or the first ones of them; an unfinished line counts as not written, and is cut off by the next append.
 * One writer at a time (`lock.ts`).
 *
 * @param at The end of the journal, as {@link readJournal} told.
 * @throws {StateError} `state/write`
 */
export async function appendJournal(path: string, at: JournalPlace, values: readonly unknown[]): Promise<JournalPlace> {
  const lines = values.map((value, i) => line(at.next + i, JSON.stringify(value)));
  const octets = Buffer.from(lines.join(""));
  try {
    const file = await open(path, "a", 0o600);
    try {
      const { size } = await file.stat();
      if (size !== at.octets) await file.truncate(at.octets);
      await file.writeFile(octets);
      await file.datasync();
    } finally {
      await file.close();
    }
    if (at.octets === 0) await syncFolder(dirname(path));
  } catch (error) {
    throw new StateError("state/write", `'${path}' cannot be written (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
  return { octets: at.octets + octets.length, next: at.next + values.length };
}

/**
 * Reads what stands in a journal after a place.
 *
 * @returns Nothing where there is no journal.
 * @throws {StateError} `state/corrupt` when it cannot be read
 */
export async function readJournal(path: string, from: JournalPlace = journalStart): Promise<JournalTail | undefined> {
  let octets: Buffer;
  try {
    const file = await open(path, "r");
    try {
      octets = await readFrom(file, from.octets);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw new StateError("state/corrupt", `'${path}' cannot be read (${systemCode(error)})`, {
      facts: { path },
      cause: error,
    });
  }
  return split(octets, from);
}

async function readFrom(file: FileHandle, offset: number): Promise<Buffer> {
  const { size } = await file.stat();
  const octets = Buffer.alloc(Math.max(0, size - offset));
  let done = 0;
  while (done < octets.length) {
    const { bytesRead } = await file.read(octets, done, octets.length - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return octets.subarray(0, done);
}

function split(octets: Buffer, from: JournalPlace): JournalTail {
  const values: unknown[] = [];
  let end = from;
  let isBad = false;
  let damaged = false;
  for (let at = 0; at < octets.length;) {
    const stop = octets.indexOf(0x0a, at);
    if (stop < 0) break;
    const found = readLine(octets.toString("utf8", at, stop));
    at = stop + 1;
    if (found === undefined || found.number < end.next) {
      isBad = true;
      continue;
    }
    // Good lines after a bad one, or a number left out: what stood between is gone.
    damaged ||= isBad || found.number !== end.next;
    values.push(found.value);
    end = { octets: from.octets + at, next: found.number + 1 };
  }
  // A whole line that is bad was written whole once: that is no crash.
  return { values, end, damaged: damaged || isBad };
}

function line(number: number, body: string): string {
  return `${number} ${checksum(number, body)} ${body}\n`;
}

function readLine(text: string): { readonly number: number; readonly value: unknown } | undefined {
  const [, digits, sum, body] = /^(\d{1,15}) ([0-9a-f]{32}) (.*)$/s.exec(text) ?? [];
  if (body === undefined || checksum(Number(digits), body) !== sum) return undefined;
  return { number: Number(digits), value: JSON.parse(body) };
}

/** Half of a SHA-256 is enough against accidents; who can write the file can compute it. */
function checksum(number: number, body: string): string {
  return hash("sha256", `${number} ${body}`).slice(0, 32);
}
