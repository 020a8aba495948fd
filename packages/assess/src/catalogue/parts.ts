import type { RequirementId } from "./catalogue.ts";
import { partsOfId } from "./requirement-id.ts";

/**
 * Who answers a part of a requirement. `protocol`: what CIP Security does on the wire. `product`: what only this product can show,
 * such as how it stores a key. `whole`: a requirement that is not split.
 */
export type RequirementPart = "protocol" | "product" | "whole";

/**
 * Requirements with a part that the protocol cannot answer; the verdict is the worse one of both.
 * The paper calls some of them met and some partial for the same split.
 */
const split: ReadonlySet<string> = new Set(["1.5", "1.9", "1.14", "2.1", "3.12", "3.13", "4.1", "4.3"]);

/** The parts that must each be answered before the requirement is. */
export function partsOfRequirement(id: RequirementId): readonly RequirementPart[] {
  const { fr, number, enhancement } = partsOfId(id);
  return enhancement === undefined && split.has(`${fr}.${number}`) ? ["protocol", "product"] : ["whole"];
}
