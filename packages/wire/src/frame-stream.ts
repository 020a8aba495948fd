import { decode } from "./codec.ts";
import { FrameHeader, headerSize, maxFrameData, type Frame } from "./encapsulation.ts";

/** What a stream yields: a whole frame, or the header of one that is larger than the receiver takes. */
export type StreamEvent =
  | { readonly type: "frame"; readonly frame: Frame }
  | { readonly type: "oversize"; readonly header: FrameHeader };

/**
 * Cuts a TCP or TLS stream into encapsulation frames: split and coalesced frames come out whole and in order.
 *
 * A frame with more data than `maxData` is announced by its header once and its octets are drained, never stored.
 * A length above the protocol's own bound means that the stream is out of step: `push` throws and the stream is done.
 *
 * Memory held is at most one frame: 24 octets and `maxData`.
 */
export class FrameStream {
  readonly #maxData: number;
  #parts: Uint8Array[] = [];
  #held = 0;
  #header: FrameHeader | undefined;
  #drain = 0;

  /** @param maxData Octets of data a frame may have, at most 65,511. */
  constructor(maxData: number = maxFrameData) {
    this.#maxData = maxData;
  }

  /** Whether octets of an unfinished frame are held; a receiver bounds how long that may last. */
  get isPartial(): boolean {
    return this.#held > 0 || this.#header !== undefined || this.#drain > 0;
  }

  /**
   * Takes the octets that arrived and returns what they complete. Frames own their octets.
   *
   * @throws {WireError} `wire/length` when a header claims more than 65,511 octets; the stream cannot go on.
   */
  push(chunk: Uint8Array): readonly StreamEvent[] {
    const events: StreamEvent[] = [];
    let rest = chunk;
    for (;;) {
      if (this.#drain > 0) {
        const skipped = Math.min(this.#drain, rest.length);
        this.#drain -= skipped;
        rest = rest.subarray(skipped);
        if (this.#drain > 0) return events;
      }
      const needed = this.#header === undefined ? headerSize : this.#header.length;
      const missing = needed - this.#held;
      if (rest.length < missing) {
        if (rest.length > 0) this.#hold(rest.slice());
        return events;
      }
      this.#hold(rest.subarray(0, missing));
      rest = rest.subarray(missing);
      const bytes = this.#take(needed);
      const event = this.#header === undefined ? this.#start(bytes) : this.#finish(this.#header, bytes);
      if (event !== undefined) events.push(event);
    }
  }

  #start(bytes: Uint8Array): StreamEvent | undefined {
    const header = decode(FrameHeader, bytes);
    if (header.length > this.#maxData) {
      this.#drain = header.length;
      return { type: "oversize", header };
    }
    this.#header = header;
    return undefined;
  }

  #finish({ length: _, ...header }: FrameHeader, data: Uint8Array): StreamEvent {
    this.#header = undefined;
    return { type: "frame", frame: { ...header, data } };
  }

  #hold(part: Uint8Array): void {
    this.#parts.push(part);
    this.#held += part.length;
  }

  /** Joins what is held; octets are copied so that a frame does not pin the chunk it came from. */
  #take(length: number): Uint8Array {
    const joined = new Uint8Array(length);
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#held = 0;
    return joined;
  }
}
