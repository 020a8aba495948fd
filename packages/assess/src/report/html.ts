import { catalogue } from "../catalogue/catalogue.ts";
import { foundationalRequirements } from "../catalogue/requirement.ts";
import { paperOpinion } from "../catalogue/treatments.ts";
import type { Verdict } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { barsByFr, barsByLevel, colours, legend, levelVector, split } from "./charts.ts";
import { commonConstraints, frTitles, reported, verdictText } from "./words.ts";

/** The report as one HTML file without scripts or anything from elsewhere; made for screen and paper. */
export function htmlReport(assessment: Assessment): string {
  const { plan, finishedAt, verdicts, levelByFr } = assessment;
  const shown = reported(verdicts);
  const vector = foundationalRequirements.map((fr) => `FR ${fr}: ${levelByFr[fr]}`).join(", ");
  const deviations = shown.filter(({ verdict }) => verdict === "not-met" || verdict === "partial");
  const actions = shown.filter(({ userAction }) => userAction !== undefined);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${text(plan.subject.component)}: IEC 62443-4-2 assessment</title><style>${style}</style></head><body>
<header><p class="kicker">IEC 62443-4-2 assessment</p><h1>${text(plan.subject.component)}</h1>
<p>${plan.type} component at ${text(plan.subject.address)}, target SL ${plan.level}; run ${plan.id}, finished ${text(finishedAt)}, by ${text(plan.operator)}.</p>
${facts(Object.entries(plan.subject.facts))}</header>
<section><h2>Result</h2><p class="vector">${vector}</p>
<p>A claim is these seven numbers: no average and no percentage. Levels above the target were not judged. Open results block a claim.</p>
${legend()}<div class="charts">${barsByFr(assessment)}${levelVector(assessment)}${split(assessment)}${barsByLevel(assessment)}</div></section>
<section><h2>Deviations</h2>${
    deviations.length === 0
      ? "<p>None was found.</p>"
      : grid(
          ["Requirement", "Verdict", "Why"],
          deviations.map((one) => [label(one), badge(one), text(one.deviation ?? one.reason)]),
        )
  }</section>
<section><h2>User actions</h2>${
    actions.length === 0
      ? "<p>None.</p>"
      : grid(
          ["Requirement", "What the integrator or owner must do"],
          actions.map((one) => [label(one), text(one.userAction ?? "")]),
        )
  }</section>
<section><h2>Common component constraints</h2><dl>${commonConstraints.map(([title, words]) => `<dt>${title}</dt><dd>${words}</dd>`).join("")}</dl></section>
${foundationalRequirements
  .map(
    (fr) =>
      `<section class="fr"><h2>FR ${fr}: ${frTitles[fr]}</h2>${
        shown
          .filter((one) => one.fr === fr)
          .map(page)
          .join("") || "<p>Nothing applies.</p>"
      }</section>`,
  )
  .join("\n")}
<section><h2>Beside the ODVA paper</h2><p>The paper judges the protocol, this run one product.</p>${mapping(assessment)}</section>
<section><h2>Left out</h2>${grid(
    ["Requirement", "Why"],
    verdicts.filter((one) => !shown.includes(one)).map((one) => [label(one), text(one.reason)]),
  )}</section>
<section><h2>Evidence</h2><p>Each file lies in the run's folder under its SHA-256; the signed manifest covers them all.</p>${evidenceIndex(assessment)}</section>
<footer><p>${text(`${plan.tool.name} ${plan.tool.version}, ${plan.tool.runtime}, ${plan.tool.crypto}, ${plan.tool.system}`)}. Times are of the assessing machine's clock; its offset was not measured. Titles of requirements are facts; no text of the standard is quoted. This is no certificate.</p></footer>
</body></html>
`;
}

function page(verdict: Verdict): string {
  const { howMet, reason, checks, conditions, limits, evidence, parts, userAction } = verdict;
  const list = (title: string, items: readonly string[]): string =>
    items.length === 0 ? "" : `<dt>${title}</dt><dd>${items.map(text).join("<br>")}</dd>`;
  const isMet = verdict.verdict === "met";
  return `<article><h3>${label(verdict)} <small>from SL ${verdict.firstLevel}</small> ${badge(verdict)}</h3><dl>
${list(isMet ? "How it is met" : "Why", [isMet ? (howMet ?? reason) : reason])}
${
  parts.length > 1
    ? list(
        "Parts",
        parts.map(({ part, verdict, reason }) => `${part}: ${verdict}. ${reason}`),
      )
    : ""
}
${list("Holds while", conditions)}${list(
    "Checks",
    checks.map(
      ({ id, version, method, outcome, runs }) =>
        `${id} ${version}, ${method}, ${outcome}${runs > 1 ? `, ${runs} tries` : ""}`,
    ),
  )}
${list("Not covered", limits)}${list("User action", userAction === undefined ? [] : [userAction])}
${evidence.length === 0 ? "" : `<dt>Evidence</dt><dd>${evidence.length} files, from ${text(evidence[0]?.name ?? "")}</dd>`}</dl></article>`;
}

function mapping({ plan, verdicts }: Assessment): string {
  const rows = catalogue.flatMap((entry) => {
    const verdict = verdicts.find(({ requirement }) => requirement === entry.id);
    const opinion = paperOpinion(entry, plan.type);
    if (
      verdict === undefined ||
      entry.firstLevel === null ||
      (verdict.notApplicable !== undefined && verdict.notApplicable !== "function-absent")
    )
      return [];
    return [[label(verdict), text(opinion.verdict), badge(verdict), text(opinion.notes.join("; "))]];
  });
  return grid(["Requirement", "Paper", "Measured", "Notes on the paper"], rows);
}

function evidenceIndex({ records }: Assessment): string {
  const rows = records.flatMap(({ evidence }) =>
    evidence.map(({ name, kind, octets, sha256, redacted }) => [
      text(name),
      kind,
      `${octets}${redacted ? ", redacted" : ""}`,
      `<code>${sha256}</code>`,
    ]),
  );
  return grid(["File", "Kind", "Octets", "SHA-256"], rows);
}

function label({ requirement, title }: Verdict): string {
  return `<b>${requirement}</b> ${text(title)}`;
}

function badge(verdict: Verdict): string {
  return `<span class="badge v-${verdict.verdict}">${verdictText(verdict)}</span>`;
}

function facts(pairs: readonly (readonly [string, string])[]): string {
  return `<dl class="facts">${pairs.map(([name, value]) => `<div><dt>${text(name)}</dt><dd>${text(value)}</dd></div>`).join("")}</dl>`;
}

function grid(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return `<table><thead><tr>${head.map((cell) => `<th>${cell}</th>`).join("")}</tr></thead><tbody>${rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("")}</tbody></table>`;
}

/** Text of a device or a person cannot become markup. */
function text(raw: string): string {
  return raw
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

const style = `
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;color:#1c2430;max-width:62rem;margin:2rem auto;padding:0 1.2rem}
h1{margin:.1em 0;font-size:1.9rem}h2{margin-top:2.2rem;border-bottom:2px solid #1c2430;font-size:1.25rem}h3{margin:1.4rem 0 .3rem;font-size:1rem}
.kicker{letter-spacing:.08em;text-transform:uppercase;color:#566;margin:0}.vector{font-size:1.15rem;font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1rem}figure{margin:0;border:1px solid #d7dde5;padding:.8rem}
figcaption{font-weight:600;margin-bottom:.4rem}svg{width:100%;height:auto;font:12px system-ui,sans-serif}svg .strong{font-weight:700}
.legend span{margin-right:1.1rem;white-space:nowrap}.legend i{display:inline-block;width:.9em;height:.9em;margin-right:.35em;border:1px solid #889}
table{border-collapse:collapse;width:100%;font-size:.86rem}th,td{border:1px solid #d7dde5;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{background:#f3f5f8}code{font-size:.72rem;overflow-wrap:anywhere}dt{font-weight:600}dd{margin:0 0 .4rem 1rem;overflow-wrap:anywhere}article{break-inside:avoid}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:.2rem 1rem;font-size:.86rem}
.badge{font-size:.78rem;padding:.1rem .45rem;border-radius:.3rem;border:1px solid #556;white-space:nowrap}
.v-met{background:${colours.met};color:#fff}.v-partial{background:${colours.partial}}.v-not-met{background:${colours["not-met"]};color:#fff}
.v-inconclusive{background:${colours.inconclusive};color:#fff}.v-out-of-scope{background:${colours["out-of-scope"]}}.v-not-applicable{background:#fff}
footer{margin-top:2.5rem;font-size:.8rem;color:#556}
@media print{body{margin:0;max-width:none;font-size:10.5pt}@page{margin:16mm}thead{display:table-header-group}tr,figure{break-inside:avoid}*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
`.replaceAll("\n", "");
