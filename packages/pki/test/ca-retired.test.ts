import { join } from "node:path";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { initCa, type CertificateAuthority } from "../src/ca.ts";
import { isOfIssuer, retiredRoots } from "../src/ca-retired.ts";
import { beginRollover, switchRollover, withdrawRollover, type WithdrawOptions } from "../src/ca-rollover.ts";
import { parseCertificates, toPem, type Certificate } from "../src/certificate.ts";
import { verifyChain } from "../src/verify.ts";
import { day, makeKeyPair, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
const { publicKey } = await makeKeyPair();
const start = new Date("2026-06-01T10:00:00Z");
let time = start;
const now = (): Date => time;
let ca: CertificateAuthority;
let count = 0;

beforeEach(async () => {
  time = start;
  ca = await initCa(join(base, `plant ${(count += 1)}`), { name: "Plant", now, rootDays: 1000 });
});

const issue = async (): Promise<readonly Certificate[]> =>
  (await ca.issue({ publicKey, profile: "device", subject: { commonName: "pump" } })).chain;

const printOf = (chain: readonly Certificate[]): string => chain[0]?.facts.sha256 ?? "";

async function change(kind: "root" | "issuing", options: Partial<WithdrawOptions> = {}): Promise<void> {
  await beginRollover(ca.folder, kind, { now, rootDays: 3000 });
  await switchRollover(ca.folder, { now });
  await withdrawRollover(ca.folder, { now, force: true, ...options });
  await ca.refresh();
}

test("who trusts a withdrawn root alone finds the way to what is issued now, over several changes", async () => {
  const roots = [ca.root];
  const [ofIssuing, ofRoot] = [await ca.crl(), await ca.rootCrl()];
  await change("issuing");
  await change("root");
  roots.push(ca.root);
  await change("root");
  const retired = await retiredRoots(ca.folder, { now });
  expect(retired.map(({ root }) => root)).toEqual(roots.toReversed());
  expect(retired.map(({ issuing }) => issuing.facts.subject.replace(/.* Issuing/, "Issuing"))).toEqual([
    "Issuing CA 3",
    "Issuing CA 2",
  ]);
  expect(retired.map(({ links, refusal }) => [links.length, refusal])).toEqual([
    [1, undefined],
    [2, undefined],
  ]);
  const [leaf, ...chain] = await issue();
  if (leaf === undefined) throw new RangeError("no certificate");
  const way = [...chain, ...(retired.at(-1)?.links ?? [])];
  for (const root of [...roots, ca.root])
    expect(verifyChain({ leaf, chain: way, anchors: [root], time, purpose: "client" })).toMatchObject({ ok: true });
  // Lists of authorities that are no more do not stand in the way; one of the old root does, once it is over.
  const lists = {
    revocation: { stale: "refuse" },
    leaf,
    chain: way,
    anchors: roots.slice(0, 1),
    purpose: "client",
  } as const;
  const later = new Date(start.getTime() + 100 * day);
  expect(verifyChain({ ...lists, crls: [ofIssuing], time: later })).toMatchObject({ ok: true });
  expect(verifyChain({ ...lists, crls: [ofRoot], time })).toMatchObject({ ok: true });
  expect(verifyChain({ ...lists, crls: [ofRoot], time: later })).toMatchObject({ ok: false, code: "trust/crl-stale" });
  // No way without the links.
  expect(verifyChain({ leaf, chain, anchors: roots, time, purpose: "client" }).ok).toBe(false);
});

test("a root ends, and the way from it", async () => {
  await change("root");
  time = new Date(start.getTime() + 999 * day);
  expect((await retiredRoots(ca.folder, { now }))[0]?.refusal).toBeUndefined();
  time = new Date(start.getTime() + 1000 * day);
  expect((await retiredRoots(ca.folder, { now }))[0]?.refusal).toBe("expired");
});

test("a root whose key others may have is believed no more, whenever that is learnt", async () => {
  const serial = ca.issuing.facts.serialHex;
  await change("root");
  expect((await retiredRoots(ca.folder, { now }))[0]?.refusal).toBeUndefined();
  const before = await ca.find(serial);
  await ca.revoke(serial, "keyCompromise");
  expect((await retiredRoots(ca.folder, { now }))[0]?.refusal).toBe("compromised");
  // It was revoked when it was, and no less grave reason takes that back.
  await ca.revoke(serial, "superseded");
  expect((await ca.find(serial))?.revoked).toEqual({ at: before?.revoked?.at, reason: "keyCompromise" });
  await change("root", { compromised: true });
  expect((await retiredRoots(ca.folder, { now })).map(({ refusal }) => refusal)).toEqual([
    "compromised",
    "compromised",
  ]);
});

test("a device's certificate is held against what was issued here", async () => {
  const [old, lost] = [await issue(), await issue()];
  expect(await isOfIssuer(ca.folder, printOf(old), { now })).toBe(true);
  const serial = ca.issuing.facts.serialHex;
  await change("issuing");
  expect(await isOfIssuer(ca.folder, printOf(old), { now })).toBe(false);
  expect(await isOfIssuer(ca.folder, printOf(await issue()), { now })).toBe(true);
  await ca.revoke(lost[0]?.facts.serialHex ?? "");
  await expect(isOfIssuer(ca.folder, printOf(lost), { now })).rejects.toMatchObject({ code: "trust/revoked" });
  await expect(isOfIssuer(ca.folder, "00", { now })).rejects.toMatchObject({ code: "trust/unknown-authority" });
  await ca.revoke(serial, "cACompromise");
  await expect(isOfIssuer(ca.folder, printOf(old), { now })).rejects.toMatchObject({
    code: "trust/revoked",
    fix: expect.stringContaining("Reset"),
  });
});

test("without a withdrawn root there is none, and without its files that is told", async () => {
  expect(await retiredRoots(ca.folder, { now })).toEqual([]);
  await beginRollover(ca.folder, "root", { now });
  await switchRollover(ca.folder, { now });
  expect(await isOfIssuer(ca.folder, printOf(await issue()), { now })).toBe(true);
  // Still trusted beside the new one.
  expect(await retiredRoots(ca.folder, { now })).toEqual([]);
  await withdrawRollover(ca.folder, { now, force: true });
  const links = join(ca.folder, "links-2.pem");
  const [oldWithNew] = parseCertificates(readFileSync(links));
  if (oldWithNew !== undefined) writeFileSync(links, toPem(oldWithNew));
  expect(await retiredRoots(ca.folder, { now })).toEqual([]);
  rmSync(links);
  await expect(retiredRoots(ca.folder, { now })).rejects.toMatchObject({ code: "state/corrupt" });
  await expect(retiredRoots(join(base, "nothing"), { now })).rejects.toMatchObject({ code: "usage/ca-missing" });
});
