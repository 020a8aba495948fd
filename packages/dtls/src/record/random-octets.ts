import { randomFillSync } from "node:crypto";

/** One call into the generator costs more than sealing a record: octets are drawn for many records at once. */
const poolOctets = 4096;

const pool = Buffer.alloc(poolOctets);
let used = poolOctets;

/** Fresh random octets, each given out once. At most {@link poolOctets}. */
export function randomOctets(length: number): Uint8Array {
  if (used + length > poolOctets) {
    randomFillSync(pool);
    used = 0;
  }
  const octets = Uint8Array.prototype.slice.call(pool, used, used + length);
  pool.fill(0, used, used + length);
  used += length;
  return octets;
}
