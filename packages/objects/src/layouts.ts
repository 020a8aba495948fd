import {
  COUNTED_EPATH,
  DWORD,
  EPATH,
  PACKED_EPATH,
  PADDED_STRING,
  UDINT,
  UINT,
  ULINT,
  USINT,
  WORD,
  WireError,
  encode,
  list,
  mapped,
  octets,
  repeated,
  struct,
  type Codec,
  type Segment,
} from "@cipsec/wire";

/* Layouts of single attributes that travel nowhere else. Source: reference ethernet-ip.md 7. */

/** An IPv4 address as text. It travels as a UDINT, so last octet first: 192.168.1.20 is 14 01 A8 C0. */
export const Ipv4: Codec<string> = mapped("UDINT", UDINT, dotted, undotted);

/** Class codes, attribute ids or service codes: a UINT count, then UINTs. */
export const UintList: Codec<readonly number[]> = list(UINT, UINT, 1024);

/** A path behind a UINT count of words, as the TCP/IP Interface names its physical link; no words is "several ports". */
export const WordCountedPath: Codec<readonly Segment[]> = {
  type: "UINT words, EPATH",
  read: (r) => EPATH.read(r.sub(2 * r.u16("path words", 255), "path")),
  write(w, segments) {
    const path = encode(EPATH, segments);
    w.u16(path.length / 2);
    w.octets(path);
  },
};

/** Addresses of an interface and its domain. */
export const InterfaceConfiguration = struct("UDINT[5], STRING", {
  address: Ipv4,
  mask: Ipv4,
  gateway: Ipv4,
  nameServer: Ipv4,
  nameServer2: Ipv4,
  domainName: PADDED_STRING,
});

/** How the interface takes multicast addresses: `allocation` 0 by the default algorithm, 1 as `count` and `start` say. */
export const MulticastConfiguration = struct("USINT, USINT, UINT, UDINT", {
  allocation: USINT,
  reserved: USINT,
  count: UINT,
  start: Ipv4,
});

/** The last address conflict: `activity` 0 none, 1 probe, 2 ongoing, 3 semi-active; the other's MAC and the ARP packet. */
export const AddressConflict = struct("USINT, BYTE[6], BYTE[28]", {
  activity: USINT,
  mac: octets(6),
  arp: octets(28),
});

/** Frames and octets of an Ethernet port since start or Get_and_Clear. */
export const InterfaceCounters = struct("UDINT[11]", {
  inOctets: UDINT,
  inUnicast: UDINT,
  inNonUnicast: UDINT,
  inDiscards: UDINT,
  inErrors: UDINT,
  inUnknownProtocols: UDINT,
  outOctets: UDINT,
  outUnicast: UDINT,
  outNonUnicast: UDINT,
  outDiscards: UDINT,
  outErrors: UDINT,
});

/** Faults of an Ethernet port's medium. */
export const MediaCounters = struct("UDINT[12]", {
  alignmentErrors: UDINT,
  fcsErrors: UDINT,
  singleCollisions: UDINT,
  multipleCollisions: UDINT,
  sqeTestErrors: UDINT,
  deferred: UDINT,
  lateCollisions: UDINT,
  excessiveCollisions: UDINT,
  macTransmitErrors: UDINT,
  carrierSenseErrors: UDINT,
  tooLong: UDINT,
  macReceiveErrors: UDINT,
});

/** As {@link InterfaceCounters} in 64 bits, with multicast and broadcast apart. */
export const HighInterfaceCounters = struct("ULINT[8]", {
  inOctets: ULINT,
  inUnicast: ULINT,
  inMulticast: ULINT,
  inBroadcast: ULINT,
  outOctets: ULINT,
  outUnicast: ULINT,
  outMulticast: ULINT,
  outBroadcast: ULINT,
});

/** Faults of an Ethernet port's medium in 64 bits. */
export const HighMediaCounters = struct("ULINT[6]", {
  alignmentErrors: ULINT,
  fcsErrors: ULINT,
  macTransmitErrors: ULINT,
  tooLong: ULINT,
  macReceiveErrors: ULINT,
  symbolErrors: ULINT,
});

/** Wanted link settings: bit 0 of `control` negotiates, bit 1 forces full duplex; `speed` in Mbit/s. */
export const InterfaceControl = struct("WORD, UINT", { control: WORD, speed: UINT });

/** What a port can do: bit 0 of `capability` manual setting needs a reset, 1 negotiates, 2 auto-MDIX, 3 manual setting. */
export const InterfaceCapability = struct("DWORD, USINT n, (UINT, USINT)[n]", {
  capability: DWORD,
  modes: list(USINT, struct("mode", { speed: UINT, duplex: USINT }), 255),
});

/** Elements of a tag in each of three dimensions. */
export const SymbolDimensions = struct("UDINT[3]", { first: UDINT, second: UDINT, third: UDINT });

/** Least and greatest node address of a port. */
export const NodeRange = struct("UINT, UINT", { minimum: UINT, maximum: UINT });

/** Paths of objects: a USINT count, then each behind its USINT count of words. */
export const ObjectPaths = list(USINT, COUNTED_EPATH, 32);

/** What kind of port there is in each instance from 0 on; none is 0, 0. */
export const PortInstances = repeated(struct("UINT, UINT", { type: UINT, number: UINT }), 256);

/** Members of an assembly to the end of the data; a member's path is packed, behind its size in octets. */
export const MemberList: Codec<readonly { readonly bits: number; readonly path: readonly Segment[] }[]> = repeated(
  {
    type: "UINT bits, UINT octets, EPATH",
    read: (r) => ({
      bits: r.u16("member bits"),
      path: PACKED_EPATH.read(r.sub(r.u16("member path octets"), "member path")),
    }),
    write(w, { bits, path }) {
      const packed = encode(PACKED_EPATH, path);
      w.u16(bits);
      w.u16(packed.length);
      w.octets(packed);
    },
  },
  1024,
);

const octetBits = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** A UINT count of bits, then their octets, bit 0 first. */
export const BitList: Codec<readonly boolean[]> = {
  type: "UINT n, BOOL[n]",
  read(r) {
    const count = r.u16("count of bits");
    const bytes = r.octets(Math.ceil(count / 8), "bits");
    const bits = Array.from(bytes, (octet) => octetBits.map((bit) => (octet & (1 << bit)) !== 0));
    return bits.flat().slice(0, count);
  },
  write(w, entries) {
    w.u16(entries.length);
    for (let from = 0; from < entries.length; from += 8) {
      const bits = entries.slice(from, from + 8).map((used, bit) => (used ? 1 << bit : 0));
      w.u8(bits.reduce((octet, bit) => octet | bit, 0));
    }
  },
};

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}

function undotted(text: string): number {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    throw new WireError("wire/value", `'${text}' is not an IPv4 address such as 192.168.1.20`, {
      facts: { address: text },
    });
  return parts.reduce((address, part) => address * 256 + Number(part), 0);
}
