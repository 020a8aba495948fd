import {
  ConnectionFailure,
  ConnectionService,
  ConnectionTriad,
  ConnectionType,
  EPATH,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  LargeForwardOpen,
  Reader,
  Status,
  UnconnectedSend,
  WireError,
  decode,
  encode,
  noOctets,
  type NetworkParameters,
  type Reply,
  type Request,
  type Segment,
  type Triad,
  type Value,
} from "@cipsec/wire";
import type { Clock } from "@cipsec/transport";
import type { RequestContext } from "./context.ts";
import { ConnectionTable, type Class3Connection } from "./connections.ts";
import { keyMismatch, type DeviceIdentity } from "./identity.ts";
import { refuse } from "./refusal.ts";
import type { Router } from "./router.ts";

/** Bounds on class 3 connections, each with its reason. */
export interface ConnectionLimits {
  /** Open at a time: memory is one stored reply each. */
  readonly connections: number;
  /** Open at a time for one originator, so that one cannot take all. IEC 62443-4-2 CR 2.7. */
  readonly perOriginator: number;
  /** Octets of a message: Large_Forward_Open as Logix controllers ask for it. */
  readonly size: number;
}

/** Counters of the Connection Manager Object, attributes 1 to 8. */
export interface ConnectionCounters {
  openRequests: number;
  openFormatRejects: number;
  openResourceRejects: number;
  openOtherRejects: number;
  closeRequests: number;
  closeFormatRejects: number;
  closeOtherRejects: number;
  timeouts: number;
}

/** Extended status words of general status 0x01 that are used here. @see reference ethernet-ip.md 6.16 */
const Extended = {
  duplicate: 0x0100,
  transportNotSupported: 0x0103,
  notFound: 0x0107,
  rpiNotSupported: 0x0111,
  outOfConnections: 0x0113,
  invalidPath: 0x0117,
  classNotSupported: 0x011c,
  triggerNotSupported: 0x011d,
  directionNotSupported: 0x011e,
  oToTType: 0x0123,
  tToOType: 0x0124,
  oToTRedundantOwner: 0x0125,
  oToTSize: 0x0127,
  tToOSize: 0x0128,
  nullNotSupported: 0x0132,
  timeoutMultiplier: 0x0133,
  parameterError: 0x0205,
  portNotAvailable: 0x0311,
  linkAddressInvalid: 0x0312,
  invalidSegment: 0x0315,
} as const;

/** Class 2 (Message Router) instance 1: the only application that class 3 connections reach here. */
const messageRouter = 0x02;

/** Segments that name an application here; any other is not understood in a connection path. */
const applicationKinds: readonly Segment["kind"][] = ["class", "instance", "connectionPoint", "attribute", "member"];

/** The smallest class 3 message: a sequence count and a reply header. */
const minSize = 6;

/** Backplane port and slot under which the device itself is reached by routed requests. */
const ownPort = 1;
const ownSlot = 0;

/**
 * The Connection Manager: class 3 connections, and Unconnected_Send with the device itself as its end.
 * Every check comes before anything changes.
 *
 * @see CIP Vol 1, 3-5; reference ethernet-ip.md 6
 */
export class ConnectionManager {
  readonly table: ConnectionTable;
  readonly counters: ConnectionCounters = {
    openRequests: 0,
    openFormatRejects: 0,
    openResourceRejects: 0,
    openOtherRejects: 0,
    closeRequests: 0,
    closeFormatRejects: 0,
    closeOtherRejects: 0,
    timeouts: 0,
  };
  readonly #identity: DeviceIdentity;
  readonly #limits: ConnectionLimits;
  readonly #router: Router;

