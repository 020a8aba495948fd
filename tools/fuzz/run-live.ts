import {
  slowPeer,
  tcpOctets,
  tcpSession,
  tlsOctets,
  tlsSession,
  udpFlood,
  type Attack,
  type Ammunition,
} from "./attacks.ts";
import { readCorpus } from "./corpus.ts";
import { productName, startDevices, type DeviceProcess, type Memory } from "./device.ts";
import { told, type Findings } from "./findings.ts";
import { Prober, latencyOf, type Latency } from "./prober.ts";
import { seededRandom } from "./random.ts";
import { goodRequests } from "./requests.ts";
import type { Place } from "./wires.ts";

/** What a campaign against a running device came to. */
export interface LiveReport {
  readonly inputs: number;
  readonly byAttack: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** One good request at a time, milliseconds, with nothing else going on; `during` while under attack. */
  readonly latencyMs: { readonly before: Latency; readonly during: Latency; readonly after: Latency };
  /** After collection: warmed up, when a third was done, at the end. */
  readonly memory: { readonly before: Memory; readonly early: Memory; readonly after: Memory };
  /** Restarts that the fuzzer asked for, by a Reset that the device allowed. */
  readonly resets: number;
  /** Times the fuzzer configured the device so that it let nobody in at one of its ports, as allowed; a new one took its place. */
  readonly closings: number;
  readonly reconnects: number;
}

/** Options of a campaign. */
export interface LiveOptions {
  readonly seed: number;
  readonly inputs: number;
  readonly findings: Findings;
  /** Loopback address of the target; attackers and prober come from the addresses after it. */
  readonly address?: string;
}

interface Surface {
  readonly name: string;
  readonly attack: Attack;
  readonly port: "eip" | "eipUdp" | "eips";
  /** Part of the inputs, in thousandths; 0 goes on for as long as the others take, for attacks that wait. */
  readonly share: number;
  /** Connections at a time. */
  readonly width: number;
}

const surfaces: readonly Surface[] = [
  { name: "TCP sessions", attack: tcpSession, port: "eip", share: 425, width: 4 },
  { name: "TLS sessions", attack: tlsSession, port: "eips", share: 220, width: 3 },
  { name: "TCP octets", attack: tcpOctets, port: "eip", share: 100, width: 3 },
  { name: "slow peers", attack: slowPeer, port: "eip", share: 0, width: 3 },
  { name: "TLS octets", attack: tlsOctets, port: "eips", share: 0, width: 3 },
  { name: "UDP", attack: udpFlood, port: "eipUdp", share: 255, width: 1 },
];

const numbers = { eip: 44_818, eipUdp: 44_818, eips: 2221 };

/** Heap that may be gained after the first third: the device's tables are full by then. */
const maxGrowthMib = 8;

/** A target that was reset is back so soon. */
const recoveryMs = 15_000;

/** Connections refused to a lane in a row, 20 ms apart at least: the device was not restarted, it was configured. */
const maxRefusals = 200;

/** Inputs kept for the replay of a finding. */
const keptInputs = 400;

/** Attacks a device in a process of its own on all its ports at once, while an honest tool goes on asking. */
export async function runLive({ seed, inputs, findings, address = "127.26.0.1" }: LiveOptions): Promise<LiveReport> {
  const campaign = new Campaign(seed, inputs, findings, address);
  return campaign.run();
}

class Campaign {
  readonly #seed: number;
  readonly #inputs: number;
  readonly #findings: Findings;
  readonly #address: string;
  readonly #prober: Prober;
  readonly #ammunition: Ammunition;
  readonly #recent: string[] = [];
  readonly #done = new Map<string, number>();
  #device: DeviceProcess | undefined;
  #replacing: Promise<void> | undefined;
  #resets = 0;
  #closings = 0;
  #isOver = false;

