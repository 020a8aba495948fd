import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { importOfflineCa, requestOfflineCa } from "../src/ca-offline.ts";
import { openCa } from "../src/ca.ts";
import { rowOf } from "../src/ca-index.ts";
import { openLedger } from "../src/ca-ledger.ts";
import { writeIssued } from "../src/ca-store.ts";
import { createCrl, crlToPem } from "../src/crl.ts";
import { createCsr, parseCsr } from "../src/csr.ts";
import { unjudgedParts } from "../src/csr-beyond.ts";
import { PeerError } from "../src/errors.ts";
import {
  hasUpstream,
  importUpstreamCrl,
  initUpstreamCa,
  openUpstreamCa,
  readUpstream,
  upstreamAuthority,
} from "../src/est/upstream.ts";
import { makeKeyPair, privateKeyToPem, writeKeyFile } from "../src/keys.ts";
import { cryptoKeyPair, signingAlgorithm } from "../src/signing.ts";
import { Attribute, Pkcs10CertificateRequestGenerator, provider } from "../src/x509.ts";
import { parseCertificates, toPem } from "../src/certificate.ts";
import { bench, birth, builder, client, now, pump, serve } from "./est-support.ts";
import { at, authority, make, mustOpenssl, temporaryFolder } from "./support.ts";

const pause = async (ms: number): Promise<void> => await sleep(ms);
const options = { now, pause, randomBytes: (count: number) => new Uint8Array(randomBytes(count)) };
const none = { ip: [], dns: [], uri: [] };

const above = await bench({
  linking: "required",
  policy: {
    rules: [
      { name: "ra", callers: ["registrar"], action: "issue", takeNames: "request" },
      { name: "wait", callers: ["birth"], action: "hold" },
    ],
  },
});
const server = await serve(above, "127.37.3.1");
const url = `https://127.37.3.1:${server.port}`;
const authorities = [above.ca.root, above.ca.issuing];
const { privateKey, publicKey } = await makeKeyPair();
const ra = await above.ca.issue({ profile: "tool", registrar: true, publicKey, subject: { commonName: "RA" } });
const registrar = { chain: ra.chain, key: privateKey };

test("a folder whose authority is above: what is issued there is kept here, and the rest is its operator's", async () => {
  const folder = join(temporaryFolder(), "ca");
  expect(hasUpstream(folder)).toBe(false);
  const ca = await initUpstreamCa(
    folder,
    { name: "Hall 4", url, authorities, registrar },
    { ...options, timeoutMs: 9000 },
  );
  await expect(initUpstreamCa(folder, { name: "x", url, authorities, registrar }, options)).rejects.toMatchObject({
    code: "usage/ca-exists",
  });
  expect([hasUpstream(folder), ca.name, ca.root, ca.issuing]).toEqual([true, "Hall 4", ...authorities]);
  const keys = await makeKeyPair();
  const csr = await createCsr({ subject: pump, san: { ip: ["192.0.2.7"] }, privateKey: keys.privateKey });
  const issued = await ca.issue({ profile: "device", csr });
  expect(issued.chain).toHaveLength(2);
  const again = await openUpstreamCa(folder, options);
  expect(await again.list()).toMatchObject([{ serial: issued.certificate.facts.serialHex, status: "good" }]);
  const late = await openUpstreamCa(folder, { ...options, now: () => at(9999) });
  expect(await late.list()).toMatchObject([{ status: "expired" }]);
  expect((await again.certificate(issued.certificate.facts.serialHex)).facts.sha256).toBe(
    issued.certificate.facts.sha256,
  );
  expect(parseCertificates(again.export())).toEqual(authorities);
  expect(parseCertificates(again.export({ what: "chain", as: "pkcs7" }))).toEqual([above.ca.issuing]);
  expect(again.export({ what: "chain", as: "pkcs7-pem" })).toContain("BEGIN PKCS7");
  for (const refused of [
    () => again.issue({ profile: "device", publicKey }),
    () => again.issue({ profile: "device", csr, subject: { commonName: "other" } }),
    () => again.issue({ profile: "device", csr, san: { ip: ["192.0.2.8"] } }),
    () => again.revoke("00"),
    () => again.crl(),
    () => again.rootCrl(),
    () => again.crls(),
    () => again.setCrlBase("http://pki.example"),
  ])
    await expect(refused()).rejects.toMatchObject({ code: "usage/argument" });
  const older = crlToPem(await above.ca.crl());
  await importUpstreamCrl(folder, crlToPem(await above.ca.crl()));
  expect((await again.crl()).number).toBe("02");
  const stranger = await authority(above.ca.issuing.facts.subject.replace(/^.*CN=/, ""));
  const forged = {
    issuer: stranger.certificate,
    issuerKey: stranger.key,
    number: 9,
    thisUpdate: now(),
    nextUpdate: at(9),
  };
  for (const refused of [older, crlToPem(await createCrl({ ...forged, entries: [] }))])
    await expect(importUpstreamCrl(folder, refused)).rejects.toMatchObject({ code: "usage/crl" });
  expect((await again.crl()).number).toBe("02");
  expect(await again.crls()).toHaveLength(1);
  expect(again.crlBase).toBeUndefined();
  expect(await again.find(issued.certificate.facts.serialHex.toUpperCase())).toMatchObject({ status: "good" });
  expect(await again.find("00")).toBeUndefined();
  await expect(importUpstreamCrl(folder, crlToPem(await above.ca.crl()).repeat(2))).rejects.toMatchObject({
    code: "usage/crl",
  });
  await expect(readUpstream(temporaryFolder())).rejects.toMatchObject({ code: "usage/ca-missing" });
});

