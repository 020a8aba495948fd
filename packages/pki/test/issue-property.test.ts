import { generateKeyPairSync, sign, X509Certificate, type KeyObject } from "node:crypto";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { initCa } from "../src/ca.ts";
import { certificateSubject, parseCertificate, parseCertificates, type Certificate } from "../src/certificate.ts";
import { parseCsr, type CertificateRequest } from "../src/csr.ts";
import { readElements, readOid, readOnly, Tag, writeElement, writeOid, type DerElement } from "../src/der.ts";
import { PkiError } from "../src/errors.ts";
import { writeBody } from "../src/est/encoding.ts";
import type { EnrolRule, NameSource, SubjectSource } from "../src/est/policy.ts";
import { samePublicKey } from "../src/keys.ts";
import type { AlternativeNames, Subject } from "../src/names.ts";
import { bench, birth, now, request } from "./est-support.ts";
import { day, temporaryFolder } from "./support.ts";

/** What a request can ask for, far beyond what anybody is to get. */
interface Wish {
  readonly key: "p256" | "p384" | "rsa2048" | "rsa1024" | "ed25519";
  readonly subject: readonly { readonly id: string; readonly tag: number; readonly text: string }[];
  readonly names: readonly { readonly tag: number; readonly value: Uint8Array }[];
  readonly extensions: readonly { readonly id: string; readonly critical: boolean; readonly value: Uint8Array }[];
}

const keys = {
  p256: generateKeyPairSync("ec", { namedCurve: "P-256" }),
  p384: generateKeyPairSync("ec", { namedCurve: "P-384" }),
  rsa2048: generateKeyPairSync("rsa", { modulusLength: 2048 }),
  rsa1024: generateKeyPairSync("rsa", { modulusLength: 1024 }),
  ed25519: generateKeyPairSync("ed25519"),
} as const satisfies Readonly<Record<Wish["key"], { readonly privateKey: KeyObject; readonly publicKey: KeyObject }>>;

const signatureIds = { p256: "1.2.840.10045.4.3.2", p384: "1.2.840.10045.4.3.3", ed25519: "1.3.101.112" } as const;

const octets = (...parts: readonly number[]): Uint8Array => Uint8Array.from(parts);
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const sequence = (...parts: readonly Uint8Array[]): Uint8Array => writeElement(Tag.sequence, ...parts);
const usages = (...ids: readonly string[]): Uint8Array => sequence(...ids.map(writeOid));

/** One distribution point: the full name of a list is one address (RFC 5280 4.2.1.13). */
function crlPlace(url: string): Uint8Array {
  const fullName = writeElement(Tag.context0, writeElement(0x86, utf8(url)));
  return sequence(sequence(writeElement(Tag.context0, fullName)));
}

const part = fc.record({
  id: fc.constantFrom("2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.6", "2.5.4.5", "0.9.2342.19200300.100.1.25"),
  tag: fc.oneof({ weight: 8, arbitrary: fc.constant(0x0c) }, fc.constantFrom(0x13, 0x16, 0x14, 0x1e)),
  text: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom("Pump 7", "Acme", "DE", "a=b,CN=root") },
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.constantFrom("x".repeat(65), "x".repeat(5000), "\0CN=root", "\u202eevil", ""),
  ),
});

const name = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .constantFrom("192.0.2.7", "192.0.2.200", "198.51.100.1")
      .map((ip) => ({ tag: 0x87, value: octets(...ip.split(".").map(Number)) })),
  },
  {
    weight: 9,
    arbitrary: fc
      .constantFrom("pump.example", "*.example", "a.b.example", "evil.test", "*", "xn--a.example")
      .map((dns) => ({ tag: 0x82, value: utf8(dns) })),
  },
  fc.constantFrom("urn:x:y", "https://u:p@example/", "javascript:x").map((uri) => ({ tag: 0x86, value: utf8(uri) })),
  // Mail, directory name, other name, registered identifier: of no use to a peer.
  fc.record({
    tag: fc.constantFrom(0x81, 0xa4, 0xa0, 0x88),
    value: fc.constant(sequence(writeOid("2.5.4.3"), utf8("x"))),
  }),
  fc.record({ tag: fc.constantFrom(0x82, 0x86, 0x87), value: fc.uint8Array({ maxLength: 20 }) }),
);

