import { Reader } from "./cursor.ts";
import { FrameHeader, headerSize, maxFrameData, noOctets, type Frame } from "./encapsulation.ts";
import { WireError } from "./errors.ts";
import { u16At } from "./octets.ts";

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
 * What came whole in a chunk is a view on it; of a frame in pieces, the pieces are kept. Memory held for them is at most twice
 * the octets that arrived, and at most 24 and `maxData`: a header that claims much reserves nothing. Every octet is copied at
 * most three times, however small the chunks.
 */
export class FrameStream {
  readonly #maxData: number;
  /** Octets of a header, or of the data behind it, that came without the rest. */
  #part: Uint8Array = noOctets;
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
   * Takes the octets that arrived and returns what they complete. The caller must not change `bytes` while it uses the frames.
   *
   * @throws {WireError} `wire/length` when a header claims more than 65,511 octets. Frames before it in the same chunk are
   * returned first; then {@link isOutOfStep} is true and every further call throws.
   */
  push(bytes: Uint8Array): readonly StreamEvent[] {
    const chunk = plain(bytes);
    const events: StreamEvent[] = [];
    let at = 0;
    for (;;) {
      const skipped = Math.min(this.#drain, chunk.length - at);
      this.#drain -= skipped;
      at += skipped;
      const missing = (this.#header?.length ?? headerSize) - this.#held;
      if (this.#drain > 0 || chunk.length - at < missing) {
        this.#keep(chunk.subarray(at));
        return events;
      }
      const part = this.#complete(chunk.subarray(at, at + missing));
      at += missing;
      if (this.#header !== undefined) events.push(this.#finish(this.#header, part));
      else if (claimed(part) <= maxFrameData) this.#start(FrameHeader.read(new Reader(part)), events);
      else {
        this.#keep(part);
        if (events.length > 0) return events;
        throw outOfStep(claimed(part));
      }
    }
  }

  /** Keeps octets whose part is not whole, growing as they arrive. */
  #keep(octets: Uint8Array): void {
    const filled = this.#held + octets.length;
    if (filled > this.#part.length) {
      const whole = this.#header?.length ?? headerSize;
      const grown = new Uint8Array(Math.min(whole, Math.max(filled, 2 * this.#part.length)));
      grown.set(this.#part.subarray(0, this.#held));
      this.#part = grown;
    }
    this.#part.set(octets, this.#held);
    this.#held = filled;
  }

  /** The whole part that ends with these octets; nothing is held any more. */
  #complete(octets: Uint8Array): Uint8Array {
    if (this.#held === 0) return octets;
    this.#keep(octets);
    const part = this.#part;
    this.#part = noOctets;
    this.#held = 0;
    return part;
  }

  /** The data of this header is next; of a frame that is too large it is skipped. */
  #start(header: FrameHeader, events: StreamEvent[]): void {
    if (header.length <= this.#maxData) {
      this.#header = header;
      return;
    }
    this.#drain = header.length;
    events.push({ type: "oversize", header });
  }

  #finish({ command, session, status, context, options }: FrameHeader, data: Uint8Array): StreamEvent {
    this.#header = undefined;
    return { type: "frame", frame: { command, session, status, context, options, data } };
  }
}

/** Views on a `Buffer` would be such, whose `slice` does not copy. */
function plain(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The length field of a whole header. */
function claimed(header: Uint8Array): number {
  return u16At(header, 2);
}

function outOfStep(length: number): WireError {
  return new WireError("wire/length", `encapsulation length: ${length} is above the bound of ${maxFrameData}`, {
    facts: { length, max: maxFrameData },
  });
}
