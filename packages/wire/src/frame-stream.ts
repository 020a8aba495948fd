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

  /** @param maxData Octets of data a frame may have, at most 65,511. */
  constructor(maxData: number = maxFrameData) {
    this.#maxData = maxData;
  }

  /** Whether a frame is unfinished, or the stream out of step; a receiver bounds how long that may last. */
  get isPartial(): boolean {
    return this.#held > 0 || this.#header !== undefined || this.#drain > 0;
  }

  /** Whether the stream is done: a header that cannot be has come, is kept, and is never read past. */
  get isOutOfStep(): boolean {
    return this.#header === undefined && this.#held === headerSize;
  }

  /** What the next {@link push} throws on a stream that is out of step. */
  get error(): WireError | undefined {
    return this.isOutOfStep ? outOfStep(claimed(this.#part)) : undefined;
  }

  /**
   * Takes the octets that arrived and returns what they complete. Frames own their octets.
   *
   * @throws {WireError} `wire/length` when a header claims more than 65,511 octets. Frames before it in the same chunk are
   * returned first; then {@link isOutOfStep} is true and every further call throws.
   */
  push(chunk: Uint8Array): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    let at = 0;
    for (;;) {
      const skipped = Math.min(this.#drain, chunk.length - at);
      this.#drain -= skipped;
      at += skipped;
      const needed = this.#header?.length ?? headerSize;
      at += this.#fill(chunk.subarray(at), needed);
      if (this.#drain > 0 || this.#held < needed) return events;
      if (this.#header !== undefined) events.push(this.#finish(this.#header));
      else if (claimed(this.#part) <= maxFrameData) events.push(...this.#start());
      else if (events.length > 0) return events;
      else throw this.error;
    }
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

  #start(): readonly StreamEvent[] {
    const header = FrameHeader.read(new Reader(this.#part));
    this.#held = 0;
    if (header.length > this.#maxData) {
      this.#drain = header.length;
      this.#part = new Uint8Array(headerSize);
      return [{ type: "oversize", header }];
    }
    this.#header = header;
    this.#part = noOctets;
    return [];
  }

  /** The data has grown to exactly its length. */
  #finish({ length: _, ...header }: FrameHeader): StreamEvent {
    const data = this.#part;
    this.#header = undefined;
    this.#held = 0;
    this.#part = new Uint8Array(headerSize);
    return { type: "frame", frame: { ...header, data } };
  }
}

/** The length field of a whole header. */
function claimed(header: Uint8Array): number {
  return new DataView(header.buffer).getUint16(2, true);
}

function outOfStep(length: number): WireError {
  return new WireError("wire/length", `encapsulation length: ${length} is above the bound of ${maxFrameData}`, {
    facts: { length, max: maxFrameData },
  });
}
