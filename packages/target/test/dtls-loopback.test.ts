import { createSocket } from "node:dgram";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { acceptAnyone, dial, sharedWheel, type Channel, type TlsPolicy } from "@cipsec/transport";
import {
  CapabilityItem,
  CipSecurityItem,
  Command,
  Cpf,
  ForwardClose,
  ForwardOpen,
  ForwardOpenReply,
  IanaPort,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  SetPortAdminRequest,
  UnconnectedMessage,
  decode,
  encode,
  frame,
  readIo,
  readIoData,
  type IoFrame,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { expect, test } from "vitest";
import { readDescription, startTarget, type Target, type TargetEvent } from "../src/index.ts";
import { request } from "./support/device.ts";
import { hex } from "./support/fakes.ts";
import { inputs, ioDescription, outputs, ownerOpen, ownerWriter } from "./support/io.ts";

const anyDevice: TlsPolicy = {
  suites: [0xc02b],
  certificates: [],
  sendChain: true,
  psks: [],
  verifyPeer: true,
  verify: acceptAnyone(),
};

interface Rig extends AsyncDisposable {
  readonly target: Target;
  readonly told: string[];
  readonly events: TargetEvent[];
}

async function rig(address: string, ports: { readonly eipd?: number } = {}): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-dtls-"));
  const events: TargetEvent[] = [];
  const description = readDescription({
    ...ioDescription(),
    address,
    ports: { eip: 0, eipUdp: 0, io: null, eips: 0, ...ports },
    security: {},
  });
  const target = await startTarget({ description, stateDir: folder, onEvent: (event) => events.push(event) });
  const told: string[] = [];
  target.assemblies.onOutput(outputs, (data, state) => told.push(`${state} ${Buffer.from(data).toString("hex")}`));
  target.assemblies.setInput(inputs, hex("0a0b0c0d0e0f"));
  const close = async (): Promise<void> => {
    await target.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { target, told, events, [Symbol.asyncDispose]: close };
}

interface Peer extends AsyncDisposable {
  readonly channel: Channel;
  readonly got: IoFrame[];
  ask(asked: Request): Promise<Reply>;
}

/** Opens an association. */
async function associate({ target }: Rig): Promise<Peer> {
  const host = target.description.address;
  const port = target.ports.eipd ?? 0;
  const channel = await dial({ protocol: "dtls", host, port, tls: anyDevice, localAddress: "127.37.7.99" });
  const got: IoFrame[] = [];
  const replies = new Map<number, (reply: Reply) => void>();
  let transactionId = 0;
  channel.receive((bytes) => {
    const io = readIo(bytes.slice());
    if (io !== undefined) return void got.push(io);
    const response = decode(UnconnectedMessage, decode(Cpf, bytes)[0]?.data ?? hex(""));
    replies.get(response.transactionId)?.(decode(MessageRouterReply, response.message));
  });
  return {
    channel,
    got,
    async ask(asked) {
      transactionId += 1;
      const message = encode(MessageRouterRequest, asked);
      const data = encode(UnconnectedMessage, { type: 1, transactionId, status: 0, message });
      const reply = new Promise<Reply>((resolve) => replies.set(transactionId, resolve));
      channel.send(encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]));
      return await reply;
    },
    [Symbol.asyncDispose]: async () => channel.close(),
  };
}

const opening = (asked: ForwardOpen): Request => request(0x54, [6, 1], encode(ForwardOpen, asked));

test("Forward_Open over DTLS: data at 10 ms both ways by the association, closed by Forward_Close", async () => {
  await using io = await rig("127.37.7.1");
  await using peer = await associate(io);
  const asked = ownerOpen({ timeoutMultiplier: 3 });
  const reply = await peer.ask(opening(asked));
  const writer = ownerWriter(decode(ForwardOpenReply, reply.data));
  writer.setData(hex("01020304"));
  const producing = sharedWheel().every(10_000, () => peer.channel.send(writer.next()));
  await expect.poll(() => peer.got.length).toBeGreaterThan(20);
  expect(io.told).toEqual(["run 01020304"]);
  const opened = io.events.find(({ name }) => name === "io-opened");
  expect(opened?.facts["dscp"]).toBe(peer.channel.marks === true ? 47 : "unmarked");
  const [first] = peer.got;
  expect(first?.connectionId).toBe(asked.tToOConnectionId);
  expect(readIoData(first?.data ?? hex(""), 1, "modeless")).toMatchObject({ count: 1, data: hex("0a0b0c0d0e0f") });
  expect(peer.got.map(({ sequence }) => sequence)).toEqual(peer.got.map((_, i) => i + 1));
  const close = encode(ForwardClose, { ...asked, priorityTick: 0, timeoutTicks: 0 });
  expect(await peer.ask(request(0x4e, [6, 1], close))).toMatchObject({ status: 0 });
  producing.cancel();
  expect(io.told.at(-1)).toBe("closed 00000000");
  expect(io.target.io.connections).toBe(0);
});

