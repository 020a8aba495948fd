import { Parameter, resolvePath, type MadeScaling } from "@cipsec/objects";
import { UsageError, decode } from "@cipsec/wire";
import type { AssemblyDescription } from "../description.ts";
import { Fields, asLatin1, wrong } from "../fields.ts";
import { elementaryTypes, type ElementaryType } from "../tags/types.ts";
import { writeValue } from "../tags/values.ts";

/** Where a parameter's value is. */
export type ParameterSource =
  /** The device keeps it, over restarts too. */
  | { readonly kind: "setting" }
  /** Part of an assembly: from this octet on, of a BOOL this bit of it. */
  | { readonly kind: "assembly"; readonly instance: number; readonly offset: number; readonly bit?: number }
  /** An attribute of an object that the device hosts. */
  | { readonly kind: "object"; readonly classId: number; readonly instance: number; readonly attribute: number };

/** One parameter as the device description has it. Its place in the list, from 1, is its instance. */
export interface ParameterDescription {
  readonly name: string;
  readonly type: ElementaryType;
  readonly units: string;
  readonly help: string;
  readonly source: ParameterSource;
  readonly isReadOnly: boolean;
  readonly isMonitored: boolean;
  readonly minimum: number | bigint;
  readonly maximum: number | bigint;
  readonly default: number | bigint;
  readonly choices: readonly { readonly value: number; readonly text: string }[];
  readonly scaling?: MadeScaling;
  readonly decimals: number;
}

/** Parameters of a device, and how much its Parameter Object tells of them. */
export interface ParametersDescription {
  readonly parameters: readonly ParameterDescription[];
  /** `stub`: only value, link, descriptor, type and size; an EDS says the rest. */
  readonly detail: "full" | "stub";
}

/** Bounds on what a description can make the device hold; panels of the field show fewer. */
const maxParameters = 1000;
const maxChoices = 256;

/**
 * Reads `parameters` and `parameterDetail` of a device description; nothing where it has no parameters.
 *
 * @throws {UsageError} `usage/file` naming the entry that is wrong and what it must be.
 */
export function readParameters(
  device: Fields,
  assemblies: readonly AssemblyDescription[],
): { readonly parameters?: ParametersDescription } {
  const detail = device.choice("parameterDetail", ["full", "stub"], "full");
  const parameters = device
    .items("parameters", maxParameters, [])
    .map((item, i) => readParameter(new Fields(item, `device.parameters[${i}]`), assemblies));
  const names = parameters.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw wrong("device.parameters", `'${twice}' is there twice`);
  refuseOverlaps(parameters);
  return parameters.length === 0 ? {} : { parameters: { parameters, detail } };
}

function readParameter(at: Fields, assemblies: readonly AssemblyDescription[]): ParameterDescription {
  const text = (name: string, max: number): string => asLatin1(at.text(name, max, ""), at.where(name));
  const name = asLatin1(at.text("name", 16), at.where("name"));
  const type = elementaryTypes.get(at.choice("type", typeNames));
  if (type === undefined) throw wrong(at.where("type"), `must be one of ${typeNames.join(", ")}`);
  const source = readSource(at, type, assemblies);
  const [least, most] = rangeOf(type);
  const minimum = readValue(at, "minimum", type, least);
  const maximum = readValue(at, "maximum", type, most);
  if (minimum > maximum) throw wrong(at.where("minimum"), `must not be above maximum, ${maximum}`);
  const isReadOnly = at.flag("readOnly", isReadOnlySource(source, assemblies));
  if (!isReadOnly && isReadOnlySource(source, assemblies))
    throw wrong(at.where("readOnly"), "must be true: what it is bound to cannot be set");
  const zero = typeof least === "bigint" ? 0n : 0;
  const parameter = {
    name,
    type,
    units: text("units", 4),
    help: text("help", 64),
    source,
    isReadOnly,
    isMonitored: at.flag("monitored", false),
    minimum,
    maximum,
    default: readValue(at, "default", type, minimum > zero || maximum < zero ? minimum : zero),
    choices: readChoices(at, type),
    ...readScaling(at),
    decimals: at.number("decimals", 0, 20, 0),
  };
  if (parameter.default < minimum || parameter.default > maximum)
    throw wrong(at.where("default"), `must be from minimum, ${minimum}, to maximum, ${maximum}`);
  at.end();
  return parameter;
}

const typeNames = [...elementaryTypes.keys()];

function readSource(at: Fields, type: ElementaryType, assemblies: readonly AssemblyDescription[]): ParameterSource {
  const [assembly, object] = [at.raw("assembly"), at.raw("object")];
  if (assembly !== undefined && object !== undefined)
    throw wrong(at.where("object"), "must be left out where there is an assembly");
  if (object !== undefined) return readObject(at, type);
  if (assembly === undefined) return { kind: "setting" };
  const instance = at.number("assembly", 1, 0xffff);
  const found = assemblies.find((one) => one.instance === instance);
  if (found === undefined) throw wrong(at.where("assembly"), "must be one of the device's assemblies");
  if (found.size < type.size) throw wrong(at.where("assembly"), `must have room for a ${type.name}`);
  const offset = at.number("offset", 0, found.size - type.size, 0);
  return type.name === "BOOL"
    ? { kind: "assembly", instance, offset, bit: at.number("bit", 0, 7, 0) }
    : { kind: "assembly", instance, offset };
}

