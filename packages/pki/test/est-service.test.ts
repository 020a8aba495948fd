import { copyFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readElements } from "../src/der.ts";
import { readCsrAttributes } from "../src/est/attributes.ts";
import { makePasswordRecord } from "../src/est/auth.ts";
import { keyUsageFlags, parseCertificate, parseCertificates } from "../src/certificate.ts";
import { createCsr } from "../src/csr.ts";
import { PeerError, StateError, TrustError, UsageError } from "../src/errors.ts";
import { localAuthority, type EstAuthority } from "../src/est/authority.ts";
import { readBody, writeBody } from "../src/est/encoding.ts";
import type { HttpAnswer } from "../src/est/http.ts";
import { approveHeld, denyHeld, maxHeld, openRegister, type Register } from "../src/est/register.ts";
import { makeKeyPair, writeKeyFile, type KeyPair } from "../src/keys.ts";
import { usageIds } from "../src/make-certificate.ts";
import type { AlternativeNamesInput, Subject } from "../src/names.ts";
import { readPkcs7 } from "../src/pkcs7.ts";
import { bench, birth, bodyText, clock, now, pump, request, type Bench } from "./est-support.ts";
import { at, authority, day, make, mustOpenssl, noon, spoil } from "./support.ts";

const plant = await bench();
const device = await birth(plant.vendor);
const keys = await makeKeyPair();

async function csr(subject: Subject = pump, san: AlternativeNamesInput = {}, pair: KeyPair = keys): Promise<string> {
  return writeBody((await createCsr({ subject, san, privateKey: pair.privateKey })).der);
}

const octets = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

/** The certificate of an answer, which has to be the only one. */
function issued(answer: HttpAnswer) {
  expect(answer).toMatchObject({
    status: 200,
    headers: { "content-type": "application/pkcs7-mime; smime-type=certs-only" },
  });
  const { certificates } = readPkcs7(readBody(octets(bodyText(answer))).der);
  expect(certificates).toHaveLength(1);
  return parseCertificate(certificates[0] ?? new Uint8Array());
}

/** The id of the only request that waits, or was decided, as a person sees it. */
async function onlyId(register: Register): Promise<string> {
  const held = await register.list();
  expect(held).toHaveLength(1);
  return held[0]?.id ?? "";
}

const enrol = async (to: Pick<Bench, "service">, more: Parameters<typeof request>[0] = {}): Promise<HttpAnswer> =>
  await to.service.handle(request({ chain: device.chain, body: octets(await csr()), ...more }));

test.each([
  { name: "no EST", path: "/", status: 404 },
  { name: "an unknown operation", path: "/.well-known/est/fullcmc", status: 404 },
  { name: "an unknown label", path: "/.well-known/est/nobody/simpleenroll", status: 404 },
  { name: "the wrong method", path: "/.well-known/est/cacerts", status: 405 },
  { name: "reading what is written", path: "/.well-known/est/simpleenroll", method: "GET", status: 405 },
  { name: "keys where none are made", path: "/.well-known/est/serverkeygen", status: 404 },
])("refuses: $name", async ({ path, status, method = "POST" }) => {
  expect(await enrol(plant, { path, method })).toMatchObject({ status });
});

test("nobody has to say who they are to learn the authorities and the wishes", async () => {
  const read = async (path: string) => await plant.service.handle(request({ method: "GET", path }));
  const { body, headers, status } = await read("/.well-known/est/cacerts");
  expect([status, headers["content-type"]]).toEqual([200, "application/pkcs7-mime"]);
  expect(readPkcs7(readBody(octets(String(body))).der).certificates).toHaveLength(2);
  expect(await read("/.well-known/est/csrattrs")).toMatchObject({ status: 204, body: "" });
});

