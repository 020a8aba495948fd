import { createClientEngine } from "../../packages/dtls/src/engine.ts";
import { Switchboard } from "../../packages/dtls/src/switchboard.ts";
import { kinds, makeIdentity } from "../../packages/dtls/test/identities.ts";
import { Link, seeded } from "../../packages/dtls/test/link.ts";
import { told, type Findings } from "./findings.ts";

/** What a campaign against DTLS came to. */
export interface DtlsReport {
  readonly inputs: number;
  readonly seconds: number;
  readonly handshakes: number;
  /** Handshakes that got through in spite of it. */
  readonly opened: number;
  readonly heapGrowthKib: number;
  /** Hellos without cookie that a second of processor time refuses. */
  readonly refusalsPerCpuSecond: number;
}

/** Hellos of the flood for each thousand other datagrams: cheap, and each the same. */
const floodShare = 0.1;

const credentials = { certificates: [makeIdentity(kinds.ecdsa).credential] };

/**
 * Hostile DTLS: mutated, cut, doubled and invented datagrams against live sessions, which must not change, against handshakes,
 * which must not hang, and hellos of senders that never answer.
 *
 * @param inputs Datagrams, about.
 */
export function runDtls(seed: number, inputs: number, findings: Findings): DtlsReport {
  const started = performance.now();
  const campaign = new Campaign(seed, findings);
  const sessions = [0xc02b, 0xc023, 0xc006, 0xcca9].flatMap((suite) =>
    [undefined, Buffer.from("abcd")].map((cid) => liveSession({ suites: [suite], ...(cid && { connectionId: cid }) })),
  );
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const hellos = Math.ceil(inputs * floodShare);
  for (let round = 0; campaign.datagrams < inputs - hellos; round++) {
    const each = Math.min(2000, Math.ceil((inputs - hellos - campaign.datagrams) / sessions.length));
    for (const session of sessions) campaign.attackSession(session, each);
    for (let i = 0; i < 6; i++) campaign.attackHandshake(seed * 1_000_000 + round * 10 + i);
  }
  for (const { link } of sessions) {
    const before = link.server.received.length;
    link.tell("client", { type: "send", payload: Buffer.from("alive") });
    link.run(10);
    campaign.check(link.server.received.length === before + 1, "a session lives on", []);
  }
  globalThis.gc?.();
  const heapGrowthKib = Math.round((process.memoryUsage().heapUsed - heapBefore) / 1024);
  const { handshakes, opened } = campaign;
  const refusalsPerCpuSecond = campaign.flood(hellos);
  const seconds = (performance.now() - started) / 1000;
  return { inputs: campaign.datagrams + hellos, seconds, handshakes, opened, heapGrowthKib, refusalsPerCpuSecond };
}

/** What a run counts, and where it says what did not hold. */
class Campaign {
  datagrams = 0;
  handshakes = 0;
  opened = 0;
  readonly #seed: number;
  readonly #findings: Findings;
  readonly #random: () => number;

  constructor(seed: number, findings: Findings) {
    this.#seed = seed;
    this.#findings = findings;
    this.#random = seeded(seed);
  }

  /** Everything here was seen before or is forged: nothing of it may be taken. */
  attackSession({ link, flights, data }: LiveSession, count: number): void {
    for (let i = 0; i < count; i++) {
      const source = i % 4 === 0 ? flights : data;
      const bytes = source[Math.floor(this.#random() * source.length)] ?? new Uint8Array(0);
      for (const mutated of mutate(bytes, this.#random)) {
        this.datagrams++;
        this.#try([mutated], () => {
          const output = link.deliver("server", mutated);
          const quiet = output?.events.length === 0 && output.received.length === 0 && output.send.length === 0;
          this.check(quiet, "a session takes nothing that is forged or old", [mutated]);
        });
      }
    }
    this.check(link.server.engine?.state === "open", "a session stays open", []);
  }

  attackHandshake(own: number): void {
    const draw = seeded(own);
    const options = { credentials, connectionId: Buffer.from("abcd"), mtu: 300 + Math.floor(draw() * 900) };
    const link = new Link(options, { ...options, clientAuth: "require" }, {}, own);
    const given: Uint8Array[] = [];
    link.meddle = (bytes) => {
      this.datagrams++;
      const now = draw() < 0.5 ? [bytes] : mutate(bytes, draw);
      given.push(...now);
      return now;
    };
    this.handshakes++;
    this.#try(given, () => {
      link.connect(70_000);
      const states = [link.client.engine?.state, link.server.engine?.state];
      this.check(!states.includes("handshake"), "a handshake ends", given);
      if (states.every((state) => state === "open")) this.opened++;
    });
  }

  /** Hellos from senders that never answer. @returns Refusals in a second of processor time. */
  flood(count: number): number {
    const host = { send: () => undefined, now: () => performance.now(), rearm: () => undefined };
    const board = new Switchboard({ credentials, onAssociation: () => undefined }, host);
    const hello = createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? new Uint8Array(0);
    const before = process.cpuUsage();
    for (let i = 0; i < count; i++)
      board.receive(hello, { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 1000 + (i % 60_000) });
    const { user, system } = process.cpuUsage(before);
    this.check(board.handshakes === 0 && board.open === 0, "a flood leaves nothing", [hello]);
    return Math.round((count * 1_000_000) / (user + system));
  }

  check(holds: boolean, what: string, inputs: readonly Uint8Array[]): void {
    if (holds) return;
    const hex = inputs.map((bytes) => Buffer.from(bytes).toString("hex"));
    this.#findings.add({ where: "dtls", what: `this did not hold: ${what}`, seed: this.#seed, inputs: hex });
  }

  #try(inputs: readonly Uint8Array[], run: () => void): void {
    try {
      run();
    } catch (error) {
      this.check(false, `nothing is thrown, but ${told(error)}`, inputs);
    }
  }
}

type LiveSession = ReturnType<typeof liveSession>;

function liveSession(options: { suites: readonly number[]; connectionId?: Uint8Array }) {
  const link = new Link(options, { ...options, credentials }).connect();
  const flights = [...link.client.datagrams];
  for (let i = 0; i < 30; i++) link.tell("client", { type: "send", payload: Buffer.from(`payload ${i}`) });
  const data = link.client.datagrams.slice(flights.length);
  link.run(10);
  return { link, flights, data };
}

function mutate(bytes: Uint8Array, draw: () => number): readonly Uint8Array[] {
  const pick = (below: number): number => Math.floor(draw() * below);
  const copy = Uint8Array.from(bytes);
  const at = pick(bytes.length);
  switch (pick(10)) {
    case 0:
      copy[at] = pick(256);
      break;
    case 1:
      return [copy.subarray(0, at)];
    case 2:
      return [copy, copy];
    case 3:
      copy.fill(pick(256), at, at + pick(8));
      break;
    case 4:
      copy[13 + pick(12)] = pick(256);
      break;
    case 5:
      copy[pick(13)] = pick(256);
      break;
    case 6:
      return [Uint8Array.from([...copy, ...copy.subarray(at)])];
    case 7:
      return [];
    default:
  }
  return [copy];
}
