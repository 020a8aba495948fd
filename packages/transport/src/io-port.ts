import dgram from "node:dgram";
import { isIP } from "node:net";
import { TransportError } from "@cipsec/wire";
import type { ChannelFacts, Endpoint } from "./channel.ts";
import { shareDtls } from "./dtls-listen.ts";
import type { DtlsListener, DtlsShareOptions } from "./dtls-listen.ts";
import { endpointText } from "./endpoint.ts";
import { networkError } from "./network-errors.ts";

/** Octets that may wait in the socket: I/O is worth nothing when it is late, so what is beyond a few frames is dropped. */
const maxQueuedBytes = 256 * 1024;

/** Octets that may arrive while the process is busy: 128 connections at 10 ms bring a burst of some 50 KiB, this holds many. */
const receiveBufferBytes = 2 * 1024 * 1024;

/** Peers whose facts are kept ready; more are a flood from made-up addresses, and the table starts over. */
const maxKnownPeers = 4096;

/** Groups that one port receives from: a scanner joins one per device that multicasts. Linux itself stops at 20 a socket. */
const maxGroups = 256;

/** The way to one peer or multicast group, whatever protects it. */
export interface DatagramPath {
  readonly facts: ChannelFacts;
  /**
   * Sends one datagram; never throws, failures are counted by the port. The octets may be changed once the call has returned:
   * where the network did not take them at once, which is rare, they may go out as they are then.
   */
  send(bytes: Uint8Array): void;
}

/** How datagrams of one path are marked. */
export interface PathOptions {
  /** Differentiated services code point, 0 to 63. The runtime cannot mark UDP yet: see docs/decisions/007-io.md. */
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
  /** `bytes` are good during the call only. The same peer always comes with the same `from`. */
  readonly receive: (bytes: Uint8Array, from: ChannelFacts) => void;
  /** DTLS on the same port, told by the first octet. */
  readonly dtls?: DtlsShareOptions;
}

/** An open port for class 0 and 1 data. */
export interface IoPort extends AsyncDisposable {
  readonly local: Endpoint;
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
 * Opens a UDP port for I/O.
 *
 * @throws {TransportError} `transport/address` when it cannot be bound.
 */
export async function openIoPort(options: IoPortOptions): Promise<IoPort> {
  const { address, reuse = false, receive } = options;
  let errors = 0;
  const failed = (): void => {
    errors += 1;
  };
  const socket = await bind(address, options.port, reuse);
  const local = { address: socket.address().address, port: socket.address().port };
  const peers = new Peers(local);
  const groups = new Map<string, Group>();
  let ttl = 1;
  let isOpen = true;
  const dtls =
    options.dtls &&
    (await shareDtls(socket, {
      ...options.dtls,
      foreign: (bytes, { address: host, port: from }) => arrived(bytes, host, from),
    }));
  if (dtls === undefined) listenOn(socket);
  else socket.on("error", failed);
  // Sending to a group goes out of the interface that the port stands on, not by the default route.
  if (address !== "0.0.0.0" && isIP(address) === 4) socket.setMulticastInterface(address);

  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    for (const group of groups.values()) void group.socket.then(closeSocket);
    groups.clear();
    await dtls?.close();
    await closeSocket(socket);
  };
  return {
    local,
    get sendErrors() {
      return errors;
    },
    ...(dtls === undefined ? {} : { dtls }),
    path: (remote, marks = {}) => {
      const isUsable = isIP(remote.address) !== 0 && remote.port > 0 && remote.port < 65_536;
      const hops = isMulticast(remote.address) ? (marks.ttl ?? 1) : undefined;
      return {
        facts: { protocol: "udp", local, remote },
        send(bytes) {
          if (!isOpen) return;
          if (!isUsable || socket.getSendQueueSize() > maxQueuedBytes) return failed();
          if (hops !== undefined && hops !== ttl) {
            socket.setMulticastTTL(hops);
            ttl = hops;
          }
          socket.send(bytes, remote.port, remote.address, sent);
        },
      };
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

  function sent(error: Error | null): void {
    if (error !== null) failed();
  }

  function listenOn(receiver: dgram.Socket): void {
    // An ICMP "port unreachable" for something sent earlier ends nothing here.
    receiver.on("error", failed);
    receiver.on("message", (bytes, from) => arrived(bytes, from.address, from.port));
  }

  function arrived(bytes: Uint8Array, host: string, from: number): void {
    // No Buffer, whose slice() would share what the caller means to copy.
    const octets = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    if (isOpen) receive(octets, peers.facts(host, from));
  }

  /** A socket of its own: one bound to a unicast address gets nothing that is sent to a group. */
  async function joinGroup(group: string, port: number): Promise<dgram.Socket | undefined> {
    let receiver: dgram.Socket | undefined;
    try {
      receiver = await bind(group, port, true);
      receiver.addMembership(group, address === "0.0.0.0" ? undefined : address);
      listenOn(receiver);
      return receiver;
    } catch {
      failed();
      await closeSocket(receiver);
      return undefined;
    }
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
  #count = 0;

  constructor(local: Endpoint) {
    this.#local = local;
  }

  facts(address: string, port: number): ChannelFacts {
    const known = this.#byAddress.get(address)?.get(port);
    if (known !== undefined) return known;
    if (this.#count >= maxKnownPeers) {
      this.#byAddress.clear();
      this.#count = 0;
    }
    this.#count += 1;
    const facts: ChannelFacts = { protocol: "udp", local: this.#local, remote: { address, port } };
    const ports = this.#byAddress.get(address) ?? new Map<number, ChannelFacts>();
    ports.set(port, facts);
    this.#byAddress.set(address, ports);
    return facts;
  }
}

async function bind(address: string, port: number, reuse: boolean): Promise<dgram.Socket> {
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
    socket.once("error", refused);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off("error", refused);
      resolve();
    });
  });
  return socket;
}

async function closeSocket(socket: dgram.Socket | undefined): Promise<void> {
  if (socket !== undefined) await new Promise<void>((resolve) => socket.close(() => resolve()));
}

/** 224.0.0.0 to 239.255.255.255. */
function isMulticast(address: string): boolean {
  const first = Number(address.split(".", 1)[0]);
  return isIP(address) === 4 && first >= 224 && first <= 239;
}

function notNumeric(host: string): TransportError {
  return new TransportError("transport/address", `${host}: not a numeric address`);
}
