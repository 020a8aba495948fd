import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import type { Certificate, KeyType } from "@cipsec/pki";
import { PeerError, UsageError } from "@cipsec/wire";
import { CertificateWork } from "./commission-certificate.ts";
import type { CommissionOptions } from "./commission.ts";
import { configure } from "./configure.ts";
import { readIdentity } from "./posture.ts";
import type { Session } from "./session.ts";
import { bestEffort, readCertificates } from "./settings.ts";

/** How a certificate is issued anew. */
export interface ReissueOptions {
  /** Signs the device's request. */
  readonly issue: NonNullable<CommissionOptions["issue"]>;
  /** Begins the names of certificates and files; default `reissued`. */
  readonly label?: string;
  readonly signal?: AbortSignal;
}

/**
 * Gives a configured device new keys with new certificates, of the types that it has, and nothing else: suites, ports and checks stay,
 * connections stay open, and new handshakes show the new certificate. It trusts the authorities that come with it beside those that it
 * trusts already.
 *
 * @returns The new certificates; the first is the one to name.
 * @throws {PeerError} `cip/status`; `cip/mismatch` when the device finds a certificate bad. {@link UsageError} `usage/state`
 * @see reference cip-security.md 3.5
 */
export async function reissueCertificate(session: Session, options: ReissueOptions): Promise<readonly Certificate[]> {
  const object = session.object(EtherNetIpSecurity, 1);
  const identity = await readIdentity(session);
  const keyTypes = await keyTypesOf(session);
  const wish = {
    issue: options.issue,
    plan: { label: options.label ?? "reissued", ...(keyTypes.length > 1 ? { keyTypes } : {}) },
  };
  const work = new CertificateWork(wish, session.facts.remote.address);
  const suites = await object.get("allowedCipherSuites");
  const trusted = await object.get("trustedAuthorities");
  await configure(
    session,
    async (signal) => {
      await work.create(session, []);
      await work.request(session, signal);
      // Making keys of a type goes by the suites; the device's own come back.
      await object.set("allowedCipherSuites", suites);
      await work.sign({ identity });
      await work.install(session, [], signal);
      await work.verify(session);
      await object.set("activeDeviceCertificates", work.instancePaths);
      await object.set("trustedAuthorities", [...trusted, ...work.instancePaths.slice(0, 1)]);
    },
    options.signal,
  );
  await bestEffort(session.object(CipSecurity, 1).call("objectCleanup"));
  const [first] = await object.get("activeDeviceCertificates");
  const [shown] = first === undefined ? [] : await readCertificates(session, first, "deviceCertificate");
  if (shown?.facts.sha256 !== work.issued[0]?.facts.sha256)
    throw new PeerError("cip/mismatch", "the device does not hold the certificate that was brought to it", {
      fix: "Read it with 'cipsec posture', and try again.",
    });
  return work.issued;
}

/** Types of key of the certificates that a device shows. @throws {UsageError} `usage/state` where it shows none */
async function keyTypesOf(session: Session): Promise<readonly KeyType[]> {
  const paths = await session.object(EtherNetIpSecurity, 1).get("activeDeviceCertificates");
  const types: KeyType[] = [];
  for (const path of paths) {
    const [leaf] = await readCertificates(session, path, "deviceCertificate");
    if (leaf !== undefined && leaf.facts.keyType !== "other") types.push(leaf.facts.keyType);
  }
  if (types.length === 0)
    throw new UsageError("usage/state", "the device has no certificate of its own to be issued anew", {
      fix: "Commission it: cipsec commission TARGET.",
    });
  return types;
}
