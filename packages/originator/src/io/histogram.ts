/** Steps within a doubling: values are known to less than one percent. */
const steps = 128;
const stepBits = 7;

/** Values up to 2^32 µs, over an hour: 25 doublings above the first 128 exact values. */
const doublings = 32 - stepBits;

/** Counts of durations in fixed memory (13 KiB), however many come. */
export class Histogram {
  readonly #counts = new Uint32Array(steps * (doublings + 1));
  #total = 0;
  #max = 0;

  get count(): number {
    return this.#total;
  }

  get max(): number {
    return this.#max;
  }

  /** Adds a duration, microseconds. */
  add(micros: number): void {
    const value = Math.min(Math.max(0, Math.round(micros)), 0xffff_ffff);
    this.#total += 1;
    if (value > this.#max) this.#max = value;
    const at = placeOf(value);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
  }

  /** The duration that this share of all is not above: 0.5 is the median. 0 where nothing was added. */
  quantile(share: number): number {
    let left = Math.max(1, Math.ceil(share * this.#total));
    for (const [at, count] of this.#counts.entries()) {
      left -= count;
      if (left <= 0) return Math.min(valueAt(at), this.#max);
    }
    return this.#max;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
    this.#max = 0;
  }
}

function placeOf(value: number): number {
  if (value < steps) return value;
  const doubling = 31 - Math.clz32(value) - stepBits;
  return steps * (doubling + 1) + ((value >>> doubling) - steps);
}

/** Middle of a place's values. */
function valueAt(at: number): number {
  if (at < steps) return at;
  const doubling = Math.floor(at / steps) - 1;
  return ((at % steps) + steps + 0.5) * 2 ** doubling;
}
