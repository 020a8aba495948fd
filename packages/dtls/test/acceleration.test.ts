import { createRequire } from "node:module";
import { expect, test } from "vitest";
import * as fc from "fast-check";
import { createClientEngine } from "../src/engine.ts";
import { trafficKeys } from "../src/key-schedule.ts";
import { primitivesFor, requireAcceleration } from "../src/record/acceleration.ts";
import { recordCipher } from "../src/record/cipher.ts";
import { contentTypes, dtls12, headerLength } from "../src/record/header.ts";
import { lastSequence } from "../src/record/layer.ts";
import { load, nativeLibrary } from "../src/record/native-library.ts";
import { make, nativePrimitives, tryOut } from "../src/record/native-primitives.ts";
import { agrees } from "../src/record/native-trial.ts";
import { nodePrimitives } from "../src/record/node-primitives.ts";
import type { PrimitiveName, Primitives } from "../src/record/primitives.ts";
import { cipherSuite, cipherSuites } from "../src/suites.ts";

const none = new Uint8Array(0);
const koffi = createRequire(import.meta.url)("koffi");

function cipherOf(id: number, acceleration: "required" | "off", etm: boolean, fill = 5) {
  const suite = cipherSuite(id)!;
  const keys = trafficKeys(suite, new Uint8Array(48).fill(fill), new Uint8Array(32), new Uint8Array(32)).client;
  const cipher = recordCipher(suite.bulk, keys, { encryptThenMac: etm, acceleration });
  keys.key.fill(0);
  keys.mac.fill(0);
  return cipher;
}

const header = (seq: number, cid: Uint8Array) => ({
  type: cid.length > 0 ? contentTypes.connectionId : contentTypes.applicationData,
  version: dtls12,
  epoch: 1,
  seq,
  cid,
});

const protections = cipherSuites.flatMap(({ id, name, bulk }) =>
  (bulk.kind === "cbc" ? [true, false] : [true]).map((etm) => ({ id, name, etm, isRandom: bulk.kind === "cbc" })),
);

test.each(protections)("$name, Encrypt-then-MAC $etm: both ways give the same octets", ({ id, etm, isRandom }) => {
  const [direct, node] = [cipherOf(id, "required", etm), cipherOf(id, "off", etm)];
  expect(direct.accelerated).toBe(true);
  expect(node.accelerated).toBe(false);
  expect(direct.overhead).toBe(node.overhead);
  const same = fc.property(
    fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(none, new Uint8Array(1400).fill(9), new Uint8Array(16_383)),
    ),
    fc.integer({ min: 0, max: lastSequence }),
    fc.constantFrom(none, Uint8Array.of(1, 2, 3), new Uint8Array(32).fill(4)),
    (content, seq, cid) => {
      const head = header(seq, cid);
      const records = [direct, node].map((cipher) => cipher.seal(head, content));
      const [ours = none, theirs = none] = records.map((record) => record.subarray(headerLength + cid.length));
      expect(ours.length).toBe(theirs.length);
      // Each CBC record begins with fresh random octets.
      if (!isRandom) expect(Buffer.compare(records[0]!, records[1]!)).toBe(0);
      expect(Buffer.compare(direct.open(head, theirs)!, content)).toBe(0);
      expect(Buffer.compare(node.open(head, ours)!, content)).toBe(0);
    },
  );
  fc.assert(same, {
    numRuns: 30,
    examples: [
      [none, 0, none],
      [new Uint8Array(16_383), lastSequence, none],
    ],
  });
});

test.each([0xc02b, 0xcca9, 0xc0ac, 0xc0ae, 0xc023, 0xc006])(
  "suite %i: a refused record changes nothing for the next, and leaves no error behind",
  (id) => {
    const cipher = cipherOf(id, "required", true);
    const program = koffi.load(null);
    const pending = program.func("ERR_peek_error", "ulong", []);
    for (let seq = 0; seq < 50; seq++) {
      const head = header(seq, none);
      const content = Buffer.alloc(seq, "content");
      const body = cipher.seal(head, content).subarray(headerLength);
      for (const bad of [body.with(body.length - 1, body[body.length - 1]! ^ 1), body.subarray(1), body.subarray(0, 3)])
        expect(cipher.open(head, bad)).toBeUndefined();
      expect(pending()).toBe(0);
      expect(Buffer.compare(cipher.open(head, body)!, content)).toBe(0);
    }
  },
);

test("what is opened stays as it is while other records follow", () => {
  const cipher = cipherOf(0xc02b, "required", true);
  const bodies = Array.from({ length: 40 }, (_, seq) => cipher.seal(header(seq, none), Buffer.alloc(30, seq)));
  const opened = bodies.map((record, seq) => cipher.open(header(seq, none), record.subarray(headerLength)));
  opened.forEach((content, seq) => expect(Buffer.from(content!)).toEqual(Buffer.alloc(30, seq)));
});

test("many associations do not disturb one another, and released keys do nothing more", () => {
  const ciphers = Array.from({ length: 60 }, (_, i) => cipherOf(i % 2 === 0 ? 0xc02b : 0xc024, "required", true, i));
  const head = header(1, none);
  const records = ciphers.map((cipher, i) => cipher.seal(head, Buffer.alloc(20, i)).subarray(headerLength));
  ciphers.forEach((cipher, i) => {
    expect(Buffer.from(cipher.open(head, records[i]!)!)).toEqual(Buffer.alloc(20, i));
    cipher.dispose();
    cipher.dispose();
    expect(() => cipher.seal(head, none)).toThrow(expect.objectContaining({ code: "dtls/closed" }));
  });
});