  constructor(seed: number, inputs: number, findings: Findings, address: string) {
    this.#seed = seed;
    this.#inputs = inputs;
    this.#findings = findings;
    this.#address = address;
    const corpus = readCorpus();
    this.#ammunition = {
      corpus,
      requests: goodRequests(seededRandom(seed).fork("requests"), corpus.messages),
      name: productName(0),
      sent: (bytes) => this.#keep(bytes),
    };
    this.#prober = new Prober(this.#place("eip", 2), productName(0));
  }

  async run(): Promise<LiveReport> {
    let device = await this.#start();
    try {
      await this.#prober.latency(3000);
      const before = { memory: await device.memory(), latency: await this.#prober.latency(2000) };
      const began = performance.now();
      const probing = this.#probe();
      await this.#attackAll(1 / 3);
      const early = await this.#current().memory();
      await this.#attackAll(1);
      this.#isOver = true;
      const during = latencyOf(await probing);
      const seconds = (performance.now() - began) / 1000;
      device = this.#current();
      // Peers that only seem to be there are cut off after ten seconds.
      await new Promise((resolve) => setTimeout(resolve, 1000));
      await this.#recovered();
      const after = { memory: await device.memory(), latency: await this.#prober.latency(2000) };
      const grown = after.memory.heapMib - early.heapMib;
      if (grown > maxGrowthMib && this.#closings === 0) this.#found("memory", `heap grew by ${grown.toFixed(1)} MiB`);
      this.#resets += (await device.events())["restart"] ?? 0;
      return {
        inputs: [...this.#done.values()].reduce((sum, count) => sum + count, 0),
        byAttack: Object.fromEntries(this.#done),
        seconds,
        latencyMs: { before: before.latency, during, after: after.latency },
        memory: { before: before.memory, early, after: after.memory },
        resets: this.#resets,
        closings: this.#closings,
        reconnects: this.#prober.reconnects,
      };
    } finally {
      this.#isOver = true;
      this.#prober.end();
      await this.#device?.stop();
    }
  }

  /** Goes on until every surface has had this part of its share. */
  async #attackAll(part: number): Promise<void> {
    let isDone = false;
    const lanes = (chosen: readonly Surface[]): readonly Promise<void>[] =>
      chosen.flatMap((surface) =>
        Array.from({ length: surface.width }, (_, lane) => this.#lane(surface, lane, part, () => isDone)),
      );
    const waiting = lanes(surfaces.filter(({ share }) => share === 0));
    await Promise.all(lanes(surfaces.filter(({ share }) => share > 0)));
    isDone = true;
    await Promise.all(waiting);
  }

  async #lane(
    { name, attack, port, share, width }: Surface,
    lane: number,
    part: number,
    othersDone: () => boolean,
  ): Promise<void> {
    const random = seededRandom(this.#seed).fork(`${name} ${lane} ${part}`);
    const wanted = Math.max(width, Math.ceil((this.#inputs * share * part) / 1000));
    const place = this.#place(port, 3 + lane);
    const goesOn = (): boolean => (share === 0 ? !othersDone() : (this.#done.get(name) ?? 0) < wanted);
    let refusals = 0;
    do {
      const { inputs, problem } = await attack(place, random, this.#ammunition);
      this.#done.set(name, (this.#done.get(name) ?? 0) + inputs);
      if (problem !== undefined) this.#found(name, problem);
      // The target refuses, or is between two lives.
      refusals = inputs === 0 ? refusals + 1 : 0;
      if (inputs === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      if (refusals >= maxRefusals) {
        this.#closings += 1;
        await this.#replace();
        refusals = 0;
      }
    } while (goesOn() && !this.#isOver);
  }

  /** The honest tool at work; returns its times. */
  async #probe(): Promise<readonly number[]> {
    const times: number[] = [];
    for (let n = 1; !this.#isOver; n += 1) {
      const result = await this.#prober.get();
      if (result.ok) times.push(result.ms);
      else if (result.what !== "closed" && result.what !== "cannot connect") this.#found("probe", result.what);
      if (!result.ok) await this.#recovered();
      if (n % 200 === 0) await this.#checkIdentity();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return times;
  }

  async #checkIdentity(): Promise<void> {
    if (this.#replacing !== undefined) return;
    const device = this.#current();
    const open = (await device.ports())[0]?.eipUdp;
    if (open === undefined) return;
    const result = await this.#prober.identity(open);
    if (!result.ok && device === this.#device && (await device.ports())[0]?.eipUdp !== undefined)
      this.#found("UDP", result.what);
  }

  /** Waits until the target answers again. One that was told to close its port is replaced; one that just does not answer is a finding. */
  async #recovered(): Promise<void> {
    const until = performance.now() + recoveryMs;
    let last = "";
    while (performance.now() < until) {
      await this.#replacing;
      const death = this.#device?.death;
      if (death !== undefined) {
        this.#found("process", death);
        await this.#replace();
      }
      const result = await this.#prober.get();
      if (result.ok) return;
      last = result.what;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const [open] = await this.#current().ports();
    if (open?.eip === undefined) this.#closings += 1;
    else this.#found("probe", `the port is open but: ${last}`);
    await this.#replace();
  }

  #replace(): Promise<void> {
    this.#replacing ??= this.#renew().finally(() => (this.#replacing = undefined));
    return this.#replacing;
  }

  async #renew(): Promise<void> {
    if (this.#device?.death === undefined) this.#resets += (await this.#device?.events())?.["restart"] ?? 0;
    await this.#device?.stop();
    await this.#start();
  }

  async #start(): Promise<DeviceProcess> {
    this.#device = await startDevices([this.#address], { ports: numbers });
    return this.#device;
  }

  #current(): DeviceProcess {
    if (this.#device === undefined) throw new Error("no device was started");
    return this.#device;
  }

  #place(port: keyof typeof numbers, host: number): Place {
    const net = this.#address.slice(0, this.#address.lastIndexOf("."));
    const own = Number(this.#address.slice(this.#address.lastIndexOf(".") + 1));
    return { address: this.#address, port: numbers[port], from: `${net}.${own + host}` };
  }

  #keep(bytes: Uint8Array): void {
    this.#recent.push(Buffer.from(bytes).toString("hex"));
    if (this.#recent.length > 2 * keptInputs) this.#recent.splice(0, keptInputs);
  }

  #found(where: string, what: unknown): void {
    const text = typeof what === "string" ? what : told(what);
    this.#findings.add({
      where: `live ${where}`,
      what: text,
      seed: this.#seed,
      inputs: this.#recent.slice(-keptInputs),
    });
  }
}
