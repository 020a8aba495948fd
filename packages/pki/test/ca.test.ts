import { spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { previousOf, writeChecked } from "../src/atomic-file.ts";
import { initCa, openCa, type CertificateAuthority } from "../src/ca.ts";
import { parseCertificates } from "../src/certificate.ts";
import { crlToPem } from "../src/crl.ts";
import { createCsr } from "../src/csr.ts";
import { acquireLock } from "../src/lock.ts";
import { writeKeyFile } from "../src/keys.ts";
import { verifyChain } from "../src/verify.ts";
import { day, makeKeyPair, mustOpenssl, openssl, temporaryFolder } from "./support.ts";

const base = temporaryFolder();
let time = new Date("2026-06-01T10:00:00.500Z");
const now = (): Date => time;
const { privateKey, publicKey } = await makeKeyPair();
const csr = await createCsr({
  subject: { commonName: "pump", serialNumber: "7" },
  san: { ip: ["192.0.2.7"] },
  privateKey,
});
const folder = join(base, "ca");
let ca: CertificateAuthority;

beforeAll(async () => {
  ca = await initCa(folder, { name: "Plant", now, pause: sleep });
});

/** The same authority in another folder, to be damaged. */
function copyOf(name: string): string {
  const copy = join(base, name);
  cpSync(folder, copy, { recursive: true });
  return copy;
}

describe("making", () => {
  test("files are for their owner alone", () => {
    expect([folder, join(folder, "issued")].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700]);
    expect(
      ["root.key.pem", "issuing.key.pem", "index"].map((name) => statSync(join(folder, name)).mode & 0o777),
    ).toEqual([0o600, 0o600, 0o600]);
  });

  test("both tiers are what OpenSSL's strictest check wants", async () => {
    const { certificate } = await ca.issue({ csr, profile: "device" });
    const list = await ca.crl();
    const rootList = await ca.rootCrl();
    const write = (name: string, text: string): string => {
      writeFileSync(join(base, name), text);
      return join(base, name);
    };
    const [root = "", issuing = ""] = String(ca.export()).split(/(?<=END CERTIFICATE-----\n)/);
    const args = [
      "verify",
      "-x509_strict",
      "-check_ss_sig",
      "-auth_level",
      "2",
      "-purpose",
      "sslserver",
      "-verify_ip",
      "192.0.2.7",
      "-crl_check_all",
      "-attime",
      String((time.getTime() / 1000) | 0),
    ];
    const result = openssl([
      ...args,
      "-CAfile",
      write("root", root),
      "-untrusted",
      write("int", issuing),
      "-CRLfile",
      write("crl", crlToPem([list, rootList])),
      write("leaf", mustPem(certificate.der)),
    ]);
    expect(result).toMatchObject({ ok: true });
    expect(mustOpenssl(["x509", "-noout", "-text"], root).toString()).toMatch(
      /Basic Constraints: critical\n\s+CA:TRUE, pathlen:1\n\s+X509v3 Key Usage: critical\n\s+Certificate Sign, CRL Sign/,
    );
    expect(mustOpenssl(["x509", "-noout", "-text"], issuing).toString()).toContain("pathlen:0");
  });

  test("a second one in the same folder is refused", async () => {
    await expect(initCa(folder, { name: "Other", now })).rejects.toMatchObject({ code: "usage/ca-exists" });
  });

  test.each([
    { name: "no name", options: { name: "" } },
    { name: "a long name", options: { name: "x".repeat(49) } },
    { name: "no days", options: { name: "x", rootDays: 0 } },
    { name: "half a day", options: { name: "x", issuingDays: 0.5 } },
    { name: "centuries", options: { name: "x", issuingDays: 36_501 } },
  ])("refuses: $name", async ({ options }) => {
    await expect(initCa(join(base, "refused"), { ...options, now })).rejects.toMatchObject({ code: "usage/argument" });
  });

  test("the issuing authority does not outlive the root", async () => {
    const short = await initCa(join(base, "short"), { name: "Short", now, rootDays: 10, issuingDays: 20 });
    expect(short.issuing.facts.notAfter).toEqual(short.root.facts.notAfter);
    time = new Date(time.getTime() + 11 * day);
    await expect(short.issue({ csr, profile: "device" })).rejects.toMatchObject({ code: "trust/expired" });
    expect((await short.list()).map(({ status }) => status)).toEqual(["expired"]);
    time = new Date(time.getTime() - 11 * day);
  });

  test("what a crash left of an unfinished one is made anew", async () => {
    const half = join(base, "half");
    await initCa(half, { name: "Half", now });
    for (const name of ["index", "index.previous"]) rmSync(join(half, name));
    writeFileSync(join(half, "x.1-aa.tmp"), "");
    await expect(openCa(half, { now })).rejects.toMatchObject({ code: "usage/ca-missing" });
    const again = await initCa(half, { name: "Half", now });
    await again.issue({ csr, profile: "device" });
    expect(existsSync(join(half, "x.1-aa.tmp"))).toBe(false);
  });
});

