import type { FoundationalRequirement, ComponentType, SecurityLevel } from "../catalogue/requirement.ts";
import type { RequirementId } from "../catalogue/catalogue.ts";
import type { RequirementPart } from "../catalogue/parts.ts";
import type { EvidenceRef } from "../evidence/evidence.ts";
import type { CheckResult } from "./check-result.ts";

/**
 * - `met`: every part, on every interface that matters, shown by evidence.
 * - `partial`: some of it; counts as not fulfilled.
 * - `not-met`: absent or failing.
 * - `inconclusive`: no reliable result; open, blocks a claim.
 * - `not-applicable`: left out, for one of the {@link NotApplicable} reasons.
 * - `out-of-scope`: this kind of evidence does not speak about it; open for the product.
 */
export type VerdictWord = "met" | "partial" | "not-met" | "inconclusive" | "not-applicable" | "out-of-scope";

/** Why a requirement is left out: these are different statements and never mixed. */
export type NotApplicable = "placeholder" | "type" | "function-absent" | "above-target";

/** The verdict on one part of a requirement. */
export interface PartVerdict {
  readonly part: RequirementPart;
  readonly verdict: VerdictWord;
  readonly reason: string;
}

/** The verdict on one requirement, with all that an assessor asks for. */
export interface Verdict {
  readonly requirement: RequirementId;
  readonly title: string;
  readonly fr: FoundationalRequirement;
  readonly firstLevel: SecurityLevel | null;
  readonly componentType: ComponentType;
  readonly targetLevel: SecurityLevel;
  readonly verdict: VerdictWord;
  /** Given exactly when the verdict is `not-applicable`. */
  readonly notApplicable?: NotApplicable;
  readonly reason: string;
  /** Those that are judged apart; the verdict is the worse one. */
  readonly parts: readonly PartVerdict[];
  readonly howMet?: string;
  /** Who does it: the component itself, a person's statement, or nobody yet. */
  readonly providedBy: "component" | "attestation" | "nobody";
  /** Settings under which the verdict holds. */
  readonly conditions: readonly string[];
  readonly checks: readonly CheckResult[];
  readonly evidence: readonly EvidenceRef[];
  /** ISO 8601, UTC; of the first and the last check. */
  readonly startedAt?: string;
  readonly finishedAt?: string;
  readonly limits: readonly string[];
  readonly userAction?: string;
  readonly deviation?: string;
  /** When it must be judged anew at the latest: the end of an attestation. */
  readonly validUntil?: string;
}

/** Tells whether a verdict leaves nothing open at its level. */
export function isFulfilled({ verdict }: Pick<Verdict, "verdict">): boolean {
  return verdict === "met" || verdict === "not-applicable";
}

const badness = { "not-met": 5, inconclusive: 4, "out-of-scope": 3, partial: 2, met: 1, "not-applicable": 0 } as const;

/** The worse of several verdicts. What is open is worse than partial: it may turn out as not met. */
export function worst<V extends { readonly verdict: VerdictWord }>(first: V, ...rest: readonly V[]): V {
  return rest.reduce((worse, one) => (badness[one.verdict] > badness[worse.verdict] ? one : worse), first);
}
