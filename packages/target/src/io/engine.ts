import {
  watchSilence,
  type ChannelFacts,
  type Clock,
  type Endpoint,
  type IoPort,
  type TimerWheel,
} from "@cipsec/transport";
import {
  ConnectionType,
  IoWriter,
  isNewer16,
  isNewer32,
  readIo,
  readIoData,
  type ForwardOpen,
  type IoData,
} from "@cipsec/wire";
import type { IoPath } from "../connection-path.ts";
import { Extended, type Refused } from "../extended.ts";
import type { AssemblyData } from "../objects/assembly.ts";
import { timeoutMicros, type IoConnection, type IoEnd } from "./connection.ts";
import type { ConnectionDescription } from "./description.ts";
import { defaultMulticast, groupOf, subnetOf, type MulticastSettings } from "./multicast.ts";
import { checkIoOpen, checkNullPath, isRefused, type OpenPlan } from "./open-checks.ts";
import { Production, Trigger } from "./production.ts";

/** Bounds on class 0 and 1 connections, each with its reason. */
export interface IoLimits {
  /** Open at a time: each costs two packets per interval. */
  readonly connections: number;
  /** Open at a time for one originator, so that one cannot take all. IEC 62443-4-2 CR 2.7. */
  readonly perOriginator: number;
}

/** What the engine needs of its device. */
export interface IoEngineOptions {
  readonly connections: readonly ConnectionDescription[];
  readonly assemblies: AssemblyData;
  readonly limits: IoLimits;
  readonly clock: Pick<Clock, "now">;
  readonly wheel: TimerWheel;
  /**
   * The port that the data of a connection go by which is opened over this channel; `undefined` where none may: it is closed, or
   * policy has it so.
   */
  readonly portFor: (channel: ChannelFacts) => IoPort | undefined;
  /** How far multicast goes and to which addresses: TCP/IP Interface attributes 8 and 9. */
  readonly multicast?: () => MulticastSettings;
  /** Code point in use for a priority of network parameters, 0 low to 3 urgent. */
  readonly dscp: (priority: number) => number;
  /** Told of connections that open and end. */
  readonly onEvent?: (name: "io-opened" | "io-closed", connection: IoConnection, end?: IoEnd) => void;
  /** Told of connections that time out. */
  readonly onTimeout: () => void;
}

/** A Forward_Open as the Connection Manager hands it over. */
export interface IoOpenRequest {
  readonly open: ForwardOpen;
  readonly path: IoPath;
  readonly channel: ChannelFacts;
  readonly owner: string;
  /** Extended status by which rules refuse it, once nothing else does. */
  readonly denied?: number | undefined;
  /** Port of the originator's T→O item: where it wants its packets. */
  readonly tToOPort: number | undefined;
  readonly number: number;
  readonly freeId: () => number;
}

/** Datagrams of the I/O port that were dropped, by reason. */
export interface DroppedDatagrams {
  /** No class 0 or 1 datagram. */
  malformed: number;
  /** For no connection, or not from its originator. */
  foreign: number;
  /** With a sequence number that is not newer than the last. */
  stale: number;
  /** Of the wrong size for their connection. */
  wrongSize: number;
}

/** The standard port of class 0 and 1 data. */
const ioPort = 2222;

/** The first packet may take longer than the interval asks for. @see reference ethernet-ip.md 6.14 */
const firstWaitMicros = 10_000_000;

/**
 * Class 0 and 1 connections: produces by the timer wheel, consumes what comes from each connection's originator, watches over
 * their silence, and puts outputs into their fault state when their owner is gone. It knows datagram paths and not what protects
 * them.
 *
 * @see CIP Vol 1, 3-4 to 3-6; reference ethernet-ip.md 6.9 to 6.14
 */
export class IoEngine {
  readonly dropped: DroppedDatagrams = { malformed: 0, foreign: 0, stale: 0, wrongSize: 0 };
  readonly #options: IoEngineOptions;
  readonly #byId = new Map<number, IoConnection>();
  readonly #ports = new Map<IoConnection, IoPort>();
  #hasFaulted = false;

  constructor(options: IoEngineOptions) {
    this.#options = options;
    options.assemblies.listen((instance, isNew) => {
      const told = new Set<Production>();
      for (const { point, production } of this.#byId.values()) {
        if (point.produce !== instance || told.has(production)) continue;
        told.add(production);
        production.changed(isNew);
      }
    });
  }

