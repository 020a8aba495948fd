import { setTimeout as sleep } from "node:timers/promises";
import {
  assemblyPath,
  parseTarget,
  Scanner,
  type IoRequest,
  type ScannedConnection,
  type SecurityOptions,
  type StateChange,
} from "@cipsec/originator";
import { parseCertificate, type Certificate, type Crl } from "@cipsec/pki";
import type { Calendar } from "./calendar.ts";
import type { Member } from "./plant.ts";
import { ageOf, type Tool } from "./tool.ts";

const rpiMicros = 100_000;

/** 51 s at this interval: a machine that is held up loses nothing. */
const timeoutMultiplier = 7;

/** Milliseconds for a connection to open, to run on, or to end. */
const patienceMs = 60_000;

/** What a caller of devices wants: their outputs, or only to see their inputs. */
export type LineKind = "owner" | "watcher";

/** A loss that nobody had planned. */
export interface Loss {
  readonly device: string;
  readonly day: number;
  readonly why: string;
}

interface Line {
  readonly member: Member;
  kept: ScannedConnection;
  /** Between these calls losses are what somebody did on purpose. */
  isPlanned: boolean;
  received: number;
  /** Our certificate when its session was opened. */
  own: Certificate | undefined;
}

/** I/O connections of one controller over DTLS, one to each device, kept through the years. */
export class Lines implements AsyncDisposable {
  readonly losses: Loss[] = [];
  /** Milliseconds, of the times that a connection was opened anew on purpose. */
  readonly gapsMs: number[] = [];
  readonly #kind: LineKind;
  readonly #calendar: Calendar;
  readonly #tool: Tool;
  readonly #security: () => SecurityOptions;
  readonly #scanner: Scanner;
  readonly #lines = new Map<Member, Line>();
  /** Of connections that are no more. */
  readonly #past = { sent: 0, received: 0, lost: 0 };