test.each([
  { why: "the package is not there", code: "not installed", find: () => koffi.missing.package },
  {
    why: "the program has other functions",
    code: "no such symbol",
    find: () => ({ ...koffi, load: () => ({ func }) }),
  },
  {
    why: "the program has an older OpenSSL",
    code: "1010117f",
    find: () => ({ ...koffi, load: () => ({ func: older }) }),
  },
  { why: "addresses are too large", code: "53 bits", find: () => ({ ...koffi, address: () => 2n ** 56n }) },
  { why: "addresses have other sizes", code: "64-bit", find: () => ({ ...koffi, sizeof: () => 4 }) },
])("no acceleration where $why", ({ code, find }) => {
  expect(load(find)).toMatch(code);
});

function func(name: string): () => number {
  throw new Error(`no such symbol: ${name}`);
}

function older(): () => number {
  return () => 0x1010117f;
}

const aeads = ["aes-128-gcm", "aes-256-ccm", "chacha20-poly1305"] as const;
const others = ["aes-256-cbc", "sha384"] as const;

test.each([...aeads, ...others])("%s is used directly only where it does what node:crypto does", (name) => {
  expect(agrees(nodePrimitives, name)).toBe(true);
  const wrongKey: Primitives = {
    accelerated: true,
    aead: (cipher, key, tagLength) =>
      nodePrimitives.aead(
        cipher,
        key.map((octet) => octet ^ 1),
        tagLength,
      ),
    cbc: (cipher, key) =>
      nodePrimitives.cbc(
        cipher,
        key.map((octet) => octet ^ 1),
      ),
    hmac: (hash, key) =>
      nodePrimitives.hmac(
        hash,
        key.map((octet) => octet ^ 1),
      ),
  };
  expect(agrees(wrongKey, name)).toBe(false);
  const broken = (): never => {
    throw new Error("not there");
  };
  expect(agrees({ accelerated: true, aead: broken, cbc: broken, hmac: broken }, name)).toBe(false);
});

test.each(aeads)("%s is not used directly where it opens what was changed", (name) => {
  const credulous: Primitives = {
    ...nodePrimitives,
    aead(cipher, key, tagLength) {
      const aead = nodePrimitives.aead(cipher, key, tagLength);
      return { ...aead, decrypt: (...args) => aead.decrypt(...args) ?? none };
    },
  };
  expect(agrees(credulous, name)).toBe(false);
});

test("what cannot be had is left to node:crypto, or is an error where it is required", () => {
  const absent = (): string => "not there";
  expect(primitivesFor("auto", ["sha1"], absent)).toBe(nodePrimitives);
  expect(primitivesFor("off", ["sha1"])).toBe(nodePrimitives);
  const missing = expect.objectContaining({ code: "usage/state", message: expect.stringContaining("not there") });
  expect(() => primitivesFor("required", ["sha1"], absent)).toThrow(missing);
  expect(() => requireAcceleration("not there")).toThrow(missing);
  expect(createClientEngine({ acceleration: "required" }).state).toBe("new");
  expect(make("not there")).toBe("not there");
  expect(tryOut("not there", ["sha1"], new Map())).toBe("not there");
});

test("one cipher that fails its trial does not take the others along, and is not tried again", () => {
  const outcomes = new Map<PrimitiveName, boolean>([["sha1", false]]);
  expect(tryOut(nodePrimitives, ["aes-128-gcm"], outcomes)).toBe(nodePrimitives);
  expect(tryOut(nodePrimitives, ["aes-128-cbc", "sha1"], outcomes)).toMatch("sha1");
  expect(outcomes.get("aes-128-cbc")).toBe(true);
});

test("more than a record holds is never written into the memory of the calls", () => {
  const head = header(1, none);
  for (const id of [0xc02b, 0xc023, 0xc006]) {
    const seal = (): Uint8Array => cipherOf(id, "required", true).seal(head, new Uint8Array(20_000));
    expect(seal).toThrow(expect.objectContaining({ code: "bug/unreachable" }));
  }
  expect(cipherOf(0xc02b, "required", true).open(head, new Uint8Array(20_000))).toBeUndefined();
});

test("a call that is refused is an error, and leaves none behind", () => {
  const library = nativeLibrary();
  if (typeof library === "string") throw new Error(library);
  let cleared = 0;
  const refusing = make({ ...library, initCipher: () => 0, clearErrors: () => (cleared += 1) });
  if (typeof refusing === "string") throw new Error(refusing);
  expect(() => refusing.aead("aes-128-gcm", new Uint8Array(16), 16)).toThrow(
    expect.objectContaining({ code: "bug/unreachable" }),
  );
  expect(cleared).toBe(1);
  expect(tryOut(refusing, ["aes-128-gcm"], new Map())).toMatch("aes-128-gcm");
  expect(nativePrimitives(["aes-128-gcm"])).toMatchObject({ accelerated: true });
});

test.each([0xc023, 0xc006])("suite %i: keys of a MAC are released too", (id) => {
  for (const acceleration of ["required", "off"] as const)
    for (const etm of [true, false]) {
      const cipher = cipherOf(id, acceleration, etm);
      cipher.dispose();
      if (acceleration === "required")
        expect(() => cipher.seal(header(1, none), none)).toThrow(expect.objectContaining({ code: "dtls/closed" }));
    }
});
