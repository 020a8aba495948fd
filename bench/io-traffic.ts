/** Octets of data each way, as many as a small remote station has. */
export const dataOctets = 32;

/** Octets of a T→O datagram with that data: items and addresses, sequence count, data. */
export const datagramOctets = 18 + 2 + dataOctets;

/** Exclusive owners on one device; more connections go to more devices, which share a process. */
export const ownersPerDevice = 16;

/** One load: so many connections at one interval. */
export interface IoLoad {
  readonly rpiMicros: number;
  readonly connections: number;
}

/** Our devices, at consecutive addresses from `network`.1 on. */
export interface DeviceOrder extends IoLoad {
  readonly role: "devices";
  readonly network: string;
}

/** Our scanner; it opens all connections of the load to those devices. */
export interface ScannerOrder extends IoLoad {
  readonly role: "scanner";
  readonly address: string;
  readonly network: string;
}

/** A bare socket: sends so many datagrams each interval by `setTimeout`, and counts what comes from `peer`. */
export interface FlowOrder extends IoLoad {
  readonly role: "flow";
  readonly address: string;
  readonly peer: string;
}

/** What one connection saw while it was measured. Times between packets are in microseconds. */
export interface ConnectionFigures {
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  readonly lost: number;
  readonly late: number;
  readonly p1: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** What a process says at the end of the measurement. */
export interface ProcessFigures {
  /** Processor time by wall time, percent of one core. */
  readonly cpuPercent: number;
  /** Of what it receives; the devices count nothing. */
  readonly connections: readonly ConnectionFigures[];
}

/** Address of the device that serves this connection. */
export function deviceAddress(network: string, connection: number): string {
  return `${network}.${1 + Math.floor(connection / ownersPerDevice)}`;
}