function readObject(at: Fields, type: ElementaryType): ParameterSource {
  const where = at.where("object");
  const path = at.text("object", 200);
  try {
    const { classId, instance, attribute } = resolvePath(path);
    const declared = attribute?.declaration?.type.type;
    if (attribute === undefined || declared !== type.name || classId === Parameter.classId || instance === 0)
      throw wrong(where, `must name an attribute of type ${type.name}, such as TcpIpInterface/1/ttl for a USINT`);
    return { kind: "object", classId, instance, attribute: attribute.id };
  } catch (error) {
    if (error instanceof UsageError && error.code === "usage/argument") throw wrong(where, error.message);
    throw error;
  }
}

/** Inputs are for the application alone to set; of an attribute its declaration says. */
function isReadOnlySource(source: ParameterSource, assemblies: readonly AssemblyDescription[]): boolean {
  switch (source.kind) {
    case "setting":
      return false;
    case "assembly":
      return assemblies.find(({ instance }) => instance === source.instance)?.kind === "input";
    case "object": {
      const { attribute } = resolvePath(`${source.classId}/${source.instance}/${source.attribute}`);
      return attribute?.declaration?.access !== "get/set";
    }
  }
}

/** A value of the type from JSON, where 64 bits beyond 2^53 are digits in quotes. */
function readValue(at: Fields, name: string, type: ElementaryType, absent: number | bigint): number | bigint {
  const given = at.raw(name);
  if (given === undefined) return absent;
  const octets = new Uint8Array(type.size);
  try {
    writeValue({ type, dimensions: [], isBits: false }, given, octets, at.where(name));
  } catch {
    throw wrong(at.where(name), `must be a ${type.name}`);
  }
  return numberOf(type, octets);
}

/** A parameter's octets as a number; a BOOL is 0 or 1. */
export function numberOf({ codec }: ElementaryType, octets: Uint8Array): number | bigint {
  const value = decode(codec, octets);
  return typeof value === "bigint" ? value : Number(value);
}

function readChoices(at: Fields, { name }: ElementaryType): ParameterDescription["choices"] {
  const choices = at.items("choices", maxChoices, []).map((item, i) => {
    const choice = new Fields(item, `${at.where("choices")}[${i}]`);
    const read = {
      value: choice.number("value", 0, 255),
      text: asLatin1(choice.text("text", 16), choice.where("text")),
    };
    choice.end();
    return read;
  });
  const values = choices.map(({ value }) => value);
  if (new Set(values).size < values.length) throw wrong(at.where("choices"), "must name each value once");
  if (choices.length > 0 && (name === "REAL" || name === "LREAL"))
    throw wrong(at.where("choices"), "must be left out: values of a floating point type have no names");
  return choices;
}

function readScaling(at: Fields): { readonly scaling?: MadeScaling } {
  if (at.raw("scaling") === undefined) return {};
  const fields = at.fields("scaling");
  const scaling = {
    multiplier: fields.number("multiplier", 1, 0xffff, 1),
    divisor: fields.number("divisor", 1, 0xffff, 1),
    base: fields.number("base", 1, 0xffff, 1),
    offset: fields.number("offset", -0x8000, 0x7fff, 0),
  };
  fields.end();
  return { scaling };
}

/** Least and greatest value of a type. */
function rangeOf({ name, size }: ElementaryType): readonly [number, number] | readonly [bigint, bigint] {
  const bits = 8 * size;
  if (name === "BOOL") return [0, 1];
  if (name === "REAL") return [-maxReal, maxReal];
  if (name === "LREAL") return [-Number.MAX_VALUE, Number.MAX_VALUE];
  if (name === "LINT") return [-(1n << 63n), (1n << 63n) - 1n];
  if (size === 8) return [0n, (1n << 64n) - 1n];
  return ["SINT", "INT", "DINT"].includes(name) ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
}

/** The greatest 32-bit floating point number. */
const maxReal = 3.4028234663852886e38;

/** Where in its assembly a parameter stands, bits. */
export interface MemberPlace {
  readonly index: number;
  readonly from: number;
  readonly bits: number;
}

/** The parameters of an assembly in the order of their places; `index` counts in the whole list. */
export function membersOf(parameters: readonly ParameterDescription[], instance: number): readonly MemberPlace[] {
  return parameters
    .flatMap(({ source, type }, index) =>
      source.kind === "assembly" && source.instance === instance
        ? [{ index, from: 8 * source.offset + (source.bit ?? 0), bits: source.bit === undefined ? 8 * type.size : 1 }]
        : [],
    )
    .sort((a, b) => a.from - b.from);
}

function refuseOverlaps(parameters: readonly ParameterDescription[]): void {
  const instances = new Set(parameters.flatMap(({ source }) => (source.kind === "assembly" ? [source.instance] : [])));
  for (const instance of instances) {
    const members = membersOf(parameters, instance);
    for (const [i, { index, from }] of members.entries()) {
      const before = members[i - 1];
      if (before !== undefined && before.from + before.bits > from)
        throw wrong(
          `device.parameters[${index}].offset`,
          `must not overlap '${parameters[before.index]?.name}' in assembly ${instance}`,
        );
    }
  }
}
