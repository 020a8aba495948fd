import dgram, { type RemoteInfo } from "node:dgram";
import { isIP } from "node:net";
import { TransportError } from "@cipsec/wire";
import type { ChannelFacts, Endpoint } from "./channel.ts";
import { shareDtls } from "./dtls-listen.ts";
import type { DtlsListener, DtlsShareOptions } from "./dtls-listen.ts";
import { nativeDestination, ReceiveBatch, SendBatch } from "./datagram-batch.ts";
import { countDatagram } from "./datagram-count.ts";
import { endpointText } from "./endpoint.ts";
import { nativeSockets, type NativeSockets } from "./native-sockets.ts";
import { networkError } from "./network-errors.ts";

/** Octets that may wait in the socket: I/O is worth nothing when it is late, so what is beyond a few frames is dropped. */
const maxQueuedBytes = 256 * 1024;

/** Octets that may arrive while the process is busy: 128 connections at 10 ms bring a burst of some 50 KiB, this holds many. */
const receiveBufferBytes = 2 * 1024 * 1024;

/** Peers whose facts are kept ready; more are a flood from made-up addresses, and the table starts over. */
const maxKnownPeers = 4096;

/** Groups that one port receives from: a scanner joins one per device that multicasts. Linux itself stops at 20 a socket. */
const maxGroups = 256;

/** How each class 0 and 1 datagram begins: its count of items, two. No DTLS record does. */
const ioFirstOctet = 2;

/** The way to one peer or multicast group, whatever protects it. */
export interface DatagramPath {
  readonly facts: ChannelFacts;
  /** Code point that its datagrams carry; `undefined` where they go unmarked, whatever was asked for. */
  readonly dscp?: number;
  /**
   * Sends one datagram; never throws, failures are counted by the port. The octets may be changed once the call has returned:
   * where the network did not take them at once, which is rare, they may go out as they are then.
   */
  send(bytes: Uint8Array): void;
}

/** How datagrams of one path are marked. */
export interface PathOptions {
  /** Differentiated services code point, 0 to 63; without effect where {@link IoPort.marks} is false. */
  readonly dscp?: number;
  /** Hops that multicast may go; 1 stays on the subnet. */
  readonly ttl?: number;
}

/** What to bind, and what becomes of datagrams. */
export interface IoPortOptions {
  /** A numeric address of this machine; `0.0.0.0` for all. */
  readonly address: string;
  /** 2222 by the standard; 0 chooses a free one. */
  readonly port: number;
  /** Share address and port with other sockets of the machine. */
  readonly reuse?: boolean;
  /** False keeps to what the runtime can do; default is the C library's calls where they can be had. */
  readonly native?: boolean;
  /** `bytes` are good during the call only. The same peer always comes with the same `from`. */
  readonly receive: (bytes: Uint8Array, from: ChannelFacts) => void;
  /** DTLS on the same port, told by the first octet. */
  readonly dtls?: DtlsShareOptions;
}

/** An open port for class 0 and 1 data. */
export interface IoPort extends AsyncDisposable {
  readonly local: Endpoint;
  /** Whether code points of {@link PathOptions.dscp} go out: the runtime cannot mark UDP, the optional package `koffi` can. */
  readonly marks: boolean;
  /** Datagrams that could not be sent, or were dropped because too many waited, and groups that could not be joined. */
  readonly sendErrors: number;
  /** Octets that one datagram may have, where that is known. */
  readonly maxMessage?: number;
  readonly dtls?: DtlsListener;
  path(remote: Endpoint, options?: PathOptions): DatagramPath;
  /** Receives what is sent to this group, at this or another port, until as many calls of {@link leave}. */
  join(group: string, port?: number): void;
  leave(group: string, port?: number): void;
}

/**
 * Opens a UDP port for I/O. With the optional package `koffi` on Linux, packets of one turn leave by one call, those that wait
 * are read by one, and both carry marks; else by the runtime's own means.
 *
 * @throws {TransportError} `transport/address` when it cannot be bound.
 */
