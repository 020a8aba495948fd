import type { Attestation } from "../attestation.ts";
import { componentTypes, securityLevels, type ComponentType, type SecurityLevel } from "../catalogue/requirement.ts";
import { isBoolean, isText, isTexts, listOf, oneOf, shape, type Guard } from "./guards.ts";

/** What is assessed, as its own answers name it. */
export interface SubjectFacts {
  /** Address or host name, as it was given. */
  readonly address: string;
  /** Name and revision that attestations refer to, such as `65535/101 Lab Drive 2.1`; see {@link componentKey}. */
  readonly component: string;
  /** Vendor, product, revision, serial number, hash of the settings and whatever else identifies it. */
  readonly facts: Readonly<Record<string, string>>;
}

/** What made a run: needed to judge whether it can be repeated. */
export interface ToolFacts {
  readonly name: string;
  readonly version: string;
  readonly runtime: string;
  readonly crypto: string;
  readonly system: string;
}

/** What a run set out to do. It is on disk before anything is sent. */
export interface RunPlan {
  readonly id: string;
  readonly kind: "endpoint" | "host";
  readonly subject: SubjectFacts;
  readonly level: SecurityLevel;
  readonly type: ComponentType;
  readonly disruptive: boolean;
  readonly checks: readonly { readonly id: string; readonly version: string }[];
  /** ISO 8601, UTC, by the assessing machine's clock. */
  readonly startedAt: string;
  readonly tool: ToolFacts;
  /** Who ran it: a person's name, or of an automated identity. */
  readonly operator: string;
  /** Words of the command line that a repetition needs; never a secret, only names of files that hold one. */
  readonly options: Readonly<Record<string, string>>;
  /** What people have stated, as it stood when the run began. */
  readonly attestations: readonly Attestation[];
}

/** What attestations and comparisons know a component by: not its serial number, which differs from unit to unit. */
export function componentKey(vendor: string, product: string, revision: string): string {
  return `${vendor} ${product} ${revision}`.replaceAll(/\s+/g, " ").trim();
}

const isAttestation: Guard<Attestation> = shape<Attestation>({
  requirement: isText,
  part: isText,
  verdict: isText,
  statement: isText,
  by: isText,
  role: isText,
  at: isText,
  validUntil: isText,
  component: isText,
  references: (value) => value === undefined || listOf(isText)(value),
});

/** Tells whether a parsed file is a plan. */
export const isRunPlan: Guard<RunPlan> = shape<RunPlan>({
  id: isText,
  kind: oneOf("endpoint", "host"),
  subject: shape<SubjectFacts>({ address: isText, component: isText, facts: isTexts }),
  level: oneOf(...securityLevels),
  type: oneOf(...componentTypes),
  disruptive: isBoolean,
  checks: listOf(shape<{ id: string; version: string }>({ id: isText, version: isText })),
  startedAt: isText,
  tool: shape<ToolFacts>({ name: isText, version: isText, runtime: isText, crypto: isText, system: isText }),
  operator: isText,
  options: isTexts,
  attestations: listOf(isAttestation),
});
