import { randomInt } from "node:crypto";
import type { Endpoint } from "@cipsec/transport";
import {
  ConnectionService,
  ConnectionType,
  ForwardOpen,
  ForwardOpenReply,
  ItemType,
  LargeForwardOpen,
  PeerError,
  Sockaddr,
  Status,
  TransportError,
  UsageError,
  decode,
  encode,
  findItem,
  ioOverhead,
  objectPath,
  timeoutFactor,
  type CpfItem,
  type RealTimeFormat,
  type Reply,
  type Segment,
  type Triad,
} from "@cipsec/wire";
import { openRefusal } from "../open-refusal.ts";
import { requestTicks } from "../route.ts";
import type { ReplyWithItems, Session } from "../session.ts";
import { forwardClose } from "./forward-close.ts";
import { ioUdpPort, type IoGate } from "./gate.ts";
import { parametersOf, transportOctet, type IoDirection, type IoRequest } from "./request.ts";
import type { UnansweredOpens } from "./unanswered.ts";

/** What the target granted. */
export interface IoGrant {
  readonly triad: Triad;
  readonly oToTConnectionId: number;
  readonly tToOConnectionId: number;
  /** Intervals that both sides keep, microseconds. */
  readonly oToTApiMicros: number;
  readonly tToOApiMicros: number;
  readonly timeoutMultiplier: number;
  /** Octets of application data. */
  readonly oToTSize: number;
  readonly tToOSize: number;
  readonly oToTFormat: RealTimeFormat;
  readonly tToOFormat: RealTimeFormat;
  readonly large: boolean;
  /** Where O→T packets go. */
  readonly remote: Endpoint;
  /** Group that T→O packets are sent to, when they are multicast, and the port: the target's to say, not ours. */
  readonly group?: Endpoint;
}

/** A Forward_Open as it was sent, for explanations. */
export interface SentForwardOpen {
  readonly open: ForwardOpen;
  readonly large: boolean;
}

/** Largest size that the small Forward_Open can say. @see CIP Vol 1, 3-5.5.1 */
const maxSmallSize = 0x1ff;

/** What a datagram over IPv4 carries, without the item count, address item and item header in front: more could never be sent. */
const maxLargeSize = 65_507 - 18;

const connectionManager = objectPath(0x06, 1);

/** No fixed vendor number of our own: 0xFFFF is nobody's. */
const nobody = 0xffff;

/** Shortest interval that is believed of an answer: one below it would be a flood that the target makes us send. */
const minApiMicros = 1000;

/** The least time without packets that ends a connection, where the caller does not say. */
const minTimeoutMicros = 100_000;

/** What the opening of a connection may be given. */
export interface OpeningOptions {
  readonly signal?: AbortSignal;
  /** Earlier opens of this connection without an answer: closed first, and added to. */
  readonly unanswered?: UnansweredOpens;
}

/** Opens what {@link IoRequest} asks for, falling back in size and service where the target says what it takes. */
export async function forwardOpen(
  session: Session,
  request: IoRequest,
  gate: IoGate,
  options: OpeningOptions = {},
): Promise<IoGrant> {
  let asked: IoRequest = request;
  let large = request.large ?? needsLarge(request);
  let knowsLarge = true;
  const adjusted = new Set<string>();
  await options.unanswered?.closeAll(session);
  for (;;) {
    const sent = question(asked, large, gate);
    const { reply, items } = await send(session, sent, gate, options);
    if (reply.status === Status.success) {
      const grant = granted(session, asked, sent, { reply, items }, gate);
      options.unanswered?.forget();
      return grant;
    }
    if (large && reply.status === Status.serviceNotSupported && !needsLarge(asked)) {
      large = false;
      knowsLarge = false;
      continue;
    }
    const next = (request.adjustSize ?? true) ? withSize(asked, reply) : undefined;
    if (next === undefined || adjusted.has(next.direction)) {
      const { oToT, tToO } = sent.open;
      throw openRefusal(reply, "Forward_Open", request.route, { oToTSize: oToT.size, tToOSize: tToO.size });
    }
    adjusted.add(next.direction);
    asked = next.request;
    large = knowsLarge && (request.large ?? needsLarge(asked));
  }
}