export async function openIoPort(options: IoPortOptions): Promise<IoPort> {
  const { address, reuse = false, receive } = options;
  let errors = 0;
  const failed = (count = 1): void => {
    errors += count;
  };
  const native = options.native === false || isIP(address) !== 4 ? undefined : await nativeSockets();
  const { socket, fd } = await bind(address, options.port, reuse, native);
  const local = { address: socket.address().address, port: socket.address().port };
  const peers = new Peers(local);
  const groups = new Map<string, Group>();
  let isOpen = true;
  const dtls = await listenOn(socket, fd, options.dtls);
  // Sending to a group goes out of the interface that the port stands on, not by the default route.
  if (address !== "0.0.0.0" && isIP(address) === 4) socket.setMulticastInterface(address);
  const marks = native !== undefined && fd !== undefined;
  let batch: SendBatch | undefined;
  const plain = new PlainSender(socket, failed);

  const close = async (): Promise<void> => {
    if (!isOpen) return;
    // Before the number of the descriptor can be another's.
    batch?.flush();
    isOpen = false;
    for (const group of groups.values()) void group.socket.then(closeSocket);
    groups.clear();
    await dtls?.close();
    await closeSocket(socket);
  };
  return {
    local,
    marks,
    get sendErrors() {
      return errors;
    },
    ...(dtls === undefined ? {} : { dtls }),
    path: (remote, { dscp, ttl = 1 } = {}) => {
      const facts: ChannelFacts = { protocol: "udp", local, remote };
      const isUsable = isIP(remote.address) !== 0 && remote.port > 0 && remote.port < 65_536;
      const hops = isMulticast(remote.address) ? ttl : undefined;
      if (!isUsable) return { facts, send: () => (isOpen ? failed() : undefined) };
      if (!marks || isIP(remote.address) !== 4)
        return { facts, send: (bytes) => (isOpen ? plain.send(bytes, remote, hops) : undefined) };
      // Only now: most ports of a lab never send.
      const sender = (batch ??= new SendBatch(native, fd, failed));
      const destination = nativeDestination(remote.address, remote.port, dscp, hops);
      const send = (bytes: Uint8Array): void => (isOpen ? sender.add(bytes, destination) : undefined);
      return dscp === undefined ? { facts, send } : { facts, dscp, send };
    },
    join(group, port = local.port) {
      const key = endpointText({ address: group, port });
      const joined = groups.get(key);
      if (joined !== undefined) joined.users += 1;
      else if (!isOpen || !isMulticast(group) || groups.size >= maxGroups) failed();
      else groups.set(key, { users: 1, socket: joinGroup(group, port) });
    },
    leave(group, port = local.port) {
      const key = endpointText({ address: group, port });
      const joined = groups.get(key);
      if (joined === undefined) return;
      joined.users -= 1;
      if (joined.users > 0) return;
      groups.delete(key);
      void joined.socket.then(closeSocket);
    },
    [Symbol.asyncDispose]: close,
  };

  async function listenOn(
    receiver: dgram.Socket,
    descriptor: number | undefined,
    share?: DtlsShareOptions,
  ): Promise<DtlsListener | undefined> {
    let isListening = true;
    const isHeard = (): boolean => isOpen && isListening;
    receiver.once("close", () => {
      isListening = false;
    });
    // An ICMP "port unreachable" for something sent earlier ends nothing here.
    receiver.on("error", () => failed());
    const arrived = (bytes: Uint8Array, from: Endpoint): void => {
      // No Buffer, whose slice() would share what the caller means to copy.
      const octets = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      countDatagram();
      if (isHeard()) receive(octets, peers.facts(from.address, from.port));
    };
    const shared = share && (await shareDtls(receiver, { ...share, foreign: arrived }));
    if (shared === undefined) receiver.on("message", arrived);
    if (native === undefined || descriptor === undefined) return shared;
    const waiting = sharedReceiveBatch(native);
    const take = (bytes: Uint8Array, address: number, port: number): void => {
      countDatagram();
      if (shared === undefined || bytes[0] === ioFirstOctet) return receive(bytes, peers.numbered(address, port));
      const from: RemoteInfo = { address: addressText(address), family: "IPv4", port, size: bytes.length };
      receiver.emit("message", Buffer.from(bytes), from);
    };
    // The runtime has found one: what else waits comes here at a fraction of what it takes for each.
    let isDraining = false;
    receiver.on("message", () => {
      if (isDraining || !isHeard()) return;
      isDraining = true;
      try {
        waiting.drain(descriptor, isHeard, take);
      } finally {
        isDraining = false;
      }
    });
    return shared;
  }

  /** A socket of its own: one bound to a unicast address gets nothing that is sent to a group. */
  async function joinGroup(group: string, port: number): Promise<dgram.Socket | undefined> {
    let receiver: dgram.Socket | undefined;
    try {
      const bound = await bind(group, port, true, native);
      receiver = bound.socket;
      receiver.addMembership(group, address === "0.0.0.0" ? undefined : address);
      await listenOn(receiver, bound.fd);
      return receiver;
    } catch {
      failed();
      await closeSocket(receiver);
      return undefined;
    }
  }
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

  constructor(socket: dgram.Socket, failed: () => void) {
    this.#socket = socket;
    this.#failed = failed;
    this.#sent = (error) => {
      if (error !== null) failed();
    };
  }

  send(bytes: Uint8Array, { address, port }: Endpoint, hops: number | undefined): void {
    if (this.#socket.getSendQueueSize() > maxQueuedBytes) return this.#failed();
    if (hops !== undefined && hops !== this.#hops) {
      this.#socket.setMulticastTTL(hops);
      this.#hops = hops;
    }
    this.#socket.send(bytes, port, address, this.#sent);
  }
}

