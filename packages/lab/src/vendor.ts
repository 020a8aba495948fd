import { mkdir } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { initCa, makeKeyPair, openCa, writeFileAtomic, writeKeyFile, type CertificateAuthority } from "@cipsec/pki";
import type { DeviceIdentity, SecurityDescription } from "@cipsec/target";

/**
 * What a device has from the factory. `genuine`: the vendor's certificate for its own serial number. Two counterfeits: `forged`, by an
 * authority that calls itself as the vendor does and is another; `stolen`, the vendor's certificate and key of another device.
 */
export type Birth = "genuine" | "forged" | "stolen";

/** Name of the virtual vendor, in its certificates and its devices'. */
export const vendorName = "Lab Vendor";

/** Whoever makes certificates for the devices of a lab. */
export interface Factory {
  /** The vendor's root and issuing authority: who trusts them knows its devices. */
  readonly vendor: CertificateAuthority;
  /** Gives a device its first certificate, as files in its folder; the same ones when they are there already. */
  equip(folder: string, identity: DeviceIdentity, birth: Birth): Promise<SecurityDescription["defaultCertificate"]>;
}

/** Opens the virtual vendor in a folder, and makes it at first. A forger is there once somebody asks for a forgery. */
export async function openFactory(folder: string, now: () => Date): Promise<Factory> {
  const vendor = await authority(join(folder, "vendor"), now);
  return {
    vendor,
    async equip(place, identity, birth) {
      const by = birth === "forged" ? await authority(join(folder, "forger"), now) : vendor;
      // Of a device that the vendor made and sold elsewhere.
      const serial = birth === "stolen" ? (identity.serialNumber ^ 0x8000_0000) >>> 0 : identity.serialNumber;
      return await vendorCertificate(by, place, { ...identity, serialNumber: serial });
    },
  };
}

async function authority(folder: string, now: () => Date): Promise<CertificateAuthority> {
  const options = { now, pause: (ms: number) => new Promise<void>((resolve) => void setTimeout(resolve, ms)) };
  return existsSync(join(folder, "index"))
    ? await openCa(folder, options)
    : await initCa(folder, { ...options, name: vendorName });
}

async function vendorCertificate(
  by: CertificateAuthority,
  folder: string,
  { serialNumber: serial, productName }: DeviceIdentity,
): Promise<SecurityDescription["defaultCertificate"]> {
  const certificate = join(folder, "vendor-certificate.pem");
  const key = join(folder, "vendor-key.pem");
  if (!existsSync(certificate)) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const pair = await makeKeyPair();
    const serialNumber = serial.toString(16).padStart(8, "0").toUpperCase();
    const issued = await by.issue({
      profile: "vendor-device",
      publicKey: pair.publicKey,
      subject: { organization: vendorName, commonName: `${productName} ${serialNumber}`, serialNumber },
      days: 3650,
    });
    await writeKeyFile(key, pair.privateKey);
    await writeFileAtomic(certificate, issued.chainPem);
  }
  return { kind: "vendor", certificate, key };
}
