import { REST, mapped, octets, struct, type Codec } from "./codec.ts";
import { Writer } from "./cursor.ts";
import { COUNTED_EPATH, EPATH, words, type Segment } from "./epath.ts";
import { WireError } from "./errors.ts";
import { UDINT, UINT, USINT } from "./types.ts";

/** Services of the Connection Manager. @see CIP Vol 1, 3-5.5 */
export const ConnectionService = {
  forwardClose: 0x4e,
  unconnectedSend: 0x52,
  forwardOpen: 0x54,
  getConnectionData: 0x56,
  searchConnectionData: 0x57,
  exForwardOpen: 0x59,
  getConnectionOwner: 0x5a,
  largeForwardOpen: 0x5b,
  concurrentForwardOpen: 0x5c,
  concurrentForwardClose: 0x5e,
} as const;

/** The connection triad: the identity of a connection in the whole world. */
export interface Triad {
  readonly connectionSerial: number;
  readonly originatorVendor: number;
  readonly originatorSerial: number;
}

/** Network connection parameters of one direction. */
export interface NetworkParameters {
  readonly redundantOwner: boolean;
  /** 0 null, 1 multicast, 2 point to point. */
  readonly type: number;
  /** 0 low, 1 high, 2 scheduled, 3 urgent. */
  readonly priority: number;
  readonly variable: boolean;
  /** Octets behind the CPF item header, sequence count and run/idle header included. */
  readonly size: number;
  /** Reserved bits that the peer set, in their place; absent when all are 0. */
  readonly reservedBits?: number;
}

/** Connection types of {@link NetworkParameters}. */
export const ConnectionType = { null: 0, multicast: 1, pointToPoint: 2 } as const;

/** A Forward_Open, small or large. Intervals are in microseconds. */
export interface ForwardOpen extends Triad {
  readonly priorityTick: number;
  readonly timeoutTicks: number;
  readonly oToTConnectionId: number;
  readonly tToOConnectionId: number;
  /** 0 to 7 stand for 4 to 512 times the interval. */
  readonly timeoutMultiplier: number;
  readonly oToTRpiMicros: number;
  readonly oToT: NetworkParameters;
  readonly tToORpiMicros: number;
  readonly tToO: NetworkParameters;
  /** Bit 7 direction, bits 6–4 trigger, bits 3–0 transport class; 0xA3 is a class 3 server. */
  readonly transport: number;
  readonly path: readonly Segment[];
  /** The three octets behind the timeout multiplier, where the peer did not send zeros. */
  readonly reserved?: Uint8Array;
}

const SmallParameters: Codec<NetworkParameters> = mapped(
  "WORD",
  UINT,
  (word) => ({
    redundantOwner: (word & 0x8000) !== 0,
    type: (word >> 13) & 3,
    priority: (word >> 10) & 3,
    variable: (word & 0x0200) !== 0,
    size: word & 0x01ff,
    ...reservedOf(word & 0x1000),
  }),
  (p) => {
    checked(p, 0x01ff, 0x1000);
    return (
      (p.redundantOwner ? 0x8000 : 0) |
      (p.type << 13) |
      (p.reservedBits ?? 0) |
      (p.priority << 10) |
      (p.variable ? 0x0200 : 0) |
      p.size
    );
  },
);

const LargeParameters: Codec<NetworkParameters> = mapped(
  "DWORD",
  UDINT,
  (word) => ({
    redundantOwner: word >>> 31 === 1,
    type: (word >>> 29) & 3,
    priority: (word >>> 26) & 3,
    variable: (word & 0x0200_0000) !== 0,
    size: word & 0xffff,
    ...reservedOf(word & 0x11ff_0000),
  }),
  (p) => {
    checked(p, 0xffff, 0x11ff_0000);
    const high = (p.redundantOwner ? 8 : 0) | (p.type << 1);
    return high * 0x1000_0000 + ((p.reservedBits ?? 0) | (p.priority << 26) | (p.variable ? 0x0200_0000 : 0) | p.size);
  },
);

/** Request data of Forward_Open (0x54): sizes up to 511 octets. @see CIP Vol 1, 3-5.5.2; reference ethernet-ip.md 6.2 */
export const ForwardOpen: Codec<ForwardOpen> = forwardOpen("Forward_Open", SmallParameters);

/** Request data of Large_Forward_Open (0x5B): sizes up to 65,535 octets. */
export const LargeForwardOpen: Codec<ForwardOpen> = forwardOpen("Large_Forward_Open", LargeParameters);