  get connections(): readonly IoConnection[] {
    return [...this.#byId.values()];
  }

  /** Connections that there can be. */
  get capacity(): number {
    return this.#options.limits.connections;
  }

  /**
   * Number of the port on which the data of a connection are consumed that is opened over this channel; `undefined` for one whose
   * data go by the channel itself.
   */
  localPort(channel: ChannelFacts): number | undefined {
    return isAssociation(channel) ? undefined : this.#options.portFor(channel)?.local.port;
  }

  /** Whether a connection timed out and none has opened since. */
  get hasFaulted(): boolean {
    return this.#hasFaulted;
  }

  /** Whether an assembly's data belong to a connection: an output to its owner, a configuration to all that use it. */
  isOwned(instance: number): boolean {
    return this.connections.some(
      ({ point, configuration }) =>
        configuration === instance || (point.type === "exclusive-owner" && point.consume === instance),
    );
  }

  /** Whether a connection has this id: for what it consumes, or for what a group gets, which is ours to choose too. */
  hasId(id: number): boolean {
    const isOurs = ({ tToO, tToOConnectionId }: IoConnection): boolean =>
      tToO.type === ConnectionType.multicast && tToOConnectionId === id;
    return this.#byId.has(id) || this.connections.some(isOurs);
  }

  /** What a connection of this path is, where the device offers one. */
  offers({ consume, produce }: IoPath): boolean {
    return this.#options.connections.some((point) => point.consume === consume && point.produce === produce);
  }

  /** Whether a Forward_Open over this channel may open class 0 and 1 connections at all. */
  isAllowed(channel: ChannelFacts): boolean {
    return this.#options.portFor(channel) !== undefined;
  }

  /** Opens a connection, which produces once {@link start} is called; or the words that refuse it. */
  open(request: IoOpenRequest): IoConnection | Refused {
    const { open, path, channel } = request;
    const port = this.#options.portFor(channel);
    if (port === undefined) return [Extended.transportNotSupported];
    const { assemblies } = this.#options;
    const plan = checkIoOpen(open, path, {
      points: this.#options.connections,
      sizeOf: (instance) => assemblies.get(instance).length,
      configured: (instance) => assemblies.get(instance),
      isSet: (instance) => assemblies.isSet(instance),
      open: this.connections,
      originator: channel.remote.address,
      get subnet() {
        return subnetOf(channel.local.address);
      },
      ttl: this.#multicast.ttl,
      hasMulticast: !isAssociation(channel),
      maxPacket: (port.maxMessage ?? Infinity) - packetOverhead,
    });
    if (isRefused(plan)) return plan;
    const isMulticast = open.tToO.type === ConnectionType.multicast;
    const group = isMulticast
      ? (plan.joins?.destination.address ?? this.#freeGroup(subnetOf(channel.local.address)))
      : undefined;
    if (!this.#hasRoom(request.owner) || (isMulticast && group === undefined)) return [Extended.outOfConnections];
    if (request.denied !== undefined) return [request.denied];
    const own = isAssociation(channel) ? channel.remote.port : (request.tToOPort ?? ioPort);
    const destination: Endpoint =
      group === undefined ? { address: channel.remote.address, port: own } : { address: group, port: ioPort };
    return this.#admit(request, plan, port, destination);
  }

  /** Starts producing, where the connection is still open: its originator knows of it now. */
  start(connection: IoConnection): void {
    if (this.#byId.has(connection.oToTConnectionId)) connection.production.start();
  }

  /** The words that refuse the path of a null Forward_Open, which opens nothing. */
  nullRefusal(path: IoPath): Refused | undefined {
    return checkNullPath(path, this.#options.connections);
  }

  /** Sets the configuration that a path carries, where it does; the words that refuse its size otherwise. */
  configure({ configuration, data }: IoPath): Refused | undefined {
    if (configuration === undefined || data === undefined) return undefined;
    const { assemblies } = this.#options;
    const size = assemblies.get(configuration).length;
    if (data.length !== size + (size % 2)) return [Extended.configurationSize, size];
    assemblies.set(configuration, data.subarray(0, size));
    return undefined;
  }

  /** Ends a connection, and with the last of an input those that only listen to it. */
  close(connection: IoConnection, end: IoEnd): void {
    if (!this.#byId.delete(connection.oToTConnectionId)) return;
    this.#ports.delete(connection);
    connection.consumed.watchdog();
    const { point, production } = connection;
    const others = this.connections;
    if (!others.some((other) => other.production === production)) production.stop();
    if (point.type === "exclusive-owner")
      this.#options.assemblies.release(point.consume, end === "closed" || end === "owner-gone" ? "closed" : "timeout");
    this.#options.onEvent?.("io-closed", connection, end);
    const isSource = (other: IoConnection): boolean =>
      other.point.type !== "listen-only" && other.point.produce === point.produce;
    if (others.some(isSource)) return;
    for (const other of others) if (other.point.produce === point.produce) this.close(other, "owner-gone");
  }

  /** Ends what goes by a port that is no longer open. */
  portClosed(port: IoPort): void {
    for (const [connection, its] of this.#ports) if (its === port) this.close(connection, "port-closed");
  }

  /** Whether connections are open that were opened over this channel. */
  carries(channel: ChannelFacts): boolean {
    return this.connections.some((connection) => connection.channel === channel);
  }

  /** Ends what was opened over a channel whose peer is not trusted any more. */
  refuse(channel: ChannelFacts): void {
    for (const connection of this.connections) if (connection.channel === channel) this.close(connection, "refused");
  }

  /** Ends everything: the device stops. */
  stop(): void {
    for (const connection of this.connections) this.close(connection, "closed");
    this.#options.assemblies.listen(() => undefined);
  }

  /** Takes a datagram of an I/O port; anything that does not belong to a connection is counted and dropped. */
  receive(bytes: Uint8Array, from: ChannelFacts): void {
    const frame = readIo(bytes);
    if (frame === undefined) {
      this.dropped.malformed += 1;
      return;
    }
    const connection = this.#byId.get(frame.connectionId);
    if (connection === undefined || !isFrom(connection, from)) {
      this.dropped.foreign += 1;
      return;
    }
    const { consumed } = connection;
    const { sequence } = frame;
    if (sequence === undefined) {
      // Only class 0 may leave it out: a copy of an old packet could do so too.
      if (connection.transportClass === 1) {
        this.dropped.malformed += 1;
        return;
      }
    } else if (consumed.lastSequence !== undefined && !isNewer32(sequence, consumed.lastSequence)) {
      this.dropped.stale += 1;
      return;
    }
    const data = fits(connection, frame.data.length)
      ? readIoData(frame.data, connection.transportClass, connection.point.oToTFormat)
      : undefined;
    if (data === undefined) {
      this.dropped.wrongSize += 1;
      return;
    }
    if (sequence !== undefined) consumed.lastSequence = sequence;
    consumed.packets += 1;
    this.#heard(connection);
    this.#consume(connection, data);
  }

  #hasRoom(owner: string): boolean {
    const { connections, perOriginator } = this.#options.limits;
    const mine = this.connections.filter((other) => other.owner === owner);
    return this.#byId.size < connections && mine.length < perOriginator;
  }

  #freeGroup(subnet: ReturnType<typeof subnetOf>): string | undefined {
    const taken = new Set(this.connections.map(({ destination }) => destination.address));
    for (let i = 0; ; i += 1) {
      const group = groupOf(this.#multicast, subnet, i);
      if (group === undefined) return undefined;
      if (!taken.has(group)) return group;
    }
  }

  get #multicast(): MulticastSettings {
    return this.#options.multicast?.() ?? defaultMulticast;
  }

  #admit(request: IoOpenRequest, plan: OpenPlan, port: IoPort, destination: Endpoint): IoConnection {
    const { open, path, channel, owner, number, freeId } = request;
    const { point, transportClass, trigger, joins } = plan;
    const isMulticast = open.tToO.type === ConnectionType.multicast;
    const oToTConnectionId = freeId();
    const tToOConnectionId = isMulticast ? (joins?.tToOConnectionId ?? freeId()) : open.tToOConnectionId;
    const production = joins?.production ?? this.#produce(open, plan, port, destination, tToOConnectionId);
    this.configure(path);
    const connection: IoConnection = {
      ...triadOf(open),
      number,
      point,
      configuration: path.configuration,
      oToTConnectionId,
      askedTtoOConnectionId: open.tToOConnectionId,
      tToOConnectionId,
      transportClass,
      trigger,
      timeoutMultiplier: open.timeoutMultiplier,
      oToTRpiMicros: open.oToTRpiMicros,
      tToORpiMicros: open.tToORpiMicros,
      oToT: open.oToT,
      tToO: open.tToO,
      path: open.path,
      owner,
      channel,
      // Opened over TCP, its data come by UDP: as they go.
      peer: {
        address: channel.remote.address,
        protocol: production.options.path.facts.protocol,
        association: isAssociation(channel) ? channel : undefined,
      },
      destination,
      production,
      consumed: {
        hasHeard: false,
        lastHeardMicros: this.#nowMicros(),
        lastSequence: undefined,
        lastCount: undefined,
        isRun: undefined,
        watchdog: () => undefined,
        packets: 0,
      },
    };
    this.#byId.set(oToTConnectionId, connection);
    this.#ports.set(connection, port);
    this.#watch(connection, Math.max(firstWaitMicros, timeoutMicros(connection)));
    this.#hasFaulted = false;
    this.#options.onEvent?.("io-opened", connection);
    return connection;
  }

  #produce(
    open: ForwardOpen,
    { point, transportClass, trigger, inhibitMicros }: OpenPlan,
    port: IoPort,
    destination: Endpoint,
    connectionId: number,
  ): Production {
    const { assemblies, wheel, dscp } = this.#options;
    const isHeartbeat = point.tToOFormat === "heartbeat";
    const data = isHeartbeat ? () => nothing : () => assemblies.get(point.produce);
    const mark = dscp(open.tToO.priority);
    return new Production({
      wheel,
      nowMicros: () => this.#nowMicros(),
      writer: new IoWriter({ connectionId, transportClass, format: point.tToOFormat, size: data().length }),
      path: port.path(destination, { dscp: mark, ttl: this.#multicast.ttl }),
      trigger,
      periodMicros: open.tToORpiMicros,
      inhibitMicros: trigger === Trigger.cyclic ? 0 : inhibitMicros,
      data,
    });
  }

  #heard(connection: IoConnection): void {
    const { consumed } = connection;
    consumed.lastHeardMicros = this.#nowMicros();
    if (consumed.hasHeard) return;
    consumed.hasHeard = true;
    consumed.watchdog();
    this.#watch(connection, timeoutMicros(connection));
  }

  #watch(connection: IoConnection, limitMicros: number): void {
    const { consumed } = connection;
    consumed.watchdog = watchSilence(this.#options.wheel, {
      limitMicros,
      silenceMicros: () => this.#nowMicros() - consumed.lastHeardMicros,
      graceMicros: connection.oToTRpiMicros,
      expired: () => {
        this.#hasFaulted = true;
        this.#options.onTimeout();
        this.close(connection, "timeout");
      },
    });
  }

  /** Data to the application: new ones in run, and each change between run and idle. */
  #consume({ point, transportClass, consumed }: IoConnection, { count, run = true, data }: IoData): void {
    const isNew = consumed.lastCount === undefined || count === undefined || isNewer16(count, consumed.lastCount);
    if (isNew) consumed.lastCount = transportClass === 1 ? count : undefined;
    const wasRun = consumed.isRun;
    consumed.isRun = run;
    if (point.type !== "exclusive-owner") return;
    if (!run) {
      if (wasRun !== false) this.#options.assemblies.release(point.consume, "idle");
    } else if (isNew || wasRun !== true) this.#options.assemblies.produceOutput(point.consume, data);
  }

  #nowMicros(): number {
    return this.#options.clock.now() * 1000;
  }
}

const nothing = new Uint8Array(0);

/** Octets of a packet around what the connection size counts: item count, sequenced address item, header of the data item. */
const packetOverhead = 2 + 4 + 8 + 4;

/** Whether data of connections opened over this channel go by the channel itself: DTLS has two ends and nothing beside them. */
function isAssociation({ protocol }: ChannelFacts): boolean {
  return protocol === "dtls";
}

/** An association proves who sends, so its packets need no look at addresses; nobody else can send for its connections. */
function isFrom({ peer }: IoConnection, from: ChannelFacts): boolean {
  if (peer.association !== undefined) return peer.association === from;
  return peer.address === from.remote.address && peer.protocol === from.protocol;
}

/** A connection's packets all have its size; those of zero-length format may also have no data. */
function fits({ oToT, transportClass, point }: IoConnection, length: number): boolean {
  return length === oToT.size || (point.oToTFormat === "zero-length" && length === (transportClass === 1 ? 2 : 0));
}

function triadOf({ connectionSerial, originatorVendor, originatorSerial }: ForwardOpen) {
  return { connectionSerial, originatorVendor, originatorSerial };
}
