/*
 * Just enough of pcap, pcapng, IP, UDP and TCP to lift EtherNet/IP out of the capture files for tests. Files are trusted:
 * a malformed one fails the test. The product's reader is `@cipsec/capture`, which this package may not need.
 */

/** UDP payload, or the octets of one direction of a TCP connection without a gap. */
export interface Flow {
  readonly protocol: "tcp" | "udp";
  readonly from: string;
  readonly to: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly bytes: Uint8Array;
  /** Number of the packet in the file, from 1, that `bytes` begins in. */
  readonly packet: number;
}

interface Packet {
  readonly number: number;
  readonly linkType: number;
  readonly bytes: Uint8Array;
}

/** Every UDP payload and every unbroken run of TCP octets of a capture file, in the order of their first packet. */
export function flows(file: Uint8Array): readonly Flow[] {
  const found: Flow[] = [];
  const streams = new Map<string, Stream>();
  for (const packet of packets(file)) {
    const ip = ipv4(packet);
    if (ip === undefined) continue;
    const view = viewOf(ip.payload);
    if (ip.protocol === 17) {
      const bytes = ip.payload.subarray(8, view.getUint16(4));
      const ports = { fromPort: view.getUint16(0), toPort: view.getUint16(2) };
      found.push({ protocol: "udp", from: ip.from, to: ip.to, ...ports, bytes, packet: packet.number });
    } else if (ip.protocol === 6) {
      segment(streams, ip, view, packet.number);
    }
  }
  for (const stream of streams.values()) found.push(...stream.runs.flatMap((run) => joined(stream, run)));
  return found.toSorted((a, b) => a.packet - b.packet);
}

interface Segment {
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly packet: number;
}

interface Stream extends Omit<Flow, "bytes" | "packet"> {
  /** One for each connection between these ports: a SYN begins another. */
  readonly runs: { readonly first: number; readonly segments: Segment[] }[];
}

function segment(streams: Map<string, Stream>, ip: Ip, view: DataView, packet: number): void {
  const ports = { fromPort: view.getUint16(0), toPort: view.getUint16(2) };
  const key = `${ip.from}:${ports.fromPort}>${ip.to}:${ports.toPort}`;
  const stream = streams.get(key) ?? { protocol: "tcp", from: ip.from, to: ip.to, ...ports, runs: [] };
  streams.set(key, stream);
  const isSyn = (view.getUint8(13) & 0x02) !== 0;
  const sequence = view.getUint32(4) + (isSyn ? 1 : 0);
  const bytes = ip.payload.subarray((view.getUint8(12) >> 4) * 4);
  const current = stream.runs.at(-1);
  if (current === undefined || (isSyn && current.first !== sequence)) {
    stream.runs.push({ first: sequence, segments: [{ at: 0, bytes, packet }] });
  } else {
    current.segments.push({ at: (sequence - current.first) | 0, bytes, packet });
  }
}

/** Sorts segments by sequence number, drops what came twice, and breaks where octets are missing. */
function joined(stream: Stream, run: Stream["runs"][number]): readonly Flow[] {
  const { runs: _, ...ends } = stream;
  const parts: { bytes: Uint8Array[]; end: number; packet: number }[] = [];
  for (const { at, bytes, packet } of run.segments.toSorted((a, b) => a.at - b.at || a.packet - b.packet)) {
    if (bytes.length === 0) continue;
    const last = parts.at(-1);
    if (last === undefined || at > last.end) parts.push({ bytes: [bytes], end: at + bytes.length, packet });
    else if (at + bytes.length > last.end) {
      last.bytes.push(bytes.subarray(last.end - at));
      last.end = at + bytes.length;
    }
  }
  return parts.map((part) => ({ ...ends, bytes: Buffer.concat(part.bytes), packet: part.packet }));
}

interface Ip {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

const loopbackLink = 0;
const ethernetLink = 1;

function ipv4({ linkType, bytes }: Packet): Ip | undefined {
  if (linkType !== ethernetLink && linkType !== loopbackLink) throw new RangeError(`link type ${linkType}`);
  const start = linkType === loopbackLink ? 4 : networkOffset(bytes);
  if (start === undefined) return undefined;
  const ip = bytes.subarray(start);
  const view = viewOf(ip);
  return {
    from: ip.subarray(12, 16).join("."),
    to: ip.subarray(16, 20).join("."),
    protocol: view.getUint8(9),
    payload: ip.subarray((view.getUint8(0) & 0x0f) * 4, view.getUint16(2)),
  };
}

/** Where IPv4 begins in an Ethernet frame, behind a VLAN tag if it has one. */
function networkOffset(bytes: Uint8Array): number | undefined {
  const view = viewOf(bytes);
  const start = view.getUint16(12) === 0x8100 ? 18 : 14;
  return view.getUint16(start - 2) === 0x0800 ? start : undefined;
}

function* packets(file: Uint8Array): Generator<Packet> {
  const view = viewOf(file);
  const isPcapng = view.getUint32(0, true) === 0x0a0d_0d0a;
  let linkType = isPcapng ? ethernetLink : view.getUint32(20, true);
  let number = 0;
  let at = isPcapng ? 0 : 24;
  while (at < file.length) {
    if (isPcapng) {
      const type = view.getUint32(at, true);
      if (type === 1) linkType = view.getUint16(at + 8, true);
      if (type === 6) {
        number += 1;
        yield { number, linkType, bytes: file.subarray(at + 28, at + 28 + view.getUint32(at + 20, true)) };
      }
      at += view.getUint32(at + 4, true);
    } else {
      const length = view.getUint32(at + 8, true);
      number += 1;
      yield { number, linkType, bytes: file.subarray(at + 16, at + 16 + length) };
      at += 16 + length;
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
