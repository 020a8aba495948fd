import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { EthernetLink, InterfaceFlag, NegotiationStatus, type AttributeValue } from "@cipsec/objects";
import { Status, encode, type Codec } from "@cipsec/wire";
import type { RequestContext } from "../context.ts";
import type { InstanceHandlers } from "../hosting.ts";
import { refuse } from "../refusal.ts";
import type { Router } from "../router.ts";

/** The host's network interface that carries an address. */
interface HostInterface {
  readonly name: string;
  readonly mac: Uint8Array;
  readonly isLoopback: boolean;
}

/** Counters of attributes 4, 5, 14 and 15 have 32 bits, those of 12 and 13 have 64. */
const wrap = 0x1_0000_0000;

type InterfaceCounters = AttributeValue<typeof EthernetLink, "interfaceCounters">;
type MediaCounters = AttributeValue<typeof EthernetLink, "mediaCounters">;
type HighInterfaceCounters = AttributeValue<typeof EthernetLink, "highInterfaceCounters">;
type HighMediaCounters = AttributeValue<typeof EthernetLink, "highMediaCounters">;

/** What the operating system says of an interface in one of its files, such as `statistics/rx_bytes`; empty where it does not. */
export type ReadSystem = (interfaceName: string, file: string) => string;

type Count = (name: string) => number;

/**
 * Hosts the Ethernet Link Object for the host interface behind `address`: the first that carries it, the loopback interface for
 * any 127.x address, the first that leads out of the host for 0.0.0.0. Speed, state and counters come from the operating system
 * where it tells (Linux); otherwise speed reads 0, and state and counters are absent. Get_and_Clear leaves the system's own
 * counters alone: it remembers what they were. Whether the port is in service is for the host to say: it cannot be set (0x0E).
 *
 * @param system Where it is read.
 * @see CIP Vol 2, 5-5; reference ethernet-ip.md 7.8
 */
export function hostEthernetLink(router: Router, address: string, system: ReadSystem = systemText): void {
  const found = hostInterface(address);
  const read = (file: string): string => system(found.name, file);
  const speed = positive(read("speed"));
  const isFull = (): boolean => read("duplex") !== "half";
  const isUp = (): boolean => (Number.parseInt(read("flags"), 16) & interfaceUp) !== 0;
  router.host(EthernetLink, 1, {
    interfaceSpeed: { get: () => positive(read("speed")) },
    interfaceFlags: {
      get: () =>
        (read("operstate") === "down" ? 0 : InterfaceFlag.link) |
        (isFull() ? InterfaceFlag.fullDuplex : 0) |
        (NegotiationStatus.done << 2),
    },
    physicalAddress: { get: () => found.mac },
    interfaceType: { get: () => (found.isLoopback ? 1 : 0) },
    interfaceLabel: { get: () => found.name.slice(0, 64) },
    interfaceCapability: {
      get: () => ({
        capability: 0,
        modes: speed === 0 ? [] : [{ speed: Math.min(speed, 0xffff), duplex: isFull() ? 1 : 0 }],
      }),
    },
    ...(read("flags") === ""
      ? {}
      : {
          interfaceState: { get: () => (isUp() ? 1 : 2) },
          adminState: { get: () => (isUp() ? 1 : 2) },
        }),
    ...counters(read),
  });
}

/** Bit of an interface's flags: it is in service. */
const interfaceUp = 0x1;

/** The counters that the system has, and the service that reads and clears one. */
function counters(read: (file: string) => string): Partial<InstanceHandlers<typeof EthernetLink>> {
  const clears = new Map<number, () => Uint8Array>();
  /** An attribute of counters that are cleared together. */
  const counted = <T>(
    { id, type }: { readonly id: number; readonly type: Codec<T> },
    value: (count: Count) => T,
  ): { readonly get: () => T } => {
    const { count, clear } = clearable((file) => Number(read(file)));
    clears.set(id, () => {
      const octets = encode(type, value(count));
      clear();
      return octets;
    });
    return { get: () => value(count) };
  };
  const { attributes } = EthernetLink;
  const statistic = (count: Count): Count => {
    return (name) => count(`statistics/${name}`);
  };
  const all = {
    ...(isNumber(read("statistics/rx_bytes"))
      ? {
          interfaceCounters: counted(attributes.interfaceCounters, (count) => interfaceCounters(statistic(count))),
          mediaCounters: counted(attributes.mediaCounters, (count) => mediaCounters(statistic(count))),
          highInterfaceCounters: counted(attributes.highInterfaceCounters, (count) => highCounters(statistic(count))),
          highMediaCounters: counted(attributes.highMediaCounters, (count) => highMedia(statistic(count))),
          ethernetErrors: {
            get: () => (Number(read("statistics/rx_errors")) + Number(read("statistics/tx_errors"))) % wrap,
          },
        }
      : {}),
    ...(isNumber(read(linkDowns))
      ? { linkDownCounter: counted(attributes.linkDownCounter, (count) => count(linkDowns) % wrap) }
      : {}),
  };
  if (clears.size === 0) return {};
  const getAndClear = (_: void, { attribute = 0 }: RequestContext): Uint8Array => {
    const clear = clears.get(attribute);
    if (clear === undefined)
      throw refuse(Status.serviceNotSupportedForPath, { reason: "the attribute is no counter that can be cleared" });
    return clear();
  };
  return { ...all, getAndClear };
}