test("wishes follow the rule of who asks", async () => {
  const rules = [{ name: "rsa", callers: ["birth" as const], action: "issue" as const, keyKind: "rsa-2048" as const }];
  const wishing = await bench({ linking: "required", policy: { rules } });
  const { chain } = await birth(wishing.vendor);
  const ask = async (more: object) =>
    readElements(
      readBody(
        octets(
          bodyText(
            await wishing.service.handle(request({ method: "GET", path: "/.well-known/est/csrattrs", ...more })),
          ),
        ),
      ).der,
      1,
      "attributes",
    )[0]?.content.length;
  expect(await ask({ chain })).toBeGreaterThan((await ask({})) ?? 0);
  const plain = await wishing.service.handle(request({ method: "GET", path: "/.well-known/est/csrattrs", chain }));
  wishing.policy = { rules, templates: true };
  const both = await wishing.service.handle(request({ method: "GET", path: "/.well-known/est/csrattrs", chain }));
  expect(bodyText(both).length).toBeGreaterThan(bodyText(plain).length + 300);
  expect(readCsrAttributes(readBody(octets(bodyText(both))).der)).toMatchObject({
    wantsChallenge: true,
    keyKind: "rsa-2048",
  });
});

test("labels lead to their own authorities", async () => {
  const second = await bench();
  const both = await bench({ labels: { line2: localAuthority(second.ca) } });
  const chain = (await birth(both.vendor)).chain;
  const one = issued(await enrol(both, { chain }));
  const two = issued(await enrol(both, { chain, path: "/.well-known/est/line2/simpleenroll/" }));
  expect(one.constraints.authorityKeyId).toBe(both.ca.issuing.constraints.subjectKeyId);
  expect(two.constraints.authorityKeyId).toBe(second.ca.issuing.constraints.subjectKeyId);
});

test("who asks: birth, current, revoked, expired, stranger, forged, nobody", async () => {
  const here = await bench({ authority: (ca) => localAuthority(ca) });
  const { chain } = await birth(here.vendor);
  const current = issued(await enrol(here, { chain }));
  const renew = async (more: object = {}) =>
    await enrol(here, { chain: [current, here.ca.issuing], path: "/.well-known/est/simplereenroll", ...more });
  expect(issued(await renew()).facts.subject).toBe(current.facts.subject);
  expect(issued(await enrol(here, { chain: [current, here.ca.issuing] })).facts.subject).toBe(current.facts.subject);
  expect(await enrol(here, { chain, path: "/.well-known/est/simplereenroll" })).toMatchObject({
    status: 403,
    body: expect.stringContaining("use simpleenroll"),
  });
  await here.ca.revoke(current.facts.serialHex);
  expect(await renew()).toMatchObject({ status: 403, body: "the client certificate is revoked\n" });
  const old = await make({
    publicKey: keys.publicKey,
    issuerKey: here.vendor.key,
    issuer: here.vendor.certificate,
    notAfter: at(-1),
  });
  expect(await enrol(here, { chain: [old] })).toMatchObject({
    status: 403,
    body: expect.stringContaining("trust/expired"),
  });
  const other = await birth(await authority("Other Vendor"));
  expect(await enrol(here, { chain: other.chain })).toMatchObject({
    status: 403,
    body: expect.stringContaining("trust/unknown-authority"),
  });
  const forged = chain.map(spoil);
  expect(await enrol(here, { chain: forged })).toMatchObject({
    status: 403,
    body: expect.stringContaining("trust/bad-signature"),
  });
  expect(await enrol(here, { chain: [] })).toMatchObject({ status: 403, body: "no client certificate was shown\n" });
  expect(here.events.map(({ outcome }) => outcome)).toEqual([
    "issued",
    "issued",
    "issued",
    "refused",
    "refused",
    "refused",
    "refused",
    "refused",
    "refused",
  ]);
});

