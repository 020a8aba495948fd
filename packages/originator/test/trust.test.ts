import { makeKeyPair, selfSigned, type Certificate } from "@cipsec/pki";
import type { TlsPeer } from "@cipsec/transport";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chooseScheme, connect, originatorTrust, type AcceptedPeer, type SecurityOptions } from "../src/index.ts";
import { net } from "./addresses.ts";
import { makePlant, startDevice, type Plant } from "./real-target.ts";
import { answered, device, fakeDevice } from "./fake-device.ts";
import { reply } from "./identity-reply.ts";
import { openUdp } from "@cipsec/transport";
import { join } from "node:path";

let plant: Plant;
let good: Certificate;

beforeAll(async () => {
  plant = await makePlant();
  good = await issue({ ip: ["10.0.0.7"], dns: ["plc-7.line"] });
});
afterAll(() => plant[Symbol.asyncDispose]());

async function issue(
  san: { ip?: string[]; dns?: string[] },
  profile: "device" | "tool" = "device",
): Promise<Certificate> {
  const { publicKey } = await makeKeyPair();
  return (await plant.ca.issue({ profile, publicKey, san, subject: { commonName: "plc-7" } })).certificate;
}

function judge(certificate: Certificate, options: Partial<SecurityOptions> = {}, host = "10.0.0.7") {
  const trust = originatorTrust({ anchors: [plant.ca.root, plant.ca.issuing], ...options });
  const peer: TlsPeer = { chain: [certificate.der], role: "server", host, remote: { address: "10.0.0.7", port: 2221 } };
  const verdict = trust.policy.verify!(peer);
  return { code: verdict.ok ? "ok" : verdict.error.code, facts: trust.facts() };
}

const later = (days: number) => ({
  now: () => 0,
  wallNow: () => Date.now() + days * 86_400_000,
  after: () => () => undefined,
});

describe("a device's certificate", () => {
  test("is good for its address and for its name", () => {
    expect(judge(good).code).toBe("ok");
    expect(judge(good, {}, "plc-7.line").code).toBe("ok");
    expect(judge(good).facts).toMatchObject({ kind: "verified", checked: { name: true, expiration: true } });
  });

  test("for another host, is refused unless told", () => {
    expect(judge(good, {}, "10.0.0.8").code).toBe("trust/name");
    expect(judge(good, { checkName: false }, "10.0.0.8").code).toBe("ok");
    expect(judge(good, { checkName: "plc-7.line" }, "10.0.0.8").code).toBe("ok");
  });

  test("expired or not yet valid, is refused unless told", () => {
    expect(judge(good, { clock: later(10_000) }).code).toBe("trust/expired");
    expect(judge(good, { clock: later(-10_000) }).code).toBe("trust/not-yet-valid");
    expect(judge(good, { clock: later(10_000), checkExpiration: false }).code).toBe("ok");
  });

  test("revoked, is refused", async () => {
    const bad = await issue({ ip: ["10.0.0.7"] });
    await plant.ca.revoke(bad.facts.serialHex);
    const crls = [await plant.ca.crl(), await plant.ca.rootCrl()];
    expect(judge(bad, { crls }).code).toBe("trust/revoked");
    expect(judge(good, { crls }).code).toBe("ok");
    expect(judge(good, { revocation: { missing: "refuse" } }).code).toBe("trust/crl-missing");
  });

  test("of a tool, of a stranger, or not among the pinned, is refused", async () => {
    await using other = await makePlant();
    expect(judge(await issue({ ip: ["10.0.0.7"] }, "tool")).code).toBe("trust/usage");
    expect(judge(good, { anchors: [other.ca.root] }).code).toBe("trust/unknown-authority");
    expect(judge(good, { pinned: ["00".repeat(32)] }).code).toBe("trust/not-pinned");
    expect(judge(good, { pinned: [good.facts.sha256] }).code).toBe("ok");
  });

  test("that is none, is refused and not thrown", () => {
    const { policy } = originatorTrust({ acceptAny: true });
    const verdict = policy.verify!({
      chain: [new Uint8Array(40)],
      role: "server",
      remote: { address: "10.0.0.7", port: 1 },
    });
    expect(verdict).toMatchObject({ ok: false, error: { code: "trust/refused" } });
  });
});

