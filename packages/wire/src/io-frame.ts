import { ItemType } from "./cpf.ts";
import { WireError } from "./errors.ts";
import { noOctets } from "./encapsulation.ts";
import { u16At, u32At } from "./octets.ts";

/**
 * How application data lies behind the sequence count, and how idle shows. The wire does not say which one is used: both ends
 * know it from the device's description.
 *
 * @see CIP Vol 1, 3-6.1; reference ethernet-ip.md 6.11
 */
export type RealTimeFormat = "modeless" | "zero-length" | "run-idle-32" | "heartbeat";

/** Bits of the 32-bit real-time header. */
export const RunIdleBit = { run: 0x01, claimOwnership: 0x02, readyForOwnership: 0x0c } as const;

/** A class 0 or 1 datagram, its data not looked into. */
export interface IoFrame {
  readonly connectionId: number;
  /** 32-bit encapsulation sequence number; `undefined` where a class 0 producer leaves it out. */
  readonly sequence: number | undefined;
  /** Octets of the connected data item: a view on the datagram. */
  readonly data: Uint8Array;
}

/** What the connected data item of an I/O connection holds. */
export interface IoData {
  /** 16-bit sequence count of class 1; `undefined` for class 0. */
  readonly count: number | undefined;
  /** `undefined` where the format does not tell. */
  readonly run: boolean | undefined;
  /** The whole 32-bit header, where the format has one. */
  readonly header: number | undefined;
  /** Application data: a view on the datagram. */
  readonly data: Uint8Array;
}

/** Octets in front of the connected data: item count, sequenced address item, header of the data item. */
const prefix = 18;

/** The same with a connected address item, as some class 0 producers send. */
const shortPrefix = 14;

/**
 * Reads a datagram of the I/O port; `undefined` for anything that is not exactly an address and a data item. It does not throw:
 * what comes to an open UDP port is not worth an error.
 *
 * @see CIP Vol 2, 3-2; reference ethernet-ip.md 2.7
 */
export function readIo(bytes: Uint8Array): IoFrame | undefined {
  if (bytes.length < shortPrefix || u16At(bytes, 0) !== 2) return undefined;
  const type = u16At(bytes, 2);
  const isSequenced = type === ItemType.sequencedAddress && u16At(bytes, 4) === 8;
  if (!isSequenced && !(type === ItemType.connectedAddress && u16At(bytes, 4) === 4)) return undefined;
  const start = isSequenced ? prefix : shortPrefix;
  if (bytes.length < start || u16At(bytes, start - 4) !== ItemType.connectedData) return undefined;
  if (u16At(bytes, start - 2) !== bytes.length - start) return undefined;
  return {
    connectionId: u32At(bytes, 6),
    sequence: isSequenced ? u32At(bytes, 10) : undefined,
    data: bytes.subarray(start),
  };
}

/**
 * Takes the data of an I/O connection apart; `undefined` when it is too short for the count and header that it must have.
 *
 * @param transportClass 1 has a sequence count in front, 0 has none.
 * @see reference ethernet-ip.md 6.11
 */
export function readIoData(data: Uint8Array, transportClass: 0 | 1, format: RealTimeFormat): IoData | undefined {
  const behindCount = transportClass === 1 ? 2 : 0;
  const start = behindCount + (format === "run-idle-32" ? 4 : 0);
  if (data.length < start) return undefined;
  const header = format === "run-idle-32" ? u32At(data, behindCount) : undefined;
  const rest = data.subarray(start);
  return {
    count: transportClass === 1 ? u16At(data, 0) : undefined,
    run: runOf(format, header, rest),
    header,
    data: rest,
  };
}

/** Octets of the connection size beside the application data: sequence count and real-time header. */
export function ioOverhead(transportClass: 0 | 1, format: RealTimeFormat): number {
  return (transportClass === 1 ? 2 : 0) + (format === "run-idle-32" ? 4 : 0);
}

/** Whether a 32-bit sequence number is newer than the last, across the wrap. @see reference ethernet-ip.md 6.13 */
export function isNewer32(sequence: number, last: number): boolean {
  return ((sequence - last) | 0) > 0;
}

