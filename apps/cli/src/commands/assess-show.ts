import { join } from "node:path";
import type { Command } from "commander";
import {
  compare,
  normaliseRequirementId,
  runPath,
  storePath,
  verdictText,
  type Assessment,
  type CheckRecord,
  type Observation,
  type Verdict,
} from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { assessFolder, finishedRun } from "../assessment.ts";
import { earlierRun, showAssessment, showComparison } from "../assessment-output.ts";
import { addCommand, addNotes, argument, type Shell } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Output } from "../output.ts";

/** `assess show`: a verdict traced to its evidence. */
export function addAssessShow(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "show",
    "show a finished run, or one verdict of it with everything that it rests on",
    async (context, options, args) => {
      const id = argument(args, 0, "RUN");
      const { assessment, verification } = await finishedRun(context, id);
      const store = join(runPath(assessFolder(context).runs, id), "evidence");
      const { output } = context;
      if (!verification.holds) output.notice(`warning: run ${id} is not as it was when it was finished`);
      const what = args.slice(1).join(" ");
      if (what === "") {
        output.document({ run: id, verdicts: assessment.verdicts, holds: verification.holds });
        showAssessment(output, assessment);
        return;
      }
      const record = assessment.records.find((one) => one.id === what);
      const verdict = record === undefined ? verdictOn(assessment, what) : undefined;
      const records = record === undefined ? recordsOf(assessment, verdict) : [record];
      output.document({ run: id, ...(verdict === undefined ? {} : { verdict }), checks: records, store });
      if (verdict !== undefined) showVerdict(output, verdict);
      for (const one of records) showCheck(output, one, store);
    },
  )
    .argument("<run>", "a finished run of the data folder")
    .argument("[what...]", "a requirement, such as CR 1.2, or a check, such as B-1.2");
  addNotes(command, {
    json: "{run, verdict?, checks: [{id, findings?: {observations: [{name, expected, observed, holds, evidence}]}, notRun?, evidence}], store}",
    examples: [
      [
        "cipsec assess show 20261121-101502-3f9a2c CR 1.9",
        "what was tried, what came of it, and the files that prove it",
      ],
      ["cipsec assess show 20261121-101502-3f9a2c B-7.7", "one check"],
    ],
  });
}

/** `assess compare`: two runs that are there. */
export function addAssessCompare(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "compare",
    "tell what differs between two finished runs, and what got worse",
    async (context, options, args) => {
      const [before, now] = [argument(args, 0, "BEFORE"), argument(args, 1, "NOW")];
      const comparison = compare(await earlierRun(context, before), await earlierRun(context, now));
      context.output.document(comparison);
      showComparison(context.output, comparison);
      return comparison.regressions === 0 ? ExitCode.ok : ExitCode.doesNotHold;
    },
  )
    .argument("<before>", "the earlier run")
    .argument("<now>", "the later one");
  addNotes(command, {
    json: "as for assess replay",
    examples: [
      [
        "cipsec assess compare 20261101-090000-0a1b2c 20261121-101502-3f9a2c",
        "after an update: exits with 1 when something got worse",
      ],
    ],
  });
}

function verdictOn({ plan, verdicts }: Assessment, what: string): Verdict {
  const id = normaliseRequirementId(what);
  const found = verdicts.find(({ requirement }) => requirement === id);
  if (found !== undefined) return found;
  throw new UsageError("usage/argument", `run ${plan.id} has no requirement and no check '${what.slice(0, 60)}'`, {
    fix: `The checks are ${plan.checks.map((check) => check.id).join(", ")}; 'cipsec assess catalogue' lists requirements.`,
  });
}

function recordsOf({ records }: Assessment, verdict: Verdict | undefined): readonly CheckRecord[] {
  return records.filter(({ id }) => verdict?.checks.some((check) => check.id === id) === true);
}

function showVerdict(output: Output, verdict: Verdict): void {
  const { requirement, title, reason, parts, conditions, limits, userAction, firstLevel } = verdict;
  output.say(`${requirement} ${title} (from SL ${firstLevel ?? "-"}): ${verdictText(verdict)}`);
  if (parts.length > 1) for (const part of parts) output.say(`  ${part.part} part ${part.verdict}: ${part.reason}`);
  else output.say(`  ${reason}`);
  for (const condition of conditions) output.say(`  holds while: ${condition}`);
  for (const limit of limits) output.say(`  not covered: ${limit}`);
  if (userAction !== undefined) output.say(`  user action: ${userAction}`);
}

function showCheck(output: Output, record: CheckRecord, store: string): void {
  output.say(`\n${record.id} ${record.version}: ${record.title}`);
  output.say(`  ${record.startedAt}, ${(record.durationMs / 1000).toFixed(1)} s`);
  if (record.notRun !== undefined) output.say(`  not run: ${record.notRun}`);
  for (const one of record.findings?.observations ?? []) {
    output.say(`  ${stateOf(one)}: ${one.name}${one.role === "control" ? " (control)" : ""}`);
    output.say(`      expected ${one.expected}`);
    output.say(`      observed ${one.observed}`);
    if (one.evidence.length > 0) output.say(`      evidence ${one.evidence.map(({ name }) => name).join(", ")}`);
  }
  if (record.evidence.length === 0) return;
  output.say(`  files below ${store}`);
  output.table(
    ["evidence", "file"],
    record.evidence.map(({ name, sha256 }) => [name, storePath(sha256)]),
  );
}

function stateOf({ holds, agrees, runs }: Observation): string {
  const tries = runs > 1 ? ` (${runs} tries)` : "";
  if (!agrees) return `tries disagree${tries}`;
  return `${holds === undefined ? "not told" : holds ? "as expected" : "NOT as expected"}${tries}`;
}