test("passwords: beside a certificate, alone only when allowed, never for the revoked", async () => {
  const record = await makePasswordRecord({ username: "ann", password: "correct horse" }, "est");
  const users = (name: string) => Promise.resolve(name === "ann" ? record : undefined);
  const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });
  const good = basic("ann:correct horse");
  const both = await bench({ callers: { users, certificateAlone: false } });
  const { chain } = await birth(both.vendor);
  expect(await enrol(both, { chain })).toMatchObject({
    status: 401,
    headers: { "www-authenticate": [expect.stringContaining("algorithm=SHA-256"), expect.stringContaining("Basic")] },
  });
  expect((await enrol(both, { chain, headers: good })).status).toBe(200);
  expect(await enrol(both, { chain: [], headers: good })).toMatchObject({
    status: 403,
    body: expect.stringContaining("a password alone will not do"),
  });
  for (const headers of [
    basic("ann:wrong horses"),
    basic("bob:correct horse"),
    basic("ann"),
    { authorization: "Bearer x" },
    { authorization: 'Digest username="ann"' },
  ])
    expect(await enrol(both, { chain, headers })).toMatchObject({ status: 401 });
  const alone = await bench({
    callers: { users, passwordAlone: true },
    policy: { rules: [{ name: "p", callers: ["password"], users: ["ann"], action: "issue" }] },
  });
  const own = issued(await enrol(alone, { chain: [], headers: good }));
  // Twice with the same certificate: the first answer may have been lost.
  for (const _ of [1, 2])
    expect(issued(await enrol(alone, { chain: [own], path: "/.well-known/est/simplereenroll" })).facts.subject).toBe(
      own.facts.subject,
    );
  const gone = await alone.ca.issue({ profile: "device", publicKey: keys.publicKey, subject: pump });
  await alone.ca.revoke(gone.certificate.facts.serialHex);
  expect((await enrol(alone, { chain: gone.chain, headers: good })).status).toBe(403);
});

test("who guesses passwords is stopped, and let in again with time", async () => {
  const record = await makePasswordRecord({ username: "ann", password: "correct horse" }, "est");
  const users = () => Promise.resolve(record);
  const here = await bench({ callers: { users, passwordAlone: true, schemes: ["basic"] }, limits: { failures: 2 } });
  const guess = async () =>
    await enrol(here, {
      chain: [],
      headers: { authorization: `Basic ${Buffer.from("ann:wrong horses").toString("base64")}` },
    });
  expect([(await guess()).status, (await guess()).status, (await guess()).status]).toEqual([401, 401, 429]);
  clock.now = new Date(noon.getTime() + 60_000);
  expect((await guess()).status).toBe(401);
  clock.now = noon;
  // Also by reading, where what the server wishes for depends on who asks.
  const elsewhere = { address: "127.37.0.10", method: "GET", path: "/.well-known/est/csrattrs" };
  const read = async (headers: Readonly<Record<string, string>>) =>
    (await here.service.handle(request({ ...elsewhere, headers }))).status;
  const wrong = { authorization: `Basic ${Buffer.from("ann:wrong horses").toString("base64")}` };
  expect([await read({}), await read({}), await read({})]).toEqual([204, 204, 204]);
  expect([await read(wrong), await read(wrong), await read(wrong)]).toEqual([204, 204, 429]);
  expect(await read({})).toBe(204);
});

test("an address that asks too often is told to wait, another is not", async () => {
  const here = await bench({ limits: { burst: 3, perMinute: 6 } });
  const ask = async (address: string) =>
    await here.service.handle(request({ method: "GET", path: "/.well-known/est/cacerts", address }));
  for (let n = 0; n < 3; n++) expect((await ask("127.37.0.1")).status).toBe(200);
  expect(await ask("127.37.0.1")).toMatchObject({ status: 429, headers: { "retry-after": "10" } });
  expect((await ask("127.37.0.2")).status).toBe(200);
});

test("a person decides; the word holds for that key, survives a restart, and an answer that was lost is given again", async () => {
  const rules = [
    {
      name: "ask",
      callers: ["birth" as const],
      action: "hold" as const,
      takeNames: { ip: ["192.0.2.0/24"] },
      days: 30,
    },
  ];
  const here = await bench({ policy: { rules }, retryAfterS: 7 });
  const { chain } = await birth(here.vendor);
  const body = octets(await csr(pump, { ip: ["192.0.2.7"] }));
  const ask = async (more: object = {}) => await enrol(here, { chain, body, ...more });
  expect(await ask({ body: octets(await csr(pump, { ip: ["10.0.0.1"] })) })).toMatchObject({ status: 403 });
  expect(await ask()).toMatchObject({ status: 202, headers: { "retry-after": "7" } });
  expect((await ask()).status).toBe(202);
  const [waiting] = await here.register.list();
  expect(waiting).toMatchObject({ state: "waiting", identity: "Acme/00C0FFEE", rule: "ask", days: 30 });
  // Another process, as the command is, and one that was killed and started again.
  const again = await openRegister(join(here.folder, "est"), { now });
  const id = await onlyId(again);
  await approveHeld(again, id, { now: now() });
  await expect(approveHeld(again, id, { now: now() })).rejects.toMatchObject({ code: "usage/est-request" });
  await expect(approveHeld(again, "00", { now: now() })).rejects.toMatchObject({ code: "usage/est-request" });
  const first = issued(await ask());
  expect(first.facts.notAfter.getTime() - noon.getTime()).toBe(30 * day);
  expect(issued(await ask()).facts.sha256).toBe(first.facts.sha256);
  // A thief with the same birth certificate and another key needs another word.
  const thief = await ask({ body: octets(await csr(pump, {}, await makeKeyPair())) });
  expect(thief.status).toBe(202);
  const theirs = await onlyId(again);
  await denyHeld(again, theirs, now(), "not ours");
  expect(await ask()).toMatchObject({ status: 403, body: "the request was denied: not ours\n" });
  await denyHeld(again, theirs, now());
  expect(await ask()).toMatchObject({ body: "the request was denied\n" });
  await approveHeld(again, theirs, { now: now() });
  expect((await ask({ body: octets(await csr(pump, {}, await makeKeyPair())) })).status).toBe(202);
});

