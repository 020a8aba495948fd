import { randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { openUdp, systemClock, type Clock, type Endpoint, type UdpSocket } from "@cipsec/transport";
import { Command, UsageError, frame } from "@cipsec/wire";
import { Port } from "./address.ts";
import { announcedPorts, identityReport, securityReport, type DiscoveredDevice } from "./device-report.ts";
import { capabilitiesUdp, identifyTcp, tryRead } from "./identify.ts";
import type { IdentityReply } from "./identity-reply.ts";
import { isPortOpen } from "./probe.ts";
import { parseRange } from "./range.ts";
import { delay, throwIfAborted } from "./waiting.ts";

/** Whom to look for, and how gently. */
export interface DiscoverOptions {
  /** Addresses, `a.b.c.d/nn`, `a.b.c.d-e`, host names. */
  readonly ranges?: readonly string[];
  /** Addresses of own interfaces to broadcast from; each may name the broadcast address behind a `>`. */
  readonly broadcast?: readonly (string | BroadcastFrom)[];
  /** Milliseconds to wait for broadcast answers, and for each unicast try; default 1000. */
  readonly listenMs?: number;
  /** UDP requests a second; default 500, which no switch or device notices. */
  readonly ratePerSecond?: number;
  /** TCP connections at one time; default 64. */
  readonly concurrency?: number;
  /** UDP tries for each address; default 2. */
  readonly attempts?: number;
  /** Try TCP where UDP is silent; default true for up to 1024 hosts. */
  readonly tcpFallback?: boolean;
  /** Probe TCP ports 44818 and 2221 of each device found; default true. */
  readonly probe?: boolean;
  readonly timeoutMs?: number;
  readonly port?: number;
  readonly localAddress?: string;
  readonly progress?: (progress: DiscoverProgress) => void;
  /** Called with each device as soon as it is known. */
  readonly found?: (device: DiscoveredDevice) => void;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

/** Where a broadcast leaves from and where it goes. */
export interface BroadcastFrom {
  readonly address: string;
  /** Default 255.255.255.255. */
  readonly to?: string;
}

/** How far a discovery is. */
export interface DiscoverProgress {
  readonly asked: number;
  readonly total: number;
  readonly found: number;
}

/** What a discovery found; the shape of `discover --json`. */
export interface Discovery {
  readonly devices: readonly DiscoveredDevice[];
  /** Addresses that accept on 2221 but tell nobody who they are: secured devices with discovery closed. */
  readonly secureOnly: readonly string[];
  readonly scanned: number;
  readonly elapsedMs: number;
}

/** Whole /16s are swept over UDP; asking each silent address over TCP too is for smaller ranges, unless asked for. */
const maxTcpFallback = 1024;

const defaults = { listenMs: 1000, ratePerSecond: 500, concurrency: 64, attempts: 2, timeoutMs: 1000 };

/** Sixteen /16s; at the default rate that takes half an hour. */
const maxHosts = 2 ** 20;

/** Bit of the capabilities of ListServices: class 0 and 1 over UDP. */
const ioCapability = 0x0100;

/** A flood of forged replies must not fill memory: no broadcast domain has more devices. */
const maxDevices = 65_536;

/**
 * Finds devices by broadcast and by asking each address of the ranges: ListIdentity over UDP, then over TCP where UDP is silent
 * (44818). A host that answers neither but accepts on 2221 is told as `secureOnly`. Each device is told once.
 *
 * Only answers to our own question count: they echo its context.
 *
 * @throws {UsageError} `usage/argument` for a range that cannot be read, or when nothing is asked for.
 */
export async function discover(options: DiscoverOptions): Promise<Discovery> {
  const { clock = systemClock, signal } = options;
  const started = clock.now();
  const hosts = hostsOf(options.ranges ?? []);
  const search = new Search(options, clock, hosts.length);
  throwIfAborted(signal);
  await Promise.all([
    ...(options.broadcast ?? []).map((from) => search.broadcast(typeof from === "string" ? { address: from } : from)),
    search.sweep(hosts),
  ]);
  if (options.tcpFallback ?? hosts.length <= maxTcpFallback) await search.fallBack(hosts);
  const devices = await search.report();
  return {
    devices,
    secureOnly: search.secureOnly,
    scanned: hosts.length,
    elapsedMs: Math.round(clock.now() - started),
  };
}

/** Every host once, whatever ranges overlap. */
function hostsOf(texts: readonly string[]): readonly string[] {
  const ranges = texts.map(parseRange);
  const total = ranges.reduce((sum, { count }) => sum + count, 0);
  if (total > maxHosts)
    throw new UsageError(
      "usage/argument",
      `the ranges name ${total} addresses, above the ${maxHosts} of one discovery`,
    );
  return [...new Set(ranges.flatMap((range) => [...range.hosts()]))];
}

class Search {
  readonly #options: DiscoverOptions;
  readonly #clock: Clock;
  readonly #total: number;
  readonly #replies = new Map<string, IdentityReply>();
  /** Requests of this search carry these octets, so that answers to others do not count. */
  readonly #context = contextOf(randomBytes(6));
  readonly #secureOnly: string[] = [];
  #asked = 0;

  constructor(options: DiscoverOptions, clock: Clock, total: number) {
    this.#options = options;
    this.#clock = clock;
    this.#total = total;
  }

  get secureOnly(): readonly string[] {
    return this.#secureOnly.sort(order);
  }

  async broadcast({ address, to = "255.255.255.255" }: BroadcastFrom): Promise<void> {
    const { listenMs = defaults.listenMs, attempts = defaults.attempts, port = Port.eip, signal } = this.#options;
    await using socket = await this.#open(address, true);
    // Devices spread their answers over this time (at least 500 ms); a second try finds those whose answer was lost.
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      socket.send(frame(Command.listIdentity, { context: this.#delayed(listenMs) }), { address: to, port });
      await delay(this.#clock, listenMs, signal);
    }
  }

  /** Asks every address at the bounded rate, then the silent ones again. Names are left for TCP. */
  async sweep(hosts: readonly string[]): Promise<void> {
    const { attempts = defaults.attempts, listenMs = defaults.listenMs, signal, localAddress } = this.#options;
    const numeric = hosts.filter((host) => isIP(host) !== 0);
    if (numeric.length === 0) return;
    await using v4 = await this.#open(localAddress ?? "0.0.0.0", false);
    await using v6 = numeric.some((host) => isIP(host) === 6) ? await this.#open("::", false) : undefined;
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const silent = numeric.filter((host) => !this.#replies.has(host));
      if (silent.length === 0) return;
      await this.#askAll(silent, (host) => (isIP(host) === 6 ? v6 : v4), attempt === 0);
      await delay(this.#clock, Math.min(listenMs, 500 + silent.length), signal);
    }
  }

  /** TCP for those that UDP did not find. */
  async fallBack(hosts: readonly string[]): Promise<void> {
    const { timeoutMs = defaults.timeoutMs, signal, port = Port.eip } = this.#options;
    const silent = hosts.filter((host) => !this.#replies.has(host));
    await this.#each(silent, async (host) => {
      const reply = await identifyTcp(host, {
        timeoutMs,
        port,
        clock: this.#clock,
        ...(signal === undefined ? {} : { signal }),
      });
      if (isIP(host) === 0) this.#asked += 1;
      if (reply !== undefined) this.#note(host, reply);
      else if (await isPortOpen(host, Port.eips, timeoutMs, signal)) this.#secureOnly.push(host);
    });
  }

  /** Probes ports and puts the devices in order. */
  async report(): Promise<readonly DiscoveredDevice[]> {
    const devices: DiscoveredDevice[] = [];
    await this.#each([...this.#replies], async ([address, reply]) => {
      const device = await this.#device(address, reply);
      this.#options.found?.(device);
      devices.push(device);
    });
    return devices.sort((a, b) => order(a.address, b.address));
  }

  async #device(address: string, reply: IdentityReply): Promise<DiscoveredDevice> {
    const { probe = true, timeoutMs = defaults.timeoutMs, signal } = this.#options;
    const announced = announcedPorts(reply.security);
    const common = { timeoutMs, clock: this.#clock, ...(signal === undefined ? {} : { signal }) };
    const services =
      probe && reply.security === undefined && isIP(address) !== 0 ? await capabilitiesUdp(address, common) : undefined;
    const ports = probe
      ? {
          ...announced,
          eip: await isPortOpen(address, Port.eip, timeoutMs, signal),
          eips: await isPortOpen(address, Port.eips, timeoutMs, signal),
          ...(reply.security === undefined
            ? { eipUdp: services !== undefined, io: ((services ?? 0) & ioCapability) !== 0 }
            : {}),
        }
      : announced;
    return { address, ports, identity: identityReport(reply), security: securityReport(reply.security) };
  }

  async #askAll(
    hosts: readonly string[],
    socketFor: (host: string) => UdpSocket | undefined,
    isFirst: boolean,
  ): Promise<void> {
    const { ratePerSecond = defaults.ratePerSecond, port = Port.eip, signal } = this.#options;
    const request = frame(Command.listIdentity, { context: this.#context });
    const started = this.#clock.now();
    let sent = 0;
    for (const host of hosts) {
      // In bursts of at most 20 ms worth, so that the timer's grain does not slow the sweep.
      const due = started + (sent * 1000) / ratePerSecond;
      const early = due - this.#clock.now();
      if (early > 20) await delay(this.#clock, early, signal);
      throwIfAborted(signal);
      socketFor(host)?.send(request, { address: host, port });
      sent += 1;
      if (isFirst) this.#asked += 1;
      if (sent % 100 === 0) this.#tell();
    }
    this.#tell();
  }

  async #open(address: string, broadcast: boolean): Promise<UdpSocket> {
    return openUdp({ address, port: 0, broadcast, receive: (bytes, remote) => this.#receive(bytes, remote) });
  }

  #receive(bytes: Uint8Array, remote: Endpoint): void {
    const reply = tryRead(bytes);
    if (reply === undefined || !sameTail(reply.context, this.#context)) return;
    this.#note(remote.address, reply);
  }

  #note(address: string, { identity, security }: IdentityReply): void {
    if (this.#replies.has(address) || this.#replies.size >= maxDevices) return;
    this.#replies.set(address, security === undefined ? { identity } : { identity, security });
    this.#tell();
  }

  #tell(): void {
    this.#options.progress?.({ asked: this.#asked, total: this.#total, found: this.#replies.size });
  }

  /** The context of a broadcast: its first two octets say how long devices may take. */
  #delayed(ms: number): Uint8Array {
    const context = this.#context.slice();
    new DataView(context.buffer).setUint16(0, Math.max(500, Math.min(ms, 0xffff)), true);
    return context;
  }

  async #each<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
    const { concurrency = defaults.concurrency, signal } = this.#options;
    const queue = items.values();
    const worker = async (): Promise<void> => {
      for (const item of queue) {
        throwIfAborted(signal);
        await run(item);
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
  }
}

function contextOf(random: Uint8Array): Uint8Array {
  const context = new Uint8Array(8);
  context.set(random, 2);
  return context;
}

function sameTail(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === 8 && a.subarray(2).every((octet, i) => octet === b[i + 2]);
}

/** IPv4 addresses by number, then everything else by text. */
function order(a: string, b: string): number {
  const [x, y] = [rank(a), rank(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function rank(address: string): string {
  if (isIP(address) !== 4) return `~${address}`;
  return address
    .split(".")
    .map((octet) => octet.padStart(3, "0"))
    .join(".");
}
