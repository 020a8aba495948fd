import { execFile } from "node:child_process";
import { X509Certificate, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";
import {
  createCrl,
  createCsr,
  crlToPem,
  estClient,
  findRevoked,
  initCa,
  listenEst,
  localAuthority,
  makeEstService,
  makeKeyPair,
  openRegister,
  parseCertificate,
  parseCrl,
  parseCsr,
  privateKeyToPem,
  readKeyFile,
  toPem,
  verifyChain,
  type CertificateAuthority,
  type TlsIdentity,
} from "@cipsec/pki";
import { alternate, compared, type Benchmark, type Contestant, type Row } from "./measure.ts";

const host = "127.36.17.1";

const rounds = 5;

/** Entries of the large revocation list: more than any plant revokes. */
const entries = 100_000;

const unit = "/s of processor time";

const now = (): Date => new Date();
const pause = (ms: number): Promise<void> => new Promise((done) => void setTimeout(done, ms));

/** Certificates made and judged, enrolments, and a large revocation list, by processor time: waits for the disk count for nobody. */
export const pki: Benchmark = {
  name: "pki",
  about:
    "certificates issued, judged and enrolled for, a revocation list of 100,000: beside OpenSSL, node:crypto and bare TLS",
  async run({ isFull = false, cases = ["issue", "verify", "est", "crl"] } = {}) {
    const folder = mkdtempSync(join(tmpdir(), "cipsec-bench-pki-"));
    try {
      const ca = await initCa(join(folder, "ca"), { name: "Benchmark", now, pause });
      const rows: Row[] = [];
      if (cases.includes("issue")) rows.push(...(await issuing(ca, folder, isFull ? 10_000 : 1000)));
      if (cases.includes("verify")) rows.push(...(await verifying(ca, folder)));
      if (cases.includes("est")) rows.push(...(await enrolling(ca, folder)));
      if (cases.includes("crl")) rows.push(...(await revoking(ca, folder)));
      return rows;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

/** From a request in a file to a certificate in the index, `before` others issued; `openssl ca` does as many in one process. */
async function issuing(ca: CertificateAuthority, folder: string, before: number): Promise<readonly Row[]> {
  const batch = 50;
  const files: string[] = [];
  for (let i = 0; i < batch; i += 1) {
    const { privateKey } = await makeKeyPair();
    const san = { ip: [`192.0.2.${i}`] };
    const csr = await createCsr({ subject: { commonName: `device ${i}` }, san, privateKey });
    files.push(join(folder, `${i}.csr`));
    writeFileSync(join(folder, `${i}.csr`), csr.pem);
  }
  const ours: Contestant = {
    name: "our authority",
    measure: async () =>
      await perProcessorSecond(batch, async () => {
        for (const file of files) await ca.issue({ profile: "device", csr: parseCsr(readFileSync(file)) });
      }),
  };
  const reference = await opensslAuthority(folder, files);
  const few = await alternate([ours, reference], rounds);
  const [first] = files;
  const csr = parseCsr(readFileSync(first ?? ""));
  for (let i = (await ca.list()).length; i < before; i += 1) await ca.issue({ profile: "device", csr });
  const many = await alternate([ours, reference], rounds);
  const row = (name: string, spreads: typeof few): Row =>
    compared({ name, unit: `certificates${unit}` }, spreads, ours.name, reference.name);
  return [row("issue, up to 250 before", few), row(`issue, ${before} before`, many)];
}

async function opensslAuthority(folder: string, requests: readonly string[]): Promise<Contestant> {
  const at = (name: string): string => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", at("o.key")];
  await openssl("req", "-x509", ...key, "-subj", "/CN=Benchmark", "-days", "99", "-out", at("o.pem"));
  writeFileSync(at("o.index"), "");
  writeFileSync(at("o.serial"), "1000");
  const lines = [
    "[ca]\ndefault_ca=a\n[a]",
    `database=${at("o.index")}\nserial=${at("o.serial")}\nnew_certs_dir=${folder}`,
    `certificate=${at("o.pem")}\nprivate_key=${at("o.key")}`,
    "default_md=sha256\ndefault_days=30\npolicy=p\nunique_subject=no\ncopy_extensions=copy\nx509_extensions=x\n[p]\ncommonName=supplied",
    "[x]\nbasicConstraints=critical,CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth",
  ];
  writeFileSync(at("o.conf"), `${lines.join("\n")}\n`);
  const words = ["ca", "-config", at("o.conf"), "-batch", "-notext", "-out", at("o.out"), "-infiles", ...requests];
  return {
    name: "openssl ca",
    measure: async () => requests.length / (await openssl(...words)),
  };
}

/** A leaf with what its peer sends, up to a root: never seen before, and again. */
async function verifying(ca: CertificateAuthority, folder: string): Promise<readonly Row[]> {
  const count = 60;
  const { publicKey } = await makeKeyPair();
  // The last 256 certificates are remembered: of these, those that were issued last. A block is used once, the oldest first.
  const ders: Uint8Array[] = [];
  for (let i = 0; i < (rounds + 1) * count; i += 1)
    ders.push((await ca.issue({ profile: "device", publicKey, subject: { commonName: `leaf ${i}` } })).certificate.der);
  const blocks = Array.from({ length: rounds }, (_, i) => ders.slice(i * count, (i + 1) * count));
  const same = ders.slice(rounds * count);
  const judge = (ders: readonly Uint8Array[]): void => {
    for (const der of ders) {
      const [leaf, issuing] = [parseCertificate(der), parseCertificate(ca.issuing.der)];
      const verdict = verifyChain({ leaf, chain: [issuing], anchors: [ca.root], time: now(), purpose: "server" });
      if (!verdict.ok) throw new RangeError(verdict.message);
    }
  };
  const files = same.map((der, i) => {
    writeFileSync(join(folder, `leaf-${i}.pem`), toPem(parseCertificate(der)));
    return join(folder, `leaf-${i}.pem`);
  });
  writeFileSync(join(folder, "root.pem"), toPem(ca.root));
  writeFileSync(join(folder, "issuing.pem"), toPem(ca.issuing));
  const words = ["verify", "-CAfile", join(folder, "root.pem"), "-untrusted", join(folder, "issuing.pem"), ...files];
  const contestants: readonly Contestant[] = [
    {
      name: "verifyChain, new",
      measure: async () => await perProcessorSecond(count, () => judge(blocks.shift() ?? [])),
    },
    {
      name: "verifyChain, again",
      async measure() {
        judge(same);
        return await perProcessorSecond(20 * count, () => {
          for (let i = 0; i < 20; i += 1) judge(same);
        });
      },
    },
    {
      name: "node:crypto",
      measure: async () =>
        await perProcessorSecond(count, () => {
          for (const der of same) {
            const [leaf, issuing] = [new X509Certificate(der), new X509Certificate(ca.issuing.der)];
            if (!leaf.verify(issuing.publicKey) || !issuing.verify(ca.root.publicKey)) throw new RangeError("not good");
          }
        }),
    },
    { name: "openssl verify", measure: async () => count / (await openssl(...words)) },
  ];
  const spreads = await alternate(contestants, rounds);
  const row = { unit: `chains${unit}` };
  return [
    compared(
      { ...row, name: "verify a new leaf, beside two bare signatures" },
      spreads,
      "verifyChain, new",
      "node:crypto",
    ),
    compared({ ...row, name: "verify a new leaf, beside openssl" }, spreads, "verifyChain, new", "openssl verify"),
    compared({ ...row, name: "verify the same again" }, spreads, "verifyChain, again", "node:crypto"),
  ];
}

/** A session with client certificate, a request, a certificate; both ends in this process, as of the bare sessions. */
async function enrolling(ca: CertificateAuthority, folder: string): Promise<readonly Row[]> {
  const count = 25;
  const server = await identity(ca, true);
  const device = await identity(ca, false);
  const register = await openRegister(join(folder, "est"), { now, pause });
  const many = Number.MAX_SAFE_INTEGER;
  const service = makeEstService({
    authority: localAuthority(ca),
    register,
    now,
    retryAfterS: 60,
    policy: () => ({ rules: [] }),
    callers: { vendorAnchors: [], realm: "benchmark" },
    limits: { burst: many, perMinute: many, failures: many },
  });
  const listener = await listenEst(service, { host, port: 0, ...server });
  const bare = await bareServer(ca, server);
  const client = estClient({
    url: `https://${host}:${listener.port}`,
    trust: { explicit: [ca.root, ca.issuing] },
    identity: { certificate: device },
    now,
    randomBytes: (octets) => new Uint8Array(randomBytes(octets)),
  });
  const { privateKey } = device;
  const subject = { commonName: "device" };
  try {
    const spreads = await alternate(
      [
        {
          name: "EST simplereenroll",
          measure: async () =>
            await perProcessorSecond(count, async () => {
              for (let i = 0; i < count; i += 1) {
                const answer = await client.reenroll(async ({ challengePassword = "" }) =>
                  createCsr({ subject, privateKey, challengePassword }),
                );
                if (answer.status !== "issued") throw new RangeError(answer.status);
              }
            }),
        },
        {
          name: "EST csrattrs",
          measure: async () =>
            await perProcessorSecond(count, async () => {
              for (let i = 0; i < count; i += 1) await client.csrattrs();
            }),
        },
        {
          name: "bare TLS",
          measure: async () =>
            await perProcessorSecond(count, async () => {
              for (let i = 0; i < count; i += 1) await bare.ask(device);
            }),
        },
      ],
      rounds,
    );
    const row = { unit: `requests${unit}` };
    return [
      compared({ ...row, name: "EST, an enrolment" }, spreads, "EST simplereenroll", "bare TLS"),
      compared({ ...row, name: "EST, csrattrs" }, spreads, "EST csrattrs", "bare TLS"),
    ];
  } finally {
    await listener.close();
    bare.close();
  }
}

async function identity(
  ca: CertificateAuthority,
  isServer: boolean,
): Promise<TlsIdentity & { readonly privateKey: TlsIdentity["key"] }> {
  const { privateKey, publicKey } = await makeKeyPair();
  const what = isServer ? ({ profile: "tool", server: true } as const) : ({ profile: "device" } as const);
  const san = isServer ? { ip: [host] } : {};
  const { chain } = await ca.issue({ ...what, publicKey, subject: { commonName: "device" }, san });
  return { chain, key: privateKey, privateKey };
}

/** As many octets each way in a session of its own, with the same certificates, TLS 1.3. */
async function bareServer(ca: CertificateAuthority, { chain, key }: TlsIdentity) {
  const anchors = [toPem(ca.root), toPem(ca.issuing)];
  const question = Buffer.alloc(900, 1);
  const answer = Buffer.alloc(1200, 2);
  const own = { cert: toPem(chain), key: privateKeyToPem(key), ca: anchors };
  const server = tls.createServer({ ...own, requestCert: true, rejectUnauthorized: true }, (socket) => {
    let seen = 0;
    socket.on("error", () => undefined);
    socket.on("data", (octets: Buffer) => {
      seen += octets.length;
      if (seen >= question.length) socket.end(answer);
    });
  });
  server.listen({ host, port: 0 });
  await once(server, "listening");
  const port = (server.address() as AddressInfo).port;
  return {
    async ask(device: TlsIdentity): Promise<void> {
      const named = { host, port, ca: anchors, servername: "", checkServerIdentity: () => undefined };
      const socket = tls.connect({ ...named, cert: toPem(device.chain), key: privateKeyToPem(device.key) });
      socket.on("secureConnect", () => socket.write(question));
      let octets = 0;
      socket.on("data", (chunk: Buffer) => (octets += chunk.length));
      await once(socket, "close");
      if (octets !== answer.length) throw new RangeError(`${octets} octets came`);
    },
    close: () => void server.close(),
  };
}

/** A list of 100,000 from its file to the word on one certificate, its signature checked. */
async function revoking(ca: CertificateAuthority, folder: string): Promise<readonly Row[]> {
  const { publicKey } = await makeKeyPair();
  const { certificate } = await ca.issue({ profile: "device", publicKey, subject: { commonName: "device" } });
  const at = (name: string): string => join(folder, name);
  const crl = await createCrl({
    issuer: ca.issuing,
    issuerKey: await readKeyFile(join(ca.folder, "issuing.key.pem")),
    number: 1,
    thisUpdate: now(),
    nextUpdate: new Date(Date.now() + 86_400_000),
    entries: Array.from({ length: entries }, () => ({
      serialHex: `40${randomBytes(15).toString("hex")}`,
      revokedAt: now(),
      reason: "superseded" as const,
    })),
  });
  writeFileSync(at("crl.pem"), crlToPem(crl));
  writeFileSync(at("device.pem"), toPem(certificate));
  writeFileSync(at("issuing.pem"), toPem(ca.issuing));
  writeFileSync(at("root.pem"), toPem(ca.root));
  const trust = ["-CAfile", at("root.pem"), "-untrusted", at("issuing.pem")];
  const question = { leaf: certificate, chain: [ca.issuing], anchors: [ca.root], purpose: "server" } as const;
  const contestants: readonly Contestant[] = [
    {
      name: "ours",
      measure: async () =>
        await perProcessorSecond(1, () => {
          const verdict = verifyChain({ ...question, crls: [parseCrl(readFileSync(at("crl.pem")))], time: now() });
          if (!verdict.ok) throw new RangeError(verdict.message);
        }),
    },
    {
      name: "openssl verify -crl_check",
      measure: async () =>
        1 / (await openssl("verify", ...trust, "-crl_check", "-CRLfile", at("crl.pem"), at("device.pem"))),
    },
  ];
  const spreads = await alternate(contestants, rounds);
  const read = parseCrl(readFileSync(at("crl.pem")));
  const asked = await perProcessorSecond(100_000, () => {
    for (let i = 0; i < 100_000; i += 1)
      if (findRevoked(read, certificate.facts.serialHex) !== undefined) throw new RangeError("revoked");
  });
  return [
    compared(
      { name: `list of ${entries}, loaded and checked`, unit: `lists${unit}` },
      spreads,
      "ours",
      "openssl verify -crl_check",
    ),
    { name: `a certificate looked up in it`, unit: `look-ups${unit}`, ours: { min: asked, median: asked, max: asked } },
  ];
}

/** How many of `count` things a second of this process's time does. */
async function perProcessorSecond(count: number, work: () => void | Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (count * 1e6) / (user + system);
}

/** Runs OpenSSL; the processor time that it took, in seconds. */
async function openssl(...words: readonly string[]): Promise<number> {
  return await new Promise((resolve, reject) => {
    const script = 'TIMEFORMAT="%U %S"; time openssl "$@"';
    execFile("bash", ["-c", script, "openssl", ...words], { maxBuffer: 64 * 1024 * 1024 }, (error, _stdout, stderr) => {
      const [, user, system] = /^(\d+[.,]\d+) (\d+[.,]\d+)$/m.exec(stderr) ?? [];
      if (error !== null || user === undefined || system === undefined)
        reject(new Error(`openssl ${words[0]} failed: ${stderr.slice(-500)}`, { cause: error }));
      else resolve(Math.max(0.001, Number(user.replace(",", ".")) + Number(system.replace(",", "."))));
    });
  });
}
