import { SHORT_STRING, STRINGI, Revision, UDINT, UINT, USINT, WORD, octets, optional } from "@cipsec/wire";
import { objectClass } from "./declare.ts";

/** Values of Identity `state`. */
export const IdentityState = {
  nonexistent: 0,
  selfTesting: 1,
  standby: 2,
  operational: 3,
  majorRecoverableFault: 4,
  majorUnrecoverableFault: 5,
} as const;

/** Single bits of Identity `status`; bits 4 to 7 hold the {@link ExtendedDeviceStatus}. */
export const IdentityStatus = {
  owned: 0x0001,
  configured: 0x0004,
  minorRecoverableFault: 0x0100,
  minorUnrecoverableFault: 0x0200,
  majorRecoverableFault: 0x0400,
  majorUnrecoverableFault: 0x0800,
} as const;

/** Values of bits 4 to 7 of Identity `status`. */
export const ExtendedDeviceStatus = {
  unknown: 0,
  firmwareUpdate: 1,
  faultedConnection: 2,
  noConnection: 3,
  badConfiguration: 4,
  majorFault: 5,
  connectionInRun: 6,
  connectionsIdle: 7,
} as const;

/** Type of an Identity reset; a request without one means `cycle`. */
export const ResetType = { cycle: 0, factory: 1, factoryKeepingLink: 2 } as const;

/** What a device is. One instance for most devices. */
export const Identity = objectClass({
  name: "Identity",
  classId: 0x01,
  revision: 2,
  source: "CIP Vol 1, Identity Object; reference ethernet-ip.md 7.1, cip-security.md 3.9",
  attributes: {
    vendorId: { id: 1, type: UINT, access: "get", doc: "Vendor, as ODVA numbers them; never 0." },
    deviceType: { id: 2, type: UINT, access: "get", doc: "Device profile; 0x2B is a generic device." },
    productCode: { id: 3, type: UINT, access: "get", doc: "The vendor's number of the product; never 0." },
    revision: { id: 4, type: Revision, access: "get", doc: "Revision of the product." },
    status: { id: 5, type: WORD, access: "get", values: IdentityStatus, doc: "Ownership, configuration and faults." },
    serialNumber: { id: 6, type: UDINT, access: "get", nonVolatile: true, doc: "Unique among the vendor's devices." },
    productName: { id: 7, type: SHORT_STRING, access: "get", doc: "Name of the product, at most 32 characters." },
    state: { id: 8, type: USINT, access: "get", values: IdentityState, optional: true, doc: "State of the device." },
    configurationConsistency: {
      id: 9,
      type: UINT,
      access: "get",
      optional: true,
      doc: "Changes with every change of the configuration.",
    },
    heartbeatInterval: {
      id: 10,
      type: USINT,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      unit: "s",
      doc: "Time between two heartbeat messages, on networks that have them; 0 is none.",
    },
    activeLanguage: {
      id: 11,
      type: octets(3),
      access: "get/set",
      nonVolatile: true,
      optional: true,
      doc: "Language of texts, three letters.",
    },
    internationalProductName: {
      id: 13,
      type: STRINGI,
      access: "get",
      optional: true,
      doc: "Name of the product in several languages.",
    },
    assignedName: {
      id: 15,
      type: STRINGI,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      doc: "Name that the user gives the device.",
    },
    assignedDescription: {
      id: 16,
      type: STRINGI,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      doc: "What the user says about the device.",
    },
    geographicLocation: {
      id: 17,
      type: STRINGI,
      access: "get/set",
      nonVolatile: true,
      optional: true,
      doc: "Where the device stands.",
    },
    protectionMode: {
      id: 19,
      type: WORD,
      access: "get",
      optional: true,
      doc: "Whether changes of the configuration are refused now.",
    },
  },
  services: {
    reset: {
      code: 0x05,
      request: optional(USINT),
      doc: "Restarts the device: 0 as by power, 1 at factory default, 2 too but keeping link settings.",
    },
  },
  all: ["vendorId", "deviceType", "productCode", "revision", "status", "serialNumber", "productName"],
  classAll: [1, 2, 6, 7],
});
