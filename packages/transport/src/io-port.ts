import { isIP } from "node:net";
import type { ChannelFacts, Endpoint } from "./channel.ts";
import { DatagramSocket, isMulticast, type PathOptions, type SendPath } from "./datagram-socket.ts";
import { shareDtls } from "./dtls-listen.ts";
import type { DtlsListener, DtlsShareOptions } from "./dtls-listen.ts";
import { DtlsPort } from "./dtls-port.ts";
import { endpointText } from "./endpoint.ts";

/** Groups that one port receives from: a scanner joins one per device that multicasts. Linux itself stops at 20 a socket. */
const maxGroups = 256;

/** How each class 0 and 1 datagram begins: its count of items, two. No DTLS record does. */
const ioFirstOctet = 2;

/** The way to one peer or multicast group, whatever protects it. */
export interface DatagramPath extends SendPath {
  readonly facts: ChannelFacts;
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
  const { address, receive } = options;
  let errors = 0;
  const failed = (count = 1): void => {
    errors += count;
  };
  const socket = await DatagramSocket.open({ ...options, failed });
  const { local, marks, peers } = socket;
  const groups = new Map<string, Group>();
  let isOpen = true;
  const dtls = await listenOn(options.dtls);
  // Sending to a group goes out of the interface that the port stands on, not by the default route.
  if (address !== "0.0.0.0" && isIP(address) === 4) socket.setMulticastInterface(address);

  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    for (const group of groups.values()) void group.socket.then((joined) => joined?.close());
    groups.clear();
    await dtls?.close();
    await socket.close();
  };
  return {
    local,
    marks,
    get sendErrors() {
      return errors;
    },
    ...(dtls === undefined ? {} : { dtls }),
    path: (remote, way) => ({ facts: { protocol: "udp", local, remote }, ...socket.path(remote, way) }),
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
      void joined.socket.then((left) => left?.close());
    },
    [Symbol.asyncDispose]: close,
  };

  /** Begins to hear; with DTLS, what begins as no class 0 or 1 datagram goes there first. */
  async function listenOn(share: DtlsShareOptions | undefined): Promise<DtlsListener | undefined> {
    if (share === undefined) {
      socket.receive(take);
      return undefined;
    }
    const port = new DtlsPort(socket, () => errors, share.dscp);
    const foreign = (bytes: Uint8Array, from: Endpoint): void => {
      const octets = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
      take(octets, peers.facts(from.address, from.port));
    };
    const listener = await shareDtls({ datagrams: port }, { ...share, foreign });
    socket.receive((bytes, from) => (bytes[0] === ioFirstOctet ? take(bytes, from) : port.deliver(bytes, from.remote)));
    return listener;
  }

  function take(bytes: Uint8Array, from: ChannelFacts): void {
    if (isOpen) receive(bytes, from);
  }

  /** A socket of its own: one bound to a unicast address gets nothing that is sent to a group. */
  async function joinGroup(group: string, port: number): Promise<DatagramSocket | undefined> {
    let receiver: DatagramSocket | undefined;
    try {
      const { native } = options;
      receiver = await DatagramSocket.open({
        address: group,
        port,
        reuse: true,
        failed,
        peers,
        ...(native === undefined ? {} : { native }),
      });
      receiver.addMembership(group, address === "0.0.0.0" ? undefined : address);
      receiver.receive(take);
      return receiver;
    } catch {
      failed();
      await receiver?.close();
      return undefined;
    }
  }
}

interface Group {
  users: number;
  readonly socket: Promise<DatagramSocket | undefined>;
}
