import { CertificateManagement, FileEncoding, FileObject, type ServiceRequest } from "@cipsec/objects";
import { certificateSubject, createCsr, makeKeyPair, type AlternativeNamesInput, type Subject } from "@cipsec/pki";
import {
  AlternativeNames,
  CertificateEncoding,
  CertificateEncodingFlag,
  CertificateState,
  CertificateStatus,
  SHORT_STRING,
  Status,
  decode,
  encode,
  type CertificateSlot,
  type Segment,
} from "@cipsec/wire";
import type { InstanceHandlers } from "../hosting.ts";
import { refuse, stateConflict } from "../refusal.ts";
import type { Router } from "../router.ts";
import {
  defaultCertificateInstance,
  fileReference,
  pathOf,
  referenceOf,
  referenced,
  withCertificate,
  withFile,
  type CertificateEntry,
  type Configuration,
  type FileEntry,
  type Slot,
} from "../security/configuration.ts";
import { serialText } from "../security/default-certificate.ts";
import { english } from "../security/inventory.ts";
import { csrKeyKind } from "../security/key-choice.ts";
import type { DeviceFacts, SecurityServices } from "../security/services.ts";
import { freeFileInstance } from "../security/transfers.ts";
import { verifyAuthority, verifyDevice } from "../security/verify-certificate.ts";

const classId = CertificateManagement.classId;

/** Names are shown in lists; this keeps them to a line. */
const maxNameLength = 64;

/** Hosts Certificate Management (0x5F): the default certificate, and those that a tool makes. @see reference cip-security.md 3.3 */
export function hostCertificateManagement(router: Router, services: SecurityServices): void {
  const { cycle, inventory } = services;
  const ids = (): readonly number[] => inventory.certificateIds(cycle.working);
  router.hostMany(
    CertificateManagement,
    {
      capabilityFlags: {
        get: () => {
          const { pushModel, pullModel } = CertificateManagement.classAttributes.capabilityFlags.values;
          return pushModel | (services.hasPull ? pullModel : 0);
        },
      },
      certificateList: {
        get: () =>
          ids().map((instance) => ({
            name: inventory.certificate(cycle.working, instance)?.name ?? "",
            path: pathOf({ classId, instance }),
          })),
      },
      encodings: { get: () => CertificateEncodingFlag.pem | CertificateEncodingFlag.pkcs7 },
      create: (name) => create(name, services),
    },
    {
      ids,
      get: (instance) => {
        const entry = inventory.certificate(cycle.working, instance);
        return entry === undefined ? undefined : handlersOf(instance, entry, services);
      },
    },
  );
}

function handlersOf(
  instance: number,
  entry: CertificateEntry,
  services: SecurityServices,
): InstanceHandlers<typeof CertificateManagement> {
  const { cycle, inventory } = services;
  return {
    name: { get: () => entry.name },
    state: { get: () => stateOf(entry) },
    deviceCertificate: {
      get: () => toWire(entry.device),
      set: (slot) => change(instance, services, () => ({ device: fromWire(slot, services) })),
    },
    caCertificate: {
      get: () => toWire(entry.authority),
      set: (slot) => change(instance, services, () => ({ authority: fromWire(slot, services) })),
    },
    encoding: {
      get: () => {
        const file = entry.device.file === undefined ? undefined : inventory.file(cycle.working, entry.device.file);
        return file?.encoding === FileEncoding.pkcs7Certificate ? CertificateEncoding.pkcs7 : CertificateEncoding.pem;
      },
    },
    delete: () => {
      if (instance === defaultCertificateInstance) throw refuse(Status.instanceNotDeletable);
      if (referenced(cycle.working).certificates.has(instance))
        throw stateConflict("an attribute of EtherNet/IP Security uses this certificate");
      cycle.change((working) => {
        const certificates = new Map(working.certificates);
        certificates.delete(instance);
        return { ...working, certificates };
      });
    },
    createCsr: (request) => requestCertificate(instance, request, services),
    verifyCertificate: (which) => verify(instance, which, services),
  };
}

