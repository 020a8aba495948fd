import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { catalogue, endpointChecks, hostChecks, selectRequirements } from "@cipsec/assess";
import { expect, test } from "vitest";

const page = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../docs/assessments/${name}`, import.meta.url)), "utf8");

/** Cells of the rows of the table under a heading, without its head. */
function rowsUnder(text: string, heading: string): readonly (readonly string[])[] {
  const [, rest = ""] = text.split(`${heading}\n`);
  const [part = ""] = rest.split("\n#");
  const rows = part.split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

const idOf = ([cell = ""]: readonly string[]): string => /^\S+ [\d.]+(?: RE\(\d\))?/.exec(cell)?.[0] ?? cell;

test.each([
  { name: "modern.md", type: "embedded", checks: endpointChecks },
  { name: "cbc-psk.md", type: "embedded", checks: endpointChecks },
  { name: "legacy.md", type: "embedded", checks: endpointChecks },
  { name: "host.md", type: "host", checks: hostChecks },
] as const)("docs/assessments/$name speaks about every requirement, by checks that exist", ({ name, type, checks }) => {
  const rows = rowsUnder(page(name), "## Verdicts");
  expect(rows.map(idOf)).toEqual(selectRequirements({ level: 2, type }).map(({ id }) => id));
  const named = rows.flatMap((cells) =>
    Array.from(
      cells.join(" ").matchAll(/([A-Z]-[\dRc.p]+): (?:pass|fail|partial|absent|inconclusive)/g),
      ([, id]) => id,
    ),
  );
  const known: ReadonlySet<string | undefined> = new Set(checks.map(({ id }) => id));
  expect(named.filter((id) => !known.has(id))).toEqual([]);
});

test("docs/assessments/odva-table-3.md has every line of the paper, and says why where a line differs", () => {
  const rows = rowsUnder(page("odva-table-3.md"), "# The ODVA paper's Table 3, measured");
  const judged = catalogue.filter(({ odva }) => odva.body !== undefined);
  expect(rows.map(idOf)).toEqual(judged.map(({ id }) => id));
  expect(rows.map(([, table]) => table)).toEqual(judged.map(({ odva }) => odva.table ?? "missing"));
  for (const [requirement, , paper, protocol, , why] of rows)
    expect([requirement, paper === protocol || why !== ""]).toEqual([requirement, true]);
});