  constructor(options: {
    readonly identity: DeviceIdentity;
    readonly limits: ConnectionLimits;
    readonly clock: Clock;
    readonly router: Router;
  }) {
    this.#identity = options.identity;
    this.#limits = options.limits;
    this.#router = options.router;
    this.table = new ConnectionTable(options.clock, () => {
      this.counters.timeouts += 1;
    });
    for (const service of [ConnectionService.forwardOpen, ConnectionService.largeForwardOpen]) {
      options.router.hostSpecial(0x06, service, (request, context) => this.#open(request, context));
    }
    options.router.hostSpecial(0x06, ConnectionService.forwardClose, (request, context) =>
      this.#close(request, context),
    );
    options.router.hostSpecial(0x06, ConnectionService.unconnectedSend, (request, context) =>
      this.#send(request, context),
    );
  }

  #open(request: Request, context: RequestContext): Reply {
    this.counters.openRequests += 1;
    const isLarge = request.service === ConnectionService.largeForwardOpen;
    let open: Value<typeof ForwardOpen>;
    try {
      checkPathSize(request.data, isLarge ? 39 : 35);
      open = decode(isLarge ? LargeForwardOpen : ForwardOpen, request.data);
    } catch (error) {
      this.counters.openFormatRejects += 1;
      if (!(error instanceof WireError)) throw error;
      const triad = decode(ConnectionTriad, request.data.subarray(10, 18));
      return failure(request, triad, [Extended.invalidSegment]);
    }
    const owner = ownerOf(context);
    const refused = this.#refusal(open, owner, context);
    if (refused !== undefined) {
      const isResource = refused[0] === Extended.outOfConnections;
      if (isResource) this.counters.openResourceRejects += 1;
      else this.counters.openOtherRejects += 1;
      return failure(request, open, refused);
    }
    const connection: Class3Connection = {
      ...open,
      oToTConnectionId: this.table.freeId(),
      session: context.session,
      owner,
      lastSequence: undefined,
      lastReply: undefined,
    };
    this.table.open(connection);
    const data = encode(ForwardOpenReply, {
      ...connection,
      oToTApiMicros: open.oToTRpiMicros,
      tToOApiMicros: open.tToORpiMicros,
      applicationReply: noOctets,
    });
    return { service: request.service, status: Status.success, extended: [], data };
  }

  /** Checks in the order of reference ethernet-ip.md 6.9; the extended status words of the first that fails. */
  #refusal(open: Value<typeof ForwardOpen>, owner: string, context: RequestContext): readonly number[] | undefined {
    const transportClass = open.transport & 0x0f;
    if (context.session === 0) return [Extended.transportNotSupported];
    if (open.oToT.type === ConnectionType.null && open.tToO.type === ConnectionType.null)
      return [this.#keyRefusal(open.path) ?? Extended.nullNotSupported];
    if (transportClass < 2) return [Extended.transportNotSupported];
    if (transportClass !== 3) return [Extended.classNotSupported];
    if ((open.transport & 0x70) > 0x20) return [Extended.triggerNotSupported];
    if ((open.transport & 0x80) === 0) return [Extended.directionNotSupported];
    if (this.table.findTriad(open) !== undefined) return [Extended.duplicate];
    if (open.timeoutMultiplier > 7) return [Extended.timeoutMultiplier];
    const path = this.#pathRefusal(open.path);
    if (path !== undefined) return [path];
    if (open.oToT.type !== ConnectionType.pointToPoint) return [Extended.oToTType];
    if (open.tToO.type !== ConnectionType.pointToPoint) return [Extended.tToOType];
    if (open.oToT.redundantOwner) return [Extended.oToTRedundantOwner];
    if (open.oToTRpiMicros === 0 || open.tToORpiMicros === 0) return [Extended.rpiNotSupported];
    if (!this.#fits(open.oToT)) return [Extended.oToTSize, this.#limits.size];
    if (!this.#fits(open.tToO)) return [Extended.tToOSize, this.#limits.size];
    if (this.table.size >= this.#limits.connections || this.table.countOf(owner) >= this.#limits.perOriginator)
      return [Extended.outOfConnections];
    return undefined;
  }

  #fits({ size }: NetworkParameters): boolean {
    return size >= minSize && size <= this.#limits.size;
  }

  #keyRefusal([first]: readonly Segment[]): number | undefined {
    return first?.kind === "key" ? keyMismatch(first.key, this.#identity) : undefined;
  }

  /**
   * The hop to the device itself where a client routes to it as to a controller behind a backplane, a key if need be, then the
   * Message Router and nothing else.
   */
  #pathRefusal([first, ...rest]: readonly Segment[]): number | undefined {
    if (first?.kind !== "port") return this.#applicationRefusal(first === undefined ? rest : [first, ...rest]);
    return hopRefusal(first) ?? this.#applicationRefusal(rest);
  }

  #applicationRefusal(path: readonly Segment[]): number | undefined {
    const mismatch = this.#keyRefusal(path);
    if (mismatch !== undefined) return mismatch;
    const application = path[0]?.kind === "key" ? path.slice(1) : path;
    if (!application.every(({ kind }) => applicationKinds.includes(kind))) return Extended.invalidSegment;
    const [classId, instance, ...more] = application;
    const isRouter =
      classId?.kind === "class" &&
      classId.value === messageRouter &&
      instance?.kind === "instance" &&
      instance.value === 1 &&
      more.length === 0;
    return isRouter ? undefined : Extended.invalidPath;
  }