/** Extensions as an authority would have them, or another; each in its right form. */
const coveted: readonly (readonly [id: string, value: Uint8Array])[] = [
  ["2.5.29.19", sequence(writeElement(Tag.boolean, octets(0xff)), writeElement(Tag.integer, octets(9)))],
  ["2.5.29.15", writeElement(Tag.bitString, octets(1, 0x06))],
  ["2.5.29.37", usages("1.3.6.1.5.5.7.3.28", "1.3.6.1.5.5.7.3.3", "2.5.29.37.0", "1.3.6.1.5.5.7.3.9")],
  ["2.5.29.14", writeElement(Tag.octetString, octets(1, 2, 3, 4))],
  ["2.5.29.35", sequence(writeElement(Tag.implicit0, octets(1, 2, 3, 4)))],
  ["2.5.29.30", sequence(writeElement(Tag.context0, sequence(writeElement(0x82, utf8("example")))))],
  ["2.5.29.32", sequence(usages("2.5.29.32.0"))],
  ["2.5.29.31", crlPlace("http://evil.test/empty.crl")],
  ["1.2.3.4", octets(0xde, 0xad)],
  ["1.2.3.5", new Uint8Array(9000)],
];

const extension = fc
  .record({ which: fc.constantFrom(...coveted), critical: fc.boolean(), garble: fc.nat(15) })
  .map(({ which: [id, value], critical, garble }) => ({
    id,
    critical,
    value: garble === 0 ? octets(0xde, 0xad) : value,
  }));

const wish: fc.Arbitrary<Wish> = fc.record({
  key: fc.oneof(
    { weight: 6, arbitrary: fc.constant("p256" as const) },
    fc.constantFrom("p384", "rsa2048", "rsa1024", "ed25519"),
  ),
  subject: fc.array(part, { minLength: 1, maxLength: 3 }),
  names: fc.oneof({ weight: 9, arbitrary: fc.array(name, { maxLength: 2 }) }, fc.array(name, { maxLength: 40 })),
  extensions: fc.oneof(
    { weight: 4, arbitrary: fc.uniqueArray(extension, { maxLength: 4, selector: ({ id }) => id }) },
    fc.array(extension, { maxLength: 4 }),
  ),
});

/** A request that asks for all of it, signed by its key. */
function requestFor({ key, subject, names, extensions }: Wish): Uint8Array {
  const { privateKey, publicKey } = keys[key];
  const isRsa = key === "rsa2048" || key === "rsa1024";
  const algorithm = isRsa
    ? sequence(writeOid("1.2.840.113549.1.1.11"), octets(0x05, 0x00))
    : sequence(writeOid(signatureIds[key]));
  const san =
    names.length === 0
      ? []
      : [
          {
            id: "2.5.29.17",
            critical: false,
            value: sequence(...names.map(({ tag, value }) => writeElement(tag, value))),
          },
        ];
  const wanted = [...extensions, ...san].map(({ id, critical, value }) =>
    sequence(
      writeOid(id),
      ...(critical ? [writeElement(Tag.boolean, octets(0xff))] : []),
      writeElement(Tag.octetString, value),
    ),
  );
  const attribute = sequence(writeOid("1.2.840.113549.1.9.14"), writeElement(Tag.set, sequence(...wanted)));
  const info = sequence(
    writeElement(Tag.integer, octets(0)),
    sequence(
      ...subject.map(({ id, tag, text }) =>
        writeElement(Tag.set, sequence(writeOid(id), writeElement(tag, utf8(text)))),
      ),
    ),
    new Uint8Array(publicKey.export({ format: "der", type: "spki" })),
    writeElement(Tag.context0, ...(wanted.length === 0 ? [] : [attribute])),
  );
  const signature = sign(key === "ed25519" ? null : key === "p384" ? "sha384" : "sha256", info, privateKey);
  return sequence(info, algorithm, writeElement(Tag.bitString, octets(0), signature));
}

/** The request as it was read, or nothing where it was refused as it should be. */
function readOrRefused(der: Uint8Array): CertificateRequest | undefined {
  try {
    return parseCsr(der);
  } catch (error) {
    expect(error).toMatchObject({ code: "usage/csr" });
    return undefined;
  }
}

