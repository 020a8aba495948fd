import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { initCa, makeKeyPair, parseCsr, type Certificate, type CertificateAuthority, type KeyPair } from "@cipsec/pki";
import { readDescription, startTarget, type Target, type TargetOptions } from "@cipsec/target";
import type { CommissionPlan, IssueContext, IssuedPem, SecurityOptions } from "../src/index.ts";

/** A plant's authority with the tool's own certificate, in a folder that goes with the test. */
export interface Plant extends AsyncDisposable {
  readonly folder: string;
  readonly ca: CertificateAuthority;
  readonly tool: { readonly chain: readonly Certificate[]; readonly key: KeyPair["privateKey"] };
  readonly security: SecurityOptions;
  issue(csrPem: string, context: IssueContext): Promise<IssuedPem>;
}

export async function makePlant(): Promise<Plant> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-originator-"));
  const ca = await initCa(join(folder, "ca"), { name: "test plant", now: () => new Date() });
  const keys = await makeKeyPair();
  const issued = await ca.issue({ profile: "tool", publicKey: keys.publicKey, subject: { commonName: "tool" } });
  const tool = { chain: issued.chain, key: keys.privateKey };
  return {
    folder,
    ca,
    tool,
    security: { certificate: tool, anchors: [ca.root] },
    async issue(csrPem) {
      const { pem } = await ca.issue({ profile: "device", csr: parseCsr(csrPem) });
      return { certificatePem: pem, caChainPem: String(ca.export({ what: "anchors", as: "pem" })) };
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

export interface DeviceWish {
  readonly address: string;
  readonly stateDir: string;
  readonly security?: unknown;
  readonly clock?: boolean;
  readonly ports?: unknown;
  readonly onEvent?: NonNullable<TargetOptions["onEvent"]>;
}

export function startDevice({
  address,
  stateDir,
  security = {},
  clock = true,
  ports = {},
  onEvent,
}: DeviceWish): Promise<Target> {
  return startTarget({
    stateDir,
    ...(onEvent === undefined ? {} : { onEvent }),
    description: readDescription({
      name: "under test",
      identity: {
        vendorId: 0x1234,
        productCode: 7,
        revision: { major: 1, minor: 2 },
        serialNumber: 0xcafe,
        productName: "Under test",
      },
      address,
      ports,
      clock,
      security,
    }),
  });
}

export const certificatePlan: CommissionPlan = {
  label: "plant",
  suites: [0xc02b, 0xc02c],
  verifyClient: true,
  sendChain: true,
  checkExpiration: true,
  checkSan: false,
  dtlsTimeoutS: 20,
  closePlaintext: true,
};
