import { isIPv4 } from "node:net";
import { PortCapability, TcpIpInterface, TcpIpStatus } from "@cipsec/objects";
import { Status, objectPath } from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import { groupsPerDevice, multicastAddress, multicastTtl, subnetOf } from "../io/multicast.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";

/** IP protocol numbers. */
export const IpProtocol = { tcp: 6, udp: 17 } as const;

/** One port as the object shows it. */
export interface AdministeredPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: number;
  readonly open: boolean;
  readonly configurable: boolean;
}

/** One wish of Set_Port_Admin_State. */
export interface PortWish {
  readonly port: number;
  readonly protocol: number;
  readonly open: boolean;
}

/** What the TCP/IP Interface needs of the device. Ports are absent on a device that does not administer them. */
export interface TcpIpInterfaceOptions {
  readonly address: string;
  readonly hostName: string;
  readonly inactivityTimeoutS: () => number;
  readonly setInactivityTimeout: (seconds: number) => Promise<void>;
  readonly activeTcpConnections: () => number;
  readonly ports?: {
    readonly list: () => readonly AdministeredPort[];
    readonly isPending: () => boolean;
    /** @throws {Refusal} 0x20 for a port that is not there; 0x0C for one that cannot be changed, or the last one for messages. */
    readonly set: (wishes: readonly PortWish[], context: RequestContext) => Promise<void>;
  };
}

/**
 * Hosts TCP/IP Interface (0xF5). Address, name and way of configuration belong to the host that the device runs on, so they are
 * shown and cannot be set (0x0E).
 *
 * @see reference cip-security.md 3.8, ethernet-ip.md 7.7
 */
export function hostTcpIpInterface(router: Router, options: TcpIpInterfaceOptions): void {
  const { address, hostName, ports } = options;
  const none = "0.0.0.0";
  const isPending = (): boolean => ports?.isPending() ?? false;
  router.host(TcpIpInterface, 1, {
    status: { get: () => TcpIpStatus.configured | (isPending() ? TcpIpStatus.portAdminPending : 0) },
    configurationCapability: { get: () => 0 },
    configurationControl: { get: () => 0 },
    physicalLink: { get: () => objectPath(0xf6, 1) },
    interfaceConfiguration: {
      get: () => ({
        address: isIPv4(address) ? address : none,
        mask: none,
        gateway: none,
        nameServer: none,
        nameServer2: none,
        domainName: "",
      }),
    },
    hostName: { get: () => hostName.slice(0, 64) },
    encapsulationInactivityTimeout: {
      get: () => options.inactivityTimeoutS(),
      set: async (seconds) => {
        if (seconds > 3600) throw refuse(Status.invalidAttributeValue, { reason: "more than 3600 s" });
        await options.setInactivityTimeout(seconds);
      },
    },
    ttl: { get: () => multicastTtl },
    multicastConfiguration: {
      get: () => {
        const start = isIPv4(address) && address !== none ? multicastAddress(subnetOf(address), 0) : none;
        return { allocation: 0, reserved: 0, count: groupsPerDevice, start };
      },
    },
    activeTcpConnections: { get: () => Math.min(options.activeTcpConnections(), 0xffff) },
    ...(ports === undefined
      ? {}
      : {
          ianaPortAdmin: {
            get: () =>
              ports.list().map(({ configurable, ...port }) => ({
                ...port,
                capability: configurable ? PortCapability.configurable : 0,
              })),
          },
          setPortAdminState: (wishes: readonly PortWish[], context: RequestContext) => ports.set(wishes, context),
        }),
  });
}
