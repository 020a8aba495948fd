import { PACKED_EPATH, UsageError, encode, type Segment } from "@cipsec/wire";
import { writeParametersWord, writeTransportWord, type DirectionWord } from "./connection-words.ts";
import type {
  EdsDescription,
  MadeAssembly,
  MadeConnection,
  MadeDirection,
  MadeMember,
  MadeParam,
} from "./description.ts";
import { ParamDescriptor, typeSize } from "./params.ts";
import { pathLiteral, textLiteral } from "./value.ts";
import type { WritableEntry } from "./write.ts";

/** Members that one entry repeats; an assembly has at most 65,535 octets anyway. */
const maxRepeat = 65_535;

type Field = WritableEntry["fields"][number];

/** The parameters of a description, and behind them one for each RPI that its connections use. */
export function paramsWithRpis({ params = [], connections = [] }: EdsDescription): readonly MadeParam[] {
  const rpis = connections.flatMap(({ oToT, tToO }) => [oToT.rpi, tToO.rpi]);
  const made = new Map(rpis.map((rpi) => [rpiName(rpi), { name: rpiName(rpi), dataType: 0xc8, units: "us", ...rpi }]));
  return [...params, ...made.values()];
}

export function paramEntries(params: readonly MadeParam[]): readonly WritableEntry[] {
  return params.flatMap((param, i) => [
    { key: `Param${i + 1}`, fields: paramFields(param) },
    ...(param.choices === undefined || param.choices.length === 0
      ? []
      : [
          {
            key: `Enum${i + 1}`,
            fields: param.choices.flatMap(({ value, text }) => [{ raw: String(value) }, { raw: textLiteral(text) }]),
          },
        ]),
  ]);
}

export function assemblyEntries(
  assemblies: readonly MadeAssembly[],
  params: readonly MadeParam[],
): readonly WritableEntry[] {
  return assemblies.map((assembly) => ({
    key: `Assem${assembly.instance}`,
    fields: [
      field(textLiteral(assembly.name), "name"),
      field(pathLiteral(dataPath(assembly.instance)), "path"),
      field(String(octetsOf(assembly, assemblies, params, 0)), "octets"),
      field("0x0000", "descriptor"),
      ...["", ""].map((raw) => field(raw, "reserved")),
      ...assembly.members.flatMap((member) => memberFields(member, assemblies, params)),
    ],
  }));
}

export function connectionEntries(
  connections: readonly MadeConnection[],
  assemblies: readonly MadeAssembly[],
  params: readonly MadeParam[],
): readonly WritableEntry[] {
  const instances = new Set(assemblies.map(({ instance }) => instance));
  const rpi = (direction: MadeDirection): Field => field(paramName(rpiName(direction.rpi), params), "RPI");
  const data = ({ point }: MadeDirection, what: string): readonly Field[] =>
    instances.has(point) ? [field("", "size"), field(`Assem${point}`, what)] : [field("0", "size"), field("", what)];
  return connections.map((connection, i) => {
    const { oToT, tToO, configuration } = connection;
    const hasConfiguration = configuration !== undefined && instances.has(configuration);
    const words = {
      oToT: directionWord(oToT, {
        format: instances.has(oToT.point) ? "header32" : "heartbeat",
        types: ["pointToPoint"],
      }),
      tToO: directionWord(tToO, { format: "modeless", types: ["multicast", "pointToPoint"] }),
    };
    return {
      key: `Connection${i + 1}`,
      fields: [
        field(dword(transportWord(connection)), "trigger and transport"),
        field(dword(writeParametersWord(words)), "connection parameters"),
        rpi(oToT),
        ...data(oToT, "O->T format"),
        rpi(tToO),
        ...data(tToO, "T->O format"),
        ...["", ""].map((raw) => field(raw, "config #1")),
        field("", "config #2 size"),
        field(hasConfiguration ? `Assem${configuration}` : "", "config #2 format"),
        field(textLiteral(connection.name), "name"),
        field(textLiteral(connection.help ?? ""), "help"),
        field(pathLiteral(connectionPath(connection)), "path"),
      ],
    };
  });
}

function paramFields(param: MadeParam): readonly Field[] {
  const { name, units = "", help = "", minimum, maximum, path, scaling, decimals } = param;
  return [
    field("0", "reserved"),
    field(path === undefined ? "" : String(encode(PACKED_EPATH, path).length), "link path size"),
    field(path === undefined ? "" : pathLiteral(path, PACKED_EPATH), "link path"),
    field(hex(paramDescriptor(param), 4), "descriptor"),
    field(hex(param.dataType, 2), "data type"),
    field(String(sizeOf(param)), "data size"),
    field(textLiteral(name), "name"),
    field(textLiteral(units), "units"),
    field(textLiteral(help), "help"),
    field(String(minimum ?? ""), "minimum"),
    field(String(maximum ?? ""), "maximum"),
    field(String(param.default), "default"),
    ...scalingNames.map((what) => field(String(scaling?.[what] ?? ""), what)),
    ...scalingNames.map((what) => field("", `link of ${what}`)),
    field(String(decimals ?? ""), "decimals"),
  ];
}

