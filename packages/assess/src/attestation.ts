import { UsageError } from "@cipsec/wire";
import { requirementOf, type RequirementId } from "./catalogue/catalogue.ts";
import { partsOfRequirement, type RequirementPart } from "./catalogue/parts.ts";

/** What a person answers for, where no machine can judge: a design, a procedure, a seal. */
export interface Attestation {
  readonly requirement: RequirementId;
  readonly part: RequirementPart;
  readonly verdict: "met" | "partial" | "not-met" | "not-applicable";
  /** How it is met, or why it is not, in the person's words. */
  readonly statement: string;
  /** Name and role of who says so. */
  readonly by: string;
  readonly role: string;
  /** ISO 8601 dates: from when, and until when at the latest it counts. */
  readonly at: string;
  readonly validUntil: string;
  /** The component it holds for, as the run names it (`componentKey`); another product or revision makes it void. */
  readonly component: string;
  /** Documents that it rests on. */
  readonly references?: readonly string[];
}

/** A statement older than this must be made anew. */
const maxValidityDays = 366;

const maxAttestations = 500;
const maxTextLength = 4000;
const dayMs = 24 * 3600 * 1000;

/** Why an attestation does not count now, for this component; nothing where it does. */
export function voidReason(attestation: Attestation, component: string, now: Date): string | undefined {
  if (attestation.component !== component)
    return `the statement of ${attestation.by} is for ${attestation.component}, not for ${component}`;
  if (Date.parse(attestation.at) > now.getTime()) return `the statement of ${attestation.by} is dated in the future`;
  if (Date.parse(attestation.validUntil) < now.getTime())
    return `the statement of ${attestation.by} ran out on ${attestation.validUntil}`;
  return undefined;
}

/**
 * Reads attestations from parsed JSON: a list of objects of the shape {@link Attestation}.
 *
 * @throws {UsageError} `usage/file` naming the entry and what is wrong with it.
 */
export function parseAttestations(value: unknown): readonly Attestation[] {
  if (!Array.isArray(value) || value.length > maxAttestations)
    throw new UsageError("usage/file", `attestations are a list of at most ${maxAttestations} statements`);
  return value.map((one: unknown, at) => parseOne(one, `statement ${at + 1}`));
}

function parseOne(value: unknown, where: string): Attestation {
  const fields = new Map(typeof value === "object" && value !== null ? Object.entries(value) : []);
  const refuse = (words: string): UsageError =>
    new UsageError("usage/file", `${where}: ${words}`, {
      fix: "Correct the file of attestations; see docs/assess.md.",
    });
  const text = (name: string): string => {
    const found: unknown = fields.get(name);
    if (typeof found === "string" && found.trim() !== "" && found.length <= maxTextLength) return found;
    throw refuse(`'${name}' must be text of 1 to ${maxTextLength} characters`);
  };
  const date = (name: string): string => {
    const found = text(name);
    if (/^\d{4}-\d\d-\d\d/.test(found) && !Number.isNaN(Date.parse(found))) return found;
    throw refuse(`'${name}' must be a date such as 2026-11-21`);
  };
  const requirement = requirementOf(text("requirement")).id;
  const parts = partsOfRequirement(requirement);
  const part = parts.find((one) => one === (fields.get("part") ?? parts.at(-1)));
  if (part === undefined) throw refuse(`'part' of ${requirement} is ${parts.join(" or ")}`);
  const verdict = (["met", "partial", "not-met", "not-applicable"] as const).find(
    (one) => one === fields.get("verdict"),
  );
  if (verdict === undefined) throw refuse("'verdict' is met, partial, not-met or not-applicable");
  const at = date("at");
  const validUntil = date("validUntil");
  if (Date.parse(validUntil) - Date.parse(at) > maxValidityDays * dayMs || validUntil < at)
    throw refuse(`'validUntil' must lie within ${maxValidityDays} days after 'at'`);
  const listed: unknown = fields.get("references") ?? [];
  const references = Array.isArray(listed) ? listed.filter((one): one is string => typeof one === "string") : [];
  return {
    requirement,
    part,
    verdict,
    statement: text("statement"),
    by: text("by"),
    role: text("role"),
    at,
    validUntil,
    component: text("component"),
    references,
  };
}
