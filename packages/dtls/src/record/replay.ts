/** Records that may arrive late: I/O at one record a millisecond stays inside it for a fifth of a second. */
const windowRecords = 256;
const words = windowRecords / 32;

/**
 * Remembers which records of an epoch were accepted. A ring of bits: advancing clears whole words, so that what is
 * remembered reaches back between 225 and 256 records.
 *
 * @see RFC 6347 4.1.2.6; RFC 6479
 */
export class ReplayWindow {
  readonly #seen = new Uint32Array(words);
  #newest = -1;

  /** The highest number accepted so far; -1 before the first. */
  get newest(): number {
    return this.#newest;
  }

  /** Tells whether a record with this number is still to come. Changes nothing. */
  expects(seq: number): boolean {
    if (seq > this.#newest) return true;
    if (wordOf(seq) <= wordOf(this.#newest) - words) return false;
    return ((this.#seen[wordOf(seq) % words] ?? 0) & (1 << (seq % 32))) === 0;
  }

  /** Marks a record that has proved to be the peer's. */
  accept(seq: number): void {
    if (seq > this.#newest) {
      const from = this.#newest < 0 ? -1 : wordOf(this.#newest);
      const to = wordOf(seq);
      for (let word = Math.max(from + 1, to - words + 1); word <= to; word++) this.#seen[word % words] = 0;
      this.#newest = seq;
    }
    const index = wordOf(seq) % words;
    this.#seen[index] = (this.#seen[index] ?? 0) | (1 << (seq % 32));
  }
}

function wordOf(seq: number): number {
  return Math.floor(seq / 32);
}
