import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Identity } from "@cipsec/objects";
import { acceptAnyone, dial, openUdp, systemClock, type Channel, type TlsPolicy } from "@cipsec/transport";
import {
  Command,
  ConnectedAddress,
  Cpf,
  Encapsulation,
  EncapsulationStatus,
  ForwardOpen,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  RegisterSession,
  SendData,
  UnconnectedMessage,
  decode,
  encode,
  frame,
  noOctets,
  type Frame,
  type Reply,
  type Request,
} from "@cipsec/wire";
import { expect, test } from "vitest";
import { readDescription, startTarget, type Target } from "../src/index.ts";
import { Ports, type OpenPorts } from "../src/ports.ts";
import { discoveryFacts, request } from "./support/device.ts";
import { ioDescription, ownerOpen } from "./support/io.ts";
import { hex } from "./support/fakes.ts";

const net = "127.34.1";

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
  readonly host: string;
}

async function rig(host: string, security: Readonly<Record<string, unknown>> = {}): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-same-port-"));
  const description = readDescription({
    ...ioDescription(),
    address: host,
    ports: { eip: 0, eipUdp: 0, io: 0, eips: 0, eipd: 0 },
    security,
  });
  const target = await startTarget({ description, stateDir: folder });
  const close = async (): Promise<void> => {
    await target.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { target, host, [Symbol.asyncDispose]: close };
}

const open = (host: string, port: number | undefined, startDtls = false): Promise<Channel> =>
  dial({ protocol: "dtls", host, port: port ?? 0, tls: anyDevice, startDtls, timeoutMs: 8000 });