test.each([
  { name: "a part twice", subject: "/CN=pump/CN=admin", id: "2.5.4.3" },
  { name: "an unknown part", subject: "/CN=pump/DC=corp", id: "0.9.2342.19200300.100.1.25" },
  { name: "a mail address", add: "subjectAltName=email:ceo@corp.example,DNS:a.example", id: "2.5.29.17" },
  { name: "another name", add: "subjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:admin@corp", id: "2.5.29.17" },
  { name: "to be an authority", add: "basicConstraints=CA:TRUE", id: "2.5.29.19" },
  { name: "to sign certificates", add: "keyUsage=keyCertSign", id: "2.5.29.15" },
  { name: "to sign code", add: "extendedKeyUsage=clientAuth,codeSigning", id: "1.3.6.1.5.5.7.3.3" },
  { name: "a policy", add: "certificatePolicies=1.2.3.4", id: "2.5.29.32" },
  { name: "a template of its own", add: "1.3.6.1.4.1.311.20.2=ASN1:UTF8String:Admin", id: "1.3.6.1.4.1.311.20.2" },
  {
    name: "nothing more",
    add: "subjectAltName=DNS:a.example,IP:192.0.2.1,URI:urn:x:y",
    more: ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature", "extendedKeyUsage=serverAuth,clientAuth"],
    id: undefined,
  },
])("a request that asks for $name", async ({ subject = "/CN=pump", add, more = [], id }) => {
  const words = [...(add === undefined ? [] : [add]), ...more].flatMap((one) => ["-addext", one]);
  const key = join(temporaryFolder(), "key");
  await writeKeyFile(key, (await makeKeyPair()).privateKey);
  const request = parseCsr(mustOpenssl(["req", "-new", "-key", key, "-subj", subject, "-outform", "DER", ...words]));
  expect(unjudgedParts(request)).toEqual(id === undefined ? [] : [id]);
});

test("what nobody judged here is not passed on to the authority above", async () => {
  const folder = join(temporaryFolder(), "ca");
  const asked: string[] = [];
  const dial = (): never => {
    asked.push("dialled");
    throw new PeerError("est/http", "not to be asked");
  };
  const ca = await initUpstreamCa(folder, { name: "x", url, authorities, registrar }, { ...options, dial });
  const key = join(folder, "device.key");
  await writeKeyFile(key, (await makeKeyPair()).privateKey);
  const words = ["-addext", "subjectAltName=DNS:a.example,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:admin@corp"];
  const csr = parseCsr(mustOpenssl(["req", "-new", "-key", key, "-subj", "/CN=pump", "-outform", "DER", ...words]));
  await expect(ca.issue({ profile: "device", csr })).rejects.toMatchObject({ code: "usage/argument" });
  const twice = await requestWith({
    attributes: [emptyExtensions(), emptyExtensions(), new Attribute("1.2.3.4", [])],
  });
  expect(unjudgedParts(twice)).toEqual(["1.2.840.113549.1.9.14", "1.2.3.4", "1.2.840.113549.1.9.14"]);
  expect(asked).toEqual([]);
});

/** A request with attributes that no tool writes. */
async function requestWith(content: { readonly attributes: Attribute[] }) {
  const keys = cryptoKeyPair({ privateKey, publicKey });
  const made = await Pkcs10CertificateRequestGenerator.create(
    { name: "CN=x", keys, signingAlgorithm: signingAlgorithm(privateKey), ...content },
    provider,
  );
  return parseCsr(new Uint8Array(made.rawData));
}

function emptyExtensions(): Attribute {
  return new Attribute("1.2.840.113549.1.9.14", [Uint8Array.of(0x30, 0).buffer]);
}

