import { UsageError } from "@cipsec/wire";
import {
  foundationalRequirements,
  type ComponentType,
  type Requirement,
  type RequirementParts,
} from "./requirement.ts";

/** Longer than any way of writing an id that was seen; a limit for text that people give. */
const maxIdLength = 64;

/** `CR 1.1 RE(1)`, `CR-1.1 RE-1`, `ndr1.6 re 1`, with any dash, and with the standard's number in front, also misspelt. */
const pattern =
  /^(?:IEC\s*[\d-]{5,12}\s*[:,]?\s*)?(CR|SAR|EDR|HDR|NDR)[\s-]*([1-7])\.(\d{1,2})(?:[\s-]*RE[\s-]*\(?(\d)\)?)?$/;

const kinds = ["CR", "SAR", "EDR", "HDR", "NDR"] as const;

const typeOfKind = { SAR: "software", EDR: "embedded", HDR: "host", NDR: "network" } as const;

/**
 * Reads an id however its source writes it and gives the catalogue's spelling, `CR 1.1 RE(1)`.
 *
 * @throws {UsageError} `usage/argument`
 */
export function normaliseRequirementId(text: string): string {
  const found = match(text);
  if (found === undefined)
    throw new UsageError("usage/argument", `'${text.slice(0, maxIdLength)}' is not the number of a requirement`, {
      fix: "Write it like 'CR 1.1' or 'CR 1.1 RE(1)'; 'cipsec assess catalogue' lists them.",
    });
  const base = `${found.kind} ${found.fr}.${found.number}`;
  return found.enhancement === undefined ? base : `${base} RE(${found.enhancement})`;
}

/**
 * What the number of a requirement says.
 *
 * @throws {UsageError} `usage/argument`
 */
export function partsOfId(id: string): RequirementParts {
  const normal = normaliseRequirementId(id);
  const found = match(normal);
  if (found === undefined) throw new UsageError("usage/argument", `'${normal}' is not the number of a requirement`);
  return { ...found, base: `${found.kind} ${found.fr}.${found.number}` };
}

/** The types of component that an entry has a rule for; none for a placeholder. */
export function typesOf({ id, firstLevel }: Requirement): readonly ComponentType[] {
  if (firstLevel === null) return [];
  const { kind } = partsOfId(id);
  return kind === "CR" ? ["software", "embedded", "host", "network"] : [typeOfKind[kind]];
}

function match(text: string): Omit<RequirementParts, "base"> | undefined {
  if (text.length > maxIdLength) return undefined;
  const plain = text
    .trim()
    .toUpperCase()
    .replaceAll(/[‐-―−]/g, "-");
  const [, kindText, frText, number, enhancement] = pattern.exec(plain) ?? [];
  const kind = kinds.find((one) => one === kindText);
  const fr = foundationalRequirements.find((one) => String(one) === frText);
  if (kind === undefined || fr === undefined || number === undefined) return undefined;
  return { kind, fr, number: Number(number), enhancement: enhancement === undefined ? undefined : Number(enhancement) };
}