/** @throws {Refusal} 0x20 for an empty, overlong or taken name; 0x02 when no instance is left; 0x0C outside a session. */
function create(name: string, { cycle, inventory, settings }: SecurityServices): number {
  let instance = 0;
  cycle.change((working) => {
    const ids = inventory.certificateIds(working);
    if (name === "" || name.length > maxNameLength)
      throw refuse(Status.invalidParameter, { reason: `a name has 1 to ${maxNameLength} characters` });
    if (ids.some((id) => inventory.certificate(working, id)?.name === name))
      throw refuse(Status.invalidParameter, { reason: "the name is taken" });
    if (working.certificates.size >= settings.maxCertificates) throw refuse(Status.resourceUnavailable);
    while (ids.includes(instance) || instance === 0) instance += 1;
    const empty = { status: CertificateStatus.notVerified };
    return withCertificate(working, instance, { name, requested: false, device: empty, authority: empty });
  });
  return instance;
}

/** Changes one entry of the pending configuration. @throws {Refusal} 0x0E for the default certificate; 0x0C outside a session. */
function change(
  instance: number,
  { cycle }: SecurityServices,
  edit: (entry: CertificateEntry) => Partial<CertificateEntry>,
): void {
  if (instance === defaultCertificateInstance) throw refuse(Status.attributeNotSettable);
  cycle.change((working) => {
    const entry = working.certificates.get(instance);
    if (entry === undefined) throw refuse(Status.objectDoesNotExist);
    return withCertificate(working, instance, { ...entry, ...edit(entry) });
  });
}

/** Both certificates good, one of them bad, or still on the way. */
function stateOf({ device, authority, requested, key }: CertificateEntry): number {
  const statuses = [device.status, authority.status];
  if (statuses.includes(CertificateStatus.invalid)) return CertificateState.invalid;
  if (statuses.every((status) => status === CertificateStatus.verified)) return CertificateState.verified;
  const isFresh = !requested && key === undefined && device.file === undefined && authority.file === undefined;
  return isFresh ? CertificateState.created : CertificateState.configuring;
}

function toWire({ status, file }: Slot): CertificateSlot {
  return { status, path: file === undefined ? [] : pathOf(fileReference(file)) };
}

/** The status in the request is the device's to say, so it is not taken over. @throws {Refusal} 0x09 */
function fromWire({ path }: CertificateSlot, { cycle, inventory }: SecurityServices): Slot {
  if (path.length === 0) return { status: CertificateStatus.notVerified };
  const reference = referenceOf(path);
  if (reference?.classId !== FileObject.classId || inventory.file(cycle.working, reference.instance) === undefined)
    throw refuse(Status.invalidAttributeValue, { reason: "the path does not lead to a File instance" });
  return { status: CertificateStatus.notVerified, file: reference.instance };
}

/**
 * Create_CSR: a new private key, and a File with the request for its certificate.
 *
 * @throws {Refusal} 0x0C for the default certificate and outside a session; 0x20 for a country that is not two letters or anything
 * else that a request cannot hold; 0x02 when no File instance is left.
 * @see CIP Vol 8, 5-5.7.1
 */
async function requestCertificate(
  instance: number,
  request: ServiceRequest<typeof CertificateManagement, "createCsr">,
  services: SecurityServices,
): Promise<readonly Segment[]> {
  const { cycle, settings, event } = services;
  if (instance === defaultCertificateInstance) throw stateConflict("the default certificate is not requested");
  if (!cycle.isOpen) throw stateConflict("Create_CSR needs an open configuration session");
  if (request.country.length !== 0 && request.country.length !== 2)
    throw refuse(Status.invalidParameter, { reason: "the country has two letters" });
  const subject = subjectFor(request, services);
  const san = alternativeNames(request.subjectAltName ?? "", services.device);
  const session = cycle.session;
  const { privateKey } = await makeKeyPair(csrKeyKind(cycle.working, cycle.applied, settings.csrKeyType));
  const csr = await createCsr({ subject, san, privateKey });
  let file = 0;
  cycle.change((working) => {
    const entry = working.certificates.get(instance);
    // The session may have ended, and another begun, while the key was made.
    if (entry === undefined || cycle.session !== session) throw stateConflict("the instance changed meanwhile");
    file = entry.csr !== undefined && working.files.has(entry.csr) ? entry.csr : freeFileInstance(working, settings);
    const withRequest = withFile(working, file, requestFile(entry.name, csr.pem));
    return withCertificate(withRequest, instance, {
      ...entry,
      requested: true,
      device: { ...entry.device, status: CertificateStatus.notVerified },
      key: cycle.keys.add(privateKey),
      csr: file,
    });
  });
  event("certificate/requested", { instance });
  return pathOf({ classId: FileObject.classId, instance: file });
}

