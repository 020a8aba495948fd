import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";

/** Multicast addresses that one device may use. */
export const groupsPerDevice = 32;

/** How a device sends multicast. */
export interface MulticastSettings {
  /** Hops that it may go, 1 to 255; 1 stays on the subnet. */
  readonly ttl: number;
  /** Addresses that it may use; by {@link multicastAddress} where left out. */
  readonly groups?: { readonly start: string; readonly count: number };
}

/** Out of the box: on the subnet, by the standard's own algorithm. */
export const defaultMulticast: MulticastSettings = { ttl: 1 };

/** Where the block of addresses for EtherNet/IP begins: 239.192.1.0. */
const base = 0xefc0_0100;

/** The address and mask of the interface that a device stands on, as numbers. */
export interface Subnet {
  readonly address: number;
  readonly mask: number;
}

/**
 * The subnet that an IPv4 address of this machine is in; without an interface that tells, the mask of the address's class.
 */
export function subnetOf(address: string): Subnet {
  const own = toNumber(address);
  for (const list of Object.values(networkInterfaces())) {
    for (const { family, address: at, netmask } of list ?? []) {
      if (family !== "IPv4") continue;
      const mask = toNumber(netmask);
      if (and(toNumber(at), mask) === and(own, mask)) return { address: own, mask };
    }
  }
  return { address: own, mask: classMask(own) };
}

/** Whether an address is on the subnet: multicast with a TTL of 1 gets no farther. */
export function isOnSubnet(address: string, { address: own, mask }: Subnet): boolean {
  return and(toNumber(address), mask) === and(own, mask);
}

/**
 * Address number `i`, below {@link groupsPerDevice}, of a device's own multicast block.
 *
 * @see CIP Vol 2, 3-5.3; reference ethernet-ip.md 6.12
 */
export function multicastAddress({ address, mask }: Subnet, i: number): string {
  const host = and(address, ~mask);
  const index = (host - 1) & 0x3ff;
  return toText(base + index * groupsPerDevice + i);
}

/** Address number `i` that a device may use on this subnet; `undefined` where it has no more. */
export function groupOf({ groups }: MulticastSettings, subnet: Subnet, i: number): string | undefined {
  if (groups === undefined) return i < groupsPerDevice ? multicastAddress(subnet, i) : undefined;
  return i < groups.count ? toText(toNumber(groups.start) + i) : undefined;
}

/** Whether these addresses are all multicast, and none of those that hosts and routers keep for themselves (224.0.0.x). */
export function isGroupRange(start: string, count: number): boolean {
  if (!isIPv4(start) || count < 1) return false;
  const first = toNumber(start);
  return first >= firstGroup && first + count - 1 <= lastGroup;
}

/** 224.0.1.0 and 239.255.255.255. */
const firstGroup = 0xe000_0100;
const lastGroup = 0xefff_ffff;

/** 192.168.1.20 as 0xC0A80114. */
export function toNumber(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

function and(a: number, b: number): number {
  return (a & b) >>> 0;
}

function classMask(address: number): number {
  const first = address >>> 24;
  if (first < 128) return 0xff00_0000;
  return first < 192 ? 0xffff_0000 : 0xffff_ff00;
}
