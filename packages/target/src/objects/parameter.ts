import { Parameter, ParameterClassDescriptor, paramDescriptor } from "@cipsec/objects";
import { PACKED_EPATH, Service, Status, encode, noOctets, objectPath, type Reply, type Segment } from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import type { InstanceHandlers } from "../hosting.ts";
import type { ParameterDescription } from "../parameters/description.ts";
import { isAllowed, octetsOf, type ParameterTable } from "../parameters/table.ts";
import { refuse, stateConflict } from "../refusal.ts";
import type { Router } from "../router.ts";

type Handlers = InstanceHandlers<typeof Parameter>;

/**
 * Hosts the Parameter Object: an instance for each parameter of the description, in its order. A parameter that is bound to an
 * attribute is read and set by a request to that object, so what refuses that refuses this too.
 *
 * @param isOwned Whether a connection owns an assembly, which then nobody else may set.
 * @param configuration Instance of the configuration assembly; 0 where there is none.
 * @see CIP Vol 1, Parameter Object; reference ethernet-ip.md 7.5
 */
export function hostParameters(
  router: Router,
  table: ParameterTable,
  isOwned: (instance: number) => boolean,
  configuration: number,
): void {
  for (const [i, parameter] of table.parameters.entries()) {
    const stub = stubOf(router, table, parameter, i + 1, isOwned);
    router.host(Parameter, i + 1, table.detail === "stub" ? stub : { ...stub, ...detailOf(parameter) });
  }
  router.hostClass(Parameter, {
    descriptor: { get: () => classDescriptor(table) },
    configurationAssembly: { get: () => configuration },
    nativeLanguage: { get: () => 0 },
  });
}

/** Bits of the class: settings are saved as they are set, without a command. */
export function classDescriptor({ parameters, detail }: Pick<ParameterTable, "parameters" | "detail">): number {
  const isSaved = parameters.some(({ source }) => source.kind === "setting");
  return (
    ParameterClassDescriptor.instances |
    (detail === "full" ? ParameterClassDescriptor.fullAttributes : 0) |
    (isSaved ? ParameterClassDescriptor.saved : 0)
  );
}

/** Where a parameter's value is read and written: the attribute it is bound to, or else its own first. */
export function linkPath({ source }: ParameterDescription, instance: number): readonly Segment[] {
  return source.kind === "object"
    ? objectPath(source.classId, source.instance, source.attribute)
    : objectPath(Parameter.classId, instance, Parameter.attributes.value.id);
}

/** Attributes 1 to 6. */
function stubOf(
  router: Router,
  table: ParameterTable,
  parameter: ParameterDescription,
  instance: number,
  isOwned: (instance: number) => boolean,
): Handlers {
  const { name, type, source, isReadOnly } = parameter;
  const path = linkPath(parameter, instance);
  const ask = async (service: number, data: Uint8Array, context: RequestContext): Promise<Uint8Array> => {
    const reply: Reply = await router.handle({ service, path, data }, context);
    if (reply.status !== Status.success) throw refuse(reply.status, { extended: reply.extended });
    return reply.data;
  };
  const set = async (octets: Uint8Array, context: RequestContext): Promise<void> => {
    if (octets.length !== type.size)
      throw refuse(octets.length < type.size ? Status.notEnoughData : Status.tooMuchData);
    if (!isAllowed(parameter, octets))
      throw refuse(Status.invalidAttributeValue, { reason: `parameter '${name}' does not take this value` });
    if (source.kind === "object") await ask(Service.setAttributeSingle, octets, context);
    else if (source.kind === "assembly" && isOwned(source.instance))
      throw stateConflict(`assembly ${source.instance} is owned by an I/O connection`);
    else await table.write(parameter, octets);
    table.written(name);
  };
  return {
    value: {
      get: (context) =>
        source.kind === "object" ? ask(Service.getAttributeSingle, noOctets, context) : table.octets(parameter),
      ...(isReadOnly ? {} : { set }),
    },
    linkPathSize: { get: () => encode(PACKED_EPATH, path).length },
    linkPath: { get: () => path },
    descriptor: { get: () => paramDescriptor(parameter) },
    dataType: { get: () => type.code },
    dataSize: { get: () => type.size },
  };
}

/** Attributes 7 to 21, and the names of values. */
function detailOf(parameter: ParameterDescription): Partial<Handlers> {
  const { name, units, help, choices, scaling, decimals } = parameter;
  const none = { get: () => 0 };
  return {
    name: { get: () => name },
    units: { get: () => units },
    help: { get: () => help },
    minimum: { get: () => octetsOf(parameter, parameter.minimum) },
    maximum: { get: () => octetsOf(parameter, parameter.maximum) },
    defaultValue: { get: () => octetsOf(parameter, parameter.default) },
    scalingMultiplier: { get: () => scaling?.multiplier ?? 1 },
    scalingDivisor: { get: () => scaling?.divisor ?? 1 },
    scalingBase: { get: () => scaling?.base ?? 1 },
    scalingOffset: { get: () => scaling?.offset ?? 0 },
    multiplierLink: none,
    divisorLink: none,
    baseLink: none,
    offsetLink: none,
    decimals: { get: () => decimals },
    ...(choices.length === 0 ? {} : { getEnumString: (value: number) => choiceText(choices, value) }),
  };
}

function choiceText(choices: ParameterDescription["choices"], value: number): string {
  const found = choices.find((choice) => choice.value === value);
  if (found === undefined) throw refuse(Status.invalidParameter, { reason: `value ${value} has no name` });
  return found.text;
}