/** Empty fields take the value of the default certificate; the serial number is the device's. */
function subjectFor(
  request: ServiceRequest<typeof CertificateManagement, "createCsr">,
  { inventory, device }: SecurityServices,
): Subject {
  const [leaf] = inventory.defaultCertificate.chain;
  const defaults: Subject = leaf === undefined ? {} : certificateSubject(leaf);
  const or = (text: string, fallback: string | undefined): string => (text === "" ? (fallback ?? "") : text);
  return {
    commonName: or(or(request.commonName, defaults.commonName), device.productName),
    organization: or(request.organization, defaults.organization),
    organizationalUnit: or(request.organizationalUnit, defaults.organizationalUnit),
    locality: or(request.locality, defaults.locality),
    state: or(request.state, defaults.state),
    country: or(request.country, defaults.country),
    emailAddress: or(request.email, defaults.emailAddress),
    serialNumber: or(request.serialNumber, serialText(device.serialNumber)),
  };
}

/** @throws {Refusal} 0x20 for a kind of name that a peer is never checked by; {@link WireError} for a line that is no name. */
function alternativeNames(text: string, { address, hostName }: DeviceFacts): AlternativeNamesInput {
  if (text === "") return { ip: [address], dns: hostName === "" ? [] : [hostName] };
  const names = decode(AlternativeNames, encode(SHORT_STRING, text));
  const of = (kind: string): readonly string[] =>
    names.filter((name) => name.kind === kind).map(({ value }) => value.trim());
  const [ip, dns, uri] = [of("iPAddress"), of("dNSName"), of("URI")];
  if (ip.length + dns.length + uri.length < names.length)
    throw refuse(Status.invalidParameter, { reason: "an alternative name that is no dNSName, iPAddress or URI" });
  return { ip, dns, uri };
}

function requestFile(name: string, pem: string): FileEntry {
  return {
    name: english(`CSR ${name}`),
    fileName: english(`${name}.csr`),
    encoding: FileEncoding.pemCertificate,
    formatVersion: 1,
    revision: { major: 1, minor: 1 },
    readOnly: true,
    transferTimeoutS: 10,
    content: Buffer.from(pem, "latin1"),
  };
}

/**
 * Verify_Certificate: says of one certificate of an instance whether it is good, in its status and the instance's state.
 *
 * @throws {Refusal} 0xD0 when it is not; 0x20 for a number other than 3 and 4.
 */
function verify(instance: number, which: number, services: SecurityServices): void {
  const { cycle, inventory, event } = services;
  const { deviceCertificate, caCertificate } = CertificateManagement.attributes;
  if (which !== deviceCertificate.id && which !== caCertificate.id)
    throw refuse(Status.invalidParameter, { reason: "neither the device certificate (3) nor the CA certificate (4)" });
  if (instance === defaultCertificateInstance) return;
  const isDevice = which === deviceCertificate.id;
  const judge = isDevice ? verifyDevice : verifyAuthority;
  const edited = (working: Configuration): { status: number; reason: string } =>
    judge(working, instance, inventory, services.now());
  const { status, reason } = edited(cycle.working);
  change(instance, services, (entry) =>
    isDevice ? { device: { ...entry.device, status } } : { authority: { ...entry.authority, status } },
  );
  event("certificate/verified", { instance, which, status });
  if (status !== CertificateStatus.verified) throw refuse(Status.objectSpecific, { reason });
}
