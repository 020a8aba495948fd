import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { toPem, type Certificate } from "../src/certificate.ts";
import { createCsr, parseCsr } from "../src/csr.ts";
import { readElement, readElements, writeElement, writeOid } from "../src/der.ts";
import { readCsrAttributes, writeCsrAttributes } from "../src/est/attributes.ts";
import { bootstrapEst, estClient } from "../src/est/client.ts";
import { maxBodyOctets, readBody, writeBody } from "../src/est/encoding.ts";
import type { HttpAnswer } from "../src/est/http.ts";
import { readMultipart, writeMultipart } from "../src/est/multipart.ts";
import type { EstConnection, EstDial } from "../src/est/dial.ts";
import { completeChain, sortCaCerts } from "../src/est/trust.ts";
import { PkiError, TransportError } from "../src/errors.ts";
import { pkcs7ToPem, writePkcs7 } from "../src/pkcs7.ts";
import { linkRoots } from "../src/rollover.ts";
import { verifyChain } from "../src/verify.ts";
import { builder, now, pump } from "./est-support.ts";
import { authority, make, makeKeyPair, mustOpenssl, noon, opensslIssue } from "./support.ts";

const keys = await makeKeyPair();
const request = await createCsr({ subject: pump, privateKey: keys.privateKey });
const base64 = Buffer.from(request.der).toString("base64");
const octets = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

// What peers send, from RFC 8951 3 and the trackers of EST projects; each once failed somewhere.
test.each([
  { trap: "base64 with CRLF after 76 characters, as RFC 2045 has it", body: base64.replace(/.{1,76}/g, "$&\r\n") },
  { trap: "base64 with LF after 64 characters, as OpenSSL writes it", body: base64.replace(/.{1,64}/g, "$&\n") },
  { trap: "base64 on one line without its end (libest 120, RFC 8951 3.1)", body: base64 },
  { trap: "base64 with its line end", body: `${base64}\n` },
  { trap: "base64 without padding", body: base64.replace(/=+$/, "") },
  { trap: "base64 ended by a zero octet, as a C string is", body: `${base64}\0` },
  { trap: "PEM (globalsign 23)", body: request.pem },
  { trap: "PEM with CRLF", body: request.pem.replaceAll("\n", "\r\n") },
  { trap: "PEM with NEW in its label", body: request.pem.replaceAll("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST") },
  { trap: "PEM after the readable text of openssl req -text", body: `Certificate Request:\n    Data:\n${request.pem}` },
  {
    trap: "PEM with encapsulated headers",
    body: request.pem.replace("-----\n", "-----\nComment: made by hand\nProc-Type: 4\n\n"),
  },
  { trap: "PEM, put into base64 as a whole", body: Buffer.from(request.pem).toString("base64") },
])("request body: $trap", ({ body }) => {
  expect(parseCsr(readBody(octets(body)).der).der).toEqual(request.der);
});

test("request body: raw DER, also with a line end after it", () => {
  for (const end of ["", "\n", "\r\n"])
    expect(readBody(Buffer.concat([request.der, Buffer.from(end)])).der).toEqual(Buffer.from(request.der));
});

test.each([
  { name: "nothing", body: "" },
  { name: "HTML", body: "<html>moved</html>" },
  { name: "two PEM blocks", body: request.pem + request.pem },
  { name: "an unended PEM block", body: request.pem.slice(0, 200) },
  { name: "one character too many", body: `${base64.replace(/=+$/, "").slice(0, 4)}A` },
  { name: "more than any message", body: "A".repeat(maxBodyOctets + 1) },
])("no body: $name", ({ body }) => {
  expect(() => readBody(octets(body))).toThrow(expect.objectContaining({ code: "usage/encoding" }));
});

test("what is written is read, and no octets make the reader fail otherwise", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (content) => {
      const der = writeElement(0x30, content);
      expect(Buffer.from(readBody(octets(writeBody(der))).der).equals(der)).toBe(true);
      try {
        readBody(content);
      } catch (error) {
        if (!(error instanceof PkiError)) throw error;
      }
    }),
  );
});

