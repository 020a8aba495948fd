import type { Socket } from "node:net";
import { BugError, isStackError, TransportError, TrustError } from "@cipsec/wire";
import type { Channel, ChannelFacts, CloseReason } from "./channel.ts";
import { systemClock } from "./clock.ts";
import type { Cancel } from "./clock.ts";
import { endpointText } from "./endpoint.ts";
import type { ChannelLimits } from "./limits.ts";
import { tlsError } from "./tls-errors.ts";
import type { Handshake } from "./tls-policy.ts";

/** Sees the plaintext of a channel as it comes and goes; must not change or keep `bytes` beyond the call. */
export type Tap = (direction: "in" | "out", bytes: Uint8Array, facts: ChannelFacts) => void;

/** How a channel came about, and who looks on. */
export interface ChannelOptions {
  /** The other side may still judge our certificate, though the handshake is over for us. */
  readonly awaitsVerdict: boolean;
  readonly tap?: Tap | undefined;
  readonly handshake?: Handshake | undefined;
}

/** How long the other side may take to close its half after we closed ours. */
const lingerMs = 2_000;

/**
 * How soon after the handshake a close by the dialled side counts as its verdict on us: a side that checks certificates
 * after the handshake (TLS 1.3 always, `node:tls` also in 1.2) can say no only by closing.
 */
const verdictMs = 5_000;

/**
 * A connected TCP or TLS socket as a channel. Takes the socket over: nobody else may read or write it.
 *
 * `send` keeps a reference, not a copy: the caller must not change `bytes` afterwards. A receiver that throws ends its
 * channel with the error. What arrives after `close` or `destroy` is not delivered.
 */
export class SocketChannel implements Channel {
  readonly kind = "stream";
  readonly facts: ChannelFacts;
  readonly handshake: Handshake | undefined;
  readonly closed: Promise<CloseReason>;
  readonly #socket: Socket;
  readonly #limits: ChannelLimits;
  readonly #awaitsVerdict: boolean;
  readonly #tap: Tap | undefined;
  readonly #where: string;
  readonly #openedAt = systemClock.now();
  #receiver: ((bytes: Uint8Array) => void) | undefined;
  #unread: Uint8Array[] = [];
  #unreadBytes = 0;
  #hasReceived = false;
  #ending: "by-us" | "by-peer" | undefined;
  /** What was sent in this turn of the event loop and has not been written yet. */
  #unwritten: Uint8Array[] = [];
  #unwrittenBytes = 0;
  #isGathering = false;
  #error: Error | undefined;
  /** Counts writes that the network took, to tell a slow peer from one that takes nothing. */
  #taken = 0;
  #stall: Cancel | undefined;

