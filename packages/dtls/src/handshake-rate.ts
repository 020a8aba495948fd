import { TokenBucket } from "./token-bucket.ts";

/**
 * How many handshakes a server begins in a second, in all and for each host. Whoever has an address of its own gets a cookie for
 * nothing: one host shall not spend what is there for all. The upper half of it is anybody's; of the lower half a host that had a quarter
 * of a second's handshakes in this second gets nothing.
 */
export class HandshakeRate {
  readonly #bucket: TokenBucket;
  readonly #reserve: number;
  readonly #share: number;
  /** Of this second only, so that there are no more entries than handshakes. */
  readonly #had = new Map<string, number>();
  #second = 0;

  constructor(perSecond: number) {
    this.#bucket = new TokenBucket(perSecond);
    this.#reserve = perSecond / 2;
    this.#share = Math.max(1, perSecond / 4);
  }

  take(host: string, now: number): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) this.#had.clear();
    this.#second = second;
    const had = this.#had.get(host) ?? 0;
    if (had >= this.#share && this.#bucket.left(now) < this.#reserve + 1) return false;
    if (!this.#bucket.take(now)) return false;
    this.#had.set(host, had + 1);
    return true;
  }
}