test("a person's word is for the key that was looked at, not for one that was asked for since", async () => {
  const here = await bench({ policy: { rules: [{ name: "ask", callers: ["birth"], action: "hold" }] } });
  const { chain } = await birth(here.vendor);
  const ask = async (pair: KeyPair) => await enrol(here, { chain, body: octets(await csr(pump, {}, pair)) });
  const thief = await makeKeyPair();
  await ask(keys);
  const seen = await onlyId(here.register);
  await ask(thief);
  await expect(approveHeld(here.register, seen, { now: now() })).rejects.toMatchObject({ code: "usage/est-request" });
  expect((await ask(thief)).status).toBe(202);
  await ask(keys);
  await approveHeld(here.register, seen, { now: now() });
  expect(issued(await ask(keys)).publicKey.equals(keys.publicKey)).toBe(true);
});

test("who comes with the same key when the certificate is over waits for another word", async () => {
  const rules = [{ name: "ask", callers: ["birth" as const], action: "hold" as const, days: 5 }];
  const here = await bench({ policy: { rules } });
  const { chain } = await birth(here.vendor);
  const ask = async () => await enrol(here, { chain });
  await ask();
  await approveHeld(here.register, await onlyId(here.register), { now: now() });
  const first = issued(await ask());
  clock.now = new Date(noon.getTime() + 6 * day);
  expect((await ask()).status).toBe(202);
  await approveHeld(here.register, await onlyId(here.register), { now: now() });
  const second = issued(await ask());
  clock.now = noon;
  expect(second.facts.notAfter.getTime() - first.facts.notAfter.getTime()).toBe(6 * day);
});

test("a certificate that was made elsewhere is handed over, if it is for the key", async () => {
  const here = await bench({ policy: { rules: [{ name: "ask", callers: ["birth"], action: "hold" }] } });
  const { chain } = await birth(here.vendor);
  await enrol(here, { chain });
  const id = await onlyId(here.register);
  const corporate = await authority("Corporate");
  const wrong = await make({
    publicKey: (await makeKeyPair()).publicKey,
    issuer: corporate.certificate,
    issuerKey: corporate.key,
  });
  await expect(approveHeld(here.register, id, { now: now(), certificates: [wrong] })).rejects.toMatchObject({
    code: "usage/est-request",
  });
  const right = await make({ publicKey: keys.publicKey, issuer: corporate.certificate, issuerKey: corporate.key });
  await approveHeld(here.register, id, { now: now(), certificates: [right] });
  expect(issued(await enrol(here, { chain })).facts.sha256).toBe(right.facts.sha256);
});

