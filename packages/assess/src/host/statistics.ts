/** The middle of a sample; not a number for an empty one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  const [low, high] = [sorted[half - 1] ?? Number.NaN, sorted[half] ?? Number.NaN];
  return sorted.length % 2 === 1 ? high : (low + high) / 2;
}

/** How much longer one kind of event takes than another. */
export interface Difference {
  /** Of the medians. */
  readonly difference: number;
  /** Bootstrap interval of the difference, 95 %. */
  readonly low: number;
  readonly high: number;
  /** Two-sided p value of Mann and Whitney's test, by the normal approximation: for samples of twenty and more. */
  readonly p: number;
}

const resamples = 2000;

/** Compares two samples. The same samples give the same interval: the draw is seeded. */
export function compareSamples(a: readonly number[], b: readonly number[]): Difference {
  const next = seeded(a.length * 7919 + b.length);
  const draw = (from: readonly number[]): readonly number[] =>
    from.map(() => from[Math.floor(next() * from.length)] ?? Number.NaN);
  const differences = Array.from({ length: resamples }, () => median(draw(a)) - median(draw(b))).sort((x, y) => x - y);
  const at = (share: number): number => differences[Math.floor(share * (resamples - 1))] ?? Number.NaN;
  return { difference: median(a) - median(b), low: at(0.025), high: at(0.975), p: mannWhitney(a, b) };
}

/** Mulberry32: small, even and the same everywhere; not for secrets. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function mannWhitney(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, isA: true })), ...b.map((value) => ({ value, isA: false }))].sort(
    (x, y) => x.value - y.value,
  );
  let ranks = 0;
  for (let at = 0; at < all.length;) {
    let end = at;
    while (end + 1 < all.length && all[end + 1]?.value === all[at]?.value) end += 1;
    // Equal values share the mean of their ranks.
    for (let tied = at; tied <= end; tied++) if (all[tied]?.isA === true) ranks += (at + end) / 2 + 1;
    at = end + 1;
  }
  const [n, m] = [a.length, b.length];
  const u = ranks - (n * (n + 1)) / 2;
  const z = (u - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12);
  return 2 * (1 - normal(Math.abs(z)));
}

/** The normal distribution's cumulative probability, to 7 digits. @see Abramowitz and Stegun, 26.2.17 */
function normal(z: number): number {
  const t = 1 / (1 + 0.2316419 * z);
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return 1 - (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * tail;
}
