import { mkdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { initCa, makeKeyPair, openCa, writeFileAtomic, writeKeyFile, type CertificateAuthority } from "@cipsec/pki";
import type { DeviceIdentity, SecurityDescription } from "@cipsec/target";

/** The virtual vendor's certificate authority: it signs the default certificates that devices leave the factory with. */
export async function labVendor(folder: string, now: () => Date): Promise<CertificateAuthority> {
  const options = { now, pause: (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms)) };
  return existsSync(join(folder, "index"))
    ? openCa(folder, options)
    : initCa(folder, { ...options, name: "Lab Vendor" });
}

/** Gives a device its vendor certificate, as files beside its description; the same ones when they are there already. */
export async function vendorCertificate(
  vendor: CertificateAuthority,
  folder: string,
  identity: DeviceIdentity,
): Promise<SecurityDescription["defaultCertificate"]> {
  const certificate = join(folder, "vendor-certificate.pem");
  const key = join(folder, "vendor-key.pem");
  if (!existsSync(certificate)) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const pair = await makeKeyPair();
    const serialNumber = identity.serialNumber.toString(16).padStart(8, "0").toUpperCase();
    const issued = await vendor.issue({
      profile: "vendor-device",
      publicKey: pair.publicKey,
      subject: { organization: "Lab Vendor", commonName: `${identity.productName} ${serialNumber}`, serialNumber },
      days: 3650,
    });
    await writeKeyFile(key, pair.privateKey);
    await writeFileAtomic(certificate, issued.chainPem);
  }
  return { kind: "vendor", certificate, key };
}
