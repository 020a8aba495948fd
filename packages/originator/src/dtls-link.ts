import { randomInt } from "node:crypto";
import type { Cancel, Channel, Clock } from "@cipsec/transport";
import {
  Cpf,
  ItemType,
  TransportError,
  UnconnectedMessage,
  UsageError,
  decode,
  encode,
  isStackError,
  readIo,
  type IoFrame,
  type Value,
} from "@cipsec/wire";
import { closedError } from "./exchange.ts";
import { DtlsGates } from "./io/dtls-gate.ts";
import type { Answer, AskOptions, Link, LinkOptions } from "./link.ts";
import { encapsulationError } from "./replies.ts";
import { abortReason } from "./waiting.ts";

/** Milliseconds until a request without an answer is sent again, each with the same transaction id. @see reference cip-security.md 2.6 */
const resendAfterMs = [1000, 2000, 4000] as const;

/** All resends, and a second for the answer to the last. */
const defaultTimeoutMs = 8000;

/** Requests that may wait for their turn; more means that the caller does not wait for answers. */
const maxQueued = 65_536;

/** Plaintext of one DTLS record, where the channel does not know how much the way takes. @see RFC 6347, 4.1.1.1 */
const maxRecord = 16_384;

/** Octets around a message: item count, type and length, and the head of the item. */
const wrapping = 2 + 4 + 10;

/** Unconnected message types: UCMM without acknowledge, and bit 15 for the response to one. */
const requestType = 0x0001;
const responseType = 0x8001;

/**
 * A DTLS association as a link: requests go as items 0x8003, and I/O goes both ways beside them. There is nothing to register.
 *
 * Datagrams get lost, so a request without an answer is sent again; the target knows it by its transaction id and does not do it
 * twice. An answer counts when it is a response with the transaction id of a request that waits. All else that comes is dropped
 * without a word: late answers, doubles, and what is no message, as one bad datagram says nothing about the next.
 *
 * @see reference cip-security.md 2.6
 */
export function dtlsLink(channel: Channel, options: LinkOptions): Link {
  const transactions = new Transactions(channel, options);
  const gates = new DtlsGates(channel);
  let heardMs = options.clock.now();
  channel.receive((bytes) => {
    heardMs = options.clock.now();
    const frame: IoFrame | undefined = readIo(bytes);
    if (frame === undefined) transactions.take(bytes);
    else gates.deliver(frame);
  });
  const ended = channel.closed.then((reason) => {
    const lost = transactions.end((during, sent) => closedError(reason, options.peer, during, sent));
    gates.end(lost);
    return lost;
  });
  return {
    channel,
    ended,
    defaultTimeoutMs,
    noClass3: "class 3 connections are not defined over DTLS",
    get isOpen() {
      return transactions.isOpen;
    },
    get heardMs() {
      return heardMs;
    },
    ask: (message, further, how) => {
      if (further.length > 0)
        throw new UsageError("usage/argument", `${how.what()}: a message over DTLS has no room for further items`);
      return transactions.ask(message, how);
    },
    sendConnected: () => {
      throw new UsageError("usage/argument", `${options.peer}: connected messages other than I/O do not go over DTLS`);
    },
    openGate: () => gates.open(),
    close: () => channel.close(),
  };
}

interface Waiting {
  readonly how: AskOptions;
  readonly id: number;
  readonly datagram: Uint8Array;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  cancelTimeout?: Cancel;
  cancelResend?: Cancel;
  onAbort?: () => void;
  resent: number;
  sent: boolean;
}

/** Requests on the way over one association. */
class Transactions {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #maxInFlight: number;
  readonly #peer: string;
  readonly #maxMessage: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #queue: Waiting[] = [];
  #nextId = randomInt(0, 2 ** 32);
  #ended: Error | undefined;

