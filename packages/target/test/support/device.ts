import { objectClass } from "@cipsec/objects";
import type { ChannelFacts } from "@cipsec/transport";
import {
  Command,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  RegisterSession,
  SHORT_STRING,
  SendData,
  UDINT,
  UINT,
  USINT,
  Encapsulation,
  FrameStream,
  Status,
  decode,
  encode,
  frame,
  noOctets,
  objectPath,
  octets,
  type CpfItem,
  type Frame,
  type Reply,
  type Request,
} from "@cipsec/wire";
import type { AccessDecision } from "../../src/access.ts";
import { ConnectionManager, type ConnectionLimits } from "../../src/connection-manager.ts";
import type { RequestContext } from "../../src/context.ts";
import type { DiscoveryFacts } from "../../src/identity.ts";
import { hostConnectionManager } from "../../src/objects/connection-manager.ts";
import { refuse } from "../../src/refusal.ts";
import { Router } from "../../src/router.ts";
import { serve, type ServeLimits } from "../../src/serve.ts";
import { SessionTable } from "../../src/sessions.ts";
import { FakeChannel, FakeClock, plainFacts, settle } from "./fakes.ts";

/** A vendor's class with one attribute and service of every sort. */
export const Boiler = objectClass({
  name: "Boiler",
  classId: 0x64,
  revision: 3,
  source: "test",
  classAttributes: { model: { id: 9, type: UINT, access: "get", doc: "Model." } },
  attributes: {
    temperature: { id: 1, type: UINT, access: "get/set", doc: "Set point; at most 500." },
    serial: { id: 2, type: UDINT, access: "get", doc: "Serial number." },
    label: { id: 3, type: SHORT_STRING, access: "get/set", optional: true, doc: "Label." },
    spare: { id: 4, type: USINT, access: "get", optional: true, default: 7, doc: "Not implemented; has a default." },
    absent: { id: 5, type: USINT, access: "get", optional: true, doc: "Not implemented; has no default." },
    log: { id: 6, type: octets(300), access: "get", doc: "Large." },
    secret: { id: 7, type: UINT, access: "get", doc: "Its handler fails in a way that nobody foresaw." },
  },
  services: {
    ignite: { code: 0x4b, request: USINT, response: UINT, doc: "Answers twice the request; 99 is refused." },
    quench: { code: 0x4c, doc: "Takes and gives nothing." },
    purge: { code: 0x4d, optional: true, doc: "Not implemented." },
    count: { code: 0x4e, level: "class", response: UINT, doc: "Class service." },
  },
  all: ["temperature", "serial", "spare", "absent", "label"],
  classAll: [1, 2, 3, 4, 5, 6, 7, 9],
});

/** What the boiler was asked to do. */
export interface BoilerState {
  temperature: number;
  label: string;
  readonly done: string[];
}

export function hostBoiler(router: Router, instance = 1): BoilerState {
  const state: BoilerState = { temperature: 20, label: "hot", done: [] };
  router.host(Boiler, instance, {
    temperature: {
      get: () => state.temperature,
      set: (value) => {
        if (value > 500) throw refuse(Status.invalidAttributeValue);
        state.temperature = value;
        state.done.push(`temperature ${value}`);
      },
    },
    serial: { get: () => 0x1234_5678 },
    label: { get: () => state.label, set: (value) => void (state.label = value) },
    log: { get: () => new Uint8Array(300).fill(0xab) },
    secret: {
      get: () => {
        throw new RangeError("the password is hunter2");
      },
    },
    ignite: (power) => {
      if (power === 99) throw refuse(Status.objectStateConflict, { extended: [0x1234], data: Uint8Array.of(1, 2) });
      state.done.push(`ignite ${power}`);
      return power * 2;
    },
    quench: (_, context) => context.afterReply(() => state.done.push("quenched")),
  });
  router.hostClass(Boiler, { model: { get: () => 77 }, count: () => state.done.length });
  return state;
}

export const identity = {
  vendorId: 0xfff0,
  deviceType: 0x2b,
  productCode: 7,
  revision: { major: 2, minor: 5 },
  serialNumber: 0x0102_0304,
  productName: "Boiler 3000",
} as const;

export function discoveryFacts(more: Partial<DiscoveryFacts> = {}): DiscoveryFacts {
  return { identity, status: 0x30, state: 3, address: "127.25.0.1", ianaPorts: 0x0b, io: false, ...more };
}

export const connectionLimits: ConnectionLimits = { connections: 4, perOriginator: 3, size: 600 };

export const serveLimits: ServeLimits = { maxFrame: 1000, partialFrameMs: 5000, maxWaiting: 50 };

export interface DeviceOptions {
  readonly access?: AccessDecision;
  readonly inactivityS?: number;
  readonly maxSessions?: number;
  readonly maxReply?: number;
}

