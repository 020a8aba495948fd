import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  assemblyPath,
  commission,
  parseTarget,
  type CommissionPlan,
  type IoRequest,
  type SecurityOptions,
} from "@cipsec/originator";
import {
  initCa,
  makeKeyPair,
  parseCsr,
  privateKeyToPem,
  type Certificate,
  type CertificateAuthority,
} from "@cipsec/pki";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import {
  assess,
  createRun,
  endpointChecks,
  newRunId,
  openEndpoint,
  runChecks,
  type Assessment,
  type EndpointSubject,
  type SecurityLevel,
  type VerdictWord,
} from "../src/index.ts";

/** A plant's authority and its tool, in a folder that goes with the test. */
export interface Plant extends AsyncDisposable {
  readonly folder: string;
  readonly ca: CertificateAuthority;
  readonly issuing: Certificate;
  readonly security: SecurityOptions;
  /** The supplier's root, and a factory certificate of it as files. */
  readonly supplier: { readonly root: Certificate; readonly certificate: string; readonly key: string };
}

export async function makePlant(): Promise<Plant> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-assess-"));
  const ca = await initCa(join(folder, "ca"), { name: "test plant", now: () => new Date() });
  const keys = await makeKeyPair();
  const issued = await ca.issue({ profile: "tool", publicKey: keys.publicKey, subject: { commonName: "tool" } });
  const [, issuing] = issued.chain;
  if (issuing === undefined) throw new Error("an authority whose certificates have no chain");
  return {
    folder,
    ca,
    issuing,
    supplier: await makeSupplier(folder),
    security: { certificate: { chain: issued.chain, key: keys.privateKey }, anchors: [ca.root] },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

async function makeSupplier(folder: string): Promise<Plant["supplier"]> {
  const ca = await initCa(join(folder, "supplier"), { name: "test supplier", now: () => new Date() });
  const keys = await makeKeyPair();
  const subject = { commonName: "Under test", serialNumber: "0000CAFE" };
  const issued = await ca.issue({ profile: "vendor-device", publicKey: keys.publicKey, subject });
  const [certificate, key] = [join(folder, "factory.pem"), join(folder, "factory.key")];
  await writeFile(certificate, issued.chainPem);
  await writeFile(key, privateKeyToPem(keys.privateKey), { mode: 0o600 });
  return { root: ca.root, certificate, key };
}

/** What a device has beside its name and address. */
export interface DeviceWish {
  readonly security?: unknown;
  readonly ports?: object;
  readonly limits?: object;
  readonly faultState?: string;
  readonly serialNumber?: number;
  /** Connections that only listen to the inputs, at a time. */
  readonly watchers?: number;
}

/** Outputs that a test may move: 8 octets of assembly 150, and as many inputs. */
export const outputs: IoRequest = {
  oToT: { rpiMicros: 20_000, size: 8 },
  tToO: { rpiMicros: 20_000, size: 8 },
  path: assemblyPath({ configuration: 151, oToT: 150, tToO: 100 }),
};

/** A connection that moves nothing: the same inputs, and a heartbeat. */
export const inputs: IoRequest = {
  oToT: { rpiMicros: 20_000, size: 0 },
  tToO: { rpiMicros: 20_000, size: 8 },
  path: assemblyPath({ configuration: 151, oToT: 254, tToO: 100 }),
};

/** A real target, from the factory; `security: null` is a legacy one. */
export async function startDevice(folder: string, address: string, wish: DeviceWish = {}): Promise<Target> {
  const { security = {}, ports = {}, limits, faultState = "zero", serialNumber = 0xcafe, watchers = 64 } = wish;
  return await startTarget({
    stateDir: join(folder, `state-${address}`),
    description: readDescription({
      name: `under-test-${address}`,
      identity: {
        vendorId: 0x1234,
        productCode: 7,
        revision: { major: 1, minor: 2 },
        serialNumber,
        productName: "Under test",
      },
      address,
      ports,
      clock: true,
      // A busy machine: what a check has begun must not end between two of its requests.
      security: security === null ? null : { configTimerS: 60, ...Object(security) },
      assemblies: [
        { instance: 100, kind: "input", size: 8, name: "inputs" },
        { instance: 150, kind: "output", size: 8, name: "outputs", faultState },
        { instance: 151, kind: "configuration", size: 0, name: "nothing" },
      ],
      connections: [
        { name: "owner", type: "exclusive-owner", consume: 150, produce: 100, configuration: 151 },
        { name: "watcher", type: "input-only", produce: 100, configuration: 151, maxConnections: watchers },
      ],
      // Few I/O connections, so that they are soon all open.
      limits: { ioConnections: 24, ioConnectionsPerOriginator: 12, ...limits },
    }),
  });
}

export const goodPlan: CommissionPlan = {
  label: "plant",
  suites: [0xc02b, 0xc02c],
  verifyClient: true,
  sendChain: true,
  checkExpiration: true,
  checkSan: false,
  dtlsTimeoutS: 20,
  closePlaintext: true,
};

/** A busy machine, with forty devices in one process. */
const patient = { connectTimeoutMs: 30_000, requestTimeoutMs: 30_000 } as const;

/** Commissions a device into the plant, with something of the plan changed. */
export async function commissionInto(
  plant: Plant,
  address: string,
  change: Partial<CommissionPlan> = {},
  hasCrl = true,
): Promise<void> {
  const { pem } = { pem: (await plant.ca.crl()).der };
  const crlPem = `-----BEGIN X509 CRL-----\n${Buffer.from(pem)
    .toString("base64")
    .replaceAll(/(.{64})/g, "$1\n")}\n-----END X509 CRL-----\n`;
  await commission(parseTarget(address), {
    connect: patient,
    plan: { ...goodPlan, ...(hasCrl ? { crlPem } : {}), ...change },
    security: plant.security,
    acceptAny: true,
    issue: async (csr, { host }) => {
      const issued = await plant.ca.issue({ profile: "device", csr: parseCsr(csr), san: { ip: [host] } });
      return { certificatePem: issued.pem, caChainPem: String(plant.ca.export({ what: "anchors", as: "pem" })) };
    },
  });
}

/** What a subject is, where it differs from a trusted tool's view of a device that may be changed. */
export type SubjectWish = Partial<Parameters<typeof openEndpoint>[0]>;

export async function subjectAt(plant: Plant, address: string, wish: SubjectWish = {}): Promise<EndpointSubject> {
  return await openEndpoint({
    target: { host: address },
    security: plant.security,
    authority: join(plant.folder, "ca"),
    disruptive: false,
    // A busy machine, with forty devices in one process.
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    ...wish,
  });
}

/** Runs some of the checks, and judges what they find. */
export async function assessed(
  plant: Plant,
  subject: EndpointSubject,
  wanted: (id: string) => boolean,
  level: SecurityLevel = 2,
): Promise<Assessment> {
  const checks = endpointChecks.filter(({ id }) => wanted(id));
  const now = new Date();
  const plan = {
    id: newRunId(now),
    kind: "endpoint" as const,
    subject: subject.facts,
    level,
    type: "embedded" as const,
    disruptive: subject.disruptive,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: { name: "cipsec", version: "0", runtime: "", crypto: "", system: "" },
    operator: "test",
    options: {},
    attestations: [],
  };
  const run = await createRun(join(plant.folder, "runs"), plan);
  return assess(plan, await runChecks(run, checks, subject), new Date().toISOString());
}

/** The protocol's part where a requirement is split: the product's is for its maker to show. */
export function partsOf({ verdicts }: Pick<Assessment, "verdicts">): Readonly<Record<string, VerdictWord>> {
  return Object.fromEntries(
    verdicts
      .filter(({ checks }) => checks.length > 0)
      .map(({ requirement, parts, verdict }) => [
        requirement,
        parts.find(({ part }) => part === "protocol")?.verdict ?? verdict,
      ]),
  );
}
