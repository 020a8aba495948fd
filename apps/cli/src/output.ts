import { once } from "node:events";
import { stripVTControlCharacters } from "node:util";

/** Where a command writes. People read tables and sentences; machines one JSON document, or one a line for streams. */
export interface Output {
  readonly json: boolean;
  /** A sentence for people; nothing with --json. */
  say(text: string): void;
  /** The one document of a command; only with --json. */
  document(value: unknown): void;
  /** One document of a stream; only with --json. */
  line(value: unknown): void;
  /** A table for people; nothing with --json. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void;
  /** Progress and notices, on standard error. On a terminal a progress line replaces the one before it. */
  progress(text: string): void;
  /** How far something is that goes on: on a terminal only, in place of the progress line. */
  status(text: string): void;
  notice(text: string): void;
  /** Resolves when the reader has taken what was written: a long stream waits for it now and then. */
  drained(): Promise<void>;
}

/** The streams a command writes to. */
export interface Streams {
  readonly out: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly writableNeedDrain?: boolean };
  readonly err: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
}

const clearLine = "\r\u001b[2K";

/** Output in the form that was asked for. */
export function makeOutput(streams: Streams, json: boolean): Output {
  let hasProgress = false;
  const settle = (): void => {
    if (hasProgress) streams.err.write(clearLine);
    hasProgress = false;
  };
  // A line that is longer than the terminal would not be taken back whole; some terminals do not say how wide they are.
  const replace = (text: string): void => {
    const { columns = 0 } = streams.err;
    streams.err.write(`${clearLine}${printable(text).slice(0, columns > 1 ? columns - 1 : undefined)}`);
    hasProgress = true;
  };
  const person = (text: string): void => {
    settle();
    if (!json) streams.out.write(`${text}\n`);
  };
  const machine = (value: unknown): void => {
    settle();
    if (json) streams.out.write(`${JSON.stringify(value)}\n`);
  };
  return {
    json,
    say: person,
    document: machine,
    line: machine,
    table: (head, rows) => person(formatTable(head, rows, streams.out.isTTY === true)),
    progress(text) {
      if (streams.err.isTTY === true) replace(text);
      else streams.err.write(`${printable(text)}\n`);
    },
    status(text) {
      if (streams.err.isTTY === true) replace(text);
    },
    notice(text) {
      settle();
      streams.err.write(`${printable(text)}\n`);
    },
    async drained() {
      // Signals are heard between turns of the event loop only.
      await new Promise((resolve) => void setImmediate(resolve));
      if (streams.out.writableNeedDrain === true) await once(streams.out, "drain");
    },
  };
}

/** A table with aligned columns and a line under its head. Text from peers cannot move the cursor or colour the screen. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  isTerminal: boolean,
): string {
  const cells = [head, ...rows].map((row) => row.map(printable));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const [title = "", ...body] = lines;
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [isTerminal ? `\u001b[1m${title}\u001b[0m` : title, rule, ...body].join("\n");
}

/** Text without control characters. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is taken out
  return stripVTControlCharacters(text).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}
