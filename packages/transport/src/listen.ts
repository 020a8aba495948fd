import net from "node:net";
import type { StackErrorShape } from "@cipsec/wire";
import { BugError, isStackError, PeerError, TransportError, UsageError } from "@cipsec/wire";
import type { Channel, ChannelFacts, Endpoint } from "./channel.ts";
import { systemClock } from "./clock.ts";
import { endpoint, endpointText } from "./endpoint.ts";
import { defaultLimits } from "./limits.ts";
import type { ChannelLimits } from "./limits.ts";
import { networkError } from "./network-errors.ts";
import { SocketChannel } from "./socket-channel.ts";
import type { Tap } from "./socket-channel.ts";
import { prepareSocket } from "./socket-options.ts";
import { acceptTls } from "./tls-accept.ts";
import type { Settled } from "./tls-accept.ts";
import type { TlsPolicy } from "./tls-policy.ts";

/** A connection that was not let in, for a log or a security event. */
export interface RefusedEvent {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly protocol: "tcp" | "tls" | "dtls";
  /** What said no: a limit, the time, the rule of a shared port, or the TLS handshake with the verdict in it. */
  readonly reason: "connections" | "address" | "handshakes" | "timeout" | "same-port" | "handshake";
  readonly error: StackErrorShape;
}

/** What a listener takes, and from whom. */
export interface ListenOptions {
  readonly protocol: "tcp" | "tls";
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Gets each connection once it is fully up. Must set a receiver. */
  readonly accept: (channel: Channel) => void;
  readonly limits?: Partial<ChannelLimits>;
  /** Read for every new handshake, so that a change applies to new sessions only. Needed for TLS. */
  readonly tls?: () => TlsPolicy;
  /** Same-port mode, read for every connection: a first octet 0x16 means TLS, any other plain. */
  readonly samePort?: () => { readonly plain: boolean; readonly tls: boolean };
  readonly onRefused?: (event: RefusedEvent) => void;
  /** Gets lines in the form of SSLKEYLOGFILE: secrets of every session, for debugging only. */
  readonly keyLog?: (line: string) => void;
  /** Differentiated services code point, 0 to 63, where the runtime can set one. */
  readonly dscp?: number;
  readonly tap?: Tap;
}

/** An open listener. Disposing of it also ends its channels at once. */
export interface Listener extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  /** Connections that are open, those in their handshake included. */
  readonly connections: number;
  /** Stops accepting and frees the port; channels stay, handshakes end. Of DTLS, which shares its port, channels end in order. */
  close(): Promise<void>;
  /** Closes the channels that the filter names, in order; without a filter all, and those in their handshake at once. */
  closeChannels(filter?: (facts: ChannelFacts) => boolean): void;
}

/**
 * Opens a TCP or TLS listener.
 *
 * @throws {TransportError} `transport/address` when the address cannot be bound.
 * @throws {UsageError} `usage/argument` when TLS is asked for without a policy.
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  if (options.tls === undefined && (options.protocol === "tls" || options.samePort !== undefined)) {
    throw new UsageError("usage/argument", "a TLS listener needs a TLS policy: set 'tls'");
  }
  const door = new Door(options);
  const server = net.createServer((raw) => door.admit(raw));
  const where = endpointText(options);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(networkError(error, where)));
    server.listen({ host: options.address, port: options.port, exclusive: true }, resolve);
  });
  // Out of descriptors: the connection waits in the kernel's queue, the listener stays.
  server.on("error", () => undefined);
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : options.port;
  const close = async (): Promise<void> => {
    if (server.listening) server.close();
    door.dropHandshakes();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    address: options.address,
    port,
    get connections() {
      return door.connections;
    },
    close,
    closeChannels: (filter) => door.closeChannels(filter),
    async [Symbol.asyncDispose]() {
      await close();
      await door.destroyAll();
    },
  };
}

/** Counts what comes in, sorts it by protocol and brings it up. */
class Door {
  readonly #options: ListenOptions;
  readonly #limits: ChannelLimits;
  readonly #perAddress = new Map<string, number>();
  readonly #pending = new Set<net.Socket>();
  readonly #channels = new Set<Channel>();
  connections = 0;

  constructor(options: ListenOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
  }

  admit(raw: net.Socket): void {
    raw.on("error", () => undefined);
    const { protocol } = this.#options;
    const remote = endpoint(raw.remoteAddress, raw.remotePort);
    const { maxConnections, maxPerAddress, maxHandshakes } = this.#limits;
    const here = this.#perAddress.get(remote.address) ?? 0;
    if (remote.address === "") {
      // It was reset before we looked.
      raw.destroy();
    } else if (this.connections >= maxConnections) {
      this.#refuse(raw, remote, protocol, "connections", full(remote, `all ${maxConnections} connections are taken`));
    } else if (here >= maxPerAddress) {
      this.#refuse(raw, remote, protocol, "address", full(remote, `it has ${maxPerAddress} connections already`));
    } else if (this.#pending.size >= maxHandshakes) {
      this.#refuse(raw, remote, protocol, "handshakes", full(remote, `${maxHandshakes} handshakes are under way`));
    } else {
      this.#count(raw, remote.address);
      prepareSocket(raw, this.#options.dscp);
      this.#sort(raw, remote);
    }
  }

  dropHandshakes(): void {
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const raw of pending) raw.destroy();
  }