test("an authority above that speaks CMP revokes what it issued, once; its program says no more than that it did", async () => {
  const base = temporaryFolder();
  const [folder, program] = [join(base, "ca"), join(base, "openssl")];
  writeFileSync(program, `#!/bin/sh\necho called >> ${base}/calls\n`, { mode: 0o700 });
  const cmp = { ...options, program, timeoutMs: 9000 };
  const settings = { name: "Hall 6", url: "cmp+http://pki.example/pkix/", authorities, registrar };
  const made = await initUpstreamCa(folder, settings, cmp);
  expect(made.canRevoke).toBe(true);
  // As if it had been issued through here.
  const { certificate } = ra;
  const { facts } = certificate;
  await writeIssued(folder, certificate);
  await (await openLedger(folder))?.append([{ op: "issued", row: rowOf(certificate, "tool") }]);
  const ca = await openUpstreamCa(folder, cmp);
  const revoked = { at: now().toISOString(), reason: "keyCompromise" };
  for (const _ of ["asked", "known already"])
    expect(await ca.revoke(facts.serialHex, "keyCompromise")).toMatchObject({ serial: facts.serialHex, revoked });
  expect(readFileSync(join(base, "calls"), "utf8")).toBe("called\n");
  await expect(ca.revoke("00")).rejects.toMatchObject({ code: "usage/serial" });
  const above6 = upstreamAuthority(ca);
  expect([await above6.isRevoked(facts.serialHex), await above6.isRevoked("00")]).toEqual([true, false]);
  await above6.supersede?.(facts.serialHex);
});

test("a folder whose authority above is one certificate alone, or that lost its index", async () => {
  const base = temporaryFolder();
  const settings = { name: "x", url, registrar };
  const wrapped = { ...options, passphrase: "open" };
  const alone = await initUpstreamCa(join(base, "root"), { ...settings, authorities: [above.ca.root] }, wrapped);
  expect([alone.issuing, alone.export({ what: "chain", as: "pem" })]).toEqual([above.ca.root, ""]);
  await expect(openUpstreamCa(alone.folder, { ...options, passphrase: "sesame" })).rejects.toMatchObject({
    code: "usage/key",
  });
  const partial = await initUpstreamCa(join(base, "none"), { ...settings, authorities: [above.ca.issuing] }, options);
  expect([partial.root, partial.issuing]).toEqual([above.ca.issuing, above.ca.issuing]);
  for (const name of ["index", "index.previous"]) rmSync(join(alone.folder, name), { force: true });
  await expect(openUpstreamCa(alone.folder, wrapped)).rejects.toMatchObject({ code: "usage/ca-missing" });
});

test("a caller who has gone is heard above, by EST and by CMP", async () => {
  const signal = AbortSignal.abort(new RangeError("gone"));
  const csr = await createCsr({ subject: pump, privateKey });
  const gone = { ...options, signal, timeoutMs: 9000 };
  for (const where of [url, "cmp+http://127.37.3.9:1/pkix/"]) {
    const folder = join(temporaryFolder(), "ca");
    const ca = await initUpstreamCa(folder, { name: "x", url: where, authorities, registrar }, gone);
    await expect(ca.issue({ profile: "device", csr })).rejects.toThrow(/gone|abort/i);
  }
});

test("a registrar whose certificate is a vendor's waits above, and says so here", async () => {
  const folder = join(temporaryFolder(), "ca");
  const ca = await initUpstreamCa(
    folder,
    { name: "Hall 5", url, authorities, registrar: await birth(above.vendor) },
    options,
  );
  const keys = await makeKeyPair();
  const linked = await createCsr({ subject: pump, privateKey: keys.privateKey });
  // Its request would have to be linked to this session, which a registrar's need not be.
  await expect(ca.issue({ profile: "device", csr: linked })).rejects.toMatchObject({
    code: "est/http",
    facts: { status: 403 },
  });
});

test("a device enrols through our server at the one above, with rules that change nothing", async () => {
  const ca = await initUpstreamCa(join(temporaryFolder(), "ca"), { name: "x", url, authorities, registrar }, options);
  const here = await bench({
    linking: "required",
    authority: () => upstreamAuthority(ca),
    policy: { rules: [{ name: "r", callers: ["birth"], action: "issue", takeNames: "request" }] },
  });
  const local = await serve({ ca: above.ca, service: here.service }, "127.37.3.2");
  const device = await birth(here.vendor);
  const some = client(local, { trust: { explicit: authorities }, identity: { certificate: device } });
  const { build, keys } = await builder(pump, { ip: ["192.0.2.7"] });
  const issued = await some.enroll(build);
  expect(issued).toMatchObject({ status: "issued", chain: [expect.anything(), above.ca.issuing] });
  if (issued.status !== "issued") return;
  // What the server had issued is known to this authority's folder.
  expect(await ca.list()).toMatchObject([{ serial: issued.certificate.facts.serialHex, status: "good" }]);
  const current = client(local, {
    trust: { explicit: authorities },
    identity: { certificate: { chain: issued.chain, key: keys.privateKey } },
  });
  expect(await current.reenroll((await builder(pump, { ip: ["192.0.2.7"] })).build)).toMatchObject({
    status: "issued",
  });
  const other = await builder({ commonName: "another" });
  await expect(some.enroll(other.build)).rejects.toMatchObject({ facts: { status: 400 } });
  await server.close();
  await expect(some.enroll(build)).rejects.toMatchObject({ facts: { status: 502 } });
});

