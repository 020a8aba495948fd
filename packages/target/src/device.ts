import { join } from "node:path";
import { IdentityState, ResetType } from "@cipsec/objects";
import {
  TimerWheel,
  clockWithoutDate,
  sharedWheel,
  systemClock,
  type Channel,
  type ChannelFacts,
  type Clock,
  type IoPort,
  type TlsPolicy,
} from "@cipsec/transport";
import { BugError, CipSecurityState } from "@cipsec/wire";
import { ConnectionManager } from "./connection-manager.ts";
import type { DeviceDescription } from "./description.ts";
import type { SessionServices } from "./encapsulation-session.ts";
import { channelFacts, failed, ioFacts, type TargetEvent } from "./events.ts";
import { factorySecurity } from "./factory.ts";
import type { DiscoveryFacts } from "./identity.ts";
import { associationPort } from "./io/association-port.ts";
import { IoEngine, type DroppedDatagrams } from "./io/engine.ts";
import { defaultMulticast } from "./io/multicast.ts";
import { channelLimits, deviceLimits, frameOctets, replyRoom, type DeviceLimits } from "./limits.ts";
import { hostAssemblies, type AssemblyData } from "./objects/assembly.ts";
import { hostConnectionManager } from "./objects/connection-manager.ts";
import { hostEthernetLink, isOnLoopback } from "./objects/ethernet-link.ts";
import { hostIdentity, identityStatus, ioStatus } from "./objects/identity.ts";
import { textsSection } from "./objects/identity-texts.ts";
import { hostLldp } from "./objects/lldp.ts";
import { hostMessageRouter } from "./objects/message-router.ts";
import { multicastAttributes, type MulticastAttributes } from "./objects/multicast-settings.ts";
import { hostParameters } from "./objects/parameter.ts";
import { hostPort } from "./objects/port.ts";
import { dscpOf, hostQos, type QosSettings } from "./objects/qos.ts";
import { hostTcpIpInterface } from "./objects/tcp-ip-interface.ts";
import type { ParameterTable } from "./parameters/table.ts";
import { Ports, type OpenPorts } from "./ports.ts";
import { Router } from "./router.ts";
import { createSecurity, type Security } from "./security/security.ts";
import { serveDatagrams } from "./serve-datagrams.ts";
import { frameOverhead, serveFrames } from "./serve-frames.ts";
import { serve, type ServeLimits } from "./serve.ts";
import { SessionGuard } from "./session-guard.ts";
import { defaultSessionPolicy } from "./session-policy.ts";
import { SessionTable } from "./sessions.ts";
import { openStore, type Store } from "./store.ts";
import { hostTags } from "./tags/host.ts";
import type { TagTable } from "./tags/table.ts";

/** How a target runs. */
export interface TargetOptions {
  readonly description: DeviceDescription;
  /** Folder for what the device saves; it belongs to this device alone. */
  readonly stateDir: string;
  readonly clock?: Clock;
  /**
   * Clock of what takes hours to years, the pull model; default: `clock`. Where it runs faster, `wallNow` of both has to be the same.
   */
  readonly calendar?: Clock;
  /** Gets the secrets of every TLS session, for debugging only. */
  readonly keyLog?: (line: string) => void;
  readonly onEvent?: (event: TargetEvent) => void;
}

/** What lasts over the restarts of a device. */
export interface Shared {
  readonly assemblies: AssemblyData;
  readonly tags: TagTable | undefined;
  readonly parameters: ParameterTable | undefined;
}

/** Numbers of the ports that are open. */
export type PortNumbers = { readonly [Port in keyof OpenPorts]?: number };

/** Class 0 and 1 connections that are open, and what came to the I/O port and was dropped. */
export interface IoCounts {
  readonly connections: number;
  readonly dropped: DroppedDatagrams;
}

/** DTLS associations that are open, and datagrams that came to their port and were none's: altered, replayed or a stranger's. */
export interface DtlsCounts {
  readonly associations: number;
  readonly dropped: number;
}

/** Of a session: a message that is not whole after 10 s is given up, and 4096 that wait are too many to be meant. */
const serveLimits: Omit<ServeLimits, "maxFrame"> = { partialFrameMs: 10_000, maxWaiting: 4096 };

/** Seconds; the default of TCP/IP Interface attribute 13. */
const defaultInactivityS = 120;

const allClosed: OpenPorts = { eip: false, eipUdp: false, io: false, eips: false, eipd: false };

