import { randomBytes } from "node:crypto";
import type { Cancel, Channel, Clock, CloseReason } from "@cipsec/transport";
import {
  Command,
  Encapsulation,
  FrameStream,
  PeerError,
  TransportError,
  decode,
  frame,
  isStackError,
  noOctets,
  type Frame,
} from "@cipsec/wire";
import { Deadline } from "./deadline.ts";
import { abortReason } from "./waiting.ts";

/** How an exchange behaves. */
export interface ExchangeOptions {
  readonly clock: Clock;
  /** Commands sent and not yet answered at one time. */
  readonly maxInFlight: number;
  /** Who is at the other end, for messages: `eips://192.0.2.7:2221`. */
  readonly peer: string;
}

/** One command to send. */
export interface CommandOptions {
  readonly session: number;
  readonly data?: Uint8Array;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The command in words, for messages: not asked for where all goes well. */
  readonly what: () => string;
}

interface Waiting {
  readonly command: number;
  readonly options: CommandOptions;
  /** What its sender context counts. */
  readonly id: number;
  readonly dueMs: number;
  readonly resolve: (reply: Frame) => void;
  readonly reject: (error: Error) => void;
  cancelResend?: Cancel;
  sent: boolean;
  onAbort?: () => void;
}

/** Commands that may wait for their turn; more means that the caller does not wait for answers. */
const maxQueued = 65_536;

/** Milliseconds until a command without a reply is sent again, where datagrams can get lost; the target knows it by its octets. */
const resendAfterMs = [1000, 2000, 4000] as const;

/** Late replies to commands that have timed out are known by their context and dropped; this bounds how many. */
const maxForgotten = 256;

/**
 * Encapsulation commands and their replies on one channel: each command gets a sender context of its own, and a reply counts only
 * when command, session and context are those of a command that waits. Any other reply means that the stream is out of step
 * (or that somebody else writes into it), which ends the channel.
 *
 * On a channel of datagrams each is one frame: a command without a reply is sent again, and what does not fit is dropped, for a
 * late copy of a reply says nothing about the next.
 */
export class Exchange {
  readonly #channel: Channel;
  readonly #options: ExchangeOptions;
  readonly #stream = new FrameStream();
  readonly #waiting = new Map<number, Waiting>();
  readonly #forgotten = new Set<number>();
  readonly #queue: Waiting[] = [];
  /** Sender context: four octets of this exchange's own, and the id of the command. */
  readonly #context = new Uint8Array([...randomBytes(4), 0, 0, 0, 0]);
  readonly #deadline: Deadline;
  #lastId = 0;
  #ended: Error | undefined;
  #failure: Error | undefined;
  /** Receives connected messages (SendUnitData), which no command waits for. */
  onConnected: ((frame: Frame) => void) | undefined;
  /** Settles with the reason when the channel has ended. */
  readonly ended: Promise<Error>;

