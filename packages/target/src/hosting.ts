import type {
  AttributeValue,
  ClassAttributeValue,
  ClassService,
  InstanceService,
  ObjectClass,
  ServiceRequest,
  ServiceResponse,
} from "@cipsec/objects";
import type { Awaitable } from "./awaitable.ts";
import type { RequestContext } from "./context.ts";

/** Reads an attribute, and sets it where the declaration says that it can be set. */
type AttributeHandler<Access, T> = Access extends "get/set"
  ? {
      readonly get: (context: RequestContext) => Awaitable<T>;
      readonly set?: (value: T, context: RequestContext) => Awaitable<void>;
    }
  : { readonly get: (context: RequestContext) => Awaitable<T> };

type Required_<D> = { [K in keyof D]: D[K] extends { readonly optional: true } ? never : K }[keyof D];
type Optional_<D> = { [K in keyof D]: D[K] extends { readonly optional: true } ? K : never }[keyof D];

type InstanceAttribute<C extends ObjectClass, K extends keyof C["attributes"]> = AttributeHandler<
  C["attributes"][K]["access"],
  AttributeValue<C, K>
>;

type ServiceHandler<C extends ObjectClass, S extends keyof C["services"]> = (
  request: ServiceRequest<C, S>,
  context: RequestContext,
) => Awaitable<ServiceResponse<C, S>>;

/**
 * Behaviour of one instance: a handler for each attribute and service of the declaration. What the declaration calls optional
 * may be missing; anything else that is missing does not compile.
 */
export type InstanceHandlers<C extends ObjectClass> = {
  readonly [K in Required_<C["attributes"]>]: InstanceAttribute<C, K>;
} & {
  readonly [K in Optional_<C["attributes"]>]?: InstanceAttribute<C, K>;
} & {
  readonly [S in Extract<Required_<C["services"]>, InstanceService<C>>]: ServiceHandler<C, S>;
} & {
  readonly [S in Extract<Optional_<C["services"]>, InstanceService<C>>]?: ServiceHandler<C, S>;
};

/** Behaviour of the class itself: its attributes beyond 1 to 7 and the services that are called on it. */
export type ClassHandlers<C extends ObjectClass> = {
  readonly [K in keyof C["classAttributes"]]: {
    readonly get: (context: RequestContext) => Awaitable<ClassAttributeValue<C, K>>;
  };
} & {
  readonly [S in Extract<Required_<C["services"]>, ClassService<C>>]: ServiceHandler<C, S>;
} & {
  readonly [S in Extract<Optional_<C["services"]>, ClassService<C>>]?: ServiceHandler<C, S>;
};

/** A class's instances where they come and go. */
export interface Instances<C extends ObjectClass> {
  /** Ids of the instances that exist, ascending. */
  ids(): readonly number[];
  /** Behaviour of one instance, or `undefined` when there is none of this id. */
  get(instance: number): InstanceHandlers<C> | undefined;
}

/**
 * An attribute's handler with its type set aside: the codec of the declaration vouches for the value. Written as methods, whose
 * parameters the compiler lets be narrower.
 */
export interface UntypedAttribute {
  get(context: RequestContext): unknown;
  set?(value: unknown, context: RequestContext): unknown;
}

/** A service's handler with its type set aside. */
export type UntypedService = { call(request: unknown, context: RequestContext): unknown }["call"];

/** The handlers of an instance or class as the router calls them. */
export interface UntypedHandlers {
  readonly [name: string]: undefined | UntypedAttribute | UntypedService;
}

/** One hosted class. */
export interface Hosted {
  readonly declaration: ObjectClass;
  readonly classHandlers: UntypedHandlers;
  ids(): readonly number[];
  instance(id: number): UntypedHandlers | undefined;
}