interface Expected {
  readonly key: KeyObject;
  readonly subject: Subject;
  readonly san: AlternativeNames;
  readonly usages: readonly string[];
  readonly issuer: Certificate;
  readonly days: number;
  readonly crlUrl: string | undefined;
}

/** Every extension and field of a certificate is what the profile says, and none is there beside them. */
function requireOnly(
  { der }: Certificate,
  { key, subject, san, usages: allowed, issuer, days, crlUrl }: Expected,
): void {
  const certificate = parseCertificate(der);
  const seen = new X509Certificate(der);
  expect(seen.ca).toBe(false);
  expect(seen.checkIssued(issuer.x509) && seen.verify(issuer.publicKey)).toBe(true);
  expect(samePublicKey(seen.publicKey, key)).toBe(true);
  expect(seen.keyUsage).toEqual(allowed);
  expect(certificateSubject(certificate)).toEqual(
    Object.fromEntries(Object.entries(subject).filter(([, text]) => text !== "")),
  );
  expect(certificate.facts.san).toEqual(san);
  const validMs = certificate.facts.notAfter.getTime() - now().getTime();
  expect(validMs).toBeLessThanOrEqual(days * day);
  expect(certificate.facts.notAfter.getTime()).toBeLessThanOrEqual(issuer.facts.notAfter.getTime());
  const has = extensionsOf(der);
  const isRsa = key.asymmetricKeyType === "rsa";
  expect(has.get("2.5.29.19")).toEqual({ critical: true, hex: "3000" });
  expect(has.get("2.5.29.15")).toEqual({ critical: true, hex: isRsa ? "030205a0" : "03020780" });
  expect([...has.keys()].toSorted()).toEqual(
    [
      "2.5.29.14",
      "2.5.29.15",
      "2.5.29.19",
      "2.5.29.35",
      "2.5.29.37",
      ...(san.ip.length + san.dns.length + san.uri.length > 0 ? ["2.5.29.17"] : []),
      ...(crlUrl === undefined ? [] : ["2.5.29.31"]),
    ].toSorted(),
  );
  const place = crlUrl && { critical: false, hex: Buffer.from(crlPlace(crlUrl)).toString("hex") };
  expect(has.get("2.5.29.31")).toEqual(place);
  expect(certificate.facts.crlUrls).toEqual(crlUrl === undefined ? [] : [crlUrl]);
  // Identifiers are of the keys, not what a request says.
  expect(certificate.constraints.authorityKeyId).toBe(issuer.constraints.subjectKeyId);
  expect(certificate.constraints.subjectKeyId).not.toBe("01020304");
}

function extensionsOf(der: Uint8Array): ReadonlyMap<string, { readonly critical: boolean; readonly hex: string }> {
  const [body] = readElements(readOnly(der, Tag.sequence, "certificate").content, 3, "certificate");
  const wrapped = readElements(body?.content ?? octets(), 10, "certificate").find(({ tag }) => tag === Tag.context3);
  const list = readElements(
    readOnly(wrapped?.content ?? octets(), Tag.sequence, "extensions").content,
    32,
    "extensions",
  );
  return new Map(
    list.map(({ content }): [string, { critical: boolean; hex: string }] => {
      const parts: readonly DerElement[] = readElements(content, 3, "extension");
      const [id] = parts;
      if (id === undefined) throw new RangeError("an extension without an identifier");
      return [
        readOid(id),
        { critical: parts.length === 3, hex: Buffer.from(parts.at(-1)?.content ?? octets()).toString("hex") },
      ];
    }),
  );
}

const profileUsages = {
  device: ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
  tool: ["1.3.6.1.5.5.7.3.2"],
  user: ["1.3.6.1.5.5.7.3.2"],
} as const;