test("octets that are made to be searched for long are refused at once", async () => {
  const before = process.cpuUsage();
  expect(() => readBody(octets(`${"=".repeat(maxBodyOctets - 1)}x`))).toThrow(
    expect.objectContaining({ code: "usage/encoding" }),
  );
  const body = "<".repeat(maxBodyOctets);
  // Also of a server that nothing is known of yet.
  await expect(bootstrapEst(scripted([{ status: 500, body }]).common, undefined)).rejects.toMatchObject({
    code: "est/http",
  });
  // It was 25 s for each.
  expect(process.cpuUsage(before).user / 1_000_000).toBeLessThan(8);
});

const root = await authority("Root");
const issuing = await authority("Issuing", root, { usage: { pathLength: 0, server: false, client: false } });
const leaf = await make({
  publicKey: keys.publicKey,
  issuer: issuing.certificate,
  issuerKey: issuing.key,
  subject: pump,
});
const tlsServer = await make({
  publicKey: keys.publicKey,
  issuer: issuing.certificate,
  issuerKey: issuing.key,
  san: { dns: ["est.example"] },
  usage: { server: true, client: false },
});

/** A server that answers with what it is given, one after the other. */
function scripted(
  answers: readonly Partial<HttpAnswer>[],
  chain: readonly Certificate[] = [tlsServer, issuing.certificate],
) {
  const asked: { path: string; headers: Readonly<Record<string, string>>; body: string | undefined }[] = [];
  const left = [...answers];
  let dials = 0;
  let isOpen = true;
  let isGone = false;
  // Hangs up without the client seeing it at once.
  const isSilent = answers.some(({ headers }) => headers?.["x-hangs-up"] === "silently");
  const connection: EstConnection = {
    tls: { chain, binding: "YmluZA==", version: "TLSv1.3" },
    isOpen: () => isOpen || (isSilent && !isGone),
    ask: async (_method, path, headers, body) => {
      if (!isOpen) throw new TransportError("transport/closed", "closed");
      asked.push({ path, headers, body });
      const next = left.shift();
      isOpen = next?.headers?.["connection"] !== "close" && next?.headers?.["x-hangs-up"] === undefined;
      return await Promise.resolve({ status: 200, headers: {}, body: "", ...next });
    },
    close: () => {
      isGone = true;
    },
  };
  const dial: EstDial = async () => {
    dials++;
    isOpen = true;
    isGone = false;
    return await Promise.resolve(connection);
  };
  const explicit = [root.certificate, issuing.certificate];
  const common = {
    url: "https://est.example/.well-known/est/line2",
    now,
    randomBytes: (count: number) => new Uint8Array(count),
    dial,
  };
  const client = estClient({
    ...common,
    trust: { explicit },
    identity: { password: { username: "u", password: "p" } },
  });
  return { client, asked, dials: () => dials, common };
}

const p7 = (...certificates: readonly Certificate[]): string =>
  writeBody(writePkcs7({ certificates: certificates.map(({ der }) => der) }));
const { build } = await builder(pump, {}, keys);

// Answers that servers in the field give.
test.each([
  { trap: "certs-only PKCS#7", body: p7(leaf) },
  {
    trap: "the chain beside it, leaf last (RFC 8951, chain order)",
    body: p7(root.certificate, issuing.certificate, leaf),
  },
  { trap: "the chain beside it, leaf in between", body: p7(issuing.certificate, leaf, root.certificate) },
  {
    trap: "base64 on one line (libest 100)",
    body: Buffer.from(writePkcs7({ certificates: [leaf.der] })).toString("base64"),
  },
  { trap: "PKCS#7 with PEM armour", body: pkcs7ToPem(writePkcs7({ certificates: [leaf.der] })) },
  { trap: "raw DER PKCS#7", body: writePkcs7({ certificates: [leaf.der] }) },
  { trap: "a bare certificate (trustpoint 508)", body: writeBody(leaf.der) },
  { trap: "PEM certificates, one after the other", body: toPem([leaf, issuing.certificate]) },
  { trap: "BER of indefinite length, as Java writes CMS", body: indefinite(writePkcs7({ certificates: [leaf.der] })) },
])("certificate answer: $trap", async ({ body }) => {
  for (const type of [
    "application/pkcs7-mime; smime-type=certs-only",
    "application/pkcs7-mime",
    "application/x-pkcs7-mime",
    "text/plain",
  ]) {
    const { client } = scripted([{ body, headers: { "content-type": type } }]);
    expect(await client.enroll(build)).toMatchObject({
      status: "issued",
      certificate: leaf,
      chain: [leaf, issuing.certificate],
    });
  }
});

