import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileObject, TcpIpInterface } from "@cipsec/objects";
import type { ChannelFacts } from "@cipsec/transport";
import { Service, Status } from "@cipsec/wire";
import type { AccessDecision, AccessQuestion } from "../access.ts";
import { ownerOf } from "../connection-manager.ts";
import type { RequestContext } from "../context.ts";
import type { Asker, ConfigurationCycle } from "./cycle.ts";
import { FixedFile } from "./inventory.ts";
import type { TransferOwner } from "./transfers.ts";

/**
 * Who may change the security of a device. Reading is open to everyone who can connect. Changing is open to everyone on a device
 * that has never been configured: somebody has to be first. After that it takes TLS, and once EtherNet/IP Security is
 * configured also a peer that has proven who it is, by certificate or pre-shared key.
 *
 * @see reference cip-security.md 3.1, 3.2, 2.4; docs/decisions/005-security-objects-choices.md
 */
export function securityAccess(cycle: ConfigurationCycle): AccessDecision {
  return (question) => {
    if (!cycle.isLocked || !changes(question)) return undefined;
    if (mayChange(cycle, question.channel)) return undefined;
    return closesOwnSession(cycle, question) ? undefined : Status.privilegeViolation;
  };
}

/** Whether this channel may change the security of the device as it is now, factory reset included. */
export function mayChange(cycle: ConfigurationCycle, { security }: ChannelFacts): boolean {
  if (!cycle.isLocked) return true;
  if (security === undefined) return false;
  if (!cycle.isConfigured || security.peer.kind !== "anonymous") return true;
  // Nobody can prove anything to a device that asks for no proof: refusing would lock everyone out for good.
  const { verifyClientCertificate, preSharedKeys } = cycle.applied.settings;
  return !verifyClientCertificate && preSharedKeys.length === 0;
}

/** A name for a channel that no other open channel has. */
export function channelId({ protocol, remote, local }: ChannelFacts): string {
  return `${protocol} ${remote.address} ${remote.port} ${local.address} ${local.port}`;
}

/** Who a request comes from, for the configuration cycles. */
export function askerOf({ channel }: RequestContext): Asker {
  return { id: channelId(channel), secure: channel.security !== undefined };
}

/** Who a file transfer that this request begins or goes on with belongs to. */
export function transferOwner({ channel }: RequestContext): TransferOwner {
  const isProven = channel.security !== undefined && channel.security.peer.kind !== "anonymous";
  return { channel: channelId(channel), ...(isProven ? { peer: ownerOf({ channel }) } : {}) };
}

const guarded = new Set<number>([
  CipSecurity.classId,
  EtherNetIpSecurity.classId,
  CertificateManagement.classId,
  FileObject.classId,
  TcpIpInterface.classId,
]);

const reads = new Set<number>([
  Service.getAttributesAll,
  Service.getAttributeSingle,
  Service.getAttributeList,
  Service.getMember,
]);

const edsUpload = new Set<number>([FileObject.services.initiateUpload.code, FileObject.services.uploadTransfer.code]);

/** Whether a request could change a security object or move a certificate, request or revocation list. */
function changes({ classId, instance, service }: AccessQuestion): boolean {
  if (!guarded.has(classId) || reads.has(service)) return false;
  return !(classId === FileObject.classId && instance === FixedFile.eds && edsUpload.has(service));
}

/** The tool that opened the session of 0x5D may keep it alive and end it, also where Apply_Config has locked the device meanwhile. */
function closesOwnSession(cycle: ConfigurationCycle, { classId, service, channel }: AccessQuestion): boolean {
  const { kickTimer, endConfig } = CipSecurity.services;
  return (
    classId === CipSecurity.classId &&
    (service === kickTimer.code || service === endConfig.code) &&
    cycle.cipOwner === channelId(channel)
  );
}
