/** Times of the handshake, milliseconds. */
export interface Timing {
  /** Silence after which a flight is repeated first; each repetition doubles it. */
  readonly firstMs: number;
  /** Where doubling ends: with heavy loss many tries are worth more than long waits. */
  readonly longestMs: number;
}

/** Repetitions that the peer's own repetitions may cause: each costs it as much as it costs us. */
const maxAsked = 32;

/** The least time between repetitions that the peer asks for: duplicates on the way are no loss. */
const askedEveryMs = 100;

/** When a flight is to be sent again: by time while an answer is due, and whenever the peer repeats its own. */
export class Retransmission {
  readonly #timing: Timing;
  #intervalMs: number;
  #sentAt: number;
  #attempts = 0;
  #asked = 0;
  #waits: boolean;

  /** @param waits Whether an answer is due; the last flight of a handshake is repeated only when asked for. */
  constructor(timing: Timing, now: number, waits: boolean) {
    this.#timing = timing;
    this.#intervalMs = timing.firstMs;
    this.#sentAt = now;
    this.#waits = waits;
  }

  /** When the next repetition is due. */
  get wakeAt(): number | undefined {
    return this.#waits ? this.#sentAt + this.#intervalMs : undefined;
  }

  /** Repetitions by time so far. */
  get attempts(): number {
    return this.#attempts;
  }

  /** The answer has come. */
  settle(): void {
    this.#waits = false;
  }

  /** Tells whether the flight is to be sent again now, and counts it. */
  due(now: number): boolean {
    if (!this.#waits || now < this.#sentAt + this.#intervalMs) return false;
    this.#sentAt = now;
    this.#attempts++;
    this.#intervalMs = Math.min(2 * this.#intervalMs, this.#timing.longestMs);
    return true;
  }

  /** Tells whether the peer's repetition is to be answered with ours. */
  asked(now: number): boolean {
    if (this.#asked >= maxAsked || now < this.#sentAt + askedEveryMs) return false;
    this.#asked++;
    this.#sentAt = now;
    return true;
  }
}