test.each([
  {
    name: "another's certificate",
    answer: { body: p7(tlsServer.facts.sha256 === leaf.facts.sha256 ? leaf : root.certificate) },
    code: "trust/key-mismatch",
  },
  {
    name: "a certificate of a stranger",
    answer: { body: p7((await stranger()).certificate) },
    code: "trust/unknown-authority",
  },
  { name: "nothing", answer: { body: "" }, code: "est/answer" },
  { name: "a page of a proxy", answer: { body: "<html>login</html>" }, code: "est/answer" },
  {
    name: "a redirection, which is not followed with a request in hand",
    answer: { status: 302, headers: { location: "https://evil.example" } },
    code: "est/http",
  },
  { name: "not found", answer: { status: 404, body: "no" }, code: "est/unavailable" },
  { name: "not implemented", answer: { status: 501 }, code: "est/unavailable" },
  {
    name: "a refusal",
    answer: { status: 403, body: "<h1>who are you</h1>", headers: { "content-type": ["text/html"] } },
    code: "est/http",
  },
])("refuses an answer: $name", async ({ answer, code }) => {
  await expect(scripted([answer]).client.enroll(build)).rejects.toMatchObject({ code });
});

async function stranger() {
  const other = await authority("Other");
  return { certificate: await make({ publicKey: keys.publicKey, issuer: other.certificate, issuerKey: other.key }) };
}

test("csrattrs: 204, 404, an empty body and text/plain", async () => {
  for (const answer of [{ status: 204 }, { status: 404, body: "no" }, { body: "" }])
    expect(await scripted([answer]).client.csrattrs()).toBeUndefined();
  const body = writeBody(writeCsrAttributes({ challenge: true }) ?? new Uint8Array());
  expect(await scripted([{ body, headers: { "content-type": "text/plain" } }]).client.csrattrs()).toMatchObject({
    wantsChallenge: true,
  });
  await expect(scripted([{ body: "AAAA" }]).client.csrattrs()).rejects.toMatchObject({ code: "est/answer" });
});

test("csrattrs: a template of a whole request (RFC 9908 3.4)", () => {
  const seq = (...parts: readonly Uint8Array[]) => writeElement(0x30, ...parts);
  const wish = (keyKind: "ecdsa-p256" | "rsa-3072") => {
    const algorithm =
      keyKind === "rsa-3072"
        ? seq(writeOid("1.2.840.113549.1.1.1"), Uint8Array.of(2, 2, 12, 0))
        : seq(writeOid("1.2.840.10045.2.1"), writeOid("1.2.840.10045.3.1.7"));
    const names = writeElement(
      0x30,
      writeOid("2.5.29.17"),
      writeElement(4, seq(writeElement(0x82, Buffer.from("a.example")))),
    );
    const extensions = seq(writeOid("1.2.840.113549.1.9.14"), writeElement(0x31, seq(names)));
    const template = seq(Uint8Array.of(2, 1, 0), seq(), writeElement(0xa0, algorithm), writeElement(0xa1, extensions));
    return seq(seq(writeOid("1.2.840.113549.1.9.16.2.61"), writeElement(0x31, template)));
  };
  for (const keyKind of ["ecdsa-p256", "rsa-3072"] as const)
    expect(readCsrAttributes(wish(keyKind))).toMatchObject({
      keyKind,
      san: { dns: ["a.example"] },
      oids: ["1.2.840.113549.1.9.16.2.61"],
    });
  const empty = seq(seq(writeOid("1.2.840.113549.1.9.16.2.61"), writeElement(0x31, seq(Uint8Array.of(2, 1, 0)))));
  expect(readCsrAttributes(empty)).toMatchObject({ keyKind: undefined, san: undefined });
  expect(() => readCsrAttributes(seq(Uint8Array.of(2, 1, 0)))).toThrow(
    expect.objectContaining({ code: "usage/encoding" }),
  );
});

