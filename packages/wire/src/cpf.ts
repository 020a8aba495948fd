import type { Codec, Value } from "./codec.ts";
import type { Reader } from "./cursor.ts";
import { REST, mapped, octets, optional, struct } from "./codec.ts";
import { WireError } from "./errors.ts";
import { BYTE, DWORD, SHORT_STRING, UDINT, UINT, USINT, WORD, fromLatin1, latin1 } from "./types.ts";

/** Item types of the Common Packet Format. @see CIP Vol 2, 2-6.2; reference ethernet-ip.md 2.1 */
export const ItemType = {
  nullAddress: 0x0000,
  listIdentity: 0x000c,
  cipSecurity: 0x0086,
  ethernetIpCapability: 0x0087,
  ethernetIpUsage: 0x0088,
  connectedAddress: 0x00a1,
  connectedData: 0x00b1,
  unconnectedData: 0x00b2,
  listServices: 0x0100,
  sockaddrOtoT: 0x8000,
  sockaddrTtoO: 0x8001,
  sequencedAddress: 0x8002,
  unconnectedMessage: 0x8003,
} as const;

/** One item: its type and its data, not looked into. */
export interface CpfItem {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Two to four items are usual; this bounds the work one packet can ask for. */
const maxItems = 16;

/**
 * Common Packet Format: a count, then that many typed items. Unknown item types pass through.
 *
 * @throws {WireError} `wire/length` above {@link maxItems}; `wire/truncated` when an item claims more octets than follow.
 * @see CIP Vol 2, 2-6
 */
export const Cpf: Codec<readonly CpfItem[]> = {
  type: "CPF",
  read(r) {
    const count = r.u16("item count", maxItems);
    const items: CpfItem[] = [];
    while (items.length < count)
      items.push({ type: r.u16("item type"), data: r.octets(r.u16("item length"), "item data") });
    return items;
  },
  write(w, items) {
    if (items.length > maxItems) {
      throw new WireError("wire/length", `CPF: ${items.length} items are above the bound of ${maxItems}`, {
        facts: { count: items.length, max: maxItems },
      });
    }
    w.u16(items.length);
    for (const { type, data } of items) {
      w.u16(type);
      w.u16(data.length);
      w.octets(data);
    }
  },
};

/** An IPv4 socket address; big-endian on the wire, unlike everything else. @see CIP Vol 2, 2-6.3.3 */
export interface Sockaddr {
  /** 2 is IPv4. */
  readonly family: number;
  readonly port: number;
  /** The address as a number: 192.168.1.20 is 0xC0A80114. */
  readonly address: number;
}

/** Sixteen octets: family, port, address, eight octets of zero that a reader ignores, as every socket interface does. */
export const Sockaddr: Codec<Sockaddr> = {
  type: "sockaddr",
  read(r) {
    const value = { family: r.u16be("family"), port: r.u16be("port"), address: r.u32be("address") };
    r.octets(8, "sin_zero");
    return value;
  },
  write(w, { family, port, address }) {
    w.u16be(family);
    w.u16be(port);
    w.u32be(address);
    w.octets(new Uint8Array(8));
  },
};

/** A device's major and minor revision. */
export const Revision = struct("USINT major, USINT minor", { major: USINT, minor: USINT });

/** What a device says of itself in answer to ListIdentity. */
export interface ListIdentityItem {
  readonly protocolVersion: number;
  readonly socket: Sockaddr;
  readonly vendorId: number;
  readonly deviceType: number;
  readonly productCode: number;
  readonly revision: Value<typeof Revision>;
  readonly status: number;
  readonly serialNumber: number;
  readonly productName: string;
  /** Missing where the device leaves it out. */
  readonly state?: number | undefined;
  /** Octets that a device sends behind the state; not understood. */
  readonly extra?: Uint8Array;
}

const listIdentityFields = struct("ListIdentity item", {
  protocolVersion: UINT,
  socket: Sockaddr,
  vendorId: UINT,
  deviceType: UINT,
  productCode: UINT,
  revision: Revision,
  status: WORD,
  serialNumber: UDINT,
  productName: SHORT_STRING,
  state: optional(USINT),
});

/**
 * ListIdentity reply item 0x000C. The state octet may be missing, as some devices leave it out, and octets may follow.
 *
 * @see CIP Vol 2, 2-4.3.3; reference ethernet-ip.md 2.2
 */
export const ListIdentityItem: Codec<ListIdentityItem> = {
  type: "ListIdentity item",
  read: (r) => withExtra(listIdentityFields.read(r), r),
  write(w, item) {
    listIdentityFields.write(w, { ...item, state: item.state });
    w.octets(item.extra ?? noExtra);
  },
};

/** ListServices reply item 0x0100: capability bit 5 is CIP over TCP, bit 8 class 0/1 over UDP. @see CIP Vol 2, 2-4.6 */
export const ListServicesItem = struct("ListServices item", {
  version: UINT,
  capabilities: WORD,
  name: mapped("BYTE[16]", octets(16), zeroTerminated, (text) => {
    const padded = new Uint8Array(16);
    padded.set(fromLatin1(text, 16, "service name"));
    return padded;
  }),
});

/** The security profiles, states and open ports of a device, as ListIdentity tells them. */
export interface CipSecurityItem {
  readonly profiles: number;
  readonly cipSecurityState: number;
  readonly ethernetIpSecurityState: number;
  readonly ianaPortState: number;
  /** Missing in the older form. */
  readonly profilesConfigured?: number | undefined;
  /** Octets of a later edition behind the known ones; not understood. */
  readonly extra?: Uint8Array;
}

const cipSecurityFields = struct("CIP Security item", {
  profiles: WORD,
  cipSecurityState: USINT,
  ethernetIpSecurityState: USINT,
  ianaPortState: BYTE,
});

/**
 * CIP Security Information item 0x0086 of a ListIdentity reply: five octets in older editions, seven in newer ones, and what
 * a later one may add.
 *
 * @see CIP Vol 8; reference cip-security.md 4
 */
export const CipSecurityItem: Codec<CipSecurityItem> = {
  type: "CIP Security item",
  read(r) {
    const item = cipSecurityFields.read(r);
    const profilesConfigured = r.remaining < 2 ? undefined : r.u16("profiles configured");
    return withExtra({ ...item, profilesConfigured }, r);
  },
  write(w, item) {
    cipSecurityFields.write(w, item);
    if (item.profilesConfigured !== undefined) w.u16(item.profilesConfigured);
    w.octets(item.extra ?? noExtra);
  },
};

/** Bits of the IANA port state in {@link CipSecurityItem}: 1 is open. */
export const IanaPort = { eip: 0x01, eipUdp: 0x02, io: 0x04, eips: 0x08, eipd: 0x10 } as const;

/** Items 0x0087 and 0x0088: a bit field, of {@link Capability} and {@link Usage}. @see reference cip-security.md 4 */
export const CapabilityItem = DWORD;

/** Bits of item 0x0087: transports that the device takes messages and connections on. */
export const Capability = {
  ucmmTcp: 0x01,
  ucmmUdp: 0x02,
  class3Tcp: 0x04,
  class3Udp: 0x08,
  class2Tcp: 0x10,
  class2Udp: 0x20,
  class1: 0x40,
  class0: 0x80,
} as const;

/** Bits of item 0x0088: where the device is used. */
export const Usage = { standard: 0x01, inCabinet: 0x02 } as const;

/** Address of a connected message: the connection id that the receiver consumes. */
export const ConnectedAddress = UDINT;

/** Address of class 0/1 data: the connection id that the receiver consumes, and the encapsulation sequence number. */
export const SequencedAddress = struct("sequenced address", { connectionId: UDINT, sequence: UDINT });

/**
 * Item 0x8003: an unconnected message over DTLS.
 *
 * `type` bit 15 tells a response; its low 15 bits are 1 for UCMM without acknowledge.
 * @see reference cip-security.md 2.6
 */
export const UnconnectedMessage = struct("unconnected message over UDP", {
  type: UINT,
  transactionId: UDINT,
  status: UDINT,
  message: REST,
});

/** The item of this type, where there is exactly one or the first of several. */
export function findItem(items: readonly CpfItem[], type: number): CpfItem | undefined {
  return items.find((item) => item.type === type);
}

const noExtra = new Uint8Array(0);

function withExtra<T extends object>(item: T, r: Reader): T & { readonly extra?: Uint8Array } {
  return r.remaining === 0 ? item : { ...item, extra: r.rest() };
}

/** The text before the first zero; devices leave all sorts behind it. */
function zeroTerminated(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return latin1(end < 0 ? bytes : bytes.subarray(0, end));
}
