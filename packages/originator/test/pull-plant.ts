import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  initCa,
  listenEst,
  localAuthority,
  makeEstService,
  makeKeyPair,
  openRegister,
  parseCsr,
  privateKeyToPem,
  toPem,
  type Certificate,
  type CertificateAuthority,
  type EnrolPolicy,
  type Register,
} from "@cipsec/pki";
import { systemClock, type Clock } from "@cipsec/transport";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import type { IssuedPem, PullOptions, SecurityOptions } from "../src/index.ts";

/** A plant with an EST server, and a maker of devices; all of it goes with the test. */
export interface PullPlant extends AsyncDisposable {
  readonly folder: string;
  readonly ca: CertificateAuthority;
  readonly vendor: CertificateAuthority;
  readonly register: Register;
  readonly url: string;
  readonly security: SecurityOptions;
  issue(csrPem: string): Promise<IssuedPem>;
  /** May be exchanged while the server runs. */
  policy: EnrolPolicy;
}

/** Every birth certificate gets one of the plant, with the names that the device asks for. */
export const issueToAll: EnrolPolicy = {
  rules: [{ name: "all", callers: ["birth"], action: "issue", takeNames: "request" }],
};

export async function makePullPlant(host: string): Promise<PullPlant> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-pull-"));
  const options = { now: () => new Date(), pause: async (ms: number): Promise<void> => await sleep(ms) };
  const ca = await initCa(join(folder, "ca"), { name: "Plant", ...options });
  const vendor = await initCa(join(folder, "vendor"), { name: "Vendor", ...options });
  const register = await openRegister(join(folder, "est"), options);
  const made = { policy: issueToAll };
  const service = makeEstService({
    register,
    now: options.now,
    retryAfterS: 1,
    authority: localAuthority(ca),
    policy: () => made.policy,
    callers: { vendorAnchors: [vendor.root], realm: "est" },
  });
  const server = await makeKeyPair();
  const subject = { commonName: "est" };
  const { chain } = await ca.issue({
    profile: "tool",
    server: true,
    publicKey: server.publicKey,
    subject,
    san: { ip: [host] },
  });
  const listener = await listenEst(service, { host, port: 0, chain, key: server.privateKey });
  const tool = await makeKeyPair();
  const issued = await ca.issue({ profile: "tool", publicKey: tool.publicKey, subject: { commonName: "tool" } });
  return Object.assign(made, {
    folder,
    ca,
    vendor,
    register,
    url: `https://${host}:${listener.port}`,
    security: { certificate: { chain: issued.chain, key: tool.privateKey }, anchors: [ca.root] },
    async issue(csrPem: string) {
      const { pem } = await ca.issue({ profile: "device", csr: parseCsr(csrPem) });
      return { certificatePem: pem, caChainPem: String(ca.export({ what: "anchors", as: "pem" })) };
    },
    async [Symbol.asyncDispose]() {
      await listener.close();
      await rm(folder, { recursive: true, force: true });
    },
  });
}

/** The machine's clock for a device, which can be told that time has passed. */
export interface PushedClock extends Clock {
  pass(ms: number): void;
}

export function pushedClock(): PushedClock {
  let ahead = 0;
  const clock: PushedClock = {
    ...systemClock,
    now: () => performance.now() + ahead,
    after(ms, run) {
      const at = clock.now() + ms;
      const timer = setInterval(() => {
        if (clock.now() < at) return;
        clearInterval(timer);
        run();
      }, 10);
      return () => clearInterval(timer);
    },
    pass: (ms) => (ahead += ms),
  };
  return clock;
}

/** A device from its box. */
export interface PullDeviceWish {
  readonly address: string;
  /** Default 0x0000ABCD. */
  readonly serialNumber?: number;
  /** What stands in the birth certificate; default the device's own. `null`: it has none of its maker. */
  readonly birth?: { readonly serialNumber?: string | null; readonly commonName?: string } | null;
  /** More of `security.pull`; `null`: without the pull model. */
  readonly pull?: Readonly<Record<string, unknown>> | null;
  readonly ports?: unknown;
  /** What it knows its EST server by; default the plant's root. */
  readonly anchors?: readonly Certificate[];
  /** Whose certificate it has; default the plant's vendor. */
  readonly maker?: CertificateAuthority;
}

export async function startPullDevice(
  plant: PullPlant,
  clock: Clock,
  {
    address,
    serialNumber = 0xabcd,
    birth = {},
    pull = {},
    ports = {},
    maker = plant.vendor,
    anchors = [plant.ca.root],
  }: PullDeviceWish,
): Promise<Target> {
  const stateDir = join(plant.folder, address);
  const file = (name: string): string => join(plant.folder, `${address}-${name}`);
  const serial = serialNumber.toString(16).toUpperCase().padStart(8, "0");
  if (birth !== null) {
    const { privateKey, publicKey } = await makeKeyPair();
    const { commonName = `Under test ${serial}`, serialNumber: named = serial } = birth;
    const names = { organization: "Vendor", commonName };
    // A sound maker's authority does not issue the second: another one's might.
    const wish =
      named === null
        ? ({ profile: "device", subject: names } as const)
        : ({ profile: "vendor-device", subject: { ...names, serialNumber: named } } as const);
    const { chainPem } = await maker.issue({ ...wish, publicKey });
    await writeFile(file("birth.pem"), chainPem);
    await writeFile(file("birth.key"), privateKeyToPem(privateKey), { mode: 0o600 });
  }
  await writeFile(file("anchors.pem"), toPem(anchors));
  return await startTarget({
    stateDir,
    clock,
    description: readDescription({
      name: "under test",
      identity: {
        vendorId: 0x1234,
        productCode: 7,
        revision: { major: 1, minor: 2 },
        serialNumber,
        productName: "Under test",
      },
      address,
      ports,
      security: {
        ...(birth === null ? {} : { defaultCertificate: { certificate: file("birth.pem"), key: file("birth.key") } }),
        ...(pull === null ? {} : { pull: { url: plant.url, anchors: file("anchors.pem"), ...pull } }),
      },
    }),
  });
}

/** Options of a commissioning by pull in which the device's time passes as soon as it waits. */
export function pullOptions(
  plant: PullPlant,
  clock: PushedClock,
  more: Partial<PullOptions> = {},
): PullOptions & { readonly phases: readonly string[] } {
  const phases: string[] = [];
  return {
    security: plant.security,
    vendorAnchors: [plant.vendor.root],
    requireVendor: true,
    waitMs: 60_000,
    pollMs: 20,
    ...more,
    phases,
    progress(progress) {
      phases.push(progress.phase);
      if (progress.phase === "waiting") clock.pass(5000);
      more.progress?.(progress);
    },
  };
}
