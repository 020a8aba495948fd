import { UsageError } from "@cipsec/wire";
import { fr1 } from "./fr1.ts";
import { fr2 } from "./fr2.ts";
import { fr3Hardware } from "./fr3-hardware.ts";
import { fr3Software } from "./fr3-software.ts";
import { fr4 } from "./fr4.ts";
import { fr5 } from "./fr5.ts";
import { fr6 } from "./fr6.ts";
import { fr7 } from "./fr7.ts";
import { normaliseRequirementId, partsOfId, typesOf } from "./requirement-id.ts";
import type { ComponentType, FoundationalRequirement, Requirement, SecurityLevel } from "./requirement.ts";

const all = [...fr1, ...fr2, ...fr3Software, ...fr3Hardware, ...fr4, ...fr5, ...fr6, ...fr7] as const;

/** The number of an entry of the catalogue, such as `CR 1.2` or `EDR 3.12`. */
export type RequirementId = (typeof all)[number]["id"];

/** Every entry of IEC 62443-4-2:2019, placeholders too, in the order of their numbers. */
export const catalogue: readonly Requirement<RequirementId>[] = all;

const byId: ReadonlyMap<string, Requirement<RequirementId>> = new Map(all.map((entry) => [entry.id, entry]));

/** What an entry is chosen by; what is left out chooses all. */
export interface CatalogueFilter {
  readonly fr?: FoundationalRequirement | undefined;
  /** Entries that are required at this level. */
  readonly level?: SecurityLevel | undefined;
  /** Entries with a rule for this type. */
  readonly type?: ComponentType | undefined;
}

/**
 * The entry of an id, however it is written.
 *
 * @throws {UsageError} `usage/argument` for a number that the standard does not have.
 */
export function requirementOf(id: string): Requirement<RequirementId> {
  const normal = normaliseRequirementId(id);
  const found = byId.get(normal);
  if (found !== undefined) return found;
  throw new UsageError("usage/argument", `IEC 62443-4-2 has no requirement ${normal}`, {
    fix: "'cipsec assess catalogue' lists them.",
  });
}

/** The entries that a filter leaves. A level or a type leaves out placeholders, which have neither. */
export function selectRequirements(filter: CatalogueFilter = {}): readonly Requirement<RequirementId>[] {
  return catalogue.filter(
    (entry) =>
      (filter.fr === undefined || partsOfId(entry.id).fr === filter.fr) &&
      (filter.level === undefined || (entry.firstLevel !== null && entry.firstLevel <= filter.level)) &&
      (filter.type === undefined || typesOf(entry).includes(filter.type)),
  );
}

/** Where the catalogue's facts and verdicts come from, and how far to trust them. */
export const catalogueSources = {
  "odva-paper": {
    name: "Conference paper of 2020 that maps CIP Security to IEC 62443-4-2",
    trust:
      "A study of the protocol on paper, no test of a product; the user authentication profile was not yet published.",
  },
  "linux-fr1": {
    name: "Assessment details of a Linux platform, FR 1, reviewed by a certification body",
    trust: "Verdicts on that platform at SL 2, never on a product.",
  },
  "linux-fr4-fr5": {
    name: "Assessment details of the same Linux platform, FR 4 and FR 5",
    trust: "Verdicts on that platform at SL 2, never on a product.",
  },
  "linux-manual": {
    name: "User security manual of the same Linux platform",
    trust: "Advice; one statement of 'meets' and no other labelled verdict.",
  },
  "linux-public": {
    name: "Public pages of the same Linux platform for the other foundational requirements",
    trust: "Read in part, some of them drafts; kept apart from the rest.",
  },
  levels: {
    name: "Levels from general knowledge, compared with several public sources",
    trust:
      "High, except CR 6.2 and the level of EDR, HDR and NDR 3.12 and 3.13 above SL 1. Compare with a licensed copy before a claim is made.",
  },
} as const;
