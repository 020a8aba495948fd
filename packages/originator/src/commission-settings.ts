import { EtherNetIpSecurity, PortCapability, TcpIpInterface, type AttributeValue } from "@cipsec/objects";
import {
  CrlPathOld,
  PeerError,
  PskListOld,
  PskUsage,
  Status,
  UsageError,
  cipherSuiteText,
  encode,
  objectPath,
  type PreSharedKey,
  type Segment,
} from "@cipsec/wire";
import type { CertificateWork } from "./commission-certificate.ts";
import type { CommissionMode, CommissionPlan } from "./commission-plan.ts";
import type { Undo } from "./commission-run.ts";
import { Port } from "./address.ts";
import type { Session } from "./session.ts";
import { hasStatus } from "./settings.ts";
import type { ObjectAccess } from "./typed.ts";

type Object = ObjectAccess<typeof EtherNetIpSecurity>;

const udp = 17;
const tcp = 6;

/** What devices of an older edition answer to the newer layout of an attribute. */
const layoutRefusals: readonly number[] = [
  Status.invalidAttributeValue,
  Status.tooMuchData,
  Status.notEnoughData,
  Status.invalidParameter,
];

/**
 * The plan with the suites that this device gets: its own choice where the plan has fallbacks.
 *
 * @throws {UsageError} `usage/state` naming the suites that the device has, when the plan wants none of them.
 */
export async function fittingPlan(session: Session, plan: CommissionPlan): Promise<CommissionPlan> {
  if (plan.fallbackSuites === undefined) return plan;
  const available = await session.object(EtherNetIpSecurity, 1).get("availableCipherSuites");
  for (const wanted of [plan.suites, ...plan.fallbackSuites]) {
    const suites = wanted.filter((id) => available.includes(id));
    if (suites.length > 0) return { ...plan, suites };
  }
  throw new UsageError(
    "usage/state",
    `the device has none of the wanted suites; it has ${available.map(cipherSuiteText).join(", ")}`,
    {
      fix: "Name suites that the device has (--suites), or secure it by a pre-shared key (--psk).",
    },
  );
}

/**
 * Sets attributes 4 to 12, 15 and 17 from the plan, in this order.
 *
 * @returns Names of settings that were wanted if possible, and were not.
 * @throws {PeerError} `cip/status` naming the attribute that the device refuses.
 */
export async function setSettings(
  session: Session,
  plan: CommissionPlan,
  certificates: CertificateWork,
  mode: CommissionMode,
): Promise<readonly string[]> {
  const object = session.object(EtherNetIpSecurity, 1);
  const own = certificates.instancePaths;
  await object.set("allowedCipherSuites", plan.suites);
  await setKeys(session, object, plan);
  // Without a certificate of the plant's the device keeps the one it has.
  if (mode === "certificate") await object.set("activeDeviceCertificates", own);
  // The plant's authority stands beside each of the certificates that it issued.
  await object.set("trustedAuthorities", own.slice(0, 1));
  await setCrl(session, object, certificates.crlPaths);
  await object.set("verifyClientCertificate", plan.verifyClient);
  await object.set("sendCertificateChain", plan.sendChain);
  const skipped = [...(await setCheck(object, "checkExpiration", plan.checkExpiration))];
  await object.set("trustedIdentities", certificates.identityPaths);
  await object.set("dtlsTimeout", plan.dtlsTimeoutS);
  skipped.push(...(await setCheck(object, "checkSubjectAlternativeName", plan.checkSan)));
  return skipped;
}

/** Compares what the device says with the plan. @throws {PeerError} `cip/mismatch` naming what differs. */
export async function checkSettings(session: Session, plan: CommissionPlan, skipped: readonly string[]): Promise<void> {
  const object = session.object(EtherNetIpSecurity, 1);
  const wanted = {
    verifyClientCertificate: plan.verifyClient,
    sendCertificateChain: plan.sendChain,
    dtlsTimeout: plan.dtlsTimeoutS,
  } as const;
  const differing: string[] = [];
  const suites = await object.get("allowedCipherSuites");
  if (suites.join() !== plan.suites.join()) differing.push("allowedCipherSuites");
  for (const name of ["verifyClientCertificate", "sendCertificateChain", "dtlsTimeout"] as const)
    if ((await object.get(name)) !== wanted[name]) differing.push(name);
  for (const [name, value] of [
    ["checkExpiration", plan.checkExpiration],
    ["checkSubjectAlternativeName", plan.checkSan],
  ] as const) {
    if (value === false || skipped.includes(name)) continue;
    if (!(await object.get(name))) differing.push(name);
  }
  if (differing.length > 0)
    throw new PeerError("cip/mismatch", `the device has other values than were set: ${differing.join(", ")}`, {
      facts: { differing: differing.join() },
    });
}

