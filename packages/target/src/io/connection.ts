import type { Cancel, ChannelFacts, Endpoint } from "@cipsec/transport";
import type { NetworkParameters, RealTimeFormat, Segment, Triad } from "@cipsec/wire";
import type { ConnectionDescription } from "./description.ts";
import type { Production } from "./production.ts";

/** Why a connection has ended. */
export type IoEnd = "closed" | "timeout" | "owner-gone" | "port-closed" | "refused";

/** An open class 0 or 1 connection. */
export interface IoConnection extends Triad {
  /** Number among all connections of the device. */
  readonly number: number;
  readonly point: ConnectionDescription;
  readonly configuration: number | undefined;
  /** Chosen by us; the originator's packets carry it. */
  readonly oToTConnectionId: number;
  /** What the originator asked for, and what our packets carry: the same unless T→O is multicast. */
  readonly askedTtoOConnectionId: number;
  readonly tToOConnectionId: number;
  readonly transportClass: 0 | 1;
  readonly trigger: number;
  readonly timeoutMultiplier: number;
  readonly oToTRpiMicros: number;
  readonly tToORpiMicros: number;
  readonly oToT: NetworkParameters;
  readonly tToO: NetworkParameters;
  readonly path: readonly Segment[];
  /** Who opened it and may close it. */
  readonly owner: string;
  /** The channel that it was opened over; its data go by it only where that is an association. */
  readonly channel: ChannelFacts;
  /** Packets are taken from this address and protocol only; of a DTLS association, only by it. */
  readonly peer: {
    readonly address: string;
    readonly protocol: string;
    readonly association: ChannelFacts | undefined;
  };
  /** Where T→O packets go: the originator, or a group. */
  readonly destination: Endpoint;
  readonly production: Production;
  /** State of the consuming half. */
  readonly consumed: Consumed;
}

/** What a connection has consumed. */
export interface Consumed {
  hasHeard: boolean;
  /** Microseconds on the engine's clock. */
  lastHeardMicros: number;
  lastSequence: number | undefined;
  lastCount: number | undefined;
  /** `undefined` before the first packet; formats that cannot tell idle always run. */
  isRun: boolean | undefined;
  watchdog: Cancel;
  packets: number;
}

/** What the connection size has to be for an application size: octets behind the item header. */
export function connectionSize(transportClass: 0 | 1, format: RealTimeFormat, size: number): number {
  const count = transportClass === 1 ? 2 : 0;
  if (format === "heartbeat") return count;
  return count + (format === "run-idle-32" ? 4 : 0) + size;
}

/** Silence that ends a connection, microseconds. */
export function timeoutMicros({ oToTRpiMicros, timeoutMultiplier }: IoConnection): number {
  return oToTRpiMicros * 4 * 2 ** timeoutMultiplier;
}
