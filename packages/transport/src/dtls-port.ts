import type { DatagramPort } from "@cipsec/dtls";
import type { Endpoint } from "./channel.ts";
import { DatagramSocket, type SendPath } from "./datagram-socket.ts";

/** What a port for DTLS is told. */
export interface DtlsPortOptions {
  /** Code point of datagrams that carry no other: handshakes, and messages that are sent without one. */
  readonly dscp?: number;
  /** False keeps to what the runtime can do. */
  readonly native?: boolean;
}

/** Octets that wait on a port of one association: a handshake's flight or a turn's I/O; what is beyond goes out sooner. */
const dialRoom = 32 * 1024;

/** A port that DTLS has for itself. @throws {TransportError} `transport/address` when it cannot be bound. */
export async function openDtlsPort(
  where: Endpoint,
  purpose: "listen" | "dial",
  { dscp, native = true }: DtlsPortOptions,
): Promise<DtlsPort> {
  let errors = 0;
  const failed = (count = 1): void => {
    errors += count;
  };
  const room = purpose === "dial" ? { room: dialRoom } : {};
  const socket = await DatagramSocket.open({ ...where, native, failed, ...room });
  const port = new DtlsPort(
    socket,
    () => errors,
    dscp,
    () => socket.close(),
  );
  socket.receive((bytes, { remote }) => port.deliver(bytes, remote));
  return port;
}

/** DTLS's view of a socket: marks by datagram, and octets that stay as they are. */
export class DtlsPort implements DatagramPort {
  readonly #socket: DatagramSocket;
  readonly #errors: () => number;
  readonly #dscp: number | undefined;
  readonly #release: () => Promise<void>;
  readonly #paths = new WeakMap<Endpoint, Map<number | undefined, SendPath>>();
  #receive: ((bytes: Uint8Array, remote: Endpoint) => void) | undefined;

  /** @param release Called when DTLS is done with it. */
  constructor(
    socket: DatagramSocket,
    errors: () => number,
    dscp: number | undefined,
    release: () => Promise<void> = () => Promise.resolve(),
  ) {
    this.#socket = socket;
    this.#errors = errors;
    this.#dscp = dscp;
    this.#release = release;
  }

  get local(): Endpoint {
    return this.#socket.local;
  }

  get marks(): boolean {
    return this.#socket.marks;
  }

  get sendErrors(): number {
    return this.#errors();
  }

  send(bytes: Uint8Array, remote: Endpoint, dscp = this.#dscp): void {
    let paths = this.#paths.get(remote);
    if (paths === undefined) this.#paths.set(remote, (paths = new Map()));
    let path = paths.get(dscp);
    if (path === undefined) paths.set(dscp, (path = this.#socket.path(remote, dscp === undefined ? {} : { dscp })));
    path.send(bytes);
  }

  listen(receive: (bytes: Uint8Array, remote: Endpoint) => void): void {
    this.#receive = receive;
  }

  /** What has come: a copy goes on, as handshakes and payloads are kept. */
  deliver(bytes: Uint8Array, remote: Endpoint): void {
    this.#receive?.(Buffer.from(bytes), remote);
  }

  async close(): Promise<void> {
    this.#receive = undefined;
    await this.#release();
  }
}
