import { foundationalRequirements } from "../catalogue/requirement.ts";
import type { Verdict } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { barsByFr, barsByLevel, legend, levelVector, split } from "./charts.ts";
import { checkSections, evidenceIndex } from "./html-checks.ts";
import {
  badge,
  checkLink,
  grid,
  idText,
  label,
  linked,
  requirementAnchor,
  terms,
  text,
  timeText,
} from "./html-parts.ts";
import { style } from "./html-style.ts";
import { mappingRows } from "./mapping.ts";
import {
  commonConstraints,
  decidingReason,
  factWords,
  frTitles,
  notApplicableWords,
  reported,
  verdictWords,
} from "./words.ts";

/** The report as one HTML file without scripts or anything from elsewhere; made for screen and paper. */
export function htmlReport(assessment: Assessment): string {
  const { plan, finishedAt, verdicts, levelByFr } = assessment;
  const shown = reported(verdicts);
  const { product, system } = plan.subject.facts;
  const name = product ?? system ?? plan.subject.component;
  const vector = foundationalRequirements.map((fr) => `FR ${fr}: ${levelByFr[fr]}`).join(", ");
  const deviations = shown.filter(({ verdict }) => verdict === "not-met" || verdict === "partial");
  const actions = shown.filter(({ userAction }) => userAction !== undefined);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${text(name)}: IEC 62443-4-2 assessment</title><style>${style}</style></head><body>
<header><p class="kicker">IEC 62443-4-2 assessment</p><h1>${text(name)}</h1>
<p>Assessed as ${/^[aeiou]/.test(plan.type) ? "an" : "a"} ${plan.type} component for SL ${plan.level}, ${timeText(finishedAt)}, by ${text(plan.operator)}.${plan.disruptive ? "" : " Checks that change or flood something were not allowed."}</p>
${facts(assessment)}</header>
<section><h2>Result</h2><p><b>Level reached: ${vector}.</b> A claim is these seven numbers, no average and no percentage. Levels above the target were not judged; what is open blocks a claim.</p>
${legend()}<div class="charts">${levelVector(assessment)}${barsByLevel(assessment)}${barsByFr(assessment)}${split(assessment)}</div></section>
<section><h2>Deviations</h2>${
    deviations.length === 0
      ? "<p>None was found.</p>"
      : grid(
          ["Requirement", "Verdict", "Why"],
          deviations.map((one) => [linked(one), badge(one), text(one.deviation ?? decidingReason(one))]),
        )
  }</section>
<section><h2>Open</h2>${open(shown)}</section>
<section><h2>User actions</h2>${
    actions.length === 0
      ? "<p>None.</p>"
      : grid(
          ["Requirement", "What the integrator or owner must do"],
          actions.map((one) => [linked(one), text(one.userAction ?? "")]),
        )
  }</section>
<section><h2>Common component constraints</h2>${terms(commonConstraints.map(([title, words]) => [title, [words]]))}</section>
${foundationalRequirements
  .map((fr) => {
    const mine = shown.filter((one) => one.fr === fr);
    return `<section><h2>FR ${fr}: ${frTitles[fr]}</h2>${mine.length === 0 ? "<p>Nothing applies.</p>" : requirements(mine)}</section>`;
  })
  .join("\n")}
<section><h2>Checks</h2>${checkSections(assessment)}</section>
${plan.kind === "endpoint" ? paper(assessment) : ""}
<section><h2>Left out</h2>${leftOut(verdicts.filter((one) => !shown.includes(one)))}</section>
<section><h2>Evidence</h2><p>Each file lies in the run's folder, below <code>evidence/</code>, under its SHA-256. The signed manifest covers them all; <code>cipsec assess verify ${plan.id}</code> finds any change.</p>${evidenceIndex(assessment)}</section>
<footer><p>Run ${plan.id} by ${text(`${plan.tool.name} ${plan.tool.version}, ${plan.tool.runtime}, ${plan.tool.crypto}, ${plan.tool.system}`)}. Times are of the assessing machine's clock; its offset was not measured. Titles of requirements are facts; no text of the standard is quoted. This is no certificate.</p></footer>
</body></html>
`;
}

/** What was assessed. Long values take a whole line. */
function facts({ plan }: Assessment): string {
  const pairs = [
    ["Component", plan.subject.component],
    ["Address", plan.subject.address],
    ["Run", plan.id],
    ...Object.entries(plan.subject.facts).map(([name, value]) => [factWords[name] ?? name, value]),
  ];
  const isLong = ([, value = ""]: readonly string[]): boolean => value.length > 40;
  const boxes = [...pairs.filter((pair) => !isLong(pair)), ...pairs.filter(isLong)].map(
    ([name = "", value = ""]) =>
      `<div${value.length > 40 ? ' class="wide"' : ""}><dt>${text(name)}</dt><dd>${value.trim() === "" ? "–" : text(value)}</dd></div>`,
  );
  return `<dl class="facts">${boxes.join("")}</dl>`;
}

/** What nobody has answered yet, by who or what must answer it. */
function open(shown: readonly Verdict[]): string {
  const groups = new Map<string, Verdict[]>();
  for (const verdict of shown) {
    if (verdict.verdict !== "inconclusive" && verdict.verdict !== "out-of-scope") continue;
    for (const part of verdict.parts.filter(
      (one) => one.verdict === "inconclusive" || one.verdict === "out-of-scope",
    )) {
      const reason = verdict.parts.length > 1 ? `${part.part} part: ${part.reason}` : part.reason;
      groups.set(reason, [...(groups.get(reason) ?? []), verdict]);
    }
  }
  if (groups.size === 0) return "<p>Nothing is open.</p>";
  const items = [...groups].map(
    ([reason, mine]) =>
      `<li class="keep">${text(reason)}: ${mine.map((one) => `<a href="#${requirementAnchor(one)}">${idText(one.requirement)}</a>`).join(", ")}</li>`,
  );
  return `<p>These questions block a claim until a check, or the person named, has answered them.</p><ul class="groups">${items.join("\n")}</ul>`;
}

/** Requirements that checks speak about, each at length; then the others in a table, so that none is missing. */
function requirements(mine: readonly Verdict[]): string {
  const silent = Map.groupBy(
    mine.filter(({ checks }) => checks.length === 0),
    (one) => `${one.verdict}\n${one.reason}`,
  );
  const rows = [...silent.values()].flatMap((alike) => {
    const [first] = alike;
    if (first === undefined) return [];
    const names = alike.map(
      (one) => `<span id="${requirementAnchor(one)}">${label(one)} (SL&nbsp;${one.firstLevel})</span>`,
    );
    return [[names.join("<br>"), badge(first), parts(first).join("<br>")]];
  });
  const articles = mine.filter(({ checks }) => checks.length > 0).map(article);
  const rest = `<h3>Not tried by a check</h3>${grid(["Requirement", "Verdict", "Why"], rows)}`;
  return `${articles.join("\n")}${rows.length === 0 ? "" : rest}`;
}

function article(verdict: Verdict): string {
  const { howMet, reason, checks, conditions, limits, evidence, userAction, firstLevel } = verdict;
  const tries = (runs: number): string => (runs > 1 ? `, ${runs} tries` : "");
  const isMet = verdict.verdict === "met";
  return `<article class="keep" id="${requirementAnchor(verdict)}"><h3>${label(verdict)} <small>from&nbsp;SL&nbsp;${firstLevel}</small> ${badge(verdict)}</h3>${terms(
    [
      [isMet ? "How it is met" : "Why", isMet ? [text(howMet ?? reason)] : parts(verdict)],
      ["Holds while", conditions.map(text)],
      [
        "Checks",
        checks.map(
          ({ id, version, method, outcome, runs }) =>
            `${checkLink(id)} ${text(version)}, ${method}: ${outcome}${tries(runs)}`,
        ),
      ],
      ["Not covered", limits.map(text)],
      ["User action", userAction === undefined ? [] : [text(userAction)]],
      [
        "Evidence",
        evidence.length === 0
          ? []
          : [
              `${evidence.length} ${evidence.length === 1 ? "file" : "files"} of ${checks.map(({ id }) => checkLink(id)).join(", ")}`,
            ],
      ],
    ],
  )}</article>`;
}

/** Why a verdict is as it is: part by part where it has several. */
function parts({ parts, reason }: Verdict): readonly string[] {
  if (parts.length < 2) return [text(reason)];
  return parts.map((one) => `${one.part} part, ${verdictWords[one.verdict].toLowerCase()}: ${text(one.reason)}`);
}

/** For a device: the paper says nothing of hosts. */
function paper(assessment: Assessment): string {
  const rows = mappingRows(assessment).map((row) => [
    `<b>${idText(row.requirement)}</b> ${text(row.title)}`,
    text(row.paper),
    badge({ verdict: row.protocol }),
    [row.why, ...row.notes.map((note) => `${note}.`)].filter(Boolean).map(text).join("<br>"),
  ]);
  return grid(
    ["Requirement", "Paper", "This run", "Why they differ, and what must be known of the paper"],
    rows,
    "paper",
  );
}

/** What does not apply, by the reason: a page of its own for each would say nothing more. */
function leftOut(verdicts: readonly Verdict[]): string {
  const groups = new Map<string, string[]>();
  for (const { notApplicable, reason, requirement } of verdicts) {
    const why = `${notApplicable === undefined ? "" : `${notApplicableWords[notApplicable]}: `}${reason}`;
    groups.set(why, [...(groups.get(why) ?? []), requirement]);
  }
  return terms([...groups].map(([why, ids]) => [why, [ids.map(idText).join(", ")]]));
}
