import {
  Assembly,
  CertificateManagement,
  CipSecurity,
  ConnectionManager,
  EtherNetIpSecurity,
  EthernetLink,
  FileObject,
  Identity,
  MessageRouter,
  PortObject,
  Qos,
  TcpIpInterface,
  makeEds,
  type EdsDescription,
  type MadeAssembly,
  type MadeClass,
  type MadeConnection,
  type MadeMember,
  type MadeParam,
  type MadeStamp,
  type PriorityName,
  type RealTimeFormat,
} from "@cipsec/objects";
import { objectPath } from "@cipsec/wire";
import type { AssemblyDescription, DeviceDescription } from "./description.ts";
import { asLatin1, wrong, type Fields } from "./fields.ts";
import type { ConnectionDescription } from "./io/description.ts";
import { deviceLimits } from "./limits.ts";
import { classDescriptor, linkPath } from "./objects/parameter.ts";
import { membersOf, type ParameterDescription } from "./parameters/description.ts";

/** What an EDS says that a device description does not. */
export interface EdsFacts {
  readonly vendorName: string;
  readonly deviceTypeText?: string;
  readonly catalog?: string;
  readonly created: Required<MadeStamp>;
  readonly revision?: { readonly major: number; readonly minor: number };
}

/**
 * The EDS of a device: what its objects tell and what its Connection Manager takes, so that a tool which has read the file opens a
 * connection and shows a parameter right first time. ParamN is instance N of the Parameter Object; those behind them are intervals.
 *
 * @returns ISO 8859-1 text.
 * @throws {UsageError} `usage/argument` for texts that an EDS cannot hold.
 */
export function edsOf(description: DeviceDescription, facts: EdsFacts): string {
  return makeEds(describeEds(description, facts));
}

/**
 * Reads `eds` of a device description; nothing where it has none.
 *
 * @throws {UsageError} `usage/file` naming the entry that is wrong.
 */
export function readEdsFacts(device: Fields): { readonly eds?: EdsFacts } {
  if (device.raw("eds") === undefined) return {};
  const at = device.fields("eds");
  const text = (name: string, absent?: string): string => asLatin1(at.text(name, 64, absent), at.where(name));
  const vendorName = text("vendorName");
  const catalog = text("catalog", "");
  const created = at.text("created", 10);
  const [, year = "", month = "", day = ""] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(created) ?? [];
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (year === "" || date.toISOString().slice(0, 10) !== created)
    throw wrong(at.where("created"), "must be a date such as 2026-11-21");
  at.end();
  return {
    eds: {
      vendorName,
      ...(catalog === "" ? {} : { catalog }),
      created: {
        date: { year: Number(year), month: Number(month), day: Number(day) },
        time: { hours: 0, minutes: 0, seconds: 0 },
      },
    },
  };
}

function describeEds(description: DeviceDescription, facts: EdsFacts): EdsDescription {
  const { identity, assemblies, connections, parameters, limits = deviceLimits } = description;
  const params = parameters?.parameters ?? [];
  const configuration = assemblies.find(({ kind }) => kind === "configuration")?.instance ?? 0;
  return {
    file: {
      description: `${identity.productName} EDS`,
      created: facts.created,
      revision: facts.revision ?? { major: 1, minor: 0 },
    },
    device: {
      vendorId: identity.vendorId,
      vendorName: facts.vendorName,
      deviceType: identity.deviceType,
      deviceTypeText: facts.deviceTypeText ?? "Generic Device, keyable",
      productCode: identity.productCode,
      revision: identity.revision,
      productName: identity.productName,
      ...(facts.catalog === undefined ? {} : { catalog: facts.catalog }),
    },
    params: params.map(paramOf),
    ...(parameters === undefined
      ? {}
      : {
          paramClass: {
            maxInstance: params.length,
            descriptor: classDescriptor(parameters),
            configurationAssembly: configuration,
          },
        }),
    assemblies: assemblies.map((assembly) => assemblyOf(assembly, params)),
    connections: connections.map(connectionOf),
    capacity: {
      messageConnections: limits.explicitConnections,
      ioConnections: limits.ioConnections,
      ...(connections.length === 0 ? {} : { ioMulticastProducers: 32 }),
    },
    ports: [{ type: "TCP", name: "EtherNet/IP", path: objectPath(TcpIpInterface.classId, 1), number: 2 }],
    classes: classesOf(description),
  };
}

function paramOf(parameter: ParameterDescription, i: number): MadeParam {
  const { name, type, units, help, minimum, maximum, isReadOnly, isMonitored, choices, scaling, decimals } = parameter;
  return {
    name,
    dataType: type.code,
    default: parameter.default,
    minimum,
    maximum,
    units,
    help,
    path: linkPath(parameter, i + 1),
    isReadOnly,
    isMonitored,
    choices,
    ...(scaling === undefined ? {} : { scaling }),
    decimals,
  };
}

