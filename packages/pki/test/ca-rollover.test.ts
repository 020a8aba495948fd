import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { initCa, openCa, type CertificateAuthority, type Issued } from "../src/ca.ts";
import { abandonRollover, beginRollover, leftToReissue, switchRollover, withdrawRollover } from "../src/ca-rollover.ts";
import { parseCertificates, toPem, type Certificate } from "../src/certificate.ts";
import { localAuthority } from "../src/est/authority.ts";
import { sortCaCerts } from "../src/est/trust.ts";
import { verifyChain } from "../src/verify.ts";
import { day, makeKeyPair, mustOpenssl, openssl, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
let time = new Date("2026-06-01T10:00:00Z");
const now = (): Date => time;
const { publicKey } = await makeKeyPair();
let count = 0;

async function plant(): Promise<CertificateAuthority> {
  return await initCa(join(base, `plant ${(count += 1)}`), { name: "Plant", now, passphrase: "open sesame" });
}

const options = { now, passphrase: "open sesame" };

const issue = async (ca: CertificateAuthority, commonName: string): Promise<Issued> =>
  await ca.issue({ publicKey, profile: "device", subject: { commonName } });

function accepts(
  anchors: readonly Certificate[],
  { chain }: Issued,
  crls: Awaited<ReturnType<CertificateAuthority["crls"]>> = [],
): boolean {
  const [leaf, ...rest] = chain;
  return leaf !== undefined && verifyChain({ leaf, chain: rest, anchors, crls, time, purpose: "server" }).ok;
}

describe("a change of root", () => {
  let ca: CertificateAuthority;
  let other: CertificateAuthority;
  let before: Issued;
  let after: Issued;
  let oldRoot: Certificate;

  beforeAll(async () => {
    ca = await plant();
    oldRoot = ca.root;
    before = await issue(ca, "pump 1");
    other = await openCa(ca.folder, options);
  });

  test("prepared: the old one issues; both and their links are published, and trusted here", async () => {
    const begun = await beginRollover(ca.folder, "root", options);
    expect(begun).toMatchObject({ kind: "root", phase: "prepared", other: { root: 2, issuing: 2 } });
    expect(await beginRollover(ca.folder, "root", options)).toEqual(begun);
    const published = await localAuthority(ca).caCertificates();
    expect(published).toHaveLength(6);
    const sorted = sortCaCerts(published);
    expect(sorted.anchors.map(({ facts }) => facts.subject)).toEqual(Array(2).fill(oldRoot.facts.subject));
    expect(sorted).toMatchObject({ rollover: { length: 2 }, intermediates: { length: 2 } });
    expect(ca.root).toEqual(oldRoot);
    expect(ca.anchors).toHaveLength(4);
    expect(parseCertificates(ca.export({ what: "published", as: "pkcs7" }))).toHaveLength(6);
    expect((await issue(ca, "pump 2")).chain.at(-1)).toEqual(ca.issuing);
    expect(accepts([oldRoot], await issue(ca, "pump 2"))).toBe(true);
  });

  test("switched: a process that had the folder open issues from the new one", async () => {
    expect(await switchRollover(ca.folder, options)).toMatchObject({
      phase: "switched",
      other: { root: 1, issuing: 1 },
    });
    expect(await switchRollover(ca.folder, options)).toMatchObject({ phase: "switched" });
    after = await issue(other, "pump 3");
    expect(after.certificate.facts.issuer).toContain("Plant Issuing CA 2");
    expect(other.root.facts.sha256).not.toBe(oldRoot.facts.sha256);
    // Who knows only one of the roots finds its way: by the link in the chain, or by the link that EST publishes.
    expect(accepts([oldRoot], after)).toBe(true);
    expect(accepts([other.root], after)).toBe(true);
    const link = other.inService.oldWithNew;
    expect(link).toBeDefined();
    if (link !== undefined) expect(accepts([other.root], { ...before, chain: [...before.chain, link] })).toBe(true);
    expect(accepts([other.root], before)).toBe(false);
    // What a device is given trusts both, and sends the link.
    expect(accepts(other.bundle, before) && accepts(other.bundle, after)).toBe(true);
  });

  test("OpenSSL follows the link as well", () => {
    const file = (name: string, certificates: readonly Certificate[]): string => {
      const path = join(base, name);
      writeFileSync(path, toPem(certificates));
      return path;
    };
    const at = ["-attime", String(time.getTime() / 1000)];
    const chain = file("chain.pem", after.chain.slice(1));
    const leaf = file("leaf.pem", after.chain.slice(0, 1));
    const verify = ["verify", ...at, "-x509_strict", "-CAfile"];
    expect(openssl([...verify, file("old.pem", [oldRoot]), "-untrusted", chain, leaf])).toMatchObject({ ok: true });
    expect(openssl([...verify, file("new.pem", [other.root]), "-untrusted", chain, leaf])).toMatchObject({ ok: true });
    expect(mustOpenssl(["x509", "-noout", "-subject"], toPem(other.root)).toString()).toContain("Plant Root CA");
  });

  test("both issuing authorities have their revocation lists", async () => {
    await other.revoke(before.certificate.facts.serialHex);
    await other.revoke(after.certificate.facts.serialHex);
    const lists = await other.crls();
    expect(lists.map(({ entries }) => entries.size)).toEqual([1, 1]);
    expect(accepts(other.bundle, before, lists) || accepts(other.bundle, after, lists)).toBe(false);
    expect(accepts(other.bundle, await issue(other, "pump 4"), lists)).toBe(true);
  });

  test("what is left to reissue bars the end; who has it is named", async () => {
    expect((await leftToReissue(ca.folder, options)).map(({ subject }) => subject)).toEqual(["CN=pump 2", "CN=pump 2"]);
    await expect(withdrawRollover(ca.folder, options)).rejects.toMatchObject({
      code: "usage/argument",
      message: expect.stringContaining("CN=pump 2"),
    });
    await issue(other, "pump 2");
    expect(await leftToReissue(ca.folder, options)).toEqual([]);
  });

  test("withdrawn: the old one is gone, with its keys; twice does no more", async () => {
    expect(await withdrawRollover(ca.folder, options)).toEqual({ root: 1, issuing: 1 });
    expect(await withdrawRollover(ca.folder, options)).toBeUndefined();
    expect(existsSync(join(ca.folder, "root.key.pem")) || existsSync(join(ca.folder, "issuing.key.pem"))).toBe(false);
    expect(statSync(join(ca.folder, "root-2.key.pem")).mode & 0o777).toBe(0o600);
    await other.refresh();
    expect(other.anchors).toEqual([other.root, other.issuing]);
    expect(await localAuthority(other).caCertificates()).toHaveLength(2);
    expect(accepts(other.anchors, before)).toBe(false);
    expect((await other.crls()).map(({ issuer }) => issuer)).toEqual([expect.stringContaining("Issuing CA 2")]);
    expect((await other.certificate(before.certificate.facts.serialHex)).facts.subject).toBe("CN=pump 1");
  });

  test("and the next change of root follows it", async () => {
    time = new Date(time.getTime() + 3650 * day);
    await beginRollover(ca.folder, "root", options);
    await switchRollover(ca.folder, options);
    const third = await issue(await openCa(ca.folder, options), "pump 9");
    expect(third.certificate.facts.issuer).toContain("Issuing CA 3");
    expect(accepts([other.root], third)).toBe(true);
    time = new Date(time.getTime() - 3650 * day);
  });
});

describe("a change of the issuing authority", () => {
  test("below the same root; in the end the old one is revoked by the root", async () => {
    const ca = await plant();
    const before = await issue(ca, "pump 1");
    const oldIssuing = ca.issuing;
    await beginRollover(ca.folder, "issuing", options);
    await expect(beginRollover(ca.folder, "root", options)).rejects.toMatchObject({ code: "usage/argument" });
    await switchRollover(ca.folder, options);
    const after = await issue(ca, "pump 1");
    expect(accepts([ca.root], before) && accepts([ca.root], after)).toBe(true);
    expect(ca.anchors.map(({ facts }) => facts.serialHex)).toContain(oldIssuing.facts.serialHex);
    await withdrawRollover(ca.folder, options);
    const lists = await ca.crls();
    expect(lists.map(({ issuer }) => issuer)).toEqual([
      expect.stringContaining("Issuing CA 2"),
      expect.stringContaining("Root CA"),
    ]);
    expect(accepts([ca.root], after, lists)).toBe(true);
    expect(accepts([ca.root], before, lists)).toBe(false);
    expect(existsSync(join(ca.folder, "root.key.pem"))).toBe(true);
    expect((await ca.certificate(oldIssuing.facts.serialHex)).facts.subject).toContain("Issuing CA");
  });

  test("is forced where somebody says so", async () => {
    const ca = await plant();
    await issue(ca, "pump 1");
    await beginRollover(ca.folder, "issuing", options);
    await expect(withdrawRollover(ca.folder, options)).rejects.toMatchObject({ code: "usage/argument" });
    await switchRollover(ca.folder, options);
    expect(await withdrawRollover(ca.folder, { ...options, force: true })).toEqual({ root: 1, issuing: 1 });
  });
});

describe("giving up, and going on after a crash", () => {
  test("before the switch a change can be given up, and begun anew", async () => {
    const ca = await plant();
    await abandonRollover(ca.folder, options);
    await expect(switchRollover(ca.folder, options)).rejects.toMatchObject({ code: "usage/argument" });
    await beginRollover(ca.folder, "root", options);
    await abandonRollover(ca.folder, options);
    await ca.refresh();
    expect(ca.anchors).toHaveLength(2);
    expect(existsSync(join(ca.folder, "root-2.key.pem"))).toBe(false);
    await beginRollover(ca.folder, "root", options);
    await switchRollover(ca.folder, options);
    await expect(abandonRollover(ca.folder, options)).rejects.toMatchObject({ code: "usage/argument" });
    expect((await issue(ca, "x")).certificate.facts.issuer).toContain("Issuing CA 2");
  });

  test("keys that a crash left before the change was noted are made anew", async () => {
    const ca = await plant();
    const copy = join(base, "crashed");
    cpSync(ca.folder, copy, { recursive: true });
    await beginRollover(ca.folder, "root", options);
    for (const name of readdirSync(ca.folder))
      if (/^(root-2|issuing-2|links-2)/.test(name)) cpSync(join(ca.folder, name), join(copy, name));
    for (const name of readdirSync(copy)) if (name.startsWith("lock.")) rmSync(join(copy, name));
    await beginRollover(copy, "root", options);
    await switchRollover(copy, options);
    const crashed = await openCa(copy, options);
    expect(accepts([ca.root], await issue(crashed, "x"))).toBe(true);
    expect(crashed.root.facts.sha256).not.toBe(ca.inService.other?.root.facts.sha256);
  });

  test("where the root's key is elsewhere, its owner is named", async () => {
    const ca = await plant();
    rmSync(join(ca.folder, "root.key.pem"));
    await expect(beginRollover(ca.folder, "root", options)).rejects.toMatchObject({
      code: "usage/argument",
      fix: expect.stringContaining("root's owner"),
    });
    await expect(beginRollover(join(base, "nothing"), "root", options)).rejects.toMatchObject({ code: "state/write" });
    expect(await leftToReissue(ca.folder, options)).toEqual([]);
  });

  test("where there is no authority, there is nothing to change", async () => {
    const folder = join(base, "empty");
    mkdirSync(folder);
    await expect(beginRollover(folder, "root", options)).rejects.toMatchObject({ code: "usage/ca-missing" });
    expect(await leftToReissue(folder, options)).toEqual([]);
  });

  test("what would be left is told before the switch too", async () => {
    const ca = await plant();
    await issue(ca, "pump 1");
    await beginRollover(ca.folder, "issuing", options);
    expect((await leftToReissue(ca.folder, options)).map(({ subject }) => subject)).toEqual(["CN=pump 1"]);
  });
});
