import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { acceptAnyone, dial, openIoPort, sharedWheel, type Channel, type TlsPolicy } from "@cipsec/transport";
import {
  Capability,
  CapabilityItem,
  CipSecurityItem,
  Command,
  Cpf,
  ForwardClose,
  ForwardOpen,
  ForwardOpenReply,
  IanaPort,
  ItemType,
  ListServicesItem,
  MessageRouterRequest,
  SendData,
  SetPortAdminRequest,
  Sockaddr,
  decode,
  encode,
  frame,
  readIo,
  readIoData,
  type CpfItem,
  type IoFrame,
  type Reply,
} from "@cipsec/wire";
import { expect, test } from "vitest";
import { readDescription, startTarget, type Target, type TargetEvent } from "../src/index.ts";
import { registerSession, request, rrReply, sendRRData } from "./support/device.ts";
import { hex } from "./support/fakes.ts";
import {
  heartbeatOpen,
  heartbeatWriter,
  inputOnly,
  inputs,
  ioDescription,
  multicast,
  outputs,
  ownerOpen,
  ownerWriter,
} from "./support/io.ts";
import { receiver } from "./support/loopback.ts";

interface Rig extends AsyncDisposable {
  readonly target: Target;
  readonly events: TargetEvent[];
  /** What the originator's port got, and when. */
  readonly got: { readonly ms: number; readonly frame: IoFrame }[];
  readonly port: Awaited<ReturnType<typeof openIoPort>>;
  session(tls?: TlsPolicy): Promise<Session>;
}

interface Session {
  readonly channel: Channel;
  list(command: number): Promise<readonly CpfItem[]>;
  /** Of the Connection Manager, unless another class is named. */
  ask(service: number, data: Uint8Array, classId?: number): Promise<Reply & { readonly group: string | undefined }>;
}

/** A few may still be on their way when production has ended. */
async function packetsIn50Ms({ got }: Rig): Promise<number> {
  const before = got.length;
  await sleep(50);
  return got.length - before;
}

