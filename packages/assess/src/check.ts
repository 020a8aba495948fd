import type { RequirementId } from "./catalogue/catalogue.ts";
import type { RequirementPart } from "./catalogue/parts.ts";
import type { Recorder } from "./evidence/recorder.ts";
import type { Need } from "./need.ts";
import type { Observation } from "./observation.ts";

/** How something was found out, in the words of an assessor. */
export type CheckMethod = "test" | "examine" | "interview";

/** What the subject of checks must tell: an endpoint or a host. */
export interface Subject {
  /** Why a need is not met, in words that complete the need's own; nothing where it is met. */
  lacks(need: Need): string | undefined;
  /** Aborted when the run is to stop. */
  readonly signal: AbortSignal;
}

/** What a check has to say when it is done. */
export interface Findings {
  readonly observations: readonly Observation[];
  /** How the requirement is met, in two or three sentences. */
  readonly howMet?: string;
  /** Settings under which the result holds. */
  readonly conditions?: readonly string[];
  /** What was not covered. */
  readonly limits?: readonly string[];
  /** What the integrator or owner must still do. */
  readonly userAction?: string;
  /** What deviates, for a result that is not a pass. */
  readonly deviation?: string;
}

/**
 * A way to find something out about a subject. A check observes and records; it gives no verdict: `judge` does, from its
 * observations alone.
 */
export interface Check<S extends Subject = Subject> {
  /** Stable, such as `B-1.2` for an endpoint or `C-1.1` for a host. */
  readonly id: string;
  /** Raised whenever the check can come to another result on the same subject. */
  readonly version: string;
  readonly title: string;
  /** The entries that its observations speak about; names the placeholder's variants, such as `EDR 3.12`, not the placeholder. */
  readonly requirements: readonly RequirementId[];
  /** The part it answers of a requirement that is split in two; unsplit ones take any. */
  readonly part: RequirementPart;
  readonly method: CheckMethod;
  /** Ids of other suites' tests for the same thing. */
  readonly crossReferences?: readonly string[];
  /** Without all of these the check is not run, and its result is inconclusive for that reason. */
  readonly needs: readonly Need[];
  /** Rough time it takes, milliseconds. */
  readonly estimateMs: number;
  /** It judges by times or by load, ours among them: of other subjects nothing may run beside it. */
  readonly needsQuiet?: true;
  run(subject: S, recorder: Recorder): Promise<Findings>;
  /**
   * Puts back what `run` had announced to the recorder (`willChange`) before an earlier attempt was cut off. Must be harmless
   * when there is nothing left to put back.
   */
  restore?(subject: S, saved: unknown, recorder: Recorder): Promise<void>;
}
