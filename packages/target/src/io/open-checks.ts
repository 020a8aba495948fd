import { ConnectionType, type ForwardOpen, type NetworkParameters } from "@cipsec/wire";
import type { IoPath } from "../connection-path.ts";
import { Extended, type Refused } from "../extended.ts";
import { connectionSize, type IoConnection } from "./connection.ts";
import { priorityNames, type ConnectionDescription } from "./description.ts";
import { isOnSubnet, type Subnet } from "./multicast.ts";
import { Trigger } from "./production.ts";

/** What the checks of a Forward_Open rest on, beside the request. */
export interface OpenSituation {
  readonly points: readonly ConnectionDescription[];
  /** Octets of an assembly. */
  readonly sizeOf: (instance: number) => number;
  /** Configuration data in effect. */
  readonly configured: (instance: number) => Uint8Array;
  /** Whether anybody has set an assembly since the device started. */
  readonly isSet: (instance: number) => boolean;
  readonly open: readonly IoConnection[];
  readonly originator: string;
  /** Looked up in the system where it is read, which costs more than all checks together: for multicast only. */
  readonly subnet: Subnet;
  readonly ttl: number;
  /** Whether the way that data go by has groups. */
  readonly hasMulticast: boolean;
  /** Octets of the largest connection size that the way carries in one datagram. */
  readonly maxPacket: number;
}

/** A Forward_Open that passed: what it opens. */
export interface OpenPlan {
  readonly point: ConnectionDescription;
  readonly transportClass: 0 | 1;
  readonly trigger: number;
  readonly inhibitMicros: number;
  /** The connection whose multicast production this one joins. */
  readonly joins?: IoConnection;
}

/** Error types of extended status 0x0112, one for each direction. */
const RpiError = { none: 0, tooSmall: 2, tooLarge: 3, mismatch: 4 } as const;

/**
 * Checks of a class 0 or 1 Forward_Open, behind those that all classes have in common, in the order of reference ethernet-ip.md
 * 6.9, rows 6 to 14. Nothing is changed.
 */
export function checkIoOpen(open: ForwardOpen, path: IoPath, situation: OpenSituation): OpenPlan | Refused {
  const transportClass = (open.transport & 0x0f) === 0 ? 0 : 1;
  const trigger = (open.transport >> 4) & 0x07;
  const point = findPoint(path, situation.points);
  if (typeof point === "number") return [point];
  const refused =
    configurationPathRefusal(path, point) ??
    (path.inhibitMicros !== undefined && trigger === Trigger.cyclic ? refusal(Extended.invalidSegment) : undefined) ??
    parameterRefusal(open, point, situation) ??
    rpiRefusal(open, point) ??
    inhibitRefusal(open, path) ??
    sizeRefusal(open, point, transportClass, situation) ??
    configurationRefusal(path, point, situation) ??
    ownershipRefusal(point, situation);
  if (refused !== undefined) return refused;
  const inhibitMicros = path.inhibitMicros ?? Math.floor(open.tToORpiMicros / 4);
  const plan = { point, transportClass, trigger, inhibitMicros } as const;
  if (open.tToO.type !== ConnectionType.multicast) return plan;
  const joins = situation.open.find(
    (other) => other.tToO.type === ConnectionType.multicast && isSameProduction(other.point, point),
  );
  const mismatch = joins === undefined ? undefined : joinRefusal(open, plan, joins);
  if (mismatch !== undefined) return mismatch;
  if (situation.ttl === 1 && !isOnSubnet(situation.originator, situation.subnet)) return [Extended.offSubnetMulticast];
  return joins === undefined ? plan : { ...plan, joins };
}

/**
 * Checks what a null Forward_Open asks about: points that the device has, with their configuration, or a configuration alone.
 *
 * @see reference ethernet-ip.md 6.8
 */