test.each(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"] as const)(
  "csrattrs: a template is written beside the attributes of RFC 7030, and it alone counts, %s",
  (keyKind) => {
    const san = { ip: [], dns: ["pump.example"], uri: [] };
    const der = writeCsrAttributes({ keyKind, san, challenge: true, template: true }) ?? new Uint8Array();
    const wanted = { wantsChallenge: true, keyKind, san };
    expect(readCsrAttributes(der)).toMatchObject(wanted);
    const items = readElements(readElement(der, "attributes").content, 16, "attributes");
    const plain = writeElement(0x30, ...items.slice(0, -1).map(({ raw }) => raw));
    expect(readCsrAttributes(plain)).toMatchObject(wanted);
    const alone = writeElement(0x30, ...items.slice(-1).map(({ raw }) => raw));
    expect(readCsrAttributes(alone)).toMatchObject({ ...wanted, oids: ["1.2.840.113549.1.9.16.2.61"] });
    const other = writeCsrAttributes({ keyKind: "ecdsa-p256" }) ?? new Uint8Array();
    const [stale] = readElements(readElement(other, "attributes").content, 16, "attributes");
    const both = writeElement(0x30, stale?.raw ?? new Uint8Array(), ...items.slice(-1).map(({ raw }) => raw));
    expect(readCsrAttributes(both).keyKind).toBe(keyKind);
  },
);

test.each([
  { name: "no modulus", key: writeElement(0x30) },
  { name: "a modulus of nought", key: writeElement(0x30, Uint8Array.of(2, 1, 0)) },
  { name: "a modulus of 4096 bits", key: writeElement(0x30, writeElement(2, new Uint8Array(512).fill(0x80))) },
])("csrattrs: a template for RSA with $name asks for no key that is made here", ({ key }) => {
  const algorithm = writeElement(0x30, writeOid("1.2.840.113549.1.1.1"), Uint8Array.of(5, 0));
  const spki = writeElement(0xa0, algorithm, writeElement(3, Uint8Array.of(0), key));
  const template = writeElement(0x30, Uint8Array.of(2, 1, 0), spki, writeElement(0xa1));
  const one = writeElement(0x30, writeOid("1.2.840.113549.1.9.16.2.61"), writeElement(0x31, template));
  expect(readCsrAttributes(writeElement(0x30, one)).keyKind).toBeUndefined();
});

test("csrattrs: the example of RFC 7030 4.5.2, whose extensions are none", () => {
  const example = "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==";
  expect(readCsrAttributes(Buffer.from(example, "base64"))).toMatchObject({
    wantsChallenge: true,
    keyKind: "ecdsa-p384",
  });
});

test.each(["ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072"] as const)(
  "csrattrs: what is wished is read, %s",
  (keyKind) => {
    const san = { ip: ["192.0.2.7"], dns: ["pump.example"], uri: [] };
    const der = writeCsrAttributes({ keyKind, san, challenge: true });
    expect(readCsrAttributes(der ?? new Uint8Array())).toMatchObject({ wantsChallenge: true, keyKind, san });
    expect(mustOpenssl(["asn1parse", "-inform", "DER"], der).toString()).toContain("challengePassword");
    expect(writeCsrAttributes({})).toBeUndefined();
  },
);

test("csrattrs: no octets make the reader fail otherwise", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (content) => {
      expect(() => readCsrAttributes(writeElement(0x30, writeElement(0x31, content)))).toThrow(
        expect.objectContaining({ code: "usage/encoding" }),
      );
    }),
  );
});

test("multipart: LF in place of CRLF, quoted boundary, headers in any case and order, no closing boundary", () => {
  const lf =
    "--b\ncontent-transfer-encoding: base64\nCONTENT-TYPE: application/pkcs8\n\nAAAA\n--b\nContent-Type: application/pkcs7-mime; smime-type=certs-only\n\nBBBB\n";
  expect(
    readMultipart('multipart/mixed; boundary="b"', octets(lf)).map(({ type, body }) => [
      type,
      Buffer.from(body).toString(),
    ]),
  ).toEqual([
    ["application/pkcs8", "AAAA"],
    ["application/pkcs7-mime; smime-type=certs-only", "BBBB"],
  ]);
  const { type, body } = writeMultipart(
    [
      { type: "a/b", body: "x" },
      { type: "c/d", body: "y\r\nz" },
    ],
    "q",
  );
  expect(
    readMultipart(type, octets(`preamble\r\n${body}epilogue`)).map((part) => Buffer.from(part.body).toString()),
  ).toEqual(["x", "y\r\nz"]);
  for (const [header, text] of [
    ["multipart/mixed", lf],
    ["multipart/mixed; boundary=c", lf],
    ["multipart/mixed; boundary=b", "--b\nno blank line"],
    ["multipart/mixed; boundary=b", "--b\n\nx\n".repeat(5)],
  ])
    expect(() => readMultipart(header ?? "", octets(text ?? ""))).toThrow(
      expect.objectContaining({ code: "usage/encoding" }),
    );
});

