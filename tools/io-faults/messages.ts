/** Addresses of the four ends: the relay stands between scanner and device, with a face to each. */
export interface Addresses {
  readonly scanner: string;
  readonly front: string;
  readonly back: string;
  readonly device: string;
}

/** What the relay does to I/O datagrams, each way. Shares are of 1. */
export interface Impairment {
  readonly loss?: number;
  readonly delayMs?: number;
  /** Share that comes {@link reorderMs} later than the rest. */
  readonly reorder?: number;
  readonly duplicate?: number;
  /** Nothing passes, neither datagrams nor TCP. */
  readonly isDown?: boolean;
}

/** Longer than an interval, so that what is held back comes behind its successor. */
export const reorderMs = 15;

/** Interval and watchdog of all connections: 16 intervals. */
export const rpiMs = 10;
export const timeoutMultiplier = 2;
export const timeoutMs = 160;

/** Connections to the device, each the owner of one output. */
export const connections = 4;

export const inputInstance = 100;
export const firstOutput = 150;

/** What outputs must be when their owner is gone. */
export const faultOctets = "f0f1f2f3";

/** First message of each process. */
export interface Start {
  readonly addresses: Addresses;
  readonly seed: number;
}

/** Later messages: the relay takes impairments, the others tell. */
export type Question =
  | { readonly ask: "impair"; readonly impairment: Impairment }
  | { readonly ask: "state" }
  | { readonly ask: "memory" }
  | { readonly ask: "stall" };

/** The longest that the machine held a process up since it was asked last. */
export interface Stall {
  readonly stalledMs: number;
}

/** Times are milliseconds of the machine's monotonic clock, which all processes share. */
export interface RelayState {
  readonly lastToDeviceMs: number;
  readonly forwarded: number;
  readonly dropped: number;
}

export interface DeviceState {
  readonly connections: number;
  /** Outputs that went into their fault state, since the start. */
  readonly timeouts: readonly { readonly instance: number; readonly atMs: number; readonly octets: string }[];
  /** Outputs told to the application that were older than the one before. */
  readonly backwards: number;
  readonly outputs: number;
  readonly stale: number;
}

export interface ScannerState {
  readonly connections: readonly {
    readonly state: string;
    readonly opens: number;
    readonly timeouts: number;
    readonly refusals: number;
    readonly received: number;
    readonly lost: number;
    readonly duplicates: number;
    readonly outOfOrder: number;
    /** Packets of the connection that runs now; 0 where none does. */
    readonly receivedNow: number;
    readonly reason: string | undefined;
  }[];
  readonly backwards: number;
  readonly inputs: number;
  readonly sessions: number;
  /** When connections last ended by their watchdog. */
  readonly lastTimeoutMs: number;
}

/** Of a process, after collection. */
export interface Memory {
  readonly heapBytes: number;
  /** Open handles by kind, timers left out. */
  readonly handles: Readonly<Record<string, number>>;
}

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
