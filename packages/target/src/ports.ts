import {
  listen,
  listenDtls,
  openIoPort,
  type Channel,
  type ChannelFacts,
  type ChannelLimits,
  type Clock,
  type DtlsListener,
  type DtlsShareOptions,
  type IoPort,
  type Listener,
  type RefusedEvent,
  type TlsPolicy,
} from "@cipsec/transport";
import { IanaPort, UsageError } from "@cipsec/wire";
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
  /**
   * TLS and DTLS also on the plain ports: there the first octet tells them from plain, and each is let in as its own port is open.
   */
  readonly samePort: boolean;
  /** StartDTLS on the port of discovery. */
  readonly startDtls?: boolean;
  readonly clock: Clock;
  /** Connections that each port takes; where left out, as many as suit a device. */
  readonly limits?: Partial<ChannelLimits>;
  /** Credentials and rules for the next handshake. */
  readonly tls: () => TlsPolicy;
  readonly accept: (channel: Channel) => void;
  /** Gets each DTLS association that carries items. */
  readonly acceptDatagrams: (channel: Channel) => void;
  /** Gets each DTLS association of the port of discovery, which carries encapsulation frames. */
  readonly acceptFrames?: (channel: Channel) => void;
  /** Code point of explicit messages, and of DTLS handshakes, where it can be marked; read when a port opens. */
  readonly dscp?: () => number;
  /** Seconds of silence after which a DTLS association ends, 0 never; read for each new one. */
  readonly dtlsTimeoutS: () => number;
  readonly discovery: () => DiscoveryFacts;
  /** Takes a datagram of the I/O port; its octets are good during the call only. */
  readonly receiveIo: (bytes: Uint8Array, from: ChannelFacts) => void;
  /** Told that the I/O port is about to close: what goes by it ends. */
  readonly ioClosed: (port: IoPort) => void;
  /** Told of connections that were not let in. */
  readonly onRefused: (event: RefusedEvent) => void;
  readonly keyLog?: (line: string) => void;
}

const names = ["eip", "eipUdp", "io", "eips", "eipd"] as const;

type Name = (typeof names)[number];

/** An open port; discovery has no listener. */
interface Opened {
  readonly listener?: Listener;
  readonly io?: IoPort;
  readonly dtls?: DtlsListener;
  readonly close: () => Promise<void>;
}

/**
 * The device's listeners. {@link apply} opens and closes them until what is open is what shall be; closing a port also ends
 * the channels that came in by it, so that a closed plain port leaves no plain session behind.
 */
export class Ports implements AsyncDisposable {
  readonly #options: PortsOptions;
  readonly #open = new Map<Name, Opened>();
  readonly #numbers = new Map<Name, number>();
  #wanted: OpenPorts = allClosed;
  #last: Promise<void> = Promise.resolve();

  constructor(options: PortsOptions) {
    this.#options = options;
  }