export function checkNullPath(path: IoPath, points: readonly ConnectionDescription[]): Refused | undefined {
  const { configuration, consume, produce, data } = path;
  const isAlone = configuration === consume && configuration === produce;
  if (!isAlone) {
    const point = findPoint(path, points);
    return typeof point === "number" ? [point] : configurationPathRefusal(path, point);
  }
  if (points.some((point) => point.configuration === configuration)) return undefined;
  if (data !== undefined) return [Extended.configurationPath];
  const isPoint = points.some((point) => point.consume === consume || point.produce === produce);
  return isPoint ? undefined : [Extended.invalidPath];
}

/** Tells a plan from the words that refuse it. */
export function isRefused(result: OpenPlan | Refused): result is Refused {
  return Array.isArray(result);
}

function findPoint(path: IoPath, points: readonly ConnectionDescription[]): ConnectionDescription | number {
  const found = points.find(({ consume, produce }) => consume === path.consume && produce === path.produce);
  if (found !== undefined) return found;
  const consumes = points.some(({ consume }) => consume === path.consume);
  const produces = points.some(({ produce }) => produce === path.produce);
  if (consumes && produces) return Extended.pathCombination;
  if (consumes) return Extended.producingPath;
  return produces ? Extended.consumingPath : Extended.invalidPath;
}

/** A configuration other than the device's, or data for none. */
function configurationPathRefusal(path: IoPath, point: ConnectionDescription): Refused | undefined {
  const isWrong =
    path.configuration === undefined ? path.data !== undefined : path.configuration !== point.configuration;
  return isWrong ? [Extended.configurationPath] : undefined;
}

function parameterRefusal(
  { oToT, tToO }: ForwardOpen,
  point: ConnectionDescription,
  { hasMulticast }: OpenSituation,
): Refused | undefined {
  if (oToT.reservedBits !== undefined || tToO.reservedBits !== undefined) return [Extended.invalidParameter];
  if (oToT.type !== ConnectionType.pointToPoint) return [Extended.oToTType];
  const isSendable =
    tToO.type === ConnectionType.pointToPoint ||
    (tToO.type === ConnectionType.multicast && point.multicast && hasMulticast);
  if (!isSendable) return [Extended.tToOType];
  if (!mayHave(point, oToT.priority)) return [Extended.oToTPriority];
  if (!mayHave(point, tToO.priority)) return [Extended.tToOPriority];
  if (oToT.redundantOwner) return [Extended.oToTRedundantOwner];
  // Idle shows by a length of 0, which a fixed size does not allow.
  if (point.oToTFormat === "zero-length" && !oToT.variable) return [Extended.oToTVariable];
  if (point.tToOFormat === "zero-length" && !tToO.variable) return [Extended.tToOVariable];
  return undefined;
}

function mayHave({ priorities = priorityNames }: ConnectionDescription, priority: number): boolean {
  return priorities.some((name) => priorityNames[priority] === name);
}

function rpiRefusal(open: ForwardOpen, point: ConnectionDescription): Refused | undefined {
  const { oToTRpiMicros, tToORpiMicros } = open;
  if (oToTRpiMicros === 0 || tToORpiMicros === 0) return [Extended.rpiNotSupported];
  const oToT = rpiError(oToTRpiMicros, point);
  const tToO = rpiError(tToORpiMicros, point);
  return oToT.error === RpiError.none && tToO.error === RpiError.none ? undefined : rpiWords(oToT, tToO);
}

interface RpiVerdict {
  readonly error: number;
  /** The interval that would do. */
  readonly micros: number;
}

function rpiError(micros: number, { minRpiMicros, maxRpiMicros }: ConnectionDescription): RpiVerdict {
  if (micros < minRpiMicros) return { error: RpiError.tooSmall, micros: minRpiMicros };
  if (micros > maxRpiMicros) return { error: RpiError.tooLarge, micros: maxRpiMicros };
  return { error: RpiError.none, micros };
}

function rpiWords(oToT: RpiVerdict, tToO: RpiVerdict): Refused {
  const types = oToT.error | (tToO.error << 8);
  return [Extended.rpiNotAcceptable, types, ...halves(oToT.micros), ...halves(tToO.micros)];
}

