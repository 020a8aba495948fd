import type { RealTimeFormat } from "@cipsec/wire";
import type { AssemblyDescription } from "../description.ts";
import { Fields, wrong } from "../fields.ts";

/** What becomes of outputs without an owner that runs: kept, set to zero, or to octets given in hex. */
export type OutputAction = "hold" | "zero" | { readonly hex: string };

/** A class 0 or 1 connection that a device offers. */
export interface ConnectionDescription {
  readonly name: string;
  readonly type: "exclusive-owner" | "input-only" | "listen-only";
  /** O→T connection point: an output assembly for an exclusive owner, otherwise a number that stands for "heartbeat". */
  readonly consume: number;
  /** T→O connection point: an input assembly. */
  readonly produce: number;
  /** Configuration assembly that the path may name, and set by a data segment. */
  readonly configuration?: number;
  readonly oToTFormat: RealTimeFormat;
  readonly tToOFormat: RealTimeFormat;
  readonly minRpiMicros: number;
  readonly maxRpiMicros: number;
  /** Whether T→O may be multicast; point to point always may be. */
  readonly multicast: boolean;
  /** Priorities that the connection may have, either way; all where left out. */
  readonly priorities?: readonly PriorityName[];
  /** Whether it opens only once its configuration has been set since the device started, or is set with it. */
  readonly needsConfiguration?: boolean;
  /** Open at a time; an exclusive owner is always alone. */
  readonly maxConnections: number;
}

/** By their number in network connection parameters. */
export const priorityNames = ["low", "high", "scheduled", "urgent"] as const;

export type PriorityName = (typeof priorityNames)[number];

const formats = ["modeless", "zero-length", "run-idle-32", "heartbeat"] as const satisfies readonly RealTimeFormat[];

/** Connection points of heartbeats where the description does not say: what devices commonly have. */
const inputOnlyPoint = 254;
const listenOnlyPoint = 255;

/** Microseconds: the runtime holds 1 ms on a machine with time to spare; above 3.2 s nobody asks for cyclic data. */
const shortestRpi = 1000;
const longestRpi = 3_200_000;

/** Above this a watchdog of 512 intervals would outlast a runtime's timer. */
const rpiBound = 60_000_000;

const defaultMax = 128;

/**
 * Reads `connections`; where they are left out, outputs and inputs are offered as controllers expect them: an exclusive owner for
 * each pair, input only and listen only for each input.
 */
export function readConnections(
  at: Fields,
  assemblies: readonly AssemblyDescription[],
): readonly ConnectionDescription[] {
  const items = at.or("connections", undefined);
  if (items === undefined) return defaultConnections(assemblies);
  const connections = at
    .items("connections", 64, [])
    .map((item, i) => readConnection(new Fields(item, `device.connections[${i}]`), assemblies));
  const pairs = connections.map(({ consume, produce }) => `${consume} and ${produce}`);
  const twice = pairs.find((pair, i) => pairs.indexOf(pair) !== i);
  if (twice !== undefined) throw wrong("device.connections", `points ${twice} are there twice`);
  return connections;
}

function defaultConnections(assemblies: readonly AssemblyDescription[]): readonly ConnectionDescription[] {
  const of = (kind: AssemblyDescription["kind"]) => assemblies.filter((assembly) => assembly.kind === kind);
  const [outputs, inputs, [configuration]] = [of("output"), of("input"), of("configuration")];
  const taken = (point: number) => assemblies.some(({ instance }) => instance === point);
  const shared = {
    ...(configuration === undefined ? {} : { configuration: configuration.instance }),
    tToOFormat: "modeless",
    minRpiMicros: shortestRpi,
    maxRpiMicros: longestRpi,
    multicast: true,
  } as const;
  const owners = outputs.flatMap((output, i): ConnectionDescription[] => {
    const input = inputs[i];
    if (input === undefined) return [];
    const name = `exclusive owner of ${output.instance}`;
    const pair = { consume: output.instance, produce: input.instance };
    return [{ name, type: "exclusive-owner", ...pair, oToTFormat: "run-idle-32", ...shared, maxConnections: 1 }];
  });
  const heartbeats = inputs.flatMap(({ instance: produce }): ConnectionDescription[] => {
    const more = { produce, oToTFormat: "heartbeat", ...shared, maxConnections: defaultMax } as const;
    return [
      { name: `input only of ${produce}`, type: "input-only", consume: inputOnlyPoint, ...more },
      { name: `listen only of ${produce}`, type: "listen-only", consume: listenOnlyPoint, ...more },
    ];
  });
  return [...owners, ...heartbeats.filter(({ consume }) => !taken(consume))];
}

