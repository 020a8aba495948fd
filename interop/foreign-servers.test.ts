import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { connect, openClass3, parseTarget, type SecurityOptions, type Session } from "@cipsec/originator";
import { Identity } from "@cipsec/objects";
import { makeKeyPair, type Crl } from "@cipsec/pki";
import { isStackError, type StackErrorShape } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startOpensslServer, type OpensslServerWish } from "./kit/openssl-server.ts";
import { makePlant, makeStrangers, type Caller, type Plant, type Strangers } from "./kit/plant.ts";
import { stop, withPeers } from "./kit/programs.ts";
import { startStunnel } from "./kit/stunnel.ts";
import { suiteText } from "./kit/tls-client.ts";

const prefix = "127.27.3";
const serialNumber = 0x0bad_cafe;

/** A device from before CIP Security, which TLS servers of others stand in front of. */
const plainAddress = `${prefix}.1`;
const plain = { host: plainAddress, port: 44_818 };

let plant: Plant;
let strangers: Strangers;
let stranger: Plant;
let trusted: SecurityOptions;

/** Servers' certificates: the right one, and those that our originator must refuse. */
const addresses = {
  good: `${prefix}.2`,
  unknownAuthority: `${prefix}.3`,
  expired: `${prefix}.4`,
  notYetValid: `${prefix}.5`,
  otherName: `${prefix}.6`,
  clientOnly: `${prefix}.7`,
  selfSigned: `${prefix}.8`,
  revoked: `${prefix}.9`,
} as const;

type Kind = keyof typeof addresses;

beforeAll(async () => {
  plant = await makePlant("servers");
  strangers = await makeStrangers(plant);
  stranger = await makePlant("stranger");
  await plant.device({ address: plainAddress, serialNumber, security: null });
  trusted = { certificate: plant.tool, anchors: plant.anchors };
});

afterAll(async () => await Promise.all([plant[Symbol.asyncDispose](), stranger[Symbol.asyncDispose]()]));