/** Path of a connection with its route in front. */
export function fullPath({ route = [], path }: IoRequest): readonly Segment[] {
  return [...route, ...path];
}

/** The format of a direction, where the request does not say. */
export function formatOf(direction: IoDirection, way: "oToT" | "tToO"): RealTimeFormat {
  if (direction.format !== undefined) return direction.format;
  if (way === "tToO") return "modeless";
  return direction.size === 0 ? "heartbeat" : "run-idle-32";
}

function question(request: IoRequest, large: boolean, gate: IoGate): SentForwardOpen {
  const { oToT, tToO, transportClass = 1, trigger = "cyclic" } = request;
  if (oToT.type === "multicast")
    throw new UsageError(
      "usage/argument",
      "O→T multicast is not supported: its group would be the originator's to choose, which few devices take",
      {
        fix: "Use point to point for O→T, with a connection to each device.",
      },
    );
  if (gate.port === undefined && tToO.type === "multicast")
    throw new UsageError("usage/argument", "T→O multicast cannot go over DTLS: only two parties have its keys", {
      fix: "Use point to point for T→O.",
    });
  const multiplier = request.timeoutMultiplier ?? defaultMultiplier(request);
  if (timeoutFactor(multiplier) === undefined)
    throw new UsageError("usage/argument", `timeout multiplier ${multiplier} is not 0 to 7`);
  const open: ForwardOpen = {
    ...requestTicks(5000),
    oToTConnectionId: 0,
    // The consumer chooses the id of a point-to-point connection, the producer that of a multicast.
    tToOConnectionId: tToO.type === "multicast" ? 0 : gate.newConnectionId(),
    connectionSerial: randomInt(1, 0x1_0000),
    originatorVendor: request.originatorVendor ?? nobody,
    originatorSerial: request.originatorSerial ?? randomInt(1, 2 ** 32),
    timeoutMultiplier: multiplier,
    oToTRpiMicros: oToT.rpiMicros,
    oToT: parametersOf(oToT, transportClass, formatOf(oToT, "oToT")),
    tToORpiMicros: tToO.rpiMicros,
    tToO: parametersOf(tToO, transportClass, formatOf(tToO, "tToO")),
    transport: transportOctet(transportClass, trigger),
    path: fullPath(request),
  };
  return { open, large };
}

async function send(
  session: Session,
  { open, large }: SentForwardOpen,
  gate: IoGate,
  { signal, unanswered }: OpeningOptions,
): Promise<ReplyWithItems> {
  const service = large ? ConnectionService.largeForwardOpen : ConnectionService.forwardOpen;
  const data = encode(large ? LargeForwardOpen : ForwardOpen, open);
  // A port of our own is announced; the address is left to the channel, as the target must not send anywhere else.
  const { port } = gate;
  const announces = port !== undefined && port !== ioUdpPort && open.tToO.type === ConnectionType.pointToPoint;
  const items: CpfItem[] = announces
    ? [{ type: ItemType.sockaddrTtoO, data: encode(Sockaddr, { family: 2, port, address: 0 }) }]
    : [];
  try {
    return await session.requestWithItems(
      { service, path: connectionManager, data },
      items,
      signal === undefined ? {} : { signal },
    );
  } catch (error) {
    // The target may have opened it, and would hold its outputs until its watchdog ends it.
    const mayBeOpen = error instanceof TransportError || signal?.aborted === true;
    if (!mayBeOpen) throw error;
    unanswered?.add(open, open.path);
    if (session.isConnected) forwardClose(session, open, open.path).catch(() => undefined);
    throw error;
  }
}

