import type { Assessment } from "../run/assessment.ts";
import type { Comparison } from "../judge/compare.ts";

/** The document that `assess --json` prints, and the JSON report: the fields of each verdict with what made the run. */
export function jsonReport(assessment: Assessment, comparison?: Comparison): object {
  const { plan, finishedAt, verdicts, levelByFr, counts } = assessment;
  return {
    run: plan.id,
    subject: plan.subject,
    level: plan.level,
    type: plan.type,
    startedAt: plan.startedAt,
    finishedAt,
    timeSource: "clock of the assessing machine; its offset was not measured",
    tool: plan.tool,
    operator: plan.operator,
    reviewer: null,
    disruptive: plan.disruptive,
    results: verdicts.map(({ evidence, ...verdict }) => ({
      ...verdict,
      evidence: evidence.map(({ name, sha256, ...rest }) => ({ file: name, sha256, ...rest })),
    })),
    levelByFr,
    counts,
    ...(comparison === undefined ? {} : { comparison }),
  };
}
