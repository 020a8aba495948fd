import { CookieJar } from "../src/cookie.ts";
import type { Verdict } from "../src/credentials.ts";
import type { Engine, EngineEvent, EngineInput, EngineOutput } from "../src/engine-contract.ts";
import { createClientEngine, createServerEngine } from "../src/engine.ts";
import { judgeHello } from "../src/gate.ts";
import type { ClientOptions, ServerOptions } from "../src/settings.ts";

/** What the way between two engines does to datagrams; shares from 0 to 1. */
export interface Faults {
  readonly loss?: number;
  readonly duplication?: number;
  readonly reordering?: number;
}

/** A number from 0 to 1 that depends on the seed only (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

type Side = "client" | "server";

/** One engine's end of the link, with all that it said. */
export interface End {
  engine: Engine | undefined;
  readonly events: EngineEvent[];
  readonly received: Uint8Array[];
  readonly datagrams: Uint8Array[];
  wakeAt: number | undefined;
  verdict: Verdict | "later";
}

/** Two engines, a way between them with faults, and a clock that jumps to the next thing due. */
export class Link {
  now = 1000;
  readonly client: End;
  readonly server: End;
  readonly cookies = new CookieJar();
  readonly #serverOptions: ServerOptions;
  readonly #random: () => number;
  readonly #faults: Faults;
  #queue: { at: number; to: Side; bytes: Uint8Array; order: number }[] = [];
  #order = 0;
  /** Looks at, changes or drops each datagram on the way. */
  meddle: (bytes: Uint8Array, to: Side) => readonly Uint8Array[] = (bytes) => [bytes];

  constructor(client: ClientOptions, server: ServerOptions, faults: Faults = {}, seed = 1) {
    const end = (engine?: Engine): End => ({
      engine,
      events: [],
      received: [],
      datagrams: [],
      wakeAt: undefined,
      verdict: { accepted: true },
    });
    this.client = end(createClientEngine(client));
    this.server = end();
    this.#serverOptions = server;
    this.#random = seeded(seed);
    this.#faults = faults;
  }

  /** Starts the handshake and runs until both ends are open or closed, or `untilMs` later. */
  connect(untilMs = 60_000): this {
    this.tell("client", { type: "start" });
    return this.run(untilMs, () => settled(this.client) && settled(this.server));
  }

  tell(side: Side, input: EngineInput): EngineOutput | undefined {
    const end = this[side];
    const output = end.engine?.handle(input, this.now);
    if (output === undefined) return undefined;
    end.wakeAt = output.wakeAt;
    end.events.push(...output.events);
    end.received.push(...output.received);
    for (const bytes of output.send) this.#put(side, bytes);
    for (const event of output.events) {
      if (event.type === "verify" && end.verdict !== "later")
        this.tell(side, { type: "verdict", verdict: end.verdict });
    }
    return output;
  }

  /** Delivers and wakes until nothing is due within `forMs`, or `done` says so. */
  run(forMs = 5000, done: () => boolean = () => false): this {
    const until = this.now + forMs;
    while (!done()) {
      this.#queue.sort((a, b) => a.at - b.at || a.order - b.order);
      const next = this.#queue[0]?.at ?? Infinity;
      const at = Math.min(next, this.client.wakeAt ?? Infinity, this.server.wakeAt ?? Infinity);
      if (at > until) {
        this.now = until;
        break;
      }
      this.now = Math.max(this.now, at);
      const item = this.#queue[0];
      if (item !== undefined && item.at <= this.now) {
        this.#queue.shift();
        this.deliver(item.to, item.bytes);
        continue;
      }
      for (const side of ["client", "server"] as const) {
        const { wakeAt } = this[side];
        if (wakeAt !== undefined && wakeAt <= this.now) this.tell(side, { type: "timer" });
      }
    }
    return this;
  }

  /** A datagram arrives, whoever sent it. */
  deliver(to: Side, bytes: Uint8Array): EngineOutput | undefined {
    if (to === "client" || this.server.engine !== undefined) return this.tell(to, { type: "datagram", bytes });
    const verdict = judgeHello(bytes, "127.33.0.1 5000", this.cookies, this.now);
    if (verdict.kind === "answer") this.#put("server", verdict.bytes);
    if (verdict.kind !== "admit") return undefined;
    this.server.engine = createServerEngine(this.#serverOptions, verdict.hello);
    return this.tell("server", { type: "datagram", bytes });
  }

  #put(from: Side, bytes: Uint8Array): void {
    this[from].datagrams.push(bytes);
    const to = from === "client" ? "server" : "client";
    for (const changed of this.meddle(bytes, to)) {
      if (this.#random() < (this.#faults.loss ?? 0)) continue;
      const copies = this.#random() < (this.#faults.duplication ?? 0) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const late = this.#random() < (this.#faults.reordering ?? 0) ? 1 + this.#random() * 150 : 1;
        this.#queue.push({ at: this.now + late, to, bytes: changed, order: this.#order++ });
      }
    }
  }
}

function settled({ events }: End): boolean {
  return events.some(({ type }) => type === "open" || type === "closed");
}

/** The event of this type, or a failure that tells what came instead. */
export function eventOf<T extends EngineEvent["type"]>(end: End, type: T): Extract<EngineEvent, { type: T }> {
  const event = end.events.find((candidate): candidate is Extract<EngineEvent, { type: T }> => candidate.type === type);
  if (event === undefined) throw new Error(`no event ${type}, but ${JSON.stringify(end.events.map(describe))}`);
  return event;
}

function describe(event: EngineEvent): string {
  return event.type === "closed" ? `closed by ${event.by}: ${event.error?.message ?? ""}` : event.type;
}
