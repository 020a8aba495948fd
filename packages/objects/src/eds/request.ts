import { UsageError, WireError, type Key, type NetworkParameters, type Segment } from "@cipsec/wire";
import {
  configurationOctets,
  maxConfiguration,
  paramOctets,
  referenceSize,
  type ParamValues,
} from "./configuration.ts";
import {
  connectionTypes,
  priorities,
  productionTriggers,
  type ApplicationType,
  type ConnectionTypeName,
  type PriorityName,
  type ProductionTrigger,
  type RealTimeFormat,
} from "./connection-words.ts";
import { assemblyKey } from "./assemblies.ts";
import { paramAmount, type EdsAmount, type EdsConnection, type EdsDirection } from "./connections.ts";
import type { EdsReference } from "./model.ts";
import type { Eds } from "./parse.ts";
import { segmentsOf, type EdsPath } from "./path.ts";
import { quoted } from "./report.ts";

/** What the caller wants of a connection where the EDS leaves a choice. */
export interface ConnectionWishes {
  readonly transportClass?: number;
  readonly trigger?: ProductionTrigger;
  readonly oToT?: DirectionWishes;
  readonly tToO?: DirectionWishes;
  /** Values of parameters by number, for the path and the configuration. */
  readonly params?: ParamValues;
  /** Slot of a module in a chassis, where the path asks for it. */
  readonly slot?: number;
  /** `compatible` lets the device stand in for older revisions; it is what is asked for when left out. */
  readonly key?: "compatible" | "exact" | "none";
  /** Configuration octets in place of those made of parameters. */
  readonly configuration?: Uint8Array;
}

export interface DirectionWishes {
  /** Brought within the bounds of the EDS. */
  readonly rpiMicros?: number;
  readonly type?: ConnectionTypeName;
  readonly priority?: PriorityName;
  /** Octets of application data. */
  readonly size?: number;
  readonly isVariable?: boolean;
}

/** The fields of a Forward_Open that an EDS decides, under the names of wire's `ForwardOpen`, and what the caller must know of the data. */
export interface ConnectionRequest {
  readonly name: string;
  readonly applicationTypes: readonly ApplicationType[];
  readonly transport: number;
  readonly oToTRpiMicros: number;
  readonly oToT: NetworkParameters;
  readonly tToORpiMicros: number;
  readonly tToO: NetworkParameters;
  /** Hops, electronic key, application paths and configuration, in this order. */
  readonly path: readonly Segment[];
  readonly oToTFormat: RealTimeFormat;
  readonly tToOFormat: RealTimeFormat;
  /** Octets of application data a packet carries at most. */
  readonly oToTDataSize: number;
  readonly tToODataSize: number;
  readonly configuration: Uint8Array;
  /** A size is above 511 octets: only Large_Forward_Open can say it. */
  readonly needsLarge: boolean;
}

/**
 * What a Forward_Open of one of the connections of an EDS must say to be accepted.
 *
 * @param which Name of the connection, or the N of ConnectionN.
 * @throws {UsageError} `usage/argument` where there is no such connection, or a wish is not among what the EDS offers;
 *   `usage/file` naming the entry where the EDS contradicts itself. Both say how to go on.
 * @see reference ethernet-ip.md 3.9, 6.2 to 6.4, 6.11, 9
 */
export function connectionRequest(eds: Eds, which: string | number, wishes: ConnectionWishes = {}): ConnectionRequest {
  const connection = find(eds, which);
  const label = `Connection${connection.number} (${connection.name})`;
  const transport = transportOctet(connection, label, wishes);
  const hasSequence = (transport & 0x0f) > 0;
  const oToT = direction(eds, connection.oToT, `${label}, O→T`, wishes.oToT ?? {}, hasSequence);
  const tToO = direction(eds, connection.tToO, `${label}, T→O`, wishes.tToO ?? {}, hasSequence);
  const configuration =
    wishes.configuration ?? configurationOctets(eds, label, connection.configurations, wishes.params ?? {});
  if (configuration.length > maxConfiguration)
    throw wrong(
      "usage/argument",
      label,
      `the configuration has ${configuration.length} octets`,
      `Send at most ${maxConfiguration}.`,
    );
  return {
    name: connection.name,
    applicationTypes: connection.transport.applicationTypes,
    transport,
    oToTRpiMicros: oToT.rpiMicros,
    oToT: oToT.parameters,
    tToORpiMicros: tToO.rpiMicros,
    tToO: tToO.parameters,
    path: [
      ...routed(applicationPath(eds, connection.path, label, wishes), keyOf(eds, wishes)),
      ...dataSegment(configuration),
    ],
    oToTFormat: connection.oToT.format,
    tToOFormat: connection.tToO.format,
    oToTDataSize: oToT.dataSize,
    tToODataSize: tToO.dataSize,
    configuration,
    needsLarge: Math.max(oToT.parameters.size, tToO.parameters.size) > 0x1ff,
  };
}

