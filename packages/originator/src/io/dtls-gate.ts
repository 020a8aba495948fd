import { randomInt } from "node:crypto";
import { channelPath, type Channel } from "@cipsec/transport";
import type { IoFrame } from "@cipsec/wire";
import type { IoGate, IoReceiver } from "./gate.ts";

/**
 * I/O of one DTLS association: both directions of all connections that were opened over it. Who sends is proven by the record, so
 * a packet is told by its connection id alone; a multicast cannot be, as only two parties have the keys.
 *
 * @see reference cip-security.md 2.6
 */
export class DtlsGates {
  readonly #channel: Channel;
  readonly #receivers = new Map<number, IoReceiver>();
  readonly #onLost = new Set<(error: Error) => void>();
  #lost: Error | undefined;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** A gate for one connection. The association is its session's and outlives it. */
  open(): IoGate {
    return {
      port: undefined,
      path: (_, options) => channelPath(this.#channel, options),
      newConnectionId: () => this.#newConnectionId(),
      receive: (connectionId, _, receiver) => {
        this.#receivers.set(connectionId, receiver);
        return () => {
          if (this.#receivers.get(connectionId) === receiver) this.#receivers.delete(connectionId);
        };
      },
      onLost: (listener) => {
        if (this.#lost !== undefined) listener(this.#lost);
        else this.#onLost.add(listener);
        return () => this.#onLost.delete(listener);
      },
      join: () => undefined,
      leave: () => undefined,
      release: () => Promise.resolve(),
    };
  }

  /** Packets for nobody are dropped: their connection has just been closed. */
  deliver(frame: IoFrame): void {
    this.#receivers.get(frame.connectionId)?.(frame);
  }

  /** The association has ended, and with it all connections on it. */
  end(error: Error): void {
    this.#lost = error;
    const listeners = [...this.#onLost];
    this.#onLost.clear();
    for (const listener of listeners) listener(error);
  }

  #newConnectionId(): number {
    for (;;) {
      const id = randomInt(1, 2 ** 32);
      if (!this.#receivers.has(id)) return id;
    }
  }
}