test("what waits above waits here, and what EST cannot revoke is left alone", async () => {
  const waiting = (error: Error) =>
    upstreamAuthority({
      authorities,
      canRevoke: false,
      issue() {
        throw error;
      },
      list: async () => await above.ca.list(),
      revoke() {
        throw new RangeError("asked to revoke");
      },
    });
  const request = await createCsr({ subject: pump, privateKey });
  const wish = { request, profile: "device", subject: pump, san: none, days: undefined } as const;
  const held = (facts: { retryAfterMs?: number }) => waiting(new PeerError("est/pending", "held", { facts }));
  expect(await held({}).issue(wish)).toEqual({ status: "pending", retryAfterS: 30 });
  expect(await held({ retryAfterMs: 90_500 }).issue(wish)).toEqual({ status: "pending", retryAfterS: 91 });
  const refused = new PeerError("est/http", "refused");
  await expect(waiting(refused).issue(wish)).rejects.toBe(refused);
  await held({}).supersede("00");
  expect(await held({}).isRevoked(ra.certificate.facts.serialHex)).toBe(false);
});

test("a root that is reached by files only: request, certificate, and what is refused", async () => {
  const folder = join(temporaryFolder(), "ca");
  await expect(importOfflineCa(folder, [], options)).rejects.toMatchObject({ code: "usage/ca-missing" });
  for (const name of ["", "x".repeat(49)])
    await expect(requestOfflineCa(folder, { ...options, name })).rejects.toMatchObject({ code: "usage/argument" });
  const begun = await requestOfflineCa(folder, { ...options, name: "Hall 5", passphrase: "open" });
  expect((await requestOfflineCa(folder, { ...options, name: "Hall 5" })).pem).toBe(begun.pem);
  expect(readFileSync(join(folder, "issuing.key.pem"), "utf8")).toContain("ENCRYPTED");
  expect(existsSync(join(folder, "index"))).toBe(false);
  await expect(openCa(folder, options)).rejects.toMatchObject({ code: "usage/ca-missing" });
  const root = await authority("Corp Root");
  const opened = { ...options, passphrase: "open" };
  await expect(importOfflineCa(folder, [root.certificate], opened)).rejects.toMatchObject({
    code: "trust/key-mismatch",
  });
  const sign = async (issuer: typeof root, isCa: boolean) =>
    await make({
      publicKey: begun.publicKey,
      subject: begun.subject,
      san: {},
      issuer: issuer.certificate,
      issuerKey: issuer.key,
      ...(isCa ? { usage: { pathLength: 0, server: false, client: false } } : {}),
    });
  await expect(importOfflineCa(folder, [await sign(root, false), root.certificate], opened)).rejects.toMatchObject({
    code: "trust/not-a-ca",
  });
  const other = await authority("Other Root");
  await expect(importOfflineCa(folder, [await sign(other, true), root.certificate], opened)).rejects.toMatchObject({
    code: "trust/unknown-authority",
  });
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return join(folder, name);
  };
  const signer = [
    "-CA",
    file("corp.pem", toPem(root.certificate)),
    "-CAkey",
    file("corp.key", privateKeyToPem(root.key)),
  ];
  const extensions = file("corp.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n");
  const silent = ["x509", "-req", "-in", file("corp.csr", begun.pem), "-extfile", extensions, "-days", "9", ...signer];
  const listless = parseCertificates(mustOpenssl([...silent, "-set_serial", "7"]));
  await expect(importOfflineCa(folder, [...listless, root.certificate], opened)).rejects.toMatchObject({
    code: "trust/usage",
  });
  const good = await sign(root, true);
  const ca = await importOfflineCa(folder, [root.certificate, good], opened);
  expect([ca.name, ca.root, ca.issuing]).toEqual(["Hall 5", root.certificate, good]);
  await expect(importOfflineCa(folder, [root.certificate, good], opened)).rejects.toMatchObject({
    code: "usage/ca-exists",
  });
  await expect(requestOfflineCa(folder, { ...options, name: "Hall 5" })).rejects.toMatchObject({
    code: "usage/ca-exists",
  });
  expect((await ca.issue({ profile: "device", publicKey, subject: pump })).chain).toHaveLength(2);
  await expect(ca.rootCrl()).rejects.toMatchObject({ code: "usage/file" });
  writeFileSync(join(folder, "root.cert.pem"), toPem(root.certificate));
});
