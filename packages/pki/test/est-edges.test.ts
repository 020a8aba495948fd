import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { Tag, writeElement, writeOid } from "../src/der.ts";
import { readCsrAttributes, writeCsrAttributes } from "../src/est/attributes.ts";
import { readBody, writeBody } from "../src/est/encoding.ts";
import { completeChain, requireServer, sortCaCerts } from "../src/est/trust.ts";
import { printable } from "../src/names.ts";
import { keyFacts, keyWeakness, defaultStrength } from "../src/strength.ts";
import { authority } from "./support.ts";

/** `id-ecPublicKey` and `rsaEncryption`, and two curves. */
const ecPublicKey = "1.2.840.10045.2.1";
const rsaEncryption = "1.2.840.113549.1.1.1";
const p384 = "1.3.132.0.34";

const attribute = (id: string, value: Uint8Array): Uint8Array =>
  writeElement(Tag.sequence, writeOid(id), writeElement(Tag.set, value));
const attributes = (...parts: readonly Uint8Array[]): Uint8Array => writeElement(Tag.sequence, ...parts);
const integer = (...octets: readonly number[]): Uint8Array => writeElement(Tag.integer, Uint8Array.from(octets));

test.each([
  { name: "P-384", der: attributes(attribute(ecPublicKey, writeOid(p384))), keyKind: "ecdsa-p384" },
  { name: "a curve that nobody here has", der: attributes(attribute(ecPublicKey, writeOid("1.3.132.0.10"))) },
  { name: "a number for a curve", der: attributes(attribute(ecPublicKey, integer(1))) },
  { name: "RSA of 3072", der: attributes(attribute(rsaEncryption, integer(0x0c, 0))), keyKind: "rsa-3072" },
  { name: "RSA of 4096", der: attributes(attribute(rsaEncryption, integer(0x10, 0))) },
  { name: "RSA of no number", der: attributes(attribute(rsaEncryption, writeOid(p384))) },
  { name: "RSA of a very large number", der: attributes(attribute(rsaEncryption, integer(1, 0, 0, 0))) },
  { name: "nothing", der: attributes() },
])("the kind of key that a server asks for: $name", ({ der, keyKind }) => {
  expect(readCsrAttributes(der).keyKind).toBe(keyKind);
});

test("each kind of key is asked for so that it is read back", () => {
  for (const keyKind of ["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"] as const)
    expect(readCsrAttributes(writeCsrAttributes({ keyKind }) ?? new Uint8Array()).keyKind).toBe(keyKind);
  expect(writeCsrAttributes({})).toBeUndefined();
});

test.each([
  { name: "empty", body: new Uint8Array() },
  { name: "a tag alone", body: Uint8Array.of(0x30) },
  { name: "a length of a length alone", body: Uint8Array.of(0x30, 0x84) },
  { name: "more than there is", body: Uint8Array.of(0x30, 0x82, 0x10, 0x00, 0x05) },
  { name: "no base64", body: Buffer.from("!!!!") },
  { name: "too long", body: new Uint8Array(129 * 1024) },
])("a body that holds nothing is refused: $name", ({ body }) => {
  expect(() => readCsrAttributes(readBody(body).der)).toThrow(expect.objectContaining({ code: "usage/encoding" }));
});

test("a body comes back as it was written, also with a line end behind its DER", async () => {
  const { certificate } = await authority("Root");
  const { der } = certificate;
  expect(Buffer.from(readBody(Buffer.from(writeBody(der))).der)).toEqual(Buffer.from(der));
  expect(Buffer.from(readBody(Buffer.concat([der, Buffer.from("\r\n")])).der)).toEqual(Buffer.from(der));
});

test("a server that shows nothing is refused, authorities are told from others, chains end at the top", async () => {
  expect(() => requireServer(undefined, "est.example")).toThrow(
    expect.objectContaining({ code: "trust/unknown-authority" }),
  );
  const root = await authority("Root");
  expect(sortCaCerts([root.certificate, root.certificate])).toEqual({
    certificates: [root.certificate],
    anchors: [root.certificate],
    rollover: [],
    intermediates: [],
  });
  expect(sortCaCerts([])).toMatchObject({ anchors: [], certificates: [] });
  expect(completeChain(root.certificate, [root.certificate])).toEqual([root.certificate]);
});

test.each([
  { name: "secp256k1", key: generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey, type: "ecdsa", bits: 0 },
  { name: "Ed25519", key: generateKeyPairSync("ed25519").publicKey, type: "other", bits: 0 },
  {
    name: "secp521r1",
    key: createPublicKey(generateKeyPairSync("ec", { namedCurve: "secp521r1" }).privateKey),
    type: "ecdsa",
    bits: 521,
  },
])("size of a key: $name", ({ key, type, bits }) => {
  expect(keyFacts(key)).toEqual({ type, bits });
  expect(keyWeakness(keyFacts(key), defaultStrength) === undefined).toBe(bits >= 256);
});

test("text of a peer is cut and shown without control characters", () => {
  expect(printable("x".repeat(300))).toBe(`${"x".repeat(200)}…`);
  expect(printable("a\u0007b")).toBe("a\\u{7}b");
});