const scalingNames = ["multiplier", "divisor", "base", "offset"] as const;

/** The descriptor that follows from what a parameter has. @see reference ethernet-ip.md 7.5 */
export function paramDescriptor({
  isReadOnly = false,
  isMonitored = false,
  choices = [],
  scaling,
}: Pick<MadeParam, "isReadOnly" | "isMonitored" | "choices" | "scaling">): number {
  return (
    (isReadOnly ? ParamDescriptor.readOnly : 0) |
    (isMonitored ? ParamDescriptor.monitored : 0) |
    (choices.length > 0 ? ParamDescriptor.enumerated : 0) |
    (scaling === undefined ? 0 : ParamDescriptor.scaled)
  );
}

function memberFields(
  member: MadeMember,
  assemblies: readonly MadeAssembly[],
  params: readonly MadeParam[],
): readonly Field[] {
  const bits = String(memberBits(member, assemblies, params, 0) / (member.repeat ?? 1));
  const target = targetOf(member, params);
  return Array.from({ length: member.repeat ?? 1 }, () => [{ raw: bits }, { raw: target }]).flat();
}

function targetOf(member: MadeMember, params: readonly MadeParam[]): string {
  if ("param" in member) return paramName(member.param, params);
  return "assembly" in member ? `Assem${member.assembly}` : "";
}

function memberBits(
  member: MadeMember,
  assemblies: readonly MadeAssembly[],
  params: readonly MadeParam[],
  depth: number,
): number {
  const { repeat = 1 } = member;
  if (!Number.isInteger(repeat) || repeat < 1 || repeat > maxRepeat)
    throw refusal(`A member is repeated ${repeat} times.`, `Repeat it 1 to ${maxRepeat} times.`);
  if ("padding" in member) return repeat * member.padding;
  if ("param" in member) return repeat * (member.bits ?? 8 * sizeOf(paramOf(member.param, params)));
  const inner = assemblies.find(({ instance }) => instance === member.assembly);
  if (inner === undefined || depth === maxDepth)
    throw refusal(
      `There is no assembly ${member.assembly}, or it holds itself.`,
      "Name an assembly of the description.",
    );
  return repeat * 8 * octetsOf(inner, assemblies, params, depth + 1);
}

/** Assemblies within assemblies; also what ends one that holds itself. */
const maxDepth = 8;

function octetsOf(
  { members }: MadeAssembly,
  assemblies: readonly MadeAssembly[],
  params: readonly MadeParam[],
  depth: number,
): number {
  return Math.ceil(members.reduce((sum, member) => sum + memberBits(member, assemblies, params, depth), 0) / 8);
}

function directionWord(
  direction: MadeDirection,
  { format, types }: Pick<DirectionWord, "format" | "types">,
): DirectionWord {
  return {
    isFixed: direction.isVariable !== true,
    isVariable: direction.isVariable === true,
    format: direction.format ?? format,
    types: direction.types ?? types,
    priorities: direction.priorities ?? ["scheduled"],
  };
}

function transportWord({ type, classes = [1], triggers = ["cyclic"] }: MadeConnection): number {
  return writeTransportWord({ classes, triggers, applicationTypes: [type], isServer: false });
}

/** Configuration where there is one, then O→T, then T→O. @see reference ethernet-ip.md 3.9 */
function connectionPath({ oToT, tToO, configuration }: MadeConnection): readonly Segment[] {
  return [
    { kind: "class", value: 0x04 },
    ...(configuration === undefined ? [] : [{ kind: "instance", value: configuration } as const]),
    { kind: "connectionPoint", value: oToT.point },
    { kind: "connectionPoint", value: tToO.point },
  ];
}

function dataPath(instance: number): readonly Segment[] {
  return [
    { kind: "class", value: 0x04 },
    { kind: "instance", value: instance },
    { kind: "attribute", value: 3 },
  ];
}

function sizeOf({ name, dataType }: MadeParam): number {
  const size = typeSize(dataType);
  if (size === undefined)
    throw refusal(
      `The parameter '${name}' has a type without a fixed size, ${hex(dataType, 2)}.`,
      "Use a number, or a string of bits.",
    );
  return size;
}

function paramOf(name: string, params: readonly MadeParam[]): MadeParam {
  const found = params.find((param) => param.name === name);
  if (found === undefined) throw refusal(`There is no parameter '${name}'.`, "Name a parameter of the description.");
  return found;
}

function paramName(name: string, params: readonly MadeParam[]): string {
  return `Param${params.indexOf(paramOf(name, params)) + 1}`;
}

function rpiName({ minimum, maximum, default: usual }: MadeDirection["rpi"]): string {
  return `RPI ${minimum} to ${maximum}, ${usual}`;
}

function field(raw: string, note: string): Field {
  return { raw, note };
}

function dword(word: number): string {
  return hex(word, 8);
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(digits, "0")}`;
}

function refusal(message: string, fix: string): UsageError {
  return new UsageError("usage/argument", message, { fix });
}
