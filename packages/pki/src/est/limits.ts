/** Bounds of an EST server, each of which a caller may set. */
export interface EstLimits {
  /** Requests that one address may send at once, and how many it gets back a minute. */
  readonly burst: number;
  readonly perMinute: number;
  /** Refused passwords and certificates that one address may show at once, and a minute. */
  readonly failures: number;
  /** Octets of a body. */
  readonly bodyOctets: number;
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** From the first octet of a connection to the last of a request. */
  readonly requestMs: number;
  readonly idleMs: number;
}

/** Generous for a device that retries, and a plant behind one address that starts in the morning. */
export const defaultEstLimits: EstLimits = {
  burst: 200,
  perMinute: 600,
  failures: 20,
  bodyOctets: 32 * 1024,
  connections: 500,
  connectionsPerAddress: 50,
  requestMs: 15_000,
  idleMs: 15_000,
};

/** Addresses remembered at once; beyond it the one that was quiet longest is forgotten. */
const maxAddresses = 10_000;

/** Counts by address, on the caller's clock: a bucket that fills again with time. */
export class RateLimiter {
  readonly #buckets = new Map<string, { left: number; at: number }>();
  readonly #burst: number;
  readonly #perMs: number;

  constructor(burst: number, perMinute: number) {
    this.#burst = burst;
    this.#perMs = perMinute / 60_000;
  }

  /** Whether there is anything left; takes nothing. */
  has(address: string, now: Date): boolean {
    return this.#left(address, now) >= 1;
  }

  /** Takes one. Returns 0, or how many seconds to wait. */
  take(address: string, now: Date): number {
    const left = this.#left(address, now);
    const after = left >= 1 ? left - 1 : left;
    this.#buckets.delete(address);
    this.#buckets.set(address, { left: after, at: now.getTime() });
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= maxAddresses) break;
      this.#buckets.delete(oldest);
    }
    return left >= 1 ? 0 : Math.ceil((1 - left) / this.#perMs / 1000);
  }

  #left(address: string, now: Date): number {
    const bucket = this.#buckets.get(address);
    if (bucket === undefined) return this.#burst;
    return Math.min(this.#burst, bucket.left + Math.max(0, now.getTime() - bucket.at) * this.#perMs);
  }
}