/**
 * Closes 44818/tcp and 2222/udp where the device lets them be closed.
 *
 * @returns Whether no plaintext port for messages or I/O stays open.
 */
export async function closePorts(session: Session, undo: Undo[]): Promise<boolean> {
  const object = session.object(TcpIpInterface, 1);
  const ports = await object.get("ianaPortAdmin");
  const plain = ports.filter(
    ({ port, protocol, open }) =>
      open && ((port === Port.eip && protocol === tcp) || (port === Port.io && protocol === udp)),
  );
  const closable = plain.filter(({ capability }) => (capability & PortCapability.configurable) !== 0);
  if (closable.length > 0) {
    const state = (open: boolean) => closable.map(({ port, protocol }) => ({ port, protocol, open }));
    undo.push(() => object.call("setPortAdminState", state(true)));
    await object.call("setPortAdminState", state(false));
  }
  return closable.length === plain.length;
}

/** Opens 44818/tcp, 44818/udp and 2222/udp again where the device has them. */
export async function openPorts(session: Session): Promise<void> {
  const object = session.object(TcpIpInterface, 1);
  const ports = await object.get("ianaPortAdmin");
  const closed = ports.filter(
    ({ port, open, capability }) =>
      !open && (port === Port.eip || port === Port.io) && (capability & PortCapability.configurable) !== 0,
  );
  if (closed.length === 0) return;
  await object.call(
    "setPortAdminState",
    closed.map(({ port, protocol }) => ({ port, protocol, open: true })),
  );
}

/** Nothing is set where there is nothing to set and nothing to remove: a device without keys has no such attribute. */
async function setKeys(session: Session, object: Object, plan: CommissionPlan): Promise<void> {
  const keys: readonly PreSharedKey[] = (plan.psks ?? []).map(({ identity, key, usage }) => ({
    identity,
    key,
    usage: usage ?? PskUsage.any,
  }));
  try {
    await object.set("preSharedKeys", keys);
  } catch (error) {
    if (keys.length === 0 && hasStatus(error, Status.attributeNotSupported, Status.attributeNotSettable)) return;
    if (!hasStatus(error, ...layoutRefusals)) throw error;
    await setOld(session, "preSharedKeys", encode(PskListOld, keys), error);
  }
}

/** Sets attribute 8, in the layout that the device knows. */
export async function setCrl(session: Session, object: Object, paths: readonly (readonly Segment[])[]): Promise<void> {
  try {
    await object.set("certificateRevocationList", paths);
  } catch (error) {
    if (paths.length > 1 || !hasStatus(error, ...layoutRefusals)) throw error;
    await setOld(session, "certificateRevocationList", encode(CrlPathOld, paths), error);
  }
}

/** Tries the layout of older editions; when that is refused too, the first refusal is the one to tell. */
async function setOld(
  session: Session,
  name: "preSharedKeys" | "certificateRevocationList",
  data: Uint8Array,
  refusal: unknown,
): Promise<void> {
  const { id } = EtherNetIpSecurity.attributes[name];
  try {
    await session.setRaw(objectPath(EtherNetIpSecurity.classId, 1, id), data);
  } catch {
    throw refusal;
  }
}

type Check = "checkExpiration" | "checkSubjectAlternativeName";

async function setCheck(object: Object, name: Check, wanted: boolean | "if-possible"): Promise<readonly string[]> {
  const value: AttributeValue<typeof EtherNetIpSecurity, Check> = wanted !== false;
  try {
    await object.set(name, value);
    return [];
  } catch (error) {
    const isAbsent = hasStatus(error, Status.attributeNotSupported, Status.attributeNotSettable);
    if (wanted === false && isAbsent) return [];
    if (wanted !== "if-possible" || !(isAbsent || hasStatus(error, Status.invalidAttributeValue))) throw error;
    if (!isAbsent) await object.set(name, false);
    return [name];
  }
}