  /** @param tool Who it is: asked whenever a session is opened. @param lists Of revoked certificates. */
  constructor(kind: LineKind, calendar: Calendar, tool: Tool, lists: () => readonly Crl[]) {
    this.#tool = tool;
    this.#security = () => tool.security(lists);
    this.#kind = kind;
    this.#calendar = calendar;
    this.#scanner = new Scanner({
      connect: { security: this.#security(), connectTimeoutMs: patienceMs, requestTimeoutMs: patienceMs },
      backoff: { refusedMs: 200, maxRefusedMs: 1000, lostMs: 50, maxLostMs: 500 },
      onState: (change) => this.#changed(change),
    });
  }

  async open(member: Member): Promise<void> {
    const line: Line = { member, kept: this.#add(member), isPlanned: true, received: 0, own: this.#tool.leaf };
    this.#lines.set(member, line);
    await this.#runs(line);
    line.isPlanned = false;
  }

  /** Lets `work` break the connection, and waits until it runs again. */
  async through(member: Member, work: () => Promise<void>): Promise<void> {
    const line = this.#lines.get(member);
    if (line === undefined) return await work();
    line.isPlanned = true;
    const began = performance.now();
    await work();
    await until(() => line.kept.state !== "running" || this.#advances(line));
    await this.#runs(line);
    this.gapsMs.push(performance.now() - began);
    line.isPlanned = false;
  }

  /** Opens connections anew whose session rests on a certificate, of either end, of which this share of life is over. */
  async renew(share: number): Promise<number> {
    let renewed = 0;
    for (const line of this.#lines.values()) {
      if (this.#age(line) < share) continue;
      await this.through(line.member, async () => await this.#replace(line));
      renewed += 1;
    }
    return renewed;
  }

  /** Closes a connection for good. */
  async drop(member: Member): Promise<void> {
    const line = this.#lines.get(member);
    if (line === undefined) return;
    line.isPlanned = true;
    await this.#end(line);
    this.#lines.delete(member);
  }

  /** Goes by the certificate and the lists of now: sessions with devices that would be refused end, and new ones are opened by them. */
  renewTrust(): void {
    this.#scanner.renew(this.#security());
  }

  /** The end of this connection is no loss. */
  expectEnd(member: Member): void {
    const line = this.#lines.get(member);
    if (line !== undefined) line.isPlanned = true;
  }

  async hasEnded(member: Member): Promise<boolean> {
    const line = this.#lines.get(member);
    await until(() => line?.kept.state !== "running");
    return line !== undefined && line.kept.state !== "running";
  }

  /** Lets the other side end all connections. @returns Names of devices that still talk to us after a while. */
  async ended(withinMs = 20_000): Promise<readonly string[]> {
    for (const line of this.#lines.values()) line.isPlanned = true;
    const alive = (): readonly Line[] => [...this.#lines.values()].filter(({ kept }) => kept.state === "running");
    await until(() => alive().length === 0, withinMs);
    return alive().map(({ member }) => member.name);
  }

  /** Waits until each connection has brought something since the last call. @returns Names of devices whose does not. */
  async silent(): Promise<readonly string[]> {
    const lines = [...this.#lines.values()].filter(({ isPlanned }) => !isPlanned);
    await until(() => lines.every((line) => this.#advances(line)));
    const silent = lines.filter((line) => line.kept.state !== "running" || !this.#advances(line));
    for (const line of lines) line.received = line.kept.statistics().total.received;
    return silent.map(({ member }) => member.name);
  }

  get running(): number {
    return [...this.#lines.values()].filter(({ kept }) => kept.state === "running").length;
  }

  /** Packets of all connections. */
  totals(): { readonly sent: number; readonly received: number; readonly lost: number } {
    const all = [this.#past, ...[...this.#lines.values()].map(({ kept }) => kept.statistics().total)];
    const sum = (what: "sent" | "received" | "lost"): number => all.reduce((total, one) => total + one[what], 0);
    return { sent: sum("sent"), received: sum("received"), lost: sum("lost") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scanner.close();
  }

  #add({ name, address }: Member): ScannedConnection {
    return this.#scanner.add({
      name,
      target: parseTarget(`eipd://${address}`),
      request: requests[this.#kind],
      ...(this.#kind === "owner" ? { output: new Uint8Array(8).fill(1) } : {}),
    });
  }

  async #replace(line: Line): Promise<void> {
    await this.#end(line);
    line.kept = this.#add(line.member);
    line.own = this.#tool.leaf;
    line.received = 0;
  }

  async #end({ kept }: Line): Promise<void> {
    const { sent, received, lost } = kept.statistics().total;
    this.#past.sent += sent;
    this.#past.received += received;
    this.#past.lost += lost;
    await kept.stop();
  }

  #changed({ name, state, reason }: StateChange): void {
    const line = [...this.#lines.values()].find(({ member }) => member.name === name);
    if (line === undefined || line.isPlanned || state === "running" || state === "stopped") return;
    if (state === "waiting" || state === "failed")
      this.losses.push({ device: name, day: Math.floor(this.#calendar.day), why: reason?.message ?? "" });
  }

  #advances({ kept, received }: Line): boolean {
    return kept.statistics().total.received > received;
  }

  async #runs(line: Line): Promise<void> {
    await until(() => line.kept.state === "running");
    line.received = line.kept.statistics().total.received;
    await until(() => this.#advances(line));
  }

  /** Of the older certificate of both ends. */
  #age({ kept, own }: Line): number {
    const peer = kept.facts?.security?.peer;
    const shown = peer?.kind === "certificate" ? parseCertificate(peer.der) : undefined;
    return Math.max(ageOf(own, this.#calendar), ageOf(shown, this.#calendar));
  }
}

const direction = { rpiMicros, size: 8 } as const;

const requests: Readonly<Record<LineKind, IoRequest>> = {
  owner: {
    oToT: { ...direction, format: "run-idle-32" },
    tToO: { ...direction, format: "modeless" },
    timeoutMultiplier,
    path: assemblyPath({ oToT: 101, tToO: 100, configuration: 102 }),
  },
  watcher: {
    oToT: { rpiMicros, size: 0, format: "heartbeat" },
    tToO: { ...direction, format: "modeless" },
    timeoutMultiplier,
    path: assemblyPath({ oToT: 254, tToO: 100, configuration: 102 }),
  },
};

async function until(check: () => boolean, withinMs = patienceMs): Promise<void> {
  const end = performance.now() + withinMs;
  while (!check() && performance.now() < end) await sleep(10);
}
