/** A seeded source of numbers: the same seed gives the same run. Not for secrets. */
export interface Random {
  /** A whole number from 0 up to, without, `bound`. */
  below(bound: number): number;
  /** True once in `n` times. */
  oneIn(n: number): boolean;
  pick<T>(choices: readonly T[]): T;
  octets(count: number): Uint8Array;
  /** A source of its own, so that adding draws in one place changes no other. */
  fork(label: string): Random;
}

/** Makes a source from a seed: xoshiro128**, started by splitmix32. */
export function seededRandom(seed: number): Random {
  const state = new Uint32Array(4);
  let mixing = seed >>> 0;
  for (let i = 0; i < 4; i += 1) {
    mixing = (mixing + 0x9e37_79b9) >>> 0;
    let z = mixing;
    z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35);
    state[i] = z ^ (z >>> 16);
  }
  const next = (): number => {
    const [a = 0, b = 0, c = 0, d = 0] = state;
    const result = Math.imul(rotated(Math.imul(b, 5), 7), 9) >>> 0;
    const t = c ^ a;
    const u = d ^ b;
    state[0] = a ^ u;
    state[1] = b ^ t;
    state[2] = t ^ (b << 9);
    state[3] = rotated(u, 11);
    return result;
  };
  const below = (bound: number): number => Math.floor((next() / 0x1_0000_0000) * bound);
  return {
    below,
    oneIn: (n) => below(n) === 0,
    pick(choices) {
      const chosen = choices[below(choices.length)];
      if (chosen === undefined) throw new RangeError("nothing to pick from");
      return chosen;
    },
    octets: (count) => Uint8Array.from({ length: count }, () => below(256)),
    fork: (label) => seededRandom([...label].reduce((sum, sign) => Math.imul(sum, 31) + sign.charCodeAt(0), seed)),
  };
}

function rotated(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
