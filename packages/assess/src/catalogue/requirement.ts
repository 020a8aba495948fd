/** Kinds of component that IEC 62443-4-2 has rules for. */
export const componentTypes = ["software", "embedded", "host", "network"] as const;
export type ComponentType = (typeof componentTypes)[number];

/** Capability security levels, SL-C. */
export const securityLevels = [1, 2, 3, 4] as const;
export type SecurityLevel = (typeof securityLevels)[number];

/** Foundational requirements: identification, use control, integrity, confidentiality, data flow, response, availability. */
export const foundationalRequirements = [1, 2, 3, 4, 5, 6, 7] as const;
export type FoundationalRequirement = (typeof foundationalRequirements)[number];

/** What the ODVA paper says of the protocol. It knows a fourth word, "not met", and gives it to nothing. */
export type PaperVerdict = "met" | "partial" | "not-met" | "out-of-scope";

/** Where a verdict on the Linux platform was read; see {@link catalogueSources}. */
export type LinuxSource = "linux-fr1" | "linux-fr4-fr5" | "linux-manual" | "linux-public";

/** A verdict of the assessment of the Linux platform. */
export type LinuxVerdict = "met" | "not-applicable";

/**
 * One entry of the catalogue. Number, short title and level are facts; the summary is our own paraphrase and must never be shown
 * as the text of the requirement.
 */
export interface Requirement<I extends string = string> {
  readonly id: I;
  readonly title: string;
  readonly summary: string;
  /** Level from which it is required; `null` for a placeholder, a number without a rule of its own. */
  readonly firstLevel: SecurityLevel | null;
  /** Entries that one should look at together with this one. */
  readonly seeAlso?: readonly string[];
  /** The ODVA paper on CIP Security, the protocol. */
  readonly odva: {
    /** In its body, which decides. */
    readonly body?: PaperVerdict;
    /** In its summary table, which confirms. */
    readonly table?: PaperVerdict;
    readonly how?: string;
    readonly note?: string;
  };
  /** The Civil Infrastructure Platform, a Linux platform: another project with the same short name. Never a product's verdict. */
  readonly cipLinux: {
    readonly verdict?: LinuxVerdict;
    /** From the platform's public pages, read in part only. */
    readonly publicVerdict?: LinuxVerdict;
    readonly how?: string;
    readonly userAction?: string;
    readonly tests?: readonly string[];
    readonly source?: LinuxSource;
  };
}

/** The parts that a requirement's number is made of. */
export interface RequirementParts {
  /** `CR` holds for every type; the others for one. */
  readonly kind: "CR" | "SAR" | "EDR" | "HDR" | "NDR";
  readonly fr: FoundationalRequirement;
  readonly number: number;
  /** Number of the enhancement. */
  readonly enhancement: number | undefined;
  /** The requirement that an enhancement belongs to, or the id itself. */
  readonly base: string;
}

/** Keeps the literal ids, so that a check can only name an entry that exists. */
export function requirements<const I extends string>(entries: readonly Requirement<I>[]): readonly Requirement<I>[] {
  return entries;
}
