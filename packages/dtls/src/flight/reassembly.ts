import type { HandshakeFragment, HandshakeMessage } from "../handshake/message.ts";

/** A chain of ten RSA certificates stays below it. */
const maxMessageOctets = 32_768;

/** All messages that wait together: a long chain and what follows it. */
const maxWaitingOctets = 65_536;

/** A flight has at most seven messages; what lies further ahead is not of this handshake. */
const maxAhead = 8;

/** What became of a fragment. `old` belongs to a message that was taken already: its sender repeats itself. */
export type Accepted = "kept" | "old" | "refused";

interface Partial {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly have: Uint8Array;
  missing: number;
}

/**
 * Puts handshake messages together, in order, from fragments in any order, overlapping and repeated.
 *
 * Memory: at most 64 KiB and as much again to know which octets came, and only of a peer whose address a cookie has proved.
 *
 * @see RFC 6347 4.2.3
 */
export class Reassembly {
  #next: number;
  readonly #partials = new Map<number, Partial>();
  #waiting = 0;

  /** @param next The number of the first message: 0, or that of the hello that a server answers. */
  constructor(next = 0) {
    this.#next = next;
  }

  accept({ type, seq, length, offset, bytes }: HandshakeFragment): Accepted {
    if (seq < this.#next) return "old";
    if (seq >= this.#next + maxAhead || length > maxMessageOctets) return "refused";
    let partial = this.#partials.get(seq);
    if (partial === undefined) {
      if (this.#waiting + length > maxWaitingOctets) return "refused";
      this.#waiting += length;
      partial = { type, bytes: new Uint8Array(length), have: new Uint8Array(length), missing: length };
      this.#partials.set(seq, partial);
    }
    // The first fragment says what the message is; one that contradicts it is somebody else's.
    if (partial.type !== type || partial.bytes.length !== length) return "refused";
    for (const [i, octet] of bytes.entries()) {
      if (partial.have[offset + i] === 1) continue;
      partial.have[offset + i] = 1;
      partial.bytes[offset + i] = octet;
      partial.missing--;
    }
    return "kept";
  }

  /** The next message in order once it is whole; each is handed out once. */
  next(): HandshakeMessage | undefined {
    const partial = this.#partials.get(this.#next);
    if (partial === undefined || partial.missing > 0) return undefined;
    this.#partials.delete(this.#next);
    this.#waiting -= partial.bytes.length;
    return { type: partial.type, seq: this.#next++, body: partial.bytes };
  }
}