test("a key whose parts are swapped is read; one part missing is not", async () => {
  const key = { type: "application/pkcs8", body: writeBody(keys.privateKey.export({ type: "pkcs8", format: "der" })) };
  const certificate = { type: "application/pkcs7-mime; smime-type=certs-only", body: p7(leaf) };
  const serve = (parts: readonly { type: string; body: string }[]) => {
    const { type, body } = writeMultipart(parts, "b");
    return scripted([{ body, headers: { "content-type": type } }]).client.serverkeygen(build);
  };
  expect(await serve([certificate, key])).toMatchObject({ status: "issued", certificate: leaf });
  for (const [type, kind] of [
    ["sec1", "ecdsa-p256"],
    ["pkcs1", "rsa-2048"],
  ] as const) {
    const own = await makeKeyPair(kind);
    const of = await make({ publicKey: own.publicKey, issuer: issuing.certificate, issuerKey: issuing.key });
    const old = { ...key, body: writeBody(own.privateKey.export({ type, format: "der" })) };
    expect(await serve([old, { ...certificate, body: p7(of) }])).toMatchObject({ status: "issued", certificate: of });
  }
  await expect(serve([certificate])).rejects.toMatchObject({ code: "est/answer" });
  await expect(serve([key])).rejects.toMatchObject({ code: "est/answer" });
  await expect(serve([{ ...key, body: "AAAA" }, certificate])).rejects.toMatchObject({ code: "est/answer" });
  expect(await scripted([{ status: 202, headers: { "retry-after": "9" } }]).client.serverkeygen(build)).toEqual({
    status: "pending",
    retryAfterMs: 9000,
  });
});

test("a server that hangs up after its challenge gets a request linked to the new session", async () => {
  const nonce = 'Digest realm="r", qop="auth", algorithm=SHA-256, nonce="n1"';
  const { client, asked, dials } = scripted([
    { status: 401, headers: { "www-authenticate": [nonce, 'Basic realm="r"'], connection: "close" } },
    { status: 401, headers: { "www-authenticate": `${nonce}, stale=true` } },
    { body: p7(leaf) },
  ]);
  expect(await client.enroll(build)).toMatchObject({ status: "issued" });
  expect(dials()).toBe(2);
  expect(asked.map(({ headers }) => headers["authorization"]?.slice(0, 7))).toEqual([undefined, "Digest ", "Digest "]);
  expect(asked[0]?.path).toBe("/.well-known/est/line2/simpleenroll");
});

test("a server that hangs up after its challenge, and the client learns it by its next words (libest)", async () => {
  const challenge = 'Digest realm="estrealm", qop="auth", nonce="n"';
  const { client, dials } = scripted([
    { status: 401, headers: { "www-authenticate": challenge, "x-hangs-up": "silently" } },
    { body: p7(leaf) },
  ]);
  expect(await client.enroll(build)).toMatchObject({ status: "issued" });
  expect(dials()).toBe(2);
});

test("a server that asks for the password for ever is left; one with an unknown scheme too", async () => {
  const again = { status: 401, headers: { "www-authenticate": 'Digest realm="r", qop="auth", nonce="n", stale=true' } };
  const asking = scripted([again, again, again, again, again, again]);
  await expect(asking.client.enroll(build)).rejects.toMatchObject({ facts: { status: 401 } });
  expect(asking.asked).toHaveLength(4);
  for (const header of [
    "Negotiate",
    'Digest realm="r", qop="auth-int", nonce="n"',
    'Digest realm="r", nonce="n", algorithm=SHA-512-256, qop="auth"',
  ])
    await expect(
      scripted([{ status: 401, headers: { "www-authenticate": header } }]).client.enroll(build),
    ).rejects.toMatchObject({ facts: { status: 401 } });
  await expect(scripted([{ status: 401 }]).client.enroll(build)).rejects.toMatchObject({ facts: { status: 401 } });
});

