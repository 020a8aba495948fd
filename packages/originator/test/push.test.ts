import { execFile } from "node:child_process";
import { readFile as readDisk, writeFile as writeDisk } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileEncoding, FileObject } from "@cipsec/objects";
import {
  crlToPem,
  parseCertificate,
  parseCertificates,
  parseCrl,
  parsePrivateKey,
  privateKeyToPem,
  toPem,
  writePkcs7,
  type Certificate,
  type Crl,
} from "@cipsec/pki";
import type { Target } from "@cipsec/target";
import { CertificateEncoding, objectPath, type Segment } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  commission,
  configure,
  connect,
  putFile,
  readFile,
  readPosture,
  writeFile,
  type CommissionPlan,
  type SecurityOptions,
  type Session,
} from "../src/index.ts";
import { net } from "./addresses.ts";
import { certificatePlan, makePlant, startDevice, type Plant } from "./real-target.ts";

/*
 * One device with certificates for both types of key, and what is pushed to it over its life, judged by OpenSSL from outside:
 * chains, key types, revocation lists of another authority, transfers that break.
 */

const host = `${net}.61`;
const run = promisify(execFile);
let plant: Plant;
let device: Target;
/** A device that sends its leaf alone is verified by who knows the issuing authority. */
let security: SecurityOptions;

const plan: CommissionPlan = {
  ...certificatePlan,
  suites: [0x1301, 0xc02b, 0x003c, 0x003d],
  keyTypes: ["ecdsa", "rsa"],
  closePlaintext: false,
  checkExpiration: false,
};

beforeAll(async () => {
  plant = await makePlant();
  security = { ...plant.security, anchors: [plant.ca.root, plant.ca.issuing] };
  device = await startDevice({
    address: host,
    stateDir: join(plant.folder, "device"),
    security: { rsa: true, maxVersion: "TLSv1.3" },
  });
  await writeDisk(join(plant.folder, "tool.pem"), toPem(plant.tool.chain));
  await writeDisk(join(plant.folder, "tool.key"), privateKeyToPem(plant.tool.key), { mode: 0o600 });
});
afterAll(async () => {
  await device.stop();
  await plant[Symbol.asyncDispose]();
});

/** What `openssl s_client` sees of the device: the suite, and the chain as it was sent. */
async function seen(protocol: "-tls1_2" | "-tls1_3" | "-dtls1_2", how: "-cipher" | "-sigalgs", value: string) {
  const port = protocol === "-dtls1_2" ? device.ports.eipd : device.ports.eips;
  const files = ["-cert", join(plant.folder, "tool.pem"), "-key", join(plant.folder, "tool.key")];
  const child = run("openssl", [
    "s_client",
    protocol,
    how,
    value,
    "-showcerts",
    "-connect",
    `${host}:${port}`,
    ...files,
  ]);
  child.child.stdin?.end();
  const { stdout } = await child.catch((error: unknown) => ({ stdout: Object(error).stdout ?? "" }));
  const suite = /Cipher is (\S+)/.exec(stdout)?.[1];
  const pem = stdout.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return { suite, chain: parseCertificates(pem.join("\n")) };
}

const open = (): Promise<Session> => connect({ host }, { security });

test("a device gets certificates for both types of key, and the suite decides which one it shows, with its chain", async () => {
  const result = await commission(
    { host },
    {
      plan,
      issue: async (csr, context) => {
        const { certificatePem } = await plant.issue(csr, context);
        // All in one file, and not in the order of a handshake.
        const [leaf] = parseCertificates(certificatePem);
        return { certificatePem: toPem([plant.ca.issuing, leaf!]), caChainPem: toPem(plant.ca.root) };
      },
      security: plant.security,
      acceptAny: true,
    },
  );
  expect(result.deviceCertificates).toHaveLength(2);
  for (const protocol of ["-tls1_2", "-dtls1_2"] as const) {
    for (const [cipher, type] of [
      ["ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"],
      ["AES128-SHA256", "rsa"],
    ] as const) {
      const { suite, chain } = await seen(protocol, "-cipher", cipher);
      expect({ protocol, suite }).toEqual({ protocol, suite: cipher });
      expect(chain.map(({ facts }) => facts.keyType)).toEqual([type, "ecdsa"]);
      expect(chain[1]?.facts.sha256).toBe(plant.ca.issuing.facts.sha256);
    }
  }
  for (const [algorithm, type] of [
    ["ecdsa_secp256r1_sha256", "ecdsa"],
    ["rsa_pss_rsae_sha256", "rsa"],
  ] as const) {
    const { suite, chain } = await seen("-tls1_3", "-sigalgs", algorithm);
    expect({ suite, type: chain[0]?.facts.keyType }).toEqual({ suite: "TLS_AES_128_GCM_SHA256", type });
  }
});

