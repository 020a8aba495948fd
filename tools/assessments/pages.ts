import {
  assess,
  countsByFr,
  decidingReason,
  frTitles,
  mappingRows,
  reported,
  verdictText,
  verdictWords,
  type Assessment,
  type CheckRecord,
  type MappingRow,
  type Observation,
  type Verdict,
} from "@cipsec/assess";
import type { DeviceSubject } from "./plant.ts";

/** A file of docs/assessments. */
export interface Page {
  readonly file: string;
  readonly title: string;
  readonly text: string;
  readonly assessment: Assessment;
}

const order = ["met", "partial", "not-met", "inconclusive", "out-of-scope"] as const;
const allFr = [1, 2, 3, 4, 5, 6, 7] as const;

/** Verdicts of a device, and every observation that they rest on. */
export function devicePage({ file, title, about, words }: DeviceSubject, assessment: Assessment): Page {
  const { records, verdicts, plan } = assessment;
  const text = [
    `# ${title}, assessed at SL ${plan.level}`,
    "",
    about,
    "",
    `Assessed on ${assessment.finishedAt.slice(0, 10)} as a component of type ${plan.type} by \`cipsec assess ${words.join(" ")}\`.`,
    "",
    ...result(assessment),
    "## Verdicts",
    "",
    ...table(
      ["Requirement", "Verdict", "Why", "Checks", "Evidence"],
      reported(verdicts).map((one) => [
        `${one.requirement} ${one.title}`,
        verdictText(one),
        decidingReason(one),
        one.checks.map(({ id, outcome }) => `${id}: ${outcome}`).join(", "),
        one.evidence.length === 0 ? "" : `${one.evidence.length} ${one.evidence.length === 1 ? "file" : "files"}`,
      ]),
    ),
    "",
    "## Observations",
    "",
    "What the verdicts rest on. A control must succeed, or the check says nothing.",
    "",
    ...records.flatMap(observations),
  ];
  return { file, title, text: text.join("\n"), assessment };
}

/**
 * Verdicts on a Linux host. What was observed is named and not quoted: it would tell of the machine.
 */
export function hostPage(assessment: Assessment): Page {
  const { records, verdicts, plan } = assessment;
  const title = "A Linux host";
  const text = [
    `# ${title}, assessed at SL ${plan.level}`,
    "",
    `A Debian machine for development, as it is: nothing on it was hardened. Assessed on ${assessment.finishedAt.slice(0, 10)} by \`cipsec assess host --login-samples 20\`, as root. Names, paths and settings of the machine are left out; a run of your own has them.`,
    "",
    ...result(assessment),
    "## Verdicts",
    "",
    ...table(
      ["Requirement", "Verdict", "Checks", "What decided"],
      reported(verdicts).map((one) => [
        `${one.requirement} ${one.title}`,
        verdictText(one),
        one.checks.map(({ id, outcome }) => `${id}: ${outcome}`).join(", "),
        deciding(one, records),
      ]),
    ),
    "",
  ];
  return { file: "host.md", title, text: text.join("\n"), assessment };
}

/** The ODVA paper's Table 3, made again from the modern device's run. */
export function paperPage(assessment: Assessment): Page {
  const { plan, records, finishedAt } = assessment;
  // The paper's table goes up to SL 4, and so does this one: the same records, judged at that target.
  const rows = mappingRows(assess({ ...plan, level: 4 }, records, finishedAt));
  const differ = rows.filter(({ why }) => why !== "");
  const title = "The ODVA paper's Table 3, measured";
  const text = [
    "# The ODVA paper's Table 3, measured",
    "",
    "ODVA's paper of 2020 on CIP Security and IEC 62443-4-2 gives a verdict on the protocol for 77 requirements; its Table 3 lists 74 of them. This is the same list with what was measured at [a modern device](modern.md), judged at SL 4 so that no line is left out. The paper speaks about the protocol in general and about user profiles that were not published then; a run speaks about one product. `Protocol` is what the run found of the protocol, `product` the verdict on the whole.",
    "",
    `${rows.length - differ.length} of ${rows.length} lines agree. In every other line the last column says why not.`,
    "",
    ...table(
      [
        "Requirement",
        "Table 3",
        "Paper, as it is read",
        "Protocol",
        "Product",
        "Why they differ, and what must be known",
      ],
      rows.map((row) => [
        `${row.requirement} ${row.title}${row.judgedAs === row.requirement ? "" : ` (here ${row.judgedAs})`}`,
        row.inTable ?? "missing",
        row.paper,
        row.protocol,
        row.whole,
        [row.why, ...notesOf(row)].filter(Boolean).join(" "),
      ]),
    ),
    "",
  ];
  return { file: "odva-table-3.md", title, text: text.join("\n"), assessment };
}

