import { TimerWheel, type ChannelFacts, type DatagramPath, type Endpoint, type IoPort } from "@cipsec/transport";
import {
  ForwardClose,
  ForwardOpen,
  ForwardOpenReply,
  IoWriter,
  LargeForwardOpen,
  decode,
  encode,
  readIo,
  type CpfItem,
  type IoFrame,
  type NetworkParameters,
  type Reply,
  type Segment,
} from "@cipsec/wire";
import { ConnectionManager } from "../../src/connection-manager.ts";
import type { RequestContext } from "../../src/context.ts";
import { readDescription, type DeviceDescription } from "../../src/description.ts";
import type { IoConnection, IoEnd } from "../../src/io/connection.ts";
import { associationPort } from "../../src/io/association-port.ts";
import { IoEngine, type IoLimits } from "../../src/io/engine.ts";
import type { MulticastSettings } from "../../src/io/multicast.ts";
import { AssemblyData, hostAssemblies, type OutputState } from "../../src/objects/assembly.ts";
import { hostConnectionManager } from "../../src/objects/connection-manager.ts";
import { Router } from "../../src/router.ts";
import { serveDatagrams } from "../../src/serve-datagrams.ts";
import { connectionLimits, identity, request, requestContext } from "./device.ts";
import { FakeChannel, FakeClock, dtlsFacts, plainFacts, toHex } from "./fakes.ts";

/** A datagram that the device sent, and when. */
export interface SentDatagram {
  readonly ms: number;
  readonly to: Endpoint;
  readonly ttl: number | undefined;
  readonly dscp: number | undefined;
  readonly frame: IoFrame;
}

export const inputs = 100;
export const outputs = 101;
export const configuration = 102;
export const inputOnly = 254;
export const listenOnly = 255;

/** Sizes of class 1 packets to and from the assemblies above: outputs with header, inputs without. */
export const outputSize = 2 + 4 + 4;
export const inputSize = 2 + 6;

/** An input of 6 octets, an output of 4, a configuration of 3; entries can be replaced. */
export function ioDescription(more: Readonly<Record<string, unknown>> = {}): DeviceDescription {
  return readDescription({
    name: "io",
    identity,
    assemblies: [
      { instance: inputs, kind: "input", size: 6 },
      { instance: outputs, kind: "output", size: 4 },
      { instance: configuration, kind: "configuration", size: 3 },
    ],
    ...more,
  });
}

/** A device with I/O, without sockets, on a fake clock. */
export function ioDevice(
  more: Readonly<Record<string, unknown>> = {},
  limits: Partial<IoLimits> = {},
  multicast: MulticastSettings = { ttl: 1 },
) {
  const description = ioDescription(more);
  const clock = new FakeClock();
  const router = new Router(() => undefined);
  const assemblies = new AssemblyData(description.assemblies);
  const sent: SentDatagram[] = [];
  const events: [string, IoEnd | undefined][] = [];
  const told: [OutputState, string][] = [];
  const port = fakePort(clock, sent);
  const state = { port: port as IoPort | undefined, associations: new Map<ChannelFacts, IoPort>() };
  const engine = new IoEngine({
    connections: description.connections,
    assemblies,
    limits: { connections: 8, perOriginator: 6, ...limits },
    clock,
    wheel: new TimerWheel(clock),
    portFor: (channel) => state.associations.get(channel) ?? (channel.security === undefined ? state.port : undefined),
    multicast: () => multicast,
    dscp: (priority) => [31, 43, 47, 55][priority] ?? 0,
    onEvent: (name, _, end) => events.push([name, end]),
    onTimeout: () => {
      connections.counters.timeouts += 1;
    },
  });
  const connections = new ConnectionManager({ identity, limits: connectionLimits, clock, router, io: engine });
  hostConnectionManager(router, connections);
  hostAssemblies(router, description.assemblies, assemblies, (instance) => engine.isOwned(instance));
  assemblies.onOutput(outputs, (data, its) => told.push([its, toHex(data)]));
  return {
    clock,
    router,
    assemblies,
    engine,
    connections,
    sent,
    events,
    told,
    port,
    /** Another DTLS association: a fake channel, served. */
    associate: (peer: string, maxMessage = 1400): FakeChannel => {
      const channel = new FakeChannel(dtlsFacts(peer));
      channel.maxMessage = maxMessage;
      const its = associationPort(channel);
      state.associations.set(channel.facts, its);
      void channel.closed.then(() => {
        state.associations.delete(channel.facts);
        engine.portClosed(its);
      });
      serveDatagrams(channel, { router, io: engine, clock, maxReply: 4000 });
      return channel;
    },
    closePort: (): void => {
      state.port = undefined;
      engine.portClosed(port);
    },
    open: (open: ForwardOpen, from: From = {}) => sendForwardOpen(router, open, from),
    close: (open: ForwardOpen, channel: ChannelFacts = plainFacts) =>
      router.handle(
        request(0x4e, [6, 1], encode(ForwardClose, { ...open, priorityTick: 0, timeoutTicks: 0 })),
        requestContext({ channel }),
      ),
  };
}