/** Sends frames on an association; each answer is the next frame with this context. */
function talking(channel: Channel): (octets: Uint8Array) => Promise<Frame> {
  const waiting: { readonly context: string; readonly resolve: (reply: Frame) => void }[] = [];
  channel.receive((bytes) => {
    const reply = decode(Encapsulation, bytes.slice());
    const at = waiting.findIndex(({ context }) => context === text(reply.context));
    if (at >= 0) waiting.splice(at, 1)[0]?.resolve(reply);
  });
  return (octets) => {
    const { promise, resolve } = Promise.withResolvers<Frame>();
    waiting.push({ context: text(octets.subarray(12, 20)), resolve });
    channel.send(octets);
    return promise;
  };
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const context = (n: number): Uint8Array => Uint8Array.of(n, 1, 2, 3, 4, 5, 6, 7);
const registering = (n: number): Uint8Array =>
  frame(Command.registerSession, {
    session: 0,
    context: context(n),
    data: encode(RegisterSession, { version: 1, options: 0 }),
  });

function unconnected(session: number, n: number, asked: Request): Uint8Array {
  const items = [
    { type: ItemType.nullAddress, data: noOctets },
    { type: ItemType.unconnectedData, data: encode(MessageRouterRequest, asked) },
  ];
  const data = encode(SendData, { interfaceHandle: 0, timeoutS: 0, items });
  return frame(Command.sendRRData, { session, context: context(n), data });
}

const replyIn = (answer: Frame): Reply =>
  decode(MessageRouterReply, decode(SendData, answer.data).items[1]?.data ?? noOctets);

const vendorId = request(0x0e, [Identity.classId, 1, 1]);

test("StartDTLS on the port of discovery: an encapsulation session in DTLS, class 3 included, I/O refused", async () => {
  await using device = await rig(`${net}.1`);
  await using channel = await open(device.host, device.target.ports.eipUdp, true);
  const ask = talking(channel);
  const registered = await ask(registering(1));
  expect(registered).toMatchObject({ command: Command.registerSession, status: 0 });
  const { session } = registered;
  expect(replyIn(await ask(unconnected(session, 2, vendorId))).status).toBe(0);
  const listed = await ask(frame(Command.listIdentity, { session: 0, context: context(3) }));
  expect(decode(Cpf, listed.data)[0]?.type).toBe(ItemType.listIdentity);
  const refused = replyIn(await ask(unconnected(session, 4, request(0x54, [6, 1], encode(ForwardOpen, ownerOpen())))));
  expect([refused.status, refused.extended[0]]).toEqual([1, 0x0103]);
  const class3 = ownerOpen({
    transport: 0xa3,
    path: [
      { kind: "class", value: 2 },
      { kind: "instance", value: 1 },
    ],
  });
  const opened = replyIn(await ask(unconnected(session, 5, request(0x54, [6, 1], encode(ForwardOpen, class3)))));
  expect(opened.status).toBe(0);
  const id = new DataView(opened.data.buffer, opened.data.byteOffset).getUint32(0, true);
  const connected = frame(Command.sendUnitData, {
    session,
    data: encode(SendData, {
      interfaceHandle: 0,
      timeoutS: 0,
      items: [
        { type: ItemType.connectedAddress, data: encode(ConnectedAddress, id) },
        { type: ItemType.connectedData, data: Buffer.concat([hex("0100"), encode(MessageRouterRequest, vendorId)]) },
      ],
    }),
  });
  const answer = await ask(connected);
  expect(decode(SendData, answer.data).items[1]?.data.subarray(0, 4)).toEqual(hex("01008e00"));
  expect(device.target.dtls.associations).toBe(1);
});

test("a request that comes again is answered again, and not carried out twice", async () => {
  await using device = await rig(`${net}.2`);
  await using channel = await open(device.host, device.target.ports.eipUdp, true);
  const ask = talking(channel);
  const first = await ask(registering(1));
  expect(await ask(registering(1))).toEqual(first);
  const another = await ask(registering(2));
  expect(another.status).toBe(EncapsulationStatus.unsupportedCommand);
  channel.send(hex("ffff"));
  const malformed = frame(Command.registerSession, { session: 0, context: context(9) });
  channel.send(malformed.subarray(0, 10));
  expect(replyIn(await ask(unconnected(first.session, 3, vendorId))).status).toBe(0);
  channel.send(frame(Command.unRegisterSession, { session: first.session }));
  expect(await channel.closed).toEqual({ clean: true });
  await expect.poll(() => device.target.dtls.associations).toBe(0);
});

test("a device without StartDTLS says so, and one with it answers a request with data with its length", async () => {
  await using device = await rig(`${net}.3`, { startDtls: false });
  await expect(open(device.host, device.target.ports.eipUdp, true)).rejects.toMatchObject({
    code: "encap/status",
    facts: { status: EncapsulationStatus.unsupportedCommand },
  });
  await using other = await rig(`${net}.4`);
  const statuses: number[] = [];
  await using socket = await openUdp({
    address: `${net}.99`,
    port: 0,
    receive: (bytes) => statuses.push(decode(Encapsulation, bytes).status),
  });
  const remote = { address: other.host, port: other.target.ports.eipUdp ?? 0 };
  socket.send(frame(Command.startDtls, { session: 0, data: hex("00") }), remote);
  await expect.poll(() => statuses).toEqual([EncapsulationStatus.invalidLength]);
  socket.send(frame(Command.startDtls, { session: 0 }), remote);
  await expect.poll(() => statuses).toEqual([EncapsulationStatus.invalidLength, 0]);
});

test("StartDTLS from where devices answer is not answered: two of them would not come to an end", async () => {
  await using device = await rig(`${net}.6`);
  const port = device.target.ports.eipUdp ?? 0;
  for (const from of [44_818, port]) {
    const came: number[] = [];
    await using other = await openUdp({
      address: `${net}.98`,
      port: from,
      receive: (bytes) => came.push(decode(Encapsulation, bytes).command),
    });
    const remote = { address: device.host, port };
    other.send(frame(Command.startDtls, { session: 0 }), remote);
    other.send(frame(Command.listServices), remote);
    await expect.poll(() => came).toEqual([Command.listServices]);
  }
});

test("nobody there: the time is over and the error says what was asked", async () => {
  await using silent = await openUdp({ address: `${net}.5`, port: 0, receive: () => undefined });
  const { port } = silent.local;
  await expect(
    dial({ protocol: "dtls", host: `${net}.5`, port, tls: anyDevice, startDtls: true, timeoutMs: 700 }),
  ).rejects.toMatchObject({ code: "transport/timeout", facts: { phase: "start-dtls" } });
});

test("same-port mode: DTLS on the I/O port carries items, beside plain data", async () => {
  await using device = await rig(`${net}.6`, { samePort: true });
  await using channel = await open(device.host, device.target.ports.io);
  const { promise, resolve } = Promise.withResolvers<Uint8Array>();
  channel.receive((bytes) => resolve(bytes.slice()));
  const message = encode(MessageRouterRequest, vendorId);
  const data = encode(UnconnectedMessage, { type: 1, transactionId: 7, status: 0, message });
  channel.send(encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]));
  const answer = decode(UnconnectedMessage, decode(Cpf, await promise)[0]?.data ?? noOctets);
  expect(answer).toMatchObject({ type: 0x8001, transactionId: 7, status: 0 });
  const { malformed } = device.target.io.dropped;
  await using plain = await openUdp({ address: `${net}.98`, port: 0, receive: () => undefined });
  plain.send(hex("0200"), { address: device.host, port: device.target.ports.io ?? 0 });
  await expect.poll(() => device.target.io.dropped.malformed).toBe(malformed + 1);
});