function halves(micros: number): readonly [number, number] {
  return [micros & 0xffff, micros >>> 16];
}

function inhibitRefusal(open: ForwardOpen, { inhibitMicros = 0 }: IoPath): Refused | undefined {
  return inhibitMicros > open.tToORpiMicros ? [Extended.inhibitAboveRpi] : undefined;
}

function sizeRefusal(
  open: ForwardOpen,
  point: ConnectionDescription,
  transportClass: 0 | 1,
  { sizeOf, maxPacket }: OpenSituation,
): Refused | undefined {
  const consumed = point.type === "exclusive-owner" ? sizeOf(point.consume) : 0;
  const oToT = connectionSize(transportClass, point.oToTFormat, consumed);
  if (open.oToT.size !== oToT) return [Extended.oToTSize, oToT];
  const tToO = connectionSize(transportClass, point.tToOFormat, sizeOf(point.produce));
  if (open.tToO.size > maxPacket) return [Extended.tToOSize, maxPacket];
  return open.tToO.size === tToO ? undefined : [Extended.tToOSize, tToO];
}

/** Configuration data must fit, must be there where they are needed, and must not change what an open connection runs by. */
function configurationRefusal(
  { data }: IoPath,
  point: ConnectionDescription,
  { sizeOf, configured, isSet, open }: OpenSituation,
): Refused | undefined {
  if (point.configuration === undefined) return undefined;
  if (data === undefined)
    return point.needsConfiguration === true && !isSet(point.configuration) ? [Extended.notConfigured] : undefined;
  const size = sizeOf(point.configuration);
  if (data.length !== size + (size % 2)) return [Extended.configurationSize, size];
  const inEffect = configured(point.configuration);
  const isOther = inEffect.some((octet, i) => octet !== data[i]);
  const isInUse = open.some(({ configuration }) => configuration === point.configuration);
  return isOther && isInUse ? [Extended.ownershipConflict] : undefined;
}

function ownershipRefusal(point: ConnectionDescription, { open }: OpenSituation): Refused | undefined {
  const isOwned = open.some(({ point: { type, consume } }) => type === "exclusive-owner" && consume === point.consume);
  if (point.type === "exclusive-owner" && isOwned) return [Extended.ownershipConflict];
  const hasOther = open.some(({ point: { type, produce } }) => type !== "listen-only" && produce === point.produce);
  if (point.type === "listen-only" && !hasOther) return [Extended.noOwner];
  const count = open.filter((other) => other.point === point).length;
  return count >= point.maxConnections ? [Extended.targetOutOfConnections] : undefined;
}

/** Who joins a multicast production takes it as it runs. */
function joinRefusal(
  open: ForwardOpen,
  { transportClass, trigger, inhibitMicros }: Pick<OpenPlan, "transportClass" | "trigger" | "inhibitMicros">,
  running: IoConnection,
): Refused | undefined {
  if (running.tToORpiMicros !== open.tToORpiMicros) {
    const oToT = { error: RpiError.none, micros: open.oToTRpiMicros };
    return rpiWords(oToT, { error: RpiError.mismatch, micros: running.tToORpiMicros });
  }
  const differs = (name: keyof NetworkParameters): boolean => running.tToO[name] !== open.tToO[name];
  // The class decides over the size, which of one class and point is always the same.
  if (running.transportClass !== transportClass) return [Extended.joinClass];
  if (differs("variable")) return [Extended.joinVariable];
  if (differs("priority")) return [Extended.joinPriority];
  if (running.trigger !== trigger) return [Extended.joinTrigger];
  const isOtherInhibit = trigger !== Trigger.cyclic && running.production.options.inhibitMicros !== inhibitMicros;
  return isOtherInhibit ? [Extended.joinInhibit] : undefined;
}

function isSameProduction(a: ConnectionDescription, b: ConnectionDescription): boolean {
  return a.produce === b.produce && a.tToOFormat === b.tToOFormat;
}

function refusal(extended: number): Refused {
  return [extended];
}