function granted(
  session: Session,
  request: IoRequest,
  { open, large }: SentForwardOpen,
  { reply, items }: ReplyWithItems,
  gate: IoGate,
): IoGrant {
  const { remote } = session.facts;
  const isMulticast = open.tToO.type === ConnectionType.multicast;
  const triad: Triad = {
    connectionSerial: open.connectionSerial,
    originatorVendor: open.originatorVendor,
    originatorSerial: open.originatorSerial,
  };
  try {
    const opened = decode(ForwardOpenReply, reply.data);
    const isOurs =
      opened.connectionSerial === open.connectionSerial &&
      opened.originatorVendor === open.originatorVendor &&
      opened.originatorSerial === open.originatorSerial &&
      (isMulticast || open.tToO.type === ConnectionType.null || opened.tToOConnectionId === open.tToOConnectionId);
    if (!isOurs)
      throw new PeerError("cip/mismatch", "Forward_Open: the reply is for another connection", {
        facts: { asked: open.connectionSerial, received: opened.connectionSerial },
      });
    const group = isMulticast ? multicastGroup(items) : undefined;
    return {
      triad,
      oToTConnectionId: opened.oToTConnectionId,
      tToOConnectionId: opened.tToOConnectionId,
      oToTApiMicros: believed(opened.oToTApiMicros, open.oToTRpiMicros),
      tToOApiMicros: believed(opened.tToOApiMicros, open.tToORpiMicros),
      timeoutMultiplier: open.timeoutMultiplier,
      oToTSize: request.oToT.size,
      tToOSize: request.tToO.size,
      oToTFormat: formatOf(request.oToT, "oToT"),
      tToOFormat: formatOf(request.tToO, "tToO"),
      large,
      // The port is the target's to say; the address is the one that we talk to, whatever the item claims.
      remote:
        gate.port === undefined
          ? remote
          : { address: remote.address, port: portOf(findItem(items, ItemType.sockaddrOtoT)) },
      ...(group === undefined ? {} : { group }),
    };
  } catch (error) {
    forwardClose(session, triad, open.path).catch(() => undefined);
    throw error;
  }
}

/** An interval of an answer; 0 is no interval, and far below what was asked would be a flood. */
function believed(apiMicros: number, rpiMicros: number): number {
  return Math.max(apiMicros === 0 ? rpiMicros : apiMicros, Math.min(rpiMicros || minApiMicros, minApiMicros));
}

function portOf(item: CpfItem | undefined): number {
  const port = item === undefined ? ioUdpPort : decode(Sockaddr, item.data).port;
  return port === 0 ? ioUdpPort : port;
}

/** @throws {PeerError} `cip/mismatch` where the group that a multicast needs is missing or is none. */
function multicastGroup(items: readonly CpfItem[]): Endpoint {
  const item = findItem(items, ItemType.sockaddrTtoO);
  const address = item === undefined ? 0 : decode(Sockaddr, item.data).address;
  const octets = [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff);
  const text = octets.join(".");
  if (address >>> 28 === 0x0e) return { address: text, port: portOf(item) };
  throw new PeerError(
    "cip/mismatch",
    item === undefined
      ? "Forward_Open: the reply to a multicast request names no group"
      : `Forward_Open: the reply names ${text} as multicast group, which is none`,
    { facts: { address: text }, fix: "Ask for T→O point to point, and report the device." },
  );
}

function needsLarge({ oToT, tToO, transportClass = 1 }: IoRequest): boolean {
  const sizes = [parametersOf(oToT, transportClass, formatOf(oToT, "oToT")).size];
  sizes.push(parametersOf(tToO, transportClass, formatOf(tToO, "tToO")).size);
  const largest = Math.max(...sizes);
  if (largest > maxLargeSize)
    throw new UsageError("usage/argument", `a connection size of ${largest} octets is above ${maxLargeSize}`);
  return largest > maxSmallSize;
}

/** The request with the size that the target names, where that is why it refuses. */
function withSize(
  request: IoRequest,
  { status, extended }: Reply,
): { readonly request: IoRequest; readonly direction: "oToT" | "tToO" } | undefined {
  const [code, supported] = extended;
  if (status !== Status.connectionFailure || supported === undefined) return undefined;
  const direction = code === 0x0127 ? "oToT" : code === 0x0128 ? "tToO" : undefined;
  if (direction === undefined) return undefined;
  const size = supported - ioOverhead(request.transportClass ?? 1, formatOf(request[direction], direction));
  if (size < 0 || size === request[direction].size) return undefined;
  return { direction, request: { ...request, [direction]: { ...request[direction], size } } };
}

function defaultMultiplier({ oToT, tToO }: IoRequest): number {
  const slower = Math.max(oToT.type === "null" ? 0 : oToT.rpiMicros, tToO.type === "null" ? 0 : tToO.rpiMicros);
  for (let multiplier = 0; multiplier < 7; multiplier += 1)
    if (slower * (4 << multiplier) >= minTimeoutMicros) return multiplier;
  return 7;
}
