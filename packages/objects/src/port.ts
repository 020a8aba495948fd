import { DWORD, EPATH, PACKED_EPATH, SHORT_STRING, UINT } from "@cipsec/wire";
import { objectClass } from "./declare.ts";
import { NodeRange, ObjectPaths, PortInstances, WordCountedPath } from "./layouts.ts";

/** Values of Port attribute 1; 100 to 199 are the vendor's. */
export const PortType = {
  terminates: 0,
  backplane: 1,
  controlNet: 2,
  controlNetRedundant: 3,
  etherNetIp: 4,
  deviceNet: 5,
  compoNet: 200,
  modbusTcp: 201,
  modbusSerial: 202,
  sercos: 203,
  configurable: 65_535,
} as const;

/** One instance for each port that requests can be routed to. */
export const PortObject = objectClass({
  name: "Port",
  classId: 0xf4,
  revision: 2,
  source: "CIP Vol 1, Port Object; reference ethernet-ip.md 7.11",
  classAttributes: {
    entryPort: { id: 8, type: UINT, access: "get", doc: "Instance of the port that this request came by." },
    portInstances: {
      id: 9,
      type: PortInstances,
      access: "get",
      doc: "Type and number of the port of each instance, from instance 0 on.",
    },
  },
  attributes: {
    portType: { id: 1, type: UINT, access: "get", values: PortType, doc: "Kind of network behind the port." },
    portNumber: { id: 2, type: UINT, access: "get", doc: "Number of the port in a route; 1 is a backplane." },
    linkObject: { id: 3, type: WordCountedPath, access: "get", doc: "Path of the object of the port's link." },
    portName: { id: 4, type: SHORT_STRING, access: "get", doc: "Name of the port, at most 64 characters." },
    portTypeName: { id: 5, type: SHORT_STRING, access: "get", optional: true, doc: "Name of the port's type." },
    portDescription: { id: 6, type: SHORT_STRING, access: "get", optional: true, doc: "What the port is for." },
    nodeAddress: {
      id: 7,
      type: EPATH,
      access: "get",
      doc: "Number of the port and address of the device there, as a port segment.",
    },
    nodeRange: { id: 8, type: NodeRange, access: "get", optional: true, doc: "Node addresses that the port takes." },
    chassisIdentity: {
      id: 9,
      type: PACKED_EPATH,
      access: "get",
      optional: true,
      doc: "Electronic key of the chassis that the port leads to.",
    },
    routingCapabilities: {
      id: 10,
      type: DWORD,
      access: "get",
      optional: true,
      doc: "Requests that can be routed through the port.",
    },
    communicationObjects: {
      id: 11,
      type: ObjectPaths,
      access: "get",
      optional: true,
      doc: "Objects of the network behind the port.",
    },
  },
  services: {},
  all: ["portType", "portNumber", "linkObject", "portName", "nodeAddress"],
  classAll: [1, 2, 3, 8, 9],
});