test("no subject or name goes to two devices; a replacement takes them over, and the old certificate is revoked", async () => {
  const rules = [
    {
      name: "named",
      callers: ["birth" as const],
      action: "issue" as const,
      takeNames: "request" as const,
      takeSubject: "request" as const,
    },
  ];
  const here = await bench({ policy: { rules } });
  const [old, fresh] = await Promise.all([birth(here.vendor, "0001"), birth(here.vendor, "0002")]);
  const line = { commonName: "line 1 pump" };
  const first = issued(await enrol(here, { chain: old.chain, body: octets(await csr(line, { ip: ["192.0.2.7"] })) }));
  const same = octets(await csr({ commonName: "x" }, { ip: ["192.0.2.7"] }));
  expect(await enrol(here, { chain: fresh.chain, body: same })).toMatchObject({
    status: 403,
    body: expect.stringContaining("belongs to 'Acme/0001'"),
  });
  expect(await enrol(here, { chain: fresh.chain, body: octets(await csr(line)) })).toMatchObject({ status: 403 });
  here.policy = { rules, replacements: { "Acme/0002": "Acme/0001" } };
  const taken = issued(await enrol(here, { chain: fresh.chain, body: octets(await csr({ commonName: "x" })) }));
  expect(taken.facts).toMatchObject({ san: first.facts.san, subject: first.facts.subject });
  const rows = await here.ca.list();
  expect(rows.find(({ serial }) => serial === first.facts.serialHex)).toMatchObject({
    status: "revoked",
    revoked: { reason: "superseded" },
  });
  expect((await openRegister(join(here.folder, "est"), { now })).enrolled()).toMatchObject([{ identity: "Acme/0002" }]);
  // Its renewal is known by its serial number, though its subject no longer says who it is.
  const renewal = await enrol(here, {
    chain: [taken, here.ca.issuing],
    path: "/.well-known/est/simplereenroll",
    body: octets(await csr(line)),
  });
  expect(issued(renewal).facts.san.ip).toEqual(["192.0.2.7"]);
  expect(here.register.enrolled()).toMatchObject([{ identity: "Acme/0002" }]);
});

test("a registrar enrols others, in its own session", async () => {
  const here = await bench({
    linking: "required",
    policy: { rules: [{ name: "ra", callers: ["registrar"], action: "issue", takeNames: "request" }] },
  });
  const ra = await here.ca.issue({
    profile: "tool",
    registrar: true,
    publicKey: keys.publicKey,
    subject: { commonName: "RA" },
  });
  for (const name of ["a", "b"])
    expect(
      issued(await enrol(here, { chain: ra.chain, body: octets(await csr({ commonName: name })) })).facts.subject,
    ).toBe(`CN=${name}`);
  const again = await enrol(here, {
    chain: ra.chain,
    path: "/.well-known/est/simplereenroll",
    body: octets(await csr({ commonName: "a" })),
  });
  expect(again.status).toBe(200);
});

const failing = (failure: Error): EstAuthority => ({
  caCertificates: async () => await Promise.reject(failure),
  issue: async () => await Promise.reject(failure),
  isRevoked: async () => await Promise.resolve(false),
  supersede: async () => await Promise.resolve(),
});

test.each([
  { name: "the one above refuses", error: new PeerError("est/http", "secret path"), status: 502 },
  { name: "the disk is full", error: new StateError("state/write", "/secret/path"), status: 503 },
  {
    name: "the authority has expired",
    error: new TrustError("trust/expired", "the issuing authority has expired"),
    status: 500,
  },
  { name: "a fault of ours", error: new RangeError("secret path"), status: 500 },
])("the authority fails: $name", async ({ error, status }) => {
  const here = await bench({
    authority: (ca) => ({ ...failing(error), caCertificates: localAuthority(ca).caCertificates }),
  });
  const { chain } = await birth(here.vendor);
  const answer = await enrol(here, { chain });
  expect(answer.status).toBe(status);
  expect(bodyText(answer)).not.toContain("secret");
  expect(here.events.at(-1)).toMatchObject({ outcome: "failed", error });
  const gone = await bench({ authority: () => failing(error) });
  expect(await enrol(gone, { chain: (await birth(gone.vendor)).chain })).toMatchObject({ status });
  expect(await gone.service.handle(request({ method: "GET", path: "/.well-known/est/cacerts" }))).toMatchObject({
    status,
  });
});

test("an authority above that asks for patience is passed on", async () => {
  const here = await bench({
    authority: (ca) => ({
      ...localAuthority(ca),
      issue: () => Promise.resolve({ status: "pending", retryAfterS: 300 }),
    }),
  });
  const { chain } = await birth(here.vendor);
  expect(await enrol(here, { chain })).toMatchObject({ status: 202, headers: { "retry-after": "300" } });
});