describe("issuing", () => {
  test.each([
    { profile: "device", usages: ["server", "client"] },
    { profile: "vendor-device", usages: ["server", "client"] },
    { profile: "tool", usages: ["client"] },
    { profile: "tool", server: true, usages: ["server", "client"] },
    { profile: "user", usages: ["client"] },
  ] as const)("$profile, server $server", async ({ profile, usages, ...more }) => {
    const { certificate, chain, pem, chainPem } = await ca.issue({ csr, profile, ...more });
    for (const purpose of ["server", "client"] as const) {
      const verdict = verifyChain({
        leaf: certificate,
        chain,
        anchors: [ca.root],
        time,
        purpose,
        expectedNames: { ip: "192.0.2.7" },
        publicKey,
      });
      expect(verdict.ok).toBe(usages.some((usage) => usage === purpose));
    }
    expect(certificate.facts).toMatchObject({ isCa: false, subject: "CN=pump, serialNumber=7" });
    expect(certificate.facts.serialHex).toMatch(/^[4-7][0-9a-f]{31}$/);
    expect(parseCertificates(pem)).toEqual([certificate]);
    expect(parseCertificates(chainPem)).toEqual([certificate, ca.issuing]);
  });

  test("subject, names and key may be given instead of a request", async () => {
    const { certificate } = await ca.issue({ publicKey, profile: "user", subject: { commonName: "Ada" }, days: 10 });
    expect(certificate.facts).toMatchObject({ subject: "CN=Ada", san: { ip: [], dns: [], uri: [] } });
    expect(certificate.facts.notAfter).toEqual(new Date("2026-06-11T10:00:00Z"));
    const override = await ca.issue({
      csr,
      publicKey,
      profile: "device",
      subject: { commonName: "x" },
      san: { dns: ["x.example"] },
    });
    expect(override.certificate.facts).toMatchObject({ subject: "CN=x", san: { ip: [], dns: ["x.example"] } });
  });

  test("an RSA key may also decrypt, for suites that need it", async () => {
    const { certificate } = await ca.issue({
      publicKey: (await makeKeyPair("rsa-2048")).publicKey,
      profile: "device",
      subject: { commonName: "old" },
    });
    expect(certificate.constraints.keyUsage).toBe(1 + 4);
  });

  test("no certificate outlives its issuer", async () => {
    const { certificate } = await ca.issue({ csr, profile: "device", days: 36_500 });
    expect(certificate.facts.notAfter).toEqual(ca.issuing.facts.notAfter);
  });

  test("refuses what makes no sense", async () => {
    const other = (await makeKeyPair()).publicKey;
    const weak = (await import("node:crypto")).generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
    const refused = async (request: Parameters<CertificateAuthority["issue"]>[0], code: string): Promise<void> => {
      await expect(ca.issue(request)).rejects.toMatchObject({ code });
    };
    const before = (await ca.list()).length;
    await refused({ profile: "device" }, "usage/argument");
    await refused({ profile: "device", publicKey }, "usage/argument");
    await refused({ profile: "device", csr, publicKey: other }, "usage/argument");
    await refused({ profile: "user", csr, server: true }, "usage/argument");
    await refused({ profile: "vendor-device", csr, subject: { commonName: "no serial" } }, "usage/argument");
    await refused({ profile: "device", csr, days: -1 }, "usage/argument");
    await refused({ profile: "device", publicKey: weak, subject: { commonName: "weak" } }, "trust/weak");
    expect(await ca.list()).toHaveLength(before);
  });
});