  constructor(
    socket: Socket,
    facts: ChannelFacts,
    limits: ChannelLimits,
    { awaitsVerdict, tap, handshake }: ChannelOptions,
  ) {
    this.#socket = socket;
    this.facts = facts;
    this.handshake = handshake;
    this.#limits = limits;
    this.#awaitsVerdict = awaitsVerdict;
    this.#tap = tap;
    this.#where = endpointText(facts.remote);
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.#stall?.();
        resolve(this.#reason());
      });
    });
    socket.on("error", (error) => this.#fail(error));
    // A TLS socket that we made ourselves tells of errors after the handshake under this name only.
    socket.on("_tlsError", (error: Error) => this.#fail(error));
    socket.once("end", () => (this.#ending ??= "by-peer"));
    socket.on("data", (bytes: Buffer) => this.#take(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)));
    socket.resume();
  }

  get queued(): number {
    return this.#socket.writableLength + this.#unwrittenBytes;
  }

  send(bytes: Uint8Array): void {
    if (bytes.length === 0 || !this.#socket.writable) return;
    this.#tap?.("out", bytes, this.facts);
    this.#unwritten.push(bytes);
    this.#unwrittenBytes += bytes.length;
    if (this.queued > this.#limits.maxQueuedBytes) {
      this.#cut(this.#slow(`reads too slowly: ${this.queued} octets wait`, "transport/limit"));
    } else if (!this.#isGathering) {
      this.#isGathering = true;
      process.nextTick(this.#write);
    }
  }

  receive(receiver: (bytes: Uint8Array) => void): void {
    this.#receiver = receiver;
    const unread = this.#unread;
    this.#unread = [];
    this.#unreadBytes = 0;
    for (const bytes of unread) this.#deliver(bytes);
    this.#socket.resume();
  }

  async close(): Promise<void> {
    this.#ending ??= "by-us";
    this.#write();
    this.#socket.end(() => {
      const cancel = systemClock.after(lingerMs, () => this.#socket.destroy());
      this.#socket.once("close", cancel);
    });
    await this.closed;
  }

  destroy(error?: Error): void {
    this.#error ??= this.#ending === undefined ? error : undefined;
    this.#ending ??= "by-us";
    this.#write();
    this.#socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  readonly #wrote = (): void => {
    this.#taken += 1;
  };

  /**
   * What was sent before this turn of the event loop is over leaves as one write: the replies to requests that came together
   * cost one call to the system, and in TLS one record. Nothing waits for a timer.
   */
  readonly #write = (): void => {
    this.#isGathering = false;
    const parts = this.#unwritten;
    const [first] = parts;
    if (first === undefined) return;
    const bytes = parts.length === 1 ? first : Buffer.concat(parts, this.#unwrittenBytes);
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    this.#socket.write(bytes, this.#wrote);
    if (this.#stall === undefined && this.#socket.writableLength > 0) this.#watch();
  };

  #take(bytes: Uint8Array): void {
    if (this.#ending === "by-us") return;
    this.#hasReceived = true;
    if (this.#receiver !== undefined) {
      this.#deliver(bytes);
      return;
    }
    this.#unread.push(bytes);
    this.#unreadBytes += bytes.length;
    if (this.#unreadBytes > this.#limits.maxUnreadBytes) this.#socket.pause();
  }

  #deliver(bytes: Uint8Array): void {
    if (this.#ending === "by-us") return;
    // What the receiver sends is written when it has seen all that came, without waiting for the turn to end.
    this.#isGathering = true;
    try {
      this.#tap?.("in", bytes, this.facts);
      this.#receiver?.(bytes);
      this.#write();
    } catch (error) {
      const words = `${this.#where}: a receiver failed`;
      this.#receiver = ignore;
      this.#cut(isStackError(error) ? error : new BugError("bug/unreachable", words, { cause: error }));
    }
  }

  #watch(): void {
    const taken = this.#taken;
    this.#stall = systemClock.after(this.#limits.sendStallMs, () => {
      this.#stall = undefined;
      if (this.#socket.writableLength === 0 || this.#socket.destroyed) return;
      if (this.#taken !== taken) this.#watch();
      else this.#cut(this.#slow(`took nothing for ${this.#limits.sendStallMs} ms`, "transport/timeout"));
    });
  }

  #slow(words: string, code: "transport/limit" | "transport/timeout"): TransportError {
    return new TransportError(code, `${this.#where}: the other side ${words}; the connection was cut`, {
      facts: { where: this.#where },
      fix: "Check the other side: it has stopped reading, or the link is too slow.",
    });
  }

  /** The network failed, which after our own close is no news. */
  #fail(error: unknown): void {
    if (this.#ending === "by-us") this.#socket.destroy();
    else this.#cut(tlsError(error, this.#where));
  }

  #cut(error: Error): void {
    this.#error ??= error;
    this.#ending ??= "by-peer";
    this.#socket.destroy();
  }

  #reason(): CloseReason {
    if (this.#looksRefused()) {
      const cause = this.#error;
      const words = `${this.#where}: the other side closed right after the TLS handshake: most likely it refused our certificate, or wants one`;
      return {
        clean: false,
        error: new TrustError("trust/refused", words, {
          cause,
          facts: { where: this.#where, reason: "closed-after-handshake" },
        }),
      };
    }
    if (this.#error !== undefined) return { clean: false, error: this.#error };
    return { clean: true };
  }

  /** A TLS peer that may have judged us and hung up, without an alert, before it said anything. */
  #looksRefused(): boolean {
    if (!this.#awaitsVerdict || this.#hasReceived || this.#ending === "by-us") return false;
    if (systemClock.now() - this.#openedAt > verdictMs) return false;
    return this.#error === undefined || ("code" in this.#error && this.#error.code === "transport/closed");
  }
}

function ignore(): void {
  // What comes after a failed receiver is not delivered.
}
