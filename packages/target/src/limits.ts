import type { Fields } from "./fields.ts";
import { wrong } from "./fields.ts";

/**
 * How much of a device one peer, and all together, can take: IEC 62443-4-2 CR 2.7 and CR 7.1. What is beyond is refused as the
 * standard has it, and takes nothing from those who are in.
 */
export interface DeviceLimits {
  /** TCP connections of a port, those in their handshake included; beyond that a new one is closed at once. */
  readonly tcpConnections: number;
  /** The same from one address. */
  readonly tcpConnectionsPerAddress: number;
  /** Connections of a port that have not finished their TLS or DTLS handshake. */
  readonly handshakes: number;
  /** Encapsulation sessions; beyond that RegisterSession is refused with status 2. */
  readonly sessions: number;
  /** Class 3 connections; beyond that Forward_Open is refused with 0x01/0x0113. */
  readonly explicitConnections: number;
  /** The same of one originator: a proven identity, or an address where nothing is proven. */
  readonly explicitConnectionsPerOriginator: number;
  /** Octets of a class 3 message; above that Forward_Open is refused with 0x01/0x0127 or 0x0128. */
  readonly messageOctets: number;
  /** Class 0 and 1 connections; beyond that Forward_Open is refused with 0x01/0x0113. */
  readonly ioConnections: number;
  /** The same of one originator. */
  readonly ioConnectionsPerOriginator: number;
}

/**
 * TCP: 64 are more than a device is used by, 16 from one address leave room for a few tools behind one host, and a handshake
 * costs a signature, so half as many of them. Sessions: what OpENer and its kin have. Class 3: a stored reply each; half of them
 * for one originator, so that another always finds room. 4002 octets are what Logix controllers ask for. Class 0 and 1: two
 * packets an interval each; half of them for one originator.
 */
export const deviceLimits: DeviceLimits = {
  tcpConnections: 64,
  tcpConnectionsPerAddress: 16,
  handshakes: 32,
  sessions: 20,
  explicitConnections: 32,
  explicitConnectionsPerOriginator: 16,
  messageOctets: 4002,
  ioConnections: 256,
  ioConnectionsPerOriginator: 128,
};

/** Greatest values that a description may give: memory and the processor set them, not the standard. */
const greatest: DeviceLimits = {
  tcpConnections: 10_000,
  tcpConnectionsPerAddress: 10_000,
  handshakes: 10_000,
  sessions: 10_000,
  explicitConnections: 10_000,
  explicitConnectionsPerOriginator: 10_000,
  messageOctets: 65_000,
  ioConnections: 10_000,
  ioConnectionsPerOriginator: 10_000,
};

/** What the ports of a device take. */
export function channelLimits({ tcpConnections, tcpConnectionsPerAddress, handshakes }: DeviceLimits) {
  return { maxConnections: tcpConnections, maxPerAddress: tcpConnectionsPerAddress, maxHandshakes: handshakes };
}

/** A class 3 connection carries at least a sequence count and the shortest request. */
const leastMessage = 64;

/** Octets of a Message Router reply in front of its data, with the sequence count of class 3. */
const replyOverhead = 2;

/** Octets of service data in a reply to a message that may have this size. */
export function replyRoom({ messageOctets }: Pick<DeviceLimits, "messageOctets">): number {
  return messageOctets - replyOverhead;
}

/** Octets of a frame around a message: encapsulation header, items, their headers, and room for what a tool adds. */
const frameRoom = 158;

/** Octets of the largest frame that is taken: above that it is refused, and the next one read. */
export function frameOctets({ messageOctets }: Pick<DeviceLimits, "messageOctets">): number {
  return Math.min(messageOctets + frameRoom, 65_535 + 24);
}

/**
 * Reads `limits` of a device description: each entry alone, the rest by default.
 *
 * @throws {UsageError} `usage/file` for a number out of range, and for a share of one that is above what all have.
 */
export function readLimits(device: Fields): { readonly limits?: DeviceLimits } {
  if (device.raw("limits") === undefined) return {};
  const at = device.fields("limits");
  const read = (name: keyof DeviceLimits, least = 1, most = greatest[name]): number =>
    at.number(name, least, most, Math.min(deviceLimits[name], most));
  const tcpConnections = read("tcpConnections");
  const explicitConnections = read("explicitConnections");
  const ioConnections = read("ioConnections");
  const limits: DeviceLimits = {
    tcpConnections,
    tcpConnectionsPerAddress: read("tcpConnectionsPerAddress", 1, tcpConnections),
    handshakes: read("handshakes", 1, tcpConnections),
    sessions: read("sessions"),
    explicitConnections,
    explicitConnectionsPerOriginator: read("explicitConnectionsPerOriginator", 1, explicitConnections),
    messageOctets: read("messageOctets", leastMessage),
    ioConnections,
    ioConnectionsPerOriginator: read("ioConnectionsPerOriginator", 1, ioConnections),
  };
  at.end();
  if (limits.sessions > limits.tcpConnections)
    throw wrong(at.where("sessions"), `must not be above tcpConnections, ${tcpConnections}`);
  return { limits };
}