test("PKCS#7 does as well as PEM, and without Send Certificate Chain the leaf goes alone", async () => {
  const crlPem = crlToPem([await plant.ca.crl(), await plant.ca.rootCrl()]);
  await commission(
    { host },
    {
      plan: { ...plan, encoding: "pkcs7", sendChain: false, crlPem, trustedIdentities: [toPem(plant.tool.chain)] },
      issue: (csr, context) => plant.issue(csr, context),
      security,
    },
  );
  for (const protocol of ["-tls1_2", "-dtls1_2"] as const)
    for (const cipher of ["ECDHE-ECDSA-AES128-GCM-SHA256", "AES128-SHA256"])
      expect((await seen(protocol, "-cipher", cipher)).chain).toHaveLength(1);
  await using session = await open();
  const instances = (await session.object(EtherNetIpSecurity, 1).get("activeDeviceCertificates")).map(instanceOf);
  for (const instance of instances)
    expect(await session.object(CertificateManagement, instance).get("encoding")).toBe(CertificateEncoding.pkcs7);
  const posture = await readPosture(session);
  expect(posture).toMatchObject({ sendChain: false, unread: [], trustedIdentities: [{ subject: "CN=tool" }] });
  expect(posture.deviceCertificates.map(({ keyType }) => keyType)).toEqual(["ecdsa", "rsa"]);
  expect(posture.crl).toHaveLength(2);
});

function instanceOf(path: readonly Segment[]): number {
  const last = path.at(-1);
  return last?.kind === "instance" ? last.value : 0;
}

const selfSignedRequest = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split(" ");

/** An authority of somebody else's, with one client of its own. */
async function otherPlant() {
  const at = (name: string): string => join(plant.folder, name);
  const make = (name: string, subject: string, ...more: readonly string[]) =>
    run("openssl", [
      ...selfSignedRequest,
      "-keyout",
      at(`${name}.key`),
      "-out",
      at(`${name}.pem`),
      "-subj",
      subject,
      ...more,
    ]);
  const ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
  await make("other", "/CN=Other CA", ...ca);
  const by = ["-CA", at("other.pem"), "-CAkey", at("other.key"), "-addext", "basicConstraints=critical,CA:FALSE"];
  await make("guest", "/CN=guest", ...by, "-addext", "extendedKeyUsage=clientAuth");
  const read = async (name: string): Promise<Certificate> => parseCertificate(await readDisk(at(`${name}.pem`)));
  const key = async (name: string) => parsePrivateKey(await readDisk(at(`${name}.key`)));
  const [issuer, guest] = [await read("other"), await read("guest")];
  const identity: SecurityOptions = {
    certificate: { chain: [guest], key: await key("guest") },
    anchors: [plant.ca.issuing],
    sendChain: false,
  };
  /** A list with this many strangers, and these. */
  const list = async (strangers: number, ...revoked: readonly Certificate[]): Promise<Crl> => {
    const serials = Array.from({ length: strangers }, (_, i) => `5A${i.toString(16).padStart(38, "0")}`);
    const all = [...serials, ...revoked.map(({ facts }) => facts.serialHex)];
    const row = (serial: string): string =>
      `R\t491231000000Z\t260101000000Z\t${serial.length % 2 === 0 ? "" : "0"}${serial}\tunknown\t/CN=x\n`;
    await writeDisk(at("index"), all.map(row).join("").toUpperCase().replaceAll("UNKNOWN", "unknown"));
    await writeDisk(at("index.attr"), "unique_subject = no\n");
    await writeDisk(at("number"), "01\n");
    const lines = ["[ca]", "default_ca = d", "[d]", `database = ${at("index")}`, `crlnumber = ${at("number")}`];
    await writeDisk(at("ca.cnf"), [...lines, "default_md = sha256", "default_crl_days = 30", ""].join("\n"));
    const by = ["-config", at("ca.cnf"), "-keyfile", at("other.key"), "-cert", at("other.pem")];
    await run("openssl", ["ca", "-gencrl", ...by, "-out", at("other.crl")]);
    return parseCrl(await readDisk(at("other.crl")));
  };
  return { issuer, guest, security: identity, list };
}

/** Whether somebody gets in by TLS and by DTLS. */
async function getsIn(as: SecurityOptions): Promise<readonly boolean[]> {
  const answers: boolean[] = [];
  for (const scheme of ["eips", "eipd"] as const) {
    try {
      await using session = await connect({ scheme, host }, { security: as });
      await session.object(EtherNetIpSecurity, 1).get("state");
      answers.push(true);
    } catch {
      answers.push(false);
    }
  }
  return answers;
}