test("without same-port mode DTLS on the I/O port is nothing", async () => {
  await using device = await rig(`${net}.7`);
  const before = device.target.io.dropped.malformed;
  await expect(
    dial({ protocol: "dtls", host: device.host, port: device.target.ports.io ?? 0, tls: anyDevice, timeoutMs: 600 }),
  ).rejects.toMatchObject({ code: "transport/timeout" });
  expect(device.target.io.dropped.malformed).toBeGreaterThan(before);
});

test("policy decides on the shared ports: plain refused while DTLS is open, DTLS refused while it is closed", async () => {
  const address = `${net}.8`;
  const plain: number[] = [];
  const accepted: Channel[] = [];
  const take = (channel: Channel): void => {
    channel.receive(() => undefined);
    accepted.push(channel);
  };
  const closed: OpenPorts = { eip: false, eipUdp: false, io: false, eips: false, eipd: false };
  await using device = await rig(`${net}.9`);
  const policy = device.target.ports;
  expect(policy.eipd).toBeGreaterThan(0);
  const key = new Uint8Array(16).fill(3);
  const psks = [{ identity: new TextEncoder().encode("tool"), key, usage: 2 }];
  const withKey: TlsPolicy = { ...anyDevice, suites: [0xc037], psks };
  await using ports = new Ports({
    address,
    ports: { eip: null, eipUdp: 0, io: 0, eips: null, eipd: 0 },
    broadcastAddresses: [],
    samePort: true,
    clock: systemClock,
    tls: () => ({ ...withKey, verifyPeer: false }),
    accept: take,
    acceptDatagrams: take,
    acceptFrames: take,
    dtlsTimeoutS: () => 0,
    discovery: () => discoveryFacts({ address }),
    receiveIo: (bytes) => plain.push(bytes.length),
    ioClosed: () => undefined,
    onRefused: () => undefined,
  });
  const replies: number[] = [];
  await using socket = await openUdp({
    address: `${net}.97`,
    port: 0,
    receive: (bytes) => replies.push(bytes[0] ?? 0),
  });
  const say = (name: "io" | "eipUdp", octets: Uint8Array): void =>
    socket.send(octets, { address, port: ports.number(name) ?? 0 });
  const attempt = (name: "io" | "eipUdp"): Promise<Channel> =>
    dial({ protocol: "dtls", host: address, port: ports.number(name) ?? 0, tls: withKey, timeoutMs: 5000 });
  const listIdentity = frame(Command.listIdentity, { session: 0 });

  await ports.apply({ ...closed, eipd: true });
  for (const name of ["io", "eipUdp"] as const) {
    await using channel = await attempt(name);
    expect(channel.facts.security?.suite).toBe(0xc037);
  }
  expect(accepted.map(({ facts }) => facts.local.port)).toEqual([ports.number("io"), ports.number("eipUdp")]);
  say("io", hex("0200"));
  say("eipUdp", listIdentity);
  say("eipUdp", frame(Command.startDtls, { session: 0 }));
  await expect.poll(() => replies).toEqual([Command.startDtls]);
  expect(plain).toEqual([]);

  await using before = await attempt("io");
  before.receive(() => undefined);
  await ports.apply({ ...closed, io: true, eipUdp: true });
  await before.closed;
  say("io", hex("0200"));
  say("eipUdp", listIdentity);
  await expect.poll(() => plain).toEqual([2]);
  await expect.poll(() => replies).toEqual([Command.startDtls, Command.listIdentity]);
  await expect(attempt("io")).rejects.toMatchObject({ code: expect.stringMatching(/^tls\//u) });
  await expect(attempt("eipUdp")).rejects.toMatchObject({ code: expect.stringMatching(/^tls\//u) });

  await ports.apply(closed);
  expect(ports.number("io")).toBeUndefined();
});