function readConnection(at: Fields, assemblies: readonly AssemblyDescription[]): ConnectionDescription {
  const type = at.choice("type", ["exclusive-owner", "input-only", "listen-only"]);
  const isOwner = type === "exclusive-owner";
  const configuration =
    at.raw("configuration") === undefined ? undefined : assembly(at, "configuration", "configuration", assemblies);
  const connection: ConnectionDescription = {
    name: at.text("name", 64, ""),
    type,
    consume: isOwner
      ? assembly(at, "consume", "output", assemblies)
      : at.number("consume", 1, 0xffff, type === "input-only" ? inputOnlyPoint : listenOnlyPoint),
    produce: assembly(at, "produce", "input", assemblies),
    ...(configuration === undefined ? {} : { configuration }),
    oToTFormat: at.choice("oToTFormat", formats, isOwner ? "run-idle-32" : "heartbeat"),
    tToOFormat: at.choice("tToOFormat", formats, "modeless"),
    minRpiMicros: at.number("minRpiMicros", 1000, rpiBound, shortestRpi),
    maxRpiMicros: at.number("maxRpiMicros", 1000, rpiBound, longestRpi),
    multicast: at.flag("multicast", true),
    ...readPriorities(at),
    ...(at.raw("needsConfiguration") === undefined ? {} : { needsConfiguration: at.flag("needsConfiguration", false) }),
    maxConnections: at.number("maxConnections", 1, 1024, isOwner ? 1 : defaultMax),
  };
  at.end();
  if (isOwner === (connection.oToTFormat === "heartbeat"))
    throw wrong(at.where("oToTFormat"), "must be heartbeat where nothing is consumed, and only there");
  if (isOwner && connection.maxConnections !== 1) throw wrong(at.where("maxConnections"), "must be 1 for an owner");
  if (connection.needsConfiguration === true && configuration === undefined)
    throw wrong(at.where("needsConfiguration"), "must be left out where there is no configuration");
  if (connection.minRpiMicros > connection.maxRpiMicros)
    throw wrong(at.where("minRpiMicros"), `must not be above maxRpiMicros, ${connection.maxRpiMicros}`);
  if (!isOwner && assemblies.some(({ instance }) => instance === connection.consume))
    throw wrong(at.where("consume"), "must not be an assembly: it stands for a heartbeat");
  return connection;
}

function readPriorities(at: Fields): { readonly priorities?: readonly PriorityName[] } {
  if (at.raw("priorities") === undefined) return {};
  const given = at.items("priorities", priorityNames.length, []);
  const priorities = priorityNames.filter((name) => given.includes(name));
  if (priorities.length === 0 || priorities.length !== given.length)
    throw wrong(at.where("priorities"), `must be a list of some of ${priorityNames.join(", ")}, each once`);
  return { priorities };
}

function assembly(
  at: Fields,
  name: string,
  kind: AssemblyDescription["kind"],
  assemblies: readonly AssemblyDescription[],
): number {
  const instance = at.number(name, 1, 0xffff);
  const found = assemblies.find((one) => one.instance === instance && one.kind === kind);
  if (found === undefined) throw wrong(at.where(name), `must be an assembly of kind ${kind}`);
  return instance;
}

/** An output action, where the file has one: octets in hex must be as many as the assembly has. */
export function readAction(at: Fields, name: string, size: number): OutputAction | undefined {
  const value = at.raw(name);
  if (value === undefined || value === "hold" || value === "zero") return value;
  const must = `must be "hold", "zero" or {"hex": …} with ${2 * size} hex digits`;
  if (typeof value !== "object") throw wrong(at.where(name), must);
  const fields = at.fields(name);
  const hex = fields.text("hex", 2 * size);
  fields.end();
  if (hex.length !== 2 * size || !/^[0-9a-f]+$/i.test(hex)) throw wrong(at.where(name), must);
  return { hex };
}
