import { UsageError } from "@cipsec/wire";
import type { EdsPosition, EdsProblem } from "./model.ts";

/** A file that is not an EDS gives a problem a line; nobody reads more than these. */
const maxProblems = 1000;

/** Collects what is wrong with a file. */
export interface Report {
  /** At most 1,000, in the order of the text. */
  problems(): readonly EdsProblem[];
  error(at: EdsPosition, message: string, fix: string): void;
  warn(at: EdsPosition, message: string, fix: string): void;
  /** The error for what cannot be read at all: `usage/file`, with `line` and `column` as facts. */
  fatal(at: EdsPosition, message: string, fix: string): UsageError;
}

/** @param name What messages call the file. */
export function reportOn(name: string): Report {
  const found: EdsProblem[] = [];
  const add = (severity: EdsProblem["severity"], { line, column }: EdsPosition, message: string, fix: string): void => {
    if (found.length < maxProblems) found.push({ line, column, severity, message, fix });
  };
  return {
    problems: () => found.toSorted((a, b) => a.line - b.line || a.column - b.column),
    error: (at, message, fix) => add("error", at, message, fix),
    warn: (at, message, fix) => add("warning", at, message, fix),
    fatal: ({ line, column }, message, fix) =>
      new UsageError("usage/file", `${name}, line ${line}, column ${column}: ${message}`, {
        facts: { file: name, line, column },
        fix,
      }),
  };
}

/** Text of the file as a message repeats it: short, on one line, nothing that a terminal acts on. */
export function quoted(text: string): string {
  const start = text.slice(0, 40).replaceAll(/[^\u0020-\u007e\u00a1-\u00ff]+/g, " ");
  return `'${start}${text.length > 40 ? "…" : ""}'`;
}