describe("accept any", () => {
  test("is announced with what would have been the refusal, and with the maker's root that vouches", async () => {
    const heard: AcceptedPeer[] = [];
    await using maker = await makePlant();
    const { publicKey } = await makeKeyPair();
    const factory = await maker.ca.issue({ profile: "device", publicKey, subject: { commonName: "SN 1" } });
    const options = { acceptAny: true, announce: (peer: AcceptedPeer) => heard.push(peer) };
    const { facts } = judge(factory.certificate, { ...options, vendorAnchors: [maker.ca.issuing] });
    expect(facts).toMatchObject({
      kind: "accepted-any",
      accepted: { vouchedBy: expect.stringContaining("test plant") },
    });
    judge(factory.certificate, options);
    expect(heard).toMatchObject([{ refusal: "trust/unknown-authority" }, { sha256: factory.certificate.facts.sha256 }]);
    expect(heard[1]).not.toHaveProperty("vouchedBy");
  });

  test("does not speak of what is trusted anyway", () => {
    expect(judge(good, { acceptAny: true, announce: () => expect.unreachable() }).facts).toMatchObject({
      kind: "verified",
    });
  });

  test("self-signed certificates are trusted only when listed", async () => {
    const { privateKey } = await makeKeyPair();
    const own = await selfSigned({
      subject: { commonName: "x" },
      san: { ip: ["10.0.0.7"] },
      privateKey,
      now: new Date(),
    });
    expect(judge(own).code).toBe("trust/self-signed");
    expect(judge(own, { anchors: [own] }).code).toBe("ok");
  });
});

test("without anything to trust by, nothing is tried", async () => {
  expect(() => originatorTrust({})).toThrow(expect.objectContaining({ code: "usage/argument" }));
  await expect(connect({ scheme: "eips", host: `${net}.63` })).rejects.toMatchObject({ code: "usage/argument" });
  await expect(connect({ scheme: "eipd", host: `${net}.63` })).rejects.toMatchObject({ code: "usage/argument" });
});

test("suites: all that encrypt by default, pre-shared key suites only with a key", () => {
  const { suites } = originatorTrust({ anchors: [good] }).policy;
  expect(suites).toEqual(expect.arrayContaining([0x1301, 0xc02b, 0xc023]));
  expect(suites).not.toEqual(expect.arrayContaining([0xc006]));
  expect(suites).not.toEqual(expect.arrayContaining([0xc037]));
  const key = { identity: Uint8Array.of(65), key: new Uint8Array(16) };
  expect(originatorTrust({ psk: key }).policy.suites).toEqual(expect.arrayContaining([0xc037]));
  expect(originatorTrust({ psk: key }).policy.suites).not.toEqual(expect.arrayContaining([0xc02b]));
});

describe("which channel", () => {
  test("secure where the device offers it, plain where not, and never plain where secure is demanded", async () => {
    await using _ = await startDevice({ address: `${net}.64`, stateDir: join(plant.folder, "secure") });
    await using __ = await startDevice({
      address: `${net}.65`,
      stateDir: join(plant.folder, "plain"),
      security: null,
    });
    expect(await chooseScheme({ host: `${net}.64` })).toBe("eips");
    expect(await chooseScheme({ host: `${net}.65` })).toBe("eip");
    expect(await chooseScheme({ host: `${net}.65` }, { requireSecure: true })).toBe("eips");
    expect(await chooseScheme({ host: `${net}.65`, port: 2221 })).toBe("eips");
    expect(await chooseScheme({ host: `${net}.64`, port: 44818 })).toBe("eip");
    await expect(
      connect({ host: `${net}.65` }, { requireSecure: true, security: plant.security }),
    ).rejects.toMatchObject({ code: "transport/refused" });
    await expect(connect({ scheme: "eip", host: `${net}.64` }, { requireSecure: true })).rejects.toMatchObject({
      code: "usage/argument",
    });
    await expect(connect({ host: `${net}.64` }, { security: plant.security })).rejects.toMatchObject({
      code: "trust/self-signed",
    });
  });

  test("a device that says 2221 is open where it is not, is not talked to in plain", async () => {
    await using liar = await openUdp({
      address: `${net}.66`,
      port: 44818,
      receive: (bytes, remote) => liar.send(reply(bytes, 0x0b), remote),
    });
    await expect(connect({ host: `${net}.66` })).rejects.toMatchObject({ code: "transport/unreachable" });
  });

  test("a device that hangs up in the handshake, or speaks no TLS there", async () => {
    await using fake = await fakeDevice(`${net}.67`, () => "hang-up");
    const target = { scheme: "eips", host: `${net}.67`, port: fake.port } as const;
    await expect(connect(target, { security: { acceptAny: true }, connectTimeoutMs: 700 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(tls\/handshake|transport\/timeout)$/),
    });
    await using plain = await device(`${net}.67`, (_, f) => [answered(f, {})]);
    await expect(
      connect({ ...target, port: plain.port }, { security: { acceptAny: true }, connectTimeoutMs: 700 }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^(tls\/handshake|transport\/timeout)$/) });
  });
});