/** A device at one loopback address and an originator's ports at another, on the ports of the standard. */
async function rig(device: string, originator: string, security: unknown = null): Promise<Rig> {
  const undo: (() => Promise<unknown>)[] = [];
  const folder = await mkdtemp(join(tmpdir(), "cipsec-io-"));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const events: TargetEvent[] = [];
  const description = readDescription({
    ...ioDescription(),
    address: device,
    ports: { eip: 0, eipUdp: 0, io: 2222, eips: 0 },
    security,
  });
  const target = await startTarget({ description, stateDir: folder, onEvent: (event) => events.push(event) });
  undo.push(() => target.stop());
  const got: Rig["got"] = [];
  const port = await openIoPort({
    address: originator,
    port: 2222,
    receive: (bytes, from) => {
      const frame = readIo(bytes.slice());
      // A group may have other senders on this machine.
      if (frame !== undefined && from.remote.address === device) got.push({ ms: performance.now(), frame });
    },
  });
  undo.push(async () => port[Symbol.asyncDispose]());
  const session = async (tls?: TlsPolicy): Promise<Session> => {
    const channel = await dial({
      protocol: tls === undefined ? "tcp" : "tls",
      host: device,
      port: (tls === undefined ? target.ports.eip : target.ports.eips) ?? 0,
      ...(tls === undefined ? {} : { tls }),
      localAddress: originator,
      timeoutMs: 2000,
    });
    undo.push(() => channel.close());
    const frames = receiver(channel);
    channel.send(registerSession());
    const { session: handle } = await frames.next();
    return {
      channel,
      async ask(service, data, classId = 6) {
        channel.send(sendRRData(handle, encode(MessageRouterRequest, request(service, [classId, 1], data))));
        const answer = await frames.next();
        const item = decode(SendData, answer.data).items.find(({ type }) => type === ItemType.sockaddrTtoO);
        const address = item === undefined ? undefined : decode(Sockaddr, item.data).address;
        const group = address && [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
        return { ...rrReply(answer), group: group === 0 ? undefined : group };
      },
      async list(command) {
        channel.send(frame(command, {}));
        return decode(Cpf, (await frames.next()).data);
      },
    };
  };
  const close = async (): Promise<void> => {
    for (const step of undo.toReversed()) await step();
  };
  return { target, events, got, port, session, [Symbol.asyncDispose]: close };
}

test("an owner at 10 ms, both ways; it outlives its TCP connection, and its loss sets the outputs", async () => {
  await using io = await rig("127.31.2.1", "127.31.2.2");
  const told: string[] = [];
  io.target.assemblies.onOutput(outputs, (data, state) => told.push(`${state} ${Buffer.from(data).toString("hex")}`));
  io.target.assemblies.setInput(inputs, hex("0a0b0c0d0e0f"));
  const session = await io.session();
  const asked = ownerOpen({ timeoutMultiplier: 3 });
  const grant = decode(ForwardOpenReply, (await session.ask(0x54, encode(ForwardOpen, asked))).data);
  const writer = ownerWriter(grant);
  writer.setData(hex("01020304"));
  const path = io.port.path({ address: "127.31.2.1", port: 2222 });
  const producing = sharedWheel().every(10_000, () => path.send(writer.next()));
  await expect.poll(() => io.got.length).toBeGreaterThan(20);
  expect(told).toEqual(["run 01020304"]);
  const [first] = io.got;
  expect(first?.frame.connectionId).toBe(asked.tToOConnectionId);
  expect(readIoData(first?.frame.data ?? hex(""), 1, "modeless")).toMatchObject({
    count: 1,
    data: hex("0a0b0c0d0e0f"),
  });
  await session.channel.close();
  const before = io.got.length;
  await expect.poll(() => io.got.length).toBeGreaterThan(before + 20);
  const sequences = io.got.map(({ frame }) => frame.sequence ?? 0);
  expect(sequences).toEqual(sequences.map((_, i) => i + 1));
  const first10 = io.got[10]?.ms ?? 0;
  const interval = ((io.got.at(-1)?.ms ?? 0) - first10) / (io.got.length - 11);
  // A busy machine skips turns, it never makes them shorter.
  expect(interval).toBeGreaterThan(9.5);
  producing.cancel();
  await expect.poll(() => told.at(-1)).toBe("timeout 00000000");
  expect(io.target.io.connections).toBe(0);
  expect(io.events.find(({ name }) => name === "io-closed")?.facts).toMatchObject({ end: "timeout" });
  await expect.poll(() => packetsIn50Ms(io)).toBe(0);
});

test("multicast reaches who has joined; closing it ends it, over another session too", async () => {
  await using io = await rig("127.31.2.3", "127.31.2.4");
  const session = await io.session();
  const asked = multicast(heartbeatOpen(inputOnly));
  const reply = await session.ask(0x54, encode(ForwardOpen, asked));
  expect(reply.status).toBe(0);
  expect(reply.group).toMatch(/^239\.192\./);
  const grant = decode(ForwardOpenReply, reply.data);
  io.port.join(reply.group ?? "");
  const beats = heartbeatWriter(grant);
  const path = io.port.path({ address: "127.31.2.3", port: 2222 });
  const producing = sharedWheel().every(100_000, () => path.send(beats.next()), 0);
  await expect.poll(() => io.got.length).toBeGreaterThan(10);
  expect(new Set(io.got.map(({ frame }) => frame.connectionId))).toEqual(new Set([grant.tToOConnectionId]));
  const other = await io.session();
  const close = encode(ForwardClose, { ...asked, priorityTick: 0, timeoutTicks: 0 });
  expect((await other.ask(0x4e, close)).status).toBe(0);
  producing.cancel();
  await expect.poll(() => packetsIn50Ms(io)).toBe(0);
});

test("a device with CIP Security offers I/O while its port is open, and tells so", async () => {
  await using io = await rig("127.31.2.5", "127.31.2.6", { defaultCertificate: "self-signed" });
  expect(io.target.ports.io).toBe(2222);
  const session = await io.session();
  const opened = await session.ask(0x54, encode(ForwardOpen, ownerOpen()));
  expect(opened.status).toBe(0);
  await expect.poll(() => io.got.length).toBeGreaterThan(1);
  const identity = await session.list(Command.listIdentity);
  const capability = identity.find(({ type }) => type === ItemType.ethernetIpCapability)?.data ?? hex("");
  expect(decode(CapabilityItem, capability) & (Capability.class0 | Capability.class1)).toBe(0xc0);
  const state = identity.find(({ type }) => type === ItemType.cipSecurity)?.data ?? hex("");
  expect(decode(CipSecurityItem, state).ianaPortState & IanaPort.io).toBe(IanaPort.io);
  const [services] = await session.list(Command.listServices);
  expect(decode(ListServicesItem, services?.data ?? hex("")).capabilities).toBe(0x0120);
});

const nobody: TlsPolicy = {
  suites: [0xc02b],
  certificates: [],
  sendChain: true,
  psks: [],
  verifyPeer: true,
  verify: acceptAnyone(),
};

test("over TLS it is refused, or goes in the clear where the description allows that", async () => {
  await using strict = await rig("127.31.2.7", "127.31.2.8", {});
  const refused = await (await strict.session(nobody)).ask(0x54, encode(ForwardOpen, ownerOpen()));
  expect(refused).toMatchObject({ status: 1, extended: [0x0103] });
  await using lax = await rig("127.31.2.9", "127.31.2.10", { plainIoOverTls: true });
  const opened = await (await lax.session(nobody)).ask(0x54, encode(ForwardOpen, ownerOpen()));
  expect(opened.status).toBe(0);
  await expect.poll(() => lax.got.length).toBeGreaterThan(1);
});

test("closing the port ends its connections and lets none be opened", async () => {
  await using io = await rig("127.31.2.11", "127.31.2.12", {});
  const told: string[] = [];
  io.target.assemblies.onOutput(outputs, (_, state) => told.push(state));
  const session = await io.session();
  expect((await session.ask(0x54, encode(ForwardOpen, ownerOpen()))).status).toBe(0);
  const wish = encode(SetPortAdminRequest, [{ port: 2222, protocol: 17, open: false }]);
  expect((await session.ask(0x4c, wish, 0xf5)).status).toBe(0);
  await expect.poll(() => told).toEqual(["timeout"]);
  expect(io.target.ports.io).toBeUndefined();
  const refused = await session.ask(0x54, encode(ForwardOpen, ownerOpen()));
  expect(refused).toMatchObject({ status: 1, extended: [0x0103] });
});
