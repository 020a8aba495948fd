import { nameOf } from "@cipsec/objects";
import { CipSecurityState, EtherNetIpSecurityState, IanaPort, securityProfileTexts } from "@cipsec/wire";
import type { IdentityReply, SecurityAnnouncement } from "./identity-reply.ts";

/** One device as `discover --json` shows it. */
export interface DiscoveredDevice {
  readonly address: string;
  readonly ports: PortReport;
  readonly identity: IdentityReport;
  /** `null`: the device says nothing of CIP Security. */
  readonly security: SecurityReport | null;
}

/** Which ports are open: probed where they are TCP, else as the device says. */
export interface PortReport {
  readonly eip: boolean;
  readonly eips: boolean;
  readonly eipUdp: boolean;
  readonly io: boolean;
  readonly eipd: boolean;
}

export interface IdentityReport {
  readonly vendorId: number;
  readonly deviceType: number;
  readonly productCode: number;
  readonly revision: string;
  readonly serial: string;
  readonly name: string;
  readonly state: number;
}

export interface SecurityReport {
  readonly profiles: readonly string[];
  readonly cipState: string;
  readonly ethernetIpState: string;
  readonly securePortsOnly: boolean;
}

/** Identity as text and numbers for people and programs. */
export function identityReport({ identity }: IdentityReply): IdentityReport {
  const { vendorId, deviceType, productCode, revision, serialNumber, productName, state } = identity;
  return {
    vendorId,
    deviceType,
    productCode,
    revision: revisionText(revision),
    serial: serialText(serialNumber),
    name: productName,
    // 0xFF: the device does not tell.
    state: state ?? 0xff,
  };
}

/** The security announcement as words; `null` where there is none. */
export function securityReport(announced: SecurityAnnouncement | undefined): SecurityReport | null {
  if (announced === undefined) return null;
  const plain = IanaPort.eip | IanaPort.io;
  return {
    profiles: securityProfileTexts(announced.profiles),
    cipState: cipStateName(announced.cipState),
    ethernetIpState: etherNetIpStateName(announced.ethernetIpState),
    securePortsOnly: (announced.ports & plain) === 0 && (announced.ports & IanaPort.eips) !== 0,
  };
}

/** Ports as a device announces them; without an announcement those of a device without CIP Security. */
export function announcedPorts(announced: SecurityAnnouncement | undefined): PortReport {
  const bits = announced?.ports ?? IanaPort.eip | IanaPort.eipUdp | IanaPort.io;
  return {
    eip: (bits & IanaPort.eip) !== 0,
    eips: (bits & IanaPort.eips) !== 0,
    eipUdp: (bits & IanaPort.eipUdp) !== 0,
    io: (bits & IanaPort.io) !== 0,
    eipd: (bits & IanaPort.eipd) !== 0,
  };
}

/** States of both security objects in words. */
export interface StateNames {
  readonly cipState: string;
  readonly ethernetIpState: string;
}

/** States of both security objects, from their numbers. */
export function stateNames(states: { readonly cipState: number; readonly ethernetIpState: number }): StateNames {
  return { cipState: cipStateName(states.cipState), ethernetIpState: etherNetIpStateName(states.ethernetIpState) };
}

/** `maj.min` */
export function revisionText({ major, minor }: { readonly major: number; readonly minor: number }): string {
  return `${major}.${minor}`;
}

/** Eight hex digits. */
export function serialText(serial: number): string {
  return serial.toString(16).padStart(8, "0");
}

/** `factory-default`, `in-progress`, `configured` or `incomplete`. */
export function cipStateName(state: number): string {
  return stateName(CipSecurityState, state);
}

/** As {@link cipStateName}, and the pull states. */
export function etherNetIpStateName(state: number): string {
  return stateName(EtherNetIpSecurityState, state);
}

function stateName(names: Readonly<Record<string, number>>, state: number): string {
  const name = nameOf(names, state);
  return typeof name === "string" ? name : `reserved-${name}`;
}