test("whatever a request asks for, a certificate carries what its profile allows and nothing else", async () => {
  const plain = await initCa(join(temporaryFolder(), "ca"), { name: "Plant", now });
  const placed = await initCa(join(temporaryFolder(), "ca"), { name: "Plant", now, crlBase: "http://pki.example/" });
  const seen = { issued: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(
      wish,
      fc.constantFrom("device", "tool", "user"),
      fc.boolean(),
      async (wanted, profile, isPlaced) => {
        const ca = isPlaced ? placed : plain;
        const csr = readOrRefused(requestFor(wanted));
        const issued = csr && (await ca.issue({ profile, csr }).catch(refusedWell));
        if (csr === undefined || issued === undefined) return void (seen.refused += 1);
        seen.issued += 1;
        const { subject, san } = csr;
        requireOnly(issued.certificate, {
          key: keys[wanted.key].publicKey,
          subject,
          san,
          usages: profileUsages[profile],
          issuer: ca.issuing,
          days: 730,
          crlUrl: isPlaced ? "http://pki.example/crl/issuing-1.crl" : undefined,
        });
        expect(["p256", "p384", "rsa2048"]).toContain(wanted.key);
      },
    ),
    { numRuns: 80 },
  );
  expect(seen.issued).toBeGreaterThan(10);
  expect(seen.refused).toBeGreaterThan(10);
});

const subjects: readonly SubjectSource[] = [
  "caller",
  "request",
  { organization: "Plant", commonName: "drive {caller.serialNumber}" },
];
const allowedNames: readonly NameSource[] = ["none", "caller", "request", { ip: ["192.0.2.0/25"], dns: ["*.example"] }];

const rule = fc
  .record({
    profile: fc.constantFrom("device" as const, "tool" as const, "user" as const),
    days: fc.integer({ min: 1, max: 400 }),
    takeSubject: fc.constantFrom(...subjects),
    takeNames: fc.constantFrom(...allowedNames),
  })
  .map((fields): EnrolRule => ({ name: "rule", callers: ["birth"], action: "issue", ...fields }));

test("whatever a request asks for, an EST server issues what its rule allows and nothing else", async () => {
  const plant = await bench();
  const seen = { issued: 0, refused: 0 };
  const device = await birth(plant.vendor);
  const [own] = device.chain;
  if (own === undefined) throw new RangeError("no birth certificate");
  let address = 0;
  let base: string | undefined;
  await fc.assert(
    fc.asyncProperty(wish, rule, fc.boolean(), async (wanted, one, isPlaced) => {
      plant.policy = { rules: [one] };
      const crlBase = isPlaced ? "http://[2001:db8::5]:8080/plant" : undefined;
      if (base !== crlBase) await plant.ca.setCrlBase(crlBase);
      base = crlBase;
      const der = requestFor(wanted);
      // Another address each time: who is refused often is not listened to for a while.
      address += 1;
      const from = `127.0.${address >> 8}.${address & 0xff}`;
      const answer = await plant.service.handle(
        request({ chain: device.chain, body: utf8(writeBody(der)), address: from }),
      );
      if (answer.status !== 200) {
        expect([400, 403]).toContain(answer.status);
        return void (seen.refused += 1);
      }
      seen.issued += 1;
      const [certificate] = parseCertificates(Buffer.from(Buffer.from(answer.body).toString("latin1"), "base64"));
      const csr = parseCsr(der);
      if (certificate === undefined) throw new RangeError("an answer without a certificate");
      const { profile = "device", days = 0 } = one;
      const subject =
        one.takeSubject === "request"
          ? csr.subject
          : one.takeSubject === "caller"
            ? certificateSubject(own)
            : { organization: "Plant", commonName: "drive 00C0FFEE" };
      const san =
        one.takeNames === "none" ? { ip: [], dns: [], uri: [] } : one.takeNames === "caller" ? own.facts.san : csr.san;
      requireOnly(certificate, {
        key: keys[wanted.key].publicKey,
        subject,
        san,
        usages: profileUsages[profile],
        issuer: plant.ca.issuing,
        days,
        crlUrl: crlBase && `${crlBase}/crl/issuing-1.crl`,
      });
      if (typeof one.takeNames !== "object") return;
      expect(san.ip.every((ip) => ip === "192.0.2.7") && san.dns.every((dns) => /^[a-z.-]+\.example$/.test(dns))).toBe(
        true,
      );
      expect(san.uri).toEqual([]);
    }),
    { numRuns: 80 },
  );
  expect(seen.issued).toBeGreaterThan(10);
  expect(seen.refused).toBeGreaterThan(10);
});

/** Nothing, for a refusal that names what is wrong with the request. */
function refusedWell(error: unknown): undefined {
  expect(error).toBeInstanceOf(PkiError);
  expect(error).toMatchObject({ code: expect.stringMatching(/^(usage\/argument|trust\/weak)$/) });
  return undefined;
}
