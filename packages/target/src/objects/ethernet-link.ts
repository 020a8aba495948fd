import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { EthernetLink, InterfaceFlag, NegotiationStatus, type AttributeValue } from "@cipsec/objects";
import { Status, encode } from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";

/** The host's network interface that carries an address. */
interface HostInterface {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly isLoopback: boolean;
}

/** Counters have 32 bits. */
const wrap = 0x1_0000_0000;

type InterfaceCounters = AttributeValue<typeof EthernetLink, "interfaceCounters">;
type MediaCounters = AttributeValue<typeof EthernetLink, "mediaCounters">;

/** One counter of the operating system by its name, such as `rx_bytes`; `undefined` where it has none. */
export type ReadStatistic = (interfaceName: string, counter: string) => number | undefined;

/**
 * Hosts the Ethernet Link Object for the host interface behind `address`: the first that carries it, the loopback interface for
 * any 127.x address, the first that leads out of the host for 0.0.0.0. Speed and counters come from the operating system where it
 * tells (Linux); otherwise speed reads 0 and there are no counters. Get_and_Clear leaves the system's own counters alone: it
 * remembers what they were.
 *
 * @param statistic Where counters come from.
 * @see CIP Vol 2, 5-5; reference ethernet-ip.md 7.8
 */
export function hostEthernetLink(router: Router, address: string, statistic: ReadStatistic = systemStatistic): void {
  const found = hostInterface(address);
  const hasCounters = statistic(found.name, "rx_bytes") !== undefined;
  const counter = (name: string): number => statistic(found.name, name) ?? 0;
  const frames = clearable(counter);
  const faults = clearable(counter);
  const { interfaceCounters, mediaCounters } = EthernetLink.attributes;
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
    ...(hasCounters
      ? {
          interfaceCounters: { get: () => readInterfaceCounters(frames.count) },
          mediaCounters: { get: () => readMediaCounters(faults.count) },
          getAndClear: (_: void, { attribute }: RequestContext): Uint8Array => {
            const bytes =
              attribute === interfaceCounters.id
                ? encode(interfaceCounters.type, readInterfaceCounters(frames.count))
                : encode(mediaCounters.type, readMediaCounters(faults.count));
            if (attribute === interfaceCounters.id) frames.clear();
            else if (attribute === mediaCounters.id) faults.clear();
            else throw refuse(Status.serviceNotSupportedForPath, { reason: "the attribute is no counter" });
            return bytes;
          },
        }
      : {}),
  });
}

/** Whether the host interface behind `address` is the loopback interface. */
export function isOnLoopback(address: string): boolean {
  return hostInterface(address).isLoopback;
}

/** The system tells multicast apart in what it received, and nothing apart in what it sent. */
function readInterfaceCounters(counter: (name: string) => number): InterfaceCounters {
  const multicast = counter("multicast");
  return {
    inOctets: counter("rx_bytes"),
    inUnicast: Math.max(0, counter("rx_packets") - multicast),
    inNonUnicast: multicast,
    inDiscards: counter("rx_dropped"),
    inErrors: counter("rx_errors"),
    inUnknownProtocols: counter("rx_nohandler"),
    outOctets: counter("tx_bytes"),
    outUnicast: counter("tx_packets"),
    outNonUnicast: 0,
    outDiscards: counter("tx_dropped"),
    outErrors: counter("tx_errors"),
  };
}

/** The system counts collisions in one number, whether one or several came before a frame was sent. */
function readMediaCounters(counter: (name: string) => number): MediaCounters {
  return {
    alignmentErrors: counter("rx_frame_errors"),
    fcsErrors: counter("rx_crc_errors"),
    singleCollisions: counter("collisions"),
    multipleCollisions: 0,
    sqeTestErrors: counter("tx_heartbeat_errors"),
    deferred: 0,
    lateCollisions: counter("tx_window_errors"),
    excessiveCollisions: counter("tx_aborted_errors"),
    macTransmitErrors: counter("tx_fifo_errors"),
    carrierSenseErrors: counter("tx_carrier_errors"),
    tooLong: counter("rx_length_errors"),
    macReceiveErrors: (counter("rx_fifo_errors") + counter("rx_missed_errors")) % wrap,
  };
}

/** Counters that can be cleared here though not where they come from. They run over at 32 bits, as the attributes do. */
function clearable(statistic: (counter: string) => number): {
  readonly count: (counter: string) => number;
  readonly clear: () => void;
} {
  const seen = new Map<string, number>();
  const cleared = new Map<string, number>();
  return {
    count(counter) {
      const now = statistic(counter);
      seen.set(counter, now);
      const from = cleared.get(counter) ?? 0;
      // Below what it was: the system has begun anew.
      return (now >= from ? now - from : now) % wrap;
    },
    clear() {
      for (const [counter, value] of seen) cleared.set(counter, value);
    },
  };
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

function systemStatistic(name: string, counter: string): number | undefined {
  const text = systemText(name, `statistics/${counter}`);
  return /^\d+$/.test(text) ? Number(text) : undefined;
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
