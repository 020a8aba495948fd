import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commission, parseTarget, type CommissionPlan, type SecurityOptions } from "@cipsec/originator";
import { initCa, makeKeyPair, parseCsr, type CertificateAuthority } from "@cipsec/pki";
import { readDescription, startTarget, type Target } from "@cipsec/target";

/** A plant's authority and its tool, in a folder that goes with the test. */
export interface Plant extends AsyncDisposable {
  readonly folder: string;
  readonly ca: CertificateAuthority;
  readonly security: SecurityOptions;
}

export async function makePlant(): Promise<Plant> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-assess-"));
  const ca = await initCa(join(folder, "ca"), { name: "test plant", now: () => new Date() });
  const keys = await makeKeyPair();
  const issued = await ca.issue({ profile: "tool", publicKey: keys.publicKey, subject: { commonName: "tool" } });
  return {
    folder,
    ca,
    security: { certificate: { chain: issued.chain, key: keys.privateKey }, anchors: [ca.root] },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

/** A real target, from the factory; `security: null` is a legacy one. */
export async function startDevice(folder: string, address: string, security: unknown = {}): Promise<Target> {
  return await startTarget({
    stateDir: join(folder, `state-${address}`),
    description: readDescription({
      name: `under-test-${address}`,
      identity: {
        vendorId: 0x1234,
        productCode: 7,
        revision: { major: 1, minor: 2 },
        serialNumber: 0xcafe,
        productName: "Under test",
      },
      address,
      ports: {},
      clock: true,
      security,
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

/** Commissions a device into the plant, with something of the plan changed. */
export async function commissionInto(
  plant: Plant,
  address: string,
  change: Partial<CommissionPlan> = {},
): Promise<void> {
  const { pem } = { pem: (await plant.ca.crl()).der };
  const crlPem = `-----BEGIN X509 CRL-----\n${Buffer.from(pem)
    .toString("base64")
    .replaceAll(/(.{64})/g, "$1\n")}\n-----END X509 CRL-----\n`;
  await commission(parseTarget(address), {
    plan: { ...goodPlan, crlPem, ...change },
    security: plant.security,
    acceptAny: true,
    issue: async (csr, { host }) => {
      const issued = await plant.ca.issue({ profile: "device", csr: parseCsr(csr), san: { ip: [host] } });
      return { certificatePem: issued.pem, caChainPem: String(plant.ca.export({ what: "anchors", as: "pem" })) };
    },
  });
}