test("a revocation list of 10,000 entries arrives over a connection that breaks, and counts with the next handshake", async () => {
  const other = await otherPlant();
  await using session = await open();
  const object = session.object(EtherNetIpSecurity, 1);
  const list = await configure(session, async (signal) => {
    const octets = writePkcs7({ certificates: [other.issuer.der] });
    const authority = await putFile(session, "other-ca", FileEncoding.pkcs7Certificate, octets, { signal });
    const small = await other.list(1);
    const file = await putFile(session, "other-crl", FileEncoding.pemCrl, Buffer.from(crlToPem(small)), { signal });
    const path = (instance: number) => objectPath(FileObject.classId, instance);
    await object.set("trustedAuthorities", [...(await object.get("trustedAuthorities")), path(authority)]);
    await object.set("certificateRevocationList", [...(await object.get("certificateRevocationList")), path(file)]);
    await object.set("trustedIdentities", []);
    return file;
  });
  expect(await getsIn(other.security)).toEqual([true, true]);

  const large = writePkcs7({ crls: [(await other.list(10_000, other.guest)).der] });
  expect(large.length).toBeGreaterThan(300_000);
  const before = session.generation;
  const seenOctets: number[] = [];
  await configure(session, (signal) =>
    writeFile(session, list, large, {
      signal,
      progress: (done) => {
        seenOctets.push(done);
        if (done > large.length / 3 && session.generation === before) session.drop();
      },
    }),
  );
  expect(session.generation).toBe(before + 1);
  // Gone on with, not begun again: no octet was confirmed twice.
  expect(seenOctets).toEqual([...new Set(seenOctets)].sort((a, b) => a - b));
  expect(await getsIn(other.security)).toEqual([false, false]);
  expect(await getsIn(security)).toEqual([true, true]);
  await using association = await connect({ scheme: "eipd", host }, { security });
  expect(Buffer.from(await readFile(association, list)).equals(large)).toBe(true);
});

test("what would lock everyone out is refused whole, by Apply_Config and by End_Config", async () => {
  await using session = await open();
  const object = session.object(EtherNetIpSecurity, 1);
  const [list] = await object.get("certificateRevocationList");
  const instance = instanceOf(list ?? []);
  const broken = configure(session, (signal) => writeFile(session, instance, Buffer.from("no list"), { signal }));
  await expect(broken).rejects.toMatchObject({ code: "cip/status", facts: { status: 0xd0, extended: "0x8001" } });
  expect(await getsIn(security)).toEqual([true, true]);
  await session.object(CipSecurity, 1).call("beginConfig");
  await writeFile(session, instance, Buffer.from("no list"));
  await expect(session.object(CipSecurity, 1).call("endConfig")).rejects.toMatchObject({ facts: { status: 0xd0 } });
  await writeFile(session, instance, Buffer.from(crlToPem(await plant.ca.crl())));
  await session.object(CipSecurity, 1).call("endConfig");
  expect(await getsIn(security)).toEqual([true, true]);
});

test("where nobody has proven who they are, a transfer ends with its connection and is begun anew", async () => {
  const address = `${net}.62`;
  await using _ = await startDevice({ address, stateDir: join(plant.folder, "fresh") });
  await using session = await connect({ scheme: "eip", host: address });
  await expect(configure(session, () => Promise.resolve())).rejects.toMatchObject({ code: "usage/state" });
  await session.object(CipSecurity, 1).call("beginConfig");
  const content = new Uint8Array(5000).fill(7);
  const seenOctets: number[] = [];
  const instance = await putFile(session, "notes", FileEncoding.binary, content, {
    progress: (done) => {
      seenOctets.push(done);
      if (seenOctets.length === 10) session.drop();
    },
  });
  expect(seenOctets.filter((done) => done === 240)).toHaveLength(2);
  const read: number[] = [];
  const back = await readFile(session, instance, {
    progress: (done) => {
      read.push(done);
      if (read.length === 10) session.drop();
    },
  });
  expect(back).toEqual(content);
  expect(read.filter((done) => done === read[0])).toHaveLength(2);
});

test("a device of an early edition gets key and revocation lists in its own layouts", async () => {
  const address = `${net}.63`;
  const stateDir = join(plant.folder, "early");
  await using _ = await startDevice({ address, stateDir, security: { earlyLayouts: true } });
  const psk = { identity: Buffer.from("cell"), key: new Uint8Array(32).fill(5) };
  const result = await commission(
    { host: address },
    {
      plan: {
        ...certificatePlan,
        suites: [0xc02b, 0xccac],
        psks: [psk],
        crlPem: crlToPem([await plant.ca.crl(), await plant.ca.rootCrl()]),
      },
      issue: (csr, context) => plant.issue(csr, context),
      security,
      acceptAny: true,
    },
  );
  expect(result).toMatchObject({ after: { cipState: "configured" }, skipped: [] });
  await using session = await connect({ host: address }, { security: { psk, suites: [0xccac] } });
  const posture = await readPosture(session);
  expect(posture.crl).toHaveLength(2);
  expect(posture.preSharedKeys).toEqual([{ identity: "cell", usage: 2 }]);
  expect(posture.unread.map(({ what }) => what)).toEqual(["checkSubjectAlternativeName"]);
});
