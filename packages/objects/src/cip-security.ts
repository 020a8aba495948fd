import { CipSecurityState, ObjectAuthorization, SecurityProfile, USINT, WORD } from "@cipsec/wire";
import { objectClass } from "./declare.ts";

/** Coordinates a configuration session over all security objects of a device. One instance. */
export const CipSecurity = objectClass({
  name: "CIP Security",
  classId: 0x5d,
  revision: 4,
  source: "CIP Vol 8, 5-3; reference cip-security.md 3.1",
  attributes: {
    state: {
      id: 1,
      type: USINT,
      access: "get",
      nonVolatile: true,
      values: CipSecurityState,
      default: 0,
      doc: "Where the device stands in its configuration cycle.",
    },
    securityProfiles: {
      id: 2,
      type: WORD,
      access: "get",
      values: SecurityProfile,
      doc: "Security profiles that the device supports.",
    },
    securityProfilesConfigured: {
      id: 3,
      type: WORD,
      access: "get",
      nonVolatile: true,
      values: SecurityProfile,
      doc: "Security profiles in force.",
    },
    objectAuthorization: {
      id: 4,
      type: ObjectAuthorization,
      access: "get",
      nonVolatile: true,
      optional: true,
      default: [],
      doc: "Roles that a service of a class asks for.",
    },
  },
  services: {
    reset: { code: 0x05, doc: "Returns this object and every EtherNet/IP Security instance to factory default." },
    beginConfig: { code: 0x4b, doc: "Opens the configuration session." },
    kickTimer: { code: 0x4c, doc: "Keeps the configuration session open." },
    endConfig: { code: 0x4d, doc: "Closes the configuration session: the device is configured." },
    objectCleanup: {
      code: 0x4e,
      level: "both",
      doc: "Deletes certificate and file instances that nothing refers to.",
    },
  },
  all: ["state", "securityProfiles"],
  classAll: [1, 2, 6, 7],
});
