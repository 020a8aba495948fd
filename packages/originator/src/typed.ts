import {
  allClassAttributes,
  type standardClassAttributes,
  type AttributeDeclaration,
  type AttributeValue,
  type ClassAttributeValue,
  type ClassService,
  type InstanceService,
  type ObjectClass,
  type ServiceDeclaration,
  type ServiceRequest,
  type ServiceResponse,
  type SettableName,
} from "@cipsec/objects";
import {
  Reader,
  Service,
  UsageError,
  decode,
  encode,
  noOctets,
  objectPath,
  type Segment,
  type Value,
} from "@cipsec/wire";
import { getAttributeList } from "./bulk.ts";
import { succeed, type Requester, type RequestOptions } from "./replies.ts";

/** Names of the attributes of `C`. */
export type AttributeName<C extends ObjectClass> = keyof C["attributes"] & string;

type Standard = typeof standardClassAttributes;

/** Names of the class attributes of `C`: 1 to 7, and its own. */
export type ClassAttributeName<C extends ObjectClass> = (keyof C["classAttributes"] & string) | keyof Standard;

/** Value of a class attribute of `C`, of 1 to 7 too. */
export type ClassValue<C extends ObjectClass, K> = K extends keyof Standard
  ? Value<Standard[K]["type"]>
  : K extends keyof C["classAttributes"]
    ? ClassAttributeValue<C, K>
    : never;

/** Values by attribute name; a device leaves out what it does not have. */
export type AttributeValues<C extends ObjectClass> = { readonly [K in AttributeName<C>]?: AttributeValue<C, K> };

/** Arguments of a service: its request, which is left out where the service takes none, and options. */
export type CallArguments<C extends ObjectClass, S extends keyof C["services"]> =
  ServiceRequest<C, S> extends void
    ? [request?: undefined, options?: RequestOptions]
    : undefined extends ServiceRequest<C, S>
      ? [request?: ServiceRequest<C, S>, options?: RequestOptions]
      : [request: ServiceRequest<C, S>, options?: RequestOptions];

/** One instance of an object class on the device, seen through its declaration. Each may throw what {@link Requester} does. */
export interface ObjectAccess<C extends ObjectClass> {
  /** Reads one attribute (Get_Attribute_Single). @throws {PeerError} `cip/status`; {@link WireError} when the value cannot be read. */
  get<K extends AttributeName<C>>(name: K, options?: RequestOptions): Promise<AttributeValue<C, K>>;
  /** Writes one attribute (Set_Attribute_Single); the name of a read-only one does not compile. */
  set<K extends SettableName<C> & string>(
    name: K,
    value: AttributeValue<C, K>,
    options?: RequestOptions,
  ): Promise<void>;
  /** Calls a service that the class declares for instances. */
  call<S extends InstanceService<C> & string>(
    service: S,
    ...request: CallArguments<C, S>
  ): Promise<ServiceResponse<C, S>>;
  /** Reads what Get_Attributes_All holds, in the declared order. What a newer revision appends is left unread. */
  getAll(options?: RequestOptions): Promise<AttributeValues<C>>;
  /** Reads several attributes with one Get_Attribute_List; those that the device lacks are left out. */
  getList(names: readonly AttributeName<C>[], options?: RequestOptions): Promise<AttributeValues<C>>;
}

/** An object class itself (instance 0), seen through its declaration. */
export interface ClassAccess<C extends ObjectClass> {
  get<K extends ClassAttributeName<C>>(name: K, options?: RequestOptions): Promise<ClassValue<C, K>>;
  call<S extends ClassService<C> & string>(service: S, ...request: CallArguments<C, S>): Promise<ServiceResponse<C, S>>;
}

/** Typed access to one instance over anything that carries requests. */
export function objectAccess<C extends ObjectClass>(
  requester: Requester,
  declaration: C,
  instance: number,
): ObjectAccess<C> {
  const { classId } = declaration;
  const label = `${declaration.name}/${instance}`;
  const path = objectPath(classId, instance);
  const attribute = (name: string): AttributeDeclaration =>
    declared(declaration.attributes[name], `${label} has no attribute '${name}'`);
  return {
    async get(name, options) {
      const { id, type } = attribute(name);
      return decode(type, await getRaw(requester, objectPath(classId, instance, id), `${label}: get ${name}`, options));
    },
    async set(name, value, options) {
      const { id, type } = attribute(name);
      const data = encode(type, value);
      await setRaw(requester, objectPath(classId, instance, id), data, `${label}: set ${name}`, options);
    },
    call: (name, ...[value, options]) => callService(requester, declaration, path, label, name, value, options),
    async getAll(options) {
      const reply = await requester.request({ service: Service.getAttributesAll, path, data: noOctets }, options);
      const r = new Reader(succeed(reply, `${label}: get all`).data);
      const entries: unknown[][] = [];
      for (const name of declaration.all ?? []) {
        if (r.remaining === 0) break;
        entries.push([name, attribute(name).type.read(r)]);
      }
      return Object.fromEntries(entries);
    },
    async getList(names, options) {
      const results = await getAttributeList(requester, declaration, instance, names, options);
      return Object.fromEntries(results.map(([name, value]): unknown[] => [name, value]));
    },
  };
}

/** Typed access to a class over anything that carries requests. */
export function classAccess<C extends ObjectClass>(requester: Requester, declaration: C): ClassAccess<C> {
  const { classId } = declaration;
  const label = `${declaration.name}/class`;
  const attributes = allClassAttributes(declaration);
  return {
    async get(name, options) {
      const { id, type } = declared(attributes[name], `${label} has no attribute '${name}'`);
      return decode(type, await getRaw(requester, objectPath(classId, 0, id), `${label}: get ${name}`, options));
    },
    call: (name, ...[value, options]) =>
      callService(requester, declaration, objectPath(classId, 0), label, name, value, options),
  };
}

/**
 * Octets of the attribute at `path`.
 *
 * @param what The request in words, for errors.
 * @throws {PeerError} `cip/status`
 */
export async function getRaw(
  requester: Requester,
  path: readonly Segment[],
  what: string,
  options?: RequestOptions,
): Promise<Uint8Array> {
  const reply = await requester.request({ service: Service.getAttributeSingle, path, data: noOctets }, options);
  return succeed(reply, what).data;
}

/** Writes octets to the attribute at `path`; like {@link getRaw}. */
export async function setRaw(
  requester: Requester,
  path: readonly Segment[],
  data: Uint8Array,
  what: string,
  options?: RequestOptions,
): Promise<void> {
  succeed(await requester.request({ service: Service.setAttributeSingle, path, data }, options), what);
}

/** Calls a declared service; what it returns follows from its declaration, which the signatures above state. */
async function callService(
  requester: Requester,
  declaration: ObjectClass,
  path: readonly Segment[],
  label: string,
  name: string,
  value: unknown,
  options: RequestOptions | undefined,
) {
  const service: ServiceDeclaration = declared(declaration.services[name], `${label} has no service '${name}'`);
  const data = service.request === undefined ? noOctets : encode(service.request, value);
  const reply = succeed(await requester.request({ service: service.code, path, data }, options), `${label}: ${name}`);
  return decode(service.response ?? nothing, reply.data);
}

/** Data behind a reply that has none is ignored: some devices pad. */
const nothing: NonNullable<ServiceDeclaration["response"]> = {
  type: "none",
  read: (r) => void r.rest(),
  write: () => undefined,
};

function declared<T>(found: T | undefined, otherwise: string): T {
  if (found === undefined) throw new UsageError("usage/argument", otherwise);
  return found;
}
