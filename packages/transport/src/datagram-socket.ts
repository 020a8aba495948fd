import dgram from "node:dgram";
import { isIP } from "node:net";
import { TransportError } from "@cipsec/wire";
import type { ChannelFacts, Endpoint } from "./channel.ts";
import { nativeDestination, ReceiveBatch, SendBatch } from "./datagram-batch.ts";
import { countDatagram } from "./datagram-count.ts";
import { endpointText } from "./endpoint.ts";
import { KnownPeers } from "./known-peers.ts";
import { nativeSockets, type NativeSockets } from "./native-sockets.ts";
import { networkError } from "./network-errors.ts";

/** Octets that may wait in the socket: I/O is worth nothing when it is late, so what is beyond a few frames is dropped. */
const maxQueuedBytes = 256 * 1024;

/** Octets that may arrive while the process is busy: 128 connections at 10 ms bring a burst of some 50 KiB, this holds many. */
const receiveBufferBytes = 2 * 1024 * 1024;

/** Bursts of a thousand connections fit in; the system may grant less. */
const sendBufferBytes = 1024 * 1024;

/** How datagrams of one path are marked. */
export interface PathOptions {
  /** Differentiated services code point, 0 to 63; without effect where nothing can mark. */
  readonly dscp?: number;
  /** Hops that multicast may go; 1 stays on the subnet. */
  readonly ttl?: number;
}

/** How one peer or group is sent to. */
export interface SendPath {
  /** Code point that its datagrams carry; `undefined` where they go unmarked, whatever was asked for. */
  readonly dscp?: number;
  /**
   * Sends one datagram; never throws, failures are counted by the port. The octets may be changed once the call has returned:
   * where the network did not take them at once, which is rare, they may go out as they are then.
   */
  send(bytes: Uint8Array): void;
}

/** What to bind. */
export interface DatagramSocketOptions {
  /** A numeric address of this machine; `0.0.0.0` for all. */
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Share address and port with other sockets of the machine. */
  readonly reuse?: boolean;
  /** False keeps to what the runtime can do; default is the C library's calls where they can be had. */
  readonly native?: boolean;
  /** Told of datagrams that could not be sent, or were dropped because too many waited. */
  readonly failed: (count?: number) => void;
  /** Octets that may wait for the end of a turn. Each socket that sends has so many; default is room for the largest datagrams. */
  readonly room?: number;
  /** Facts to share with another socket. */
  readonly peers?: KnownPeers;
}

/**
 * A bound UDP socket. With the optional package `koffi` on Linux, datagrams of one turn leave by one call, those that wait are read
 * by one, and both carry marks; else by the runtime's own means.
 */
export class DatagramSocket {
  readonly local: Endpoint;
  readonly peers: KnownPeers;
  readonly #socket: dgram.Socket;
  readonly #native: { readonly calls: NativeSockets; readonly fd: number } | undefined;
  readonly #failed: (count?: number) => void;
  readonly #plain: PlainSender;
  readonly #room: number | undefined;
  #batch: SendBatch | undefined;
  #isOpen = true;
  #closing: Promise<void> | undefined;

  private constructor({ socket, fd }: Bound, calls: NativeSockets | undefined, options: DatagramSocketOptions) {
    const { address, port } = socket.address();
    this.local = { address, port };
    this.peers = options.peers ?? new KnownPeers(this.local);
    this.#socket = socket;
    this.#native = calls === undefined || fd === undefined ? undefined : { calls, fd };
    this.#failed = options.failed;
    this.#room = options.room;
    this.#plain = new PlainSender(socket, options.failed);
    // An ICMP "port unreachable" for something sent earlier ends nothing here.
    socket.on("error", () => this.#failed());
  }

  /** @throws {TransportError} `transport/address` when it cannot be bound. */
  static async open(options: DatagramSocketOptions): Promise<DatagramSocket> {
    const { address, port, reuse = false, native } = options;
    const calls = native === false || isIP(address) !== 4 ? undefined : await nativeSockets();
    return new DatagramSocket(await bind(address, port, reuse, calls), calls, options);
  }

  /** Whether code points go out: the runtime cannot mark UDP, the optional package `koffi` can. */
  get marks(): boolean {
    return this.#native !== undefined;
  }

  /** Gives what comes, once called. `bytes` are good during the call only; the same peer always comes with the same `from`. */
  receive(receive: (bytes: Uint8Array, from: ChannelFacts) => void): void {
    const native = this.#native;
    const waiting = native && sharedReceiveBatch(native.calls);
    const isOpen = (): boolean => this.#isOpen;
    const take = (bytes: Uint8Array, address: number, port: number): void => {
      countDatagram();
      receive(bytes, this.peers.numbered(address, port));
    };
    this.#socket.on("message", (bytes, { address, port }) => {
      if (!this.#isOpen) return;
      countDatagram();
      // No Buffer, whose slice() would share what the caller means to copy.
      receive(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), this.peers.facts(address, port));
      // The runtime has found one: what else waits comes here at a fraction of what it takes for each.
      if (this.#isOpen && native !== undefined) waiting?.drain(native.fd, isOpen, take);
    });
  }

