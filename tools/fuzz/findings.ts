import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Something that must not happen, with all that is needed to see it again. */
export interface Found {
  /** `decoder NAME`, or the live surface. */
  readonly where: string;
  readonly what: string;
  readonly seed: number;
  /** Inputs that led to it, oldest first, as hex; a decoder has one. */
  readonly inputs: readonly string[];
}

/** Findings kept with their inputs; more of the same tell nothing new. */
const maxKept = 50;

/** Collects findings, one of each kind, and saves them for replay. */
export class Findings {
  readonly all: (Found & { readonly file: string })[] = [];
  readonly #folder: string;
  readonly #kinds = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Findings in all, doubles included. */
  get count(): number {
    return [...this.#kinds.values()].reduce((sum, times) => sum + times, 0);
  }

  add(found: Found): void {
    const kind = `${found.where}: ${found.what.replaceAll(/\d+/gu, "#")}`;
    const times = this.#kinds.get(kind) ?? 0;
    this.#kinds.set(kind, times + 1);
    if (times > 0 || this.all.length >= maxKept) return;
    mkdirSync(this.#folder, { recursive: true });
    const file = join(this.#folder, `finding-${found.seed}-${this.all.length + 1}.json`);
    writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
    this.all.push({ ...found, file });
  }
}

/** Reads a saved finding. */
export function readFound(file: string): Found {
  const found: Found = JSON.parse(readFileSync(file, "utf8"));
  return found;
}

/** An error and its causes in one line. */
export function told(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const line =
    error.stack
      ?.split("\n")
      .find((text) => text.includes("at "))
      ?.trim() ?? "";
  const cause = error.cause === undefined ? "" : `; because ${told(error.cause)}`;
  return `${error.name}: ${error.message} (${line})${cause}`;
}