/** The overview of all pages. */
export function indexPage(pages: readonly Page[]): Page {
  const [first] = pages;
  if (first === undefined) throw new RangeError("nothing was assessed");
  const subjects = pages.filter(({ file }) => file !== "odva-table-3.md");
  const text = [
    "# Assessments",
    "",
    "What `cipsec assess` says of virtual devices of the lab and of a Linux host, at SL 2. The devices are targets of this project: the tables show the assessor and the target, and are no claim for a product.",
    "",
    ...table(
      ["Subject", ...order.map((word) => verdictWords[word]), "Function absent", "Level by FR 1 to 7", "Time"],
      subjects.map(({ title, file, assessment }) => {
        const shown = reported(assessment.verdicts);
        const of = (word: Verdict["verdict"]): string => String(shown.filter(({ verdict }) => verdict === word).length);
        return [
          `[${title}](${file})`,
          ...order.map(of),
          of("not-applicable"),
          Object.values(assessment.levelByFr).join(" "),
          `${Math.round(assessment.records.reduce((sum, { durationMs }) => sum + durationMs, 0) / 1000)} s`,
        ];
      }),
    ),
    "",
    "[The ODVA paper's Table 3](odva-table-3.md), made again from the run of the modern device, with every difference explained.",
    "",
    "No level is reached where anything is open, and much is: users, roles and audit are not assessed yet, and what a product keeps inside only its maker can show. `--attestations` is for that; see [assess.md](../assess.md).",
    "",
    "## Made again, and traced",
    "",
    "`npm run assessments` starts the devices, commissions and assesses them, and writes these files; `--no-host` leaves this machine out, `--keep FOLDER` keeps the runs. From a verdict to its evidence:",
    "",
    "```sh",
    "npm run assessments -- --keep /tmp/assessed",
    "cipsec assess list --data /tmp/assessed/data",
    "cipsec assess show RUN CR 1.9 --data /tmp/assessed/data   # observations, and the files that prove them",
    "cipsec assess verify RUN --data /tmp/assessed/data        # the files are those that were signed",
    "```",
    "",
  ];
  return { ...first, file: "README.md", text: text.join("\n") };
}

/** What must be known of the paper, beyond what stands in the columns. */
function notesOf({ paper, notes }: MappingRow): readonly string[] {
  if (paper === "no-rule" || paper === "not-applicable") return [];
  return notes.map((note) => `${note.charAt(0).toUpperCase()}${note.slice(1)}.`);
}

function result(assessment: Assessment): readonly string[] {
  const counts = countsByFr(reported(assessment.verdicts));
  return [
    ...table(
      ["Foundational requirement", "Level", ...order.map((word) => verdictWords[word])],
      allFr.map((fr) => [
        `FR ${fr}: ${frTitles[fr]}`,
        `${assessment.levelByFr[fr]} of ${assessment.plan.level}`,
        ...order.map((word) => String(counts[fr][word])),
      ]),
    ),
    "",
  ];
}

function observations({ id, title, notRun, findings }: CheckRecord): readonly string[] {
  const seen = findings?.observations ?? [];
  return [
    `### ${id} ${title}`,
    "",
    ...(notRun === undefined ? [] : [`Not run: ${notRun}.`, ""]),
    ...(seen.length === 0
      ? []
      : [
          ...table(
            ["Observation", "Expected", "Observed", "Result"],
            seen.map((one) => [
              `${one.name}${one.role === "control" ? " (control)" : ""}`,
              one.expected,
              one.observed,
              resultOf(one),
            ]),
          ),
          "",
        ]),
  ];
}

function resultOf({ holds, agrees, runs }: Observation): string {
  const tries = runs > 1 ? `, ${runs} tries` : "";
  if (!agrees) return `tries disagree${tries}`;
  return `${holds === undefined ? "not told" : holds ? "as expected" : "**not as expected**"}${tries}`;
}

/** Names of the observations that kept a verdict from being met, without what was observed. */
function deciding({ checks, requirement, verdict, parts, reason }: Verdict, records: readonly CheckRecord[]): string {
  if (verdict === "met") return "";
  if (checks.length === 0) return parts.length < 2 ? reason : decidingReason({ verdict, parts, reason });
  const names = records
    .filter(({ id }) => checks.some((check) => check.id === id))
    .flatMap(({ notRun, findings }) => [
      ...(notRun === undefined ? [] : ["not run"]),
      ...(findings?.observations ?? [])
        .filter((one) => one.requirements === undefined || one.requirements.includes(requirement))
        .filter((one) => (verdict === "not-applicable" ? one.role === "absence" : one.holds !== true))
        .map(({ name }) => name),
    ]);
  return [...new Set(names)].join("; ");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll(/\s+/g, " ").replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
  return [row(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(row)];
}
