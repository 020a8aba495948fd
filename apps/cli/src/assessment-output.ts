import {
  compare,
  decidingReason,
  jsonReport,
  openRun,
  readAssessment,
  reported,
  runPath,
  verdictText,
  verdictWords,
  type Assessment,
  type Comparison,
  type VerdictChange,
  type VerdictWord,
} from "@cipsec/assess";
import { assessFolder, type Options } from "./assessment.ts";
import { textOption, type Context } from "./command.ts";
import { ExitCode } from "./exit-codes.ts";
import { durationText } from "./heartbeat.ts";
import type { Output } from "./output.ts";

/** Longest reason in a table; the report has it whole. */
const maxReason = 90;

/**
 * Tells what a run came to, and compares it where that was asked for.
 *
 * @returns Exit code: with `--compare` 1 where something got worse, else 1 while anything is open, partial or not met.
 */
export async function tellAssessment(context: Context, options: Options, assessment: Assessment): Promise<number> {
  const other = textOption(options, "compare");
  const before = other === undefined ? undefined : await earlierRun(context, other);
  const comparison = before === undefined ? undefined : compare(before, assessment);
  context.output.document(jsonReport(assessment, comparison));
  showAssessment(context.output, assessment);
  if (comparison === undefined) return isAllMet(assessment) ? ExitCode.ok : ExitCode.doesNotHold;
  context.output.say("");
  showComparison(context.output, comparison);
  return comparison.regressions === 0 ? ExitCode.ok : ExitCode.doesNotHold;
}

/** A finished run of the data folder that another is compared with. */
export async function earlierRun(context: Context, id: string): Promise<Assessment> {
  return await readAssessment(await openRun(runPath(assessFolder(context).runs, id)));
}

/** Whether nothing that applies at the target is open, partial or not met. */
export function isAllMet({ counts }: Assessment): boolean {
  return counts.partial + counts["not-met"] + counts.inconclusive + counts["out-of-scope"] === 0;
}

/** Verdicts as a table, the level vector, and where the run lies. */
export function showAssessment(output: Output, assessment: Assessment): void {
  const { plan, verdicts, finishedAt } = assessment;
  output.say(`${plan.subject.component}, ${plan.type}, target SL ${plan.level}`);
  output.table(
    ["requirement", "verdict", "why"],
    reported(verdicts).map((one) => [one.requirement, verdictText(one), clipped(decidingReason(one))]),
  );
  output.say("");
  output.say(`Level reached: ${levelText(assessment)}`);
  output.say(`${countText(assessment)}.`);
  const ms = Date.parse(finishedAt) - Date.parse(plan.startedAt);
  output.say(
    `Run ${plan.id}, ${durationText(ms)}. 'cipsec report ${plan.id}' writes it, 'cipsec assess show ${plan.id} "CR 1.2"' shows the evidence.`,
  );
}

/** The seven numbers, against the target. */
export function levelText({ levelByFr }: Assessment): string {
  return Object.entries(levelByFr)
    .map(([fr, level]) => `FR ${fr}: ${level}`)
    .join(", ");
}

/** How many entries have which verdict. */
export function countText({ counts }: Assessment): string {
  const open = counts.inconclusive + counts["out-of-scope"];
  return `${counts.met} met, ${counts.partial} partial, ${counts["not-met"]} not met, ${open} open`;
}

/** What differs between two runs: what got worse first. */
export function showComparison(output: Output, comparison: Comparison): void {
  const { before, now, caveats, verdicts, observations, onlyBefore, onlyNow, regressions } = comparison;
  for (const caveat of caveats) output.notice(`not quite comparable: ${caveat}`);
  for (const [checks, what] of [
    [onlyBefore, "only the earlier run has done"],
    [onlyNow, "only the later run has done"],
  ] as const)
    if (checks.length > 0) output.notice(`not quite comparable: ${what} ${checks.join(", ")}`);
  if (verdicts.length + observations.length === 0) {
    output.say(`Runs ${before} and ${now} agree.`);
    return;
  }
  const progress = verdicts.filter(({ isProgress }) => isProgress);
  showChanges(
    output,
    "Worse than before",
    verdicts.filter(({ isRegression }) => isRegression),
  );
  showChanges(output, "Better than before", progress);
  showChanges(
    output,
    "Fulfilled in another way",
    verdicts.filter((one) => !one.isRegression && !one.isProgress),
  );
  if (observations.length > 0) {
    output.say("\nWhat was observed differently");
    output.table(
      ["check", "observation", "before", "now", "seen"],
      observations.map((one) => [one.check, one.observation, one.before ?? "-", one.now ?? "-", clipped(one.observed)]),
    );
  }
  output.say(
    `\n${verdicts.length} verdicts differ between ${before} and ${now}: ${regressions} got worse, ${progress.length} got better.`,
  );
}

function showChanges(output: Output, title: string, changes: readonly VerdictChange[]): void {
  if (changes.length === 0) return;
  output.say(`\n${title}`);
  output.table(
    ["requirement", "before", "now", "why"],
    changes.map((one) => [`${one.requirement} ${one.title}`, word(one.before), word(one.now), clipped(one.reason)]),
  );
}

function word(verdict: VerdictWord): string {
  return verdict === "out-of-scope" ? "out of scope" : verdictWords[verdict].toLowerCase();
}

function clipped(text: string): string {
  return text.length > maxReason ? `${text.slice(0, maxReason - 1)}…` : text;
}
