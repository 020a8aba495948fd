import {
  ConnectionFailure,
  ConnectionTriad,
  ForwardClose,
  ForwardCloseReply,
  ForwardOpen,
  ForwardOpenReply,
  UnconnectedSend,
  decode,
  encode,
  objectPath,
  MessageRouterRequest,
  Status,
  type ForwardOpen as Open,
  type Reply,
  type Segment,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { watchdogMs } from "../src/connections.ts";
import { forwardOpen, openConnection, sendOpen } from "./support/connection.ts";
import {
  connectionLimits,
  device,
  identity,
  request,
  requestContext,
  rrReply,
  sendRRData,
  unitReply,
  type Peer,
} from "./support/device.ts";
import { concat, hex, plainFacts, settle, tlsFacts } from "./support/fakes.ts";

const parameters = forwardOpen().oToT;
const readTemperature = request(0x0e, [0x64, 1, 1]);
const ignite = request(0x4b, [0x64, 1], Uint8Array.of(5));

const key = (more: Partial<Extract<Segment, { kind: "key" }>["key"]> = {}): Segment => ({
  kind: "key",
  key: {
    vendorId: identity.vendorId,
    deviceType: identity.deviceType,
    productCode: identity.productCode,
    compatibility: false,
    majorRevision: identity.revision.major,
    minorRevision: identity.revision.minor,
    ...more,
  },
});

const hop = (port: number, link: string): Segment => ({ kind: "port", port, link: hex(link) });

async function client(
  options: Parameters<typeof device>[0] = {},
): Promise<ReturnType<typeof device> & { peer1: Peer }> {
  const all = device(options);
  const peer1 = all.peer();
  await peer1.register();
  return { ...all, peer1 };
}

describe("Forward_Open, each check and its extended status, ethernet-ip.md 6.9", () => {
  const p = (more: Partial<typeof parameters>): typeof parameters => ({ ...parameters, ...more });
  const refusals: readonly { name: string; open: Partial<Open>; extended: readonly number[] }[] = [
    { name: "class 0", open: { transport: 0x00 }, extended: [0x0103] },
    { name: "class 1, as I/O uses", open: { transport: 0x01 }, extended: [0x0103] },
    { name: "class 2", open: { transport: 0xa2 }, extended: [0x011c] },
    { name: "class 4", open: { transport: 0xa4 }, extended: [0x011c] },
    { name: "trigger 3, reserved", open: { transport: 0xb3 }, extended: [0x011d] },
    { name: "direction client", open: { transport: 0x23 }, extended: [0x011e] },
    { name: "timeout multiplier 8", open: { timeoutMultiplier: 8 }, extended: [0x0133] },
    { name: "key: vendor", open: { path: [key({ vendorId: 1 }), ...objectPath(2, 1)] }, extended: [0x0114] },
    { name: "key: product code", open: { path: [key({ productCode: 1 }), ...objectPath(2, 1)] }, extended: [0x0114] },
    { name: "key: device type", open: { path: [key({ deviceType: 1 }), ...objectPath(2, 1)] }, extended: [0x0115] },
    { name: "key: revision", open: { path: [key({ majorRevision: 1 }), ...objectPath(2, 1)] }, extended: [0x0116] },
    { name: "key: serial number", open: { path: [key({ serialNumber: 1 }), ...objectPath(2, 1)] }, extended: [0x0114] },
    { name: "key not in front", open: { path: [...objectPath(2, 1), key()] }, extended: [0x0315] },
    { name: "hop to the device, no application", open: { path: [hop(1, "00")] }, extended: [0x0117] },
    { name: "hop to another slot", open: { path: [hop(1, "03"), ...objectPath(2, 1)] }, extended: [0x0312] },
    { name: "hop over another port", open: { path: [hop(2, "00"), ...objectPath(2, 1)] }, extended: [0x0311] },
    { name: "two hops", open: { path: [hop(1, "00"), hop(1, "00"), ...objectPath(2, 1)] }, extended: [0x0315] },
    { name: "hop behind the key", open: { path: [key(), hop(1, "00"), ...objectPath(2, 1)] }, extended: [0x0315] },
    {
      name: "key behind the hop: vendor",
      open: { path: [hop(1, "00"), key({ vendorId: 1 }), ...objectPath(2, 1)] },
      extended: [0x0114],
    },
    {
      name: "data segment",
      open: { path: [...objectPath(2, 1), { kind: "data", words: hex("0000") }] },
      extended: [0x0315],
    },
    { name: "no path", open: { path: [] }, extended: [0x0117] },
    { name: "class only", open: { path: objectPath(2) }, extended: [0x0117] },
    { name: "another class", open: { path: objectPath(4, 1) }, extended: [0x0117] },
    { name: "another instance", open: { path: objectPath(2, 2) }, extended: [0x0117] },
    {
      name: "connection points",
      open: { path: [...objectPath(2, 1), { kind: "connectionPoint", value: 1 }] },
      extended: [0x0117],
    },
    {
      name: "the Message Router twice",
      open: { path: [...objectPath(2, 1), ...objectPath(2, 1)] },
      extended: [0x0117],
    },
    { name: "O→T reserved bit", open: { oToT: { ...p({}), reservedBits: 0x1000 } }, extended: [0x0108] },
    { name: "T→O reserved bit", open: { tToO: { ...p({}), reservedBits: 0x1000 } }, extended: [0x0108] },
    { name: "O→T null", open: { oToT: p({ type: 0 }) }, extended: [0x0123] },
    { name: "O→T multicast", open: { oToT: p({ type: 1 }) }, extended: [0x0123] },
    { name: "O→T type 3, reserved", open: { oToT: p({ type: 3 }) }, extended: [0x0123] },
    { name: "T→O null", open: { tToO: p({ type: 0 }) }, extended: [0x0124] },
    { name: "T→O multicast", open: { tToO: p({ type: 1 }) }, extended: [0x0124] },
    { name: "O→T redundant owner", open: { oToT: p({ redundantOwner: true }) }, extended: [0x0125] },
    { name: "O→T RPI 0", open: { oToTRpiMicros: 0 }, extended: [0x0111] },
    { name: "T→O RPI 0", open: { tToORpiMicros: 0 }, extended: [0x0111] },
    { name: "O→T too small", open: { oToT: p({ size: 5 }) }, extended: [0x0127, connectionLimits.size] },
    { name: "T→O too small", open: { tToO: p({ size: 5 }) }, extended: [0x0128, connectionLimits.size] },
    { name: "both null: ping", open: { oToT: p({ type: 0 }), tToO: p({ type: 0 }) }, extended: [0x0132] },
    {
      name: "both null, and the key is still checked",
      open: { oToT: p({ type: 0 }), tToO: p({ type: 0 }), path: [key({ vendorId: 1 })] },
      extended: [0x0114],
    },
  ];
  test.each(refusals)("$name", async ({ open, extended }) => {
    const { peer1, connections } = await client();
    const reply = await sendOpen(peer1, forwardOpen(open));
    expect(reply).toMatchObject({ service: 0x54, status: Status.connectionFailure, extended });
    expect(decode(ConnectionFailure, reply.data)).toEqual({
      connectionSerial: 7,
      originatorVendor: 0x1234,
      originatorSerial: 0x5678_9abc,
      remainingPath: new Uint8Array(2),
    });
    expect(connections.table.size).toBe(0);
    expect(connections.counters).toMatchObject({ openRequests: 1, openOtherRejects: 1, openFormatRejects: 0 });
  });

  test.each([
    { name: "O→T", sizes: { oToT: p({ size: 601 }) }, extended: [0x0127, 600] },
    { name: "T→O", sizes: { tToO: p({ size: 601 }) }, extended: [0x0128, 600] },
  ])("Large_Forward_Open, $name too large", async ({ sizes, extended }) => {
    const { peer1 } = await client();
    expect(await sendOpen(peer1, forwardOpen(sizes), true)).toMatchObject({ service: 0x5b, status: 1, extended });
  });

  test("a hop to the device itself is followed, as clients of controllers send it", async () => {
    const { peer1, connections } = await client();
    const path = [hop(1, "00"), ...objectPath(2, 1)];
    expect(await sendOpen(peer1, forwardOpen({ path }))).toMatchObject({ service: 0x54, status: Status.success });
    expect(connections.table.size).toBe(1);
  });

  test("no session: a message over DTLS", async () => {
    const { router } = device();
    const asked = request(0x54, [6, 1], encode(ForwardOpen, forwardOpen()));
    expect(await router.handle(asked, requestContext({ session: 0 }))).toMatchObject({ status: 1, extended: [0x0103] });
  });

  test("duplicate: the triad is in use, whoever asks", async () => {
    const { peer1, peer, connections } = await client();
    await openConnection(peer1);
    const other = peer();
    await other.register();
    expect(await sendOpen(other, forwardOpen())).toMatchObject({ status: 1, extended: [0x0100] });
    expect(connections.table.size).toBe(1);
  });

  test.each([
    { name: "no data", data: new Uint8Array(0), status: Status.notEnoughData },
    {
      name: "cut in the fixed part",
      data: encode(ForwardOpen, forwardOpen()).slice(0, 20),
      status: Status.notEnoughData,
    },
    { name: "cut in the path", data: encode(ForwardOpen, forwardOpen()).slice(0, -1), status: Status.notEnoughData },
    {
      name: "octets behind the path",
      data: Uint8Array.of(...encode(ForwardOpen, forwardOpen()), 0),
      status: Status.tooMuchData,
    },
    {
      name: "a reserved octet behind the path size, as in Forward_Close",
      data: Uint8Array.of(...encode(ForwardOpen, forwardOpen({ path: [] })).slice(0, 35), 2, 0, ...hex("20022401")),
      status: Status.tooMuchData,
    },
  ])("layout: $name", async ({ data, status }) => {
    const { peer1, connections } = await client();
    expect(await peer1.request(request(0x54, [6, 1], data))).toMatchObject({ status, extended: [] });
    expect(connections.counters).toMatchObject({ openRequests: 1, openFormatRejects: 1, openOtherRejects: 0 });
  });

  test.each([
    { name: "a reserved segment", path: "e0022401" },
    { name: "an unknown key format", path: "3407f0ff2b0007000205" },
    { name: "a segment that claims more than the path", path: "2002 2501" },
  ])("a path that cannot be read: $name", async ({ path }) => {
    const { peer1 } = await client();
    const octets = hex(path);
    const head = encode(ForwardOpen, forwardOpen({ path: [] })).slice(0, 35);
    const reply = await peer1.request(request(0x54, [6, 1], Uint8Array.of(...head, octets.length / 2, ...octets)));
    expect(reply).toMatchObject({ status: 1, extended: [0x0315] });
    expect(decode(ConnectionTriad, reply.data.subarray(0, 8)).connectionSerial).toBe(7);
  });

  test("the limit for all, and that for one originator, each 0x0113; a close makes room", async () => {
    const { peer1, peer, connections } = await client();
    for (let serial = 1; serial <= connectionLimits.perOriginator; serial += 1)
      await openConnection(peer1, { connectionSerial: serial });
    expect(await sendOpen(peer1, forwardOpen({ connectionSerial: 90 }))).toMatchObject({ extended: [0x0113] });
    const other = peer({ ...plainFacts, remote: { address: "127.25.0.9", port: 1 } });
    await other.register();
    expect((await sendOpen(other, forwardOpen({ connectionSerial: 91 }))).status).toBe(0);
    expect(await sendOpen(other, forwardOpen({ connectionSerial: 92 }))).toMatchObject({ extended: [0x0113] });
    expect(connections.counters.openResourceRejects).toBe(2);
    await sendClose(peer1, { connectionSerial: 1 });
    expect((await sendOpen(other, forwardOpen({ connectionSerial: 92 }))).status).toBe(0);
  });
});

describe("Forward_Open, granted", () => {
  test.each([
    { name: "small", large: false, open: {} },
    { name: "large", large: true, open: { size: 600 } },
    { name: "with the device's key", large: false, open: { path: [key(), ...objectPath(2, 1)] } },
    {
      name: "with the device's serial number",
      large: false,
      open: { path: [key({ serialNumber: identity.serialNumber }), ...objectPath(2, 1)] },
    },
    {
      name: "with a key of zeros",
      large: false,
      open: { path: [key({ vendorId: 0, deviceType: 0, productCode: 0, majorRevision: 0 }), ...objectPath(2, 1)] },
    },
    { name: "trigger cyclic", large: false, open: { transport: 0x83 } },
    { name: "smallest size", large: false, open: { size: 6 } },
  ])("$name: our id for O→T, the originator's for T→O, its triad and intervals", async ({ large, open }) => {
    const { peer1 } = await client();
    const reply = await sendOpen(peer1, forwardOpen(open), large);
    expect(reply).toMatchObject({ service: large ? 0x5b : 0x54, status: 0, extended: [] });
    expect(decode(ForwardOpenReply, reply.data)).toMatchObject({
      tToOConnectionId: 0x4001_0002,
      connectionSerial: 7,
      originatorVendor: 0x1234,
      originatorSerial: 0x5678_9abc,
      oToTApiMicros: 2_000_000,
      tToOApiMicros: 2_000_000,
    });
  });

  test("ids do not repeat while the lower half counts round, and differ between starts", async () => {
    const { peer1 } = await client();
    const seen = new Set<number>();
    for (let serial = 0; serial < 300; serial += 1) {
      seen.add(await openConnection(peer1, { connectionSerial: serial }));
      await sendClose(peer1, { connectionSerial: serial });
    }
    expect(seen.size).toBe(300);
    const again = await client();
    expect(seen.has(await openConnection(again.peer1))).toBe(false);
  });
});

describe("messages over a connection", () => {
  test("are executed, and counted by their sequence", async () => {
    const { peer1, boiler } = await client();
    const id = await openConnection(peer1);
    expect(unitReply(await peer1.connected(id, 1, ignite))).toMatchObject({ sequence: 1, reply: { status: 0 } });
    await peer1.connected(id, 2, ignite);
    expect(boiler.done).toHaveLength(2);
  });

  test("a repeated sequence gets the same reply without being executed", async () => {
    const { peer1, boiler } = await client();
    const id = await openConnection(peer1);
    const first = await peer1.connected(id, 7, ignite);
    const again = await peer1.connected(id, 7, readTemperature);
    expect(again).toEqual(first);
    expect(boiler.done).toEqual(["ignite 5"]);
  });

  test("sequence 0 as the first is executed", async () => {
    const { peer1, boiler } = await client();
    await peer1.connected(await openConnection(peer1), 0, ignite);
    expect(boiler.done).toEqual(["ignite 5"]);
  });

  test("a reply larger than the T→O size is refused with 0x11", async () => {
    const { peer1 } = await client();
    const id = await openConnection(peer1, { size: 100 });
    const reply = await peer1.connected(id, 1, request(0x0e, [0x64, 1, 6]));
    expect(unitReply(reply).reply.status).toBe(Status.replyDataTooLarge);
  });

  test("an error of a request is told in the reply, the connection stays", async () => {
    const { peer1 } = await client();
    const id = await openConnection(peer1);
    expect(unitReply(await peer1.connected(id, 1, request(0x0e, [0x63, 1, 1]))).reply.status).toBe(0x05);
    expect(unitReply(await peer1.connected(id, 2, readTemperature)).reply.status).toBe(0);
  });

  test("another session cannot use it", async () => {
    const { peer1, peer, boiler } = await client();
    const id = await openConnection(peer1);
    const thief = peer();
    await thief.register();
    expect(await thief.connected(id, 1, ignite)).toBeUndefined();
    expect(boiler.done).toEqual([]);
  });
});

describe("watchdog, ethernet-ip.md 6.14", () => {
  const quick = { oToTRpiMicros: 100_000, timeoutMultiplier: 0 };

  test("the first message may take 10 s, later ones interval times multiplier", async () => {
    const { peer1, clock, connections } = await client();
    const id = await openConnection(peer1, quick);
    clock.advance(9999);
    await peer1.connected(id, 1, readTemperature);
    clock.advance(399);
    expect(connections.table.size).toBe(1);
    await peer1.connected(id, 2, readTemperature);
    clock.advance(399);
    expect(connections.table.size).toBe(1);
    clock.advance(1);
    expect(connections.table.size).toBe(0);
    expect(connections.counters.timeouts).toBe(1);
    expect(await peer1.connected(id, 3, readTemperature)).toBeUndefined();
    expect(await sendClose(peer1)).toMatchObject({ status: 1, extended: [0x0107] });
  });

  test("no first message in 10 s ends it", async () => {
    const { peer1, clock, connections } = await client();
    await openConnection(peer1, quick);
    clock.advance(10_000);
    expect(connections.table.size).toBe(0);
  });

  test("the first wait is longer where the interval asks for it", async () => {
    const { peer1, clock, connections } = await client();
    await openConnection(peer1, { oToTRpiMicros: 5_000_000, timeoutMultiplier: 0 });
    clock.advance(19_999);
    expect(connections.table.size).toBe(1);
    clock.advance(1);
    expect(connections.table.size).toBe(0);
  });

  test.each([
    { micros: 1000, multiplier: 0, ms: 4 },
    { micros: 2_000_000, multiplier: 3, ms: 64_000 },
    { micros: 1_000_000, multiplier: 7, ms: 512_000 },
    { micros: 0xffff_ffff, multiplier: 7, ms: 0x7fff_ffff },
  ])("$micros µs with multiplier $multiplier: $ms ms, never more than a timer takes", ({ micros, multiplier, ms }) => {
    expect(watchdogMs({ oToTRpiMicros: micros, timeoutMultiplier: multiplier })).toBe(ms);
  });
});

describe("Forward_Close, ethernet-ip.md 6.6", () => {
  test("closes, and says the triad", async () => {
    const { peer1, connections, clock } = await client();
    await openConnection(peer1);
    const reply = await sendClose(peer1);
    expect(reply).toMatchObject({ service: 0x4e, status: 0 });
    expect(decode(ForwardCloseReply, reply.data)).toMatchObject({ connectionSerial: 7, originatorVendor: 0x1234 });
    expect([connections.table.size, clock.waiting]).toEqual([0, 0]);
    expect(await sendClose(peer1)).toMatchObject({ status: 1, extended: [0x0107] });
    expect(connections.counters).toMatchObject({ closeRequests: 2, closeOtherRejects: 1 });
  });

  test("from another session of the same originator: closes", async () => {
    const { peer1, peer } = await client();
    await openConnection(peer1);
    const second = peer({ ...plainFacts, remote: { ...plainFacts.remote, port: 50_001 } });
    await second.register();
    expect((await sendClose(second)).status).toBe(0);
  });

  test.each([
    {
      name: "another address",
      owner: plainFacts,
      other: { ...plainFacts, remote: { address: "127.25.0.9", port: 9 } },
    },
    { name: "another certificate at the same address", owner: tlsFacts("aa"), other: tlsFacts("bb") },
    { name: "the same address, unproven", owner: tlsFacts("aa"), other: plainFacts },
  ])("by $name: 0x0F, and the connection stays", async ({ owner, other }) => {
    const { peer, connections } = device();
    const [mine, theirs] = [peer(owner), peer(other)];
    await mine.register();
    await theirs.register();
    await openConnection(mine);
    expect(await sendClose(theirs)).toMatchObject({ status: Status.privilegeViolation, extended: [] });
    expect(connections.table.size).toBe(1);
    expect((await sendClose(mine)).status).toBe(0);
  });

  test("a path that differs is ignored", async () => {
    const { peer1 } = await client();
    await openConnection(peer1);
    expect((await sendClose(peer1, { path: objectPath(4, 1) })).status).toBe(0);
  });

  test("by the proven identity, the same key of a pre-shared one", async () => {
    const { peer, connections } = device();
    const psk = tlsFacts("");
    const peerIdentity = { kind: "psk" as const, identity: "tool" };
    const facts = psk.security === undefined ? psk : { ...psk, security: { ...psk.security, peer: peerIdentity } };
    const [first, second] = [peer(facts), peer({ ...facts, remote: { address: "127.25.0.9", port: 9 } })];
    await first.register();
    await second.register();
    await openConnection(first);
    expect((await sendClose(second)).status).toBe(0);
    expect(connections.table.size).toBe(0);
  });

  test.each([
    { name: "cut short", data: "0a0e 0700 3412", status: Status.notEnoughData },
    { name: "octets behind the path", data: "0a0e 0700 3412 bc9a7856 00 00 ff", status: Status.tooMuchData },
  ])("layout: $name", async ({ data, status }) => {
    const { peer1, connections } = await client();
    expect((await peer1.request(request(0x4e, [6, 1], hex(data)))).status).toBe(status);
    expect(connections.counters).toMatchObject({ closeRequests: 1, closeFormatRejects: 1 });
  });
});

describe("Unconnected_Send, ethernet-ip.md 6.17", () => {
  const slot: Segment = { kind: "port", port: 1, link: hex("00") };
  const send = (peer: Peer, route: readonly Segment[], message: Uint8Array): Promise<Reply> =>
    peer.request(
      request(0x52, [6, 1], encode(UnconnectedSend, { priorityTick: 10, timeoutTicks: 14, message, route })),
    );
  const read = encode(MessageRouterRequest, readTemperature);

  test("to the device itself: the reply is that of the embedded service", async () => {
    const { peer1 } = await client();
    expect(await send(peer1, [slot], read)).toMatchObject({ service: 0x0e, status: 0, data: hex("1400") });
  });

  test("an odd message is padded", async () => {
    const { peer1, boiler } = await client();
    expect((await send(peer1, [slot], encode(MessageRouterRequest, ignite))).status).toBe(0);
    expect(boiler.done).toEqual(["ignite 5"]);
  });

  test("a Multiple_Service_Packet in it is answered", async () => {
    const { peer1 } = await client();
    const packet = Uint8Array.of(...hex("0a 02 2002 2401 0100 0400"), ...read);
    expect((await send(peer1, [slot], packet)).status).toBe(0);
  });

  const port2: Segment = { kind: "port", port: 2, link: new TextEncoder().encode("10.0.0.1"), extendedLink: true };
  test.each([
    { name: "empty route", route: [], extended: 0x0315, remaining: 0 },
    { name: "no port segment", route: objectPath(2, 1), extended: 0x0315, remaining: 2 },
    { name: "another port", route: [port2], extended: 0x0311, remaining: 5 },
    {
      name: "another slot",
      route: [{ kind: "port", port: 1, link: hex("03") } as const],
      extended: 0x0312,
      remaining: 1,
    },
    {
      name: "a long link address",
      route: [{ kind: "port", port: 1, link: hex("0000") } as const],
      extended: 0x0312,
      remaining: 2,
    },
    { name: "further than the device", route: [slot, port2], extended: 0x0311, remaining: 5 },
    { name: "behind the hop no port", route: [slot, ...objectPath(2)], extended: 0x0315, remaining: 1 },
  ])("$name: $extended", async ({ route, extended, remaining }) => {
    const { peer1 } = await client();
    const reply = await send(peer1, route, read);
    expect(reply).toMatchObject({ service: 0x52, status: 1, extended: [extended], data: Uint8Array.of(remaining, 0) });
  });

  test("without a message: 0x0205", async () => {
    const { peer1 } = await client();
    expect(await send(peer1, [slot], new Uint8Array(0))).toMatchObject({
      service: 0x52,
      status: 1,
      extended: [0x0205],
    });
  });

  test("nested: refused by the inner one", async () => {
    const { peer1 } = await client();
    const inner = request(
      0x52,
      [6, 1],
      encode(UnconnectedSend, { priorityTick: 10, timeoutTicks: 14, message: read, route: [slot] }),
    );
    const reply = await send(peer1, [slot], encode(MessageRouterRequest, inner));
    expect(reply).toMatchObject({ service: 0x52, status: 1, extended: [0x0315] });
  });

  describe("its time, 2^tick × ticks ms", () => {
    const within = (tick: number, ticks: number): Uint8Array =>
      encode(UnconnectedSend, {
        priorityTick: tick,
        timeoutTicks: ticks,
        message: encode(MessageRouterRequest, request(0x60, [0x64, 1])),
        route: [slot],
      });

    test.each([
      { tick: 0, ticks: 1, ms: 1 },
      { tick: 7, ticks: 39, ms: 4992 },
      { tick: 0x1a, ticks: 14, ms: 14_336 },
    ])(
      "an answer that takes longer than $ms ms: 0x0204, and the next request is answered",
      async ({ tick, ticks, ms }) => {
        const { peer1, router, clock } = await client();
        const ran: string[] = [];
        let finish: () => void = () => undefined;
        router.hostSpecial(0x64, 0x60, async ({ service }, context) => {
          await new Promise<void>((resolve) => (finish = resolve));
          context.afterReply(() => ran.push("after"));
          return { service, status: 0, extended: [], data: hex("") };
        });
        const replies = peer1.send(
          concat(
            sendRRData(peer1.handle, encode(MessageRouterRequest, request(0x52, [6, 1], within(tick, ticks)))),
            sendRRData(peer1.handle, read),
          ),
        );
        expect(await replies).toEqual([]);
        clock.advance(ms - 0.5);
        await settle();
        expect(peer1.received()).toEqual([]);
        clock.advance(0.5);
        await settle();
        expect(peer1.received().map(rrReply)).toMatchObject([
          { service: 0x52, status: 1, extended: [0x0204], data: hex("00 00") },
          { service: 0x0e, status: 0 },
        ]);
        finish();
        await settle();
        expect(peer1.received()).toEqual([]);
        expect(ran).toEqual(["after"]);
      },
    );

    test("an answer in time is given, and no timer stays", async () => {
      const { peer1, router, clock } = await client();
      router.hostSpecial(0x64, 0x60, async ({ service }) => {
        await Promise.resolve();
        return { service, status: 0, extended: [], data: hex("07") };
      });
      const before = clock.waiting;
      const reply = await peer1.request(request(0x52, [6, 1], within(10, 14)));
      expect(reply).toMatchObject({ service: 0x60, status: 0, data: hex("07") });
      expect(clock.waiting).toBe(before);
    });

    test("an answer at once is given whatever the time", async () => {
      const { peer1 } = await client();
      const none = { priorityTick: 0, timeoutTicks: 0, message: read, route: [slot] };
      expect((await peer1.request(request(0x52, [6, 1], encode(UnconnectedSend, none)))).status).toBe(0);
    });
  });

  test("service 0x52 of another class is not mistaken for it", async () => {
    const { peer1 } = await client();
    const reply = await send(peer1, [slot], encode(MessageRouterRequest, request(0x52, [0x64, 1])));
    expect(reply).toMatchObject({ service: 0x52, status: Status.serviceNotSupported });
  });

  test.each([
    { name: "message size past the data", data: "0a0e ff00 0e03", status: Status.notEnoughData },
    { name: "route size past the data", data: "0a0e 0200 0e03 0900 0100", status: Status.notEnoughData },
    { name: "octets behind the route", data: "0a0e 0200 0e00 0100 0100 ff", status: Status.tooMuchData },
  ])("layout: $name", async ({ data, status }) => {
    const { peer1 } = await client();
    expect((await peer1.request(request(0x52, [6, 1], hex(data)))).status).toBe(status);
  });

  test("each message in it is asked about on its own", async () => {
    const asked: string[] = [];
    const { peer1, boiler } = await client({
      access: ({ classId, service }) => {
        asked.push(`${classId} ${service}`);
        return classId === 0x64 ? Status.privilegeViolation : undefined;
      },
    });
    const reply = await send(peer1, [slot], encode(MessageRouterRequest, ignite));
    expect(reply).toMatchObject({ service: 0x4b, status: Status.privilegeViolation });
    expect(asked).toEqual(["6 82", "100 75"]);
    expect(boiler.done).toEqual([]);
  });
});

test("the services of connections belong to instance 1", async () => {
  const { peer1 } = await client();
  const data = encode(ForwardOpen, forwardOpen());
  expect((await peer1.request(request(0x54, [6, 0], data))).status).toBe(Status.serviceNotSupported);
  expect((await peer1.request(request(0x54, [6, 2], data))).status).toBe(0x05);
});

test("counters start over after 65,535 and stay readable", async () => {
  const { peer1, connections } = await client();
  connections.counters.openRequests = 0x1_0002;
  const [reply] = await peer1.send(sendRRData(peer1.handle, hex("0e 03 2006 2401 3001")));
  expect(rrReply(reply)).toMatchObject({ status: 0, data: hex("0200") });
});

function sendClose(peer: Peer, more: Partial<Open> = {}): Promise<Reply> {
  const { priorityTick, timeoutTicks, connectionSerial, originatorVendor, originatorSerial, path } = forwardOpen(more);
  const close = { priorityTick, timeoutTicks, connectionSerial, originatorVendor, originatorSerial, path };
  return peer.request(request(0x4e, [6, 1], encode(ForwardClose, close)));
}
