import { Reader } from "./cursor.ts";
import { FrameHeader, headerSize, maxFrameData, noOctets, type Frame } from "./encapsulation.ts";
import { WireError } from "./errors.ts";

/** What a stream yields: a whole frame, or the header of one that is larger than the receiver takes. */
export type StreamEvent =
  | { readonly type: "frame"; readonly frame: Frame }
  | { readonly type: "oversize"; readonly header: FrameHeader };

/**
 * Cuts a TCP or TLS stream into encapsulation frames: split and coalesced frames come out whole and in order.
 *
 * A frame with more data than `maxData` is announced by its header once and its octets are drained, never stored.
 * A length above the protocol's own bound means that the stream is out of step: it is done, and `push` throws from then on.
 *
 * Memory held is at most twice the octets that arrived of one frame, and at most 24 and `maxData`: a header that claims
 * much reserves nothing. Every octet is copied at most three times, however small the chunks.
 */
export class FrameStream {
  readonly #maxData: number;
  /** The header, or the data behind it, as far as it arrived. */
  #part: Uint8Array = new Uint8Array(headerSize);
  #held = 0;
  #header: FrameHeader | undefined;
  #drain = 0;
  #error: WireError | undefined;

  /** @param maxData Octets of data a frame may have, at most 65,511. */
  constructor(maxData: number = maxFrameData) {
    this.#maxData = maxData;
  }

  /** Whether a frame is unfinished, or the stream done; a receiver bounds how long that may last. */
  get isPartial(): boolean {
    return this.#held > 0 || this.#header !== undefined || this.#drain > 0 || this.#error !== undefined;
  }

  /** Why the stream is out of step and can yield nothing more. */
  get error(): WireError | undefined {
    return this.#error;
  }

  /**
   * Takes the octets that arrived and returns what they complete. Frames own their octets.
   *
   * @throws {WireError} `wire/length` when a header claims more than 65,511 octets. Frames before it in the same chunk are
   * returned first; then {@link error} is set and the next call throws.
   */
  push(chunk: Uint8Array): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    let at = 0;
    while (this.#error === undefined) {
      const skipped = Math.min(this.#drain, chunk.length - at);
      this.#drain -= skipped;
      at += skipped;
      const needed = this.#header?.length ?? headerSize;
      at += this.#fill(chunk.subarray(at), needed);
      if (this.#drain > 0 || this.#held < needed) return events;
      const event = this.#header === undefined ? this.#start(this.#take()) : this.#finish(this.#header, this.#take());
      if (event !== undefined) events.push(event);
    }
    if (events.length === 0) throw this.#error;
    return events;
  }

  /** Keeps what is missing of the part, growing as octets arrive; returns how many it took. */
  #fill(chunk: Uint8Array, needed: number): number {
    const taken = Math.min(needed - this.#held, chunk.length);
    const filled = this.#held + taken;
    if (filled > this.#part.length) {
      const grown = new Uint8Array(Math.min(needed, Math.max(filled, 2 * this.#part.length)));
      grown.set(this.#part.subarray(0, this.#held));
      this.#part = grown;
    }
    this.#part.set(chunk.subarray(0, taken), this.#held);
    this.#held = filled;
    return taken;
  }

  #start(bytes: Uint8Array): StreamEvent | undefined {
    const r = new Reader(bytes);
    try {
      const header = FrameHeader.read(r);
      if (header.length > this.#maxData) {
        this.#drain = header.length;
        this.#part = new Uint8Array(headerSize);
        return { type: "oversize", header };
      }
      this.#header = header;
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#error = error;
    }
    return undefined;
  }

  #finish({ length: _, ...header }: FrameHeader, data: Uint8Array): StreamEvent {
    this.#header = undefined;
    this.#part = new Uint8Array(headerSize);
    return { type: "frame", frame: { ...header, data } };
  }

  /** The part, which has grown to exactly its length; the next one starts empty. */
  #take(): Uint8Array {
    const part = this.#part;
    this.#part = noOctets;
    this.#held = 0;
    return part;
  }
}
