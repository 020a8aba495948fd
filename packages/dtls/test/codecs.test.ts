import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { alertName, readAlert } from "../src/alert.ts";
import { certificateCredential, orderByName, publicKeyOf } from "../src/credentials.ts";
import { readCertificateRequest, writeCertificateRequest } from "../src/handshake/certificate-request.ts";
import { readCertificate, writeCertificate } from "../src/handshake/certificate.ts";
import { readClientHello, writeClientHello } from "../src/handshake/client-hello.ts";
import {
  checkPointFormats,
  checkRenegotiationInfo,
  readConnectionId,
  readExtensions,
  readFlag,
  readNumbers,
  readServerName,
  readSupportedVersions,
  writeServerName,
} from "../src/handshake/extensions.ts";
import { handshakeName, readFragments, writeMessage } from "../src/handshake/message.ts";
import { readNewSessionTicket, writeNewSessionTicket } from "../src/handshake/new-session-ticket.ts";
import { readServerHello, writeServerHello } from "../src/handshake/server-hello.ts";
import { readSignedKeyExchange, writeSignedKeyExchange } from "../src/handshake/server-key-exchange.ts";
import { keyLogLine, prf } from "../src/key-schedule.ts";
import { concat, Reader, sameOctets, u16, vector16 } from "../src/presentation.ts";
import { decryptPremaster, encryptPremaster } from "../src/rsa-premaster.ts";
import { chooseScheme, judgeKey, signatureSchemes, verifyWith } from "../src/signatures.ts";
import { TokenBucket } from "../src/token-bucket.ts";
import { Wheel } from "../src/wheel.ts";
import { kinds, makeIdentity } from "./identities.ts";

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex");
const octets = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max });

test("the pseudorandom function gives the octets that others computed", () => {
  // Vectors of P_SHA256 and P_SHA384 that implementers exchange, from the TLS working group's list (2010).
  const out = prf(
    "sha256",
    hex("9bbe436ba940f017b17652849a71db35"),
    "test label",
    hex("a0ba9f936cda311827a6f796ffd5198c"),
    100,
  );
  const wanted =
    "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af" +
    "0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701" +
    "87347b66";
  expect(Buffer.from(out).toString("hex")).toBe(wanted);
});

test("hellos come back as they were written", () => {
  const extensions = fc
    .dictionary(fc.integer({ min: 0, max: 65535 }).map(String), octets(0, 20), { maxKeys: 8 })
    .map((entries) => new Map(Object.entries(entries).map(([type, data]) => [Number(type), data])));
  fc.assert(
    fc.property(octets(32, 32), octets(0, 32), octets(0, 64), extensions, (random, sessionId, cookie, map) => {
      const client = { version: 0xfefd, random, sessionId, cookie, suites: [0xc02b, 0x00ff], extensions: map };
      expect(readClientHello(writeClientHello(client))).toEqual(client);
      const server = { version: 0xfefd, random, sessionId, suite: 0xc02b, extensions: map };
      expect(readServerHello(writeServerHello(server))).toEqual(server);
    }),
  );
});

test("other messages come back as they were written", () => {
  fc.assert(
    fc.property(octets(1, 60), octets(1, 60), fc.nat(65535), (a, b, number) => {
      expect(readCertificate(writeCertificate([a, b]))).toEqual([a, b]);
      const request = { types: [64, 1], signatureSchemes: [number], authorities: [a, b] };
      expect(readCertificateRequest(writeCertificateRequest(request))).toEqual(request);
      const ticket = { lifetimeSeconds: number, ticket: a };
      expect(readNewSessionTicket(writeNewSessionTicket(ticket))).toEqual(ticket);
      const exchange = readSignedKeyExchange(
        writeSignedKeyExchange({ group: number, point: a }, { scheme: number, signature: b }),
      );
      expect(exchange.parameters).toEqual({ group: number, point: a });
      expect(exchange.proof).toEqual({ scheme: number, signature: b });
      expect(readFragments(writeMessage({ type: 11, seq: 3, body: a }))).toEqual([
        { type: 11, seq: 3, length: a.length, offset: 0, bytes: a },
      ]);
    }),
  );
});

test.each<{ name: string; read: () => unknown; message: RegExp }>([
  {
    name: "an extension twice",
    read: () => readExtensions(new Reader(hex("0008 0017 0000 0017 0000"), "x")),
    message: /stands twice/,
  },
  {
    name: "too many extensions",
    read: () =>
      readExtensions(new Reader(vector16(...Array.from({ length: 65 }, (_, i) => concat(u16(i), u16(0)))), "x")),
    message: /more than 64/,
  },
  { name: "a flag with content", read: () => readFlag(hex("00"), "flag"), message: /1 octets too many/ },
  {
    name: "a server name with a blank",
    read: () => readServerName(hex("0006 00 0003 612062")),
    message: /not printable/,
  },
  { name: "an odd list", read: () => readNumbers(hex("0003 000102"), "list"), message: /odd length 3/ },
  { name: "no uncompressed points", read: () => checkPointFormats(hex("01 01")), message: /uncompressed points/ },
  { name: "a renegotiation", read: () => checkRenegotiationInfo(hex("01 aa")), message: /first handshake/ },
  {
    name: "a compression only",
    read: () => readClientHello(concat(u16(0xfefd), new Uint8Array(32), hex("00 00 0002 c02b 01 01"))),
    message: /no compression/,
  },
  {
    name: "a chain too long",
    read: () => readCertificate(writeCertificate(Array.from({ length: 11 }, () => hex("30")))),
    message: /more than 10/,
  },
  {
    name: "too many authorities",
    read: () =>
      readCertificateRequest(
        writeCertificateRequest({
          types: [64],
          signatureSchemes: [0x0403],
          authorities: Array.from({ length: 257 }, () => hex("30")),
        }),
      ),
    message: /more than 256/,
  },
  { name: "an explicit curve", read: () => readSignedKeyExchange(hex("01 0017 01 04")), message: /only named curves/ },
  {
    name: "a fragment outside its message",
    read: () => readFragments(hex("01 000004 0000 000002 000003 aabbcc")),
    message: /ends at 5 of 4/,
  },
])("refuses $name", ({ read, message }) => {
  expect(read).toThrow(message);
});

