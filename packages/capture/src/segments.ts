import type { IpPayload } from "./ip.ts";

/** One end of a conversation. IPv6 addresses are in their canonical short text. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** A UDP datagram of a capture. */
export interface UdpSegment {
  readonly protocol: "udp";
  readonly src: Endpoint;
  readonly dst: Endpoint;
  readonly payload: Uint8Array;
  /** Payload octets that were not captured. */
  readonly missing: number;
}

/** A TCP segment of a capture. Checksums are not judged: offloading leaves them empty in captures of the sender. */
export interface TcpSegment {
  readonly protocol: "tcp";
  readonly src: Endpoint;
  readonly dst: Endpoint;
  readonly payload: Uint8Array;
  /** Payload octets that were not captured, at the end of the segment. */
  readonly missing: number;
  readonly sequence: number;
  /** `undefined` without the ACK flag. */
  readonly acknowledgement: number | undefined;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
}

/** A transport segment, the reason why it is damaged, or `undefined` for other protocols. */
export type SegmentResult = UdpSegment | TcpSegment | { readonly damaged: string } | undefined;

/**
 * Opens the UDP or TCP header of an IP payload.
 *
 * @see RFC 768, RFC 9293
 */
export function openSegment(packet: IpPayload): SegmentResult {
  if (packet.protocol === 17) return openUdp(packet);
  if (packet.protocol === 6) return openTcp(packet);
  return undefined;
}

function openUdp({ src, dst, bytes, missing }: IpPayload): SegmentResult {
  if (bytes.length < 8) return { damaged: `UDP header: 8 octets needed, ${bytes.length} captured` };
  const view = viewOf(bytes);
  const declared = view.getUint16(4, false);
  const onWire = bytes.length + missing;
  // Zero is a jumbogram's, or an offloading sender's, way to say "all of it".
  const length = declared === 0 ? onWire : declared;
  if (length < 8 || length > onWire)
    return { damaged: `UDP header: length ${length} does not fit the ${onWire} octets of its packet` };
  const payload = bytes.subarray(8, length);
  return {
    protocol: "udp",
    src: { address: src, port: view.getUint16(0, false) },
    dst: { address: dst, port: view.getUint16(2, false) },
    payload,
    missing: length - 8 - payload.length,
  };
}

function openTcp({ src, dst, bytes, missing }: IpPayload): SegmentResult {
  if (bytes.length < 20) return { damaged: `TCP header: 20 octets needed, ${bytes.length} captured` };
  const view = viewOf(bytes);
  const headerLength = (view.getUint8(12) >> 4) * 4;
  if (headerLength < 20 || headerLength > bytes.length + missing)
    return { damaged: `TCP header: data offset ${headerLength} does not fit its packet` };
  const flags = view.getUint8(13);
  const payload = bytes.subarray(Math.min(headerLength, bytes.length));
  return {
    protocol: "tcp",
    src: { address: src, port: view.getUint16(0, false) },
    dst: { address: dst, port: view.getUint16(2, false) },
    payload,
    missing: bytes.length + missing - headerLength - payload.length,
    sequence: view.getUint32(4, false),
    acknowledgement: (flags & 0x10) === 0 ? undefined : view.getUint32(8, false),
    syn: (flags & 0x02) !== 0,
    fin: (flags & 0x01) !== 0,
    rst: (flags & 0x04) !== 0,
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
