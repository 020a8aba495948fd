import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initCa, makeKeyPair, parseCsr, privateKeyToPem, toPem, type CertificateAuthority } from "@cipsec/pki";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  Scanner,
  assemblyPath,
  commission,
  connect,
  parseTarget,
  reissueCertificate,
  type IoRequest,
  type IssuedPem,
  type SecurityOptions,
} from "../src/index.ts";
import { certificatePlan } from "./real-target.ts";

let folder = "";
let ca: CertificateAuthority;
let security: SecurityOptions;
const serials = new Map<string, string>();
const targets: Target[] = [];

const request: IoRequest = {
  oToT: { rpiMicros: 20_000, size: 4 },
  tToO: { rpiMicros: 20_000, size: 8 },
  timeoutMultiplier: 7,
  path: assemblyPath({ oToT: 150, tToO: 100 }),
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-renewed-"));
  ca = await initCa(join(folder, "ca"), { name: "Renewed", now: () => new Date() });
  security = { anchors: [ca.root, ca.issuing], checkName: false };
  await Promise.all([5, 6].map((last) => device(`127.34.21.${last}`)));
});

afterAll(async () => {
  await Promise.all(targets.map((target) => target.stop()));
  await rm(folder, { recursive: true, force: true });
});

async function own(days = 730): Promise<NonNullable<SecurityOptions["certificate"]>> {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await ca.issue({ profile: "tool", publicKey, days, subject: { commonName: "controller" } });
  return { chain, key: privateKey };
}

/** A device whose certificate from the factory is this plant's. */
async function device(address: string): Promise<void> {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chainPem, certificate } = await ca.issue({ profile: "device", publicKey, subject: { commonName: address } });
  serials.set(address, certificate.facts.serialHex);
  const files = { certificate: join(folder, `${address}.pem`), key: join(folder, `${address}.key`) };
  await writeFile(files.certificate, chainPem);
  await writeFile(files.key, privateKeyToPem(privateKey));
  const identity = { vendorId: 0xffff, productCode: 1, revision: { major: 1, minor: 1 }, serialNumber: 7 };
  const description = readDescription({
    name: address,
    identity: { ...identity, productName: "Renewed" },
    address,
    ports: { eip: null, eipUdp: null },
    security: { defaultCertificate: files },
    assemblies: [
      { instance: 100, kind: "input", size: 8 },
      { instance: 150, kind: "output", size: 4 },
    ],
  });
  targets.push(await startTarget({ description, stateDir: join(folder, address) }));
}

test("a newer list ends the scanner's sessions with a revoked device; the others go on, and new ones are judged by it", async () => {
  const changes: string[] = [];
  await using scanner = new Scanner({
    connect: { security },
    backoff: { refusedMs: 50, lostMs: 50 },
    onState: ({ name, state, reason }) =>
      changes.push([name, state, reason !== undefined && "code" in reason ? String(reason.code) : ""].join(" ").trim()),
  });
  const [bad, good] = ["127.34.21.5", "127.34.21.6"].map((address) =>
    scanner.add({ name: address, target: parseTarget(`eipd://${address}`), request }),
  );
  await expect.poll(() => [bad?.state, good?.state], { timeout: 20_000 }).toEqual(["running", "running"]);
  scanner.renew({ ...security, crls: [await ca.crl()] });
  await using session = await connect(parseTarget("eips://127.34.21.5"), { security });
  expect(session.judge(security)).toEqual({ ok: true });
  await ca.revoke(serials.get("127.34.21.5") ?? "", "keyCompromise");
  const renewed = { ...security, crls: [await ca.crl()] };
  expect(session.judge(renewed)).toMatchObject({ ok: false, error: { code: "trust/revoked" } });
  const before = good?.statistics().total.received ?? 0;
  scanner.renew(renewed);
  await expect
    .poll(() => changes.filter((text) => text === "127.34.21.5 waiting trust/revoked").length, { timeout: 20_000 })
    .toBeGreaterThan(0);
  await expect.poll(() => good?.statistics().total.received, { timeout: 20_000 }).toBeGreaterThan(before + 5);
  expect(good?.statistics()).toMatchObject({ opens: 1, timeouts: 0, total: { lost: 0 } });
}, 60_000);

