import type { EvidenceRef } from "./evidence/evidence.ts";
import type { RequirementId } from "./catalogue/catalogue.ts";

/**
 * What an observation is for.
 *
 * - `control`: must succeed, or nothing else in the check says anything.
 * - `negative`: a bad input that must be refused; repeated three times.
 * - `capability`: something that must work or be set.
 * - `absence`: proof that the function a requirement speaks about does not exist; where it holds, the requirement is not applicable.
 */
export type ObservationRole = "control" | "negative" | "capability" | "absence";

/** One thing that was tried or read, what should have come of it and what did. */
export interface Observation {
  /** Unique within its check; stable from run to run, so that runs can be compared. */
  readonly name: string;
  readonly role: ObservationRole;
  readonly expected: string;
  /** What was seen; the reason, where nothing could be seen. */
  readonly observed: string;
  /** `undefined` where it could not be told. */
  readonly holds: boolean | undefined;
  /** What it means when it does not hold: the requirement fails, or is met in part. */
  readonly otherwise: "fail" | "partial";
  /** How often it was tried, and whether each try came out the same. */
  readonly runs: number;
  readonly agrees: boolean;
  /** The entries it speaks about; all those of its check where it is left out. */
  readonly requirements?: readonly RequirementId[];
  /**
   * Who can tell, where `holds` is `undefined` because no exchange with the subject can ever show it, such as how a key is stored. Not
   * for what another option or another try of the check would show.
   */
  readonly askedOf?: string;
  readonly evidence: readonly EvidenceRef[];
}

/** What is said of an observation; the rest has a usual value. */
export type ObservationInput = Pick<Observation, "name" | "expected" | "observed" | "holds"> &
  Partial<Pick<Observation, "otherwise" | "runs" | "agrees" | "requirements" | "askedOf" | "evidence">>;

/** Something that must succeed before the rest of the check counts. */
export function control(input: ObservationInput): Observation {
  return { ...usual, ...input, role: "control" };
}

/** A bad input, and whether it was refused as it must be. */
export function negative(input: ObservationInput): Observation {
  return { ...usual, ...input, role: "negative" };
}

/** Something that must work, or a setting that must have a value. */
export function capability(input: ObservationInput): Observation {
  return { ...usual, ...input, role: "capability" };
}

/** Proof that a function does not exist at all. */
export function absence(input: ObservationInput): Observation {
  return { ...usual, ...input, role: "absence" };
}

/** One try of something that is repeated. */
export interface Try {
  readonly holds: boolean | undefined;
  readonly observed: string;
  readonly evidence?: readonly EvidenceRef[];
}

/** How often a bad input is tried. */
export const repetitions = 3;

/**
 * Tries something several times and tells whether the tries agree. Where they do not, nothing can be said of it.
 *
 * @param attempt Gets the number of the try, from 1.
 */
export async function repeated(
  attempt: (run: number) => Promise<Try>,
  runs: number = repetitions,
): Promise<Pick<Observation, "observed" | "holds" | "runs" | "agrees" | "evidence">> {
  const tries: Try[] = [];
  for (let run = 1; run <= runs; run++) tries.push(await attempt(run));
  const agrees = new Set(tries.map(({ holds }) => holds)).size <= 1;
  const words = [...new Set(tries.map(({ observed }) => observed))];
  return {
    holds: agrees ? tries[0]?.holds : undefined,
    observed: words.join("; "),
    runs,
    agrees,
    evidence: tries.flatMap(({ evidence = [] }) => evidence),
  };
}

const usual = { otherwise: "fail", runs: 1, agrees: true, evidence: [] } as const;