test("optional extensions are undefined where they are not there", () => {
  expect(readServerName(undefined)).toBeUndefined();
  expect(readServerName(hex("0005 01 0002 6162"))).toBeUndefined();
  expect(readServerName(writeServerName("plc.example"))).toBe("plc.example");
  expect(readNumbers(undefined, "list")).toBeUndefined();
  expect(readConnectionId(undefined)).toBeUndefined();
  expect(readSupportedVersions(undefined)).toBeUndefined();
  expect(readSupportedVersions(hex("04 fefc fefd"))).toEqual([0xfefc, 0xfefd]);
  expect(readFlag(undefined, "flag")).toBe(false);
  expect(checkPointFormats(undefined)).toBeUndefined();
});

test("names are numbers where the tables have none", () => {
  expect([alertName(40), alertName(200)]).toEqual(["handshake_failure", "alert 200"]);
  expect([handshakeName(2), handshakeName(99)]).toEqual(["ServerHello", "handshake type 99"]);
  expect([readAlert(hex("0228")), readAlert(hex("0328")), readAlert(hex("02"))]).toEqual([
    { fatal: true, description: 40 },
    undefined,
    undefined,
  ]);
  expect([
    sameOctets(hex("01"), hex("01")),
    sameOctets(hex("01"), hex("02")),
    sameOctets(hex("01"), hex("0102")),
  ]).toEqual([true, false, false]);
  expect(keyLogLine(hex("01"), hex("02"))).toBe("CLIENT_RANDOM 01 02");
});

test("a premaster that is padded wrong, or of another version, becomes the fallback without a word", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const premaster = new Uint8Array(48).fill(9);
  premaster.set([0xfe, 0xfd]);
  const fallback = new Uint8Array(48).fill(1);
  const encrypted = encryptPremaster(publicKey, premaster);
  expect(decryptPremaster(privateKey, encrypted, 0xfefd, fallback)).toEqual(premaster);
  const refused = [
    encryptPremaster(publicKey, premaster.subarray(0, 47)),
    encryptPremaster(publicKey, concat(premaster, hex("00"))),
    encrypted.map((octet, i) => (i === 100 ? octet ^ 1 : octet)),
    new Uint8Array(256).fill(255),
    new Uint8Array(256),
    hex("01"),
  ];
  for (const octets of refused) expect(decryptPremaster(privateKey, octets, 0xfefd, fallback)).toEqual(fallback);
  expect(decryptPremaster(privateKey, encrypted, 0xfeff, fallback)).toEqual(fallback);
});

test("keys are judged by kind and strength, and signatures by the key's kind", () => {
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
  expect(judgeKey(weak.publicKey)).toEqual({ refused: "RSA with 1024 bits, 2048 are the least" });
  const other = generateKeyPairSync("x25519");
  expect(judgeKey(other.publicKey)).toEqual({ refused: "keys of type x25519 are not used" });
  const [ecdsa] = signatureSchemes;
  expect(chooseScheme(other.privateKey, [0x0403], [0x0403])).toBeUndefined();
  expect(verifyWith(ecdsa!, other.publicKey, hex("00"), hex("00"))).toBe(false);
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  expect(verifyWith(ecdsa!, rsa.publicKey, hex("00"), hex("00"))).toBe(false);
});

test("a credential is a certificate with its own key", () => {
  const a = makeIdentity(kinds.ecdsa, "a.example");
  const b = makeIdentity(kinds.ecdsa, "b.example");
  const key = createPrivateKey(a.keyPem);
  expect(certificateCredential(a.credential.chain, key).chain).toEqual(a.credential.chain);
  expect(certificateCredential(`${a.pem}\n${b.pem}`, key).chain).toHaveLength(2);
  expect(() => certificateCredential(b.pem, key)).toThrow(/not that of the first certificate/);
  expect(() => certificateCredential("", key)).toThrow(/no certificate is in the text/);
  expect(() => certificateCredential([hex("3000")], key)).toThrow(/cannot be read/);
  expect(publicKeyOf(hex("3000"))).toBeUndefined();
  expect(publicKeyOf(a.credential.chain[0]!)?.equals(createPublicKey(key))).toBe(true);
  const both = [a.credential, b.credential, { chain: [], key }];
  expect(orderByName(both, "b.example")[0]).toBe(b.credential);
  expect(orderByName(both, undefined)).toBe(both);
});

test("a wheel keeps the earliest time of each item", () => {
  const wheel = new Wheel<string>();
  expect(wheel.next).toBeUndefined();
  wheel.schedule("a", 100);
  wheel.schedule("a", 500);
  wheel.schedule("b", 40);
  wheel.schedule("c", 40);
  wheel.schedule("c", 20);
  wheel.remove("never there");
  expect(wheel.next).toBe(24);
  expect(wheel.take(30)).toEqual(["c"]);
  wheel.remove("b");
  expect(wheel.take(1000)).toEqual(["a"]);
  expect(wheel.next).toBeUndefined();
});

test("a bucket lets through so many a second", () => {
  const bucket = new TokenBucket(10);
  const taken = (now: number) => Array.from({ length: 20 }, () => bucket.take(now)).filter(Boolean).length;
  expect([taken(0), taken(0), taken(500), taken(100_000)]).toEqual([10, 0, 5, 10]);
});
