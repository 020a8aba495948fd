import { createPublicKey } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createCsr, parseCsr } from "../src/csr.ts";
import { UsageError } from "../src/errors.ts";
import { privateKeyToPem } from "../src/keys.ts";
import type { Subject } from "../src/names.ts";
import { cryptoKeyPair, signingAlgorithm } from "../src/signing.ts";
import { Attribute, Pkcs10CertificateRequestGenerator, provider } from "../src/x509.ts";
import { makeKeyPair, mustOpenssl, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const { privateKey, publicKey } = await makeKeyPair();
const keyFile = join(folder, "key.pem");
writeFileSync(keyFile, privateKeyToPem(privateKey));

const subject: Required<Subject> = {
  commonName: "pump 7",
  organization: "Plant",
  organizationalUnit: "Line 1",
  locality: "Kassel",
  state: "Hesse",
  country: "DE",
  emailAddress: "ops@plant.example",
  serialNumber: "00C0FFEE",
};
const san = { ip: ["192.0.2.7", "2001:db8::7"], dns: ["pump.example"], uri: ["urn:dev:7"] };

test.each(["ecdsa-p256", "ecdsa-p384", "rsa-2048"] as const)("OpenSSL verifies a request of ours, %s", async (kind) => {
  const keys = await makeKeyPair(kind);
  const made = await createCsr({ subject, san, privateKey: keys.privateKey });
  const text = mustOpenssl(
    ["req", "-verify", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus_space"],
    made.pem,
  ).toString();
  expect(text).toContain(
    "Subject: C=DE, ST=Hesse, L=Kassel, O=Plant, OU=Line 1, CN=pump 7, serialNumber=00C0FFEE, emailAddress=ops@plant.example",
  );
  expect(text).toContain(
    "IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:7, DNS:pump.example, URI:urn:dev:7".replace(
      /IP Address:2001.*?, DNS:pump.example/,
      "IP Address:2001:DB8:0:0:0:0:0:7, DNS:pump.example",
    ),
  );
  expect(made).toMatchObject({ subject, san });
  expect(made.publicKey.equals(keys.publicKey)).toBe(true);
});

const byOpenssl = (...more: string[]): Buffer =>
  mustOpenssl(["req", "-new", "-key", keyFile, "-subj", "/CN=by openssl", "-outform", "DER", ...more]);

test("reads a request of OpenSSL in every form", () => {
  const der = byOpenssl("-addext", "subjectAltName=IP:192.0.2.9,DNS:valve.example");
  const pem = mustOpenssl(["req", "-inform", "DER"], der).toString();
  for (const form of [
    der,
    pem,
    pem.replaceAll("BEGIN ", "BEGIN NEW ").replaceAll("END ", "END NEW "),
    der.toString("base64"),
  ]) {
    expect(parseCsr(form)).toMatchObject({
      subject: { commonName: "by openssl" },
      subjectText: "CN=by openssl",
      san: { ip: ["192.0.2.9"], dns: ["valve.example"], uri: [] },
      pem,
    });
  }
  expect(parseCsr(byOpenssl()).san).toEqual({ ip: [], dns: [], uri: [] });
  expect(parseCsr(der).publicKey.equals(createPublicKey(publicKey.export({ type: "spki", format: "pem" })))).toBe(true);
});

const spoilt = byOpenssl();
spoilt[spoilt.length - 1] = (spoilt.at(-1) ?? 0) ^ 1;

test.each([
  { name: "a wrong signature", input: spoilt },
  { name: "a weak signature", input: byOpenssl("-sha1") },
  { name: "another PEM", input: "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n" },
  {
    name: "two requests",
    input: "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n".repeat(2),
  },
  { name: "PEM with nothing in it", input: "-----BEGIN " },
  { name: "too many octets", input: Buffer.alloc(20_000, 0x30) },
  { name: "an alternative name that is none", input: byOpenssl("-addext", "subjectAltName=DNS:a b") },
])("refuses: $name", ({ input }) => {
  expect(() => parseCsr(input)).toThrow(expect.objectContaining({ name: "UsageError" }));
});

test.each([
  { name: "no subject", wish: { subject: {} } },
  { name: "an empty subject", wish: { subject: { commonName: "", country: "" } } },
  { name: "a country of three letters", wish: { subject: { country: "DEU" } } },
  { name: "a country of digits", wish: { subject: { country: "12" } } },
  { name: "a long common name", wish: { subject: { commonName: "x".repeat(65) } } },
  { name: "a control character", wish: { subject: { commonName: "a\u0000b" } } },
  { name: "a bidirectional override", wish: { subject: { commonName: "a\u202Eb" } } },
  { name: "a serial number that is not printable", wish: { subject: { serialNumber: "a_b" } } },
  { name: "an address that is none", wish: { subject, san: { ip: ["192.0.2.256"] } } },
  { name: "an address with zone", wish: { subject, san: { ip: ["fe80::1%eth0"] } } },
  { name: "a host name that is none", wish: { subject, san: { dns: ["-a-"] } } },
  { name: "a URI that is none", wish: { subject, san: { uri: ["no uri"] } } },
  { name: "too many names", wish: { subject, san: { dns: Array.from({ length: 33 }, (_, n) => `h${n}`) } } },
])("does not make: $name", async ({ wish }) => {
  await expect(createCsr({ ...wish, privateKey })).rejects.toMatchObject({
    code: "usage/argument",
    name: "UsageError",
  });
});

test("does not make one with a key that cannot sign for a suite", async () => {
  const { generateKeyPairSync } = await import("node:crypto");
  const ed = generateKeyPairSync("ed25519");
  await expect(createCsr({ subject, privateKey: ed.privateKey })).rejects.toMatchObject({ code: "usage/key" });
  const koblitz = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
  await expect(createCsr({ subject, privateKey: koblitz.privateKey })).rejects.toMatchObject({ code: "usage/key" });
});

test("names in other scripts arrive", async () => {
  const made = await createCsr({ subject: { commonName: "Pumpe Größe 7", organization: "工場" }, privateKey });
  expect(parseCsr(made.pem).subject).toEqual({ commonName: "Pumpe Größe 7", organization: "工場" });
  expect(
    mustOpenssl(["req", "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus_space,-esc_msb"], made.pem).toString(
      "utf8",
    ),
  ).toContain("O=工場, CN=Pumpe Größe 7");
});

test("any octets are refused; a changed request is refused or says the same under its signature", () => {
  const der = byOpenssl("-addext", "subjectAltName=DNS:valve.example");
  const refusal = (input: Uint8Array): boolean => {
    try {
      parseCsr(input);
      return false;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return true;
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refusal), { numRuns: 1000 });
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const octets = Buffer.from(der);
      octets[at] = (octets[at] ?? 0) ^ flip;
      return refusal(octets);
    }),
    { numRuns: 1000 },
  );
});

