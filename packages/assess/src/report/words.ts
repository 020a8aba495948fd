import type { FoundationalRequirement } from "../catalogue/requirement.ts";
import type { NotApplicable, Verdict, VerdictWord } from "../judge/verdict.ts";

/** Verdicts in the words of a report. */
export const verdictWords: Readonly<Record<VerdictWord, string>> = {
  met: "Met",
  partial: "Partially met",
  "not-met": "Not met",
  inconclusive: "Inconclusive",
  "not-applicable": "Not applicable",
  "out-of-scope": "Out of scope of this evidence",
};

/** Why something is left out, for people. */
export const notApplicableWords: Readonly<Record<NotApplicable, string>> = {
  placeholder: "placeholder",
  type: "another type of component",
  "function-absent": "function absent",
  "above-target": "above the target level",
};

export const frTitles: Readonly<Record<FoundationalRequirement, string>> = {
  1: "Identification and authentication control",
  2: "Use control",
  3: "System integrity",
  4: "Data confidentiality",
  5: "Restricted data flow",
  6: "Timely response to events",
  7: "Resource availability",
};

/** The order in which verdicts stand in charts and counts. */
export const verdictOrder: readonly VerdictWord[] = ["met", "partial", "not-met", "inconclusive", "out-of-scope"];

/** Verdicts that a report has a page for: what applies, and what is left out because it does not exist. */
export function reported(verdicts: readonly Verdict[]): readonly Verdict[] {
  return verdicts.filter(({ notApplicable }) => notApplicable === undefined || notApplicable === "function-absent");
}

/** A verdict with its class, where it has one. */
export function verdictText({ verdict, notApplicable }: Pick<Verdict, "verdict" | "notApplicable">): string {
  return notApplicable === undefined
    ? verdictWords[verdict]
    : `${verdictWords[verdict]}: ${notApplicableWords[notApplicable]}`;
}

/** The four constraints that are no numbered requirements and that every report speaks about. */
export const commonConstraints: readonly (readonly [title: string, text: string])[] = [
  [
    "Essential functions stay alive",
    "No security function may stop the component's essential function. What was observed is in the checks of FR 7; I/O beside an assessment must be watched by the operator.",
  ],
  [
    "Compensating measures",
    "A requirement that the component does not meet may be met by the system around it, where that is documented. User actions below name what is needed.",
  ],
  ["Least privilege", "Each role has only the rights that it needs. Roles of the device are not assessed by this run."],
  [
    "Development process",
    "The component is developed by a process to IEC 62443-4-1. This run has no evidence of it: the maker's certificate or status must be added.",
  ],
];

/** What facts about a subject are called. */
export const factWords: Readonly<Record<string, string>> = {
  vendorId: "Vendor",
  productCode: "Product code",
  product: "Product",
  revision: "Revision",
  serial: "Serial number",
  cipSecurity: "CIP Security",
  settingsSha256: "Settings, SHA-256",
  readOver: "Read over",
  host: "Host name",
  system: "System",
  kernel: "Kernel",
  machineId: "Machine id",
};

/** Why a verdict is no better: of several parts the reason of the one that decides. */
export function decidingReason({ verdict, parts, reason }: Pick<Verdict, "verdict" | "parts" | "reason">): string {
  const decides = parts.find((part) => part.verdict === verdict);
  return parts.length < 2 || decides === undefined ? reason : `${decides.part} part: ${decides.reason}`;
}
