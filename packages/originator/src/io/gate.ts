import { randomInt } from "node:crypto";
import {
  openIoPort,
  type ChannelFacts,
  type DatagramPath,
  type Endpoint,
  type IoPort,
  type PathOptions,
} from "@cipsec/transport";
import { TransportError, readIo, type IoFrame } from "@cipsec/wire";

/** Receives the packets of one connection. `frame` is good during the call only. */
export type IoReceiver = (frame: IoFrame) => void;

/** Where a connection's packets go out and come in: one UDP port, or an association that protects them. */
export interface IoGate {
  /** Port that T→O packets are to be sent to; nothing where they come back over the association that they were asked on. */
  readonly port: number | undefined;
  /** The way to the target's port. */
  path(remote: Endpoint, options?: PathOptions): DatagramPath;
  /** A connection id that no connection here uses; it cannot be guessed. */
  newConnectionId(): number;
  /** Gives packets with this connection id from this address to `receiver`, until the returned function is called. */
  receive(connectionId: number, fromAddress: string, receiver: IoReceiver): () => void;
  /** Receives what is sent to this group and port, until as many calls of {@link leave}. */
  join(group: Endpoint): void;
  leave(group: Endpoint): void;
  /** Calls `listener` once when the way is gone for good, at once where it is already; until the returned function is called. */
  onLost?(listener: (error: Error) => void): () => void;
  /** Gives the gate back; the last one closes it. */
  release(): Promise<void>;
}

/** Opens gates for sessions that do not carry I/O themselves, as one over DTLS does: UDP ports. */
export type OpenGate = (way: { readonly local: string; readonly remote: string }) => Promise<IoGate>;

/** UDP port of class 0 and 1. */
export const ioUdpPort = 2222;

/** Gates of this process, by local address: connections share one socket. */
const shared = new Map<string, Promise<SharedGate>>();

/** Gates that are closing: the port is free when they are done. */
const closing = new Map<string, Promise<void>>();

/** A plain UDP gate at this local address, shared by all connections of the process that use it. */
export const openUdpGate: OpenGate = async ({ local }) => {
  for (;;) {
    const opening = shared.get(local) ?? (closing.get(local) ?? Promise.resolve()).then(() => SharedGate.open(local));
    shared.set(local, opening);
    try {
      const gate = await opening;
      // It may have been closed by its last user while we waited for it.
      if (gate.acquire()) return gate.handle();
    } catch (error) {
      if (shared.get(local) === opening) shared.delete(local);
      throw error;
    }
  }
};

interface Entry {
  readonly fromAddress: string;
  readonly receiver: IoReceiver;
}

class SharedGate {
  readonly #local: string;
  readonly #receivers = new Map<number, Entry[]>();
  #port: IoPort | undefined;
  #users = 0;
  #isClosed = false;

  private constructor(local: string) {
    this.#local = local;
  }

  /**
   * Binds port 2222, or a free one where another program has it: the target is told which.
   *
   * @throws {TransportError} `transport/address`
   */
  static async open(local: string): Promise<SharedGate> {
    const gate = new SharedGate(local);
    const receive = (bytes: Uint8Array, from: ChannelFacts): void => gate.#deliver(bytes, from.remote.address);
    try {
      gate.#port = await openIoPort({ address: local, port: ioUdpPort, receive });
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      gate.#port = await openIoPort({ address: local, port: 0, receive });
    }
    return gate;
  }

  acquire(): boolean {
    if (this.#isClosed) return false;
    this.#users += 1;
    return true;
  }

  handle(): IoGate {
    const port = this.#opened();
    let isReleased = false;
    return {
      port: port.local.port,
      path: (remote, options) => port.path(remote, options),
      newConnectionId: () => this.#newConnectionId(),
      receive: (connectionId, fromAddress, receiver) => this.#add(connectionId, { fromAddress, receiver }),
      join: (group) => port.join(group.address, group.port),
      leave: (group) => port.leave(group.address, group.port),
      release: async () => {
        if (isReleased) return;
        isReleased = true;
        await this.#release();
      },
    };
  }

  #opened(): IoPort {
    if (this.#port === undefined)
      throw new TransportError("transport/closed", `the I/O port of ${this.#local} is closed`);
    return this.#port;
  }

  #newConnectionId(): number {
    for (;;) {
      const id = randomInt(1, 2 ** 32);
      if (!this.#receivers.has(id)) return id;
    }
  }

  #add(connectionId: number, entry: Entry): () => void {
    const entries = this.#receivers.get(connectionId) ?? [];
    this.#receivers.set(connectionId, [...entries, entry]);
    return () => {
      const left = (this.#receivers.get(connectionId) ?? []).filter((other) => other !== entry);
      if (left.length === 0) this.#receivers.delete(connectionId);
      else this.#receivers.set(connectionId, left);
    };
  }

  /** Several connections may share a multicast; packets from a stranger's address are dropped. */
  #deliver(bytes: Uint8Array, fromAddress: string): void {
    const frame = readIo(bytes);
    if (frame === undefined) return;
    const entries = this.#receivers.get(frame.connectionId);
    if (entries === undefined) return;
    for (const entry of entries) if (entry.fromAddress === fromAddress) entry.receiver(frame);
  }

  async #release(): Promise<void> {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#isClosed = true;
    shared.delete(this.#local);
    const closed = this.#opened()[Symbol.asyncDispose]();
    const done = Promise.resolve(closed).finally(() => {
      if (closing.get(this.#local) === done) closing.delete(this.#local);
    });
    closing.set(this.#local, done);
    await done;
  }
}
