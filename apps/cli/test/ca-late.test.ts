import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect, deliverTrust, parseTarget, reissueCertificate, type Session } from "@cipsec/originator";
import { openCa, parseCsr, retiredRoots, toPem, type CertificateAuthority } from "@cipsec/pki";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readIdentity } from "../src/data-folder.ts";
import { cipsec, document, startDevice, temporaryFolder, type Ran } from "./support.ts";

/* Devices that were off while the root was changed twice: they know the first one alone, whose keys are deleted. */

const net = "127.73.2";
const [whole, halfway, nearly, revoked] = [1, 2, 3, 4].map((last) => `${net}.${last}`) as [
  string,
  string,
  string,
  string,
];
const hosts = [whole, halfway, nearly, revoked];
const nobody = `${net}.9`;
const folder = temporaryFolder();
const data = join(folder.path, "data");
let targets: readonly Target[] = [];

const run = (...words: readonly string[]): Promise<Ran> => cipsec([...words, "--json"], { data });
const rollover = (...words: readonly string[]): Promise<Ran> => run("ca", "rollover", ...words);
const switchOn = async (): Promise<void> => {
  targets = await Promise.all(hosts.map(async (host) => await startDevice(folder.path, host, host)));
};
const switchOff = async (): Promise<void> => {
  await Promise.all(targets.map(async (target) => await target.stop()));
  targets = [];
};

const outcomes = (ran: Ran): unknown => {
  const told = document(ran) as { devices: readonly { ok: boolean; outcome?: string; error?: { code: string } }[] };
  return told.devices.map(({ ok, outcome, error }) => [ok, outcome?.split(" ")[0] ?? error?.code]);
};

const rows = async () =>
  document(await run("ca", "list")) as readonly { serial: string; subject: string; sha256: string; profile: string }[];

beforeAll(async () => {
  await switchOn();
  for (const host of hosts) expect((await run("commission", host, "--insecure-accept-any")).code).toBe(0);
  const { deviceCertificate } = document(await run("posture", revoked)) as { deviceCertificate: { sha256: string } };
  const lost = (await rows()).find(({ sha256 }) => sha256 === deviceCertificate.sha256);
  const none = await rollover("--late", whole);
  expect([none.code, document(none)]).toMatchObject([
    2,
    { error: { message: expect.stringContaining("no root was") } },
  ]);
  expect((await rollover("--late")).code).toBe(2);
  await switchOff();
  for (const _ of ["the first root", "the second root"]) {
    expect((await rollover("--begin")).code).toBe(0);
    const early = await rollover("--late", whole);
    expect([early.code, document(early)]).toMatchObject([2, { error: { fix: expect.stringContaining("--reissue") } }]);
    expect((await rollover("--switch")).code).toBe(0);
    expect(document(await rollover("--withdraw", "--anyway"))).toMatchObject({ phase: "none", other: null });
  }
  // Known to be lost only now: no list of the old authority says so.
  expect((await run("ca", "revoke", lost?.serial ?? "", "--reason", "keyCompromise")).code).toBe(0);
  await switchOn();
}, 120_000);

afterAll(async () => {
  await switchOff();
  folder.remove();
});

/** A session as `--late` has it, for attempts that end on the way. */
async function lateSession(host: string): Promise<{ session: Session; ca: CertificateAuthority }> {
  const options = { now: () => new Date() };
  const ca = await openCa(join(data, "ca"), options);
  const old = (await retiredRoots(ca.folder, options)).at(-1);
  const tool = await readIdentity(join(data, "tool", "certificate.pem"), join(data, "tool", "key.pem"));
  const certificate = { ...tool, chain: [...tool.chain, ...(old?.links ?? [])] };
  const anchors = [...ca.anchors, ...(old === undefined ? [] : [old.root])];
  return { session: await connect(parseTarget(`eips://${host}`), { security: { certificate, anchors } }), ca };
}

async function deliver(host: string): Promise<void> {
  const { session, ca } = await lateSession(host);
  await using _ = session;
  expect(await deliverTrust(session, { add: ca.anchors })).toMatchObject({ outcome: "delivered" });
}