describe("revoking and listing", () => {
  test("a revoked certificate is in the list, refused, and stays so", async () => {
    const { certificate, chain } = await ca.issue({ csr, profile: "device" });
    const serial = certificate.facts.serialHex;
    const question = async (): Promise<unknown> => {
      const verdict = verifyChain({
        leaf: certificate,
        chain,
        anchors: [ca.root],
        crls: [await ca.crl()],
        time,
        purpose: "server",
      });
      return verdict.ok ? "good" : verdict.code;
    };
    expect(await question()).toBe("good");
    const row = await ca.revoke(serial.toUpperCase().replace(/(..)(?=.)/g, "$1:"), "keyCompromise");
    expect(row.revoked).toEqual({ at: "2026-06-01T10:00:00.000Z", reason: "keyCompromise" });
    expect(await ca.revoke(serial, "superseded")).toEqual(row);
    expect(await question()).toBe("trust/revoked");
    expect((await ca.list()).find((entry) => entry.serial === serial)?.status).toBe("revoked");
    expect(await ca.certificate(serial)).toBe(certificate);
    expect((await openCa(folder, { now })).name).toBe("Plant");
  });

  test("numbers of lists grow, over both tiers", async () => {
    const numbers = [await ca.crl(), await ca.rootCrl(30), await ca.crl(1)].map(({ number }) =>
      Number.parseInt(number ?? "", 16),
    );
    expect(numbers[1]).toBe((numbers[0] ?? 0) + 1);
    expect(numbers[2]).toBe((numbers[1] ?? 0) + 1);
    await expect(ca.crl(0)).rejects.toMatchObject({ code: "usage/argument" });
  });

  test("the issuing authority is revoked in the root's list", async () => {
    const other = await initCa(join(base, "fallen"), { name: "Fallen", now });
    const { certificate, chain } = await other.issue({ csr, profile: "device" });
    await other.revoke(other.issuing.facts.serialHex);
    expect((await other.crl()).entries.size).toBe(0);
    const crls = [await other.crl(), await other.rootCrl()];
    expect(
      verifyChain({ leaf: certificate, chain, anchors: [other.root], crls, time, purpose: "server" }),
    ).toMatchObject({ ok: false, code: "trust/revoked", message: expect.stringContaining("Fallen Issuing CA") });
    expect(await other.certificate(other.issuing.facts.serialHex)).toBe(other.issuing);
  });

  test("unknown serial numbers are said to be", async () => {
    await expect(ca.revoke("00")).rejects.toMatchObject({ code: "usage/serial" });
    await expect(ca.certificate("../../root.key")).rejects.toMatchObject({ code: "usage/serial" });
  });

  test("exports", () => {
    expect(parseCertificates(ca.export())).toEqual([ca.root, ca.issuing]);
    expect(parseCertificates(ca.export({ what: "anchors", as: "pkcs7" }))).toEqual([ca.root, ca.issuing]);
    const chain = ca.export({ what: "chain", as: "pkcs7-pem" });
    expect(chain).toContain("BEGIN PKCS7");
    expect(parseCertificates(chain)).toEqual([ca.issuing]);
  });
});

