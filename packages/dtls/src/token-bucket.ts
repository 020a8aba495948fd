/** Lets through so many a second on average, and as many at once. */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #at: number | undefined;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
  }

  /** How many it would let through now. */
  left(now: number): number {
    const passed = (now - (this.#at ?? now)) / 1000;
    this.#at = now;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + passed * this.#perSecond);
    return this.#tokens;
  }

  take(now: number): boolean {
    if (this.left(now) < 1) return false;
    this.#tokens--;
    return true;
  }
}
