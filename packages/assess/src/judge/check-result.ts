import type { RequirementId } from "../catalogue/catalogue.ts";
import type { RequirementPart } from "../catalogue/parts.ts";
import type { Check, Findings } from "../check.ts";
import type { EvidenceRef } from "../evidence/evidence.ts";
import type { Observation } from "../observation.ts";

/** What is known of a check that was run, or could not be: what a run keeps on disk, and all that a verdict rests on. */
export interface CheckRecord extends Omit<Check, "run" | "restore" | "needs" | "needsQuiet" | "estimateMs"> {
  /** Why it was not run or not finished; then there are no findings. */
  readonly notRun?: string;
  readonly findings?: Findings;
  /** Everything that was recorded, also what no observation names. */
  readonly evidence: readonly EvidenceRef[];
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly durationMs: number;
}

/** What a check came to. `absent`: the function that the requirement speaks about is proven not to exist. */
export type CheckOutcome = "pass" | "partial" | "fail" | "inconclusive" | "absent";

/** The outcome of one check for one requirement, and why. */
export interface CheckResult {
  readonly id: string;
  readonly version: string;
  readonly part: RequirementPart;
  readonly method: Check["method"];
  readonly outcome: CheckOutcome;
  readonly reason: string;
  /** The most tries that one of its observations had. */
  readonly runs: number;
  /**
   * Of an inconclusive result whose open questions are such that only people can answer them: what the check comes to without these
   * questions, and who is asked.
   */
  readonly openToPeople?: {
    readonly outcome: CheckOutcome;
    readonly reason: string;
    readonly askedOf: readonly string[];
  };
}

/**
 * Judges one check for one requirement, from what it observed and nothing else:
 *
 * 1. not run, or nothing observed: inconclusive;
 * 2. a control did not succeed, or bad inputs were tried without one: inconclusive, whatever they did;
 * 3. something bad was accepted or something needed is missing: fail;
 * 4. tries disagreed, or something could not be told: inconclusive; where only people can ever tell it, they may
 *    (`openToPeople`);
 * 5. only lesser things are missing: partial;
 * 6. proof that there is nothing to judge: absent; else pass.
 */
export function judgeCheck(record: CheckRecord, requirement: RequirementId): CheckResult {
  return judgeSeen(
    record,
    (record.findings?.observations ?? []).filter(
      ({ requirements }) => requirements === undefined || requirements.includes(requirement),
    ),
  );
}

function judgeSeen(record: CheckRecord, seen: readonly Observation[]): CheckResult {
  const of = (outcome: CheckOutcome, reason: string): CheckResult => {
    const { id, version, part, method } = record;
    return { id, version, part, method, outcome, reason, runs: Math.max(1, ...seen.map(({ runs }) => runs)) };
  };
  if (record.findings === undefined) return of("inconclusive", record.notRun ?? "it was not run");
  if (seen.length === 0) return of("inconclusive", "it observed nothing that speaks about this requirement");

  const controls = seen.filter(({ role }) => role === "control");
  const badControl = controls.find(({ holds }) => holds !== true);
  if (badControl !== undefined) return of("inconclusive", `its control did not succeed: ${told(badControl)}`);
  const rest = seen.filter(({ role }) => role !== "control");
  if (controls.length === 0 && rest.some(({ role }) => role === "negative"))
    return of("inconclusive", "bad inputs were tried without a control");

  const failed = rest.filter(({ holds, role }) => holds === false && role !== "absence");
  const worst = failed.filter(({ otherwise, agrees }) => otherwise === "fail" && agrees);
  if (worst.length > 0) return of("fail", worst.map(told).join("; "));
  const unknown = rest.filter(({ holds, agrees, role }) => role !== "absence" && (holds === undefined || !agrees));
  if (unknown.length > 0) {
    const result = of("inconclusive", unknown.map(toldUnknown).join("; "));
    const askedOf = [...new Set(unknown.flatMap((one) => one.askedOf ?? []))];
    if (!unknown.every(isForPeople)) return result;
    const left = seen.filter((one) => !unknown.includes(one));
    const { outcome, reason } = left.some(({ role }) => role !== "control")
      ? judgeSeen(record, left)
      : of("pass", "nothing else is open");
    return { ...result, openToPeople: { outcome, reason, askedOf } };
  }
  if (failed.length > 0) return of("partial", failed.map(told).join("; "));
  const absent = rest.filter(({ role, holds }) => role === "absence" && holds === true);
  if (absent.length > 0) return of("absent", absent.map(told).join("; "));
  if (rest.every(({ role }) => role === "absence"))
    return of("inconclusive", "it could not show that the function is absent");
  return of("pass", record.findings.howMet ?? `${seen.length} observations as expected`);
}

/** An observation in one sentence. */
export function told({ name, expected, observed }: Observation): string {
  return `${name}: ${observed} (expected: ${expected})`;
}

function isForPeople({ askedOf, agrees, holds }: Observation): boolean {
  return askedOf !== undefined && agrees && holds === undefined;
}

function toldUnknown(observation: Observation): string {
  if (isForPeople(observation)) return `${told(observation)}: to be answered by ${observation.askedOf}`;
  return observation.agrees
    ? told(observation)
    : `${observation.name}: ${observation.runs} tries disagree (${observation.observed})`;
}
