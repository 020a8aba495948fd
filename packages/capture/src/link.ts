/** An IP packet inside a frame, the reason why the frame is damaged, or `undefined` for frames that carry no IP. */
export type LinkPayload = { readonly ip: Uint8Array } | { readonly damaged: string } | undefined;

/** Link types that {@link unwrapLink} opens, by LINKTYPE number. */
export const linkTypes = {
  null: 0,
  ethernet: 1,
  rawBsd: 12,
  rawOpenBsd: 14,
  raw: 101,
  loop: 108,
  linuxCooked: 113,
  ipv4: 228,
  ipv6: 229,
  linuxCooked2: 276,
} as const;

/** Tells whether frames of this link type can be opened. */
export function isKnownLinkType(linkType: number): boolean {
  return unwrappers.has(linkType);
}

/**
 * Takes the link header off a frame: Ethernet with any number of VLAN tags, Linux cooked (1 and 2), BSD loopback, raw IP.
 * Octets after the IP packet (Ethernet padding) stay on it; the IP length field cuts them.
 *
 * @returns `undefined` for other protocols (ARP, LLDP) and for unknown link types.
 * @see tcpdump.org/linktypes.html; IEEE 802.1Q
 */
export function unwrapLink(linkType: number, bytes: Uint8Array): LinkPayload {
  return unwrappers.get(linkType)?.(bytes);
}

const unwrappers: ReadonlyMap<number, (bytes: Uint8Array) => LinkPayload> = new Map([
  [linkTypes.ethernet, (bytes: Uint8Array) => byEtherType(bytes, 12)],
  [linkTypes.linuxCooked, (bytes: Uint8Array) => byEtherType(bytes, 14)],
  [linkTypes.linuxCooked2, (bytes: Uint8Array) => byEtherType(bytes, 0, 20)],
  // The address family's number and byte order differ between systems; the IP version says the same more reliably.
  [linkTypes.null, (bytes: Uint8Array) => byVersion(bytes, 4)],
  [linkTypes.loop, (bytes: Uint8Array) => byVersion(bytes, 4)],
  [linkTypes.raw, (bytes: Uint8Array) => byVersion(bytes, 0)],
  [linkTypes.rawBsd, (bytes: Uint8Array) => byVersion(bytes, 0)],
  [linkTypes.rawOpenBsd, (bytes: Uint8Array) => byVersion(bytes, 0)],
  [linkTypes.ipv4, (bytes: Uint8Array) => byVersion(bytes, 0)],
  [linkTypes.ipv6, (bytes: Uint8Array) => byVersion(bytes, 0)],
]);

const vlanTags: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100]);

/** Follows the EtherType at `typeAt`; `dataAt` is where its payload starts when not right behind it. */
function byEtherType(bytes: Uint8Array, typeAt: number, dataAt = typeAt + 2): LinkPayload {
  if (bytes.length < Math.max(typeAt + 2, dataAt))
    return { damaged: `link header: the frame has only ${bytes.length} octets` };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let type = view.getUint16(typeAt, false);
  let at = dataAt;
  while (vlanTags.has(type)) {
    if (bytes.length < at + 4) return { damaged: "VLAN tag: the frame ends inside it" };
    type = view.getUint16(at + 2, false);
    at += 4;
  }
  return type === 0x0800 || type === 0x86dd ? { ip: bytes.subarray(at) } : undefined;
}

function byVersion(bytes: Uint8Array, at: number): LinkPayload {
  const first = bytes[at];
  if (first === undefined) return { damaged: `link header: the frame has only ${bytes.length} octets` };
  const version = first >> 4;
  return version === 4 || version === 6 ? { ip: bytes.subarray(at) } : undefined;
}