function find({ connections }: Eds, which: string | number): EdsConnection {
  const found = connections.find(({ name, number }) =>
    typeof which === "number" ? number === which : name === which.trim(),
  );
  if (found !== undefined) return found;
  const known = connections.slice(0, 20).map(({ number, name }) => `${number} ${quoted(name)}`);
  throw new UsageError("usage/argument", `The EDS has no connection ${quoted(String(which))}.`, {
    facts: { connection: String(which).slice(0, 40) },
    fix: known.length === 0 ? "The EDS declares no connection that can be read." : `Use one of: ${known.join(", ")}.`,
  });
}

function transportOctet({ transport }: EdsConnection, label: string, wishes: ConnectionWishes): number {
  // Class 1 is what I/O uses; class 0 has no sequence count, class 3 is for messages.
  const byUse = [1, 0, 3, 2].filter((n) => transport.classes.includes(n));
  const transportClass = choose(label, "transport class", wishes.transportClass, byUse);
  const trigger = choose(label, "trigger", wishes.trigger, transport.triggers);
  const isServer = transport.isServer && transportClass > 1;
  return (isServer ? 0x80 : 0) | (productionTriggers.indexOf(trigger) << 4) | transportClass;
}

interface DirectionFacts {
  readonly rpiMicros: number;
  readonly dataSize: number;
  readonly parameters: NetworkParameters;
}

function direction(
  eds: Eds,
  offered: EdsDirection,
  label: string,
  wishes: DirectionWishes,
  hasSequence: boolean,
): DirectionFacts {
  if (offered.format === "safety" || offered.format === "reserved")
    throw wrong(
      "usage/file",
      label,
      `its real-time format is ${offered.format}`,
      "Choose a connection that carries plain I/O data.",
    );
  // Point to point needs no multicast group; the null type is for a direction that carries nothing.
  const types = connectionTypes.toReversed().filter((name) => offered.types.includes(name));
  const type = choose(label, "connection type", wishes.type, types);
  const ranked = priorities.toReversed().filter((name) => offered.priorities.includes(name));
  const priority = choose(label, "priority", wishes.priority, ranked);
  const sizes = [...(offered.isFixed ? [false] : []), ...(offered.isVariable ? [true] : [])];
  // In the zero-length format a shorter packet means idle, which a fixed size forbids.
  const isZeroLength = offered.format === "zeroLength";
  const variable = choose(label, "variable size", isZeroLength ? true : wishes.isVariable, sizes);
  const dataSize = type === "null" ? 0 : sizeOf(eds, offered, label, wishes.size);
  const overhead = (hasSequence ? 2 : 0) + (offered.format === "header32" ? 4 : 0);
  return {
    rpiMicros:
      type === "null" && offered.rpi === undefined
        ? (wishes.rpiMicros ?? 0)
        : rpiOf(offered.rpi, label, wishes.rpiMicros),
    dataSize,
    parameters: {
      redundantOwner: false,
      type: connectionTypes.indexOf(type),
      priority: priorities.indexOf(priority),
      variable,
      size: type === "null" ? 0 : dataSize + overhead,
    },
  };
}

function sizeOf(eds: Eds, offered: EdsDirection, label: string, wish: number | undefined): number {
  const { data, format } = offered;
  const size = offered.size ?? assemblyAmount(eds, data);
  const whole = data === undefined ? undefined : referenceSize(eds, data);
  const stated = size?.default ?? whole ?? (format === "heartbeat" ? 0 : undefined);
  const octets = wish ?? stated;
  if (octets === undefined)
    throw wrong("usage/file", label, "neither size nor format says how large the data is", "Say the size.");
  if (format === "heartbeat" && octets > 0)
    throw wrong(
      "usage/file",
      label,
      `a heartbeat carries no data, not ${octets} octets`,
      "Correct format or size in the EDS.",
    );
  const [least, most] = [size?.minimum ?? stated ?? 0, size?.maximum ?? whole ?? 0xffff];
  if (wish !== undefined && (wish < Math.min(least, most) || wish > most || !Number.isInteger(wish)))
    throw wrong(
      "usage/argument",
      label,
      `${wish} octets are not from ${least} to ${most}`,
      "Ask for a size that the EDS allows.",
    );
  if (whole !== undefined && octets > whole)
    throw wrong(
      "usage/file",
      label,
      `the size is ${octets}, but its format has ${whole} octets`,
      "Correct the size in the EDS.",
    );
  if (octets > 0xffff - 6)
    throw wrong("usage/file", label, `${octets} octets fit no connection`, "Correct the size in the EDS.");
  return octets;
}