const threeOctets = octets(3);

const triadFields = { connectionSerial: UINT, originatorVendor: UINT, originatorSerial: UDINT } as const;

/** Reply data of a Forward_Open that succeeded; intervals are those that the target keeps (API), microseconds. */
export const ForwardOpenReply = struct("Forward_Open reply", {
  oToTConnectionId: UDINT,
  tToOConnectionId: UDINT,
  ...triadFields,
  oToTApiMicros: UDINT,
  tToOApiMicros: UDINT,
  applicationReply: applicationReply(),
});

/** Reply data of a Forward_Open or Forward_Close that failed. Remaining path size is in words and may be missing. */
export const ConnectionFailure = struct("connection failure", { ...triadFields, remainingPath: REST });

/** A Forward_Close: it names the connection by its triad and repeats the path. */
export interface ForwardClose extends Triad {
  readonly priorityTick: number;
  readonly timeoutTicks: number;
  readonly path: readonly Segment[];
}

/** Request data of Forward_Close (0x4E): unlike Forward_Open it has a reserved octet behind the path size. @see CIP Vol 1, 3-5.5.3 */
export const ForwardClose: Codec<ForwardClose> = {
  type: "Forward_Close",
  read(r) {
    const head = {
      priorityTick: r.u8("priority/time tick"),
      timeoutTicks: r.u8("timeout ticks"),
      ...readTriad.read(r),
    };
    const size = 2 * r.u8("path size");
    r.zero("reserved octet of Forward_Close");
    return { ...head, path: EPATH.read(r.sub(size, "connection path")) };
  },
  write(w, close) {
    w.u8(close.priorityTick);
    w.u8(close.timeoutTicks);
    readTriad.write(w, close);
    const path = encodePath(close.path);
    w.u8(words(path.length));
    w.u8(0);
    w.octets(path);
  },
};

/** Reply data of a Forward_Close that succeeded. */
export const ForwardCloseReply = struct("Forward_Close reply", {
  ...triadFields,
  applicationReply: applicationReply(),
});

/** An Unconnected_Send: an embedded request and the route it takes. */
export interface UnconnectedSend {
  readonly priorityTick: number;
  readonly timeoutTicks: number;
  readonly message: Uint8Array;
  readonly route: readonly Segment[];
}

/** Request data of Unconnected_Send (0x52); an odd message is followed by a pad octet. @see CIP Vol 1, 3-5.5.4; reference ethernet-ip.md 6.17 */
export const UnconnectedSend: Codec<UnconnectedSend> = {
  type: "Unconnected_Send",
  read(r) {
    const priorityTick = r.u8("priority/time tick");
    const timeoutTicks = r.u8("timeout ticks");
    const message = r.octets(r.u16("embedded message size"), "embedded message");
    if (message.length % 2 === 1) r.zero("pad after an odd message");
    const size = 2 * r.u8("route path size");
    r.zero("reserved octet of Unconnected_Send");
    return { priorityTick, timeoutTicks, message, route: EPATH.read(r.sub(size, "route path")) };
  },
  write(w, send) {
    w.u8(send.priorityTick);
    w.u8(send.timeoutTicks);
    w.u16(send.message.length);
    w.octets(send.message);
    if (send.message.length % 2 === 1) w.u8(0);
    const route = encodePath(send.route);
    w.u8(words(route.length));
    w.u8(0);
    w.octets(route);
  },
};

/** Reply data of Get_Connection_Data and Search_Connection_Data. @see reference ethernet-ip.md 6.18 */
export const ConnectionData = struct("connection data", {
  connectionNumber: UINT,
  state: UINT,
  originatorPort: UINT,
  targetPort: UINT,
  ...triadFields,
  originatorOtoTId: UDINT,
  targetOtoTId: UDINT,
  oToTTimeoutMultiplier: USINT,
  oToTReserved: threeOctets,
  oToTRpiMicros: UDINT,
  oToTApiMicros: UDINT,
  originatorTtoOId: UDINT,
  targetTtoOId: UDINT,
  tToOTimeoutMultiplier: USINT,
  tToOReserved: threeOctets,
  tToORpiMicros: UDINT,
  tToOApiMicros: UDINT,
});

/** Request data of Get_Connection_Data. */
export const ConnectionNumber = UINT;

