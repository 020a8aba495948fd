import { generateKeyPairSync } from "node:crypto";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { UsageError } from "../src/errors.ts";
import {
  keyPairOf,
  keyType,
  makeKeyPair,
  parsePrivateKey,
  privateKeyToPem,
  readKeyFile,
  samePublicKey,
  writeKeyFile,
} from "../src/keys.ts";
import { keyFacts, keyWeakness, defaultStrength, verifySigned } from "../src/strength.ts";
import { authority, mustOpenssl, openssl, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const file = (name: string): string => join(folder, name);

test.each([
  { kind: "ecdsa-p256", type: "ecdsa", bits: 256 },
  { kind: "ecdsa-p384", type: "ecdsa", bits: 384 },
  { kind: "rsa-2048", type: "rsa", bits: 2048 },
  { kind: "rsa-3072", type: "rsa", bits: 3072 },
] as const)("makes, stores and reads $kind", async ({ kind, type, bits }) => {
  const { privateKey, publicKey } = await makeKeyPair(kind);
  expect(keyFacts(publicKey)).toEqual({ type, bits });
  expect(keyType(privateKey)).toBe(type);
  const path = file(`${kind}.pem`);
  await writeKeyFile(path, privateKey);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(openssl(["pkey", "-in", path, "-check", "-noout"]).ok).toBe(true);
  expect(samePublicKey(await readKeyFile(path), publicKey)).toBe(true);
});

test("an encrypted key opens with its passphrase only, here and in OpenSSL", async () => {
  const { privateKey } = await makeKeyPair();
  const path = file("wrapped.pem");
  await writeKeyFile(path, privateKey, "s3cret words");
  expect(readFileSync(path, "utf8")).toContain("BEGIN ENCRYPTED PRIVATE KEY");
  expect(openssl(["pkey", "-in", path, "-passin", "pass:s3cret words", "-noout"]).ok).toBe(true);
  expect(samePublicKey(await readKeyFile(path, { passphrase: "s3cret words" }), privateKey)).toBe(true);
  await expect(readKeyFile(path)).rejects.toMatchObject({
    code: "usage/key",
    message: expect.stringContaining("is needed"),
  });
  await expect(readKeyFile(path, { passphrase: "wrong words" })).rejects.toMatchObject({
    code: "usage/key",
    message: expect.stringContaining("does not open"),
  });
});

test("refuses a key file that others can read", async () => {
  const path = file("shared.pem");
  await writeKeyFile(path, (await makeKeyPair()).privateKey);
  chmodSync(path, 0o640);
  await expect(readKeyFile(path)).rejects.toMatchObject({
    code: "usage/key-permissions",
    facts: { path },
    message: expect.stringContaining("640"),
  });
  expect(keyType(await readKeyFile(path, { allowShared: true }))).toBe("ecdsa");
});

test("refuses files that hold no key", async () => {
  await expect(readKeyFile(file("none.pem"))).rejects.toMatchObject({
    code: "usage/file",
    message: expect.stringContaining("ENOENT"),
  });
  writeFileSync(file("large.pem"), "x".repeat(20_000), { mode: 0o600 });
  await expect(readKeyFile(file("large.pem"))).rejects.toMatchObject({ code: "usage/key" });
  expect(() => parsePrivateKey("x".repeat(20_000))).toThrow(expect.objectContaining({ code: "usage/key" }));
  const { certificate } = await authority("root");
  expect(() => parsePrivateKey(certificate.der)).toThrow(expect.objectContaining({ code: "usage/key" }));
});

test("refuses keys that no suite takes", () => {
  const ed = generateKeyPairSync("ed25519");
  expect(() => parsePrivateKey(privateKeyToPem(ed.privateKey))).toThrow(
    expect.objectContaining({ code: "usage/key", message: expect.stringContaining("ed25519") }),
  );
  expect(() => keyType(ed)).toThrow(expect.objectContaining({ code: "trust/weak", name: "TrustError" }));
});

test("reads the older PEM forms of OpenSSL", () => {
  const sec1 = mustOpenssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
  const pkcs1 = mustOpenssl(["genrsa", "-traditional", "2048"]);
  expect([sec1, pkcs1].map((pem) => keyType(parsePrivateKey(pem)))).toEqual(["ecdsa", "rsa"]);
});

test("compares keys and certificates", async () => {
  const { certificate, key } = await authority("root");
  const other = await makeKeyPair();
  expect(keyType(certificate)).toBe("ecdsa");
  expect(samePublicKey(key, certificate.publicKey)).toBe(true);
  expect(samePublicKey(key, other.publicKey)).toBe(false);
  expect(keyPairOf(other.privateKey).publicKey.equals(other.publicKey)).toBe(true);
});

test("says what is weak about a key", () => {
  expect(keyWeakness({ type: "rsa", bits: 1024 }, defaultStrength)).toContain("1024 bits, 2048");
  expect(
    keyWeakness(keyFacts(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey), defaultStrength),
  ).toContain("curve");
  expect(keyWeakness({ type: "other", bits: 0 }, defaultStrength)).toContain("neither");
  expect(keyWeakness({ type: "ecdsa", bits: 256 }, defaultStrength)).toBeUndefined();
});

test("a signature of another algorithm than the key's is never good", async () => {
  const { publicKey } = await makeKeyPair();
  const signed = { toBeSigned: new Uint8Array(), signature: new Uint8Array() };
  expect(verifySigned({ ...signed, algorithm: "1.2.840.113549.1.1.11" }, publicKey)).toBe(false);
  expect(verifySigned({ ...signed, algorithm: "1.2.3" }, publicKey)).toBe(false);
});

test("any text is refused, and never quoted", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 12, maxLength: 100 }), (text) => {
      try {
        parsePrivateKey(`-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----\n`);
        return false;
      } catch (error) {
        return (
          error instanceof UsageError &&
          error.code === "usage/key" &&
          !error.message.includes(text) &&
          error.cause === undefined
        );
      }
    }),
    { numRuns: 500 },
  );
});
