import type { Codec } from "@cipsec/wire";

/** Who may do what with an attribute. Set-only values are secrets: they read back empty. */
export type Access = "get" | "get/set";

/** One attribute, of the class or of an instance. */
export interface AttributeDeclaration {
  readonly id: number;
  readonly type: Codec<any>;
  readonly access: Access;
  /** One sentence for the reference tables. */
  readonly doc: string;
  /** Unit of a number, such as `s`. */
  readonly unit?: string;
  /** Kept over a power cycle. */
  readonly nonVolatile?: boolean;
  /** A target may leave it out. */
  readonly optional?: boolean;
  /** Names of its values; of its bits, as masks, where `type` is BYTE, WORD or DWORD. */
  readonly values?: Readonly<Record<string, number>>;
  /** Value out of the box; stands in Get_Attributes_All for an optional attribute that a target leaves out. */
  readonly default?: unknown;
}

/** One service that the class defines, or a common one whose data this class gives a layout. */
export interface ServiceDeclaration {
  readonly code: number;
  /** Called on the class, on an instance (the usual case), or on both. */
  readonly level?: "class" | "instance" | "both";
  /** Layout of the request data; none when absent. */
  readonly request?: Codec<any>;
  /** Layout of the reply data; none when absent. */
  readonly response?: Codec<any>;
  readonly doc: string;
  /** A target may leave it out. */
  readonly optional?: boolean;
}

/**
 * A CIP object class, declared once. Targets host it, originators call it, the reference tables and EDS are derived from it.
 *
 * Class attributes 1 to 7 and the services Get_Attributes_All, Get_Attribute_Single, Get_Attribute_List and Set_Attribute_Single
 * need no declaration: they follow from `attributes`, `all` and `classAll`.
 */
export interface ObjectClass {
  readonly name: string;
  readonly classId: number;
  readonly revision: number;
  /** Where the layout comes from: volume and chapter. */
  readonly source: string;
  /** Attributes of the class itself beyond 1 to 7, which every class has. */
  readonly classAttributes?: Readonly<Record<string, AttributeDeclaration>>;
  readonly attributes: Readonly<Record<string, AttributeDeclaration>>;
  readonly services: Readonly<Record<string, ServiceDeclaration>>;
  /**
   * Instance attributes in the order of Get_Attributes_All; absent: the service is not offered. The reply ends before the first
   * attribute that the target leaves out and that has no `default`: what follows could not be told apart.
   */
  readonly all?: readonly string[];
  /** Ids of class attributes in the order of the class's Get_Attributes_All; absent: not offered. */
  readonly classAll?: readonly number[];
}

/** Checks the shape and keeps the literal types, so that everything else is inferred from the one declaration. */
export function objectClass<const C extends ObjectClass>(declaration: C): C {
  return declaration;
}

/** Value of an attribute of `C`. */
export type AttributeValue<C extends ObjectClass, K extends keyof C["attributes"]> =
  C["attributes"][K]["type"] extends Codec<infer T> ? T : never;

/** Value of a class attribute of `C`. */
export type ClassAttributeValue<C extends ObjectClass, K extends keyof C["classAttributes"]> =
  C["classAttributes"] extends Readonly<Record<K, { readonly type: Codec<infer T> }>> ? T : never;

/** Names of the attributes of `C` that may be set. */
export type SettableName<C extends ObjectClass> = {
  [K in keyof C["attributes"]]: C["attributes"][K]["access"] extends "get/set" ? K : never;
}[keyof C["attributes"]];

/** Request of a service of `C`; `void` where it takes none. */
export type ServiceRequest<C extends ObjectClass, S extends keyof C["services"]> = C["services"][S] extends {
  readonly request: Codec<infer T>;
}
  ? T
  : void;

/** Reply of a service of `C`; `void` where it returns none. */
export type ServiceResponse<C extends ObjectClass, S extends keyof C["services"]> = C["services"][S] extends {
  readonly response: Codec<infer T>;
}
  ? T
  : void;

/** Names of the services of `C` that are called on an instance. */
export type InstanceService<C extends ObjectClass> = {
  [S in keyof C["services"]]: C["services"][S] extends { readonly level: "class" } ? never : S;
}[keyof C["services"]];

/** Names of the services of `C` that are called on the class. */
export type ClassService<C extends ObjectClass> = {
  [S in keyof C["services"]]: C["services"][S] extends { readonly level: "class" | "both" } ? S : never;
}[keyof C["services"]];

/** The attribute of this id with its name, if the class declares it. */
export function attributeById(
  declaration: ObjectClass,
  id: number,
): (AttributeDeclaration & { readonly name: string }) | undefined {
  return byId(declaration.attributes, id);
}

/** The class attribute of this id with its name, if the class declares it beyond 1 to 7. */
export function classAttributeById(
  declaration: ObjectClass,
  id: number,
): (AttributeDeclaration & { readonly name: string }) | undefined {
  return declaration.classAttributes === undefined ? undefined : byId(declaration.classAttributes, id);
}

/** The service of this code at this level with its name, if the class declares it. */
export function serviceByCode(
  declaration: ObjectClass,
  code: number,
  level: "class" | "instance",
): (ServiceDeclaration & { readonly name: string }) | undefined {
  const { services } = declaration;
  let known = servicesByCode.get(services);
  if (known === undefined) {
    known = Map.groupBy(named(services), (service) => service.code);
    servicesByCode.set(services, known);
  }
  return known.get(code)?.find(({ level: at = "instance" }) => at === level || at === "both");
}

type Attributes = Readonly<Record<string, AttributeDeclaration>>;
type Services = Readonly<Record<string, ServiceDeclaration>>;
type Named<T> = T & { readonly name: string };

/** Declarations by number: every request asks, and declarations do not change. */
const attributesById = new WeakMap<Attributes, ReadonlyMap<number, Named<AttributeDeclaration>>>();
const servicesByCode = new WeakMap<Services, ReadonlyMap<number, readonly Named<ServiceDeclaration>[]>>();

function byId(attributes: Attributes, id: number): Named<AttributeDeclaration> | undefined {
  let known = attributesById.get(attributes);
  if (known === undefined) {
    // Where a number stands twice, the first counts.
    known = new Map(
      named(attributes)
        .toReversed()
        .map((attribute) => [attribute.id, attribute]),
    );
    attributesById.set(attributes, known);
  }
  return known.get(id);
}

function named<T extends object>(declarations: Readonly<Record<string, T>>): readonly Named<T>[] {
  return Object.entries(declarations).map(([name, declaration]) => ({ ...declaration, name }));
}
