import type { Assessment } from "../run/assessment.ts";
import type { RequirementId } from "../catalogue/catalogue.ts";
import type { Observation } from "../observation.ts";
import { decidingReason } from "../report/words.ts";
import { isFulfilled, worst, type VerdictWord } from "./verdict.ts";

/** A verdict that differs between two runs. */
export interface VerdictChange {
  readonly requirement: RequirementId;
  readonly title: string;
  readonly before: VerdictWord;
  readonly now: VerdictWord;
  /** Nearer to not met than it was; `false` too where it is another way of being fulfilled. */
  readonly isRegression: boolean;
  /** Nearer to being fulfilled than it was. */
  readonly isProgress: boolean;
  readonly reason: string;
}

/** An observation that differs between two runs; `null` where a run has none of that name. */
export interface ObservationChange {
  readonly check: string;
  readonly observation: string;
  readonly before: string | null;
  readonly now: string | null;
  /** What the later run saw; of the earlier one where the later has no such observation. */
  readonly observed: string;
}

/** What differs between an earlier run and a later one. */
export interface Comparison {
  readonly before: string;
  readonly now: string;
  /** Why the runs can be compared in part only: another component, level, type, tool or check version. */
  readonly caveats: readonly string[];
  readonly verdicts: readonly VerdictChange[];
  /** Of checks that both runs have done. */
  readonly observations: readonly ObservationChange[];
  /** Ids of checks that only one of the runs has done: their observations cannot differ. */
  readonly onlyBefore: readonly string[];
  readonly onlyNow: readonly string[];
  readonly regressions: number;
}

/** Compares two runs; pure. What was observed is compared by whether it held, not by its words, which hold times and ids. */
export function compare(before: Assessment, now: Assessment): Comparison {
  const earlier = new Map(before.verdicts.map((verdict) => [verdict.requirement, verdict]));
  const verdicts = now.verdicts.flatMap((verdict): VerdictChange[] => {
    const old = earlier.get(verdict.requirement);
    if (old === undefined || old.verdict === verdict.verdict) return [];
    const isSettled = isFulfilled(old) && isFulfilled(verdict);
    const isWorse = worst(old, verdict) === verdict;
    const { requirement, title } = verdict;
    const [isRegression, isProgress] = [!isSettled && isWorse, !isSettled && !isWorse];
    return [
      {
        requirement,
        title,
        before: old.verdict,
        now: verdict.verdict,
        isRegression,
        isProgress,
        reason: decidingReason(verdict),
      },
    ];
  });
  return {
    before: before.plan.id,
    now: now.plan.id,
    caveats: caveats(before, now),
    verdicts,
    observations: observationChanges(before, now).filter(({ check }) => done(before, check) && done(now, check)),
    onlyBefore: checksOf(before).filter((check) => !done(now, check)),
    onlyNow: checksOf(now).filter((check) => !done(before, check)),
    regressions: verdicts.filter(({ isRegression }) => isRegression).length,
  };
}

function checksOf({ records }: Assessment): readonly string[] {
  return records.filter(({ findings }) => findings !== undefined).map(({ id }) => id);
}

function done(assessment: Assessment, check: string): boolean {
  return checksOf(assessment).includes(check);
}

function caveats(before: Assessment, now: Assessment): readonly string[] {
  const differ = (what: string, a: string, b: string): string[] => (a === b ? [] : [`${what}: ${a} before, ${b} now`]);
  const version = ({ plan }: Assessment): string => plan.checks.map(({ id, version }) => `${id} ${version}`).join(", ");
  return [
    ...differ("component", before.plan.subject.component, now.plan.subject.component),
    ...differ("target level", String(before.plan.level), String(now.plan.level)),
    ...differ("component type", before.plan.type, now.plan.type),
    ...differ("tool version", before.plan.tool.version, now.plan.tool.version),
    ...differ("disruptive checks", String(before.plan.disruptive), String(now.plan.disruptive)),
    ...(version(before) === version(now) ? [] : ["the checks or their versions differ"]),
  ];
}

function observationChanges(before: Assessment, now: Assessment): readonly ObservationChange[] {
  const a = observationsOf(before);
  const b = observationsOf(now);
  const keys = [...new Set([...a.keys(), ...b.keys()])];
  return keys.flatMap((key) => {
    const old = a.get(key);
    const next = b.get(key);
    if (old !== undefined && next !== undefined && stateOf(old) === stateOf(next)) return [];
    const [check = "", observation = ""] = key.split("\n");
    return [
      {
        check,
        observation,
        before: old === undefined ? null : stateOf(old),
        now: next === undefined ? null : stateOf(next),
        observed: (next ?? old)?.observed ?? "",
      },
    ];
  });
}

function observationsOf({ records }: Assessment): ReadonlyMap<string, Observation> {
  return new Map(
    records.flatMap(({ id, findings }) =>
      (findings?.observations ?? []).map((one): [string, Observation] => [`${id}\n${one.name}`, one]),
    ),
  );
}

function stateOf({ holds, agrees }: Observation): string {
  if (!agrees) return "tries disagree";
  return holds === undefined ? "could not be told" : holds ? "as expected" : "not as expected";
}
