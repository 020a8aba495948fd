import { listen, type Channel, type Clock, type Listener, type RefusedEvent, type TlsPolicy } from "@cipsec/transport";
import { IanaPort } from "@cipsec/wire";
import type { DevicePorts } from "./description.ts";
import { answerDiscovery } from "./discovery.ts";
import type { DiscoveryFacts } from "./identity.ts";

/** Which ports shall be open. */
export type OpenPorts = { readonly [K in keyof typeof IanaPort]: boolean };

/** What the ports of a device need. */
export interface PortsOptions {
  readonly address: string;
  readonly ports: DevicePorts;
  readonly broadcastAddresses: readonly string[];
  readonly clock: Clock;
  /** Credentials and rules for the next handshake. */
  readonly tls: () => TlsPolicy;
  readonly accept: (channel: Channel) => void;
  readonly discovery: () => DiscoveryFacts;
  /** Told of connections that were not let in. */
  readonly onRefused: (event: RefusedEvent) => void;
  readonly keyLog?: (line: string) => void;
}

const names = ["eip", "eipUdp", "eips"] as const;

type Name = (typeof names)[number];

/**
 * The device's listeners. {@link apply} opens and closes them until what is open is what shall be; closing a port also ends
 * the channels that came in by it, so that a closed plain port leaves no plain session behind.
 */
export class Ports implements AsyncDisposable {
  readonly #options: PortsOptions;
  readonly #open = new Map<Name, AsyncDisposable>();
  readonly #numbers = new Map<Name, number>();
  #last: Promise<void> = Promise.resolve();

  constructor(options: PortsOptions) {
    this.#options = options;
  }

  /** The port state as discovery tells it: bits of {@link IanaPort}. */
  get bits(): number {
    let bits = 0;
    for (const name of this.#open.keys()) bits |= IanaPort[name];
    return bits;
  }

  /** Number of an open port; it differs from the description where that says 0 (any free port). */
  number(name: Name): number | undefined {
    return this.#numbers.get(name);
  }

  /**
   * Opens and closes listeners. Calls are carried out one after another.
   *
   * @throws {TransportError} `transport/address` when an address cannot be listened on; ports opened before stay open.
   */
  apply(wanted: OpenPorts): Promise<void> {
    const next = this.#last.then(() => this.#change(wanted));
    this.#last = next.catch(() => undefined);
    return next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.apply({ eip: false, eipUdp: false, io: false, eips: false, eipd: false });
  }

  async #change(wanted: OpenPorts): Promise<void> {
    // Closing first: a port that cannot be opened must not keep another one open.
    for (const name of names) {
      const open = this.#open.get(name);
      if (wanted[name] || open === undefined) continue;
      this.#open.delete(name);
      this.#numbers.delete(name);
      await open[Symbol.asyncDispose]();
    }
    for (const name of names) {
      const number = this.#options.ports[name];
      if (!wanted[name] || this.#open.has(name) || number === null) continue;
      this.#open.set(name, await this.#start(name, number));
    }
  }

  async #start(name: Name, port: number): Promise<AsyncDisposable> {
    const { address, accept, tls, onRefused, keyLog } = this.#options;
    if (name === "eipUdp") {
      const discovery = await answerDiscovery({ ...this.#options, port, facts: this.#options.discovery });
      this.#numbers.set(name, discovery.port);
      return discovery;
    }
    const listener = await listen({
      protocol: name === "eips" ? "tls" : "tcp",
      address,
      port,
      accept,
      tls,
      onRefused,
      ...(keyLog === undefined ? {} : { keyLog }),
    });
    this.#numbers.set(name, listener.port);
    return closing(listener);
  }
}

/** Closes the listener and every channel it let in. */
function closing(listener: Listener): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const closed = listener.close();
      listener.closeChannels();
      await closed;
    },
  };
}