/** A device without sockets: router, connection manager, sessions, all on a fake clock. */
export function device(options: DeviceOptions = {}) {
  const clock = new FakeClock();
  const router = new Router(options.access ?? (() => undefined));
  const connections = new ConnectionManager({ identity, limits: connectionLimits, clock, router });
  hostConnectionManager(router, connections);
  const boiler = hostBoiler(router);
  const sessions = new SessionTable(options.maxSessions ?? 20);
  const services = {
    router,
    connections,
    sessions,
    maxReply: options.maxReply ?? 500,
    discovery: () => discoveryFacts(),
  };
  const inactivityS = (): number => options.inactivityS ?? 0;
  return {
    clock,
    router,
    connections,
    boiler,
    sessions,
    services,
    /** A peer on a fake channel. */
    peer: (facts: ChannelFacts = plainFacts): Peer => {
      const channel = new FakeChannel(facts);
      serve(channel, { services, clock, limits: serveLimits, inactivityS });
      return new Peer(channel);
    },
  };
}

/** The other end of a fake channel: it sends frames and reads what came back. */
export class Peer {
  readonly channel: FakeChannel;
  readonly #stream = new FrameStream();
  #taken = 0;
  handle = 0;

  constructor(channel: FakeChannel) {
    this.channel = channel;
  }

  /** Sends octets and returns the frames that came back. */
  async send(bytes: Uint8Array): Promise<readonly Frame[]> {
    this.channel.push(bytes);
    await settle();
    return this.received();
  }

  /** Frames that came and were not read yet. */
  received(): readonly Frame[] {
    const fresh = this.channel.sent.slice(this.#taken);
    this.#taken = this.channel.sent.length;
    return fresh.flatMap((bytes) =>
      this.#stream.push(bytes).flatMap((event) => (event.type === "frame" ? [event.frame] : [])),
    );
  }

  async register(): Promise<number> {
    const [reply] = await this.send(registerSession());
    this.handle = reply?.session ?? 0;
    return this.handle;
  }

  /** Sends a request in SendRRData. */
  async request(request: Request): Promise<Reply> {
    const [reply] = await this.send(sendRRData(this.handle, encode(MessageRouterRequest, request)));
    return rrReply(reply);
  }

  /** Sends a request over a connection; `undefined` where the device is silent. */
  async connected(connectionId: number, sequence: number, request: Request): Promise<Frame | undefined> {
    const [reply] = await this.send(
      sendUnitData(this.handle, connectionId, sequence, encode(MessageRouterRequest, request)),
    );
    return reply;
  }
}

export function registerSession(version = 1, options = 0): Uint8Array {
  return frame(Command.registerSession, { data: encode(RegisterSession, { version, options }), context: someContext });
}

/** A sender context that shows when it is not echoed. */
export const someContext = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

export function sendData(command: number, session: number, items: readonly CpfItem[]): Uint8Array {
  const data = encode(SendData, { interfaceHandle: 0, timeoutS: 0, items });
  return frame(command, { session, data, context: someContext });
}

export function sendRRData(session: number, message: Uint8Array): Uint8Array {
  return sendData(Command.sendRRData, session, [
    { type: ItemType.nullAddress, data: noOctets },
    { type: ItemType.unconnectedData, data: message },
  ]);
}

export function sendUnitData(session: number, connectionId: number, sequence: number, message: Uint8Array): Uint8Array {
  return sendData(Command.sendUnitData, session, [
    { type: ItemType.connectedAddress, data: encode(UDINT, connectionId) },
    { type: ItemType.connectedData, data: new Uint8Array([sequence & 0xff, sequence >> 8, ...message]) },
  ]);
}

/** The reply in a SendRRData frame. */
export function rrReply(reply: Frame | undefined): Reply {
  if (reply === undefined || reply.status !== 0)
    throw new RangeError(`no SendRRData reply, but ${reply === undefined ? "silence" : `status ${reply.status}`}`);
  const data = decode(SendData, reply.data).items[1];
  return decode(MessageRouterReply, data?.data ?? noOctets);
}

/** Sequence and reply in a SendUnitData frame. */
export function unitReply(reply: Frame | undefined): { readonly sequence: number; readonly reply: Reply } {
  if (reply === undefined || reply.status !== 0) throw new RangeError("no SendUnitData reply");
  const data = decode(SendData, reply.data).items[1]?.data ?? noOctets;
  return { sequence: (data[0] ?? 0) | ((data[1] ?? 0) << 8), reply: decode(MessageRouterReply, data.subarray(2)) };
}

export function request(
  service: number,
  [classId, instance, attribute]: readonly [number, number?, number?],
  data: Uint8Array = noOctets,
): Request {
  return { service, path: objectPath(classId, instance, attribute), data };
}

export function requestContext(more: Partial<RequestContext> = {}): RequestContext {
  return { channel: plainFacts, session: 1, maxReply: 500, afterReply: (run) => run(), ...more };
}

export function frameOf(bytes: Uint8Array): Frame {
  return decode(Encapsulation, bytes);
}
