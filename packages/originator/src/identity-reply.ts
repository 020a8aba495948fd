import {
  CipSecurityItem,
  Command,
  FrameHeader,
  ItemType,
  ListIdentityItem,
  Reader,
  WireError,
  decode,
  headerSize,
  isStackError,
  type CpfItem,
  type Value,
} from "@cipsec/wire";

/** What a device says of itself in a ListIdentity reply. */
export interface IdentityReply {
  readonly identity: Value<typeof ListIdentityItem>;
  /** CIP Security Information item; absent on devices without CIP Security. */
  readonly security?: SecurityAnnouncement;
}

/** What the discovery reply says about CIP Security, as numbers. */
export interface SecurityAnnouncement {
  /** Profiles supported, as bits. */
  readonly profiles: number;
  /** Profiles in force; absent in older editions. */
  readonly profilesConfigured?: number;
  /** State of the CIP Security object. */
  readonly cipState: number;
  /** State of the EtherNet/IP Security object. */
  readonly ethernetIpState: number;
  /** Open ports, as bits of `IanaPort`. */
  readonly ports: number;
}

/** Devices send up to five items; this bounds the work that one datagram can ask for. */
const maxItems = 16;

/**
 * Reads a ListIdentity reply from a datagram, leniently: some devices count only the identity item in the encapsulation length
 * (OpENer does) and let further items follow it. The identity must be whole; items behind it count where they parse.
 *
 * @returns Nothing when the datagram is another command or a refusal.
 * @throws {WireError} when there is no whole identity in it.
 * @see reference ethernet-ip.md 2.2; cip-security.md 4
 */
export function readIdentityReply(
  datagram: Uint8Array,
): (IdentityReply & { readonly context: Uint8Array }) | undefined {
  const header = decode(FrameHeader, datagram.subarray(0, headerSize));
  if (header.command !== Command.listIdentity || header.status !== 0) return undefined;
  return { ...readIdentityItems(datagram.subarray(headerSize)), context: header.context };
}

/** Reads the items of a ListIdentity reply; like {@link readIdentityReply}. */
export function readIdentityItems(data: Uint8Array): IdentityReply {
  const items = readItems(data);
  const first = items.find(({ type }) => type === ItemType.listIdentity);
  if (first === undefined) throw new WireError("wire/value", "ListIdentity reply: there is no identity item");
  const identity = ListIdentityItem.read(new Reader(first.data));
  const security = items.find(({ type }) => type === ItemType.cipSecurity);
  const announced = security === undefined ? undefined : readSecurity(security);
  return announced === undefined ? { identity } : { identity, security: announced };
}

/** All items that are whole; what the count says is not believed, as it may leave out what follows. */
function readItems(data: Uint8Array): readonly CpfItem[] {
  const r = new Reader(data);
  r.u16("item count");
  const items: CpfItem[] = [];
  while (r.remaining >= 4 && items.length < maxItems) {
    const type = r.u16("item type");
    const length = r.u16("item length");
    if (length > r.remaining) break;
    items.push({ type, data: r.octets(length, "item data") });
  }
  return items;
}

function readSecurity({ data }: CpfItem): SecurityAnnouncement | undefined {
  try {
    const { profiles, cipSecurityState, ethernetIpSecurityState, ianaPortState, profilesConfigured } =
      CipSecurityItem.read(new Reader(data));
    return {
      profiles,
      cipState: cipSecurityState,
      ethernetIpState: ethernetIpSecurityState,
      ports: ianaPortState,
      ...(profilesConfigured === undefined ? {} : { profilesConfigured }),
    };
  } catch (error) {
    if (isStackError(error)) return undefined;
    throw error;
  }
}
