import { writePcapng, type FrameToWrite } from "@cipsec/capture";
import type { Endpoint } from "@cipsec/transport";

/** Octets that went one way on a TCP connection, or one datagram. */
export interface Segment {
  /** Nanoseconds since 1970. */
  readonly timeNanos: bigint;
  readonly way: "toDevice" | "toTool";
  readonly octets: Uint8Array;
}

/** Octets of one TCP connection, or datagrams between two ports, as a capture shows them. */
export interface RecordedConnection {
  /** TCP unless said otherwise. */
  readonly protocol?: "udp";
  readonly tool: Endpoint;
  readonly device: Endpoint;
  readonly segments: readonly Segment[];
}

/** Payload of one made-up TCP packet: what fits an IPv4 packet with room to spare. */
const maxPayload = 16_000;

/** Stands for an address that is not IPv4: packets are made up around the octets that were seen. */
const placeholder = [192, 0, 2, 1];

/**
 * Makes a pcapng file of connections that a relay has seen. Their octets are the real ones; packets, sequence numbers and
 * handshakes around them are made up, as the relay works above TCP and UDP.
 *
 * @param keyLog Secrets of our own sessions, so that the file opens by itself.
 */
export function captureOf(connections: readonly RecordedConnection[], keyLog: string): Uint8Array {
  const frames = connections
    .flatMap((one) => (one.protocol === "udp" ? datagramsOf(one) : framesOf(one)))
    .sort((a, b) => (a.timeNanos < b.timeNanos ? -1 : a.timeNanos > b.timeNanos ? 1 : 0));
  return writePcapng({ linkType: 101, frames, application: "cipsec assess", ...(keyLog === "" ? {} : { keyLog }) });
}

const flag = { syn: 0x02, ack: 0x10, push: 0x08 } as const;

function framesOf({ tool, device, segments }: RecordedConnection): FrameToWrite[] {
  const first = segments[0]?.timeNanos ?? 0n;
  const next = { toDevice: 1, toTool: 1 };
  const make = (
    timeNanos: bigint,
    way: Segment["way"],
    flags: number,
    seq: number,
    ack: number,
    octets: Uint8Array,
  ) => ({
    timeNanos,
    bytes: packet(
      ...(way === "toDevice" ? ([tool, device] as const) : ([device, tool] as const)),
      flags,
      seq,
      ack,
      octets,
    ),
  });
  const none = new Uint8Array();
  const frames = [
    make(first, "toDevice", flag.syn, 0, 0, none),
    make(first, "toTool", flag.syn | flag.ack, 0, 1, none),
    make(first, "toDevice", flag.ack, 1, 1, none),
  ];
  for (const { timeNanos, way, octets } of segments)
    for (let at = 0; at < octets.length; at += maxPayload) {
      const part = octets.subarray(at, at + maxPayload);
      const other = way === "toDevice" ? "toTool" : "toDevice";
      frames.push(make(timeNanos, way, flag.push | flag.ack, next[way], next[other], part));
      next[way] += part.length;
    }
  return frames;
}

function datagramsOf({ tool, device, segments }: RecordedConnection): FrameToWrite[] {
  return segments.map(({ timeNanos, way, octets }) => {
    const [from, to] = way === "toDevice" ? [tool, device] : [device, tool];
    const head = Buffer.alloc(8);
    head.writeUInt16BE(from.port, 0);
    head.writeUInt16BE(to.port, 2);
    head.writeUInt16BE(8 + octets.length, 4);
    // A checksum of zero says that there is none, RFC 768.
    return { timeNanos, bytes: ipPacket(protocolNumber.udp, from, to, Buffer.concat([head, octets])) };
  });
}

const protocolNumber = { tcp: 6, udp: 17 } as const;

function packet(
  from: Endpoint,
  to: Endpoint,
  flags: number,
  seq: number,
  ack: number,
  payload: Uint8Array,
): Uint8Array {
  const segment = Buffer.alloc(20 + payload.length);
  segment.writeUInt16BE(from.port, 0);
  segment.writeUInt16BE(to.port, 2);
  segment.writeUInt32BE(seq >>> 0, 4);
  segment.writeUInt32BE(ack >>> 0, 8);
  segment.writeUInt8(0x50, 12);
  segment.writeUInt8(flags, 13);
  segment.writeUInt16BE(0xffff, 14);
  segment.set(payload, 20);
  return ipPacket(protocolNumber.tcp, from, to, segment);
}

function ipPacket(protocol: number, from: Endpoint, to: Endpoint, payload: Uint8Array): Uint8Array {
  const octets = Buffer.alloc(20 + payload.length);
  octets.writeUInt8(0x45, 0);
  octets.writeUInt16BE(octets.length, 2);
  octets.writeUInt8(64, 8);
  octets.writeUInt8(protocol, 9);
  octets.set(addressOf(from), 12);
  octets.set(addressOf(to), 16);
  octets.writeUInt16BE(checksum(octets.subarray(0, 20)), 10);
  octets.set(payload, 20);
  return octets;
}

function addressOf({ address }: Endpoint): readonly number[] {
  const parts = address
    .replace(/^::ffff:/, "")
    .split(".")
    .map(Number);
  return parts.length === 4 && parts.every((part) => part >= 0 && part <= 255) ? parts : placeholder;
}

/** The header checksum of IPv4, RFC 791 3.1. */
function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
