import { requirementOf } from "../catalogue/catalogue.ts";
import { foundationalRequirements } from "../catalogue/requirement.ts";
import { countsByFr } from "../judge/level.ts";
import type { Verdict } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { mappingRows } from "./mapping.ts";
import { commonConstraints, frTitles, reported, verdictOrder, verdictText, verdictWords } from "./words.ts";

/**
 * The report as Markdown: revision history, then one section for each requirement with how it is met, test and evidence, and user
 * action.
 */
export function markdownReport(assessment: Assessment): string {
  const { plan, finishedAt, verdicts } = assessment;
  const shown = reported(verdicts);
  const lines = [
    `# IEC 62443-4-2 assessment details: ${escaped(plan.subject.component)}`,
    "",
    "## Revision history",
    "",
    ...table(
      ["Revision", "Date", "Change", "Author", "Reviewed by"],
      [["001", finishedAt.slice(0, 10), `Run ${plan.id}`, plan.operator, "to be reviewed"]],
    ),
    "",
    "## 1. Overview",
    "",
    `Component type ${plan.type}, target SL ${plan.level}, address ${escaped(plan.subject.address)}. Every verdict rests on evidence that is named by its SHA-256; requirement titles are facts, all other words are this report's own and no text of the standard.`,
    "",
    ...table(["What", "Value"], Object.entries(plan.subject.facts)),
    "",
    ...summary(assessment),
    "",
    ...shown.flatMap((verdict, at) => section(verdict, at + 2)),
    `## ${shown.length + 2}. Common component constraints`,
    "",
    ...commonConstraints.flatMap(([title, text]) => [`- **${title}.** ${text}`]),
    "",
    `## ${shown.length + 3}. Left out`,
    "",
    ...table(
      ["Requirement", "Why"],
      verdicts.filter((verdict) => !shown.includes(verdict)).map((verdict) => [verdict.requirement, verdict.reason]),
    ),
    "",
    ...(plan.kind === "host"
      ? []
      : [
          `## ${shown.length + 4}. Beside the ODVA paper`,
          "",
          "The paper judges the protocol in general; this run judges one product. A difference is explained by what was measured.",
          "",
          ...mappingTable(assessment),
          "",
        ]),
    "## References",
    "",
    `1. Run ${plan.id}: its folder holds the plan, the records of all checks, the evidence and a signed manifest; \`cipsec assess verify ${plan.id}\` checks it.`,
    `2. Tool: ${plan.tool.name} ${plan.tool.version}, ${plan.tool.runtime}, ${plan.tool.crypto}, ${plan.tool.system}.`,
    "",
  ];
  return lines.join("\n");
}

/** The paper's table, made again from measured results, with every difference explained. */
function mappingTable(assessment: Assessment): readonly string[] {
  return table(
    ["Requirement", "Paper", "Protocol, measured", "Product", "Why they differ", "Notes on the paper"],
    mappingRows(assessment).map((row) => [
      row.requirement,
      row.paper,
      row.protocol,
      row.whole,
      clip(row.why),
      row.notes.join("; "),
    ]),
  );
}

function summary({ verdicts, levelByFr, plan }: Assessment): readonly string[] {
  const byFr = countsByFr(reported(verdicts));
  return table(
    ["FR", "Level reached", ...verdictOrder.map((word) => verdictWords[word]), "Function absent"],
    foundationalRequirements.map((fr) => [
      `${fr} ${frTitles[fr]}`,
      `${levelByFr[fr]} of ${plan.level}`,
      ...verdictOrder.map((word) => String(byFr[fr][word])),
      String(byFr[fr]["not-applicable"]),
    ]),
  );
}

function section(verdict: Verdict, number: number): readonly string[] {
  const { requirement, title, howMet, reason, checks, evidence, conditions, limits, userAction, deviation, parts } =
    verdict;
  const isMet = verdict.verdict === "met";
  const entry = requirementOf(requirement);
  const references = [...new Set(entry.cipLinux.tests ?? [])];
  return [
    `## ${number}. ${requirement} ${title} [${verdictText(verdict)}]`,
    "",
    `### ${number}.1 ${isMet ? `How ${requirement} is met` : `Why ${requirement} is ${verdictText(verdict).toLowerCase()}`}`,
    "",
    escaped(isMet ? (howMet ?? reason) : reason),
    "",
    ...(parts.length > 1
      ? [
          ...parts.map(
            ({ part, verdict, reason }) => `- ${part} part: **${verdictWords[verdict]}**. ${escaped(reason)}`,
          ),
          "",
        ]
      : []),
    ...(conditions.length > 0 ? [`Holds while: ${escaped(conditions.join("; "))}.`, ""] : []),
    ...(deviation === undefined ? [] : [`Deviation: ${escaped(deviation)}`, ""]),
    `### ${number}.2 Test and evidence for ${requirement}`,
    "",
    ...(checks.length === 0
      ? ["No check was run.", ""]
      : [
          ...table(
            ["Check", "Method", "Result", "Tries"],
            checks.map(({ id, version, method, outcome, runs }) => [`${id} ${version}`, method, outcome, String(runs)]),
          ),
          "",
        ]),
    ...(evidence.length === 0
      ? []
      : [
          ...table(
            ["Evidence", "SHA-256"],
            evidence.map(({ name, sha256 }) => [name, `\`${sha256}\``]),
          ),
          "",
        ]),
    ...(references.length === 0 ? [] : [`Tests of the same thing elsewhere: ${references.join(", ")}.`, ""]),
    ...(limits.length === 0 ? [] : [`Not covered: ${escaped(limits.join("; "))}.`, ""]),
    `### ${number}.3 User action`,
    "",
    escaped(userAction ?? (isMet ? "None." : "Close what is open above before a claim is made.")),
    "",
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => escaped(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  return [row(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(row)];
}

/** Words that came from a device cannot break out of their line, or become a heading, link or tag. */
function escaped(text: string): string {
  return text
    .replaceAll(/[\r\n]+/g, " ")
    .replaceAll("<", "&lt;")
    .replaceAll(/(?<!`)\[(?=[^\]]*\]\()/g, "\\[");
}

function clip(text: string): string {
  return text.length > 240 ? `${text.slice(0, 237)}...` : text;
}
