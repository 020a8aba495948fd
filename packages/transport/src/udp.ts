import dgram from "node:dgram";
import { isIP } from "node:net";
import { TransportError } from "@cipsec/wire";
import type { Endpoint } from "./channel.ts";
import { shareDtls } from "./dtls-listen.ts";
import type { DtlsListener, DtlsShareOptions } from "./dtls-listen.ts";
import { endpointText } from "./endpoint.ts";
import { networkError } from "./network-errors.ts";

/** Octets that may wait in the socket: discovery sends little, so more is a dead network, and is dropped. */
const maxQueuedBytes = 1024 * 1024;

/** What to bind, and what becomes of datagrams. */
export interface UdpOptions {
  /** A numeric address. */
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Allow sending to broadcast addresses. */
  readonly broadcast?: boolean;
  /** Share address and port with other sockets; each gets a copy of every broadcast. */
  readonly reuse?: boolean;
  readonly receive: (bytes: Uint8Array, remote: Endpoint) => void;
  /** DTLS on the same port, told by the first octet. */
  readonly dtls?: DtlsShareOptions;
}

/** An open UDP socket. */
export interface UdpSocket extends AsyncDisposable {
  readonly local: Endpoint;
  /** Datagrams that could not be sent, or were dropped because too many waited. */
  readonly sendErrors: number;
  readonly dtls?: DtlsListener;
  /**
   * Sends one datagram; `bytes` must not be changed afterwards. Needs a numeric address. Failures are counted: UDP
   * promises nothing, and an address without a way to it must not stop a sweep.
   */
  send(bytes: Uint8Array, remote: Endpoint): void;
  close(): Promise<void>;
}

/**
 * Opens a UDP socket.
 *
 * @throws {TransportError} `transport/address` when it cannot be bound.
 */
export async function openUdp(options: UdpOptions): Promise<UdpSocket> {
  const { address, port, broadcast = false, reuse = false, receive } = options;
  let sendErrors = 0;
  const socket = dgram.createSocket({
    type: isIP(address) === 6 ? "udp6" : "udp4",
    reuseAddr: reuse,
    // Node looks even numeric addresses up, a tick later; this keeps order and never asks a name server.
    lookup: (host, _, done) => (isIP(host) === 0 ? done(notNumeric(host), "", 4) : done(null, host, isIP(host))),
  });
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => {
      socket.close();
      reject(networkError(error, endpointText({ address, port })));
    };
    socket.once("error", failed);
    socket.bind({ address, port, exclusive: true }, () => {
      socket.off("error", failed);
      resolve();
    });
  });
  // An ICMP "port unreachable" for something sent earlier ends nothing here.
  socket.on("error", () => (sendErrors += 1));
  if (broadcast) socket.setBroadcast(true);
  const arrived = (bytes: Uint8Array, { address: host, port: from }: Endpoint): void =>
    receive(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), { address: host, port: from });
  const dtls = options.dtls && (await shareDtls({ socket }, { ...options.dtls, foreign: arrived }));
  if (dtls === undefined) socket.on("message", arrived);
  let isOpen = true;
  const sent = (error: Error | null): void => {
    if (error !== null) sendErrors += 1;
  };
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await dtls?.close();
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  };
  return {
    local: { address: socket.address().address, port: socket.address().port },
    get sendErrors() {
      return sendErrors;
    },
    ...(dtls === undefined ? {} : { dtls }),
    send(bytes, remote) {
      if (!isOpen) return;
      const isUsable = isIP(remote.address) !== 0 && remote.port > 0 && remote.port < 65_536;
      if (!isUsable || socket.getSendQueueSize() > maxQueuedBytes) sendErrors += 1;
      else socket.send(bytes, remote.port, remote.address, sent);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function notNumeric(host: string): TransportError {
  return new TransportError("transport/address", `${host}: not a numeric address`);
}