async function reissue(host: string): Promise<void> {
  const { session, ca } = await lateSession(host);
  await using _ = session;
  await reissueCertificate(session, {
    issue: async (csrPem) => {
      const issued = await ca.issue({ profile: "device", csr: parseCsr(csrPem), san: { ip: [host] } });
      return { certificatePem: toPem(issued.certificate), caChainPem: toPem(ca.bundle) };
    },
  });
}

test("a device that missed two changes of root is brought over in one go, and then is as all others", async () => {
  expect((await run("posture", whole)).code).toBe(4);
  const psk = join(folder.path, "psk");
  writeFileSync(psk, "5a".repeat(32));
  const keyed = await rollover("--late", whole, "--psk-identity", "x", "--psk-file", psk);
  expect([keyed.code, document(keyed)]).toMatchObject([
    2,
    { error: { message: expect.stringContaining("certificate") } },
  ]);
  const first = await rollover("--late", whole, nobody);
  expect([first.code, outcomes(first)]).toEqual([
    3,
    [
      [true, "brought-over"],
      [false, "transport/refused"],
    ],
  ]);
  const again = await rollover("--late", whole);
  expect([again.code, outcomes(again)]).toEqual([0, [[true, "already"]]]);
  const { deviceCertificate, trustedAuthorities, crl } = document(await run("posture", whole)) as {
    deviceCertificate: { issuer: string };
    trustedAuthorities: readonly { subject: string; sha256: string }[];
    crl: readonly { issuer: string }[];
  };
  const { root, issuing } = document(await rollover()) as Record<"root" | "issuing", { sha256: string }>;
  expect(deviceCertificate.issuer).toMatch(/Issuing CA 3$/);
  expect(new Set(trustedAuthorities.map(({ sha256 }) => sha256))).toEqual(new Set([root.sha256, issuing.sha256]));
  expect(crl.map(({ issuer }) => issuer)).toContainEqual(expect.stringMatching(/Issuing CA 3$/));
  const shown = await rows();
  expect(shown.filter(({ profile }) => profile === "device")).toHaveLength(hosts.length + 1);
}, 60_000);

test("what was interrupted after any step is taken up there", async () => {
  await deliver(halfway);
  await deliver(nearly);
  await reissue(nearly);
  const before = (await rows()).length;
  const ran = await rollover("--late", halfway, nearly);
  expect([ran.code, outcomes(ran)]).toEqual([
    0,
    [
      [true, "brought-over"],
      [true, "brought-over"],
    ],
  ]);
  expect(await rows()).toHaveLength(before + 1);
  expect((await run("posture", halfway)).code).toBe(0);
  expect((await run("posture", nearly)).code).toBe(0);
}, 60_000);

test("nobody is brought over by a certificate that was revoked, nor by a root that others may have the key of", async () => {
  const bad = await rollover("--late", revoked);
  expect([bad.code, outcomes(bad)]).toEqual([4, [[false, "trust/revoked"]]]);
  const tooLate = await rollover("--withdraw", "--compromised");
  expect([tooLate.code, document(tooLate)]).toMatchObject([
    2,
    { error: { fix: expect.stringContaining("ca revoke") } },
  ]);
  const authorities = (await rows()).filter(({ profile }) => profile === "issuing-ca");
  const taint = async (name: RegExp): Promise<unknown> => {
    const row = authorities.find(({ subject }) => name.test(subject));
    return document(await run("ca", "revoke", row?.serial ?? "", "--reason", "cACompromise"));
  };
  expect(await taint(/Issuing CA$/)).toMatchObject({ revoked: { reason: "cACompromise" } });
  const first = await rollover("--late", revoked);
  expect([first.code, first.err]).toEqual([4, expect.stringContaining("others may have its key")]);
  await taint(/Issuing CA 2$/);
  const both = await rollover("--late", revoked);
  expect([both.code, document(both)]).toMatchObject([
    2,
    { error: { code: "usage/state", fix: expect.stringContaining("Reset") } },
  ]);
});
