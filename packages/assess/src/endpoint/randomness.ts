/** What a collection of values that must not be foretold looks like. */
export interface Randomness {
  readonly unique: boolean;
  /** Whether each value lies close to the one before, as those of a counter or a clock do. */
  readonly isStepped: boolean;
  /** Standard deviations by which ones and zeros, runs of equal bits, and neighbours differ from what chance makes. */
  readonly balance: number;
  readonly runs: number;
  readonly correlation: number;
  readonly looksRandom: boolean;
  readonly words: string;
}

/** Chance goes beyond this once in more than a million collections. */
const limit = 5;

/** Two values that follow each other are steps when they are this close, of 2^32. */
const stepRange = 0x1_0000;

/**
 * Judges values by the balance of their bits, the runs of equal ones, and the likeness of neighbours. Small collections of short values
 * show gross faults only; that is what there is to find: counters, clocks and constants.
 *
 * @param values In the order in which they were given out.
 */
export function judgeRandomness(values: readonly Uint8Array[]): Randomness {
  const heads = values.map((octets) => Buffer.from(octets).toString("hex").slice(0, 8).padEnd(8, "0"));
  const numbers = heads.map((hex) => Number.parseInt(hex, 16));
  const ends = values.map((octets) => Number.parseInt(Buffer.from(octets).toString("hex").slice(-8) || "0", 16));
  const bits = values.flatMap(bitsOf);
  const different = new Set(values.map((octets) => Buffer.from(octets).toString("hex"))).size;
  // Two of a thousand numbers of 32 bits are equal by chance once in some thousand collections.
  const unique = different >= values.length - (values.some(({ length }) => length > 4) ? 0 : 1);
  const isStepped = values.length > 1 && [numbers, ends].some(steps);
  const balance = balanceOf(bits);
  const runs = runsOf(bits);
  const correlation = correlationOf(numbers);
  const looksRandom = unique && !isStepped && [balance, runs, correlation].every((one) => Math.abs(one) <= limit);
  const share = bits.length === 0 ? 0 : Math.round((100 * sum(bits)) / bits.length);
  const words = `${values.length} values, ${different} of them different, ${
    isStepped ? "in steps" : "no steps"
  }, ${share} % ones; deviations ${[balance, runs, correlation].map((one) => one.toFixed(1)).join(", ")} of at most ${limit}`;
  return { unique, isStepped, balance, runs, correlation, looksRandom, words };
}

function steps(numbers: readonly number[]): boolean {
  return numbers.slice(1).every((number, at) => Math.abs(number - (numbers[at] ?? 0)) < stepRange);
}

function bitsOf(octets: Uint8Array): readonly number[] {
  return [...octets].flatMap((octet) => Array.from({ length: 8 }, (_, bit) => (octet >> bit) & 1));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Ones, against half of all bits. */
function balanceOf(bits: readonly number[]): number {
  return bits.length === 0 ? 0 : (2 * sum(bits) - bits.length) / Math.sqrt(bits.length);
}

/** Changes from bit to bit, against half of all pairs. */
function runsOf(bits: readonly number[]): number {
  const pairs = bits.length - 1;
  const changes = bits.slice(1).filter((bit, at) => bit !== bits[at]).length;
  return pairs < 1 ? 0 : (2 * changes - pairs) / Math.sqrt(pairs);
}

/** Correlation of each number with the next, in standard deviations of what chance makes. */
function correlationOf(numbers: readonly number[]): number {
  if (numbers.length < 3) return 0;
  const mean = sum(numbers) / numbers.length;
  const spread = sum(numbers.map((one) => (one - mean) ** 2));
  if (spread === 0) return Number.POSITIVE_INFINITY;
  const along = sum(numbers.slice(1).map((one, at) => (one - mean) * ((numbers[at] ?? mean) - mean)));
  return (along / spread) * Math.sqrt(numbers.length);
}