  closeChannels(filter?: (facts: ChannelFacts) => boolean): void {
    if (filter === undefined) this.dropHandshakes();
    for (const channel of this.#channels) if (filter?.(channel.facts) ?? true) void channel.close();
  }

  async destroyAll(): Promise<void> {
    const all = [...this.#channels];
    for (const channel of all) channel.destroy();
    await Promise.all(all.map(({ closed }) => closed));
  }

  #count(raw: net.Socket, address: string): void {
    this.connections += 1;
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    raw.once("close", () => {
      this.connections -= 1;
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
  }

  #sort(raw: net.Socket, remote: Endpoint): void {
    const { protocol, samePort } = this.#options;
    if (samePort === undefined && protocol === "tcp") {
      this.#up(raw, raw, remote);
      return;
    }
    const ready = this.#wait(raw, remote);
    if (samePort === undefined) {
      this.#handshake(raw, remote, ready);
      return;
    }
    raw.once("data", (first) => {
      raw.pause();
      raw.unshift(first);
      const isTls = first[0] === tlsHandshake;
      const isAllowed = isTls ? samePort().tls : samePort().plain;
      if (!isAllowed) {
        ready();
        this.#refuse(raw, remote, isTls ? "tls" : "tcp", "same-port", notHere(remote, isTls));
      } else if (isTls) {
        this.#handshake(raw, remote, ready);
      } else {
        ready();
        this.#up(raw, raw, remote);
      }
    });
  }

  /** Bounds the time until `ready` is called. */
  #wait(raw: net.Socket, remote: Endpoint): () => void {
    this.#pending.add(raw);
    const { handshakeTimeoutMs } = this.#limits;
    const cancel = systemClock.after(handshakeTimeoutMs, () => {
      const words = `${endpointText(remote)}: the handshake was not done in ${handshakeTimeoutMs} ms`;
      ready();
      this.#refuse(raw, remote, this.#options.protocol, "timeout", new TransportError("transport/timeout", words));
    });
    const ready = (): void => {
      cancel();
      this.#pending.delete(raw);
    };
    raw.once("close", ready);
    return ready;
  }

  #handshake(raw: net.Socket, remote: Endpoint, ready: () => void): void {
    const { tls: policy, keyLog } = this.#options;
    if (policy === undefined) return;
    const outcome = {
      accepted: (socket: net.Socket, result: Settled) => {
        ready();
        this.#up(socket, raw, remote, result);
      },
      refused: (error: StackErrorShape) => {
        const isNew = this.#pending.has(raw);
        ready();
        if (isNew) this.#refuse(raw, remote, "tls", "handshake", error);
      },
    };
    acceptTls(raw, policy, remote, outcome, keyLog);
  }

  #up(socket: net.Socket, raw: net.Socket, remote: Endpoint, { security, handshake }: Partial<Settled> = {}): void {
    const local = endpoint(raw.localAddress, raw.localPort);
    const facts: ChannelFacts =
      security === undefined ? { protocol: "tcp", local, remote } : { protocol: "tls", local, remote, security };
    const channel = new SocketChannel(socket, facts, this.#limits, {
      awaitsVerdict: false,
      tap: this.#options.tap,
      handshake,
    });
    this.#channels.add(channel);
    void channel.closed.then(() => this.#channels.delete(channel));
    try {
      this.#options.accept(channel);
    } catch (error) {
      const words = `${endpointText(remote)}: taking the connection failed`;
      channel.destroy(isStackError(error) ? error : new BugError("bug/unreachable", words, { cause: error }));
    }
  }

  #refuse(
    raw: net.Socket,
    remote: Endpoint,
    protocol: "tcp" | "tls",
    reason: RefusedEvent["reason"],
    error: StackErrorShape,
  ): void {
    const local = endpoint(raw.localAddress, raw.localPort);
    raw.destroy();
    this.#options.onRefused?.({ local, remote, protocol, reason, error });
  }
}

/** Content type of the record that a ClientHello comes in; as an encapsulation command it does not exist. */
const tlsHandshake = 0x16;

function full(remote: Endpoint, words: string): TransportError {
  return new TransportError("transport/limit", `${endpointText(remote)}: refused: ${words}`);
}

function notHere(remote: Endpoint, isTls: boolean): PeerError {
  const words = isTls ? "TLS is not allowed on this port" : "plain messages are not allowed on this port";
  return new PeerError("encap/status", `${endpointText(remote)}: refused: ${words}`);
}
