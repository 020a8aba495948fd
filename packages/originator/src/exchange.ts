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
  /** The command in words, for messages. */
  readonly what: string;
}

interface Waiting {
  readonly command: number;
  readonly options: CommandOptions;
  readonly context: Uint8Array;
  readonly resolve: (reply: Frame) => void;
  readonly reject: (error: Error) => void;
  cancelTimer?: Cancel;
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
  readonly #waiting = new Map<string, Waiting>();
  readonly #forgotten = new Set<string>();
  readonly #queue: Waiting[] = [];
  readonly #out: Uint8Array[] = [];
  readonly #salt = randomBytes(4);
  #counter = 0;
  #ended: Error | undefined;
  #failure: Error | undefined;
  /** Receives connected messages (SendUnitData), which no command waits for. */
  onConnected: ((frame: Frame) => void) | undefined;
  /** Settles with the reason when the channel has ended. */
  readonly ended: Promise<Error>;

  constructor(channel: Channel, options: ExchangeOptions) {
    this.#channel = channel;
    this.#options = options;
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
    const waiting: Waiting = { command, options, context: this.#nextContext(), resolve, reject, sent: false };
    const gone = this.#failure ?? this.#ended;
    if (gone !== undefined) reject(gone);
    else if (options.signal?.aborted === true) reject(abortReason(options.signal));
    else if (this.#queue.length >= maxQueued)
      reject(new TransportError("transport/limit", `${options.what}: ${maxQueued} requests wait already`));
    else this.#enqueue(waiting);
    return promise;
  }

  /** Sends a command that has no reply. */
  post(command: number, session: number, data: Uint8Array = noOctets): void {
    if (this.#channel.kind === "datagram") return this.#channel.send(frame(command, { session, data }));
    this.#out.push(frame(command, { session, data }));
    this.#flush();
  }

  #enqueue(waiting: Waiting): void {
    const { timeoutMs, signal } = waiting.options;
    waiting.cancelTimer = this.#options.clock.after(timeoutMs, () => this.#expire(waiting));
    if (signal !== undefined) {
      waiting.onAbort = () => this.#settle(waiting, () => waiting.reject(abortReason(signal)), true);
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
      this.#waiting.set(key(next.context), next);
      const { session, data } = next.options;
      if (this.#channel.kind === "datagram") {
        this.#sendAgain(next, frame(next.command, { session, context: next.context, data: data ?? noOctets }), 0);
        continue;
      }
      // Commands of one turn of the event loop leave together: one write, one TLS record.
      if (this.#out.push(frame(next.command, { session, context: next.context, data: data ?? noOctets })) === 1)
        process.nextTick(() => this.#flush());
    }
  }

  #sendAgain(waiting: Waiting, octets: Uint8Array, times: number): void {
    this.#channel.send(octets);
    const waitMs = resendAfterMs[times];
    if (waitMs === undefined) return;
    waiting.cancelResend = this.#options.clock.after(waitMs, () => this.#sendAgain(waiting, octets, times + 1));
  }

  #flush(): void {
    const frames = this.#out.splice(0);
    const [only] = frames;
    if (only !== undefined) this.#channel.send(frames.length === 1 ? only : Buffer.concat(frames));
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
    const context = key(reply.context);
    const waiting = this.#waiting.get(context);
    if (waiting === undefined) {
      if (this.#forgotten.delete(context)) return;
      throw mismatch(this.#options.peer, "answers with a sender context that was not sent");
    }
    if (reply.command !== waiting.command)
      throw mismatch(this.#options.peer, `answers command ${waiting.command} with command ${reply.command}`);
    // RegisterSession is asked with handle 0 and answered with the new one; a refused command may name any handle.
    const isRegister = reply.command === Command.registerSession;
    if (!isRegister && reply.status === 0 && reply.session !== waiting.options.session)
      throw mismatch(this.#options.peer, "answers for another session handle");
    this.#settle(waiting, () => waiting.resolve(reply), false);
  }

  #expire(waiting: Waiting): void {
    const { what, timeoutMs } = waiting.options;
    const text = waiting.sent
      ? `${what}: no ${this.#stream.isPartial ? "whole " : ""}answer from ${this.#options.peer} within ${timeoutMs} ms`
      : `${what}: not sent within ${timeoutMs} ms, as earlier requests to ${this.#options.peer} are unanswered`;
    const error = new TransportError("transport/timeout", text, { facts: { timeoutMs, sent: waiting.sent } });
    this.#settle(waiting, () => waiting.reject(error), true);
  }

  /** Ends one wait. A reply that may still come is remembered as late. */
  #settle(waiting: Waiting, finish: () => void, mayComeLate: boolean): void {
    waiting.cancelTimer?.();
    waiting.cancelResend?.();
    if (waiting.onAbort !== undefined) waiting.options.signal?.removeEventListener("abort", waiting.onAbort);
    if (waiting.sent) {
      const context = key(waiting.context);
      this.#waiting.delete(context);
      if (mayComeLate) this.#forget(context);
    } else {
      const at = this.#queue.indexOf(waiting);
      if (at >= 0) this.#queue.splice(at, 1);
    }
    finish();
    if (this.isOpen) this.#pump();
  }

  #forget(context: string): void {
    this.#forgotten.add(context);
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
      ({ options, sent }) => this.#failure ?? closedError(reason, this.#options.peer, options.what, sent),
    );
    return this.#ended;
  }

  #rejectAll(errorFor: (waiting: Waiting) => Error): void {
    const all = [...this.#waiting.values(), ...this.#queue.splice(0)];
    this.#waiting.clear();
    for (const waiting of all) {
      waiting.cancelTimer?.();
      waiting.cancelResend?.();
      if (waiting.onAbort !== undefined) waiting.options.signal?.removeEventListener("abort", waiting.onAbort);
      waiting.reject(errorFor(waiting));
    }
  }

  #nextContext(): Uint8Array {
    this.#counter = (this.#counter + 1) >>> 0;
    const context = new Uint8Array(8);
    context.set(this.#salt);
    new DataView(context.buffer).setUint32(4, this.#counter);
    return context;
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

function key(context: Uint8Array): string {
  return Buffer.from(context.buffer, context.byteOffset, context.length).toString("latin1");
}