interface Group {
  users: number;
  readonly socket: Promise<dgram.Socket | undefined>;
}

/** Facts of the peers that datagrams came from, so that a packet allocates none. */
class Peers {
  readonly #local: Endpoint;
  readonly #byAddress = new Map<string, Map<number, ChannelFacts>>();
  readonly #byNumber = new Map<number, ChannelFacts>();
  #count = 0;

  constructor(local: Endpoint) {
    this.#local = local;
  }

  facts(address: string, port: number): ChannelFacts {
    const known = this.#byAddress.get(address)?.get(port);
    if (known !== undefined) return known;
    if (this.#count >= maxKnownPeers) {
      this.#byAddress.clear();
      this.#byNumber.clear();
      this.#count = 0;
    }
    this.#count += 1;
    const facts: ChannelFacts = { protocol: "udp", local: this.#local, remote: { address, port } };
    const ports = this.#byAddress.get(address) ?? new Map<number, ChannelFacts>();
    ports.set(port, facts);
    this.#byAddress.set(address, ports);
    return facts;
  }

  /** The same for an IPv4 address as a number. */
  numbered(address: number, port: number): ChannelFacts {
    const key = address * 65_536 + port;
    const known = this.#byNumber.get(key);
    if (known !== undefined) return known;
    const facts = this.facts(addressText(address), port);
    this.#byNumber.set(key, facts);
    return facts;
  }
}

/** A socket that is bound; with its descriptor where the C library has made it. */
async function bind(
  address: string,
  port: number,
  reuse: boolean,
  native: NativeSockets | undefined,
): Promise<{ readonly socket: dgram.Socket; readonly fd: number | undefined }> {
  // Where that fails the runtime tries as well, and says why.
  const fd = native?.open(address, port, reuse);
  const socket = dgram.createSocket({
    recvBufferSize: receiveBufferBytes,
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

async function closeSocket(socket: dgram.Socket | undefined): Promise<void> {
  if (socket !== undefined) await new Promise<void>((resolve) => socket.close(() => resolve()));
}

/** 0xC0A80114 as 192.168.1.20. */
function addressText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

/** 224.0.0.0 to 239.255.255.255. */
function isMulticast(address: string): boolean {
  const first = Number(address.split(".", 1)[0]);
  return isIP(address) === 4 && first >= 224 && first <= 239;
}

function notNumeric(host: string): TransportError {
  return new TransportError("transport/address", `${host}: not a numeric address`);
}
