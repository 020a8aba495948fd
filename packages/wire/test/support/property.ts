import * as fc from "fast-check";
import { expect } from "vitest";
import { WireError, decode, encode, type Codec } from "@cipsec/wire";
import { hex } from "./hex.ts";

/** Octets at random, of few values so that counts and types are often right, and good ones with a few octets changed. */
function nearly(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({ at: fc.nat(80), drop: fc.nat(2), put: fc.uint8Array({ maxLength: 2 }) });
  const changed = fc
    .tuple(fc.constantFrom(...seeds), fc.array(edit, { maxLength: 3 }))
    .map(([seed, edits]) => edits.reduce(splice, seed));
  const few = fc.array(fc.constantFrom(0, 0, 1, 2, 3, 4, 0x20, 0x24, 0x30, 0x91, 0xff), { maxLength: 40 });
  return fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    few.map((octets) => Uint8Array.from(octets)),
    changed,
  );
}

function splice(bytes: Uint8Array, { at, drop, put }: { at: number; drop: number; put: Uint8Array }): Uint8Array {
  const start = at % (bytes.length + 1);
  return Uint8Array.of(...bytes.subarray(0, start), ...put, ...bytes.subarray(start + drop));
}

/**
 * Any octets are refused with a WireError, or encode back to themselves; where an encoding is not unique (`by: "value"`),
 * what they encode to decodes to the same value.
 */
export function refusesOrReturns<T>(
  codec: Codec<T>,
  seeds: readonly string[],
  by: "octets" | "value" = "octets",
): void {
  const good = seeds.map(hex);
  for (const seed of good) expect(encode(codec, decode(codec, seed))).toEqual(seed);
  fc.assert(
    fc.property(nearly([...good, new Uint8Array(0)]), (bytes) => {
      let value: T;
      try {
        value = decode(codec, bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
        return;
      }
      const back = encode(codec, value);
      if (by === "octets") expect(back).toEqual(bytes);
      else expect(decode(codec, back)).toEqual(value);
    }),
    { numRuns: 300 },
  );
}
