import { describe, expect, test } from "vitest";
import * as fc from "fast-check";
import { trafficKeys } from "../src/key-schedule.ts";
import { cbcMteCipher } from "../src/record/cbc-mte.ts";
import { recordCipher } from "../src/record/cipher.ts";
import { contentTypes, dtls12, headerLength } from "../src/record/header.ts";
import { lastSequence, RecordLayer } from "../src/record/layer.ts";
import { nodePrimitives } from "../src/record/node-primitives.ts";
import type { Primitives } from "../src/record/primitives.ts";
import { randomOctets } from "../src/record/random-octets.ts";
import { ReplayWindow } from "../src/record/replay.ts";
import { cipherSuite, cipherSuites } from "../src/suites.ts";

const none = new Uint8Array(0);
const master = new Uint8Array(48).fill(5);
const randoms = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)] as const;

function cipherOf(id: number, encryptThenMac = true, acceleration: "required" | "off" = "off") {
  const suite = cipherSuite(id)!;
  return recordCipher(suite.bulk, trafficKeys(suite, master, ...randoms).client, { encryptThenMac, acceleration });
}

const header = (seq: number, cid: Uint8Array = none) => ({
  type: cid.length > 0 ? contentTypes.connectionId : contentTypes.applicationData,
  version: dtls12,
  epoch: 1,
  seq,
  cid,
});

const protections = cipherSuites.flatMap(({ id, name, bulk }) =>
  (bulk.kind === "cbc" ? [true, false] : [true]).map((etm) => ({ id, name, etm })),
);

describe.each(["off", "required"] as const)("acceleration %s", (acceleration) => {
  test.each(protections)(
    "$name, Encrypt-then-MAC $etm: any content comes back, anything else is refused",
    ({ id, etm }) => {
      const cipher = cipherOf(id, etm, acceleration);
      fc.assert(
        fc.property(
          fc.uint8Array({ maxLength: 300 }),
          fc.integer({ min: 0, max: lastSequence }),
          fc.constantFrom(none, Uint8Array.of(1, 2, 3)),
          fc.nat(),
          fc.integer({ min: 1, max: 255 }),
          (content, seq, cid, at, flip) => {
            const head = header(seq, cid);
            const record = cipher.seal(head, content);
            const start = headerLength + cid.length;
            const body = record.subarray(start);
            expect(body.length).toBe(cipher.sealedLength(content.length));
            expect(body.length).toBeLessThanOrEqual(content.length + cipher.overhead);
            expect(Buffer.from(cipher.open(head, body) ?? [])).toEqual(Buffer.from(content));
            const changed = Uint8Array.from(body, (octet, i) => (i === at % body.length ? octet ^ flip : octet));
            expect(cipher.open(head, changed)).toBeUndefined();
            expect(cipher.open({ ...head, seq: seq === 0 ? 1 : seq - 1, type: 22 }, body)).toBeUndefined();
            expect(cipher.open(head, body.subarray(0, at % body.length))).toBeUndefined();
          },
        ),
        { numRuns: 40 },
      );
    },
  );

  test("CBC without Encrypt-then-MAC: every wrong padding and every wrong MAC are one and the same refusal", () => {
    const cipher = cipherOf(0xc023, false, acceleration);
    const head = header(1);
    const record = cipher.seal(head, new Uint8Array(100).fill(9)).subarray(headerLength);
    for (let octet = 0; octet < 256; octet++) {
      for (const at of [record.length - 17, record.length - 33, 3]) {
        const forged = Uint8Array.from(record, (value, i) => (i === at ? octet : value));
        const opened = cipher.open(head, forged);
        if (octet !== record[at]) expect(opened).toBeUndefined();
      }
    }
    expect(cipher.open(head, record.subarray(0, 48))).toBeUndefined();
  });
});

test.each([0xc023, 0xc024].flatMap((id) => [0, 1, 9, 32].map((octets) => ({ id, octets }))))(
  "CBC without Encrypt-then-MAC, suite $id, a connection id of $octets octets: as many hash blocks whatever the padding says",
  ({ id, octets }) => {
    const cid = new Uint8Array(octets);
    const bulk = cipherSuite(id)!.bulk;
    if (bulk.kind !== "cbc") throw new Error("not CBC");
    const block = bulk.mac === "sha384" ? 128 : 64;
    let hashed = 0;
    const count = (length: number): void => void (hashed += Math.ceil((length + 1 + block / 8) / block));
    const counting: Primitives = {
      ...nodePrimitives,
      hmac: (hash, key) => {
        const mac = nodePrimitives.hmac(hash, key);
        return {
          ...mac,
          sign: (data, content) => {
            count(data.length + content.length);
            return mac.sign(data, content);
          },
        };
      },
    };
    const keys = trafficKeys(cipherSuite(id)!, master, ...randoms).client;
    const cipher = cbcMteCipher(bulk, keys, counting);
    const iv = new Uint8Array(16);
    for (const length of [128, 400]) {
      const counts = new Set<number>();
      for (let padding = 0; padding < 256; padding++) {
        const body = Buffer.alloc(16 + length);
        const blocks = new Uint8Array(length).fill(padding, Math.max(0, length - padding - 1));
        nodePrimitives.cbc(bulk.cipher, keys.key).encrypt(iv, blocks, body, 16);
        hashed = 0;
        expect(cipher.open(header(1, cid), body)).toBeUndefined();
        counts.add(hashed);
      }
      expect(counts.size).toBe(1);
    }
  },
);

