import { catalogue, type RequirementId } from "../catalogue/catalogue.ts";
import type { Findings } from "../check.ts";
import type { EvidenceRef } from "../evidence/evidence.ts";
import type { CheckRecord } from "../judge/check-result.ts";
import type { Observation } from "../observation.ts";
import { isBoolean, isNumber, isText, listOf, oneOf, optional, shape, type Guard } from "./guards.ts";

const ids: ReadonlySet<string> = new Set(catalogue.map(({ id }) => id));

const isRequirementId = (value: unknown): value is RequirementId => typeof value === "string" && ids.has(value);

const isHash = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);

const isEvidenceRef: Guard<EvidenceRef> = shape<EvidenceRef>({
  name: isText,
  sha256: isHash,
  kind: oneOf("exchange", "command", "capture", "timing", "file", "settings"),
  octets: isNumber,
  redacted: isBoolean,
});

const isObservation: Guard<Observation> = shape<Observation>({
  name: isText,
  role: oneOf("control", "negative", "capability", "absence"),
  expected: isText,
  observed: isText,
  holds: optional(isBoolean),
  otherwise: oneOf("fail", "partial"),
  runs: isNumber,
  agrees: isBoolean,
  requirements: optional(listOf(isRequirementId)),
  askedOf: optional(isText),
  evidence: listOf(isEvidenceRef),
});

const isFindings: Guard<Findings> = shape<Findings>({
  observations: listOf(isObservation),
  howMet: optional(isText),
  conditions: optional(listOf(isText)),
  limits: optional(listOf(isText)),
  userAction: optional(isText),
  deviation: optional(isText),
});

/** Tells whether a parsed file is the record of a check. */
export const isCheckRecord: Guard<CheckRecord> = shape<CheckRecord>({
  id: isText,
  version: isText,
  title: isText,
  requirements: listOf(isRequirementId),
  part: oneOf("protocol", "product", "whole"),
  method: oneOf("test", "examine", "interview"),
  crossReferences: optional(listOf(isText)),
  notRun: optional(isText),
  findings: optional(isFindings),
  evidence: listOf(isEvidenceRef),
  startedAt: isText,
  finishedAt: isText,
  durationMs: isNumber,
});
