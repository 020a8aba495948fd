import { createSecretKey, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { bootstrapEst } from "../src/est/client.ts";
import { makePasswordRecord } from "../src/est/auth.ts";
import { localAuthority } from "../src/est/authority.ts";
import { approveHeld } from "../src/est/register.ts";
import { untilIssued } from "../src/est/retry.ts";
import { createCsr } from "../src/csr.ts";
import { bench, birth, builder, client, now, pump, serve } from "./est-support.ts";
import { authority, makeKeyPair } from "./support.ts";

const plant = await bench({ linking: "required" });
const server = await serve(plant, "127.37.1.1");
const trust = { explicit: [plant.ca.root, plant.ca.issuing] };
const device = await birth(plant.vendor);

test("a device from the box finds the authorities by fingerprint, enrols and renews", async () => {
  const url = `https://127.37.1.1:${server.port}`;
  const found = await bootstrapEst({ url, now, randomBytes }, plant.ca.root.facts.sha256.toUpperCase());
  expect(found.anchors.map(({ facts }) => facts.sha256)).toEqual([plant.ca.root.facts.sha256]);
  const identity = { certificate: device };
  const first = client(server, { trust: { explicit: found.anchors }, identity });
  const wishes = await first.csrattrs();
  expect(wishes).toMatchObject({ wantsChallenge: true });
  const { build, keys } = await builder(pump, { ip: ["192.0.2.7"] });
  // The authority in between is known from cacerts.
  const certs = await first.cacerts();
  const whole = client(server, { trust: { explicit: [...certs.anchors, ...certs.intermediates] }, identity });
  const issued = await whole.enroll(build);
  if (issued.status !== "issued") throw new RangeError("pending");
  expect(issued.chain).toHaveLength(2);
  expect(issued.certificate.facts).toMatchObject({
    san: { ip: ["192.0.2.7"] },
    issuer: plant.ca.issuing.facts.subject,
  });
  expect(issued.certificate.publicKey.equals(keys.publicKey)).toBe(true);

  const current = { certificate: { chain: issued.chain, key: keys.privateKey } };
  const renewal = await builder(pump, { ip: ["192.0.2.7"] });
  const renewed = await client(server, { trust, identity: current }).reenroll(renewal.build);
  expect(renewed).toMatchObject({ status: "issued" });
  const changed = await builder(pump, { ip: ["192.0.2.8"] });
  await expect(client(server, { trust, identity: current }).reenroll(changed.build)).rejects.toMatchObject({
    code: "est/http",
    facts: { status: 403 },
  });
});

test.each(["TLSv1.2", "TLSv1.3"] as const)(
  "a request is linked to its session of %s, and to no other",
  async (version) => {
    const some = client(server, { trust, identity: { certificate: device }, maxTlsVersion: version });
    const seen: (string | undefined)[] = [];
    const { build } = await builder();
    const linked = await some.enroll((hints) => {
      seen.push(hints.challengePassword);
      return build(hints);
    });
    expect(linked.status).toBe("issued");
    expect(seen[0]).toHaveLength(version === "TLSv1.2" ? 16 : 44);
    const stolen = seen[0];
    await expect(some.enroll(() => build({ challengePassword: stolen }))).rejects.toMatchObject({
      facts: { status: 403 },
    });
    await expect(some.enroll(() => build({ challengePassword: undefined }))).rejects.toMatchObject({
      message: expect.stringContaining("linked to the TLS session"),
    });
  },
);

test("a server that the trust anchors do not lead to gets nothing", async () => {
  const other = await authority("Other");
  const stranger = client(server, { trust: { explicit: [other.certificate] }, identity: { certificate: device } });
  await expect(stranger.cacerts()).rejects.toMatchObject({ code: "trust/unknown-authority" });
  await expect(client(server, { trust: {} }).cacerts()).rejects.toMatchObject({ code: "usage/est" });
  const misnamed = client({ host: "localhost", port: server.port }, { trust, address: "127.37.1.1" });
  await expect(misnamed.cacerts()).rejects.toMatchObject({ code: "trust/name" });
  await expect(
    bootstrapEst({ url: `https://127.37.1.1:${server.port}`, now, randomBytes }, "00".repeat(32)),
  ).rejects.toMatchObject({ code: "trust/not-pinned" });
  const first = await bootstrapEst({ url: `127.37.1.1:${server.port}`, now, randomBytes }, undefined);
  expect(first.certificates).toHaveLength(2);
});

test("an implicit anchor has to see the name; a registrar named by an explicit one may have another", async () => {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await plant.ca.issue({
    profile: "tool",
    server: true,
    registrar: true,
    publicKey,
    subject: { commonName: "registrar" },
  });
  const registrar = await serve(plant, "127.37.1.2", { chain, key: privateKey });
  await expect(client(registrar, { trust }).cacerts()).resolves.toMatchObject({ anchors: [plant.ca.root] });
  const implicit = { implicit: [plant.ca.root] };
  await expect(client(registrar, { trust: implicit }).cacerts()).rejects.toMatchObject({ code: "trust/name" });
  await expect(client(server, { trust: implicit }).cacerts()).resolves.toMatchObject({ anchors: [plant.ca.root] });
});

test.each(["TLSv1.2", "TLSv1.3"] as const)(
  "name and password over %s: Digest, MD5 Digest, Basic",
  async (maxTlsVersion) => {
    const record = await makePasswordRecord({ username: "pump", password: "correct horse" }, "est", ["SHA-256", "MD5"]);
    const users = (name: string) => Promise.resolve(name === "pump" ? record : undefined);
    const policy = { rules: [{ name: "word", callers: ["password" as const], action: "issue" as const }] };
    for (const scheme of ["SHA-256", "MD5", "basic"] as const) {
      const other = await bench({
        policy,
        linking: "required",
        callers: { users, passwordAlone: true, schemes: [scheme] },
      });
      const at = await serve(other, "127.37.1.3");
      const by = (password: string, more: object = {}) =>
        client(at, {
          trust: { explicit: [other.ca.root, other.ca.issuing] },
          identity: { password: { username: "pump", password } },
          maxTlsVersion,
          ...more,
        });
      const { build } = await builder();
      expect((await by("correct horse").enroll(build)).status).toBe("issued");
      await expect(by("wrong horse").enroll(build)).rejects.toMatchObject({ code: "est/http", facts: { status: 401 } });
      await expect(by("", { identity: {} }).enroll(build)).rejects.toMatchObject({ facts: { status: 401 } });
      if (scheme === "basic")
        await expect(by("correct horse", { allowBasic: false }).enroll(build)).rejects.toMatchObject({
          facts: { status: 401 },
        });
    }
  },
);

test("202, Retry-After, a person's word, and then the certificate", async () => {
  const held = await bench({ policy: { rules: [{ name: "all", callers: ["birth"], action: "hold" }] } });
  const at = await serve(held, "127.37.1.4");
  const some = client(at, {
    trust: { explicit: [held.ca.root, held.ca.issuing] },
    identity: { certificate: await birth(held.vendor) },
  });
  const { build } = await builder();
  const waits: number[] = [];
  const issued = await untilIssued(() => some.enroll(build), {
    random: () => 0.5,
    pause: async (ms) => {
      waits.push(ms);
      const [waiting] = await held.register.list();
      await approveHeld(held.register, waiting?.id ?? "", { now: now() });
    },
  });
  expect(waits).toEqual([63_000]);
  expect(issued.certificate.facts.subject).toContain("00C0FFEE");
});

test("a key made by the server comes plain, sealed for the certificate, or sealed by a shared key", async () => {
  const shared = createSecretKey(randomBytes(32));
  const { privateKey, publicKey } = await makeKeyPair();
  const made = await bench();
  const { certificate } = await made.ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject: { commonName: "est" },
  });
  const keyDelivery = {
    signer: { certificate, key: privateKey },
    sharedKey: (id: Uint8Array) => (Buffer.from(id).toString() === "k1" ? shared : undefined),
  };
  const keyed = await bench({ authority: () => localAuthority(made.ca), keyDelivery });
  const at = await serve({ ca: made.ca, service: keyed.service }, "127.37.1.5");
  for (const kind of ["ecdsa-p256", "rsa-2048"] as const) {
    const identity = await birth(keyed.vendor, `00C0FFE${kind.length}`, kind);
    const some = client(at, {
      trust: { explicit: [made.ca.root, made.ca.issuing] },
      identity: { certificate: identity },
    });
    const throwaway = await makeKeyPair();
    const skid = Buffer.from(identity.chain[0]?.constraints.subjectKeyId ?? "", "hex");
    const ask = (decryptKey?: Parameters<typeof createCsr>[0]["decryptKey"]) => () =>
      createCsr({
        subject: pump,
        privateKey: throwaway.privateKey,
        ...(decryptKey === undefined ? {} : { decryptKey }),
      });
    const plain = await some.serverkeygen(ask());
    const forMe = await some.serverkeygen(ask({ kind: "asymmetric", id: skid }), identity.key);
    const byShared = await some.serverkeygen(ask({ kind: "symmetric", id: Buffer.from("k1") }), shared);
    for (const answer of [plain, forMe, byShared]) {
      if (answer.status !== "issued") throw new RangeError("pending");
      expect(answer.certificate.x509.checkPrivateKey(answer.privateKey)).toBe(true);
      expect(answer.certificate.publicKey.equals(throwaway.publicKey)).toBe(false);
    }
    await expect(some.serverkeygen(ask(), shared)).rejects.toMatchObject({ code: "trust/key-mismatch" });
    await expect(some.serverkeygen(ask({ kind: "symmetric", id: Buffer.from("k1") }))).rejects.toMatchObject({
      code: "est/answer",
    });
    await expect(some.serverkeygen(ask({ kind: "symmetric", id: Buffer.from("k2") }), shared)).rejects.toMatchObject({
      code: "est/http",
      facts: { status: 400 },
    });
    await expect(some.serverkeygen(ask({ kind: "asymmetric", id: Buffer.from("xx") }), shared)).rejects.toMatchObject({
      facts: { status: 400 },
    });
  }
});
