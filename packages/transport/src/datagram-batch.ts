import { nativeErrors, socketAddress, type NativeSockets } from "./native-sockets.ts";

/*
 * Many datagrams in one call of the system. Tables are laid out once, as the C library of 64-bit Linux has them:
 * `struct mmsghdr` of 64 octets, `struct iovec` and `struct sockaddr_in` of 16, control messages of 24 (TOS) and 24 (TTL).
 */

/** Datagrams of one call: more gain nothing, and a flood gets the loop no longer than this. */
const slots = 64;

/** The largest datagram of IPv4. */
const maxDatagram = 65_507;

/** Octets that wait to be sent; room for two of the largest. */
const arenaOctets = 2 * 65_536;

/** Words of a `struct mmsghdr`, and places in it. */
const headerWords = 16;
const at = { name: 0, nameLength: 2, parts: 4, partCount: 6, control: 8, controlLength: 10, length: 14 } as const;
const headerOctets = headerWords * 4;
const addressWords = 4;
const controlWords = 12;
const controlOctets = controlWords * 4;

/** Control messages: level IP, and the two types that are used. */
const levelIp = 0;
const typeOfService = 1;
const timeToLive = 2;

/** Where datagrams go and how they are marked, as the system wants it told. */
export interface NativeDestination {
  readonly address: Uint32Array;
  readonly control: Uint32Array;
  readonly controlOctets: number;
}

/** @param hops Time to live, where it is not the system's own. */
export function nativeDestination(
  address: string,
  port: number,
  dscp: number | undefined,
  hops: number | undefined,
): NativeDestination {
  const control = new Uint32Array(controlWords);
  let used = 0;
  const add = (type: number, value: number): void => {
    // Length of the message without its padding, then level, type and value.
    control.set([20, 0, levelIp, type, value, 0], used);
    used += 6;
  };
  if (dscp !== undefined) add(typeOfService, (dscp & 0x3f) << 2);
  if (hops !== undefined) add(timeToLive, hops);
  return { address: socketAddress(address, port), control, controlOctets: used * 4 };
}

/**
 * Sends what is added within one turn of the process by as few calls as can be: with the next microtask, or when the tables are
 * full. Adding copies the octets.
 */
export class SendBatch {
  readonly #native: NativeSockets;
  readonly #fd: number;
  readonly #failed: (count: number) => void;
  readonly #octets: Uint8Array;
  readonly #octetsAt: number;
  readonly #headers = words(slots * headerWords);
  readonly #headersAt: number;
  readonly #parts = words(slots * 4);
  readonly #addresses = words(slots * addressWords);
  readonly #controls = words(slots * controlWords);
  #count = 0;
  #used = 0;
  readonly #flush = (): void => this.flush();