  #close(request: Request, context: RequestContext): Reply {
    this.counters.closeRequests += 1;
    let close: Value<typeof ForwardClose>;
    try {
      close = decode(ForwardClose, request.data);
    } catch (error) {
      this.counters.closeFormatRejects += 1;
      throw error;
    }
    const connection = this.table.findTriad(close);
    if (connection === undefined || connection.owner !== ownerOf(context)) {
      this.counters.closeOtherRejects += 1;
      if (connection === undefined) return failure(request, close, [Extended.notFound]);
      return { service: request.service, status: Status.privilegeViolation, extended: [], data: failureData(close) };
    }
    this.table.close(connection);
    return {
      service: request.service,
      status: Status.success,
      extended: [],
      data: encode(ForwardCloseReply, { ...close, applicationReply: noOctets }),
    };
  }

  /** Delivers to the device itself: one hop to the backplane's own slot. The reply is the embedded service's own. */
  async #send(request: Request, context: RequestContext): Promise<Reply> {
    const { message, route } = decode(UnconnectedSend, request.data);
    const [hop, ...further] = route;
    const inside = context.inside ?? [];
    if (hop?.kind !== "port" || inside.includes(request.service))
      return routeFailure(request, Extended.invalidSegment, route);
    const refused = hopRefusal(hop);
    if (refused !== undefined) return routeFailure(request, refused, route);
    if (further.length > 0) {
      const isPort = further[0]?.kind === "port";
      return routeFailure(request, isPort ? Extended.portNotAvailable : Extended.invalidSegment, further);
    }
    if (message.length < 2) return routeFailure(request, Extended.parameterError, further);
    return this.#router.handleOctets(message, { ...context, inside: [...inside, request.service] });
  }
}

/** Who opened a connection and may close it: the proven identity, or the address where nothing is proven. */
export function ownerOf({ channel }: { readonly channel: RequestContext["channel"] }): string {
  const peer = channel.security?.peer;
  if (peer?.kind === "certificate") return `certificate:${peer.sha256}`;
  return peer?.kind === "psk" ? `psk:${peer.identity}` : `address:${channel.remote.address}`;
}

/** Sequence count in front of a class 3 message. */
export function splitSequence(data: Uint8Array): { readonly sequence: number; readonly message: Uint8Array } {
  const r = new Reader(data);
  return { sequence: r.u16("sequence count"), message: r.rest() };
}

/** One hop leads somewhere only where it leads back here. */
function hopRefusal({ port, link }: Extract<Segment, { kind: "port" }>): number | undefined {
  if (port !== ownPort) return Extended.portNotAvailable;
  return link.length === 1 && link[0] === ownSlot ? undefined : Extended.linkAddressInvalid;
}

function failure(request: Request, triad: Triad, extended: readonly number[]): Reply {
  return { service: request.service, status: Status.connectionFailure, extended, data: failureData(triad) };
}

function failureData(triad: Triad): Uint8Array {
  return encode(ConnectionFailure, { ...triad, remainingPath: new Uint8Array(2) });
}

/**
 * Path size against the octets that follow, before the path itself is looked at: a Forward_Open laid out like a Forward_Close is
 * told so by its size and never read at the wrong place.
 *
 * @throws {Refusal} 0x13 or 0x15
 */
function checkPathSize(data: Uint8Array, at: number): void {
  const words = data[at];
  const rest = data.length - at - 1;
  if (words === undefined || rest < 2 * words) throw refuse(Status.notEnoughData);
  if (rest > 2 * words) throw refuse(Status.tooMuchData);
}

/** A Connection Manager error of routing: the remaining path size in words and a reserved octet follow. */
function routeFailure(request: Request, extended: number, remaining: readonly Segment[]): Reply {
  return {
    service: request.service,
    status: Status.connectionFailure,
    extended: [extended],
    data: Uint8Array.of(encode(EPATH, remaining).length / 2, 0),
  };
}
