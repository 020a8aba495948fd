import type { ConnectionRequest } from "@cipsec/objects";
import {
  ConnectionType,
  UsageError,
  ioOverhead,
  type Key,
  type NetworkParameters,
  type RealTimeFormat,
  type Segment,
} from "@cipsec/wire";

/** When a producer sends beside its interval. */
export type Trigger = "cyclic" | "change-of-state" | "application";

/** One direction of an I/O connection. */
export interface IoDirection {
  /** Requested packet interval, microseconds. */
  readonly rpiMicros: number;
  /** Octets of application data: count and header are added by the stack. */
  readonly size: number;
  /** Default point-to-point. `null`: nothing goes this way. */
  readonly type?: "point-to-point" | "multicast" | "null";
  /** Default: O→T `run-idle-32`, or `heartbeat` for size 0; T→O `modeless`. */
  readonly format?: RealTimeFormat;
  /** Default scheduled, as most devices have it. */
  readonly priority?: "low" | "high" | "scheduled" | "urgent";
  readonly variable?: boolean;
}

/** An I/O connection to open. */
export interface IoRequest {
  readonly oToT: IoDirection;
  readonly tToO: IoDirection;
  /** Electronic key, application paths and configuration data; {@link assemblyPath} makes it. */
  readonly path: readonly Segment[];
  /** Port segments in front of the path, where the device is behind a router. */
  readonly route?: readonly Segment[];
  /** Default 1. */
  readonly transportClass?: 0 | 1;
  /** Default cyclic. */
  readonly trigger?: Trigger;
  /** 0 to 7 stand for 4 to 512 intervals; default the least that makes 100 ms of the slower interval. */
  readonly timeoutMultiplier?: number;
  /** Shortest time between two packets where the trigger is not cyclic, microseconds; default a quarter of the interval. */
  readonly inhibitMicros?: number;
  /** Large_Forward_Open; default where a size needs it. Falls back where the target does not know it and the size allows. */
  readonly large?: boolean;
  /** Take the size that the target names when it refuses the one asked for; default true. */
  readonly adjustSize?: boolean;
  /** Vendor id and serial number of this originator; random where left out. */
  readonly originatorVendor?: number;
  readonly originatorSerial?: number;
}

/** Assembly numbers of a connection, and who is expected there. */
export interface AssemblyPoints {
  /** Instance of the configuration assembly; most devices want one even without data. */
  readonly configuration?: number;
  readonly oToT?: number;
  readonly tToO?: number;
  readonly key?: Key;
  /** Configuration octets; an even number of them. */
  readonly data?: Uint8Array;
}

/** Path of a connection to assemblies: `[key] 20 04 24 cc 2C oo 2C tt [80 data]`. @see reference ethernet-ip.md 3.9 */
export function assemblyPath({ configuration, oToT, tToO, key, data }: AssemblyPoints): readonly Segment[] {
  if (data !== undefined && data.length % 2 === 1)
    throw new UsageError("usage/argument", `configuration data of ${data.length} octets: an even number is needed`, {
      fix: "Add a zero octet at the end.",
    });
  return [
    ...(key === undefined ? [] : [{ kind: "key", key } as const]),
    { kind: "class", value: 0x04 },
    ...(configuration === undefined ? [] : [{ kind: "instance", value: configuration } as const]),
    ...(oToT === undefined ? [] : [{ kind: "connectionPoint", value: oToT } as const]),
    ...(tToO === undefined ? [] : [{ kind: "connectionPoint", value: tToO } as const]),
    ...(data === undefined || data.length === 0 ? [] : [{ kind: "data", words: data } as const]),
  ];
}

/** The connection that an EDS describes, as {@link IoRequest}. @throws {UsageError} `usage/argument` for one that is no I/O. */
export function ioRequestOf(request: ConnectionRequest): IoRequest {
  const transportClass = request.transport & 0x0f;
  if (transportClass !== 0 && transportClass !== 1)
    throw new UsageError("usage/argument", `${request.name}: transport class ${transportClass} is not I/O`);
  return {
    transportClass,
    trigger: triggers[(request.transport >> 4) & 7] ?? "cyclic",
    oToT: direction(request.oToT, request.oToTRpiMicros, request.oToTDataSize, request.oToTFormat),
    tToO: direction(request.tToO, request.tToORpiMicros, request.tToODataSize, request.tToOFormat),
    path: request.path,
  };
}

/** Network parameters of a direction, count and header included in the size. */
export function parametersOf(given: IoDirection, transportClass: 0 | 1, format: RealTimeFormat): NetworkParameters {
  const type = connectionTypes[given.type ?? "point-to-point"];
  return {
    redundantOwner: false,
    type,
    priority: priorities.indexOf(given.priority ?? "scheduled"),
    variable: given.variable ?? format === "zero-length",
    size: type === ConnectionType.null ? 0 : given.size + ioOverhead(transportClass, format),
  };
}

/** Transport class and trigger as Forward_Open has them. */
export function transportOctet(transportClass: 0 | 1, trigger: Trigger): number {
  return (triggers.indexOf(trigger) << 4) | transportClass;
}

const triggers: readonly Trigger[] = ["cyclic", "change-of-state", "application"];
const priorities = ["low", "high", "scheduled", "urgent"] as const;
const connectionTypes = {
  null: ConnectionType.null,
  multicast: ConnectionType.multicast,
  "point-to-point": ConnectionType.pointToPoint,
} as const;

function direction(
  { type, priority, variable }: NetworkParameters,
  rpiMicros: number,
  size: number,
  format: ConnectionRequest["oToTFormat"],
): IoDirection {
  const known = formats[format];
  if (known === undefined) throw new UsageError("usage/argument", `real-time format '${format}' is not supported`);
  const name =
    type === ConnectionType.null ? "null" : type === ConnectionType.multicast ? "multicast" : "point-to-point";
  return { rpiMicros, size, type: name, format: known, priority: priorities[priority] ?? "scheduled", variable };
}

const formats: Readonly<Record<ConnectionRequest["oToTFormat"], RealTimeFormat | undefined>> = {
  modeless: "modeless",
  zeroLength: "zero-length",
  heartbeat: "heartbeat",
  header32: "run-idle-32",
  reserved: undefined,
  safety: undefined,
};
