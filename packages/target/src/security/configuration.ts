import { CertificateManagement, FileObject } from "@cipsec/objects";
import {
  CertificateStatus,
  CipSecurityState,
  EtherNetIpSecurityState,
  SecurityProfile,
  objectPath,
  type InternationalText,
  type PreSharedKey,
  type Segment,
} from "@cipsec/wire";

/** An instance that an attribute of a security object points to. */
export interface Reference {
  readonly classId: number;
  readonly instance: number;
}

/** The settable attributes of EtherNet/IP Security (0x5E). */
export interface SecuritySettings {
  readonly allowedCipherSuites: readonly number[];
  readonly allowedOriginatorCipherSuites: readonly number[];
  readonly preSharedKeys: readonly PreSharedKey[];
  readonly activeDeviceCertificates: readonly Reference[];
  readonly trustedAuthorities: readonly Reference[];
  readonly certificateRevocationList: readonly Reference[];
  readonly trustedIdentities: readonly Reference[];
  readonly verifyClientCertificate: boolean;
  readonly sendCertificateChain: boolean;
  readonly checkExpiration: boolean;
  readonly checkSubjectAlternativeName: boolean;
  readonly dtlsTimeout: number;
  readonly udpOnlyPolicy: number;
  readonly ioAuthorizationPolicy: number;
}

/** One of the two certificates of a Certificate Management instance; no file: none linked yet. */
export interface Slot {
  readonly status: number;
  readonly file?: number;
}

/** A Certificate Management instance (0x5F) that Create made. */
export interface CertificateEntry {
  readonly name: string;
  /** Whether Create_CSR was called: the state is then at least Configuring. */
  readonly requested: boolean;
  readonly device: Slot;
  readonly authority: Slot;
  /** Name of the private key, in the store or still in memory only. */
  readonly key?: string;
  /** File instance of the last request. */
  readonly csr?: number;
}

/** A File instance (0x37) that Create or Create_CSR made. */
export interface FileEntry {
  readonly name: readonly InternationalText[];
  readonly fileName: readonly InternationalText[];
  readonly encoding: number;
  readonly formatVersion: number;
  readonly revision: { readonly major: number; readonly minor: number };
  readonly readOnly: boolean;
  readonly transferTimeoutS: number;
  /** Absent while the instance is empty. */
  readonly content?: Uint8Array;
}

/** The ports whose state the TCP/IP Interface administers. */
export type PortName = "eip" | "eipUdp" | "io" | "eips" | "eipd";

/** Which ports are open. */
export type OpenPorts = Readonly<Record<PortName, boolean>>;

/**
 * Everything of the security objects that a configuration session may change and that survives a power cycle. An immutable
 * value: a pending configuration is another one, and Apply_Config exchanges them whole.
 */
export interface Configuration {
  /** State of 0x5D while no session is open. */
  readonly cipState: number;
  /** State of 0x5E while no session is open. */
  readonly ethernetIpState: number;
  readonly profilesConfigured: number;
  readonly settings: SecuritySettings;
  readonly certificates: ReadonlyMap<number, CertificateEntry>;
  readonly files: ReadonlyMap<number, FileEntry>;
  readonly ports: OpenPorts;
  readonly inactivityTimeoutS: number;
  /** Certificate Management instance that the pull model made. */
  readonly pulledCertificate?: number;
}

/** Instance 1 of Certificate Management: the device's default certificate. */
export const defaultCertificateInstance = 1;

/** What a factory-default configuration is made of. */
export interface Defaults {
  readonly allowedSuites: readonly number[];
  readonly profiles: number;
  readonly ports: OpenPorts;
}

/** The configuration out of the box. */
export function factoryConfiguration(defaults: Defaults): Configuration {
  return {
    cipState: CipSecurityState.factoryDefault,
    ethernetIpState: EtherNetIpSecurityState.factoryDefault,
    profilesConfigured: profilesInForce(defaults.profiles, false),
    settings: factorySettings(defaults),
    certificates: new Map(),
    files: new Map(),
    ports: defaults.ports,
    inactivityTimeoutS: 120,
  };
}

/** The settable attributes of 0x5E out of the box: encrypting certificate suites, the default certificate, nobody verified. */
export function factorySettings({ allowedSuites }: Pick<Defaults, "allowedSuites">): SecuritySettings {
  return {
    allowedCipherSuites: allowedSuites,
    allowedOriginatorCipherSuites: [],
    preSharedKeys: [],
    activeDeviceCertificates: [{ classId: CertificateManagement.classId, instance: defaultCertificateInstance }],
    trustedAuthorities: [],
    certificateRevocationList: [],
    trustedIdentities: [],
    verifyClientCertificate: false,
    sendCertificateChain: false,
    checkExpiration: false,
    checkSubjectAlternativeName: false,
    dtlsTimeout: 12,
    udpOnlyPolicy: 0,
    ioAuthorizationPolicy: 0,
  };
}

