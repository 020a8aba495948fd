import { UINT } from "@cipsec/wire";
import type { AttributeDeclaration, ObjectClass } from "./declare.ts";
import { UintList } from "./layouts.ts";

/** Attributes 1 to 7, which every class may have. @see CIP Vol 1, 4-4; reference ethernet-ip.md 5.4 */
export const standardClassAttributes = {
  revision: { id: 1, type: UINT, access: "get", doc: "Revision of the class." },
  maxInstance: { id: 2, type: UINT, access: "get", doc: "Highest instance that exists." },
  numberOfInstances: { id: 3, type: UINT, access: "get", doc: "Instances that exist." },
  optionalAttributes: { id: 4, type: UintList, access: "get", doc: "Ids of the optional attributes that are there." },
  optionalServices: { id: 5, type: UintList, access: "get", doc: "Codes of the optional services that are there." },
  maxClassAttribute: { id: 6, type: UINT, access: "get", doc: "Highest id of a class attribute." },
  maxInstanceAttribute: { id: 7, type: UINT, access: "get", doc: "Highest id of an instance attribute." },
} as const satisfies Readonly<Record<string, AttributeDeclaration>>;

/** All attributes of the class itself: 1 to 7, then its own. Without a declaration only the former. */
export function allClassAttributes(declaration?: ObjectClass): Readonly<Record<string, AttributeDeclaration>> {
  return { ...standardClassAttributes, ...declaration?.classAttributes };
}
