import {
  attributeById,
  classAttributeById,
  serviceByCode,
  type AttributeDeclaration,
  type ObjectClass,
  type ServiceDeclaration,
} from "@cipsec/objects";
import {
  AttributeIds,
  Reader,
  Service,
  Status,
  UINT,
  Writer,
  decode,
  encode,
  encodeAttributeResults,
  list,
  noOctets,
  type AttributeResult,
  type Codec,
  type Request,
} from "@cipsec/wire";
import { proceed, type Awaitable } from "./awaitable.ts";
import type { RequestContext } from "./context.ts";
import type { Hosted, UntypedAttribute, UntypedHandlers } from "./hosting.ts";
import { refuse } from "./refusal.ts";
import { toPeer } from "./to-peer.ts";

/** Result of an instance's service: attribute lists can succeed in part. */
export interface CallResult {
  readonly status: number;
  readonly data: Uint8Array;
}

const UintList = list(UINT, UINT, 0xffff);

/** Attributes that one Set_Attribute_List may name; no class has as many. */
const maxSets = 64;

/** Attribute that a path names, where it names one. */
interface Named {
  readonly attribute?: number | undefined;
}

/** Serves one request on an instance. @throws {Refusal} with the general status that says why not. */
export function callInstance(
  declaration: ObjectClass,
  handlers: UntypedHandlers,
  request: Request,
  named: Named,
  context: RequestContext,
): Awaitable<CallResult> {
  switch (request.service) {
    case Service.getAttributeSingle: {
      const found = findAttribute(declaration, handlers, attributeId(named));
      noData(request);
      return proceed(read(found, context), succeeded);
    }
    case Service.setAttributeSingle: {
      const found = findAttribute(declaration, handlers, attributeId(named));
      return proceed(setAttribute(found, request.data, context), nothing);
    }
    case Service.getAttributesAll:
      if (declaration.all === undefined) throw refuse(Status.serviceNotSupported);
      noData(request);
      return getAll(declaration, declaration.all, handlers, context).then(succeeded);
    case Service.getAttributeList:
      return getList(request.data, context, (id) => read(findAttribute(declaration, handlers, id), context));
    case Service.setAttributeList:
      return setList(declaration, handlers, request.data, context);
    default: {
      const service = serviceByCode(declaration, request.service, "instance");
      const { attribute } = named;
      const inContext = attribute === undefined ? context : { ...context, attribute };
      return proceed(callService(service, handlers, request, inContext), succeeded);
    }
  }
}

/** Serves one request on the class (instance 0). @throws {Refusal} with the general status that says why not. */
export function callClass(
  hosted: Hosted,
  request: Request,
  named: Named,
  context: RequestContext,
): Awaitable<CallResult> {
  switch (request.service) {
    case Service.getAttributeSingle: {
      const value = getClassAttribute(hosted, attributeId(named), context);
      noData(request);
      return proceed(value, succeeded);
    }
    case Service.getAttributesAll:
      if (hosted.declaration.classAll === undefined) throw refuse(Status.serviceNotSupported);
      noData(request);
      return getClassAll(hosted, hosted.declaration.classAll, context).then(succeeded);
    case Service.getAttributeList:
      return getList(request.data, context, (id) => getClassAttribute(hosted, id, context));
    case Service.setAttributeSingle:
      throw refuse(
        isClassAttribute(hosted, attributeId(named)) ? Status.attributeNotSettable : Status.attributeNotSupported,
      );
    default: {
      const service = serviceByCode(hosted.declaration, request.service, "class");
      return proceed(callService(service, hosted.classHandlers, request, context), succeeded);
    }
  }
}

/** An attribute that the declaration and the instance have. */
interface FoundAttribute {
  readonly codec: Codec<unknown>;
  readonly access: AttributeDeclaration["access"];
  readonly handler: UntypedAttribute;
}

function findAttribute(declaration: ObjectClass, handlers: UntypedHandlers, id: number): FoundAttribute {
  const attribute = attributeById(declaration, id);
  const handler = attribute === undefined ? undefined : handlers[attribute.name];
  if (attribute === undefined || handler === undefined || typeof handler === "function")
    throw refuse(Status.attributeNotSupported);
  return { codec: attribute.type, access: attribute.access, handler };
}

