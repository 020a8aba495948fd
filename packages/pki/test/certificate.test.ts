import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { certificateSubject, parseCertificate, parseCertificates, toPem } from "../src/certificate.ts";
import { UsageError } from "../src/errors.ts";
import { pkcs7ToPem, readPkcs7, writePkcs7 } from "../src/pkcs7.ts";
import { selfSigned } from "../src/self-signed.ts";
import { authority, make, makeKeyPair, mustOpenssl, noon, openssl, opensslIssue, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const file = (name: string): string => join(folder, name);

// Everything here is made by OpenSSL, so that our reader is not tested with our writer.
mustOpenssl([
  "req",
  "-x509",
  "-newkey",
  "ec",
  "-pkeyopt",
  "ec_paramgen_curve:P-256",
  "-nodes",
  "-keyout",
  file("k"),
  "-out",
  file("a.pem"),
  "-days",
  "30",
  "-subj",
  "/C=DE/ST=Hesse/L=Kassel/O=Plant/OU=Line 1/CN=pump 7/serialNumber=00C0FFEE/emailAddress=ops@plant.example",
  "-addext",
  "subjectAltName=IP:192.0.2.7,IP:2001:db8::7,DNS:pump.example,URI:urn:dev:7,email:a@b.example",
  "-addext",
  "basicConstraints=critical,CA:TRUE,pathlen:2",
  "-addext",
  "keyUsage=critical,keyCertSign,digitalSignature",
  "-addext",
  "extendedKeyUsage=serverAuth,clientAuth",
  "-set_serial",
  "0x00f1",
]);
mustOpenssl([
  "req",
  "-x509",
  "-newkey",
  "rsa:2048",
  "-nodes",
  "-keyout",
  file("k2"),
  "-out",
  file("b.pem"),
  "-subj",
  "/CN=rsa",
  "-days",
  "9000",
]);
mustOpenssl(["crl2pkcs7", "-nocrl", "-certfile", file("a.pem"), "-certfile", file("b.pem"), "-out", file("ab.p7.pem")]);
const aPem = readFileSync(file("a.pem"));
const bPem = readFileSync(file("b.pem"));
const aDer = mustOpenssl(["x509", "-in", file("a.pem"), "-outform", "DER"]);
const p7 = mustOpenssl(["pkcs7", "-in", file("ab.p7.pem"), "-outform", "DER"]);

describe("a certificate by OpenSSL", () => {
  const certificate = parseCertificate(aPem);

  test("has the facts that OpenSSL prints", () => {
    const dates = mustOpenssl([
      "x509",
      "-in",
      file("a.pem"),
      "-noout",
      "-startdate",
      "-enddate",
      "-fingerprint",
      "-sha256",
    ]).toString();
    const [, from = "", until = "", print = ""] = /notBefore=(.*)\nnotAfter=(.*)\n.*=(.*)\n/.exec(dates) ?? [];
    expect(certificate.facts).toEqual({
      subject:
        "C=DE, ST=Hesse, L=Kassel, O=Plant, OU=Line 1, CN=pump 7, serialNumber=00C0FFEE, emailAddress=ops@plant.example",
      issuer: certificate.facts.subject,
      serialHex: "f1",
      notBefore: new Date(from),
      notAfter: new Date(until),
      sha256: print.replaceAll(":", "").toLowerCase(),
      selfSigned: true,
      isCa: true,
      keyType: "ecdsa",
      keyBits: 256,
      signatureAlgorithm: "ecdsa-with-SHA256",
      san: { ip: ["192.0.2.7", "2001:db8::7"], dns: ["pump.example"], uri: ["urn:dev:7"] },
      extendedKeyUsage: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
      crlUrls: [],
    });
    expect(certificate.constraints).toMatchObject({
      pathLength: 2,
      keyUsage: 1 + 32,
      selfIssued: true,
      unsupported: [],
    });
    expect(certificate.constraints.authorityKeyId).toBe(certificate.constraints.subjectKeyId);
  });

  test("has the parts of its subject", () => {
    expect(certificateSubject(certificate)).toEqual({
      country: "DE",
      state: "Hesse",
      locality: "Kassel",
      organization: "Plant",
      organizationalUnit: "Line 1",
      commonName: "pump 7",
      serialNumber: "00C0FFEE",
      emailAddress: "ops@plant.example",
    });
  });

  test("is the same in every form", () => {
    for (const form of [
      aDer,
      aDer.toString("base64"),
      aPem.toString(),
      `readable\n${aPem.toString()}rest`,
      aPem.toString().replaceAll("\n", "\r\n"),
    ]) {
      expect(parseCertificate(form)).toBe(certificate);
    }
    expect(toPem(certificate)).toBe(aPem.toString());
  });

  test("of the time after 2049 is read", () => {
    expect(parseCertificate(bPem).facts.notAfter.getUTCFullYear()).toBeGreaterThanOrEqual(2050);
    expect(parseCertificate(bPem).facts).toMatchObject({
      keyType: "rsa",
      keyBits: 2048,
      signatureAlgorithm: "sha256WithRSAEncryption",
    });
  });
});

describe("bundles", () => {
  test.each([
    { name: "PKCS#7, DER", input: p7 },
    { name: "PKCS#7, armoured", input: readFileSync(file("ab.p7.pem")) },
    { name: "PKCS#7, base64", input: p7.toString("base64") },
    {
      name: "PEM blocks, a key between them",
      input: `${aPem.toString()}${readFileSync(file("k")).toString()}${bPem.toString()}`,
    },
  ])("$name", ({ input }) => {
    expect(parseCertificates(input).map(({ facts }) => facts.serialHex)).toEqual(
      [parseCertificate(aPem), parseCertificate(bPem)].map(({ facts }) => facts.serialHex),
    );
    expect(() => parseCertificate(input)).toThrow(
      expect.objectContaining({ code: "usage/certificate", message: expect.stringContaining("2 certificates") }),
    );
  });

  test("PKCS#7 of ours is read by OpenSSL", () => {
    const der = writePkcs7({ certificates: [parseCertificate(aPem).der, parseCertificate(bPem).der] });
    expect(readPkcs7(der).certificates.map((c) => Buffer.from(c))).toEqual([
      aDer,
      Buffer.from(parseCertificate(bPem).der),
    ]);
    const read = openssl(["pkcs7", "-print_certs", "-noout"], pkcs7ToPem(der));
    expect(read).toMatchObject({ ok: true, out: expect.stringMatching(/pump 7[^]*rsa/) });
    expect(readPkcs7(writePkcs7({}))).toEqual({ certificates: [], crls: [] });
  });
});

const swap = (from: string, to: string): Buffer => Buffer.from(aDer.toString("hex").replace(from, to), "hex");

test.each([
  { name: "nothing", input: "" },
  { name: "text", input: "hello" },
  { name: "PEM of something else", input: readFileSync(file("k")) },
  { name: "PEM without end", input: aPem.toString().replace("-----END", "-----ENDE") },
  { name: "PEM with other characters", input: aPem.toString().replace("MII", "M!I") },
  { name: "too many blocks", input: aPem.toString().repeat(17) },
  { name: "far too many blocks", input: "-----BEGIN X-----\nMAA=\n-----END X-----\n".repeat(65) },
  { name: "too many octets", input: Buffer.alloc(64 * 1024 + 1, 0x30) },
  { name: "too many characters", input: "a".repeat(128 * 1024 + 1) },
  {
    name: "one large certificate",
    input: `-----BEGIN CERTIFICATE-----
${Buffer.alloc(17_000).toString("base64")}
-----END CERTIFICATE-----
`,
  },
  { name: "truncated", input: aDer.subarray(0, 100) },
  { name: "an octet too many", input: Buffer.concat([aDer, Uint8Array.of(0)]) },
  { name: "another inner algorithm", input: swap("2a8648ce3d040302", "2a8648ce3d040303") },
  { name: "an extension twice", input: swap("551d11", "551d0f") },
  { name: "PKCS#7 without certificates", input: writePkcs7({}) },
  { name: "PKCS#7 data", input: Buffer.from("300f06092a864886f70d010701a0020400", "hex") },
  { name: "SignedData that is empty", input: Buffer.from("300f06092a864886f70d010702a0023000", "hex") },
])("refuses: $name", ({ input }) => {
  expect(() => parseCertificates(input)).toThrow(
    expect.objectContaining({ code: "usage/certificate", name: "UsageError" }),
  );
});

test.each([
  { name: "an alternative name with a zero octet", extensions: "subjectAltName=DER:3007820561006262 62" },
  { name: "an address of five octets", extensions: "subjectAltName=DER:300787050102030405" },
  { name: "path length of two octets", extensions: "basicConstraints=DER:30070101ff02020100" },
  { name: "key usage that is no bit string", extensions: "keyUsage=DER:0500" },
  { name: "key usage of three octets", extensions: "keyUsage=DER:030400010101" },
  { name: "octets after an extension", extensions: "subjectKeyIdentifier=DER:040101 00" },
  { name: "a revocation list address without a point around it", extensions: "crlDistributionPoints=DER:3003020101" },
  { name: "a point that ends early", extensions: "crlDistributionPoints=DER:30043002a001" },
])("refuses from OpenSSL: $name", ({ extensions }) => {
  expect(() =>
    opensslIssue(undefined, { extensions: extensions.replaceAll(/(?<=[0-9a-f]) (?=[0-9a-f])/g, "") }),
  ).toThrow(expect.objectContaining({ code: "usage/certificate" }));
});

test("takes odd but sound ones from OpenSSL", () => {
  const keyId = (extensions: string): unknown =>
    opensslIssue(undefined, { extensions }).certificate.constraints.authorityKeyId;
  expect(keyId("authorityKeyIdentifier=DER:3000")).toBeUndefined();
  const { facts } = opensslIssue(undefined, { extensions: "basicConstraints=CA:FALSE\n", subject: "/" }).certificate;
  expect(facts).toMatchObject({
    subject: "",
    isCa: false,
    extendedKeyUsage: undefined,
    san: { ip: [], dns: [], uri: [] },
  });
  expect(opensslIssue(undefined, { subject: "/CN=a\u0007b" }).certificate.facts.subject).toBe(String.raw`CN=a\07b`);
});

test.each([
  { name: "one", points: "crlDistributionPoints=URI:http://a.example/x.crl", urls: ["http://a.example/x.crl"] },
  {
    name: "copies, reasons and the issuer of an indirect list",
    points:
      "crlDistributionPoints=one,two\n[one]\nfullname=URI:http://a.example/x.crl,URI:ldap://b.example/cn=x\nreasons=keyCompromise\n[two]\nfullname=URI:http://c.example/\nCRLissuer=dirName:who\n[who]\nCN=other",
    urls: ["http://a.example/x.crl", "ldap://b.example/cn=x", "http://c.example/"],
  },
  {
    name: "an entry of a directory, and a name relative to the issuer",
    points: "crlDistributionPoints=one,two\n[one]\nfullname=dirName:who\n[two]\nrelativename=who\n[who]\nCN=other",
    urls: [],
  },
  {
    name: "critical, an issuer alone",
    points: "crlDistributionPoints=critical,one\n[one]\nCRLissuer=dirName:who\n[who]\nCN=other",
    urls: [],
  },
  {
    name: "a text that would colour a terminal",
    points: "crlDistributionPoints=DER:300b3009a007a0058603611b62",
    urls: [String.raw`a\u{1b}b`],
  },
])("places of revocation lists: $name", ({ points, urls }) => {
  const { facts, constraints } = opensslIssue(undefined, { extensions: points }).certificate;
  expect(facts.crlUrls).toEqual(urls);
  expect(constraints.unsupported).toEqual([]);
});

describe("hostile input", () => {
  function parseOrRefuse(input: Uint8Array | string): readonly { der: Uint8Array }[] {
    try {
      return parseCertificates(input);
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      expect(error).toHaveProperty("code", "usage/certificate");
      return [];
    }
  }

  test("any octets and any text are refused", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ maxLength: 300 })),
        (input) => parseOrRefuse(input).length === 0,
      ),
      { numRuns: 2000 },
    );
  });

  test("a changed certificate is refused, or is another one whose signature fails", () => {
    const change = fc.record({
      at: fc.nat(aDer.length - 1),
      to: fc.nat(255),
      how: fc.constantFrom("set", "cut", "double"),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        let octets = Buffer.from(aDer);
        for (const { at, to, how } of changes) {
          if (how === "set" && at < octets.length) octets[at] = to;
          else if (how === "cut") octets = octets.subarray(0, at);
          else octets = Buffer.concat([octets.subarray(0, at), octets.subarray(at, at + 8), octets.subarray(at)]);
        }
        for (const certificate of parseOrRefuse(octets)) {
          if (octets.equals(aDer)) continue;
          expect(Buffer.from(certificate.der).equals(octets)).toBe(true);
          expect(parseCertificate(octets).facts.sha256).not.toBe(parseCertificate(aDer).facts.sha256);
          expect(parseCertificate(octets).facts.selfSigned).toBe(false);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("a changed PKCS#7 file gives whole certificates or none", () => {
    fc.assert(
      fc.property(fc.nat(p7.length - 1), fc.nat(255), (at, to) => {
        const octets = Buffer.from(p7);
        octets[at] = to;
        for (const { der } of parseOrRefuse(octets)) expect(octets.includes(der)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("what we make", () => {
  test("a self-signed device certificate is what OpenSSL calls one", async () => {
    const { privateKey } = await makeKeyPair("rsa-2048");
    const made = await selfSigned({
      subject: { commonName: "pump 7", serialNumber: "00C0FFEE" },
      san: { ip: ["192.0.2.7"] },
      privateKey,
      now: noon,
      days: 12_000,
    });
    expect(made.facts).toMatchObject({ selfSigned: true, isCa: false, subject: "CN=pump 7, serialNumber=00C0FFEE" });
    expect(made.facts.notAfter.getTime() - noon.getTime()).toBe(12_000 * 24 * 3600 * 1000);
    writeFileSync(file("self.pem"), toPem(made));
    const text = mustOpenssl(["x509", "-in", file("self.pem"), "-noout", "-text"]).toString();
    expect(text).toMatch(/CA:FALSE/);
    expect(text).toMatch(/Key Usage: critical\n\s+Digital Signature, Key Encipherment\n/);
    expect(text).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    expect(
      openssl([
        "verify",
        "-x509_strict",
        "-CAfile",
        file("self.pem"),
        "-attime",
        String(noon.getTime() / 1000),
        file("self.pem"),
      ]).ok,
    ).toBe(true);
  });

  test("several in one PEM stay in order", async () => {
    const root = await authority("root");
    const leaf = await make({ publicKey: root.certificate.publicKey, issuer: root.certificate, issuerKey: root.key });
    expect(parseCertificates(toPem([leaf, root.certificate]))).toEqual([leaf, root.certificate]);
  });

  test("parsed ones are forgotten after a while, and parsed again alike", () => {
    const first = parseCertificate(aDer);
    for (let serial = 0; serial < 300; serial++) {
      const octets = Buffer.from(aDer);
      octets[octets.length - 1] = serial;
      octets[octets.length - 2] = serial >> 2;
      parseOrNot(octets);
    }
    expect(parseCertificate(aDer)).toEqual(first);
  });
});

function parseOrNot(octets: Uint8Array): void {
  try {
    parseCertificate(octets);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
}