  /** @param room Octets that may wait. */
  constructor(native: NativeSockets, fd: number, failed: (count: number) => void, room = arenaOctets) {
    this.#native = native;
    this.#fd = fd;
    this.#failed = failed;
    // Not of the runtime's pool, so that it stays where it is.
    this.#octets = Buffer.allocUnsafeSlow(room);
    this.#octetsAt = native.addressOf(this.#octets);
    this.#headersAt = native.addressOf(this.#headers);
    const names = native.addressOf(this.#addresses);
    const parts = native.addressOf(this.#parts);
    const controls = native.addressOf(this.#controls);
    for (let i = 0; i < slots; i += 1) {
      const header = i * headerWords;
      putPointer(this.#headers, header + at.name, names + i * 16);
      this.#headers[header + at.nameLength] = 16;
      putPointer(this.#headers, header + at.parts, parts + i * 16);
      this.#headers[header + at.partCount] = 1;
      putPointer(this.#headers, header + at.control, controls + i * controlOctets);
    }
  }

  /** Takes one datagram; one that is too long counts as failed. */
  add(bytes: Uint8Array, { address, control, controlOctets }: NativeDestination): void {
    const { length } = bytes;
    const room = this.#octets.length;
    if (length > maxDatagram || length > room) return this.#failed(1);
    if (this.#count === slots || this.#used + length > room) this.flush();
    const i = this.#count;
    if (i === 0) queueMicrotask(this.#flush);
    this.#count = i + 1;
    copy(bytes, this.#octets, this.#used);
    putPointer(this.#parts, i * 4, this.#octetsAt + this.#used);
    this.#parts[i * 4 + 2] = length;
    this.#used += length;
    for (let word = 0; word < addressWords; word += 1) this.#addresses[i * addressWords + word] = address[word] ?? 0;
    this.#headers[i * headerWords + at.controlLength] = controlOctets;
    const used = controlOctets / 4;
    for (let word = 0; word < used; word += 1) this.#controls[i * controlWords + word] = control[word] ?? 0;
  }

  /** Sends what waits, now. What the system does not take is dropped and counted: I/O is worth nothing when it is late. */
  flush(): void {
    const count = this.#count;
    let done = 0;
    while (done < count) {
      const sent = this.#native.sendMany(this.#fd, this.#headersAt + done * headerOctets, count - done);
      if (sent > 0) {
        done += sent;
        continue;
      }
      const error = this.#native.lastError();
      if (error === nativeErrors.interrupted) continue;
      const isFull = error === nativeErrors.wouldBlock || error === nativeErrors.noBuffers;
      const lost = isFull ? count - done : 1;
      this.#failed(lost);
      done += lost;
    }
    this.#count = 0;
    this.#used = 0;
  }
}

/** Takes what waits in sockets, many datagrams a call. One for the process: what it gives is good during the call only. */
export class ReceiveBatch {
  readonly #native: NativeSockets;
  readonly #octets: Uint8Array<ArrayBuffer>;
  readonly #headers = words(slots * headerWords);
  readonly #headersAt: number;
  readonly #parts = words(slots * 4);
  readonly #addresses = words(slots * addressWords);
  /** The view given last for each slot: packets of one connection all have one length, so most need no other. */
  readonly #views: Uint8Array[] = [];

  constructor(native: NativeSockets) {
    this.#native = native;
    // Virtual memory for the largest there can be; what is never written to takes none of the machine's.
    this.#octets = new Uint8Array(Buffer.allocUnsafeSlow(slots * 65_536).buffer);
    this.#headersAt = native.addressOf(this.#headers);
    const octets = native.addressOf(this.#octets);
    const names = native.addressOf(this.#addresses);
    const parts = native.addressOf(this.#parts);
    for (let i = 0; i < slots; i += 1) {
      const header = i * headerWords;
      putPointer(this.#headers, header + at.name, names + i * 16);
      putPointer(this.#headers, header + at.parts, parts + i * 16);
      this.#headers[header + at.partCount] = 1;
      putPointer(this.#parts, i * 4, octets + i * 65_536);
      this.#parts[i * 4 + 2] = 65_536;
      this.#views.push(this.#octets.subarray(0, 0));
    }
  }

  /**
   * Reads up to {@link slots} datagrams and gives each with its sender: IPv4 address as a number, and port.
   *
   * @param isOpen Asked before each: what is given may close the socket, and the rest is then nobody's.
   */
  drain(fd: number, isOpen: () => boolean, take: (bytes: Uint8Array, address: number, port: number) => void): void {
    for (let i = 0; i < slots; i += 1) this.#headers[i * headerWords + at.nameLength] = 16;
    const count = this.#native.receiveMany(fd, this.#headersAt, slots);
    for (let i = 0; i < count && isOpen(); i += 1) {
      const first = this.#addresses[i * addressWords] ?? 0;
      const address = this.#addresses[i * addressWords + 1] ?? 0;
      take(this.#view(i), swap32(address), swap16(first >>> 16));
    }
  }

  #view(i: number): Uint8Array {
    const length = this.#headers[i * headerWords + at.length] ?? 0;
    const known = this.#views[i];
    if (known?.length === length) return known;
    return (this.#views[i] = this.#octets.subarray(i * 65_536, i * 65_536 + length));
  }
}

/** Words outside the collector's heap: small typed arrays are moved about until somebody asks for their buffer. */
function words(count: number): Uint32Array {
  return new Uint32Array(new ArrayBuffer(count * 4));
}

/** Addresses are below 2^48, so a number holds them; bigints would be made anew for each packet. */
function putPointer(table: Uint32Array, place: number, address: number): void {
  table[place] = address % 2 ** 32;
  table[place + 1] = Math.floor(address / 2 ** 32);
}

/** A loop costs less than a call into the runtime for the few octets of most packets. */
function copy(from: Uint8Array, to: Uint8Array, start: number): void {
  if (from.length > 96) return to.set(from, start);
  for (let i = 0; i < from.length; i += 1) to[start + i] = from[i] ?? 0;
}

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

function swap32(value: number): number {
  return ((swap16(value & 0xffff) << 16) | swap16(value >>> 16)) >>> 0;
}
