import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll } from "vitest";
import {
  initCa,
  listenEst,
  localAuthority,
  makeEstService,
  makeKeyPair,
  openRegister,
  toPem,
  type CertificateAuthority,
  type EnrolPolicy,
  type EstListener,
  type Register,
} from "@cipsec/pki";
import type { SecuritySettingsInput } from "../src/security/security.ts";
import { temporaryFolder } from "./security-device.ts";

const pause = async (ms: number): Promise<void> => await sleep(ms);

/** A plant with an EST server, and a maker of devices. */
export interface Plant {
  readonly ca: CertificateAuthority;
  readonly vendor: CertificateAuthority;
  readonly register: Register;
  readonly listener: EstListener;
  /** May be exchanged while the server runs. */
  policy: EnrolPolicy;
}

/** Who has a birth certificate gets one of the plant; with its subject and without other names, as tests share those. */
export const issueToAll: EnrolPolicy = {
  rules: [{ name: "all", callers: ["birth"], action: "issue", days: 90 }],
  renewDays: 90,
};

/** Starts an EST server at this address by the caller's clock, until the file's tests are over. */
export async function startPlant(host: string, now: () => Date, names: readonly string[] = []): Promise<Plant> {
  const folder = temporaryFolder();
  const ca = await initCa(join(folder, "ca"), { name: "Plant", now, pause });
  const vendor = await initCa(join(folder, "vendor"), { name: "Vendor", now, pause });
  const register = await openRegister(join(folder, "est"), { now, pause });
  const made = { policy: issueToAll };
  const service = makeEstService({
    register,
    now,
    retryAfterS: 60,
    authority: localAuthority(ca),
    policy: () => made.policy,
    callers: { vendorAnchors: [vendor.root], realm: "est" },
  });
  const { privateKey, publicKey } = await makeKeyPair();
  const subject = { commonName: "est" };
  const { chain } = await ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject,
    san: { ip: [host], dns: [...names] },
    days: 300,
  });
  const listener = await listenEst(service, { host, port: 0, chain, key: privateKey });
  afterAll(async () => await listener.close());
  return Object.assign(made, { ca, vendor, register, listener });
}

/** A device from the box: the maker's certificate for its serial number. */
export async function birth(
  { vendor }: Pick<Plant, "vendor">,
  serialNumber = "0000ABCD",
): Promise<Extract<SecuritySettingsInput["defaultCertificate"], { kind: "vendor" }>> {
  const { privateKey, publicKey } = await makeKeyPair();
  const subject = { organization: "Vendor", commonName: `Test device ${serialNumber}`, serialNumber };
  const { chainPem } = await vendor.issue({ profile: "vendor-device", publicKey, subject, days: 3650 });
  return { kind: "vendor", chainPem, keyPem: privateKey.export({ type: "pkcs8", format: "pem" }) };
}

/** What a device is told of this plant: where its server is, and its root. */
export function pullOf({ listener, ca }: Plant): NonNullable<SecuritySettingsInput["pull"]> {
  return {
    url: `https://${listener.host}:${listener.port}`,
    service: "_est._tcp",
    dnsServers: [],
    mdns: false,
    timeoutMs: 20_000,
    anchors: [ca.root],
    trustOnFirstUse: false,
  };
}

export const rootPem = ({ ca }: Plant): string => toPem([ca.root]);

/** Waits until something is so; a held-up machine has time. What was `seen` by then is told where it never is. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  seen: readonly string[] = [],
  limitMs = 20_000,
): Promise<void> {
  for (let waited = 0; !(await isSo()); waited += 5) {
    if (waited > limitMs) throw new Error(`not within ${limitMs} ms: ${what}; seen: ${seen.join(" ")}`);
    await sleep(5);
  }
}