test("what goes with a request beside its names: a challenge password and the key to encrypt for", async () => {
  for (const challengePassword of ["plain", "a/b+c=", "Pumpe Süd"])
    expect(await createCsr({ subject, privateKey, challengePassword })).toMatchObject({ challengePassword });
  for (const kind of ["symmetric", "asymmetric"] as const)
    expect(await createCsr({ subject, privateKey, decryptKey: { kind, id: Uint8Array.of(1, 2) } })).toMatchObject({
      decryptKey: { kind },
    });
  for (const challengePassword of ["", "x".repeat(256)])
    await expect(createCsr({ subject, privateKey, challengePassword })).rejects.toMatchObject({
      code: "usage/argument",
    });
  for (const id of [new Uint8Array(), new Uint8Array(65)])
    await expect(createCsr({ subject, privateKey, decryptKey: { kind: "symmetric", id } })).rejects.toMatchObject({
      code: "usage/csr",
    });
});

test.each([
  { name: "two values", id: "1.2.840.113549.1.9.7", values: ["0c0161", "0c0162"] },
  { name: "a number", id: "1.2.840.113549.1.9.7", values: ["020101"] },
  { name: "very much text", id: "1.2.840.113549.1.9.7", values: [`0c820400${"61".repeat(1024)}`] },
])("refuses a challenge password of $name", async ({ id, values }) => {
  const attribute = new Attribute(
    id,
    values.map((hex) => Uint8Array.from(Buffer.from(hex, "hex")).buffer),
  );
  const made = await Pkcs10CertificateRequestGenerator.create(
    {
      name: "CN=x",
      keys: cryptoKeyPair({ privateKey, publicKey }),
      signingAlgorithm: signingAlgorithm(privateKey),
      attributes: [attribute],
    },
    provider,
  );
  expect(() => parseCsr(new Uint8Array(made.rawData))).toThrow(expect.objectContaining({ code: "usage/csr" }));
});