  /** The way to a peer or group; an address that cannot be used counts as a failure with each datagram. */
  path(remote: Endpoint, { dscp, ttl = 1 }: PathOptions = {}): SendPath {
    const isUsable = isIP(remote.address) !== 0 && remote.port > 0 && remote.port < 65_536;
    const hops = isMulticast(remote.address) ? ttl : undefined;
    if (!isUsable) return { send: () => (this.#isOpen ? this.#failed() : undefined) };
    const native = this.#native;
    if (native === undefined || isIP(remote.address) !== 4)
      return { send: (bytes) => (this.#isOpen ? this.#plain.send(bytes, remote, hops) : undefined) };
    // Only now: most ports of a lab never send.
    const sender = (this.#batch ??= new SendBatch(native.calls, native.fd, this.#failed, this.#room));
    const destination = nativeDestination(remote.address, remote.port, dscp, hops);
    const send = (bytes: Uint8Array): void => (this.#isOpen ? sender.add(bytes, destination) : undefined);
    return dscp === undefined ? { send } : { dscp, send };
  }

  /** Sending to a group goes out of the interface that has this address, not by the default route. */
  setMulticastInterface(address: string): void {
    this.#socket.setMulticastInterface(address);
  }

  addMembership(group: string, address: string | undefined): void {
    this.#socket.addMembership(group, address);
  }

  /** Sends what waits, and closes. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    // Before the number of the descriptor can be another's.
    this.#batch?.flush();
    this.#isOpen = false;
    await this.#plain.drained();
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}

/** 224.0.0.0 to 239.255.255.255. */
export function isMulticast(address: string): boolean {
  const first = Number(address.split(".", 1)[0]);
  return isIP(address) === 4 && first >= 224 && first <= 239;
}

/** One for the process: 4 MiB of addresses, of which what is used becomes memory. */
function sharedReceiveBatch(native: NativeSockets): ReceiveBatch {
  return (receiveBatch ??= new ReceiveBatch(native));
}

let receiveBatch: ReceiveBatch | undefined;

/** Sends by the runtime's means, a call for each datagram. */
class PlainSender {
  readonly #socket: dgram.Socket;
  readonly #failed: () => void;
  readonly #sent: (error: Error | null) => void;
  #hops = 1;
  #inFlight = 0;
  #drained: () => void = () => undefined;

  constructor(socket: dgram.Socket, failed: () => void) {
    this.#socket = socket;
    this.#failed = failed;
    this.#sent = (error) => {
      if (error !== null) failed();
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#drained();
    };
  }

  /** Settles when the system has taken what was sent: closing a socket drops the rest. */
  async drained(): Promise<void> {
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
  }

  send(bytes: Uint8Array, { address, port }: Endpoint, hops: number | undefined): void {
    if (this.#socket.getSendQueueSize() > maxQueuedBytes) return this.#failed();
    if (hops !== undefined && hops !== this.#hops) {
      this.#socket.setMulticastTTL(hops);
      this.#hops = hops;
    }
    this.#inFlight += 1;
    this.#socket.send(bytes, port, address, this.#sent);
  }
}

/** A socket that is bound; with its descriptor where the C library has made it. */
interface Bound {
  readonly socket: dgram.Socket;
  readonly fd: number | undefined;
}

async function bind(address: string, port: number, reuse: boolean, native: NativeSockets | undefined): Promise<Bound> {
  // Where that fails the runtime tries as well, and says why.
  const fd = native?.open(address, port, reuse);
  const socket = dgram.createSocket({
    recvBufferSize: receiveBufferBytes,
    sendBufferSize: sendBufferBytes,
    type: isIP(address) === 6 ? "udp6" : "udp4",
    reuseAddr: reuse,
    // Node looks even numeric addresses up, a tick later; this keeps order and never asks a name server.
    lookup: (host, _, done) => (isIP(host) === 0 ? done(notNumeric(host), "", 4) : done(null, host, isIP(host))),
  });
  await new Promise<void>((resolve, reject) => {
    const refused = (error: Error): void => {
      socket.close();
      reject(networkError(error, endpointText({ address, port })));
    };
    const bound = (): void => {
      socket.off("error", refused);
      resolve();
    };
    socket.once("error", refused);
    if (fd === undefined) socket.bind({ address, port, exclusive: true }, bound);
    else socket.bind({ fd, exclusive: true }, bound);
  });
  return { socket, fd };
}

function notNumeric(host: string): TransportError {
  return new TransportError("transport/address", `${host}: not a numeric address`);
}
