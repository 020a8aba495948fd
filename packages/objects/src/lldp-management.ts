import { UDINT, UINT, USINT, WORD } from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { BitList } from "./layouts.ts";

/** Bits of LLDP Management `datastore`: where what neighbours tell can be read. */
export const LldpDatastore = { dataTable: 0x0001, snmp: 0x0002, netconfYang: 0x0004, restconfYang: 0x0008 } as const;

/** How a device tells its neighbours who it is, by IEEE 802.1AB. */
export const LldpManagement = objectClass({
  name: "LLDP Management",
  classId: 0x109,
  revision: 1,
  source: "CIP Vol 2, LLDP Management Object; reference ethernet-ip.md 7.10",
  attributes: {
    lldpEnable: {
      id: 1,
      type: BitList,
      access: "get/set",
      nonVolatile: true,
      doc: "Whether LLDP is sent: for the device as a whole, then for each Ethernet port.",
    },
    msgTxInterval: {
      id: 2,
      type: UINT,
      access: "get/set",
      nonVolatile: true,
      unit: "s",
      default: 30,
      doc: "Time between two announcements.",
    },
    msgTxHold: {
      id: 3,
      type: USINT,
      access: "get/set",
      nonVolatile: true,
      default: 4,
      doc: "Intervals that neighbours keep an announcement for.",
    },
    datastore: {
      id: 4,
      type: WORD,
      access: "get",
      values: LldpDatastore,
      doc: "Ways in which what neighbours announce can be read.",
    },
    lastChange: {
      id: 5,
      type: UDINT,
      access: "get",
      unit: "s",
      doc: "Time since start at which what is known of neighbours changed last.",
    },
  },
  services: {},
  classAll: [1, 2, 3, 4, 5, 6, 7],
});
