import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { initCa } from "../src/ca.ts";
import { beginRollover, switchRollover } from "../src/ca-rollover.ts";
import { readTierKey } from "../src/ca-store.ts";
import { createCrl, crlToPem, findRevoked, parseCrl, type Crl } from "../src/crl.ts";
import { crlOf, publishedCrls } from "../src/crl-publish.ts";
import { day, makeKeyPair, mustOpenssl, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
const { publicKey } = await makeKeyPair();
let time = new Date("2026-06-01T10:00:00Z");
const now = (): Date => time;

const numbers = (lists: readonly Crl[]): readonly number[] =>
  lists.map(({ number }) => Number.parseInt(number ?? "", 16));

test("one list stays in force until it is half over, something is revoked, or an authority comes", async () => {
  const ca = await initCa(join(base, "ca"), { name: "Plant", now });
  const { certificate } = await ca.issue({ publicKey, profile: "device", subject: { commonName: "pump" } });
  const first = await publishedCrls(ca, { now });
  expect(first).toMatchObject({ made: true, lists: [{ nextUpdate: new Date("2026-06-08T10:00:00Z") }] });
  time = new Date(time.getTime() + 3 * day);
  expect(await publishedCrls(ca, { now })).toMatchObject({ made: false, lists: [{ sha256: first.lists[0]?.sha256 }] });
  time = new Date(time.getTime() + day);
  const second = await publishedCrls(ca, { now });
  expect([second.made, numbers(second.lists)]).toEqual([true, [2]]);
  await ca.revoke(certificate.facts.serialHex);
  const third = await publishedCrls(ca, { now, days: 30, overlapDays: 29 });
  expect([third.made, numbers(third.lists), third.lists[0]?.entries.size]).toEqual([true, [3], 1]);
  expect((await publishedCrls(ca, { now })).made).toBe(false);
  await beginRollover(ca.folder, "issuing", { now });
  const both = await publishedCrls(ca, { now });
  expect([both.made, both.lists.length]).toEqual([true, 2]);
  await switchRollover(ca.folder, { now });
  expect((await publishedCrls(ca, { now })).made).toBe(false);
  expect(crlOf(both.lists, ca.issuing)?.issuer).toContain("Issuing CA 2");
  expect(crlOf(both.lists, ca.root)).toBeUndefined();
  await ca.revoke(ca.inService.other?.issuing.facts.serialHex ?? "");
  expect(crlOf((await publishedCrls(ca, { now })).lists, ca.root)?.entries.size).toBe(1);
  // What cannot be read, or is from another day, is made anew.
  writeFileSync(join(ca.folder, "crls.pem"), "x");
  expect((await publishedCrls(ca, { now })).made).toBe(true);
  time = new Date(time.getTime() - 2 * day);
  expect((await publishedCrls(ca, { now })).made).toBe(true);
});

test("a list of 6,000 entries is what OpenSSL reads, and each entry is found", async () => {
  const ca = await initCa(join(base, "large"), { name: "Large", now });
  const serials = Array.from(
    { length: 6000 },
    (_, n) => `${n % 2 === 0 ? "a1" : "4b"}${n.toString(16).padStart(8, "0")}`,
  );
  const crl = await createCrl({
    issuer: ca.issuing,
    issuerKey: await readTierKey(ca.folder, "issuing", 1, undefined),
    number: 300,
    thisUpdate: now(),
    nextUpdate: new Date("2060-01-01T00:00:00Z"),
    entries: serials.map((serialHex, n) => ({
      serialHex,
      revokedAt: now(),
      reason: n % 3 === 0 ? "keyCompromise" : "unspecified",
    })),
  });
  expect(serials.every((serial) => findRevoked(crl, serial) !== undefined)).toBe(true);
  expect(parseCrl(crlToPem(crl)).entries.get(serials[3] ?? "")?.reason).toBe("keyCompromise");
  const text = mustOpenssl(["crl", "-noout", "-text", "-inform", "DER"], crl.der).toString();
  expect(text.match(/Serial Number: (A1|4B)/g)).toHaveLength(6000);
  expect(text.match(/Key Compromise/g)).toHaveLength(2000);
  expect(text).toMatch(/Next Update: Jan +1 00:00:00 2060 GMT/);
  expect(text).toMatch(/X509v3 CRL Number: ?\n\s+(300|0x012C)/i);
});
