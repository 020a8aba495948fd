import { DWORD, REST, SHORT_STRING, UDINT, USINT, octets } from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import {
  HighInterfaceCounters,
  HighMediaCounters,
  InterfaceCapability,
  InterfaceControl,
  InterfaceCounters,
  MediaCounters,
} from "./layouts.ts";

/** Single bits of Ethernet Link `interfaceFlags`; bits 2 to 4 hold the {@link NegotiationStatus}. */
export const InterfaceFlag = {
  link: 0x0000_0001,
  fullDuplex: 0x0000_0002,
  manualResetNeeded: 0x0000_0020,
  hardwareFault: 0x0000_0040,
} as const;

/** Values of bits 2 to 4 of `interfaceFlags`. */
export const NegotiationStatus = { inProgress: 0, failed: 1, speedOnly: 2, done: 3, forced: 4 } as const;

const noInterfaceCounters = {
  inOctets: 0,
  inUnicast: 0,
  inNonUnicast: 0,
  inDiscards: 0,
  inErrors: 0,
  inUnknownProtocols: 0,
  outOctets: 0,
  outUnicast: 0,
  outNonUnicast: 0,
  outDiscards: 0,
  outErrors: 0,
} as const;

const noMediaCounters = {
  alignmentErrors: 0,
  fcsErrors: 0,
  singleCollisions: 0,
  multipleCollisions: 0,
  sqeTestErrors: 0,
  deferred: 0,
  lateCollisions: 0,
  excessiveCollisions: 0,
  macTransmitErrors: 0,
  carrierSenseErrors: 0,
  tooLong: 0,
  macReceiveErrors: 0,
} as const;

/** One instance for each Ethernet port, an internal one last. */
export const EthernetLink = objectClass({
  name: "Ethernet Link",
  classId: 0xf6,
  revision: 4,
  source: "CIP Vol 2, Ethernet Link Object; reference ethernet-ip.md 7.8",
  attributes: {
    interfaceSpeed: { id: 1, type: UDINT, access: "get", unit: "Mbit/s", doc: "Speed now; 0 where unknown." },
    interfaceFlags: { id: 2, type: DWORD, access: "get", values: InterfaceFlag, doc: "Link, duplex and faults." },
    physicalAddress: { id: 3, type: octets(6), access: "get", doc: "MAC address." },
    interfaceCounters: {
      id: 4,
      type: InterfaceCounters,
      access: "get",
      optional: true,
      default: noInterfaceCounters,
      doc: "Octets and packets in and out.",
    },
    mediaCounters: {
      id: 5,
      type: MediaCounters,
      access: "get",
      optional: true,
      default: noMediaCounters,
      doc: "Collisions and errors of the medium.",
    },
    interfaceControl: {
      id: 6,
      type: InterfaceControl,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      default: { control: 1, speed: 0 },
      doc: "Negotiated or forced speed and duplex.",
    },
    interfaceType: {
      id: 7,
      type: USINT,
      access: "get",
      values: { unknown: 0, internal: 1, twistedPair: 2, fibre: 3 },
      doc: "Medium of the port.",
    },
    interfaceState: {
      id: 8,
      type: USINT,
      access: "get",
      optional: true,
      values: { unknown: 0, enabled: 1, disabled: 2, testing: 3 },
      default: 0,
      doc: "Whether the port is in service.",
    },
    adminState: {
      id: 9,
      type: USINT,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      values: { enable: 1, disable: 2 },
      default: 1,
      doc: "Whether the port shall be in service.",
    },
    interfaceLabel: {
      id: 10,
      type: SHORT_STRING,
      access: "get",
      optional: true,
      default: "",
      doc: "Name on the port, at most 64 characters.",
    },
    interfaceCapability: { id: 11, type: InterfaceCapability, access: "get", doc: "Speeds and modes of the port." },
    highInterfaceCounters: {
      id: 12,
      type: HighInterfaceCounters,
      access: "get",
      optional: true,
      doc: "Octets and packets in and out, in 64 bits.",
    },
    highMediaCounters: {
      id: 13,
      type: HighMediaCounters,
      access: "get",
      optional: true,
      doc: "Errors of the medium, in 64 bits.",
    },
    ethernetErrors: { id: 14, type: UDINT, access: "get", optional: true, doc: "Frames with an error, in and out." },
    linkDownCounter: { id: 15, type: UDINT, access: "get", optional: true, doc: "Times that the link went down." },
  },
  services: {
    getAndClear: {
      code: 0x4c,
      response: REST,
      optional: true,
      doc: "Reads the counter attribute that the path names, and sets it to zero.",
    },
  },
  all: [
    "interfaceSpeed",
    "interfaceFlags",
    "physicalAddress",
    "interfaceCounters",
    "mediaCounters",
    "interfaceControl",
    "interfaceType",
    "interfaceState",
    "adminState",
    "interfaceLabel",
    "interfaceCapability",
  ],
  classAll: [1, 2, 3, 4, 5, 6, 7],
});