function read({ codec, handler }: FoundAttribute, context: RequestContext): Awaitable<Uint8Array> {
  return proceed(handler.get(context), (value) => encode(codec, value));
}

function setAttribute(found: FoundAttribute, data: Uint8Array, context: RequestContext): Awaitable<unknown> {
  const { codec, access, handler } = found;
  if (access !== "get/set" || handler.set === undefined) throw refuse(Status.attributeNotSettable);
  return handler.set(decode(codec, data), context);
}

/** Get_Attributes_All: what an optional attribute lacks is filled with its default; without a default the reply ends there. */
async function getAll(
  declaration: ObjectClass,
  names: readonly string[],
  handlers: UntypedHandlers,
  context: RequestContext,
): Promise<Uint8Array> {
  const w = new Writer();
  for (const name of names) {
    const attribute = declaration.attributes[name];
    if (attribute === undefined) break;
    if (handlers[name] !== undefined) w.octets(await read(findAttribute(declaration, handlers, attribute.id), context));
    else if (attribute.default !== undefined) w.octets(encode(anyCodec(attribute), attribute.default));
    else break;
  }
  return w.finish();
}

/** Get_Attribute_List: entries that do not fit the way back are left out and the status says that there is more (0x06). */
async function getList(
  data: Uint8Array,
  context: RequestContext,
  get: (id: number) => Awaitable<Uint8Array>,
): Promise<CallResult> {
  const ids = decode(AttributeIds, data);
  if (ids.length === 0) return { status: Status.attributeListError, data: encodeAttributeResults([]) };
  const results: AttributeResult[] = [];
  let room = context.maxReply - 2;
  for (const id of ids) {
    const result = await entry(id, get);
    room -= 4 + result.data.length;
    if (room < 0) return { status: Status.partialTransfer, data: encodeAttributeResults(results) };
    results.push(result);
  }
  const failed = results.some((result) => result.status !== Status.success);
  return { status: failed ? Status.attributeListError : Status.success, data: encodeAttributeResults(results) };
}

async function entry(id: number, get: (id: number) => Awaitable<Uint8Array>): Promise<AttributeResult> {
  try {
    return { id, status: Status.success, data: await get(id) };
  } catch (error) {
    return { id, status: toPeer(error, "attribute").status, data: noOctets };
  }
}

/**
 * Set_Attribute_List: everything is read before anything is set. An attribute whose type is not known ends the list, since
 * nothing tells where the next one starts; those in front of it are still set.
 */
async function setList(
  declaration: ObjectClass,
  handlers: UntypedHandlers,
  data: Uint8Array,
  context: RequestContext,
): Promise<CallResult> {
  const r = new Reader(data);
  const count = r.u16("attribute count", maxSets);
  if (2 + 4 * count > context.maxReply) throw refuse(Status.replyDataTooLarge);
  const wanted: { readonly id: number; readonly value: Uint8Array }[] = [];
  let unknown: number | undefined;
  while (wanted.length < count && unknown === undefined) {
    const id = r.u16("attribute id");
    const attribute = attributeById(declaration, id);
    if (attribute === undefined) unknown = id;
    else wanted.push({ id, value: encode(anyCodec(attribute), anyCodec(attribute).read(r)) });
  }
  if (unknown === undefined) r.end("attribute list");
  const results: AttributeResult[] = [];
  for (const { id, value } of wanted) {
    const set = async (): Promise<Uint8Array> => {
      await setAttribute(findAttribute(declaration, handlers, id), value, context);
      return noOctets;
    };
    results.push(await entry(id, set));
  }
  if (unknown !== undefined) results.push({ id: unknown, status: Status.attributeNotSupported, data: noOctets });
  const failed = count === 0 || results.some((result) => result.status !== Status.success);
  return { status: failed ? Status.attributeListError : Status.success, data: encodeAttributeResults(results) };
}