  constructor(channel: Channel, { clock, maxInFlight, peer }: LinkOptions) {
    this.#channel = channel;
    this.#clock = clock;
    this.#maxInFlight = maxInFlight;
    this.#peer = peer;
    this.#maxMessage = (channel.maxMessage ?? maxRecord) - wrapping;
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  ask(message: Uint8Array, how: AskOptions): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const { what, signal } = how;
    if (this.#ended !== undefined) reject(this.#ended);
    else if (signal?.aborted === true) reject(abortReason(signal));
    else if (message.length > this.#maxMessage) reject(tooLong(what(), message.length, this.#maxMessage));
    else if (this.#queue.length >= maxQueued)
      reject(new TransportError("transport/limit", `${what()}: ${maxQueued} requests wait already`));
    else {
      const id = this.#newId();
      const datagram = request(id, message);
      this.#enqueue({ how, id, datagram, resolve, reject, resent: 0, sent: false });
    }
    return promise;
  }

  take(bytes: Uint8Array): void {
    const response = responseIn(bytes);
    if (response === undefined) return;
    const waiting = this.#waiting.get(response.transactionId);
    if (waiting === undefined) return;
    const { message, status } = response;
    this.#settle(waiting);
    if (status === 0) waiting.resolve({ message, further: [] });
    else waiting.reject(encapsulationError(status, waiting.how.what()));
  }

  /** Ends all that waits; returns the reason for whoever did not wait. */
  end(errorFor: (during: string, sent: boolean) => Error): Error {
    const ended = errorFor("while idle", false);
    this.#ended = ended;
    for (const waiting of [...this.#waiting.values(), ...this.#queue]) {
      this.#settle(waiting);
      waiting.reject(errorFor(waiting.how.what(), waiting.sent));
    }
    return ended;
  }

  #enqueue(waiting: Waiting): void {
    const { timeoutMs, signal } = waiting.how;
    waiting.cancelTimeout = this.#clock.after(timeoutMs, () => this.#expire(waiting));
    if (signal !== undefined) {
      waiting.onAbort = () => {
        this.#settle(waiting);
        waiting.reject(abortReason(signal));
      };
      signal.addEventListener("abort", waiting.onAbort, { once: true });
    }
    this.#queue.push(waiting);
    this.#pump();
  }

  #pump(): void {
    while (this.#waiting.size < this.#maxInFlight && this.isOpen) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      next.sent = true;
      this.#waiting.set(next.id, next);
      this.#send(next);
    }
  }

  #send(waiting: Waiting): void {
    this.#channel.send(waiting.datagram);
    const waitMs = resendAfterMs[waiting.resent];
    if (waitMs === undefined) return;
    waiting.cancelResend = this.#clock.after(waitMs, () => {
      waiting.resent += 1;
      this.#send(waiting);
    });
  }

  #expire(waiting: Waiting): void {
    const { what, timeoutMs } = waiting.how;
    const { sent, resent } = waiting;
    const text = sent
      ? `${what()}: no answer from ${this.#peer} within ${timeoutMs} ms, sent ${resent + 1} times`
      : `${what()}: not sent within ${timeoutMs} ms, as earlier requests to ${this.#peer} are unanswered`;
    this.#settle(waiting);
    waiting.reject(new TransportError("transport/timeout", text, { facts: { timeoutMs, sent, resent } }));
  }

  /** Ends one wait; an answer that still comes finds nobody and is dropped. */
  #settle(waiting: Waiting): void {
    waiting.cancelTimeout?.();
    waiting.cancelResend?.();
    if (waiting.onAbort !== undefined) waiting.how.signal?.removeEventListener("abort", waiting.onAbort);
    this.#waiting.delete(waiting.id);
    const at = this.#queue.indexOf(waiting);
    if (at >= 0) this.#queue.splice(at, 1);
    this.#pump();
  }

  #newId(): number {
    this.#nextId = (this.#nextId + 1) >>> 0;
    return this.#nextId;
  }
}

function request(transactionId: number, message: Uint8Array): Uint8Array {
  const data = encode(UnconnectedMessage, { type: requestType, transactionId, status: 0, message });
  return encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]);
}

/** The response that a datagram is, exactly; nothing for any other. */
function responseIn(bytes: Uint8Array): Value<typeof UnconnectedMessage> | undefined {
  try {
    const [item, ...more] = decode(Cpf, bytes);
    if (item?.type !== ItemType.unconnectedMessage || more.length > 0) return undefined;
    const response = decode(UnconnectedMessage, item.data);
    return response.type === responseType ? response : undefined;
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}

function tooLong(what: string, octets: number, max: number): UsageError {
  return new UsageError("usage/argument", `${what}: ${octets} octets do not fit the ${max} of a datagram`, {
    fix: "Send it in parts, or over eips://.",
  });
}