test("what is no request, is too weak or has an impossible subject is the client's fault", async () => {
  const policy = {
    rules: [{ name: "r", callers: ["birth" as const], action: "issue" as const, takeSubject: "request" as const }],
  };
  const here = await bench({ policy });
  const { chain } = await birth(here.vendor);
  const good = (await createCsr({ subject: pump, privateKey: keys.privateKey })).der;
  const bad = Uint8Array.from(good);
  bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
  for (const body of [
    octets(""),
    octets("not a request"),
    octets(writeBody(bad)),
    bad,
    octets(writeBody(plant.ca.root.der)),
  ])
    expect(await enrol(here, { chain, body })).toMatchObject({ status: 400 });
});

test("the authority's certificates of a change of root are served", async () => {
  const next = await authority("Plant Root CA");
  const here = await bench({ authority: (ca) => localAuthority(ca, { rollover: [next.certificate] }) });
  const answer = await here.service.handle(request({ method: "GET", path: "/.well-known/est/cacerts" }));
  expect(parseCertificates(readBody(octets(bodyText(answer))).der)).toHaveLength(3);
});

test("more requests than may wait are turned away until some are decided or forgotten", async () => {
  const here = await bench({ policy: { rules: [{ name: "ask", callers: ["birth"], action: "hold" }] } });
  const { chain } = await birth(here.vendor);
  await enrol(here, { chain });
  const [waiting] = await here.register.list();
  if (waiting === undefined) throw new RangeError("nothing waits");
  const old = new Date(noon.getTime() - 31 * day).toISOString();
  await here.register.hold({ ...waiting, identity: "old", askedAt: old });
  await here.register.hold({ ...waiting, identity: "new" });
  expect((await here.register.list()).map(({ identity }) => identity)).toEqual([waiting.identity, "new"]);
  // Those that were decided do not wait.
  const folder = join(here.folder, "est", "held");
  await here.register.hold({ ...waiting, identity: "decided", state: "issued" });
  const fill = (identity: string): void => {
    const [name = ""] = readdirSync(folder).filter((one) => readFileSync(join(folder, one), "utf8").includes(identity));
    for (let n = 0; n < maxHeld; n++) copyFileSync(join(folder, name), join(folder, n.toString(16).padStart(16, "0")));
  };
  fill('"decided"');
  await here.register.hold({ ...waiting, identity: "newer" });
  fill('"newer"');
  await expect(here.register.hold({ ...waiting, identity: "one more" })).rejects.toMatchObject({ code: "usage/est" });
  await here.register.hold({ ...waiting, identity: "new", state: "approved" });
  const full: typeof here.register = {
    ...here.register,
    hold: async () => await Promise.reject(new UsageError("usage/est", "more than 1000 requests wait already")),
  };
  const crowded = await bench({
    register: full,
    policy: { rules: [{ name: "ask", callers: ["birth"], action: "hold" }] },
  });
  expect(await enrol(crowded, { chain: (await birth(crowded.vendor, "0009")).chain })).toMatchObject({
    status: 503,
    headers: { "retry-after": "30" },
  });
});

test("a key that waited is made when a person lets it through, and again only after another word", async () => {
  const { privateKey, publicKey } = await makeKeyPair();
  const signer = await plant.ca.issue({ profile: "tool", publicKey, subject: { commonName: "signer" } });
  const keyDelivery = { signer: { certificate: signer.certificate, key: privateKey }, plain: false };
  const here = await bench({ keyDelivery, policy: { rules: [{ name: "ask", callers: ["birth"], action: "hold" }] } });
  const { chain } = await birth(here.vendor);
  const path = "/.well-known/est/serverkeygen";
  expect(await enrol(here, { chain, path })).toMatchObject({
    status: 400,
    body: expect.stringContaining("encrypted only"),
  });
  const id = Buffer.from(chain[0]?.constraints.subjectKeyId ?? "", "hex");
  const body = octets(
    writeBody(
      (await createCsr({ subject: pump, privateKey: keys.privateKey, decryptKey: { kind: "asymmetric", id } })).der,
    ),
  );
  expect((await enrol(here, { chain, path, body })).status).toBe(202);
  await approveHeld(here.register, await onlyId(here.register), { now: now() });
  expect(await enrol(here, { chain, path, body })).toMatchObject({
    status: 200,
    headers: { "content-type": expect.stringContaining("multipart/mixed"), "cache-control": "no-store" },
  });
  expect((await enrol(here, { chain, path, body })).status).toBe(202);
  const symmetric = octets(
    writeBody(
      (await createCsr({ subject: pump, privateKey: keys.privateKey, decryptKey: { kind: "symmetric", id } })).der,
    ),
  );
  expect((await enrol(here, { chain, path, body: symmetric })).status).toBe(400);
});