test("a server without a certificate, or one that is not trusted, hears nothing", async () => {
  const { asked, client } = scripted([], []);
  await expect(client.enroll(build)).rejects.toMatchObject({ code: "trust/unknown-authority" });
  const bad = await stranger();
  const other = scripted([], [bad.certificate]);
  await expect(other.client.enroll(build)).rejects.toMatchObject({ code: "trust/unknown-authority" });
  expect([...asked, ...other.asked]).toEqual([]);
});

test("the first contact takes what the named authority vouches for, and no stranger's root beside it", async () => {
  const other = await authority("Other");
  const body = p7(other.certificate, issuing.certificate, root.certificate, leaf);
  const { common } = scripted([{ body }, { body }]);
  const found = await bootstrapEst(common, root.certificate.facts.sha256);
  expect(found.certificates.map(({ facts }) => facts.subject)).toEqual(["CN=Issuing", "CN=Root"]);
  expect((await bootstrapEst(common, undefined)).anchors).toHaveLength(2);
});

test("a change of root: all four certificates are understood, and either root alone is enough", async () => {
  const next = await authority("Root");
  const { oldWithOld, oldWithNew, newWithOld, newWithNew } = await linkRoots(
    { certificate: root.certificate, key: root.key },
    { certificate: next.certificate, key: next.key },
  );
  const sorted = sortCaCerts([newWithOld, oldWithNew, oldWithOld, newWithNew, issuing.certificate, leaf, oldWithOld]);
  expect(sorted.anchors).toEqual([oldWithOld, newWithNew]);
  expect(sorted.rollover).toEqual([newWithOld, oldWithNew]);
  expect(sorted.intermediates).toEqual([issuing.certificate]);
  expect(sorted.certificates).toHaveLength(5);
  const after = await authority("Issuing 2", next, { usage: { pathLength: 0, server: false, client: false } });
  const young = await make({ publicKey: keys.publicKey, issuer: after.certificate, issuerKey: after.key });
  const common = { time: noon, purpose: "server" } as const;
  expect(
    verifyChain({ ...common, leaf: young, chain: [after.certificate, newWithOld], anchors: [oldWithOld] }),
  ).toMatchObject({ ok: true });
  expect(
    verifyChain({ ...common, leaf, chain: [issuing.certificate, oldWithNew], anchors: [newWithNew] }),
  ).toMatchObject({ ok: true });
  expect(verifyChain({ ...common, leaf: young, chain: [after.certificate], anchors: [oldWithOld] })).toMatchObject({
    ok: false,
  });
  const pem = toPem([newWithNew]);
  expect(pem).toContain("BEGIN CERTIFICATE");
  await expect(linkRoots(root, root)).rejects.toMatchObject({ code: "usage/argument" });
  const foreign = opensslIssue(undefined, {
    subject: "/DC=example/CN=Foreign",
    extensions: "basicConstraints=critical,CA:TRUE\n",
  });
  await expect(linkRoots(root, foreign)).rejects.toMatchObject({ code: "usage/argument" });
  await expect(linkRoots(root, issuing)).rejects.toMatchObject({ code: "usage/argument" });
});

test("authorities without a root: the topmost counts, and a chain is completed as far as it is known", () => {
  expect(sortCaCerts([issuing.certificate])).toMatchObject({
    anchors: [issuing.certificate],
    intermediates: [],
    rollover: [],
  });
  expect(completeChain(leaf, [leaf, root.certificate, issuing.certificate])).toEqual([leaf, issuing.certificate]);
  expect(completeChain(leaf, [])).toEqual([leaf]);
});

test("a request's link to its session: OpenSSL's challengePassword is read, a doubled one refused", () => {
  expect(parseCsr(request.der).challengePassword).toBeUndefined();
  const vector = readFileSync(new URL("vectors/challenge.csr", import.meta.url));
  expect(parseCsr(vector).challengePassword).toBe("a challenge");
});

/** The two outer layers of a message with indefinite lengths. */
function indefinite(der: Uint8Array): Uint8Array {
  const strip = (element: Uint8Array): Uint8Array =>
    element.subarray(element[1] === 0x82 ? 4 : element[1] === 0x81 ? 3 : 2);
  const open = (tag: number, ...parts: readonly Uint8Array[]) =>
    Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.from([0, 0])]);
  const content = strip(der);
  const oid = content.subarray(0, 11);
  return open(0x30, oid, open(0xa0, open(0x30, strip(strip(content.subarray(11))))));
}