test("with leave to do so, a scanner goes on over another association: for newer certificates only, and by plan", async () => {
  const changes: string[] = [];
  const asked: string[] = [];
  let mayReopen = false;
  await using scanner = new Scanner({
    connect: { security: { ...security, certificate: await own() } },
    // Due at once by its age; but there is nothing newer to be had.
    reopen: {
      share: 0,
      spreadMs: 1,
      retryMs: 20,
      mayReopen: (name) => {
        asked.push(name);
        return mayReopen;
      },
    },
    onState: ({ name, state, isPlanned }) =>
      changes.push([name, state, isPlanned === true ? "planned" : ""].join(" ").trim()),
  });
  const target = parseTarget("eipd://127.34.21.6");
  const listening: IoRequest = {
    ...request,
    oToT: { rpiMicros: 20_000, size: 0 },
    path: assemblyPath({ oToT: 254, tToO: 100 }),
  };
  const lines = [
    scanner.add({ name: "owner", target, request }),
    scanner.add({ name: "watcher", target, request: listening }),
  ];
  const runs = (): boolean => lines.every((line) => (line.statistics().current?.received ?? 0) > 2);
  await expect.poll(runs, { timeout: 20_000 }).toBe(true);
  await expect.poll(() => new Set(asked).size, { timeout: 20_000 }).toBe(2);
  mayReopen = true;
  await expect.poll(() => asked.length, { timeout: 20_000 }).toBeGreaterThan(8);
  expect(lines.map((line) => line.statistics())).toMatchObject([
    { opens: 1, reopens: 0, timeouts: 0 },
    { opens: 1, reopens: 0, timeouts: 0 },
  ]);
  scanner.renew({ ...security, certificate: await own() });
  await expect.poll(() => lines.every((line) => line.statistics().reopens === 1), { timeout: 20_000 }).toBe(true);
  await expect.poll(runs, { timeout: 20_000 }).toBe(true);
  expect(lines.map((line) => line.statistics())).toMatchObject([
    { opens: 2, reopens: 1, timeouts: 0, refusals: 0 },
    { opens: 2, reopens: 1, timeouts: 0, refusals: 0 },
  ]);
  expect(changes.filter((text) => text.startsWith("owner"))).toEqual([
    "owner connecting",
    "owner opening",
    "owner running",
    "owner opening planned",
    "owner running planned",
  ]);
}, 60_000);

test("a device that has a new certificate gets its I/O over an association that lasts as long as that", async () => {
  const host = "127.34.21.7";
  await device(host);
  const issue = async (csrPem: string): Promise<IssuedPem> => {
    const { pem } = await ca.issue({ profile: "device", csr: parseCsr(csrPem), days: (days += 1) });
    return { certificatePem: pem, caChainPem: toPem(ca.anchors) };
  };
  let days = 100;
  const as: SecurityOptions = { ...security, certificate: await own() };
  await commission({ host }, { plan: { ...certificatePlan, closePlaintext: false }, issue, security: as });
  await using scanner = new Scanner({ connect: { security: as }, reopen: { share: 0, spreadMs: 0, retryMs: 50 } });
  const line = scanner.add({ name: "press", target: parseTarget(`eipd://${host}`), request });
  const runs = (): boolean => (line.statistics().current?.received ?? 0) > 2;
  await expect.poll(runs, { timeout: 20_000 }).toBe(true);
  const shown = (): string =>
    line.facts?.security?.peer.kind === "certificate" ? line.facts.security.peer.sha256 : "";
  const before = shown();
  await using session = await connect(parseTarget(`eips://${host}`), { security: as });
  const [certificate] = await reissueCertificate(session, { issue });
  await expect.poll(() => line.statistics().reopens, { timeout: 20_000 }).toBe(1);
  await expect.poll(runs, { timeout: 20_000 }).toBe(true);
  expect([before === shown(), shown()]).toEqual([false, certificate?.facts.sha256]);
  expect(line.statistics()).toMatchObject({ opens: 2, timeouts: 0, refusals: 0, total: { lost: 0 } });
}, 60_000);

test("a session that dials again does so by the credentials of then", async () => {
  let now: SecurityOptions = security;
  const target = parseTarget("eips://127.34.21.6");
  await using session = await connect(target, { securityNow: () => now });
  expect(session.trust).toMatchObject({ kind: "verified", checked: { revocation: false } });
  now = { ...security, pinned: ["00".repeat(32)] };
  session.drop();
  await session.disconnected;
  await expect(
    session.request({
      service: 0x01,
      path: [
        { kind: "class", value: 1 },
        { kind: "instance", value: 1 },
      ],
      data: new Uint8Array(),
    }),
  ).rejects.toMatchObject({ code: "trust/not-pinned" });
});