const linkDowns = "carrier_down_count";

/** Whether the host interface behind `address` is the loopback interface. */
export function isOnLoopback(address: string): boolean {
  return hostInterface(address).isLoopback;
}

/** The system tells multicast apart in what it received, broadcast not, and nothing in what it sent: that counts as unicast. */
function interfaceCounters(counter: Count): InterfaceCounters {
  const multicast = counter("multicast");
  return {
    inOctets: counter("rx_bytes") % wrap,
    inUnicast: Math.max(0, counter("rx_packets") - multicast) % wrap,
    inNonUnicast: multicast % wrap,
    inDiscards: counter("rx_dropped") % wrap,
    inErrors: counter("rx_errors") % wrap,
    inUnknownProtocols: counter("rx_nohandler") % wrap,
    outOctets: counter("tx_bytes") % wrap,
    outUnicast: counter("tx_packets") % wrap,
    outNonUnicast: 0,
    outDiscards: counter("tx_dropped") % wrap,
    outErrors: counter("tx_errors") % wrap,
  };
}

function highCounters(counter: Count): HighInterfaceCounters {
  const multicast = counter("multicast");
  return {
    inOctets: BigInt(counter("rx_bytes")),
    inUnicast: BigInt(Math.max(0, counter("rx_packets") - multicast)),
    inMulticast: BigInt(multicast),
    inBroadcast: 0n,
    outOctets: BigInt(counter("tx_bytes")),
    outUnicast: BigInt(counter("tx_packets")),
    outMulticast: 0n,
    outBroadcast: 0n,
  };
}

/** The system counts collisions in one number, whether one or several came before a frame was sent. */
function mediaCounters(counter: Count): MediaCounters {
  return {
    alignmentErrors: counter("rx_frame_errors") % wrap,
    fcsErrors: counter("rx_crc_errors") % wrap,
    singleCollisions: counter("collisions") % wrap,
    multipleCollisions: 0,
    sqeTestErrors: counter("tx_heartbeat_errors") % wrap,
    deferred: 0,
    lateCollisions: counter("tx_window_errors") % wrap,
    excessiveCollisions: counter("tx_aborted_errors") % wrap,
    macTransmitErrors: counter("tx_fifo_errors") % wrap,
    carrierSenseErrors: counter("tx_carrier_errors") % wrap,
    tooLong: counter("rx_length_errors") % wrap,
    macReceiveErrors: (counter("rx_fifo_errors") + counter("rx_missed_errors")) % wrap,
  };
}

function highMedia(counter: Count): HighMediaCounters {
  return {
    alignmentErrors: BigInt(counter("rx_frame_errors")),
    fcsErrors: BigInt(counter("rx_crc_errors")),
    macTransmitErrors: BigInt(counter("tx_fifo_errors")),
    tooLong: BigInt(counter("rx_length_errors")),
    macReceiveErrors: BigInt(counter("rx_fifo_errors") + counter("rx_missed_errors")),
    symbolErrors: 0n,
  };
}

/** Counters that can be cleared here though not where they come from. */
function clearable(read: (file: string) => number): { readonly count: Count; readonly clear: () => void } {
  const seen = new Map<string, number>();
  const cleared = new Map<string, number>();
  return {
    count(file) {
      const now = read(file);
      seen.set(file, now);
      const from = cleared.get(file) ?? 0;
      // Below what it was: the system has begun anew.
      return now >= from ? now - from : now;
    },
    clear() {
      for (const [file, value] of seen) cleared.set(file, value);
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

/** A counter: digits, and few enough that no value is lost. */
function isNumber(text: string): boolean {
  return /^\d{1,15}$/.test(text);
}

function positive(text: string): number {
  const value = isNumber(text) ? Number(text) : 0;
  return value < wrap ? value : 0;
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
