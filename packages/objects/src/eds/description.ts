import type { Segment } from "@cipsec/wire";
import type { ObjectClass } from "../declare.ts";
import type {
  ApplicationType,
  ConnectionTypeName,
  PriorityName,
  ProductionTrigger,
  RealTimeFormat,
} from "./connection-words.ts";
import type { EdsCapacity, EdsTraffic } from "./device-parts.ts";
import type { EdsDate, EdsTime } from "./model.ts";

/** What {@link makeEds} needs to know of a device. Sizes, paths, dwords and references follow from it. */
export interface EdsDescription {
  readonly file: {
    readonly description: string;
    readonly created: Required<MadeStamp>;
    readonly modified?: Required<MadeStamp>;
    readonly revision: { readonly major: number; readonly minor: number };
    readonly homeUrl?: string;
  };
  readonly device: {
    readonly vendorId: number;
    readonly vendorName: string;
    readonly deviceType: number;
    readonly deviceTypeText: string;
    readonly productCode: number;
    readonly revision: { readonly major: number; readonly minor: number };
    readonly productName: string;
    readonly catalog?: string;
  };
  readonly params?: readonly MadeParam[];
  /** Where the device hosts the Parameter Object. */
  readonly paramClass?: MadeParamClass;
  readonly assemblies?: readonly MadeAssembly[];
  readonly connections?: readonly MadeConnection[];
  readonly capacity?: Partial<Omit<EdsCapacity, "traffic">> & { readonly traffic?: readonly EdsTraffic[] };
  readonly ports?: readonly MadePort[];
  readonly classes?: readonly MadeClass[];
}

export interface MadeStamp {
  readonly date: EdsDate;
  readonly time: EdsTime;
}

/** ParamN; N is its place in the list, from 1. */
export interface MadeParam {
  readonly name: string;
  /** Code of an elementary type of fixed size, such as 0xC7. */
  readonly dataType: number;
  readonly default: number | bigint;
  readonly minimum?: number | bigint;
  readonly maximum?: number | bigint;
  readonly units?: string;
  readonly help?: string;
  /** Where the value can be read and, unless `isReadOnly`, written. */
  readonly path?: readonly Segment[];
  readonly isReadOnly?: boolean;
  /** The device changes the value by itself. */
  readonly isMonitored?: boolean;
  /** How the value is shown: `(value + offset) × multiplier × base ÷ (divisor × 10^decimals)`. */
  readonly scaling?: MadeScaling;
  /** Digits behind the point. */
  readonly decimals?: number;
  /** Names of the values. */
  readonly choices?: readonly { readonly value: number; readonly text: string }[];
}

/** Numbers of a scaled parameter; all 1 but `offset`, which is 0, change nothing. */
export interface MadeScaling {
  readonly multiplier: number;
  readonly divisor: number;
  readonly base: number;
  readonly offset: number;
}

/** The Parameter Object's class attributes. */
export interface MadeParamClass {
  /** Highest instance, which can be below the number of `params`: what only the EDS needs has none. */
  readonly maxInstance: number;
  readonly descriptor: number;
  /** Instance of the configuration assembly; 0 where there is none. */
  readonly configurationAssembly: number;
}

/** AssemN, where N is the instance of the Assembly Object. */
export interface MadeAssembly {
  readonly instance: number;
  readonly name: string;
  readonly members: readonly MadeMember[];
}

/** A parameter by its name, an assembly by its instance, or padding. The same member may stand many times. */
export type MadeMember = { readonly repeat?: number } & (
  | { readonly param: string; readonly bits?: number }
  | { readonly assembly: number }
  | { readonly padding: number }
);

/** ConnectionN; N is its place in the list, from 1. */
export interface MadeConnection {
  readonly name: string;
  readonly help?: string;
  readonly type: ApplicationType;
  /** Only class 1 when left out. */
  readonly classes?: readonly number[];
  /** Only cyclic when left out. */
  readonly triggers?: readonly ProductionTrigger[];
  readonly oToT: MadeDirection;
  readonly tToO: MadeDirection;
  /** Instance of the configuration assembly; its data are sent where it is one of `assemblies`. */
  readonly configuration?: number;
}

export interface MadeDirection {
  /** Connection point: an assembly of `assemblies`, or a number of its own for a heartbeat. */
  readonly point: number;
  /** O→T: 32-bit header for data, heartbeat for none. T→O: modeless. */
  readonly format?: RealTimeFormat;
  /** O→T: point to point. T→O: multicast and point to point. */
  readonly types?: readonly ConnectionTypeName[];
  /** Only scheduled when left out. */
  readonly priorities?: readonly PriorityName[];
  /** Fixed when left out. */
  readonly isVariable?: boolean;
  /** Microseconds. */
  readonly rpi: { readonly minimum: number; readonly maximum: number; readonly default: number };
}

export interface MadePort {
  readonly type: string;
  readonly name: string;
  readonly path: readonly Segment[];
  readonly number: number;
}

/** A class that the device hosts, as it is declared. */
export interface MadeClass {
  readonly declaration: ObjectClass;
  /** Highest instance; 1 when left out. */
  readonly maxInstance?: number;
  /** Instances that are always there; as many as `maxInstance` when left out. */
  readonly instances?: number;
  /** Instances that can be created; none when left out. */
  readonly dynamicInstances?: number;
  /** Names of optional attributes and services that the device has. */
  readonly optional?: readonly string[];
}