/**
 * Security Profiles Configured: Confidentiality, or Integrity where only NULL suites are allowed; the Pull Model where the device
 * has fetched its certificate; as far as supported.
 */
export function profilesInForce(supported: number, integrityOnly: boolean, isPulled = false): number {
  const { integrity, pullModel } = SecurityProfile;
  const kind = integrityOnly ? integrity : ~(integrity | pullModel) & 0xffff;
  return supported & (kind | (isPulled ? pullModel : 0));
}

/** The path of an instance, as attributes carry it. */
export function pathOf({ classId, instance }: Reference): readonly Segment[] {
  return objectPath(classId, instance);
}

/** The instance that a path names, or `undefined` for any other path. */
export function referenceOf(path: readonly Segment[]): Reference | undefined {
  const [first, second, ...rest] = path;
  if (first?.kind !== "class" || second?.kind !== "instance" || rest.length > 0) return undefined;
  return { classId: first.value, instance: second.value };
}

/** A File reference. */
export function fileReference(instance: number): Reference {
  return { classId: FileObject.classId, instance };
}

/** The File instances and Certificate Management instances that a security attribute uses, directly or through one another. */
export function referenced(configuration: Configuration): {
  readonly certificates: ReadonlySet<number>;
  readonly files: ReadonlySet<number>;
} {
  const { settings } = configuration;
  const roots = [
    ...settings.activeDeviceCertificates,
    ...settings.trustedAuthorities,
    ...settings.certificateRevocationList,
    ...settings.trustedIdentities,
  ];
  const certificates = new Set(instancesOf(roots, CertificateManagement.classId));
  const files = new Set(instancesOf(roots, FileObject.classId));
  for (const instance of certificates) {
    const entry = configuration.certificates.get(instance);
    for (const slot of [entry?.device, entry?.authority]) if (slot?.file !== undefined) files.add(slot.file);
  }
  return { certificates, files };
}

/** The configuration without instances that nothing refers to, or `undefined` when there are none. */
export function withoutOrphans(configuration: Configuration): Configuration | undefined {
  const used = referenced(configuration);
  const certificates = new Map([...configuration.certificates].filter(([id]) => used.certificates.has(id)));
  const files = new Map([...configuration.files].filter(([id]) => used.files.has(id)));
  if (certificates.size === configuration.certificates.size && files.size === configuration.files.size)
    return undefined;
  return { ...configuration, certificates, files };
}

/** The instance that the pull model made, while the device presents its certificate. */
export function usesPulled({ pulledCertificate, certificates, settings }: Configuration): number | undefined {
  const isActive = settings.activeDeviceCertificates.some(({ instance }) => instance === pulledCertificate);
  return isActive && pulledCertificate !== undefined && certificates.has(pulledCertificate)
    ? pulledCertificate
    : undefined;
}

/** The configuration without what the pull model made. */
export function withoutPulled({ pulledCertificate, ...configuration }: Configuration): Configuration {
  if (pulledCertificate === undefined) return configuration;
  const certificates = new Map(configuration.certificates);
  const entry = certificates.get(pulledCertificate);
  certificates.delete(pulledCertificate);
  const files = new Map(configuration.files);
  for (const slot of [entry?.device, entry?.authority]) if (slot?.file !== undefined) files.delete(slot.file);
  return { ...configuration, certificates, files };
}

/** Replaces or adds a File; certificates that use it have to be verified again. */
export function withFile(configuration: Configuration, id: number, file: FileEntry): Configuration {
  const files = new Map(configuration.files).set(id, file);
  const certificates = new Map(
    [...configuration.certificates].map(([instance, entry]) => [
      instance,
      { ...entry, device: unverified(entry.device, id), authority: unverified(entry.authority, id) },
    ]),
  );
  return { ...configuration, files, certificates };
}

/** Replaces or adds a Certificate Management instance. */
export function withCertificate(configuration: Configuration, id: number, entry: CertificateEntry): Configuration {
  return { ...configuration, certificates: new Map(configuration.certificates).set(id, entry) };
}

/** Changes settings of 0x5E. */
export function withSettings(configuration: Configuration, changed: Partial<SecuritySettings>): Configuration {
  return { ...configuration, settings: { ...configuration.settings, ...changed } };
}

function unverified(slot: Slot, file: number): Slot {
  return slot.file === file ? { ...slot, status: CertificateStatus.notVerified } : slot;
}

function instancesOf(references: readonly Reference[], classId: number): readonly number[] {
  return references.filter((reference) => reference.classId === classId).map(({ instance }) => instance);
}
