import { UINT, repeated } from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { UintList } from "./layouts.ts";

/** Brings requests to objects. Multiple_Service_Packet is addressed to it and handled by the router itself. */
export const MessageRouter = objectClass({
  name: "Message Router",
  classId: 0x02,
  revision: 1,
  source: "CIP Vol 1, Message Router Object; reference ethernet-ip.md 7.2",
  attributes: {
    objectList: { id: 1, type: UintList, access: "get", optional: true, doc: "Codes of the classes of this device." },
    numberAvailable: { id: 2, type: UINT, access: "get", optional: true, doc: "Most connections at a time." },
    numberActive: { id: 3, type: UINT, access: "get", optional: true, doc: "Connections open now." },
    activeConnections: {
      id: 4,
      type: repeated(UINT, 1024),
      access: "get",
      optional: true,
      doc: "Numbers of the connections open now.",
    },
  },
  services: {},
  all: ["objectList", "numberAvailable", "numberActive", "activeConnections"],
  classAll: [1, 4, 5, 6, 7],
});
