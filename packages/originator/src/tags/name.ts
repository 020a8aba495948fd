import { UsageError, type Segment } from "@cipsec/wire";

/** What a tag's name says. */
export interface TagName {
  /** The name without count, as its segments were written. */
  readonly base: string;
  readonly path: readonly Segment[];
  /** Elements to read, where the name ends in `{n}`. */
  readonly elements?: number;
  /** One bit of an integer, where the name ends in `.n`. */
  readonly bit?: number;
  /** `Program:Main` of a tag of a program. */
  readonly program?: string;
  /** The first name behind the program, without indexes. */
  readonly root: string;
}

/** Names have 40 characters a level; a few levels are usual. */
const maxLength = 512;

const level = /^(?<name>[A-Za-z_][\w:]*)(?<indexes>\[\s*\d+(?:\s*,\s*\d+){0,2}\s*\])?$/u;

/**
 * Reads a tag's name: `Speed`, `Program:Main.Step`, `Axis[2].Position`, `Grid[1,2]`, `Word.5` (a bit), `Speeds{10}` (ten elements).
 *
 * @throws {UsageError} `usage/argument`
 */
export function parseTagName(text: string): TagName {
  const [, base = "", count] = /^(.*?)(?:\{(\d{1,5})\})?$/u.exec(text.trim()) ?? [];
  const elements = count === undefined ? undefined : Number(count);
  if (base.length > maxLength || elements === 0 || (elements ?? 0) > 0xffff) throw notName(text);
  const parts = splitLevels(base);
  const last = parts.at(-1) ?? "";
  const isBit = parts.length > 1 && /^\d{1,2}$/u.test(last);
  if (isBit && (Number(last) > 63 || elements !== undefined)) throw notName(text);
  const levels = isBit ? parts.slice(0, -1) : parts;
  const [first = ""] = levels;
  const isProgram = /^program:\w+$/iu.test(first);
  if (isProgram && levels.length === 1) throw notName(text);
  const path = levels.flatMap((part): Segment[] => segments(part, text));
  return {
    base: levels.join("."),
    path,
    root: (levels[isProgram ? 1 : 0] ?? "").replace(/\[.*$/u, ""),
    ...(isProgram ? { program: first } : {}),
    ...(elements === undefined ? {} : { elements }),
    ...(isBit ? { bit: Number(last) } : {}),
  };
}

/** Splits at dots; one between brackets is no level. */
function splitLevels(text: string): readonly string[] {
  return text.split(/\.(?![^[]*\])/u);
}

function segments(part: string, whole: string): Segment[] {
  const { name, indexes } = level.exec(part)?.groups ?? {};
  if (name === undefined) throw notName(whole);
  const numbers = indexes === undefined ? [] : indexes.slice(1, -1).split(",").map(Number);
  if (numbers.some((index) => index > 0xffff_ffff)) throw notName(whole);
  return [{ kind: "symbol", name, form: "ansi" }, ...numbers.map((value): Segment => ({ kind: "member", value }))];
}

function notName(text: string): UsageError {
  return new UsageError("usage/argument", `'${text.slice(0, 80)}' is not a tag's name`, {
    fix: "Write Name, Program:Main.Name, Name[1,2].Member, Name.5 for a bit, or Name{10} for ten elements.",
  });
}
