import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { judgeRandomness } from "../src/endpoint/randomness.ts";

const count = 500;

/** Values that look like chance, and are the same in every run. */
const hashed = (at: number, octets: number): Uint8Array =>
  createHash("sha256").update(`value ${at}`).digest().subarray(0, octets);

const number = (value: number): Uint8Array => {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value >>> 0);
  return octets;
};

test.each<[string, (at: number) => Uint8Array, boolean]>([
  ["hashes of 32 bits", (at) => hashed(at, 4), true],
  ["hashes of 256 bits", (at) => hashed(at, 32), true],
  ["a counter", (at) => number(0x1234_0000 + at), false],
  ["a counter in steps of 4096", (at) => number(at * 4096), false],
  ["a counter behind a fixed head", (at) => Buffer.concat([hashed(0, 12), number(at)]), false],
  ["a constant", () => hashed(1, 4), false],
  ["two values in turn", (at) => hashed(at % 2, 4), false],
  ["hashes with a head of zeros", (at) => Buffer.concat([new Uint8Array(8), hashed(at, 8)]), false],
])("%s", (_name, make, looksRandom) => {
  const judged = judgeRandomness(Array.from({ length: count }, (_, at) => make(at)));
  expect(judged.looksRandom, judged.words).toBe(looksRandom);
});

test("what is too little to judge says so by no deviation", () => {
  expect(judgeRandomness([])).toMatchObject({ balance: 0, runs: 0, correlation: 0 });
});
