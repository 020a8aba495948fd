import { CertificateManagement, EtherNetIpSecurity, FileObject, TcpIpInterface } from "@cipsec/objects";
import { parseCertificates, parseCrls, type Certificate, type Crl } from "@cipsec/pki";
import { isStackError, type Segment } from "@cipsec/wire";
import { readFile } from "./file.ts";
import { cipStatusOf, type Requester } from "./replies.ts";
import { objectAccess, type AttributeName, type AttributeValues } from "./typed.ts";

/** Where a path of the security objects leads: class and instance. */
export interface Destination {
  readonly classId: number;
  readonly instance: number;
}

/** Notes what could not be read, and why: name and reason. */
export type Unread = (what: string, error: unknown) => void;

/**
 * A value, or nothing where the device refuses to give it; the refusal is noted. Failures of the network still throw.
 */
export async function tolerant<T>(what: string, read: Promise<T>, unread: Unread): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (!isStackError(error) || error.code.startsWith("transport/")) throw error;
    unread(what, error);
    return undefined;
  }
}

/** All attributes of EtherNet/IP Security that the device has, read one by one: Get_Attributes_All differs between editions. */
export async function readSecuritySettings(
  requester: Requester,
  unread: Unread,
): Promise<AttributeValues<typeof EtherNetIpSecurity>> {
  const object = objectAccess(requester, EtherNetIpSecurity, 1);
  const read = async (name: AttributeName<typeof EtherNetIpSecurity>): Promise<unknown[]> => [
    name,
    await tolerant(name, object.get(name), unread),
  ];
  const names: readonly AttributeName<typeof EtherNetIpSecurity>[] = [
    "state",
    "availableCipherSuites",
    "allowedCipherSuites",
    "preSharedKeys",
    "activeDeviceCertificates",
    "trustedAuthorities",
    "certificateRevocationList",
    "verifyClientCertificate",
    "sendCertificateChain",
    "checkExpiration",
    "trustedIdentities",
    "pullModelEnable",
    "dtlsTimeout",
    "checkSubjectAlternativeName",
  ];
  const entries = await Promise.all(names.map(read));
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

/** The device's table of ports; nothing where it has none. */
export function readPorts(requester: Requester, unread: Unread) {
  return tolerant("ianaPortAdmin", objectAccess(requester, TcpIpInterface, 1).get("ianaPortAdmin"), unread);
}

/** Which certificate of a Certificate Management instance. */
export type Slot = "deviceCertificate" | "caCertificate";

/** Certificates behind a path: of a Certificate Management instance, or in a File instance. Empty where there is none. */
export async function readCertificates(
  requester: Requester,
  path: readonly Segment[],
  slot: Slot,
): Promise<readonly Certificate[]> {
  const bytes = await readReferenced(requester, path, slot);
  return bytes === undefined ? [] : parseCertificates(bytes);
}

/** Revocation lists in the File instance behind a path. */
export async function readCrls(requester: Requester, path: readonly Segment[]): Promise<readonly Crl[]> {
  const bytes = await readReferenced(requester, path, "caCertificate");
  return bytes === undefined ? [] : parseCrls(bytes);
}

/** Class and instance that a path names; nothing for the empty path. */
export function destination(path: readonly Segment[]): Destination | undefined {
  let classId: number | undefined;
  let instance: number | undefined;
  for (const segment of path) {
    if (segment.kind === "class") classId = segment.value;
    else if (segment.kind === "instance") instance = segment.value;
  }
  return classId === undefined || instance === undefined ? undefined : { classId, instance };
}

/** Runs a clean-up that may find nothing to do: refusals by the device are what is expected then. */
export async function bestEffort(run: Promise<unknown>): Promise<void> {
  try {
    await run;
  } catch (error) {
    if (!isStackError(error)) throw error;
  }
}

/** Whether an error is the device's answer with one of these statuses. */
export function hasStatus(error: unknown, ...statuses: readonly number[]): boolean {
  const status = cipStatusOf(error);
  return status !== undefined && statuses.includes(status);
}

/** Revocation lists are the largest of what paths lead to: 100,000 entries as text. */
const maxListOctets = 8 * 1024 * 1024;

async function readReferenced(
  requester: Requester,
  path: readonly Segment[],
  slot: Slot,
): Promise<Uint8Array | undefined> {
  const at = destination(path);
  if (at === undefined) return undefined;
  if (at.classId === FileObject.classId) return readFile(requester, at.instance, { maxOctets: maxListOctets });
  if (at.classId !== CertificateManagement.classId) return undefined;
  const held = await objectAccess(requester, CertificateManagement, at.instance).get(slot);
  // A slot leads to a File instance and nowhere else: a path back to this class would go round for ever.
  const file = destination(held.path);
  return file?.classId === FileObject.classId
    ? readFile(requester, file.instance, { maxOctets: 64 * 1024 })
    : undefined;
}