/** The size of an assembly that leaves it to a parameter. */
function assemblyAmount({ assemblies, params }: Eds, data: EdsReference | undefined): EdsAmount | undefined {
  const number = data && assemblies.get(assemblyKey(data))?.sizeParam;
  const param = number === undefined ? undefined : params.get(number);
  return param && paramAmount(param);
}

function rpiOf(rpi: EdsAmount | undefined, label: string, wish: number | undefined): number {
  const wanted = wish ?? rpi?.default;
  if (wanted === undefined)
    throw wrong("usage/argument", label, "the EDS gives no RPI", "Pass rpiMicros for this direction.");
  const micros = Math.max(rpi?.minimum ?? 1, Math.min(wanted, rpi?.maximum ?? 0xffff_ffff));
  if (Number.isInteger(micros) && micros > 0 && micros <= 0xffff_ffff) return micros;
  throw wrong("usage/argument", label, `an RPI of ${micros} µs cannot be`, "Ask for whole microseconds, 1 or more.");
}

function applicationPath(
  eds: Eds,
  path: EdsPath | undefined,
  label: string,
  wishes: ConnectionWishes,
): readonly Segment[] {
  if (path === undefined)
    throw wrong("usage/file", label, "its path is missing or cannot be read", "Correct the path in the EDS.");
  const octets = path.parts.flatMap((part) => (typeof part === "number" ? [part] : placed(eds, part, label, wishes)));
  const segments = segmentsOf(Uint8Array.from(octets));
  if (segments instanceof WireError)
    throw wrong(
      "usage/file",
      label,
      `its path ${quoted(path.text)} is none: ${segments.message}`,
      "Correct the path in the EDS.",
    );
  return segments;
}

/** The octets for a placeholder of a path. */
function placed(eds: Eds, part: string, label: string, { slot, params = {} }: ConnectionWishes): readonly number[] {
  if (part.startsWith("Param")) {
    const number = Number(part.slice(5));
    const param = eds.params.get(number);
    if (param !== undefined) return [...paramOctets(param, params[number])];
    throw wrong("usage/file", label, `its path names ${part}, which is not there`, `Add ${part} to [Params].`);
  }
  const value = slot === undefined ? Number.NaN : slot - (part === "SLOT" ? 0 : 1);
  if (Number.isInteger(value) && value >= 0 && value <= 0xff) return [value];
  throw wrong(
    "usage/argument",
    label,
    "its path needs the slot of the module",
    "Pass slot, a number that the chassis has.",
  );
}

function keyOf({ device }: Eds, { key = "compatible" }: ConnectionWishes): readonly Segment[] {
  if (key === "none" || device === undefined) return [];
  const { vendorId, deviceType, productCode, majorRevision, minorRevision } = device;
  // A target refuses a compatible key with a 0 in it; an exact one takes 0 for "any".
  const isWhole = [vendorId, deviceType, productCode, majorRevision, minorRevision].every((number) => number > 0);
  const compatibility = key === "compatible" && isWhole;
  const value: Key = { vendorId, deviceType, productCode, compatibility, majorRevision, minorRevision };
  return [{ kind: "key", key: value }];
}

/** The key stands behind the hops to the device, before what is in it. */
function routed(path: readonly Segment[], key: readonly Segment[]): readonly Segment[] {
  if (path.some(({ kind }) => kind === "key")) return path;
  const first = path.findIndex(({ kind }) => kind !== "port");
  const hops = first < 0 ? path.length : first;
  return [...path.slice(0, hops), ...key, ...path.slice(hops)];
}

function dataSegment(octets: Uint8Array): readonly Segment[] {
  if (octets.length === 0) return [];
  const words = new Uint8Array(octets.length + (octets.length % 2));
  words.set(octets);
  return [{ kind: "data", words }];
}

/** The wish where it is offered, or else the first offer. */
function choose<T extends string | number | boolean>(
  label: string,
  what: string,
  wish: T | undefined,
  offered: readonly T[],
): T {
  const [first] = offered;
  if (first === undefined)
    throw wrong("usage/file", label, `the EDS offers no ${what}`, "Correct the two dwords of the entry.");
  if (wish === undefined || offered.includes(wish)) return wish ?? first;
  throw wrong("usage/argument", label, `${what} ${wish} is not offered`, `Choose from: ${offered.join(", ")}.`);
}

function wrong(code: "usage/file" | "usage/argument", label: string, what: string, fix: string): UsageError {
  return new UsageError(code, `${label}: ${what}.`, { facts: { entry: label }, fix });
}