describe("state", () => {
  test("wrapped keys open with the passphrase only", async () => {
    const wrapped = join(base, "wrapped");
    await initCa(wrapped, { name: "Wrapped", now, passphrase: "open sesame" });
    await expect(openCa(wrapped, { now })).rejects.toMatchObject({ code: "usage/key" });
    const opened = await openCa(wrapped, { now, passphrase: "open sesame" });
    await opened.issue({ csr, profile: "device" });
    expect((await opened.rootCrl()).issuer).toContain("Wrapped Root CA");
  });

  test("a damaged index loses nothing: neither certificates nor revocations", async () => {
    const copy = copyOf("damaged");
    const before = await openCa(copy, { now });
    const { certificate } = await before.issue({ csr, profile: "device" });
    await before.revoke(certificate.facts.serialHex);
    const late = await before.issue({ csr, profile: "tool" });
    const last = await before.issue({ csr, profile: "device" });
    writeFileSync(join(copy, "index"), "damaged");
    const after = await openCa(copy, { now });
    expect(after.recovered).toBe(true);
    const rows = new Map((await after.list()).map((row) => [row.serial, row]));
    expect(rows.get(certificate.facts.serialHex)?.status).toBe("revoked");
    expect(rows.get(late.certificate.facts.serialHex)).toMatchObject({ profile: "tool", status: "good" });
    expect(rows.get(last.certificate.facts.serialHex)).toMatchObject({ profile: "device", status: "good" });
    expect((await openCa(copy, { now })).recovered).toBe(false);
    // A tool's certificate that only a kept copy knows.
    const tool = await after.issue({ csr, profile: "tool" });
    writeFileSync(join(copy, "index"), "damaged");
    const third = await openCa(copy, { now });
    expect((await third.list()).find(({ serial }) => serial === tool.certificate.facts.serialHex)?.profile).toBe(
      "tool",
    );
  });

  test.each([
    {
      name: "no index at all",
      damage: async (path: string): Promise<void> => ["index", "index.previous"].forEach((f) => rmSync(join(path, f))),
      code: "usage/ca-missing",
    },
    {
      name: "both generations",
      damage: async (path: string): Promise<void> =>
        ["index", "index.previous"].forEach((f) => writeFileSync(join(path, f), "x")),
      code: "state/corrupt",
    },
    {
      name: "no root certificate",
      damage: async (path: string): Promise<void> => rmSync(join(path, "root.cert.pem")),
      code: "state/corrupt",
    },
    {
      name: "a root certificate that is none",
      damage: async (path: string): Promise<void> => writeFileSync(join(path, "root.cert.pem"), "x"),
      code: "state/corrupt",
    },
    {
      name: "no key",
      damage: async (path: string): Promise<void> => rmSync(join(path, "issuing.key.pem")),
      code: "usage/file",
    },
    {
      name: "a key that others can read",
      damage: async (path: string): Promise<void> => chmodSync(join(path, "issuing.key.pem"), 0o644),
      code: "usage/key-permissions",
    },
    {
      name: "another key",
      damage: async (path: string): Promise<void> => await writeKeyFile(join(path, "issuing.key.pem"), privateKey),
      code: "trust/key-mismatch",
    },
  ])("opening refuses: $name", async ({ name, damage, code }) => {
    const copy = copyOf(name);
    await damage(copy);
    await expect(openCa(copy, { now })).rejects.toMatchObject({ code });
  });

  const row = { serial: "1", profile: "device", subject: "", notBefore: "", notAfter: "", sha256: "" };
  test.each([
    { name: "null", value: null },
    { name: "a number", value: 5 },
    { name: "no name", value: { crlNumber: 0, issued: [] } },
    { name: "a broken number", value: { name: "x", crlNumber: 0.5, issued: [] } },
    { name: "no rows", value: { name: "x", crlNumber: 0 } },
    { name: "a row of another profile", value: { name: "x", crlNumber: 0, issued: [{ ...row, profile: "root" }] } },
    { name: "a row without serial number", value: { name: "x", crlNumber: 0, issued: [{ ...row, serial: 5 }] } },
    {
      name: "an unknown reason",
      value: { name: "x", crlNumber: 0, issued: [{ ...row, revoked: { at: "", reason: "toString" } }] },
    },
  ])("an index of another shape is refused: $name", async ({ name, value }) => {
    const copy = copyOf(`shape ${name}`);
    rmSync(previousOf(join(copy, "index")), { force: true });
    rmSync(join(copy, "index"));
    await writeChecked(join(copy, "index"), { format: "ca-index", version: 1 }, value);
    await expect(openCa(copy, { now })).rejects.toMatchObject({ code: "state/corrupt" });
  });

  test("an authority that vanishes while open is missed", async () => {
    const copy = copyOf("vanishing");
    const opened = await openCa(copy, { now });
    for (const name of ["index", "index.previous"]) rmSync(join(copy, name));
    await expect(opened.list()).rejects.toMatchObject({ code: "usage/ca-missing" });
  });

  test("a folder in use is refused, or waited for", async () => {
    const copy = copyOf("in use");
    const lock = await acquireLock(copy);
    const hasty = await openCa(copy, { now });
    await expect(hasty.issue({ csr, profile: "device" })).rejects.toMatchObject({ code: "state/locked" });
    const patient = await openCa(copy, { now, pause: sleep });
    const issued = patient.issue({ csr, profile: "device" });
    await sleep(30);
    await lock.release();
    expect((await issued).certificate.facts.subject).toContain("pump");
  });

  test(
    "every certificate that was handed out is in the index after kill -9 at any time",
    { timeout: 120_000 },
    async () => {
      const path = copyOf("killed");
      const source = (name: string): string => JSON.stringify(join(import.meta.dirname, "../src", name));
      const script = `
      import { setTimeout as sleep } from "node:timers/promises";
      import { openCa } from ${source("ca.ts")};
      import { makeKeyPair } from ${source("keys.ts")};
      const { publicKey } = await makeKeyPair();
      const ca = await openCa(${JSON.stringify(path)}, { now: () => new Date(${time.getTime()}), pause: sleep });
      for (;;) {
        const { certificate } = await ca.issue({ publicKey, profile: "device", subject: { commonName: "x" } });
        process.stdout.write("issued " + certificate.facts.serialHex + "\\n");
        await ca.revoke(certificate.facts.serialHex);
        process.stdout.write("revoked " + certificate.facts.serialHex + "\\n");
      }`;
      const said = new Set<string>();
      for (let round = 0; round < 5; round++) {
        // Two at once: the lock is taken from the dead by the living, or by the next round.
        const children = [0, 1].map(() =>
          spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] }),
        );
        const texts = children.map((child) => {
          let text = "";
          child.stdout.on("data", (data: Buffer) => (text += data.toString()));
          return () => text;
        });
        // Until one of them has issued and revoked at least once, however busy the machine is.
        while (texts.every((text) => text().split("\n").length < 3)) await sleep(5);
        await sleep(Math.random() * 150);
        const gone = children.map(async (child) => await new Promise((resolve) => child.once("close", resolve)));
        for (const child of children) child.kill("SIGKILL");
        await Promise.all(gone);
        for (const text of texts) for (const line of text().split("\n").slice(0, -1)) said.add(line);
        const rows = new Map(
          (await (await openCa(path, { now, pause: sleep })).list()).map((r) => [r.serial, r.status]),
        );
        for (const line of said) {
          const [what, serial = ""] = line.split(" ");
          expect(rows.has(serial), line).toBe(true);
          if (what === "revoked") expect(rows.get(serial)).toBe("revoked");
        }
        // No serial number twice, and no row without its certificate.
        const kept = new Set(readdirSync(join(path, "issued")));
        for (const serial of rows.keys())
          expect(kept.has(`${serial}.pem`) || serial === ca.issuing.facts.serialHex).toBe(true);
      }
      expect(said.size).toBeGreaterThan(5);
      const last = await openCa(path, { now, pause: sleep });
      await last.issue({ csr, profile: "device" });
      expect(readdirSync(path).filter((name) => /tmp|old|free/.test(name))).toEqual([]);
    },
  );
});

function mustPem(der: Uint8Array): string {
  return mustOpenssl(["x509", "-inform", "DER"], der).toString();
}

test("what is kept of an issued certificate is its file", async () => {
  const { certificate, pem } = await ca.issue({ csr, profile: "device" });
  expect(readFileSync(join(folder, "issued", `${certificate.facts.serialHex}.pem`), "utf8")).toBe(pem);
});