/** Where a Forward_Open comes from, and what is beside it. */
export interface From {
  readonly channel?: ChannelFacts;
  readonly items?: readonly CpfItem[];
  readonly large?: boolean;
}

export async function sendForwardOpen(
  router: Router,
  open: ForwardOpen,
  { channel = plainFacts, items = [], large = false }: From,
): Promise<Reply & { readonly items: readonly CpfItem[]; readonly grant: ForwardOpenGrant | undefined }> {
  const added: CpfItem[] = [];
  const after: (() => void)[] = [];
  const context: RequestContext = {
    ...requestContext({ channel }),
    items,
    addItem: (item) => added.push(item),
    afterReply: (run) => after.push(run),
  };
  const data = encode(large ? LargeForwardOpen : ForwardOpen, open);
  const reply = await router.handle(request(large ? 0x5b : 0x54, [6, 1], data), context);
  for (const run of after) run();
  return { ...reply, items: added, grant: reply.status === 0 ? decode(ForwardOpenReply, reply.data) : undefined };
}

export type ForwardOpenGrant = ReturnType<typeof ForwardOpenReply.read>;

let serial = 100;

const parameters = (size: number): NetworkParameters => ({
  redundantOwner: false,
  type: 2,
  priority: 2,
  variable: false,
  size,
});

/** Points of the Assembly class: configuration, O→T, T→O. */
export function points(...instances: readonly number[]): readonly Segment[] {
  return [{ kind: "class", value: 4 }, ...instances.map((value): Segment => ({ kind: "connectionPoint", value }))];
}

/** A Forward_Open of an exclusive owner at 10 ms, class 1, cyclic, a new serial number each time; parts can be replaced. */
export function ownerOpen(more: Partial<ForwardOpen> = {}): ForwardOpen {
  serial += 1;
  return {
    priorityTick: 0x0a,
    timeoutTicks: 0x0e,
    oToTConnectionId: 0,
    tToOConnectionId: 0x7000_0000 + serial,
    connectionSerial: serial,
    originatorVendor: 0x1234,
    originatorSerial: 0x5678_9abc,
    timeoutMultiplier: 0,
    oToTRpiMicros: 10_000,
    oToT: parameters(outputSize),
    tToORpiMicros: 10_000,
    tToO: parameters(inputSize),
    transport: 0x01,
    path: points(configuration, outputs, inputs),
    ...more,
  };
}

/** The same for a connection with heartbeats at 100 ms. */
export function heartbeatOpen(point: number, more: Partial<ForwardOpen> = {}): ForwardOpen {
  const open = ownerOpen({ path: points(configuration, point, inputs), oToTRpiMicros: 100_000, ...more });
  return { ...open, oToT: { ...open.oToT, size: 2 } };
}

export function multicast(open: ForwardOpen): ForwardOpen {
  return { ...open, tToO: { ...open.tToO, type: 1 } };
}

/** Another originator: its channel and what its datagrams come with. */
export function originatorAt(address: string): { readonly channel: ChannelFacts; readonly udp: ChannelFacts } {
  const channel = { ...plainFacts, remote: { address, port: 50_000 } };
  return { channel, udp: udpFrom(address) };
}

export function udpFrom(address = plainFacts.remote.address): ChannelFacts {
  return { protocol: "udp", local: { address: "127.25.0.1", port: 2222 }, remote: { address, port: 2222 } };
}

/** What an owner sends with a grant in hand. */
export function ownerWriter(grant: ForwardOpenGrant | undefined): IoWriter {
  const connectionId = grant?.oToTConnectionId ?? 0;
  return new IoWriter({ connectionId, transportClass: 1, format: "run-idle-32", size: 4 });
}

export function heartbeatWriter(grant: ForwardOpenGrant | undefined): IoWriter {
  return new IoWriter({
    connectionId: grant?.oToTConnectionId ?? 0,
    transportClass: 1,
    format: "heartbeat",
    size: 0,
  });
}

function fakePort(clock: FakeClock, sent: SentDatagram[]): IoPort {
  const local = { address: "127.25.0.1", port: 2222 };
  return {
    local,
    marks: true,
    sendErrors: 0,
    path: (remote, marks): DatagramPath => ({
      facts: { protocol: "udp", local, remote },
      send(bytes) {
        const frame = readIo(bytes.slice());
        if (frame === undefined) throw new RangeError("the device sent no I/O frame");
        sent.push({ ms: clock.now(), to: remote, ttl: marks?.ttl, dscp: marks?.dscp, frame });
      },
    }),
    join: () => undefined,
    leave: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

export type { IoConnection };
