import {
  ConnectionService,
  ConnectionTriad,
  ConnectionType,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ItemType,
  LargeForwardOpen,
  Sockaddr,
  Status,
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
import { hostConnectionDiagnostics } from "./connection-diagnostics.ts";
import { ioPath, routedPath, type IoPath } from "./connection-path.ts";
import { failure, failureData, openReply } from "./connection-replies.ts";
import type { RequestContext } from "./context.ts";
import { ConnectionTable, type Class3Connection } from "./connections.ts";
import { Extended, type Refused } from "./extended.ts";
import { addressNumber, keyMismatch, type DeviceIdentity } from "./identity.ts";
import { ingressRefusal, type IngressRule } from "./ingress.ts";
import type { IoConnection } from "./io/connection.ts";
import type { IoEngine } from "./io/engine.ts";
import { refuse } from "./refusal.ts";
import type { Router } from "./router.ts";
import { hostUnconnectedSend } from "./unconnected-send.ts";

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

/** What a Connection Manager is made of. */
export interface ConnectionManagerOptions {
  readonly identity: DeviceIdentity;
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly router: Router;
  /** Class 0 and 1 connections, where the device has any. */
  readonly io?: IoEngine;
  /** Rules on who may open connections; anybody where there are none. */
  readonly ingress?: readonly IngressRule[];
}

/** Class 2 (Message Router) instance 1: the only application that class 3 connections reach here. */
const messageRouter = 0x02;

/** Segments that name an application of class 3; any other is not understood there. */
const applicationKinds: readonly Segment["kind"][] = ["class", "instance", "connectionPoint", "attribute", "member"];

/** The smallest class 3 message: a sequence count and a reply header. */
const minSize = 6;

/** The port that a missing socket address item stands for. */
const standardIoPort = 2222;

type Open = Value<typeof ForwardOpen>;

/**
 * The Connection Manager: connections of class 0, 1 and 3.
 * Every check comes before anything changes.
 *
 * @see CIP Vol 1, 3-5; reference ethernet-ip.md 6
 */
export class ConnectionManager {
  readonly table: ConnectionTable;
  readonly io: IoEngine | undefined;
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
  readonly #ingress: readonly IngressRule[];

  constructor({ identity, limits, clock, router, io, ingress = [] }: ConnectionManagerOptions) {
    this.#identity = identity;
    this.#ingress = ingress;
    this.#limits = limits;
    this.io = io;
    this.table = new ConnectionTable(clock, () => {
      this.counters.timeouts += 1;
    });
    const host = (service: number, handle: (request: Request, context: RequestContext) => Reply | Promise<Reply>) =>
      router.hostSpecial(0x06, service, handle);
    host(ConnectionService.forwardOpen, (request, context) => this.#open(request, context));
    host(ConnectionService.largeForwardOpen, (request, context) => this.#open(request, context));
    host(ConnectionService.forwardClose, (request, context) => this.#close(request, context));
    hostUnconnectedSend(router, clock);
    hostConnectionDiagnostics(router, this);
  }

  /** Connections of any class that are open, ascending by number. */
  get connections(): readonly (Class3Connection | IoConnection)[] {
    return [...this.table.connections, ...(this.io?.connections ?? [])].sort((a, b) => a.number - b.number);
  }

  /** Connections of any class that there can be. */
  get capacity(): number {
    return this.#limits.connections + (this.io?.capacity ?? 0);
  }

  findTriad(triad: Triad): Class3Connection | IoConnection | undefined {
    const isIt = (connection: Triad): boolean => sameTriad(connection, triad);
    return this.table.connections.find(isIt) ?? this.io?.connections.find(isIt);
  }

  #open(request: Request, context: RequestContext): Reply {
    this.counters.openRequests += 1;
    const isLarge = request.service === ConnectionService.largeForwardOpen;
    let open: Open;
    try {
      checkPathSize(request.data, isLarge ? 39 : 35);
      // A copy, because a connection keeps its path: a view would hold all that came with this request.
      open = decode(isLarge ? LargeForwardOpen : ForwardOpen, request.data.slice());
    } catch (error) {
      this.counters.openFormatRejects += 1;
      if (!(error instanceof WireError)) throw error;
      const triad = decode(ConnectionTriad, request.data.subarray(10, 18));
      return failure(request, triad, [Extended.invalidSegment]);
    }
    const opened = this.#opened(open, context);
    if (!("length" in opened)) return { ...opened, service: request.service };
    const isResource = opened[0] === Extended.outOfConnections || opened[0] === Extended.targetOutOfConnections;
    if (isResource) this.counters.openResourceRejects += 1;
    else this.counters.openOtherRejects += 1;
    return failure(request, open, opened);
  }

  /** Checks in the order of reference ethernet-ip.md 6.9; the extended status words of the first that fails. */
  #opened(open: Open, context: RequestContext): Reply | Refused {
    if (open.oToT.type === ConnectionType.null && open.tToO.type === ConnectionType.null)
      return this.#null(open, context);
    const isIo = (open.transport & 0x0f) < 2;
    const refused = this.#transportRefusal(open, context);
    if (refused !== undefined) return [refused];
    if (this.findTriad(open) !== undefined) return [Extended.duplicate];
    if (open.timeoutMultiplier > 7) return [Extended.timeoutMultiplier];
    const routed = routedPath(open.path);
    if (typeof routed === "number") return [routed];
    const mismatch = routed.key === undefined ? undefined : keyMismatch(routed.key, this.#identity);
    if (mismatch !== undefined) return [mismatch];
    return isIo ? this.#openIo(open, routed.application, context) : this.#openClass3(open, routed.application, context);
  }

  #transportRefusal({ transport }: Open, context: RequestContext): number | undefined {
    const transportClass = transport & 0x0f;
    // Class 3 lives on an encapsulation session; class 0 and 1 on a port that policy leaves open to this channel.
    if (transportClass >= 2 && context.session === 0) return Extended.transportNotSupported;
    if (transportClass < 2 && this.io?.isAllowed(context.channel) !== true) return Extended.transportNotSupported;
    if (transportClass === 2 || transportClass > 3) return Extended.classNotSupported;
    if ((transport & 0x70) > 0x20) return Extended.triggerNotSupported;
    return transportClass === 3 && (transport & 0x80) === 0 ? Extended.directionNotSupported : undefined;
  }

  #openClass3(open: Open, application: readonly Segment[], context: RequestContext): Reply | Refused {
    const owner = ownerOf(context);
    const path = applicationRefusal(application);
    if (path !== undefined) return [path];
    if (open.oToT.reservedBits !== undefined || open.tToO.reservedBits !== undefined)
      return [Extended.invalidParameter];
    if (open.oToT.type !== ConnectionType.pointToPoint) return [Extended.oToTType];
    if (open.tToO.type !== ConnectionType.pointToPoint) return [Extended.tToOType];
    if (open.oToT.redundantOwner) return [Extended.oToTRedundantOwner];
    if (open.oToTRpiMicros === 0 || open.tToORpiMicros === 0) return [Extended.rpiNotSupported];
    if (!this.#fits(open.oToT)) return [Extended.oToTSize, this.#limits.size];
    if (!this.#fits(open.tToO)) return [Extended.tToOSize, this.#limits.size];
    if (this.table.size >= this.#limits.connections || this.table.countOf(owner) >= this.#limits.perOriginator)
      return [Extended.outOfConnections];
    const denied = ingressRefusal(this.#ingress, context.channel);
    if (denied !== undefined) return [denied];
    const connection: Class3Connection = {
      ...open,
      number: this.#freeNumber(),
      oToTConnectionId: this.#freeId(),
      session: context.session,
      owner,
      lastSequence: undefined,
      lastReply: undefined,
    };
    this.table.open(connection);
    return openReply(connection);
  }

  #openIo(open: Open, application: readonly Segment[], context: RequestContext): Reply | Refused {
    const path = ioPath(application);
    if (typeof path === "number" || this.io === undefined)
      return [typeof path === "number" ? path : Extended.transportNotSupported];
    const connection = this.io.open({
      open,
      path,
      channel: context.channel,
      owner: ownerOf(context),
      denied: ingressRefusal(this.#ingress, context.channel),
      tToOPort: askedPort(context),
      number: this.#freeNumber(),
      freeId: () => this.#freeId(),
    });
    if ("length" in connection) return connection;
    context.afterReply(() => this.io?.start(connection));
    this.#tellAddresses(connection, context);
    return openReply(connection);
  }

  /** Where the originator finds us, where that is not the standard port, and the group that it has to join. */
  #tellAddresses({ tToO, destination }: IoConnection, context: RequestContext): void {
    const own = this.io?.localPort(context.channel);
    if (own !== undefined && own !== standardIoPort) {
      const data = encode(Sockaddr, { family: 2, port: own, address: 0 });
      context.addItem?.({ type: ItemType.sockaddrOtoT, data });
    }
    if (tToO.type !== ConnectionType.multicast) return;
    const data = encode(Sockaddr, {
      family: 2,
      port: destination.port,
      address: addressNumber(destination.address),
    });
    context.addItem?.({ type: ItemType.sockaddrTtoO, data });
  }

  /**
   * Both directions null: asks whether the application is there, or sets its configuration, also that of an open connection of
   * this triad. Nothing is opened.
   *
   * @see reference ethernet-ip.md 6.8
   */
  #null(open: Open, context: RequestContext): Reply | Refused {
    const routed = routedPath(open.path);
    if (typeof routed === "number") return [routed];
    const mismatch = routed.key === undefined ? undefined : keyMismatch(routed.key, this.#identity);
    if (mismatch !== undefined) return [mismatch];
    const path = this.io?.isAllowed(context.channel) === true ? nullPath(routed.application) : undefined;
    if (path === undefined || this.io === undefined) return [Extended.nullNotSupported];
    if (typeof path === "number") return [path];
    const wrong = this.io.nullRefusal(path);
    if (wrong !== undefined) return wrong;
    const running = this.findTriad(open);
    const owner = ownerOf(context);
    if (running !== undefined && running.owner !== owner) return [Extended.ownershipConflict];
    if (running !== undefined && !("configuration" in running)) return [Extended.nullNotSupported];
    const { configuration, data } = path;
    if (running !== undefined && configuration !== running.configuration) return [Extended.configurationPath];
    // Its own connection may be configured anew, but not what somebody else's runs by.
    const isInWay = (other: IoConnection): boolean =>
      other.configuration === configuration && (running === undefined || other.owner !== owner);
    if (configuration !== undefined && data !== undefined && this.io.connections.some(isInWay))
      return [Extended.ownershipConflict];
    const denied = ingressRefusal(this.#ingress, context.channel);
    if (denied !== undefined) return [denied];
    const refused = this.io.configure(path);
    if (refused !== undefined) return refused;
    return openReply({
      ...open,
      oToTConnectionId: running?.oToTConnectionId ?? 0,
      tToOConnectionId: running?.tToOConnectionId ?? 0,
      oToTRpiMicros: running?.oToTRpiMicros ?? 0,
      tToORpiMicros: running?.tToORpiMicros ?? 0,
    });
  }

  #fits({ size }: NetworkParameters): boolean {
    return size >= minSize && size <= this.#limits.size;
  }

  /** An id that no connection of any class has. */
  #freeId(): number {
    let id = this.table.freeId();
    while (this.io?.hasId(id) === true) id = this.table.freeId();
    return id;
  }

  /** The lowest number that no connection has: what Get_Connection_Data asks for. */
  #freeNumber(): number {
    const taken = new Set([...this.table.connections, ...(this.io?.connections ?? [])].map(({ number }) => number));
    let free = 1;
    while (taken.has(free)) free += 1;
    return free;
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
    const connection = this.findTriad(close);
    if (connection === undefined || connection.owner !== ownerOf(context)) {
      this.counters.closeOtherRejects += 1;
      if (connection === undefined) return failure(request, close, [Extended.notFound]);
      return { service: request.service, status: Status.privilegeViolation, extended: [], data: failureData(close) };
    }
    if ("production" in connection) this.io?.close(connection, "closed");
    else this.table.close(connection);
    return {
      service: request.service,
      status: Status.success,
      extended: [],
      data: encode(ForwardCloseReply, { ...close, applicationReply: noOctets }),
    };
  }
}

/** Who opened a connection and may close it: the proven identity, or the address where nothing is proven. */
export function ownerOf({ channel }: { readonly channel: RequestContext["channel"] }): string {
  const peer = channel.security?.peer;
  if (peer?.kind === "certificate") return `certificate:${peer.sha256}`;
  return peer?.kind === "psk" ? `psk:${peer.identity}` : `address:${channel.remote.address}`;
}

/** The Message Router and nothing else. */
function applicationRefusal(application: readonly Segment[]): number | undefined {
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

/** Paths of a null Forward_Open: one point is the configuration. `undefined` for an application that is no assembly. */
function nullPath(application: readonly Segment[]): IoPath | number | undefined {
  const first = application.find(({ kind }) => kind === "class");
  if (first?.kind === "class" && first.value !== 0x04) return undefined;
  const path = ioPath(application);
  if (typeof path === "number") return path;
  return path.configuration === undefined && path.consume === path.produce
    ? { ...path, configuration: path.consume }
    : path;
}

/**
 * Port that the originator wants T→O packets at. The address beside it is not looked at: packets go to whoever asked, never to a
 * third host.
 *
 * @see reference ethernet-ip.md 2.5
 */
function askedPort({ items = [] }: RequestContext): number | undefined {
  const item = items.find(({ type }) => type === ItemType.sockaddrTtoO);
  const port = item === undefined ? 0 : decode(Sockaddr, item.data).port;
  return port === 0 ? undefined : port;
}

function sameTriad(a: Triad, b: Triad): boolean {
  return (
    a.connectionSerial === b.connectionSerial &&
    a.originatorVendor === b.originatorVendor &&
    a.originatorSerial === b.originatorSerial
  );
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
