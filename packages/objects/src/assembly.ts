import { REST, UINT } from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { MemberList } from "./layouts.ts";

/** Data of several objects bound together, as I/O connections carry it. */
export const Assembly = objectClass({
  name: "Assembly",
  classId: 0x04,
  revision: 2,
  source: "CIP Vol 1, Assembly Object; reference ethernet-ip.md 7.3",
  attributes: {
    numberOfMembers: { id: 1, type: UINT, access: "get", optional: true, doc: "Members in the list." },
    memberList: { id: 2, type: MemberList, access: "get", optional: true, doc: "What the data is made of, in order." },
    data: { id: 3, type: REST, access: "get/set", doc: "The data; outputs may be set while no connection owns them." },
    size: { id: 4, type: UINT, access: "get", unit: "octets", optional: true, doc: "Octets of the data." },
  },
  services: {},
});