test("replayed, altered and strangers' datagrams change nothing; the association's loss sets the outputs", async () => {
  await using io = await rig("127.37.7.2");
  // A relay in the middle: it sees what the originator sends, and can send it again.
  const relay = createSocket("udp4");
  await new Promise<void>((resolve) => relay.bind(0, "127.37.7.50", resolve));
  const seen: Buffer[] = [];
  let originator = 0;
  const to = { address: "127.37.7.2", port: io.target.ports.eipd ?? 0 };
  relay.on("message", (bytes, from) => {
    const isFromTarget = from.address === to.address;
    if (!isFromTarget) {
      originator = from.port;
      seen.push(Buffer.from(bytes));
    }
    relay.send(bytes, isFromTarget ? originator : to.port, isFromTarget ? "127.37.7.99" : to.address);
  });
  const channel = await dial({
    protocol: "dtls",
    host: "127.37.7.50",
    port: relay.address().port,
    tls: anyDevice,
    localAddress: "127.37.7.99",
  });
  const got: Uint8Array[] = [];
  channel.receive((bytes) => got.push(bytes.slice()));
  const message = encode(MessageRouterRequest, opening(ownerOpen({ timeoutMultiplier: 7, oToTRpiMicros: 50_000 })));
  const data = encode(UnconnectedMessage, { type: 1, transactionId: 1, status: 0, message });
  channel.send(encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]));
  await expect.poll(() => got.length).toBeGreaterThan(0);
  const response = decode(UnconnectedMessage, decode(Cpf, got[0] ?? hex(""))[0]?.data ?? hex(""));
  const writer = ownerWriter(decode(ForwardOpenReply, decode(MessageRouterReply, response.message).data));
  for (const value of ["01010101", "02020202"]) {
    writer.setData(hex(value));
    channel.send(writer.next());
  }
  await expect.poll(() => io.told).toEqual(["run 01010101", "run 02020202"]);
  const before = { refused: io.target.dtls.dropped, dropped: io.target.io.dropped, told: [...io.told] };
  const [open, ...packets] = seen.slice(-3);
  const altered = packets.map((packet) => {
    const copy = Buffer.from(packet);
    copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
    return copy;
  });
  // Through the relay they come from the association's own address; from elsewhere, the same and plain ones too.
  const stranger = createSocket("udp4");
  await new Promise<void>((resolve) => stranger.bind(0, "127.37.7.51", resolve));
  const plain = [Buffer.from(writer.next()), Buffer.from(encode(Cpf, [])), Buffer.from([0xff])];
  for (const bytes of [...seen, ...(open === undefined ? [] : [open]), ...packets, ...altered, ...plain]) {
    relay.send(bytes, to.port, to.address);
    stranger.send(bytes, to.port, to.address);
  }
  await expect.poll(() => io.target.dtls.dropped).toBeGreaterThan(before.refused + 6);
  expect(io.told).toEqual(before.told);
  expect(io.target.dtls.associations).toBe(1);
  expect(io.target.io).toEqual({ connections: 1, dropped: before.dropped });
  writer.setData(hex("03030303"));
  channel.send(writer.next());
  await expect.poll(() => io.told).toEqual([...before.told, "run 03030303"]);
  await channel.close();
  await expect.poll(() => io.told.at(-1)).toBe("timeout 00000000");
  expect(io.target.io.connections).toBe(0);
  await Promise.all([relay, stranger].map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
});

test("discovery tells of the port; closing it ends its associations and their connections", async () => {
  await using io = await rig("127.37.7.3", { eipd: 2221 });
  const tcp = await dial({ protocol: "tcp", host: "127.37.7.3", port: io.target.ports.eip ?? 0 });
  const listed = new Promise<Uint8Array>((resolve) => tcp.receive(resolve));
  tcp.send(frame(Command.listIdentity, {}));
  const items = decode(Cpf, (await listed).subarray(24));
  const find = (type: number): Uint8Array => items.find((item) => item.type === type)?.data ?? hex("");
  expect(decode(CapabilityItem, find(ItemType.ethernetIpCapability))).toBe(0xc7);
  expect(decode(CipSecurityItem, find(ItemType.cipSecurity)).ianaPortState & IanaPort.eipd).toBe(IanaPort.eipd);
  await tcp.close();
  await using peer = await associate(io);
  await using other = await associate(io);
  expect(io.events.find(({ name, facts }) => name === "connected" && facts["protocol"] === "dtls")).toBeDefined();
  expect((await peer.ask(opening(ownerOpen()))).status).toBe(0);
  const wish = encode(SetPortAdminRequest, [{ port: 2221, protocol: 17, open: false }]);
  expect((await other.ask(request(0x4c, [0xf5, 1], wish))).status).toBe(0);
  expect(await peer.channel.closed).toEqual({ clean: true });
  expect(io.told).toEqual(["timeout 00000000"]);
  expect(io.target.ports.eipd).toBeUndefined();
});

test("configuration goes by DTLS: Apply_Config ends associations, attribute 15 ends the silent ones of later", async () => {
  await using io = await rig("127.37.7.4");
  await using tool = await associate(io);
  const { beginConfig, applyConfig } = EtherNetIpSecurity.services;
  const timeout = EtherNetIpSecurity.attributes.dtlsTimeout.id;
  expect((await tool.ask(request(0x0e, [0x5e, 1, timeout]))).data).toEqual(hex("0c00"));
  expect(await tool.ask(request(CipSecurity.services.beginConfig.code, [0x5d, 1]))).toMatchObject({ status: 0 });
  expect(await tool.ask(request(beginConfig.code, [0x5e, 1]))).toMatchObject({ status: 0 });
  expect(await tool.ask(request(0x10, [0x5e, 1, timeout], hex("0100")))).toMatchObject({ status: 0 });
  const apply = encode(applyConfig.request, { flags: 1, closeDelayMs: 100 });
  expect(await tool.ask(request(applyConfig.code, [0x5e, 1], apply))).toMatchObject({ status: 0 });
  expect(await tool.channel.closed).toEqual({ clean: true });
  await using silent = await associate(io);
  expect((await silent.ask(opening(ownerOpen({ timeoutMultiplier: 7, oToTRpiMicros: 1_000_000 })))).status).toBe(0);
  const before = performance.now();
  expect(await silent.channel.closed).toEqual({ clean: true });
  expect(performance.now() - before).toBeGreaterThan(800);
  expect(io.told.at(-1)).toBe("timeout 00000000");
});
