import { isIPv4 } from "node:net";
import { PortCapability, TcpIpInterface, TcpIpStatus } from "@cipsec/objects";
import { Status, objectPath } from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import type { InstanceHandlers } from "../hosting.ts";
import { groupOf, groupsPerDevice, subnetOf } from "../io/multicast.ts";
import type { MulticastAttributes } from "./multicast-settings.ts";
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

/** What the TCP/IP Interface needs of the device. Multicast is absent on a device without I/O; ports are absent on a device that does not administer them. */
export interface TcpIpInterfaceOptions {
  readonly address: string;
  readonly hostName: string;
  /** Up to 48 characters are told. */
  readonly domainName?: string;
  readonly inactivityTimeoutS: () => number;
  readonly setInactivityTimeout: (seconds: number) => Promise<void>;
  readonly activeTcpConnections: () => number;
  readonly multicast?: MulticastAttributes;
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
  const { address, hostName, domainName = "", ports, multicast } = options;
  const none = "0.0.0.0";
  const status = (): number =>
    TcpIpStatus.configured |
    (multicast?.isPending() === true ? TcpIpStatus.multicastPending : 0) |
    (ports?.isPending() === true ? TcpIpStatus.portAdminPending : 0);
  router.host(TcpIpInterface, 1, {
    status: { get: status },
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
        domainName: domainName.slice(0, 48),
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
    activeTcpConnections: { get: () => Math.min(options.activeTcpConnections(), 0xffff) },
    ...(multicast === undefined ? {} : multicastHandlers(multicast, address)),
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

function multicastHandlers(
  multicast: MulticastAttributes,
  address: string,
): Pick<InstanceHandlers<typeof TcpIpInterface>, "ttl" | "multicastConfiguration"> {
  return {
    ttl: { get: () => multicast.saved().ttl, set: (hops) => multicast.setTtl(hops) },
    multicastConfiguration: {
      get: () => {
        const { groups } = multicast.saved();
        if (groups !== undefined) return { allocation: 1, reserved: 0, ...groups };
        const hasAddress = isIPv4(address) && address !== "0.0.0.0";
        const start = hasAddress ? groupOf({ ttl: 1 }, subnetOf(address), 0) : undefined;
        return { allocation: 0, reserved: 0, count: groupsPerDevice, start: start ?? "0.0.0.0" };
      },
      set: (configuration) => multicast.setConfiguration(configuration),
    },
  };
}
