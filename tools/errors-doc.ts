/** One row of a code table: why the error arises and what a person does about it. */
export interface ErrorEntry {
  readonly cause: string;
  readonly fix: string;
}

/** A package's table of error codes, under the heading that its rows get. */
export interface ErrorTable {
  readonly heading: string;
  readonly intro: string;
  readonly codes: Readonly<Record<string, ErrorEntry>>;
}

/** The text of `docs/errors.md`: every code of every table, in the tables' own order. */
export function errorsDoc(tables: readonly ErrorTable[]): string {
  const intro = [
    "# Errors",
    "",
    "Every error has a `code`, a message that says what happened and where, flat `facts`, and a fix. Programs match on",
    "`code`; messages may change. This page is derived from the code tables by `npm run derive`.",
    "",
  ];
  return [...intro, ...tables.flatMap(section)].join("\n");
}

function section({ heading, intro, codes }: ErrorTable): readonly string[] {
  const rows = Object.entries(codes).map(([code, { cause, fix }]) => `| \`${code}\` | ${cell(cause)} | ${cell(fix)} |`);
  return [`## ${heading}`, "", intro, "", "| code | cause | fix |", "| --- | --- | --- |", ...rows, ""];
}

/** A vertical bar would end the cell. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