  /** The port state as discovery tells it: bits of {@link IanaPort}. */
  get bits(): number {
    let bits = 0;
    for (const name of this.#open.keys()) if (this.#wanted[name]) bits |= IanaPort[name];
    return bits;
  }

  /** The port of class 0 and 1 data, while it shall be open. */
  get io(): IoPort | undefined {
    return this.#wanted.io ? this.#open.get("io")?.io : undefined;
  }

  /** Datagrams that came to the DTLS port and were no association's: altered, replayed, strangers'. They changed nothing. */
  get dtlsDropped(): number {
    let dropped = 0;
    for (const { dtls } of this.#open.values()) dropped += dtls?.dropped ?? 0;
    return dropped;
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
    await this.apply(allClosed);
  }

  async #change(wanted: OpenPorts): Promise<void> {
    this.#wanted = wanted;
    // Closing first: a port that cannot be opened must not keep another one open.
    for (const name of names) {
      const open = this.#open.get(name);
      if (open === undefined) continue;
      if (this.#isNeeded(name)) {
        if (!wanted.eipd && name !== "eipd") open.dtls?.closeChannels();
        if (name !== "eipd")
          open.listener?.closeChannels(({ protocol }) => !this.#letsIn(name)[protocol === "tls" ? "tls" : "plain"]);
        continue;
      }
      this.#open.delete(name);
      this.#numbers.delete(name);
      await open.close();
    }
    for (const name of names) {
      const number = this.#options.ports[name] ?? null;
      if (!this.#isNeeded(name) || this.#open.has(name) || number === null) continue;
      this.#open.set(name, await this.#start(name, number));
    }
  }

  #isNeeded(name: Name): boolean {
    const { eips, eipd } = this.#wanted;
    if (this.#wanted[name] || !this.#options.samePort) return this.#wanted[name];
    return name === "eip" ? eips : (name === "eipUdp" || name === "io") && eipd;
  }

  /** What a port lets in as it shall be now. */
  #letsIn(name: Name): { readonly plain: boolean; readonly tls: boolean } {
    const { eip, eips } = this.#wanted;
    return name === "eip" ? { plain: eip, tls: this.#options.samePort && eips } : { plain: false, tls: eips };
  }

  async #start(name: Name, port: number): Promise<Opened> {
    const { address, accept, samePort, tls, onRefused, dscp, keyLog, limits } = this.#options;
    if (name === "eipUdp") return this.#startDiscovery(port);
    if (name === "io") return this.#startIo(port);
    if (name === "eipd") return this.#startDtls(port);
    const listener = await listen({
      protocol: name === "eips" ? "tls" : "tcp",
      address,
      port,
      accept,
      tls,
      onRefused,
      ...(dscp === undefined ? {} : { dscp: dscp() }),
      ...(limits === undefined ? {} : { limits }),
      ...(samePort && name === "eip" ? { samePort: () => this.#letsIn(name) } : {}),
      ...(keyLog === undefined ? {} : { keyLog }),
    });
    this.#numbers.set(name, listener.port);
    return { listener, close: () => closeWithChannels(listener) };
  }

  async #startDiscovery(port: number): Promise<Opened> {
    const { samePort, startDtls = false, ports, acceptFrames } = this.#options;
    const hasDtls = (samePort || startDtls) && (ports.eipd ?? null) !== null && acceptFrames !== undefined;
    const discovery = await answerDiscovery({
      ...this.#options,
      port,
      facts: this.#options.discovery,
      answersPlain: () => this.#wanted.eipUdp,
      startsDtls: () => hasDtls && this.#wanted.eipd,
      ...(hasDtls ? { dtls: this.#dtls(acceptFrames) } : {}),
    });
    const { dtls } = discovery;
    this.#numbers.set("eipUdp", discovery.port);
    return { ...(dtls === undefined ? {} : { dtls }), close: async () => discovery[Symbol.asyncDispose]() };
  }

  /** Credentials and rules of DTLS, on whichever port; without its own port being open nobody gets in. */
  #dtls(accept: (channel: Channel) => void): DtlsShareOptions {
    const { tls, dtlsTimeoutS, onRefused, keyLog, limits, dscp } = this.#options;
    return {
      ...(dscp === undefined ? {} : { dscp: dscp() }),
      ...(limits === undefined ? {} : { limits }),
      accept,
      tls: () => {
        if (!this.#wanted.eipd) throw new UsageError("usage/state", "DTLS is closed");
        return tls();
      },
      onRefused,
      idleTimeoutS: dtlsTimeoutS,
      ...(keyLog === undefined ? {} : { keyLog }),
    };
  }

  async #startDtls(port: number): Promise<Opened> {
    const { address, acceptDatagrams } = this.#options;
    const listener = await listenDtls({ ...this.#dtls(acceptDatagrams), address, port });
    this.#numbers.set("eipd", listener.port);
    return { listener, dtls: listener, close: () => listener.close() };
  }

  async #startIo(port: number): Promise<Opened> {
    const { address, receiveIo, ioClosed, samePort, ports, acceptDatagrams } = this.#options;
    const hasDtls = samePort && (ports.eipd ?? null) !== null;
    const io = await openIoPort({
      address,
      port,
      receive: (bytes, from) => {
        if (this.#wanted.io) receiveIo(bytes, from);
      },
      ...(hasDtls ? { dtls: this.#dtls(acceptDatagrams) } : {}),
    });
    this.#numbers.set("io", io.local.port);
    const close = async (): Promise<void> => {
      ioClosed(io);
      await io[Symbol.asyncDispose]();
    };
    return { io, ...(io.dtls === undefined ? {} : { dtls: io.dtls }), close };
  }
}

const allClosed: OpenPorts = { eip: false, eipUdp: false, io: false, eips: false, eipd: false };

/** Closes the listener and every channel it let in. */
async function closeWithChannels(listener: Listener): Promise<void> {
  const closed = listener.close();
  listener.closeChannels();
  await closed;
}
