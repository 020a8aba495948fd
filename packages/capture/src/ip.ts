import type { FragmentStore } from "./fragments.ts";

/** A whole IP payload, with fragments put together. */
export interface IpPayload {
  readonly src: string;
  readonly dst: string;
  /** 6 is TCP, 17 UDP. */
  readonly protocol: number;
  readonly bytes: Uint8Array;
  /** Octets that the packet has on the wire but not in the capture, which was cut by its snap length. */
  readonly missing: number;
}

/** What an IP packet gave: a payload, the reason why none, or `undefined` while fragments are outstanding. */
export type IpResult = IpPayload | { readonly damaged: string } | undefined;

/**
 * Opens an IPv4 or IPv6 packet. The length field decides: padding after the packet is cut, a packet that the capture cut
 * is given with its `missing` count. A length of zero (segmentation offload) means all that was captured.
 *
 * @param seconds Time of the frame, for the age of fragments.
 * @see RFC 791, RFC 8200
 */
export function openIp(packet: Uint8Array, fragments: FragmentStore, seconds: number): IpResult {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4) return openIpv4(packet, fragments, seconds);
  if (version === 6) return openIpv6(packet, fragments, seconds);
  return { damaged: `IP version ${version} is neither 4 nor 6` };
}

function openIpv4(packet: Uint8Array, fragments: FragmentStore, seconds: number): IpResult {
  if (packet.length < 20) return { damaged: `IPv4 header: 20 octets needed, ${packet.length} captured` };
  const view = viewOf(packet);
  const headerLength = (view.getUint8(0) & 0x0f) * 4;
  const declared = view.getUint16(2, false);
  const total = declared === 0 ? packet.length : declared;
  if (headerLength < 20 || headerLength > total || headerLength > packet.length) {
    return { damaged: `IPv4 header: header length ${headerLength} does not fit total length ${total}` };
  }
  const src = ipv4Text(packet, 12);
  const dst = ipv4Text(packet, 16);
  const protocol = view.getUint8(9);
  const bytes = packet.subarray(headerLength, total);
  const missing = total - headerLength - bytes.length;
  const word = view.getUint16(6, false);
  const more = (word & 0x2000) !== 0;
  const offset = (word & 0x1fff) * 8;
  if (!more && offset === 0) return { src, dst, protocol, bytes, missing };
  if (missing > 0) return { damaged: `IPv4 fragment: ${missing} of its octets were not captured` };
  const whole = fragments.add(
    `${src} ${dst} ${protocol} ${view.getUint16(4, false)}`,
    { offset, more, bytes },
    seconds,
  );
  return whole instanceof Uint8Array ? { src, dst, protocol, bytes: whole, missing: 0 } : whole;
}

/** Extension headers whose second octet counts eight-octet units: hop-by-hop, routing, destination, mobility, HIP, shim6. */
const plainExtensions: ReadonlySet<number> = new Set([0, 43, 60, 135, 139, 140]);
const authenticationHeader = 51;
const fragmentHeader = 44;

function openIpv6(packet: Uint8Array, fragments: FragmentStore, seconds: number): IpResult {
  if (packet.length < 40) return { damaged: `IPv6 header: 40 octets needed, ${packet.length} captured` };
  const view = viewOf(packet);
  const declared = view.getUint16(4, false);
  const end = declared === 0 ? packet.length : 40 + declared;
  const src = ipv6Text(packet, 8);
  const dst = ipv6Text(packet, 24);
  let protocol = view.getUint8(6);
  let at = 40;
  let fragment: { id: number; offset: number; more: boolean } | undefined;
  while (plainExtensions.has(protocol) || protocol === authenticationHeader || protocol === fragmentHeader) {
    if (Math.min(end, packet.length) < at + 8) return { damaged: "IPv6 extension header: the packet ends inside it" };
    const units = view.getUint8(at + 1);
    if (protocol === fragmentHeader) {
      const word = view.getUint16(at + 2, false);
      fragment = { id: view.getUint32(at + 4, false), offset: word & 0xfff8, more: (word & 1) !== 0 };
    }
    const size =
      protocol === fragmentHeader ? 8 : protocol === authenticationHeader ? (units + 2) * 4 : (units + 1) * 8;
    protocol = view.getUint8(at);
    at += size;
    // What follows a later fragment's header is data of the whole, never another header.
    if (fragment !== undefined && fragment.offset > 0) break;
  }
  if (at > end) return { damaged: "IPv6 extension header: it runs past the payload length" };
  const bytes = packet.subarray(Math.min(at, packet.length), end);
  const missing = end - at - bytes.length;
  if (fragment === undefined || (fragment.offset === 0 && !fragment.more))
    return { src, dst, protocol, bytes, missing };
  if (missing > 0) return { damaged: `IPv6 fragment: ${missing} of its octets were not captured` };
  const whole = fragments.add(
    `${src} ${dst} ${fragment.id}`,
    { offset: fragment.offset, more: fragment.more, bytes },
    seconds,
  );
  return whole instanceof Uint8Array ? { src, dst, protocol, bytes: whole, missing: 0 } : whole;
}

function ipv4Text(bytes: Uint8Array, at: number): string {
  return bytes.subarray(at, at + 4).join(".");
}

/** The canonical text: lower case, the longest run of two or more zero groups as `::` (RFC 5952). */
function ipv6Text(bytes: Uint8Array, at: number): string {
  const view = viewOf(bytes);
  const groups = Array.from({ length: 8 }, (_, group) => view.getUint16(at + group * 2, false).toString(16));
  let best = { from: 0, length: 1 };
  for (let from = 0; from < 8; from++) {
    let length = 0;
    while (groups[from + length] === "0") length++;
    if (length > best.length) best = { from, length };
  }
  if (best.length < 2) return groups.join(":");
  return `${groups.slice(0, best.from).join(":")}::${groups.slice(best.from + best.length).join(":")}`;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
