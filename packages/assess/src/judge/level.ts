import {
  foundationalRequirements,
  securityLevels,
  type FoundationalRequirement,
  type SecurityLevel,
} from "../catalogue/requirement.ts";
import { isFulfilled, type Verdict, type VerdictWord } from "./verdict.ts";

/** Level by foundational requirement; 0 where not even level 1 is reached. Seven numbers, never one. */
export type LevelVector = Readonly<Record<FoundationalRequirement, SecurityLevel | 0>>;

/**
 * The highest level, up to the target, at which every applicable entry of each foundational requirement is met. Entries above the
 * target were not judged, so no level above it is claimed.
 */
export function levelsReached(verdicts: readonly Verdict[]): LevelVector {
  const reached = (fr: FoundationalRequirement): SecurityLevel | 0 => {
    const mine = verdicts.filter((verdict) => verdict.fr === fr && verdict.firstLevel !== null);
    const target = Math.max(0, ...mine.map(({ targetLevel }) => targetLevel));
    let level: SecurityLevel | 0 = 0;
    for (const next of securityLevels) {
      if (next > target) break;
      if (!mine.every((verdict) => (verdict.firstLevel ?? 0) > next || isFulfilled(verdict))) break;
      level = next;
    }
    return level;
  };
  return { 1: reached(1), 2: reached(2), 3: reached(3), 4: reached(4), 5: reached(5), 6: reached(6), 7: reached(7) };
}

/** How many entries have each verdict. */
export type VerdictCounts = Readonly<Record<VerdictWord, number>>;

/** Counts verdicts. */
export function countVerdicts(verdicts: readonly Pick<Verdict, "verdict">[]): VerdictCounts {
  const of = (word: VerdictWord): number => verdicts.filter(({ verdict }) => verdict === word).length;
  return {
    met: of("met"),
    partial: of("partial"),
    "not-met": of("not-met"),
    inconclusive: of("inconclusive"),
    "not-applicable": of("not-applicable"),
    "out-of-scope": of("out-of-scope"),
  };
}

/** Counts by foundational requirement, of the entries that apply at the target. */
export function countsByFr(verdicts: readonly Verdict[]): Readonly<Record<FoundationalRequirement, VerdictCounts>> {
  const of = (fr: FoundationalRequirement): VerdictCounts =>
    countVerdicts(verdicts.filter((verdict) => verdict.fr === fr));
  const [a, b, c, d, e, f, g] = foundationalRequirements;
  return { [a]: of(a), [b]: of(b), [c]: of(c), [d]: of(d), [e]: of(e), [f]: of(f), [g]: of(g) };
}
