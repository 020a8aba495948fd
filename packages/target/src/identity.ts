import {
  Capability,
  CapabilityItem,
  CipSecurityItem,
  Command,
  Cpf,
  IanaPort,
  ItemType,
  ListIdentityItem,
  ListServicesItem,
  encode,
  frame,
  protocolVersion,
  type CpfItem,
  type Frame,
  type Key,
} from "@cipsec/wire";

/** Who the device is, as in the Identity Object. */
export interface DeviceIdentity {
  readonly vendorId: number;
  readonly deviceType: number;
  readonly productCode: number;
  readonly revision: { readonly major: number; readonly minor: number };
  readonly serialNumber: number;
  /** At most 32 characters of ISO 8859-1. */
  readonly productName: string;
}

/** What the discovery reply tells beside the identity; absent on a device without CIP Security. */
export interface SecurityFacts {
  /** Profiles supported, as bits. */
  readonly profiles: number;
  readonly profilesConfigured: number;
  /** State of the CIP Security Object. */
  readonly cipState: number;
  /** State of the EtherNet/IP Security Object. */
  readonly ethernetIpState: number;
}

/** What is needed to answer List commands at this moment. */
export interface DiscoveryFacts {
  readonly identity: DeviceIdentity;
  readonly status: number;
  readonly state: number;
  /** Dotted IPv4 address that the reply names. */
  readonly address: string;
  readonly security?: SecurityFacts;
  /** Bits of item 0x0086's port state. */
  readonly ianaPorts: number;
  /** Whether class 0/1 I/O is offered. */
  readonly io: boolean;
}

/** Port that the socket address of a ListIdentity reply names, also when that port is closed. @see reference cip-security.md 4 */
const eipPort = 44_818;

/** Capability bits of ListServices: CIP over TCP; class 0/1 over UDP. */
const cipOverTcp = 0x0020;
const ioOverUdp = 0x0100;

/** What the port of DTLS adds: unconnected messages, and class 0 and 1 data whatever the plain port is. */
function capabilities({ io, ianaPorts }: Pick<DiscoveryFacts, "io" | "ianaPorts">): number {
  const dtls = (ianaPorts & IanaPort.eipd) !== 0;
  return explicitOverTcp | (dtls ? Capability.ucmmUdp : 0) | (io || dtls ? ioClasses : 0);
}

const explicitOverTcp = Capability.ucmmTcp | Capability.class3Tcp;
const ioClasses = Capability.class0 | Capability.class1;

/** Answers ListIdentity, ListServices or ListInterfaces; `undefined` for any other command. */
export function answerList(request: Frame, facts: DiscoveryFacts): Uint8Array | undefined {
  const items = itemsFor(request.command, facts);
  if (items === undefined) return undefined;
  return frame(request.command, { session: request.session, context: request.context, data: encode(Cpf, items) });
}

/**
 * Whether an electronic key fits the device; the extended status of a Forward_Open says why not.
 *
 * @returns `undefined` when it fits, otherwise 0x0114 (vendor, product, serial number), 0x0115 (device type) or 0x0116 (revision).
 * @see CIP Vol 1, 3-5.5.1.9; reference ethernet-ip.md 3.6
 */
export function keyMismatch(key: Key, identity: DeviceIdentity): number | undefined {
  const { major, minor } = identity.revision;
  const strict = key.compatibility;
  if (differs(key.vendorId, identity.vendorId, strict) || differs(key.productCode, identity.productCode, strict))
    return 0x0114;
  if (differs(key.serialNumber ?? 0, identity.serialNumber, false)) return 0x0114;
  if (differs(key.deviceType, identity.deviceType, strict)) return 0x0115;
  if (strict)
    return key.majorRevision === major && key.minorRevision !== 0 && key.minorRevision <= minor ? undefined : 0x0116;
  if (key.majorRevision === 0) return undefined;
  return key.majorRevision === major && (key.minorRevision === 0 || key.minorRevision === minor) ? undefined : 0x0116;
}

function differs(asked: number, own: number, strict: boolean): boolean {
  return asked === 0 ? strict : asked !== own;
}

function itemsFor(command: number, facts: DiscoveryFacts): readonly CpfItem[] | undefined {
  switch (command) {
    case Command.listIdentity:
      return identityItems(facts);
    case Command.listServices: {
      const capabilities = cipOverTcp | (facts.io ? ioOverUdp : 0);
      return [
        {
          type: ItemType.listServices,
          data: encode(ListServicesItem, { version: 1, capabilities, name: "Communications" }),
        },
      ];
    }
    case Command.listInterfaces:
      return [];
    default:
      return undefined;
  }
}

function identityItems({
  identity,
  status,
  state,
  address,
  security,
  ianaPorts,
  io,
}: DiscoveryFacts): readonly CpfItem[] {
  const item = encode(ListIdentityItem, {
    protocolVersion,
    socket: { family: 2, port: eipPort, address: addressNumber(address) },
    ...identity,
    status,
    state,
  });
  const items: CpfItem[] = [{ type: ItemType.listIdentity, data: item }];
  if (security !== undefined) {
    const data = encode(CipSecurityItem, {
      profiles: security.profiles,
      cipSecurityState: security.cipState,
      ethernetIpSecurityState: security.ethernetIpState,
      ianaPortState: ianaPorts,
      profilesConfigured: security.profilesConfigured,
    });
    items.push(
      { type: ItemType.cipSecurity, data },
      { type: ItemType.ethernetIpCapability, data: encode(CapabilityItem, capabilities({ io, ianaPorts })) },
    );
  }
  return items;
}

/** 192.168.1.20 as 0xC0A80114; anything that is not a dotted IPv4 address as 0. */
export function addressNumber(address: string): number {
  const parts = address.split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return 0;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}
