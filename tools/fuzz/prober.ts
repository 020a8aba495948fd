import { createSocket } from "node:dgram";
import {
  Command,
  MessageRouterReply,
  RegisterSession,
  SHORT_STRING,
  SendData,
  decode,
  encode,
  frame,
  isStackError,
} from "@cipsec/wire";
import { nameRequest, unconnected } from "./requests.ts";
import { dialPlain, type Place, type Wire } from "./wires.ts";

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly count: number;
}

/** What a probe came to. */
export type ProbeResult = { readonly ok: true; readonly ms: number } | { readonly ok: false; readonly what: string };

/** Above this the target hangs. On a busy machine both ends wait for a core, which the reported times show. */
const answerMs = 10_000;

/** The honest tool: asks the target the same question again and again and knows the answer. */
export class Prober {
  readonly #place: Place;
  readonly #name: string;
  #wire: Wire | undefined;
  #session = 0;
  #count = 0;
  /** Sessions that had to be opened anew, as after a reset that the fuzzer was allowed to ask for. */
  reconnects = -1;

  constructor(place: Place, name: string) {
    this.#place = place;
    this.#name = name;
  }

  /** One Get_Attribute_Single; opens a session first where there is none. */
  async get(): Promise<ProbeResult> {
    if (this.#wire === undefined || this.#wire.isClosed) {
      const problem = await this.#open();
      if (problem !== undefined) return { ok: false, what: problem };
    }
    this.#count += 1;
    const context = encode(RegisterSession, { version: this.#count & 0xffff, options: 0x7777 });
    const mark = Uint8Array.of(...context, 0, 0, 0, 0);
    const began = performance.now();
    await this.#wire?.send(unconnected(this.#session, nameRequest, mark));
    const answer = await this.#wire?.next((seen) => Buffer.compare(seen.context, mark) === 0, answerMs);
    const ms = performance.now() - began;
    if (answer === undefined || answer === "closed") return { ok: false, what: "closed" };
    if (answer === "silent") return { ok: false, what: `no answer in ${answerMs} ms` };
    const seen = nameIn(answer.status, answer.data);
    return seen === this.#name ? { ok: true, ms } : { ok: false, what: `wrong answer: ${seen}` };
  }

  /** Many probes in a row. @throws {Error} when one fails. */
  async latency(count: number): Promise<Latency> {
    const times: number[] = [];
    while (times.length < count) {
      const result = await this.get();
      if (!result.ok) throw new Error(`probe: ${result.what}`);
      times.push(result.ms);
    }
    return latencyOf(times);
  }

  /** One ListIdentity over UDP. A datagram may be lost in a flood, so it is sent up to `tries` times. */
  async identity(port: number, tries = 20): Promise<ProbeResult> {
    const socket = createSocket("udp4");
    const began = performance.now();
    try {
      await new Promise<void>((resolve) => void socket.bind(0, this.#place.from, () => resolve()));
      const reply = new Promise<Uint8Array>((resolve) => void socket.once("message", resolve));
      for (let i = 0; i < tries; i += 1) {
        socket.send(frame(Command.listIdentity), port, this.#place.address);
        const bytes = await Promise.race([
          reply,
          new Promise<undefined>((resolve) => void setTimeout(() => resolve(undefined), 200)),
        ]);
        if (bytes === undefined) continue;
        const found = Buffer.from(bytes).includes(this.#name, 0, "latin1");
        return found ? { ok: true, ms: performance.now() - began } : { ok: false, what: "wrong ListIdentity reply" };
      }
      return { ok: false, what: `no ListIdentity reply to ${tries} requests` };
    } finally {
      socket.close();
    }
  }

  end(): void {
    this.#wire?.end();
  }

  async #open(): Promise<string | undefined> {
    this.reconnects += 1;
    this.#wire = await dialPlain(this.#place);
    if (this.#wire === undefined) return "cannot connect";
    await this.#wire.send(registerFrame);
    const reply = await this.#wire.next(({ command }) => command === Command.registerSession, answerMs);
    if (typeof reply === "string") return `RegisterSession: ${reply}`;
    this.#session = reply.session;
    return reply.status === 0 ? undefined : `RegisterSession: status ${reply.status}`;
  }
}

/** Asks for a session. */
export const registerFrame = frame(Command.registerSession, {
  data: encode(RegisterSession, { version: 1, options: 0 }),
});

/** The product name in a SendRRData reply, or what stands there instead. */
export function nameIn(status: number, data: Uint8Array): string {
  if (status !== 0) return `encapsulation status ${status}`;
  try {
    const reply = decode(MessageRouterReply, decode(SendData, data).items[1]?.data ?? new Uint8Array(0));
    return reply.status === 0 ? decode(SHORT_STRING, reply.data) : `status ${reply.status}`;
  } catch (error) {
    if (isStackError(error)) return error.message;
    throw error;
  }
}

/** Percentiles of times in milliseconds. */
export function latencyOf(times: readonly number[]): Latency {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: sorted.length };
}