  constructor(channel: Channel, options: ExchangeOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#deadline = new Deadline(options.clock, (nowMs) => this.#expire(nowMs));
    channel.receive((bytes) => this.#receive(bytes));
    this.ended = channel.closed.then((reason) => this.#end(reason));
  }

  /** Whether the channel still runs. */
  get isOpen(): boolean {
    return this.#ended === undefined && this.#failure === undefined;
  }

  get channel(): Channel {
    return this.#channel;
  }

  /** Sends a command that is answered by one reply of the same command. Waits its turn when too many are on the way. */
  command(command: number, options: CommandOptions): Promise<Frame> {
    const { promise, resolve, reject } = Promise.withResolvers<Frame>();
    const gone = this.#failure ?? this.#ended;
    if (gone !== undefined) reject(gone);
    else if (options.signal?.aborted === true) reject(abortReason(options.signal));
    else if (this.#queue.length >= maxQueued)
      reject(new TransportError("transport/limit", `${options.what()}: ${maxQueued} requests wait already`));
    else {
      this.#lastId = (this.#lastId + 1) >>> 0;
      const dueMs = this.#options.clock.now() + options.timeoutMs;
      this.#enqueue({ command, options, id: this.#lastId, dueMs, resolve, reject, sent: false });
    }
    return promise;
  }

  /** Sends a command that has no reply. */
  post(command: number, session: number, data: Uint8Array = noOctets): void {
    this.#channel.send(frame(command, { session, data }));
  }

  #enqueue(waiting: Waiting): void {
    const { signal } = waiting.options;
    if (waiting.dueMs < this.#deadline.dueMs) this.#deadline.set(waiting.dueMs);
    if (signal !== undefined) {
      waiting.onAbort = () => {
        this.#settle(waiting, true);
        waiting.reject(abortReason(signal));
      };
      signal.addEventListener("abort", waiting.onAbort, { once: true });
    }
    this.#queue.push(waiting);
    this.#pump();
  }

  #pump(): void {
    while (this.#waiting.size < this.#options.maxInFlight) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      next.sent = true;
      this.#waiting.set(next.id, next);
      const { session, data = noOctets } = next.options;
      const octets = frame(next.command, { session, context: this.#contextOf(next.id), data });
      // What is sent in one turn of the event loop leaves the channel together: one write, one TLS record.
      if (this.#channel.kind === "datagram") this.#sendAgain(next, octets, 0);
      else this.#channel.send(octets);
    }
  }

  #sendAgain(waiting: Waiting, octets: Uint8Array, times: number): void {
    this.#channel.send(octets);
    const waitMs = resendAfterMs[times];
    if (waitMs === undefined) return;
    waiting.cancelResend = this.#options.clock.after(waitMs, () => this.#sendAgain(waiting, octets, times + 1));
  }

  #receive(bytes: Uint8Array): void {
    if (this.#channel.kind === "datagram") return this.#receiveDatagram(bytes);
    try {
      for (const event of this.#stream.push(bytes)) if (event.type === "frame") this.#take(event.frame);
    } catch (error) {
      this.#fail(error instanceof Error ? error : mismatch(this.#options.peer, "sends octets that are no frames"));
    }
  }

  #receiveDatagram(bytes: Uint8Array): void {
    try {
      this.#take(decode(Encapsulation, bytes));
    } catch (error) {
      if (!isStackError(error)) throw error;
    }
  }

  #take(reply: Frame): void {
    if (reply.command === Command.nop) return;
    if (reply.command === Command.sendUnitData) {
      this.onConnected?.(reply);
      return;
    }
    const id = this.#idIn(reply.context);
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (waiting === undefined) {
      if (id !== undefined && this.#forgotten.delete(id)) return;
      throw mismatch(this.#options.peer, "answers with a sender context that was not sent");
    }
    if (reply.command !== waiting.command)
      throw mismatch(this.#options.peer, `answers command ${waiting.command} with command ${reply.command}`);
    // RegisterSession is asked with handle 0 and answered with the new one; a refused command may name any handle.
    const isRegister = reply.command === Command.registerSession;
    if (!isRegister && reply.status === 0 && reply.session !== waiting.options.session)
      throw mismatch(this.#options.peer, "answers for another session handle");
    this.#settle(waiting, false);
    waiting.resolve(reply);
  }

  /** Ends the waits whose time is over. */
  #expire(nowMs: number): void {
    let nextMs = Infinity;
    for (const waiting of [...this.#waiting.values(), ...this.#queue])
      if (!Deadline.isReached(waiting.dueMs, nowMs)) nextMs = Math.min(nextMs, waiting.dueMs);
      else {
        const wasPartial = this.#stream.isPartial;
        this.#settle(waiting, true);
        waiting.reject(this.#tooLate(waiting, wasPartial));
      }
    if (nextMs < this.#deadline.dueMs) this.#deadline.set(nextMs);
  }

  #tooLate({ options: { what, timeoutMs }, sent }: Waiting, isPartial: boolean): TransportError {
    const { peer } = this.#options;
    const text = sent
      ? `${what()}: no ${isPartial ? "whole " : ""}answer from ${peer} within ${timeoutMs} ms`
      : `${what()}: not sent within ${timeoutMs} ms, as earlier requests to ${peer} are unanswered`;
    return new TransportError("transport/timeout", text, { facts: { timeoutMs, sent } });
  }

  /** Ends one wait, and lets the next be sent. A reply that may still come is remembered as late. */
  #settle(waiting: Waiting, mayComeLate: boolean): void {
    forgetTimers(waiting);
    if (waiting.sent) {
      this.#waiting.delete(waiting.id);
      if (mayComeLate) this.#forget(waiting.id);
    } else {
      const at = this.#queue.indexOf(waiting);
      if (at >= 0) this.#queue.splice(at, 1);
    }
    if (this.isOpen && this.#queue.length > 0) this.#pump();
  }

  #forget(id: number): void {
    this.#forgotten.add(id);
    for (const oldest of this.#forgotten) {
      if (this.#forgotten.size <= maxForgotten) return;
      this.#forgotten.delete(oldest);
    }
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#channel.destroy(error);
    this.#rejectAll(() => error);
  }

  #end(reason: CloseReason): Error {
    this.#ended = this.#failure ?? closedError(reason, this.#options.peer, "while idle", false);
    this.#rejectAll(
      ({ options, sent }) => this.#failure ?? closedError(reason, this.#options.peer, options.what(), sent),
    );
    return this.#ended;
  }

  #rejectAll(errorFor: (waiting: Waiting) => Error): void {
    const all = [...this.#waiting.values(), ...this.#queue.splice(0)];
    this.#waiting.clear();
    this.#deadline.end();
    for (const waiting of all) {
      forgetTimers(waiting);
      waiting.reject(errorFor(waiting));
    }
  }

  /** Good until the next call. */
  #contextOf(id: number): Uint8Array {
    const context = this.#context;
    context[4] = id >>> 24;
    context[5] = id >>> 16;
    context[6] = id >>> 8;
    context[7] = id;
    return context;
  }

  /** The id in a context, where it is one of this exchange. */
  #idIn(context: Uint8Array): number | undefined {
    for (let i = 0; i < 4; i += 1) if (context[i] !== this.#context[i]) return undefined;
    let id = 0;
    for (let i = 4; i < 8; i += 1) id = id * 256 + (context[i] ?? 0);
    return id;
  }
}

/** What a wait that the end of the channel cuts short is told: the TLS or trust error where there is one, else when it happened. */
export function closedError(reason: CloseReason, peer: string, during: string, sent: boolean): Error {
  const { error } = reason;
  if (isStackError(error) && !error.code.startsWith("transport/closed")) return error;
  return new TransportError("transport/closed", `${peer} closed the connection: ${during}`, {
    facts: { during, sent },
    ...(error === undefined ? {} : { cause: error }),
  });
}

function mismatch(peer: string, what: string): PeerError {
  return new PeerError("cip/mismatch", `${peer} ${what}`, { facts: { peer } });
}

function forgetTimers({ cancelResend, onAbort, options: { signal } }: Waiting): void {
  cancelResend?.();
  if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
}