/** A device between two restarts. */
export class Device {
  readonly #options: TargetOptions;
  readonly #clock: Clock;
  readonly #restart: () => void;
  readonly #event: (event: TargetEvent) => void;
  readonly #router: Router;
  readonly #limits: DeviceLimits;
  readonly #sessions: SessionTable;
  readonly #connections: ConnectionManager;
  readonly #channels = new Set<Channel>();
  /** DTLS associations; one that carries items is also the port of the connections opened over it. */
  readonly #associations = new Map<ChannelFacts, { readonly channel: Channel; readonly port?: IoPort }>();
  readonly #ports: Ports;
  readonly #assemblies: AssemblyData;
  readonly #parameters: ParameterTable | undefined;
  readonly #engine: IoEngine;
  readonly #guard: SessionGuard;
  #qos: QosSettings | undefined;
  #multicast: MulticastAttributes | undefined;
  #store: Store | undefined;
  #security: Security | undefined;
  #isStopped = false;

  private constructor(options: TargetOptions, { assemblies, parameters }: Shared, restart: () => void) {
    const { description } = options;
    const limits = description.limits ?? deviceLimits;
    this.#limits = limits;
    this.#sessions = new SessionTable(limits.sessions);
    this.#options = options;
    this.#restart = restart;
    this.#event = options.onEvent ?? (() => undefined);
    this.#clock = options.clock ?? (description.clock ? systemClock : clockWithoutDate);
    this.#router = new Router((question) => this.#security?.access(question));
    this.#assemblies = assemblies;
    this.#parameters = parameters;
    assemblies.reset();
    this.#engine = new IoEngine({
      connections: description.connections,
      assemblies,
      limits: { connections: limits.ioConnections, perOriginator: limits.ioConnectionsPerOriginator },
      clock: this.#clock,
      wheel: options.clock === undefined ? sharedWheel() : new TimerWheel(options.clock),
      portFor: (channel) => this.#ioPortFor(channel),
      multicast: () => this.#multicast?.active ?? defaultMulticast,
      dscp: (priority) => dscpOf(priority, this.#qos),
      onEvent: (name, connection, end) => {
        this.#event({ name, facts: ioFacts(connection, end) });
        if (name === "io-closed") this.#guard.ioEnded();
      },
      onTimeout: () => {
        this.#connections.counters.timeouts += 1;
      },
    });
    this.#guard = new SessionGuard({
      policy: description.security?.sessions ?? defaultSessionPolicy,
      clock: this.#clock,
      calendar: options.calendar ?? this.#clock,
      wallNow: () => this.#security?.wallNow(),
      rules: () => this.#security?.sessionRules(),
      carriesIo: ({ facts }) => this.#engine.carries(facts),
      end: (channel) => {
        this.#engine.refuse(channel.facts);
        void channel.close();
      },
      event: (name, facts) => this.#event({ name, facts }),
    });
    this.#connections = new ConnectionManager({
      io: this.#engine,
      identity: description.identity,
      limits: {
        connections: limits.explicitConnections,
        perOriginator: limits.explicitConnectionsPerOriginator,
        size: limits.messageOctets,
      },
      clock: this.#clock,
      router: this.#router,
      ...(description.ingress === undefined ? {} : { ingress: description.ingress }),
    });
    this.#ports = new Ports({
      address: description.address,
      ports: description.ports,
      broadcastAddresses: description.broadcastAddresses,
      samePort: description.security?.samePort ?? false,
      startDtls: description.security?.startDtls ?? false,
      clock: this.#clock,
      limits: channelLimits(limits),
      tls: () => this.#tlsPolicy(),
      accept: (channel) => this.#accept(channel),
      acceptDatagrams: (channel) => this.#acceptAssociation(channel),
      acceptFrames: (channel) => this.#acceptFrames(channel),
      dscp: () => this.#qos?.dscpExplicit ?? 0,
      dtlsTimeoutS: () => this.#security?.dtlsTimeoutS() ?? 0,
      discovery: () => this.#discovery(),
      receiveIo: (bytes, from) => this.#engine.receive(bytes, from),
      ioClosed: (port) => this.#engine.portClosed(port),
      onRefused: ({ remote, reason, error }) =>
        this.#event({
          name: "connection-refused",
          facts: { remote: `${remote.address}:${remote.port}`, reason, code: error.code },
        }),
      ...(options.keyLog === undefined ? {} : { keyLog: options.keyLog }),
    });
  }

  /** Brings a device up from its saved state; nothing stays behind when that fails. */
  static async boot(options: TargetOptions, shared: Shared, restart: () => void): Promise<Device> {
    const device = new Device(options, shared, restart);
    const { tags } = shared;
    if (tags !== undefined) hostTags(device.#router, tags, options.description.identity.productName);
    try {
      await device.#start(await openStore(join(options.stateDir)));
      return device;
    } catch (error) {
      await device.stop();
      throw error;
    }
  }

  get ports(): PortNumbers {
    const numbers = {
      eip: this.#ports.number("eip"),
      eipUdp: this.#ports.number("eipUdp"),
      io: this.#ports.number("io"),
      eips: this.#ports.number("eips"),
      eipd: this.#ports.number("eipd"),
    };
    return Object.fromEntries(Object.entries(numbers).filter(([, number]) => number !== undefined));
  }

  get io(): IoCounts {
    return { connections: this.#engine.connections.length, dropped: { ...this.#engine.dropped } };
  }

  get dtls(): DtlsCounts {
    return { associations: this.#associations.size, dropped: this.#ports.dtlsDropped };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#security?.close();
    this.#guard.stop();
    this.#engine.stop();
    await this.#ports.apply(allClosed);
    for (const channel of this.#channels) channel.destroy();
    for (const { channel } of this.#associations.values()) channel.destroy();
  }

  async #start(store: Store): Promise<void> {
    const { description } = this.#options;
    const { identity, address, hostName } = description;
    hostIdentity(this.#router, {
      identity,
      isConfigured: () => this.#isConfigured(),
      ioStatus: () => ioStatus(this.#engine, store.generation),
      store,
      resetRefusal: (type, channel) => this.#security?.resetRefusal(type, channel),
      reset: (type) => void this.#reset(type),
    });
    hostMessageRouter(this.#router, this.#connections.capacity, () => this.#connections.connections.length);
    hostConnectionManager(this.#router, this.#connections);
    this.#hostData(store);
    this.#store = store;
    this.#qos = hostQos(this.#router, store);
    const multicast = description.connections.length > 0 ? multicastAttributes(store) : undefined;
    this.#multicast = multicast;
    hostEthernetLink(this.#router, address);
    hostPort(this.#router, address);
    if (!isOnLoopback(address)) hostLldp(this.#router);
    if (description.security === null) await this.#startPlain(store);
    else {
      this.#security = await createSecurity({
        router: this.#router,
        store,
        clock: this.#clock,
        ...(this.#options.calendar === undefined ? {} : { calendar: this.#options.calendar }),
        device: { productName: identity.productName, serialNumber: identity.serialNumber, address, hostName },
        settings: await factorySecurity(description, description.security),
        ...(multicast === undefined ? {} : { multicast }),
        hooks: {
          portsChanged: (open) => this.#applyPorts(open),
          closeConnections: (afterMs) => this.#closeChannels(afterMs),
          activeTcpConnections: () => this.#channels.size,
          configurationChanged: () => this.#guard.changed(),
          event: (name, facts) => this.#event({ name, facts }),
        },
      });
      await this.#ports.apply(this.#security.ports());
    }
  }

  /** Assemblies and parameters, each of which can show the other's data. */
  #hostData(store: Store): void {
    const { assemblies, parameters } = this.#options.description;
    const isOwned = (instance: number): boolean => this.#engine.isOwned(instance);
    hostAssemblies(this.#router, assemblies, this.#assemblies, isOwned, parameters?.parameters);
    if (this.#parameters === undefined) return;
    const configurations = assemblies.filter(({ kind }) => kind === "configuration").map(({ instance }) => instance);
    this.#parameters.load(store, (instance) => configurations.includes(instance));
    hostParameters(this.#router, this.#parameters, isOwned, configurations[0] ?? 0);
  }

  /** A device from before CIP Security: plain ports, always open. */
  async #startPlain(store: Store): Promise<void> {
    const { address, hostName } = this.#options.description;
    const saved = store.read("inactivityTimeoutS");
    let inactivityS = typeof saved === "number" ? saved : defaultInactivityS;
    this.#inactivityS = () => inactivityS;
    hostTcpIpInterface(this.#router, {
      address,
      hostName,
      inactivityTimeoutS: () => inactivityS,
      setInactivityTimeout: async (seconds) => {
        await store.write({ inactivityTimeoutS: seconds });
        inactivityS = seconds;
      },
      activeTcpConnections: () => this.#channels.size,
      ...(this.#multicast === undefined ? {} : { multicast: this.#multicast }),
    });
    await this.#ports.apply({ ...allClosed, eip: true, eipUdp: true, io: true });
  }

  #inactivityS: () => number = () => this.#security?.inactivityTimeoutS() ?? defaultInactivityS;

  #accept(channel: Channel): void {
    this.#channels.add(channel);
    this.#event({ name: "connected", facts: channelFacts(channel.facts) });
    void channel.closed.then(() => {
      this.#channels.delete(channel);
      this.#security?.channelEnded(channel.facts);
    });
    serve(channel, {
      services: this.#services(replyRoom(this.#limits)),
      clock: this.#clock,
      limits: { ...serveLimits, maxFrame: frameOctets(this.#limits) },
      inactivityS: () => this.#inactivityS(),
    });
    this.#guard.admit(channel);
  }

  /** An association carries everything between two ends; when it goes, the connections that it carried are lost. */
  #acceptAssociation(channel: Channel): void {
    const port = associationPort(channel);
    this.#associations.set(channel.facts, { channel, port });
    this.#event({ name: "connected", facts: channelFacts(channel.facts) });
    void channel.closed.then(() => {
      this.#associations.delete(channel.facts);
      this.#engine.portClosed(port);
      this.#security?.channelEnded(channel.facts);
    });
    serveDatagrams(channel, {
      router: this.#router,
      io: this.#engine,
      clock: this.#clock,
      maxReply: replyRoom(this.#limits),
    });
    this.#guard.admit(channel);
  }

  /** An association that StartDTLS led to: an encapsulation session, a frame a datagram. It carries no class 0 and 1 data. */
  #acceptFrames(channel: Channel): void {
    this.#associations.set(channel.facts, { channel });
    this.#event({ name: "connected", facts: channelFacts(channel.facts) });
    void channel.closed.then(() => {
      this.#associations.delete(channel.facts);
      this.#security?.channelEnded(channel.facts);
    });
    const most = replyRoom(this.#limits);
    const room = Math.min(most, (channel.maxMessage ?? most) - frameOverhead);
    serveFrames(channel, { services: this.#services(room), clock: this.#clock });
    this.#guard.admit(channel);
  }

  #services(room: number): SessionServices {
    return {
      router: this.#router,
      connections: this.#connections,
      sessions: this.#sessions,
      maxReply: room,
      discovery: () => this.#discovery(),
    };
  }

  #discovery(): DiscoveryFacts {
    const { identity, address } = this.#options.description;
    return {
      identity,
      address,
      status: identityStatus(this.#isConfigured(), ioStatus(this.#engine, this.#store?.generation)),
      state: IdentityState.operational,
      ianaPorts: this.#ports.bits,
      io: this.#ports.io !== undefined,
      ...(this.#security === undefined ? {} : { security: this.#security.facts() }),
    };
  }

  #isConfigured(): boolean {
    return this.#security?.facts().cipState === CipSecurityState.configured;
  }

  #tlsPolicy(): TlsPolicy {
    if (this.#security === undefined)
      throw new BugError("bug/unreachable", "a device without CIP Security has no TLS port");
    return this.#security.tlsPolicy();
  }

  /**
   * Data of connections opened over DTLS go by their association. Else they go unprotected by UDP: so may connections that were
   * opened in the clear, and those opened over TLS where the description allows it.
   */
  #ioPortFor(channel: ChannelFacts): IoPort | undefined {
    if (channel.protocol === "dtls") return this.#associations.get(channel)?.port;
    const { security } = channel;
    const isAllowed = security === undefined || this.#options.description.security?.plainIoOverTls === true;
    return isAllowed ? this.#ports.io : undefined;
  }

  #applyPorts(open: OpenPorts): void {
    if (this.#isStopped) return;
    this.#ports.apply(open).catch((error: unknown) => this.#event(failed("ports", error)));
  }

  /** Those that are open now: what opens in the meantime is under the new configuration already. */
  #closeChannels(afterMs: number): void {
    const channels = [...this.#channels, ...[...this.#associations.values()].map(({ channel }) => channel)];
    this.#clock.after(afterMs, () => {
      for (const channel of channels) void channel.close();
    });
  }

  async #reset(type: number): Promise<void> {
    try {
      if (type !== ResetType.cycle) await this.#store?.write(forgotten(type));
      await this.#security?.reset(type);
      this.#restart();
    } catch (error) {
      this.#event(failed("reset", error));
    }
  }
}

/** Type 1 returns everything to factory default, type 2 all but settings of the network. */
function forgotten(type: number): Readonly<Record<string, undefined>> {
  const device = { [textsSection]: undefined, parameters: undefined };
  return type === ResetType.factory
    ? { ...device, qos: undefined, multicast: undefined, inactivityTimeoutS: undefined }
    : device;
}
