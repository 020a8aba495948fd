import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { initCa, openCa, type CertificateAuthority } from "../src/ca.ts";
import { beginRollover, switchRollover, withdrawRollover } from "../src/ca-rollover.ts";
import { toPem, type Certificate } from "../src/certificate.ts";
import { crlToPem } from "../src/crl.ts";
import { crlFiles } from "../src/crl-publish.ts";
import { crlDocuments } from "../src/est/crl-documents.ts";
import { answerDocument } from "../src/est/documents.ts";
import { defaultEstLimits } from "../src/est/limits.ts";
import { listenDocuments } from "../src/est/listen.ts";
import { day, makeKeyPair, mustOpenssl, openssl, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
const { publicKey } = await makeKeyPair();
const crlBase = "http://pki.example:8080/hall3";
let time = new Date();
const now = (): Date => time;
let count = 0;

const plant = async (options: { readonly crlBase?: string } = {}): Promise<CertificateAuthority> =>
  await initCa(join(base, `plant ${(count += 1)}`), { name: "Plant", now, ...options });

const pump = async (ca: CertificateAuthority): Promise<Certificate> =>
  (await ca.issue({ publicKey, profile: "device", subject: { commonName: "pump" } })).certificate;

const place = ({ facts }: Certificate): string => facts.crlUrls.join(" ").replace(`${crlBase}/crl/`, "");

const names = async (ca: CertificateAuthority): Promise<readonly string[]> =>
  (await crlFiles(ca, { now })).files.map(({ name }) => name).toSorted();

describe("the place of the list", () => {
  test("stands in what is signed, as OpenSSL reads it, and in no root", async () => {
    const ca = await plant({ crlBase: `${crlBase}/` });
    const leaf = await pump(await openCa(ca.folder, { now }));
    expect([ca.root, ca.issuing, leaf].map(place)).toEqual(["", "root-1.crl", "issuing-1.crl"]);
    const shown = mustOpenssl(["x509", "-noout", "-text"], toPem(leaf)).toString();
    expect(shown).toMatch(
      /X509v3 CRL Distribution Points: ?\n\s+Full Name:\n\s+URI:http:\/\/pki\.example:8080\/hall3\/crl\/issuing-1\.crl\n/,
    );
    expect(mustOpenssl(["x509", "-noout", "-text"], toPem(ca.root)).toString()).not.toContain("Distribution");
  });

  test("is set and taken back while processes have the folder open", async () => {
    const ca = await plant();
    const other = await openCa(ca.folder, { now });
    expect([place(ca.issuing), place(await pump(ca)), ca.crlBase]).toEqual(["", "", undefined]);
    await ca.setCrlBase(crlBase);
    expect([place(await pump(other)), other.crlBase]).toEqual(["issuing-1.crl", crlBase]);
    await other.setCrlBase(undefined);
    expect(place(await pump(ca))).toBe("");
    expect((await openCa(ca.folder, { now })).crlBase).toBeUndefined();
  });

  test("outlives a snapshot of the index", async () => {
    const ca = await plant({ crlBase });
    const journal = join(ca.folder, "journal.1");
    await pump(ca);
    writeFileSync(journal, "spoilt\n", { flag: "a" });
    const again = await openCa(ca.folder, { now });
    expect([again.recovered, again.crlBase, place(await pump(again))]).toEqual([true, crlBase, "issuing-1.crl"]);
  });

  test.each([
    { base: "https://pki.example", says: "first have to check" },
    { base: "ldap://pki.example", says: "not an http address" },
    { base: "pki.example", says: "not an http address" },
    { base: "http://", says: "not an http address" },
    { base: "http://a b", says: "not an http address" },
    { base: "http://me@pki.example", says: "user" },
    { base: "http://:pw@pki.example", says: "user" },
    { base: "http://pki.example/?x", says: "query" },
    { base: "http://pki.example/#x", says: "fragment" },
    { base: `http://pki.example/${"x".repeat(200)}`, says: "longer" },
  ])("is not $base", async ({ base: text, says }) => {
    const folder = join(base, `refused ${(count += 1)}`);
    await expect(initCa(folder, { name: "Plant", now, crlBase: text })).rejects.toMatchObject({
      code: "usage/argument",
      message: expect.stringContaining(says),
    });
  });
});

describe("lists where certificates look for them", () => {
  test("each authority has its own through a change of root, and the links name that of who signed them", async () => {
    const ca = await plant({ crlBase });
    expect(await names(ca)).toEqual(["issuing-1.crl", "root-1.crl"]);
    await beginRollover(ca.folder, "root", { now });
    await ca.refresh();
    const { other, oldWithNew, newWithOld } = ca.inService;
    expect([other?.root, other?.issuing, oldWithNew, newWithOld].map((one) => one && place(one))).toEqual([
      "",
      "root-2.crl",
      "root-2.crl",
      "root-1.crl",
    ]);
    expect(place(await pump(ca))).toBe("issuing-1.crl");
    await switchRollover(ca.folder, { now });
    const leaf = await pump(ca);
    expect(place(leaf)).toBe("issuing-2.crl");
    const { lists, files } = await crlFiles(ca, { now });
    expect(files.map(({ name }) => name).toSorted()).toEqual([
      "issuing-1.crl",
      "issuing-2.crl",
      "root-1.crl",
      "root-2.crl",
    ]);
    // What devices are given has no list of a root that revoked nothing.
    expect(await ca.crls()).toHaveLength(2);
    // With the lists of every authority in the chain, by the old root's link too.
    const file = (name: string, text: string): string => {
      writeFileSync(join(base, name), text);
      return join(base, name);
    };
    const [crls, leafFile] = [file("crls.pem", crlToPem(lists)), file("leaf.pem", toPem(leaf))];
    const chain = file("chain.pem", toPem([ca.issuing, ...(newWithOld === undefined ? [] : [newWithOld])]));
    for (const root of [ca.root, ca.inService.other?.root]) {
      const trusted = ["-CAfile", file("root.pem", toPem(root ?? []))];
      const verify = ["verify", "-crl_check_all", "-CRLfile", crls, ...trusted, "-untrusted", chain, leafFile];
      expect(openssl(verify)).toMatchObject({ ok: true });
    }
    await withdrawRollover(ca.folder, { now, force: true });
    expect(await names(ca)).toEqual(["issuing-2.crl", "root-2.crl"]);
  });

  test("a change of the issuing authority: the root's list is one, and says so in the end", async () => {
    const ca = await plant({ crlBase });
    await beginRollover(ca.folder, "issuing", { now });
    expect(await names(ca)).toEqual(["issuing-1.crl", "issuing-2.crl", "root-1.crl"]);
    await switchRollover(ca.folder, { now });
    await withdrawRollover(ca.folder, { now });
    const { files } = await crlFiles(ca, { now });
    expect(files.map(({ name, crl }) => [name, crl.entries.size])).toEqual([
      ["issuing-2.crl", 0],
      ["root-1.crl", 1],
    ]);
  });

  test("the root's list stays until it is half over; without its key, or a place, there is none", async () => {
    const ca = await plant({ crlBase });
    const rootList = async () => (await crlFiles(ca, { now })).files.find(({ name }) => name === "root-1.crl")?.crl;
    const first = await rootList();
    time = new Date(time.getTime() + 44 * day);
    expect((await rootList())?.sha256).toBe(first?.sha256);
    time = new Date(time.getTime() + 2 * day);
    const second = await rootList();
    expect(second?.thisUpdate.getTime()).toBeGreaterThan(first?.thisUpdate.getTime() ?? Infinity);
    // A list of tomorrow is none.
    time = new Date(time.getTime() - 46 * day);
    expect((await rootList())?.number).not.toBe(second?.number);
    // Who has a certificate of before goes on looking there.
    await ca.setCrlBase(undefined);
    expect(await rootList()).toBeDefined();
    const silent = await plant();
    expect(await names(silent)).toEqual(["issuing-1.crl"]);
    await beginRollover(silent.folder, "issuing", { now });
    expect(await names(silent)).toEqual(["issuing-1.crl", "issuing-2.crl"]);
    rmSync(join(ca.folder, "root.key.pem"));
    expect(await names(ca)).toEqual(["issuing-1.crl"]);
  });

  test("are read by everybody, and kept for some seconds", async () => {
    const ca = await plant();
    const documents = crlDocuments(ca, { now });
    const get = async (path: string, method = "GET") => await answerDocument(documents, { method, path });
    const first = await get("/crl/issuing-1.crl?x=1");
    expect(first).toMatchObject({ status: 200, headers: { "content-type": "application/pkix-crl" } });
    expect(await get("/crl/issuing-1.crl", "POST")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    expect(await get("/crl/plant.pem", "HEAD")).toMatchObject({
      status: 200,
      body: expect.stringContaining("X509 CRL"),
    });
    for (const path of ["/crl/root-1.crl", "/crl/issuing-2.crl", "/crl/", "/"]) expect(await get(path)).toBeUndefined();
    expect(await answerDocument(undefined, { method: "GET", path: "/" })).toBeUndefined();
    const { facts } = await pump(ca);
    await ca.revoke(facts.serialHex);
    expect(await get("/crl/issuing-1.crl")).toEqual(first);
    time = new Date(time.getTime() + 11_000);
    expect(await get("/crl/issuing-1.crl")).not.toEqual(first);
    time = new Date(time.getTime() - 11_000);
    expect(await get("/crl/issuing-1.crl")).not.toEqual(first);
  });

  test("OpenSSL fetches them from where the certificates say, and refuses who was revoked", async () => {
    const ca = await plant();
    const documents = crlDocuments(ca, { now });
    const server = await listenDocuments(documents, { host: "127.73.1.1", port: 0, limits: defaultEstLimits });
    await ca.setCrlBase(`http://127.73.1.1:${server.port}`);
    // Below an issuing authority that names the root's list.
    await beginRollover(ca.folder, "issuing", { now });
    await switchRollover(ca.folder, { now });
    const [good, bad] = [await pump(ca), await pump(ca)];
    await ca.setCrlBase(`http://127.73.1.1:${server.port}/nothing`);
    const misplaced = await pump(ca);
    await ca.revoke(bad.facts.serialHex, "keyCompromise");
    const [root, issuing] = [join(base, "fetch-root.pem"), join(base, "fetch-issuing.pem")];
    writeFileSync(root, toPem(ca.root));
    writeFileSync(issuing, toPem(ca.issuing));
    const verify = async (leaf: Certificate): Promise<string> => {
      const file = join(base, `${leaf.facts.serialHex}.pem`);
      writeFileSync(file, toPem(leaf));
      const words = ["verify", "-crl_download", "-crl_check", "-CAfile", root, "-untrusted", issuing, file];
      // Of the last certificate only: all the way up, OpenSSL wants a list for the root by its own word, too.
      // The server is in this process: a synchronous call would wait for itself.
      const ran = promisify(execFile)("openssl", words, { timeout: 20_000 });
      return await ran.then(({ stdout }) => stdout).catch((error: { stderr: string }) => error.stderr);
    };
    try {
      for (const one of [good, ca.issuing]) expect(await verify(one)).toMatch(/: OK\n$/);
      expect(await verify(bad)).toContain("certificate revoked");
      expect(await verify(misplaced)).toContain("unable to get certificate CRL");
    } finally {
      await server.close();
    }
  }, 60_000);
});
