import {
  BOOL,
  DWORD,
  PADDED_STRING,
  PortAdminList,
  ProtocolAdminList,
  SetPortAdminRequest,
  UDINT,
  UINT,
  USINT,
  objectPath,
  octets,
} from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { AddressConflict, InterfaceConfiguration, MulticastConfiguration, WordCountedPath } from "./layouts.ts";

/** Bits of TCP/IP Interface `status`. Without the first two the interface is not configured. */
export const TcpIpStatus = {
  configured: 0x0000_0001,
  configuredByHardware: 0x0000_0002,
  multicastPending: 0x0000_0010,
  configurationPending: 0x0000_0020,
  addressConflict: 0x0000_0040,
  conflictDetectionFault: 0x0000_0080,
  portAdminPending: 0x0000_0100,
  protocolAdminPending: 0x0000_0200,
} as const;

/** Bits of TCP/IP Interface `configurationCapability`. */
export const TcpIpCapability = {
  bootp: 0x0000_0001,
  dns: 0x0000_0002,
  dhcp: 0x0000_0004,
  dhcpDnsUpdate: 0x0000_0008,
  settable: 0x0000_0010,
  hardwareConfigurable: 0x0000_0020,
  changeRequiresReset: 0x0000_0040,
  conflictDetection: 0x0000_0080,
} as const;

/** Values of TCP/IP Interface `configurationControl`: bits 0 to 3 are one of the first three, bit 4 asks for DNS. */
export const ConfigurationControl = { static: 0, bootp: 1, dhcp: 2, dns: 0x10 } as const;

/** Bits of the capability of a port in `ianaPortAdmin`. */
export const PortCapability = { configurable: 0x01, resetRequired: 0x02 } as const;

/** Addresses, ports and timeouts of one IP interface. */
export const TcpIpInterface = objectClass({
  name: "TCP/IP Interface",
  classId: 0xf5,
  revision: 4,
  source: "CIP Vol 2, TCP/IP Interface Object, and Vol 8, 4-3; reference ethernet-ip.md 7.7, cip-security.md 3.8",
  attributes: {
    status: { id: 1, type: DWORD, access: "get", values: TcpIpStatus, doc: "What is configured and what is pending." },
    configurationCapability: {
      id: 2,
      type: DWORD,
      access: "get",
      values: TcpIpCapability,
      doc: "Ways in which the interface can be configured.",
    },
    configurationControl: {
      id: 3,
      type: DWORD,
      access: "get/set",
      nonVolatile: true,
      values: ConfigurationControl,
      doc: "Way in which the interface is configured at start.",
    },
    physicalLink: {
      id: 4,
      type: WordCountedPath,
      access: "get",
      default: objectPath(0xf6, 1),
      doc: "Path of the link object below; empty where there are several ports.",
    },
    interfaceConfiguration: {
      id: 5,
      type: InterfaceConfiguration,
      access: "get/set",
      nonVolatile: true,
      doc: "Address, mask, gateway, name servers and domain.",
    },
    hostName: {
      id: 6,
      type: PADDED_STRING,
      access: "get/set",
      nonVolatile: true,
      default: "",
      doc: "Name of the host, at most 64 characters.",
    },
    safetyNetworkNumber: {
      id: 7,
      type: octets(6),
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: new Uint8Array(6),
      doc: "Number of the safety network; all zero where there is none.",
    },
    ttl: {
      id: 8,
      type: USINT,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: 1,
      doc: "Time to live of multicast packets.",
    },
    multicastConfiguration: {
      id: 9,
      type: MulticastConfiguration,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: { allocation: 0, reserved: 0, count: 0, start: "0.0.0.0" },
      doc: "Where multicast addresses come from.",
    },
    selectAcd: {
      id: 10,
      type: BOOL,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: false,
      doc: "Whether address conflicts are looked for.",
    },
    lastConflictDetected: {
      id: 11,
      type: AddressConflict,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: { activity: 0, mac: new Uint8Array(6), arp: new Uint8Array(28) },
      doc: "The last address conflict; set all zero to clear.",
    },
    quickConnect: {
      id: 12,
      type: BOOL,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: false,
      doc: "Whether the device starts as fast as tool changers need.",
    },
    encapsulationInactivityTimeout: {
      id: 13,
      type: UINT,
      access: "get/set",
      unit: "s",
      nonVolatile: true,
      default: 120,
      doc: "Silence after which a TCP connection is closed, 0 to 3600; 0 is never.",
    },
    ianaPortAdmin: {
      id: 14,
      type: PortAdminList,
      access: "get",
      nonVolatile: true,
      optional: true,
      doc: "Ports, whether each is open, and whether that can be changed.",
    },
    ianaProtocolAdmin: {
      id: 15,
      type: ProtocolAdminList,
      access: "get",
      nonVolatile: true,
      optional: true,
      default: [],
      doc: "IP protocols and whether each is on; a layout of this project, as none is public.",
    },
    activeTcpConnections: { id: 16, type: UINT, access: "get", optional: true, doc: "TCP connections open now." },
    nonCipEncapsulationMessagesPerSecond: {
      id: 17,
      type: UDINT,
      access: "get",
      unit: "1/s",
      optional: true,
      doc: "Rate of encapsulation messages that carry no CIP.",
    },
  },
  services: {
    setPortAdminState: {
      code: 0x4c,
      request: SetPortAdminRequest,
      optional: true,
      doc: "Opens and closes ports.",
    },
  },
  all: [
    "status",
    "configurationCapability",
    "configurationControl",
    "physicalLink",
    "interfaceConfiguration",
    "hostName",
    "safetyNetworkNumber",
    "ttl",
    "multicastConfiguration",
    "selectAcd",
    "lastConflictDetected",
    "quickConnect",
    "encapsulationInactivityTimeout",
  ],
  classAll: [1, 2, 3, 4, 5, 6, 7],
});
