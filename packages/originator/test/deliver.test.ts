import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  beginRollover,
  crlToPem,
  openCa,
  publishedCrls,
  switchRollover,
  toPem,
  withdrawRollover,
  type Certificate,
  type CertificateAuthority,
} from "@cipsec/pki";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  commission,
  connect,
  deliverTrust,
  readPosture,
  reissueCertificate,
  type IssueContext,
  type IssuedPem,
  type SecurityOptions,
  type Session,
} from "../src/index.ts";
import { net } from "./addresses.ts";
import { certificatePlan, makePlant, startDevice, type Plant } from "./real-target.ts";

/* One device over a change of its plant's root, reached as the plant's tool reaches it. */

const host = `${net}.81`;
const now = (): Date => new Date();
let plant: Plant;
let device: Target;
let ca: CertificateAuthority;
let security: SecurityOptions;

beforeAll(async () => {
  plant = await makePlant();
  ca = await openCa(join(plant.folder, "ca"), { now });
  device = await startDevice({ address: host, stateDir: join(plant.folder, "device") });
  security = { ...plant.security, anchors: [ca.root] };
  await commission(
    { host },
    {
      plan: { ...certificatePlan, crlPem: crlToPem(await ca.crl()) },
      issue: (csr, context) => plant.issue(csr, context),
      security,
      acceptAny: true,
    },
  );
});
afterAll(async () => {
  await device.stop();
  await plant[Symbol.asyncDispose]();
});

const open = (as: SecurityOptions = security): Promise<Session> => connect({ host }, { security: as });

/** A tool with a certificate of the authority that issues now. */
async function newTool(): Promise<SecurityOptions & { certificate: NonNullable<SecurityOptions["certificate"]> }> {
  const { publicKey } = plant.tool.chain[0]!;
  const issued = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "tool" } });
  return { certificate: { chain: issued.chain, key: plant.tool.key }, anchors: ca.anchors };
}

test("a new list takes the old one's place, and counts with the next handshake; the same again is not brought", async () => {
  const { publicKey } = plant.tool.chain[0]!;
  const stranger = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "lost laptop" } });
  const lost: SecurityOptions = { certificate: { chain: stranger.chain, key: plant.tool.key }, anchors: [ca.root] };
  await (await open(lost)).close();
  await ca.revoke(stranger.certificate.facts.serialHex, "keyCompromise");
  const { lists } = await publishedCrls(ca, { now });
  await using session = await open();
  const files = async (): Promise<number> => (await readdir(join(plant.folder, "device"), { recursive: true })).length;
  const before = await files();
  expect(await deliverTrust(session, { crls: lists }, { own: plant.tool.chain })).toMatchObject({
    outcome: "delivered",
    crls: [{ sha256: lists[0]?.sha256 }],
  });
  expect(await deliverTrust(session, { crls: lists })).toMatchObject({ outcome: "already" });
  await expect(open(lost)).rejects.toMatchObject({ code: expect.stringMatching(/^(tls|trust|transport)\//) });
  await (await open()).close();
  // The file of the old list is gone with it.
  expect(await files()).toBe(before);
});

test("the new root is trusted beside the old one; who has a certificate of either gets in", async () => {
  await beginRollover(ca.folder, "root", { now });
  await ca.refresh();
  await using session = await open();
  const delivered = await deliverTrust(session, { add: ca.anchors, crls: (await publishedCrls(ca, { now })).lists });
  expect(delivered).toMatchObject({ outcome: "delivered", authorities: { length: 4 }, crls: { length: 2 } });
  expect(session.isConnected).toBe(true);
  await switchRollover(ca.folder, { now });
  const tool = await newTool();
  expect(ca.root.facts.sha256).not.toBe(security.anchors?.[0]?.facts.sha256);
  await (await open(tool)).close();
  await (await open()).close();
});

test("reissued by the new one, the device lets go of the old one; not with a certificate that it would then refuse", async () => {
  const tool = await newTool();
  const old = ca.inService.other;
  const gone = [old?.root, old?.issuing].map((one) => one?.facts.sha256);
  const drop = ({ facts }: Certificate): boolean => gone.includes(facts.sha256);
  await using asOld = await open();
  await expect(deliverTrust(asOld, { drop }, { own: plant.tool.chain })).rejects.toMatchObject({ code: "usage/state" });
  const issue = async (csr: string, context: IssueContext): Promise<IssuedPem> => ({
    certificatePem: (await plant.issue(csr, context)).certificatePem,
    caChainPem: toPem(ca.bundle),
  });
  const before = await readPosture(asOld);
  const [certificate] = await reissueCertificate(asOld, { issue });
  expect(certificate?.facts.issuer).toContain("Issuing CA 2");
  const after = await readPosture(asOld);
  expect(after.deviceCertificate).toMatchObject({ sha256: certificate?.facts.sha256 });
  // Nothing else has changed.
  expect({ ...after, deviceCertificate: 0, deviceCertificates: 0, trustedAuthorities: 0, findings: 0 }).toEqual({
    ...before,
    deviceCertificate: 0,
    deviceCertificates: 0,
    trustedAuthorities: 0,
    findings: 0,
  });
  // Who knows only the old root still finds the way to the device, by the link in its chain.
  await (await open({ ...tool, anchors: security.anchors ?? [] })).close();
  await using session = await open(tool);
  const result = await deliverTrust(session, { drop }, { own: tool.certificate.chain });
  expect(result.authorities.some(drop)).toBe(false);
  await (await open(tool)).close();
  await expect(open()).rejects.toMatchObject({ code: expect.stringMatching(/^(tls|trust|transport)\//) });
  await withdrawRollover(ca.folder, { now, force: true });
  await ca.refresh();
  await using last = await open({ ...tool, anchors: ca.anchors });
  const posture = await readPosture(last);
  expect(posture.deviceCertificate?.issuer).toContain("Issuing CA 2");
  expect(posture.unread).toEqual([]);
});