function callService(
  service: (ServiceDeclaration & { readonly name: string }) | undefined,
  handlers: UntypedHandlers,
  request: Request,
  context: RequestContext,
): Awaitable<Uint8Array> {
  const handler = service === undefined ? undefined : handlers[service.name];
  if (service === undefined || typeof handler !== "function") throw refuse(Status.serviceNotSupported);
  if (service.request === undefined) noData(request);
  const value: unknown = service.request === undefined ? undefined : decode<unknown>(service.request, request.data);
  const { response } = service;
  return proceed(handler(value, context), (answer) =>
    response === undefined ? noOctets : encode<unknown>(response, answer),
  );
}

async function getClassAll(hosted: Hosted, ids: readonly number[], context: RequestContext): Promise<Uint8Array> {
  const w = new Writer();
  for (const id of ids) w.octets(await getClassAttribute(hosted, id, context));
  return w.finish();
}

function getClassAttribute(hosted: Hosted, id: number, context: RequestContext): Awaitable<Uint8Array> {
  const ids = hosted.ids();
  switch (id) {
    case 1:
      return encode(UINT, hosted.declaration.revision);
    case 2:
      return encode(UINT, ids.at(-1) ?? 0);
    case 3:
      return encode(UINT, ids.length);
    case 4:
      return encode(UintList, optionalAttributes(hosted));
    case 5:
      return encode(UintList, optionalServices(hosted));
    case 6:
      return encode(UINT, Math.max(7, ...values(hosted.declaration.classAttributes)));
    case 7:
      return encode(UINT, Math.max(0, ...implementedIds(hosted)));
    default: {
      const attribute = classAttributeById(hosted.declaration, id);
      const handler = attribute === undefined ? undefined : hosted.classHandlers[attribute.name];
      if (attribute === undefined || handler === undefined || typeof handler === "function")
        throw refuse(Status.attributeNotSupported);
      return proceed(handler.get(context), (value) => encode(anyCodec(attribute), value));
    }
  }
}

function isClassAttribute(hosted: Hosted, id: number): boolean {
  return (id >= 1 && id <= 7) || classAttributeById(hosted.declaration, id) !== undefined;
}

function firstInstance(hosted: Hosted): UntypedHandlers {
  const first = hosted.ids()[0];
  return (first === undefined ? undefined : hosted.instance(first)) ?? {};
}

/** Ids of the attributes of the first instance; where there is none yet, of those that any instance has to have. */
function implementedIds(hosted: Hosted): readonly number[] {
  const handlers = firstInstance(hosted);
  const isEmpty = hosted.ids().length === 0;
  return Object.entries(hosted.declaration.attributes)
    .filter(([name, attribute]) => (isEmpty ? attribute.optional !== true : handlers[name] !== undefined))
    .map(([, attribute]) => attribute.id);
}

function optionalAttributes(hosted: Hosted): readonly number[] {
  const handlers = firstInstance(hosted);
  const found = Object.entries(hosted.declaration.attributes).filter(
    ([name, attribute]) => attribute.optional === true && handlers[name] !== undefined,
  );
  return found.map(([, attribute]) => attribute.id);
}

function optionalServices(hosted: Hosted): readonly number[] {
  const handlers = { ...hosted.classHandlers, ...firstInstance(hosted) };
  const found = Object.entries(hosted.declaration.services).filter(
    ([name, service]) => service.optional === true && handlers[name] !== undefined,
  );
  return found.map(([, service]) => service.code);
}

function values(attributes: ObjectClass["classAttributes"]): readonly number[] {
  return Object.values(attributes ?? {}).map((attribute) => attribute.id);
}

function attributeId({ attribute }: Named): number {
  if (attribute === undefined) throw refuse(Status.attributeNotSupported, { reason: "the path names no attribute" });
  return attribute;
}

function anyCodec(attribute: AttributeDeclaration): Codec<unknown> {
  return attribute.type;
}

/** Get_Attribute_Single and services without request data take none. */
function noData(request: Request): void {
  if (request.data.length > 0) throw refuse(Status.tooMuchData);
}

function succeeded(data: Uint8Array): CallResult {
  return { status: Status.success, data };
}

function nothing(): CallResult {
  return succeeded(noOctets);
}