test.each([
  { where: "at the first numbers", from: 0, to: 2000 },
  { where: "where numbers leave 32 bits", from: 2 ** 32 - 1000, to: 2 ** 32 + 1000 },
  { where: "at the last numbers", from: lastSequence - 2000, to: lastSequence },
  { where: "with leaps", from: 0, to: lastSequence },
])(
  "a replay window takes each number once, in any order, and nothing older than it remembers: $where",
  ({ from, to }) => {
    const near = fc.integer({ min: from, max: to });
    const numbers = fc.array(
      fc.oneof(near, fc.constantFrom(from, from + 31, from + 32, from + 255, from + 256, to - 1, to)),
      {
        maxLength: 400,
      },
    );
    fc.assert(
      fc.property(numbers, (numbers) => {
        const window = new ReplayWindow();
        const taken = new Set<number>();
        let newest = -1;
        for (const seq of numbers) {
          const expected = window.expects(seq);
          if (taken.has(seq) || seq <= newest - 256) expect(expected).toBe(false);
          else if (seq > newest - 225) expect(expected).toBe(true);
          if (!expected) continue;
          window.accept(seq);
          taken.add(seq);
          newest = Math.max(newest, seq);
          expect(window.newest).toBe(newest);
        }
      }),
    );
  },
);

test("a number is never used twice: the epoch ends instead", () => {
  const layer = new RecordLayer(3);
  layer.protect(cipherOf(0xc02b), none);
  for (let i = 0; i < 3; i++) layer.seal(23, none, 1);
  expect(() => layer.seal(23, none, 1)).toThrow(expect.objectContaining({ code: "dtls/limit", facts: { records: 3 } }));
  const plain = new RecordLayer(3);
  plain.startAt(lastSequence);
  plain.seal(22, none, 0);
  expect(() => plain.seal(22, none, 0)).toThrow(expect.objectContaining({ code: "dtls/limit" }));
});

test("no protected record before its keys; sizes are known without them", () => {
  const layer = new RecordLayer(9);
  expect(() => layer.seal(23, none, 1)).toThrow(expect.objectContaining({ code: "bug/unreachable" }));
  expect(layer.sealedLength(10)).toBe(23);
  expect(layer.overhead(1)).toBe(13);
});

test("a protected record in another version, without the agreed id, or all padding is refused", () => {
  const cid = Uint8Array.of(7, 7);
  const cipher = cipherOf(0xc02b);
  const layer = new RecordLayer(9);
  layer.unprotect(cipher, cid);
  const open = (head: ReturnType<typeof header>, content: Uint8Array) => {
    const body = cipher.seal(head, content).subarray(headerLength + head.cid.length);
    return layer.open({ header: head, body });
  };
  expect(open(header(1), none)).toEqual({ dropped: "malformed" });
  expect(open({ ...header(2, cid), version: 0xfeff }, none)).toEqual({ dropped: "malformed" });
  expect(open(header(3, cid), new Uint8Array(5))).toEqual({ dropped: "malformed" });
  expect(open(header(4, cid), none)).toEqual({ dropped: "malformed" });
  expect(open(header(5, cid), Uint8Array.of(1, 2, 23, 0, 0))).toMatchObject({ type: 23, newest: true });
  const longest = new Uint8Array(16_385).fill(23, 16_384);
  const opened = open(header(6, cid), longest);
  expect("content" in opened && opened.content.length).toBe(16_384);
  expect(open(header(7, cid), new Uint8Array(16_386).fill(23))).toEqual({ dropped: "malformed" });
  expect(layer.open({ header: { ...header(1, cid), epoch: 0 }, body: none })).toEqual({ dropped: "malformed" });
});

test("a record with more content than a record may have is refused", () => {
  const cipher = cipherOf(0xc02b);
  const layer = new RecordLayer(9);
  layer.unprotect(cipher, none);
  for (const [seq, length] of [16_384, 16_385].entries()) {
    const body = cipher.seal(header(seq), new Uint8Array(length)).subarray(headerLength);
    const opened = layer.open({ header: header(seq), body });
    if (length === 16_384) expect(opened).toMatchObject({ type: 23 });
    else expect(opened).toEqual({ dropped: "malformed" });
  }
});

test("random octets are given out once", () => {
  const seen = new Set(Array.from({ length: 1000 }, () => Buffer.from(randomOctets(16)).toString("hex")));
  expect(seen.size).toBe(1000);
});