withPeers("our originator against stunnel in front of a plain device", ["stunnel", "openssl"], () => {
  let stunnel: ChildProcessWithoutNullStreams;
  let crls: readonly Crl[];

  beforeAll(async () => {
    const server = (kind: Kind, wish: Parameters<Plant["issue"]>[1] = {}): Promise<Caller> =>
      plant.issue(`server-${kind}`, { server: true, san: { ip: [addresses[kind]] }, ...wish });
    const revoked = await server("revoked");
    await plant.authority.revoke(revoked.chain[0]!.facts.serialHex, "keyCompromise");
    crls = [await plant.authority.crl()];
    const certificates: Readonly<Record<Kind, Pick<Caller, "certFile" | "keyFile">>> = {
      good: await server("good"),
      unknownAuthority: strangers.unknownCa,
      expired: await server("expired", { shiftDays: -20, days: 10 }),
      notYetValid: await server("notYetValid", { shiftDays: 10, days: 10 }),
      otherName: await server("otherName", { san: { ip: ["127.27.3.250"], dns: ["other.example"] } }),
      clientOnly: await server("clientOnly", { server: false }),
      selfSigned: strangers.selfSigned,
      revoked,
    };
    const services = Object.entries(addresses).map(([name, address]) => ({
      name,
      accept: `${address}:2221`,
      connect: `${plainAddress}:44818`,
      certificate: certificates[name as Kind],
      clientAnchors: plant.anchorsFile,
    }));
    stunnel = await startStunnel(plant.folder, services);
  });

  afterAll(async () => await stop(stunnel));

  test("session, UCMM and class 3 go through", async () => {
    await using session = await connect(parseTarget(`eips://${addresses.good}`), { security: { ...trusted, crls } });
    expect(session.facts.security).toMatchObject({ version: "TLSv1.3" });
    expect(await session.object(Identity, 1).get("serialNumber")).toBe(serialNumber);
    await using connection = await openClass3(session);
    expect(await connection.object(Identity, 1).get("productName")).toBe("Interop Device");
  });

  test("over TLS 1.2 too", async () => {
    await using session = await reach(addresses.good, { ...trusted, maxVersion: "TLSv1.2" });
    expect(session.facts.security).toMatchObject({ version: "TLSv1.2" });
    expect(await session.object(Identity, 1).get("serialNumber")).toBe(serialNumber);
  });

  test.each([
    { kind: "unknownAuthority", code: "trust/unknown-authority" },
    { kind: "expired", code: "trust/expired" },
    { kind: "notYetValid", code: "trust/not-yet-valid" },
    { kind: "otherName", code: "trust/name" },
    { kind: "clientOnly", code: "trust/usage" },
    { kind: "selfSigned", code: "trust/self-signed" },
    { kind: "revoked", code: "trust/revoked" },
  ] as const)("we refuse its certificate when it is $kind: $code", async ({ kind, code }) => {
    expect(await refusalOf(reach(addresses[kind], { ...trusted, crls }))).toMatchObject({ code });
  });

  test.each<{ kind: Kind; why: string; wish: Partial<SecurityOptions> }>([
    { kind: "expired", why: "days are not checked", wish: { checkExpiration: false } },
    { kind: "notYetValid", why: "days are not checked", wish: { checkExpiration: false } },
    { kind: "otherName", why: "that name is expected", wish: { checkName: "other.example" } },
    { kind: "otherName", why: "names are not checked", wish: { checkName: false } },
    { kind: "revoked", why: "no revocation list is given", wish: {} },
  ])("$kind is accepted where $why", async ({ kind, wish }) => {
    await using session = await reach(addresses[kind], { ...trusted, ...wish });
    expect(await session.object(Identity, 1).get("serialNumber")).toBe(serialNumber);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("it refuses us without a certificate, %s", async (maxVersion) => {
    const error = await refusalOf(reach(addresses.good, { anchors: plant.anchors, maxVersion }));
    const wanted = maxVersion === "TLSv1.2" ? "handshake_failure" : "certificate_required";
    expect(error).toMatchObject({ code: "tls/alert", facts: { alert: wanted } });
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)("it refuses the certificate of a stranger, %s", async (maxVersion) => {
    const error = await refusalOf(reach(addresses.good, { ...trusted, certificate: stranger.tool, maxVersion }));
    expect(error).toMatchObject({ code: "tls/alert", facts: { alert: "unknown_ca" } });
  });
});

withPeers("our originator against openssl s_server in front of a plain device", ["openssl"], () => {
  const address = `${prefix}.20`;
  const pskHex = "a5".repeat(32);
  const psk = { identity: Buffer.from("tool"), key: Buffer.from(pskHex, "hex") };
  let ecdsa: Caller;
  let rsa: Caller;

  beforeAll(async () => {
    const san = { ip: [address] };
    ecdsa = await plant.issue("s-server-ecdsa", { server: true, san });
    rsa = await plant.issue("s-server-rsa", { server: true, san, pair: await makeKeyPair("rsa-2048") });
  });

  const serve = (wish: Partial<OpensslServerWish>): AsyncDisposable =>
    startOpensslServer({
      address,
      plain,
      suite: 0xc02b,
      ...(wish.pskHex === undefined ? { certificate: ecdsa, clientAnchors: plant.anchorsFile } : {}),
      ...wish,
    });

  const cases = (ids: readonly number[]) => ids.map((id) => ({ id, name: suiteText(id) }));

  test.each(cases([0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc0ac, 0xc0ae, 0xc023, 0xc024, 0xc006]))(
    "$name: session, read, class 3",
    async ({ id }) => {
      await using _ = serve({ suite: id });
      await readAll(address, { ...trusted, suites: [id] }, id);
    },
  );

  test.each(cases([0x003c, 0x003d, 0x003b]))("$name with an RSA key: session, read, class 3", async ({ id }) => {
    await using _ = serve({ suite: id, certificate: rsa });
    await readAll(address, { ...trusted, suites: [id] }, id);
  });

  test.each(cases([0xccac, 0xc037, 0xc03a]))("$name with the right key: session, read, class 3", async ({ id }) => {
    await using _ = serve({ suite: id, pskHex });
    await readAll(address, { psk, suites: [id] }, id);
  });

  test("a suite that only it allows: handshake_failure", async () => {
    await using _ = serve({ suite: 0xc006 });
    const error = await refusalOf(reach(address, { ...trusted, suites: [0xc02b, 0xc02c] }));
    expect(error).toMatchObject({ code: "tls/alert", facts: { alert: "handshake_failure" } });
  });

  test("a wrong pre-shared key: bad_record_mac", async () => {
    await using _ = serve({ suite: 0xc037, pskHex });
    const wrong = { ...psk, key: Buffer.alloc(32, 1) };
    const error = await refusalOf(reach(address, { psk: wrong, suites: [0xc037] }));
    expect(error).toMatchObject({ code: "tls/alert", facts: { alert: "bad_record_mac" } });
  });

  test("without a certificate: handshake_failure", async () => {
    await using _ = serve({});
    const error = await refusalOf(reach(address, { anchors: plant.anchors, maxVersion: "TLSv1.2" }));
    expect(error).toMatchObject({ code: "tls/alert", facts: { alert: "handshake_failure" } });
  });

  test("with the certificate of a stranger: unknown_ca", async () => {
    await using _ = serve({});
    const error = await refusalOf(reach(address, { ...trusted, certificate: stranger.tool }));
    expect(error).toMatchObject({ code: "tls/alert", facts: { alert: "unknown_ca" } });
  });

  test("its certificate is of an authority that we do not know", async () => {
    await using _ = serve({ certificate: strangers.unknownCa });
    expect(await refusalOf(reach(address, trusted))).toMatchObject({ code: "trust/unknown-authority" });
  });
});

/** Connects; a server that is just starting is waited for. */
async function reach(address: string, security: SecurityOptions): Promise<Session> {
  const until = performance.now() + 5000;
  for (;;) {
    try {
      return await connect(parseTarget(`eips://${address}`), { security, reconnect: false });
    } catch (error) {
      if (!isStackError(error) || error.code !== "transport/refused" || performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function readAll(address: string, security: SecurityOptions, suite: number): Promise<void> {
  await using session = await reach(address, { ...security, maxVersion: suite >>> 8 === 0x13 ? "TLSv1.3" : "TLSv1.2" });
  expect(session.facts.security?.suiteName).toBe(suiteText(suite));
  expect(await session.object(Identity, 1).get("serialNumber")).toBe(serialNumber);
  await using connection = await openClass3(session);
  expect(await connection.object(Identity, 1).get("productName")).toBe("Interop Device");
}

async function refusalOf(attempt: Promise<Session>): Promise<StackErrorShape> {
  const outcome: unknown = await attempt.catch((error: unknown) => error);
  if (isStackError(outcome)) return outcome;
  if (outcome instanceof Error) throw outcome;
  await (await attempt).close();
  throw new Error("it was accepted");
}
