import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { EthernetLink, InterfaceFlag, NegotiationStatus } from "@cipsec/objects";
import type { Router } from "../router.ts";

/** The host's network interface that carries an address. */
interface HostInterface {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly isLoopback: boolean;
}

/**
 * Hosts the Ethernet Link Object for the host interface behind `address`: the first that carries it, the loopback interface for
 * any 127.x address, the first that leads out of the host for 0.0.0.0. Speed comes from the operating system where it tells (Linux), otherwise it reads 0.
 *
 * @see CIP Vol 2, 5-5
 */
export function hostEthernetLink(router: Router, address: string): void {
  const found = hostInterface(address);
  router.host(EthernetLink, 1, {
    interfaceSpeed: { get: () => systemNumber(found.name, "speed") },
    interfaceFlags: {
      get: () =>
        (systemText(found.name, "operstate") === "down" ? 0 : InterfaceFlag.link) |
        duplex(found.name) |
        (NegotiationStatus.done << 2),
    },
    physicalAddress: { get: () => found.mac },
    interfaceType: { get: () => (found.isLoopback ? 1 : 0) },
    interfaceLabel: { get: () => found.name },
    interfaceCapability: { get: () => ({ capability: 0, modes: [] }) },
  });
}

function hostInterface(address: string): HostInterface {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address: own, mac, internal } of addresses ?? []) {
      const isMeant = address === "0.0.0.0" ? !internal : internal && address.startsWith("127.");
      if (own === address || isMeant) return { name, mac: macOctets(mac), isLoopback: internal };
    }
  }
  return { name: "", mac: new Uint8Array(6), isLoopback: false };
}

function macOctets(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (octet) => Number.parseInt(octet, 16));
}

function duplex(name: string): number {
  return systemText(name, "duplex") === "half" ? 0 : InterfaceFlag.fullDuplex;
}

function systemNumber(name: string, file: string): number {
  const value = Number.parseInt(systemText(name, file), 10);
  return Number.isInteger(value) && value > 0 ? value : 0;
}

/** What Linux says of an interface; empty where it does not. */
function systemText(name: string, file: string): string {
  if (!/^[\w.-]+$/.test(name)) return "";
  try {
    return readFileSync(`/sys/class/net/${name}/${file}`, "latin1").trim();
  } catch {
    return "";
  }
}
