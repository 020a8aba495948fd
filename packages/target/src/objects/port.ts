import { PortObject, PortType } from "@cipsec/objects";
import { objectPath } from "@cipsec/wire";
import type { Router } from "../router.ts";

/** Number of the network port in a route. 1 stands for the backplane, behind which the device reaches itself in slot 0. */
const etherNetIpPort = 2;

const tcpIpInterface = 0xf5;
const ethernetLink = 0xf6;

/**
 * Hosts the Port Object: one port, on EtherNet/IP. No route leads through the device.
 *
 * @see CIP Vol 1, Port Object; reference ethernet-ip.md 7.11
 */
export function hostPort(router: Router, address: string): void {
  const link = new TextEncoder().encode(address);
  router.host(PortObject, 1, {
    portType: { get: () => PortType.etherNetIp },
    portNumber: { get: () => etherNetIpPort },
    linkObject: { get: () => objectPath(tcpIpInterface, 1) },
    portName: { get: () => "EtherNet/IP" },
    portTypeName: { get: () => "EtherNet/IP" },
    nodeAddress: { get: () => [{ kind: "port", port: etherNetIpPort, link }] },
    communicationObjects: { get: () => [objectPath(tcpIpInterface, 1), objectPath(ethernetLink, 1)] },
  });
  router.hostClass(PortObject, {
    entryPort: { get: () => 1 },
    portInstances: {
      get: () => [
        { type: 0, number: 0 },
        { type: PortType.etherNetIp, number: etherNetIpPort },
      ],
    },
  });
}
