import { UsageError } from "@cipsec/wire";
import type { EdsPosition, EdsProblem } from "./model.ts";

/** A file that is not an EDS gives a problem a line; nobody reads more than these. */
const maxProblems = 1000;

/** With more than these it is no EDS; it also bounds the work that hostile text can ask for. */
const maxCounted = 100_000;

/** Collects what is wrong with a file. */
export interface Report {
  /** The first 1,000 found, in the order of the text. */
  problems(): readonly EdsProblem[];
  /** @throws {UsageError} `usage/file` above 100,000 problems; `warn` too. */
  error(at: EdsPosition, message: string, fix: string): void;
  warn(at: EdsPosition, message: string, fix: string): void;
  /** The error for what cannot be read at all: `usage/file`, with `line` and `column` as facts. */
  fatal(at: EdsPosition, message: string, fix: string): UsageError;
}

/** @param name What messages call the file. */
export function reportOn(name: string): Report {
  const found: EdsProblem[] = [];
  let count = 0;
  const fatal: Report["fatal"] = ({ line, column }, message, fix) =>
    new UsageError("usage/file", `${name}, line ${line}, column ${column}: ${message}`, {
      facts: { file: name, line, column },
      fix,
    });
  const add = (severity: EdsProblem["severity"], { line, column }: EdsPosition, message: string, fix: string): void => {
    count += 1;
    if (count > maxCounted)
      throw fatal(
        { line, column },
        `there are more than ${maxCounted} problems.`,
        "Check that the file is an EDS of one device.",
      );
    if (found.length < maxProblems) found.push({ line, column, severity, message, fix });
  };
  return {
    problems: () => found.toSorted((a, b) => a.line - b.line || a.column - b.column),
    error: (at, message, fix) => add("error", at, message, fix),
    warn: (at, message, fix) => add("warning", at, message, fix),
    fatal,
  };
}

/** Text of the file as a message repeats it: short, on one line, nothing that a terminal acts on. */
export function quoted(text: string): string {
  const start = text.slice(0, 40).replaceAll(/[^\u0020-\u007e\u00a1-\u00ff]+/g, " ");
  return `'${start}${text.length > 40 ? "…" : ""}'`;
}
