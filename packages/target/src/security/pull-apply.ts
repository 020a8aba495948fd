import { CertificateManagement, FileEncoding } from "@cipsec/objects";
import { toPem, type Certificate } from "@cipsec/pki";
import { CertificateStatus } from "@cipsec/wire";
import {
  usesPulled,
  withCertificate,
  withFile,
  withSettings,
  withoutPulled,
  type Configuration,
  type FileEntry,
  type OpenPorts,
  type Reference,
} from "./configuration.ts";
import type { Inventory } from "./inventory.ts";
import { english } from "./inventory.ts";
import { freeFileInstance, type FileLimits } from "./transfers.ts";

/** What an EST server gave. */
export interface Pulled {
  /** The certificate, then what stands between it and a root. */
  readonly chain: readonly Certificate[];
  /** Authorities to trust from now on. */
  readonly anchors: readonly Certificate[];
  /** Name of the private key in the key ring. */
  readonly key: string;
  /** Whether the first one closes 44818/tcp and 2222/udp: who came in there has shown nothing. */
  readonly closePlaintext: boolean;
}

/**
 * The configuration with a certificate that was fetched: at first a new instance, with which the device presents itself and
 * whose authority clients have to come from; on renewal the same instance and files, everything else as it was.
 *
 * @throws {Refusal} 0x02 when there is no room for the files.
 * @see reference cip-security.md 5
 */
export function withPulled(
  configuration: Configuration,
  pulled: Pulled,
  inventory: Inventory,
  limits: FileLimits,
): Configuration {
  const renewed = usesPulled(configuration);
  return renewed === undefined
    ? enrolled(withoutPulled(configuration), pulled, inventory, limits)
    : withEntry(configuration, renewed, pulled, limits);
}

function enrolled(
  configuration: Configuration,
  pulled: Pulled,
  inventory: Inventory,
  limits: FileLimits,
): Configuration {
  const ids = inventory.certificateIds(configuration);
  let instance = 2;
  while (ids.includes(instance)) instance += 1;
  const reference: Reference = { classId: CertificateManagement.classId, instance };
  return withSettings(
    {
      ...withEntry(configuration, instance, pulled, limits),
      pulledCertificate: instance,
      ports: pulled.closePlaintext ? withoutPlaintext(configuration.ports) : configuration.ports,
    },
    {
      activeDeviceCertificates: [reference],
      trustedAuthorities: [reference],
      verifyClientCertificate: true,
      // Peers know the root; what stands between has to be shown to them.
      sendCertificateChain: pulled.chain.length > 1,
    },
  );
}

/** The last port that messages come in by stays open. */
function withoutPlaintext(ports: OpenPorts): OpenPorts {
  return ports.eips || ports.eipd ? { ...ports, eip: false, io: false } : ports;
}

function withEntry(
  configuration: Configuration,
  instance: number,
  { chain, anchors, key }: Pulled,
  limits: FileLimits,
): Configuration {
  const before = configuration.certificates.get(instance);
  const device = before?.device.file ?? freeFileInstance(configuration, limits);
  const withDevice = withFile(configuration, device, pemFile("EST Device Certificate", chain));
  const authority = before?.authority.file ?? freeFileInstance(withDevice, limits);
  const withBoth = withFile(withDevice, authority, pemFile("EST CA Certificate", anchors));
  const verified = CertificateStatus.verified;
  return withCertificate(withBoth, instance, {
    name: before?.name ?? freeName(configuration),
    requested: true,
    device: { status: verified, file: device },
    authority: { status: verified, file: authority },
    key,
  });
}

function freeName({ certificates }: Configuration): string {
  const taken = new Set([...certificates.values()].map(({ name }) => name));
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? "EST" : `EST ${number}`;
    if (!taken.has(name)) return name;
  }
}

function pemFile(name: string, certificates: readonly Certificate[]): FileEntry {
  return {
    name: english(name),
    fileName: english(`${name}.pem`),
    encoding: FileEncoding.pemCertificate,
    formatVersion: 1,
    revision: { major: 1, minor: 1 },
    readOnly: false,
    transferTimeoutS: 10,
    content: new Uint8Array(Buffer.from(toPem(certificates), "latin1")),
  };
}
