import { keyFacts, samePublicKey, verifyChain } from "@cipsec/pki";
import { CertificateStatus } from "@cipsec/wire";
import type { Configuration } from "./configuration.ts";
import type { Inventory } from "./inventory.ts";

/** What Verify_Certificate finds: a value of `CertificateStatus`, and for the log why it is not "verified". */
export interface CertificateFinding {
  readonly status: number;
  readonly reason: string;
}

/**
 * Judges the device certificate of an instance: it belongs to the private key, and the instance's CA certificate leads to it.
 *
 * @param now Absent on a device without a clock: days are then not judged.
 */
export function verifyDevice(
  configuration: Configuration,
  instance: number,
  inventory: Inventory,
  now: Date | undefined,
): CertificateFinding {
  const entry = configuration.certificates.get(instance);
  const held = inventory.certificatesIn(configuration, entry?.device.file);
  const anchors = inventory.certificatesIn(configuration, entry?.authority.file);
  const key = inventory.key(configuration, instance);
  // In PKCS#7 the order says nothing: the device's own certificate is the one of its key.
  const leaf = held.find(({ publicKey }) => key !== undefined && samePublicKey(publicKey, key)) ?? held[0];
  if (entry?.device.file === undefined) return notVerified("no device certificate is linked");
  if (leaf === undefined) return invalid("the device certificate's file holds no certificate");
  if (key === undefined) return invalid("the instance has no private key: Create_CSR was not called");
  if (anchors.length === 0) return notVerified("no CA certificate to verify the device certificate with");
  const verdict = verifyChain({
    leaf,
    chain: held.filter((one) => one !== leaf),
    anchors,
    time: now,
    purpose: "server",
    publicKey: key,
  });
  return verdict.ok ? verified : invalid(verdict.message);
}

/** Judges the CA certificate of an instance: every certificate in its file is an authority's, and fit to be trusted. */
export function verifyAuthority(
  configuration: Configuration,
  instance: number,
  inventory: Inventory,
  now: Date | undefined,
): CertificateFinding {
  const file = configuration.certificates.get(instance)?.authority.file;
  if (file === undefined) return notVerified("no CA certificate is linked");
  const certificates = inventory.certificatesIn(configuration, file);
  if (certificates.length === 0) return invalid("the CA certificate's file holds no certificate");
  for (const leaf of certificates) {
    if (!leaf.facts.isCa) return invalid("a certificate in the CA certificate's file is not an authority's");
    if (keyFacts(leaf.publicKey).type === "other") return invalid("an authority's key is neither ECDSA nor RSA");
    const verdict = verifyChain({ leaf, anchors: certificates, time: now, purpose: "any" });
    if (!verdict.ok) return invalid(verdict.message);
  }
  return verified;
}

const verified: CertificateFinding = { status: CertificateStatus.verified, reason: "" };

function invalid(reason: string): CertificateFinding {
  return { status: CertificateStatus.invalid, reason };
}

function notVerified(reason: string): CertificateFinding {
  return { status: CertificateStatus.notVerified, reason };
}
