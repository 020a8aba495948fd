import type { CheckRecord } from "../judge/check-result.ts";
import type { Observation } from "../observation.ts";
import type { Assessment } from "../run/assessment.ts";
import { checkAnchor, checkLink, grid, idText, terms, text, timeText } from "./html-parts.ts";

/** What each check has observed: the raw facts that verdicts rest on. */
export function checkSections({ records }: Assessment): string {
  return records.length === 0 ? "<p>None was run.</p>" : records.map(section).join("\n");
}

/** Every file of evidence with its hash, by the check that it comes from. */
export function evidenceIndex({ records }: Assessment): string {
  const rows = records.flatMap(({ id, evidence }) =>
    evidence.map(({ name, kind, octets, sha256, redacted }) => [
      `${checkLink(id)} ${text(shortName(name))}`,
      kind,
      `${octets}${redacted ? ", redacted" : ""}`,
      `<code>${sha256}</code>`,
    ]),
  );
  return rows.length === 0 ? "<p>There is none.</p>" : grid(["File", "Kind", "Octets", "SHA-256"], rows, "evidence");
}

function section(record: CheckRecord): string {
  const { id, version, title, startedAt, durationMs, notRun, findings, requirements, crossReferences = [] } = record;
  const seen = findings?.observations ?? [];
  return `<article id="${checkAnchor(id)}"><div class="head"><h3>${text(`${id} ${title}`)}</h3>${terms([
    ["Speaks about", [requirements.map(idText).join(", ")]],
    ["Not run", notRun === undefined ? [] : [text(notRun)]],
    ["Run", [`version ${text(version)}, ${timeText(startedAt)}, ${(durationMs / 1000).toFixed(1)} s`]],
    ["Cross references", crossReferences.length === 0 ? [] : [text(crossReferences.join(", "))]],
  ])}</div>${
    seen.length === 0
      ? ""
      : grid(
          ["Observation", "Expected", "Observed", "Result", "Evidence"],
          seen.map((one) => [text(one.name), text(one.expected), text(one.observed), result(one), files(one)]),
          "seen",
        )
  }</article>`;
}

function result({ role, holds, agrees, runs }: Observation): string {
  const tries = runs > 1 ? `<br>${runs} tries` : "";
  const kind = role === "control" ? "<br>control" : "";
  if (!agrees) return `<span class="bad">tries disagree</span>${tries}${kind}`;
  if (holds === undefined) return `not told${tries}${kind}`;
  return `${holds ? "as expected" : '<span class="bad">not as expected</span>'}${tries}${kind}`;
}

/** Names of evidence without the check's; of many, the first and how many more there are. */
function files({ evidence }: Observation): string {
  const names = evidence.map(({ name }) => shortName(name));
  const [first, ...rest] = names;
  if (first === undefined) return "";
  return names.length <= 2 ? names.map(text).join("<br>") : `${text(first)}<br>and ${rest.length} more`;
}

function shortName(name: string): string {
  return name.slice(name.indexOf("/") + 1);
}