test("Digest over the service: a wrong path, an unknown user, a hash that is not offered", async () => {
  const record = await makePasswordRecord({ username: "ann", password: "correct horse" }, "est");
  const users = (name: string) => Promise.resolve(name === "ann" ? record : undefined);
  const here = await bench({ callers: { users, passwordAlone: true } });
  for (const header of [
    'Digest username="bob", algorithm=SHA-256, qop=auth',
    'Digest username="ann", algorithm=SHA-256, qop=auth, uri="/other"',
    'Digest username="ann", algorithm=MD5, qop=auth',
    'Digest username="ann", algorithm=SHA-256, qop="auth-int"',
  ])
    expect((await enrol(here, { chain: [], headers: { authorization: header } })).status).toBe(401);
});

test("what a request wishes for beyond a rule does not get into the certificate", async () => {
  const here = await bench();
  const { chain } = await birth(here.vendor);
  const wishes = [
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=keyCertSign,cRLSign",
    "extendedKeyUsage=codeSigning,1.3.6.1.5.5.7.3.28",
  ];
  const { privateKey } = await makeKeyPair();
  const key = join(here.folder, "greedy.key");
  await writeKeyFile(key, privateKey);
  const der = mustOpenssl([
    "req",
    "-new",
    "-key",
    key,
    "-subj",
    "/CN=root",
    "-outform",
    "DER",
    ...wishes.flatMap((wish) => ["-addext", wish]),
  ]);
  const certificate = issued(await enrol(here, { chain, body: octets(writeBody(der)) }));
  expect(certificate.facts).toMatchObject({ isCa: false, extendedKeyUsage: [usageIds.server, usageIds.client] });
  expect(certificate.facts.subject).toContain("00C0FFEE");
  expect(certificate.constraints.keyUsage).toBe(keyUsageFlags.digitalSignature);
});

test("who is not what its certificate says gets nothing, however good the certificate is", async () => {
  const asked: string[] = [];
  const watching = await bench({
    vouch: ({ address, caller }) => {
      asked.push(`${address} ${caller.kind}`);
      return Promise.resolve(asked.length === 1 ? "the device says that it is another one" : undefined);
    },
  });
  const { chain } = await birth(watching.vendor);
  const refused = await enrol(watching, { chain });
  expect([refused.status, bodyText(refused)]).toEqual([403, "the device says that it is another one\n"]);
  expect(watching.register.enrolled()).toEqual([]);
  expect(watching.events.at(-1)).toMatchObject({ outcome: "refused", identity: "Acme/00C0FFEE" });
  issued(await enrol(watching, { chain }));
  expect(asked).toEqual(["127.37.0.9 birth", "127.37.0.9 birth"]);
});

test("a device whose certificate was revoked comes back with its birth certificate only if a person lets it", async () => {
  const back = await bench();
  const { chain } = await birth(back.vendor);
  const first = issued(await enrol(back, { chain }));
  await back.ca.revoke(first.facts.serialHex, "keyCompromise");
  const again = { chain, body: octets(await csr(pump, {}, await makeKeyPair())) };
  expect((await enrol(back, again)).status).toBe(202);
  const [held] = await back.register.list();
  expect(held).toMatchObject({ state: "waiting", rule: "birth; its last certificate was revoked" });
  await approveHeld(back.register, held?.id ?? "", { now: now() });
  const second = issued(await enrol(back, again));
  expect(second.facts.subject).toBe(first.facts.subject);
  // Revoked again, the word that was given does not hold any more, for the same key either.
  await back.ca.revoke(second.facts.serialHex, "keyCompromise");
  expect((await enrol(back, again)).status).toBe(202);
});