/** Request data of Get_Connection_Owner: the connection path, behind a reserved octet and its words. */
export const ConnectionOwnerRequest: Codec<readonly Segment[]> = {
  type: "Get_Connection_Owner request",
  read(r) {
    r.zero("reserved octet of Get_Connection_Owner");
    return COUNTED_EPATH.read(r);
  },
  write(w, path) {
    w.u8(0);
    COUNTED_EPATH.write(w, path);
  },
};

/** Reply data of Get_Connection_Owner. `lastAction`: 0 none, 1 idle, 2 run, 255 unknown. */
export const ConnectionOwnerReply = struct("Get_Connection_Owner reply", {
  connections: USINT,
  claimingOwnership: USINT,
  readyForOwnership: USINT,
  lastAction: USINT,
  ...triadFields,
});

/** Request data of Search_Connection_Data. */
export const ConnectionTriad = struct("connection triad", triadFields);

const readTriad: Codec<Triad> = ConnectionTriad;

/** How many intervals without a packet end a connection; `undefined` for a multiplier above 7. @see reference ethernet-ip.md 6.5 */
export function timeoutFactor(multiplier: number): number | undefined {
  return multiplier <= 7 ? 4 << multiplier : undefined;
}

/** Time that a request may take: tick exponent in the low four bits, times ticks; milliseconds. */
export function requestTimeoutMs(priorityTick: number, timeoutTicks: number): number {
  return 2 ** (priorityTick & 0x0f) * timeoutTicks;
}

function forwardOpen(type: string, parameters: Codec<NetworkParameters>): Codec<ForwardOpen> {
  return {
    type,
    read(r) {
      const head = {
        priorityTick: r.u8("priority/time tick"),
        timeoutTicks: r.u8("timeout ticks"),
        oToTConnectionId: r.u32("O→T connection id"),
        tToOConnectionId: r.u32("T→O connection id"),
        ...readTriad.read(r),
        timeoutMultiplier: r.u8("timeout multiplier"),
      };
      const reserved = r.octets(3, "reserved");
      const body = {
        oToTRpiMicros: r.u32("O→T RPI"),
        oToT: parameters.read(r),
        tToORpiMicros: r.u32("T→O RPI"),
        tToO: parameters.read(r),
        transport: r.u8("transport class/trigger"),
      };
      const path = EPATH.read(r.sub(2 * r.u8("connection path size"), "connection path"));
      return reserved.some((octet) => octet !== 0) ? { ...head, ...body, path, reserved } : { ...head, ...body, path };
    },
    write(w, open) {
      w.u8(open.priorityTick);
      w.u8(open.timeoutTicks);
      w.u32(open.oToTConnectionId);
      w.u32(open.tToOConnectionId);
      readTriad.write(w, open);
      w.u8(open.timeoutMultiplier);
      threeOctets.write(w, open.reserved ?? new Uint8Array(3));
      w.u32(open.oToTRpiMicros);
      parameters.write(w, open.oToT);
      w.u32(open.tToORpiMicros);
      parameters.write(w, open.tToO);
      w.u8(open.transport);
      const path = encodePath(open.path);
      w.u8(words(path.length));
      w.octets(path);
    },
  };
}

/** Refuses what would spill into the neighbouring bits. */
function checked(
  { type, priority, size, reservedBits = 0 }: NetworkParameters,
  maxSize: number,
  reserved: number,
): void {
  const fits = type >= 0 && type <= 3 && priority >= 0 && priority <= 3 && size >= 0 && size <= maxSize;
  if (!fits || (reservedBits & reserved) !== reservedBits) {
    throw new WireError(
      "wire/value",
      `network parameters: type ${type}, priority ${priority} or size ${size} is outside 0 to 3, 0 to 3, 0 to ${maxSize}`,
      { facts: { type, priority, size, maxSize, reservedBits } },
    );
  }
}

function reservedOf(bits: number): { reservedBits?: number } {
  return bits === 0 ? {} : { reservedBits: bits };
}

function encodePath(path: readonly Segment[]): Uint8Array {
  const w = new Writer(32);
  EPATH.write(w, path);
  return w.finish();
}

/** Application reply: words, a reserved octet, then that many words of data. */
function applicationReply(): Codec<Uint8Array> {
  return {
    type: "application reply",
    read(r) {
      const count = r.u8("application reply size");
      r.u8("reserved");
      return r.octets(2 * count, "application reply");
    },
    write(w, bytes) {
      w.u8(words(bytes.length));
      w.u8(0);
      w.octets(bytes);
    },
  };
}
