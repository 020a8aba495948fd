/** How a producer starts a packet, in the order of the bits and of the trigger field of the transport octet. */
export const productionTriggers = ["cyclic", "changeOfState", "application"] as const;
export type ProductionTrigger = (typeof productionTriggers)[number];

export const applicationTypes = ["listenOnly", "inputOnly", "exclusiveOwner", "redundantOwner"] as const;
export type ApplicationType = (typeof applicationTypes)[number];

/** By their number in network connection parameters. */
export const connectionTypes = ["null", "multicast", "pointToPoint"] as const;
export type ConnectionTypeName = (typeof connectionTypes)[number];

/** By their number in network connection parameters; urgent has no bit in an EDS. */
export const priorities = ["low", "high", "scheduled"] as const;
export type PriorityName = (typeof priorities)[number];

/** Real-time formats by their code in an EDS. @see reference ethernet-ip.md 6.11 */
export const realTimeFormats = ["modeless", "zeroLength", "reserved", "heartbeat", "header32", "safety"] as const;
export type RealTimeFormat = (typeof realTimeFormats)[number];

/** First dword of a ConnectionN. */
export interface TransportWord {
  /** Transport classes 0 to 15 that are supported. */
  readonly classes: readonly number[];
  readonly triggers: readonly ProductionTrigger[];
  readonly applicationTypes: readonly ApplicationType[];
  /** The target is the server of a class 2 or 3 connection. */
  readonly isServer: boolean;
}

/** What one direction of a connection may be. */
export interface DirectionWord {
  readonly isFixed: boolean;
  readonly isVariable: boolean;
  /** `reserved` also for codes that nobody has defined. */
  readonly format: RealTimeFormat;
  readonly types: readonly ConnectionTypeName[];
  readonly priorities: readonly PriorityName[];
}

/** Second dword of a ConnectionN. */
export interface ParametersWord {
  readonly oToT: DirectionWord;
  readonly tToO: DirectionWord;
}

/** @see reference ethernet-ip.md 9 */
export function readTransportWord(word: number): TransportWord {
  return {
    classes: Array.from({ length: 16 }, (_, n) => n).filter((n) => hasBit(word, n)),
    triggers: namesAt(word, 16, productionTriggers),
    applicationTypes: namesAt(word, 24, applicationTypes),
    isServer: hasBit(word, 31),
  };
}

export function writeTransportWord({ classes, triggers, applicationTypes: types, isServer }: TransportWord): number {
  const low = classes.reduce((sum, n) => sum + 2 ** n, 0);
  return (
    low + bitsAt(16, productionTriggers, triggers) + bitsAt(24, applicationTypes, types) + (isServer ? 2 ** 31 : 0)
  );
}

/** @see reference ethernet-ip.md 9 */
export function readParametersWord(word: number): ParametersWord {
  return { oToT: readDirection(word, oToTBits), tToO: readDirection(word, tToOBits) };
}

export function writeParametersWord({ oToT, tToO }: ParametersWord): number {
  return writeDirection(oToT, oToTBits) + writeDirection(tToO, tToOBits);
}

/** Where the bits of a direction begin. */
interface DirectionBits {
  readonly size: number;
  readonly format: number;
  readonly types: number;
  readonly priorities: number;
}

const oToTBits: DirectionBits = { size: 0, format: 8, types: 16, priorities: 24 };
const tToOBits: DirectionBits = { size: 2, format: 12, types: 20, priorities: 28 };

function readDirection(word: number, at: DirectionBits): DirectionWord {
  return {
    isFixed: hasBit(word, at.size),
    isVariable: hasBit(word, at.size + 1),
    format: realTimeFormats[(word >>> at.format) & 7] ?? "reserved",
    types: namesAt(word, at.types, connectionTypes),
    priorities: namesAt(word, at.priorities, priorities),
  };
}

function writeDirection(direction: DirectionWord, at: DirectionBits): number {
  const size = (direction.isFixed ? 1 : 0) + (direction.isVariable ? 2 : 0);
  return (
    size * 2 ** at.size +
    realTimeFormats.indexOf(direction.format) * 2 ** at.format +
    bitsAt(at.types, connectionTypes, direction.types) +
    bitsAt(at.priorities, priorities, direction.priorities)
  );
}

function hasBit(word: number, bit: number): boolean {
  return ((word >>> bit) & 1) === 1;
}

function namesAt<T>(word: number, from: number, names: readonly T[]): readonly T[] {
  return names.filter((_, n) => hasBit(word, from + n));
}

function bitsAt<T>(from: number, names: readonly T[], chosen: readonly T[]): number {
  return names.reduce((sum, name, n) => sum + (chosen.includes(name) ? 2 ** (from + n) : 0), 0);
}
