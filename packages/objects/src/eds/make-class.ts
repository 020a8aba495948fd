import { Service } from "@cipsec/wire";
import type { AttributeDeclaration, ObjectClass, ServiceDeclaration } from "../declare.ts";
import { hexNumber } from "../names.ts";
import type { MadeClass } from "./description.ts";
import { textLiteral } from "./value.ts";
import type { WritableEntry } from "./write.ts";

/** The common entries of a class's section, from its declaration. @see reference cip-security.md 8 */
export function classEntries(made: MadeClass): readonly WritableEntry[] {
  const { declaration, maxInstance = 1, instances = maxInstance, dynamicInstances = 0, optional = [] } = made;
  const attributes = Object.entries(declaration.attributes).filter(
    ([name, one]) => one.optional !== true || optional.includes(name),
  );
  const services = Object.entries(declaration.services).filter(
    ([name, one]) => one.optional !== true || optional.includes(name),
  );
  const codes = {
    class: classServices(declaration, services),
    instance: instanceServices(declaration, attributes, services),
  };
  const lists: readonly (readonly [string, readonly number[]])[] = [
    ["Instance_Attributes", attributes.map(([, { id }]) => id)],
    ["Class_Services", codes.class],
    ["Instance_Services", codes.instance],
  ];
  return [
    one("Revision", String(declaration.revision)),
    one("Object_Name", textLiteral(`${declaration.name} Object`)),
    one("Object_Class_Code", hexNumber(declaration.classId)),
    one("MaxInst", String(maxInstance)),
    one("Number_Of_Static_Instances", String(instances)),
    one("Max_Number_Of_Dynamic_Instances", String(dynamicInstances)),
    ...lists.flatMap(([key, numbers]) => (numbers.length === 0 ? [] : [{ key, fields: listed(key, numbers) }])),
  ];
}

type Services = readonly (readonly [string, ServiceDeclaration])[];

/** Every class answers Get_Attribute_Single for its class attributes. */
function classServices(declaration: ObjectClass, services: Services): readonly number[] {
  return sorted([
    Service.getAttributeSingle,
    ...(declaration.classAll === undefined ? [] : [Service.getAttributesAll]),
    ...services.flatMap(([, { code, level }]) => (level === "class" || level === "both" ? [code] : [])),
  ]);
}

function instanceServices(
  declaration: ObjectClass,
  attributes: readonly (readonly [string, AttributeDeclaration])[],
  services: Services,
): readonly number[] {
  return sorted([
    ...(attributes.length === 0 ? [] : [Service.getAttributeSingle]),
    ...(declaration.all === undefined ? [] : [Service.getAttributesAll]),
    ...(attributes.some(([, { access }]) => access === "get/set") ? [Service.setAttributeSingle] : []),
    ...services.flatMap(([, { code, level }]) => (level === "class" ? [] : [code])),
  ]);
}

function sorted(codes: readonly number[]): readonly number[] {
  return [...new Set(codes)].toSorted((a, b) => a - b);
}

function one(key: string, raw: string): WritableEntry {
  return { key, fields: [{ raw }] };
}

function listed(key: string, numbers: readonly number[]): WritableEntry["fields"] {
  const isServices = key.endsWith("Services");
  return numbers.map((number) => ({ raw: isServices ? hexNumber(number) : String(number) }));
}