/** Whether a 16-bit sequence count is newer than the last, across the wrap. */
export function isNewer16(count: number, last: number): boolean {
  return ((count - last) << 16) >> 16 > 0;
}

/** What a producer sends on a connection. */
export interface IoWriterOptions {
  /** The id that the receiver consumes. */
  readonly connectionId: number;
  readonly transportClass: 0 | 1;
  readonly format: RealTimeFormat;
  /** Octets of application data; 0 for a heartbeat. */
  readonly size: number;
}

/**
 * The datagram of one connection, made once: each packet patches its sequence number, each change of data its count. Counts
 * start at 1, as consumers exist that take a first count of 0 for a repeat.
 *
 * @see reference ethernet-ip.md 6.13
 */
export class IoWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #options: IoWriterOptions;
  /** The datagram without application data, for a zero-length format that is idle. */
  readonly #empty: Uint8Array;
  readonly #data: Uint8Array;
  readonly #dataAt: number;
  #isRun = true;
  #sequence = 0;
  #count = 1;
  #isFresh = true;

  constructor(options: IoWriterOptions) {
    const { connectionId, transportClass, format } = options;
    const size = format === "heartbeat" ? 0 : options.size;
    const overhead = ioOverhead(transportClass, format);
    if (overhead + size > 0xffff - prefix)
      throw new WireError("wire/length", `I/O data of ${size} octets does not fit one datagram`, { facts: { size } });
    this.#options = { ...options, size };
    this.#dataAt = prefix + overhead;
    this.#bytes = new Uint8Array(this.#dataAt + size);
    this.#empty = this.#bytes.subarray(0, this.#dataAt);
    this.#data = size === 0 ? noOctets : this.#bytes.subarray(this.#dataAt);
    this.#view = new DataView(this.#bytes.buffer);
    this.#view.setUint16(0, 2, true);
    this.#view.setUint16(2, ItemType.sequencedAddress, true);
    this.#view.setUint16(4, 8, true);
    this.#view.setUint32(6, connectionId, true);
    this.#view.setUint16(14, ItemType.connectedData, true);
    if (transportClass === 1) this.#view.setUint16(prefix, this.#count, true);
    this.#patchMode();
  }

  /** The application data as it will be sent: a view; tell {@link changed} after writing to it. */
  get data(): Uint8Array {
    return this.#data;
  }

  /** Takes new application data, of which the first octets are used; a shorter one leaves the rest as it was. */
  setData(octets: Uint8Array): void {
    const { size } = this.#options;
    this.#bytes.set(octets.length > size ? octets.subarray(0, size) : octets, this.#dataAt);
    this.changed();
  }

  /** The data is new: the next packet carries the next count, however often it changes until then. */
  changed(): void {
    if (this.#isFresh) return;
    this.#isFresh = true;
    this.#count = (this.#count + 1) & 0xffff;
    if (this.#options.transportClass === 1) this.#view.setUint16(prefix, this.#count, true);
  }

  /** Run or idle, where the format tells it. A change of it is new data. */
  setRun(isRun: boolean): void {
    if (isRun === this.#isRun) return;
    this.#isRun = isRun;
    this.#patchMode();
    this.changed();
  }

  /** The next packet: the same octets each time, good until the next call on this writer. */
  next(): Uint8Array {
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#view.setUint32(10, this.#sequence, true);
    this.#isFresh = false;
    return this.#isEmpty() ? this.#empty : this.#bytes;
  }

  #isEmpty(): boolean {
    return this.#options.format === "zero-length" && !this.#isRun;
  }

  #patchMode(): void {
    const length = (this.#isEmpty() ? this.#empty.length : this.#bytes.length) - prefix;
    this.#view.setUint16(16, length, true);
    if (this.#options.format === "run-idle-32")
      this.#view.setUint32(this.#dataAt - 4, this.#isRun ? RunIdleBit.run : 0, true);
  }
}

function runOf(format: RealTimeFormat, header: number | undefined, data: Uint8Array): boolean | undefined {
  if (header !== undefined) return (header & RunIdleBit.run) !== 0;
  return format === "zero-length" ? data.length > 0 : undefined;
}