/** An assembly's parameters, and what is between them; without any it is octets and nothing more is known. */
function assemblyOf(
  { instance, name, size }: AssemblyDescription,
  parameters: readonly ParameterDescription[],
): MadeAssembly {
  const members: MadeMember[] = [];
  let at = 0;
  const pad = (to: number): void => {
    for (let left = to - at; left > 0; left -= maxPadding) members.push({ padding: Math.min(left, maxPadding) });
    at = to;
  };
  for (const { index, from, bits } of membersOf(parameters, instance)) {
    pad(from);
    members.push({ param: parameters[index]?.name ?? "", bits });
    at = from + bits;
  }
  pad(8 * size);
  return { instance, name: name === "" ? `Assembly ${instance}` : name, members };
}

/** A member's bits have 16 bits; whole octets are kept together. */
const maxPadding = 0xfff8;

const formats: Readonly<Record<ConnectionDescription["oToTFormat"], RealTimeFormat>> = {
  modeless: "modeless",
  "zero-length": "zeroLength",
  "run-idle-32": "header32",
  heartbeat: "heartbeat",
};

const types = { "exclusive-owner": "exclusiveOwner", "input-only": "inputOnly", "listen-only": "listenOnly" } as const;

/** What controllers ask for where nobody says. */
const usualRpi = 10_000;

function connectionOf(connection: ConnectionDescription, i: number): MadeConnection {
  const { name, type, consume, produce, configuration, oToTFormat, tToOFormat, multicast } = connection;
  const { minRpiMicros: minimum, maxRpiMicros: maximum } = connection;
  const rpi = { minimum, maximum, default: Math.min(Math.max(usualRpi, minimum), maximum) };
  const priorities = (["low", "high", "scheduled"] as const satisfies readonly PriorityName[]).filter(
    (one) => connection.priorities?.includes(one) ?? true,
  );
  const direction = (point: number, format: ConnectionDescription["oToTFormat"]) =>
    ({ point, format: formats[format], isVariable: format === "zero-length", priorities, rpi }) as const;
  return {
    name: name === "" ? `Connection ${i + 1}` : name,
    type: types[type],
    classes: [0, 1],
    triggers: ["cyclic", "changeOfState", "application"],
    oToT: { ...direction(consume, oToTFormat), types: ["pointToPoint"] },
    tToO: { ...direction(produce, tToOFormat), types: multicast ? ["multicast", "pointToPoint"] : ["pointToPoint"] },
    ...(configuration === undefined ? {} : { configuration }),
  };
}

/** Classes that every device hosts, and those that this one does, with the optional parts that it has on any host. */
function classesOf({ assemblies, connections, security }: DeviceDescription): readonly MadeClass[] {
  const instances = assemblies.map(({ instance }) => instance);
  const multicast = connections.length === 0 ? [] : ["ttl", "multicastConfiguration"];
  const ports = security === null ? [] : ["ianaPortAdmin", "setPortAdminState"];
  const secure: readonly MadeClass[] = [
    { declaration: FileObject, maxInstance: 0x101, instances: 2 },
    { declaration: CipSecurity },
    { declaration: EtherNetIpSecurity },
    { declaration: CertificateManagement },
  ];
  return [
    { declaration: Identity, optional: identityParts },
    { declaration: MessageRouter },
    ...(instances.length === 0
      ? []
      : [
          {
            declaration: Assembly,
            maxInstance: Math.max(...instances),
            instances: instances.length,
            optional: ["size"],
          },
        ]),
    { declaration: ConnectionManager, optional: connectionParts },
    { declaration: Qos },
    { declaration: PortObject, optional: ["portTypeName", "communicationObjects"] },
    { declaration: TcpIpInterface, optional: [...multicast, "activeTcpConnections", ...ports] },
    { declaration: EthernetLink, optional: ["interfaceLabel"] },
    ...(security === null ? [] : secure),
  ];
}

const identityParts = [
  "state",
  "configurationConsistency",
  "internationalProductName",
  "assignedName",
  "assignedDescription",
  "geographicLocation",
] as const satisfies readonly (keyof typeof Identity.attributes)[];

/** Counters 1 to 8, the list of connections, and every service but that of routers. */
const connectionParts: readonly string[] = [
  ...Object.entries(ConnectionManager.attributes).flatMap(([name, { id }]) => (id <= 9 ? [name] : [])),
  ...Object.keys(ConnectionManager.services),
];
