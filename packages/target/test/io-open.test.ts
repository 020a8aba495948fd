import {
  ConnectionData,
  ConnectionFailure,
  ConnectionNumber,
  ConnectionOwnerReply,
  ConnectionOwnerRequest,
  ConnectionTriad,
  ItemType,
  Sockaddr,
  Status,
  decode,
  encode,
  objectPath,
  type CpfItem,
  type ForwardOpen,
  type NetworkParameters,
  type Segment,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { request, requestContext } from "./support/device.ts";
import { hex, plainFacts, tlsFacts, toHex } from "./support/fakes.ts";
import {
  configuration,
  heartbeatOpen,
  inputOnly,
  inputSize,
  inputs,
  ioDevice,
  listenOnly,
  multicast,
  originatorAt,
  outputSize,
  outputs,
  ownerOpen,
  points,
} from "./support/io.ts";

const o = (more: Partial<NetworkParameters>): NetworkParameters => ({ ...ownerOpen().oToT, ...more });
const t = (more: Partial<NetworkParameters>): NetworkParameters => ({ ...ownerOpen().tToO, ...more });
const inhibit = (ms: number): Segment => ({ kind: "network", type: 0x43, data: Uint8Array.of(ms) });
const data = (text: string): Segment => ({ kind: "data", words: hex(text) });
const all = points(configuration, outputs, inputs);
const owner = (entry: object) => ({
  connections: [{ type: "exclusive-owner", consume: outputs, produce: inputs, configuration, ...entry }],
});
const key: Segment = {
  kind: "key",
  key: { vendorId: 1, deviceType: 0, productCode: 0, compatibility: false, majorRevision: 0, minorRevision: 0 },
};

describe("Forward_Open of class 1, each check and its extended status, ethernet-ip.md 6.9", () => {
  const refusals: readonly {
    name: string;
    open: Partial<ForwardOpen>;
    extended: readonly number[];
    more?: Readonly<Record<string, unknown>>;
  }[] = [
    { name: "class 2", open: { transport: 0x02 }, extended: [0x011c] },
    { name: "trigger 3, reserved", open: { transport: 0x31 }, extended: [0x011d] },
    { name: "timeout multiplier 8", open: { timeoutMultiplier: 8 }, extended: [0x0133] },
    { name: "key", open: { path: [key, ...all] }, extended: [0x0114] },
    { name: "no path", open: { path: [] }, extended: [0x0117] },
    { name: "another class", open: { path: objectPath(5, 1) }, extended: [0x0117] },
    { name: "no point", open: { path: points() }, extended: [0x0117] },
    { name: "point without a class", open: { path: points(outputs).slice(1) }, extended: [0x0117] },
    { name: "four points", open: { path: points(1, 2, 3, 4) }, extended: [0x012f] },
    { name: "one point that is not for both", open: { path: points(outputs) }, extended: [0x012b] },
    { name: "unknown points", open: { path: points(7, 8) }, extended: [0x0117] },
    { name: "unknown consuming point", open: { path: points(7, inputs) }, extended: [0x012a] },
    { name: "unknown producing point", open: { path: points(outputs, 7) }, extended: [0x012b] },
    { name: "unknown configuration", open: { path: points(103, outputs, inputs) }, extended: [0x0129] },
    {
      name: "data without a configuration",
      open: { path: [...points(outputs, inputs), data("0000")] },
      extended: [0x0129],
    },
    {
      name: "points behind data",
      open: { path: [...points(configuration), data("0000"), ...all] },
      extended: [0x0315],
    },
    { name: "symbol", open: { path: [...all, { kind: "symbol", name: "x", form: "ansi" }] }, extended: [0x0315] },
    {
      name: "attribute other than data",
      open: { path: [...all, { kind: "attribute", value: 4 }] },
      extended: [0x0117],
    },
    {
      name: "safety segment",
      open: { path: [{ kind: "network", type: 0x50, data: hex("00000000") }, ...all] },
      extended: [0x0315],
    },
    {
      name: "inhibit time twice",
      open: { path: [inhibit(1), inhibit(1), ...all], transport: 0x11 },
      extended: [0x0315],
    },
    { name: "inhibit time, cyclic", open: { path: [inhibit(1), ...all] }, extended: [0x0315] },
    {
      name: "inhibit time above the interval",
      open: { path: [inhibit(11), ...all], transport: 0x11 },
      extended: [0x011b],
    },
    { name: "reserved bit", open: { oToT: o({ reservedBits: 0x1000 }) }, extended: [0x0108] },
    {
      name: "O→T priority that the point does not take",
      open: { oToT: o({ priority: 1 }) },
      extended: [0x0121],
      more: owner({ priorities: ["scheduled"] }),
    },
    {
      name: "T→O priority that the point does not take",
      open: { tToO: t({ priority: 3 }) },
      extended: [0x0122],
      more: owner({ priorities: ["scheduled", "high"] }),
    },
    {
      name: "a configuration that nobody has set",
      open: {},
      extended: [0x0110],
      more: owner({ needsConfiguration: true }),
    },
    { name: "O→T null", open: { oToT: o({ type: 0 }) }, extended: [0x0123] },
    { name: "O→T multicast", open: { oToT: o({ type: 1 }) }, extended: [0x0123] },
    { name: "O→T type 3", open: { oToT: o({ type: 3 }) }, extended: [0x0123] },
    { name: "T→O null", open: { tToO: t({ type: 0 }) }, extended: [0x0124] },
    { name: "T→O type 3", open: { tToO: t({ type: 3 }) }, extended: [0x0124] },
    { name: "redundant owner", open: { oToT: o({ redundantOwner: true }) }, extended: [0x0125] },
    { name: "O→T interval 0", open: { oToTRpiMicros: 0 }, extended: [0x0111] },
    { name: "T→O interval 0", open: { tToORpiMicros: 0 }, extended: [0x0111] },
    { name: "O→T interval too short", open: { oToTRpiMicros: 999 }, extended: [0x0112, 0x0002, 1000, 0, 10_000, 0] },
    {
      name: "T→O interval too long",
      open: { tToORpiMicros: 3_200_001 },
      extended: [0x0112, 0x0300, 10_000, 0, 3_200_000 & 0xffff, 3_200_000 >> 16],
    },
    { name: "O→T too small", open: { oToT: o({ size: outputSize - 1 }) }, extended: [0x0127, outputSize] },
    { name: "O→T too large", open: { oToT: o({ size: outputSize + 1 }) }, extended: [0x0127, outputSize] },
    { name: "O→T without its header, class 0", open: { transport: 0x00 }, extended: [0x0127, outputSize - 2] },
    { name: "T→O too large", open: { tToO: t({ size: inputSize + 4 }) }, extended: [0x0128, inputSize] },
    { name: "configuration data too short", open: { path: [...all, data("0102")] }, extended: [0x0126, 3] },
    { name: "configuration data too long", open: { path: [...all, data("010203040506")] }, extended: [0x0126, 3] },
    { name: "listen only, nobody there", open: heartbeatOpen(listenOnly), extended: [0x0119] },
    {
      name: "multicast where there is none",
      open: { tToO: t({ type: 1 }) },
      extended: [0x0124],
      more: {
        connections: [{ type: "exclusive-owner", consume: outputs, produce: inputs, configuration, multicast: false }],
      },
    },
    {
      name: "zero-length consumed needs a variable size",
      open: { oToT: o({ size: 6 }) },
      extended: [0x011f],
      more: {
        connections: [
          { type: "exclusive-owner", consume: outputs, produce: inputs, configuration, oToTFormat: "zero-length" },
        ],
      },
    },
    {
      name: "zero-length produced needs a variable size",
      open: {},
      extended: [0x0120],
      more: {
        connections: [
          { type: "exclusive-owner", consume: outputs, produce: inputs, configuration, tToOFormat: "zero-length" },
        ],
      },
    },
  ];
  test.each(refusals)("$name", async ({ open, extended, more }) => {
    const device = ioDevice(more);
    const asked = ownerOpen(open);
    const reply = await device.open(asked);
    expect(reply).toMatchObject({ service: 0x54, status: Status.connectionFailure, extended });
    expect(decode(ConnectionFailure, reply.data)).toMatchObject({ connectionSerial: asked.connectionSerial });
    expect(device.engine.connections).toEqual([]);
    expect(device.clock.waiting).toBe(0);
    device.clock.advance(100);
    expect(device.sent).toEqual([]);
  });

  test("a class 1 Forward_Open over TLS is refused, and so is one while the port is closed", async () => {
    const device = ioDevice();
    const over = await device.open(ownerOpen(), { channel: tlsFacts("aa") });
    expect(over).toMatchObject({ status: 1, extended: [0x0103] });
    device.closePort();
    expect(await device.open(ownerOpen())).toMatchObject({ status: 1, extended: [0x0103] });
  });

  test("duplicate: the triad is in use", async () => {
    const device = ioDevice();
    const asked = ownerOpen();
    await device.open(asked);
    expect(await device.open(asked)).toMatchObject({ status: 1, extended: [0x0100] });
  });

  test("a second owner", async () => {
    const device = ioDevice();
    await device.open(ownerOpen());
    expect(await device.open(ownerOpen())).toMatchObject({ status: 1, extended: [0x0106] });
  });

  test("other configuration data than what an open connection runs by; the same is taken", async () => {
    const device = ioDevice();
    await device.open(ownerOpen({ path: [...all, data("01020300")] }));
    expect(toHex(device.assemblies.get(configuration))).toBe("010203");
    const reader = points(configuration, inputOnly, inputs);
    const other = await device.open(heartbeatOpen(inputOnly, { path: [...reader, data("01020400")] }));
    expect(other).toMatchObject({ status: 1, extended: [0x0106] });
    const same = await device.open(heartbeatOpen(inputOnly, { path: [...reader, data("01020300")] }));
    expect(same.status).toBe(0);
  });

  test("a full point, a full device, a full share of one originator", async () => {
    const connections = [
      { type: "input-only", produce: inputs, maxConnections: 2 },
      { type: "input-only", consume: 200, produce: inputs },
    ];
    const device = ioDevice({ connections }, { connections: 5, perOriginator: 3 });
    const path = (point: number) => ({ path: points(point, inputs) });
    const open = (point: number, from = "127.25.0.2") =>
      device.open(heartbeatOpen(point, path(point)), { channel: originatorAt(from).channel });
    expect([(await open(inputOnly)).status, (await open(inputOnly)).status]).toEqual([0, 0]);
    expect(await open(inputOnly)).toMatchObject({ status: 1, extended: [0x011a] });
    expect((await open(200)).status).toBe(0);
    expect(await open(200)).toMatchObject({ status: 1, extended: [0x0113] });
    expect([(await open(200, "127.25.0.3")).status, (await open(200, "127.25.0.3")).status]).toEqual([0, 0]);
    expect(await open(200, "127.25.0.3")).toMatchObject({ status: 1, extended: [0x0113] });
    expect(device.connections.counters).toMatchObject({ openRequests: 8, openResourceRejects: 3, openOtherRejects: 0 });
  });
});

describe("Forward_Open of class 1 that is granted", () => {
  test.each([
    { name: "class 1, cyclic", open: {} },
    { name: "class 1, change of state, with an inhibit time", open: { transport: 0x11, path: [inhibit(10), ...all] } },
    { name: "class 1, application, server bit set", open: { transport: 0xa1 } },
    { name: "class 0", open: { transport: 0, oToT: o({ size: outputSize - 2 }), tToO: t({ size: inputSize - 2 }) } },
    { name: "without a configuration", open: { path: points(outputs, inputs) } },
    { name: "variable size", open: { oToT: o({ variable: true }), tToO: t({ variable: true }) } },
    {
      name: "instances and attribute 3",
      open: { path: [...objectPath(4, outputs), { kind: "attribute", value: 3 }, ...objectPath(4, inputs)] },
    },
    { name: "behind a hop to the device itself", open: { path: [{ kind: "port", port: 1, link: hex("00") }, ...all] } },
  ] satisfies { name: string; open: Partial<ForwardOpen> }[])("$name", async ({ open }) => {
    const device = ioDevice();
    const asked = ownerOpen(open);
    const { grant, items } = await device.open(asked);
    expect(grant).toMatchObject({
      tToOConnectionId: asked.tToOConnectionId,
      connectionSerial: asked.connectionSerial,
      oToTApiMicros: 10_000,
      tToOApiMicros: 10_000,
    });
    expect(grant?.oToTConnectionId).toBeGreaterThan(0xffff);
    expect(items).toEqual([]);
    expect(device.engine.connections).toHaveLength(1);
  });

  test("Large_Forward_Open", async () => {
    const reply = await ioDevice().open(ownerOpen(), { large: true });
    expect(reply).toMatchObject({ service: 0x5b, status: 0 });
  });

  const tToO = (address: number, port: number): CpfItem => ({
    type: ItemType.sockaddrTtoO,
    data: encode(Sockaddr, { family: 2, port, address }),
  });
  test.each([
    { name: "no item", items: [], port: 2222 },
    { name: "a port", items: [tToO(0, 3333)], port: 3333 },
    { name: "port 0", items: [tToO(0, 0)], port: 2222 },
    { name: "a third host's address, to which nothing must go", items: [tToO(0xc000_0201, 3333)], port: 3333 },
  ])("T→O goes to the originator: $name", async ({ items, port }) => {
    const device = ioDevice();
    await device.open(ownerOpen(), { items });
    device.clock.advance(0);
    expect(device.sent.map(({ to }) => to)).toEqual([{ address: plainFacts.remote.address, port }]);
  });
});

test("a configuration that is needed opens once it was set: with the request, before it, or by an explicit message", async () => {
  const needing = () => ioDevice(owner({ needsConfiguration: true }));
  const withData = needing();
  expect((await withData.open(ownerOpen({ path: [...all, data("01020300")] }))).status).toBe(0);
  const before = needing();
  const nulls = { oToT: o({ type: 0, size: 0 }), tToO: t({ type: 0, size: 0 }) };
  expect((await before.open(ownerOpen({ ...nulls, path: [...all, data("01020300")] }))).status).toBe(0);
  expect((await before.open(ownerOpen())).status).toBe(0);
  const explicit = needing();
  await explicit.router.handle(request(0x10, [4, configuration, 3], hex("010203")), requestContext());
  expect((await explicit.open(ownerOpen())).status).toBe(0);
  explicit.assemblies.reset();
  expect(explicit.assemblies.isSet(configuration)).toBe(false);
});

describe("multicast", () => {
  const local = originatorAt("127.25.0.3");
  test("the group is told, and who joins gets its id and address", async () => {
    const device = ioDevice();
    const first = await device.open(multicast(ownerOpen()));
    const joined = await device.open(multicast(heartbeatOpen(inputOnly)), { channel: local.channel });
    expect(joined.grant?.tToOConnectionId).toBe(first.grant?.tToOConnectionId);
    expect(joined.grant?.oToTConnectionId).not.toBe(first.grant?.oToTConnectionId);
    for (const { items } of [first, joined]) {
      expect(items).toHaveLength(1);
      expect(items[0]?.type).toBe(ItemType.sockaddrTtoO);
      const { family, port, address } = decode(Sockaddr, items[0]?.data ?? new Uint8Array());
      // 127.25.0.1 of 127.0.0.0/8: host 0x190001, index 0, so that the device's block begins at 239.192.1.0.
      expect([family, port, address]).toEqual([2, 2222, 0xefc0_0100]);
    }
    device.clock.advance(10);
    expect(device.sent.map(({ ms, to, ttl }) => [ms, to.address, ttl])).toEqual([
      [0, "239.192.1.0", 1],
      [10, "239.192.1.0", 1],
    ]);
  });

  test("a point to point connection beside it has a production of its own", async () => {
    const device = ioDevice();
    const first = await device.open(multicast(ownerOpen()));
    const other = await device.open(heartbeatOpen(inputOnly));
    expect(other.grant?.tToOConnectionId).not.toBe(first.grant?.tToOConnectionId);
    device.clock.advance(0);
    expect(device.sent).toHaveLength(2);
  });

  test("the id of a group that runs is not given to another one, when the lower half of ids has come round", async () => {
    const second = 103;
    const input = [inputs, second].map((instance) => ({ instance, kind: "input", size: 6 }));
    const device = ioDevice({ assemblies: [{ instance: outputs, kind: "output", size: 4 }, ...input] });
    const ask = (input: number) => multicast(heartbeatOpen(inputOnly, { path: points(inputOnly, input) }));
    const first = ask(inputs);
    const { grant } = await device.open(first);
    const id = grant?.tToOConnectionId ?? 0;
    expect((await device.open(ask(inputs))).grant?.tToOConnectionId).toBe(id);
    await device.close(first);
    // An open takes two: what the device consumes, then what the group gets.
    while (device.connections.table.freeId() !== id - 2);
    const other = await device.open(ask(second));
    expect(other.status).toBe(0);
    expect(other.grant?.tToOConnectionId).not.toBe(id);
  });

  const join = (more: Partial<ForwardOpen>) => multicast(heartbeatOpen(inputOnly, more));
  test.each([
    { name: "interval", open: join({ tToORpiMicros: 20_000 }), extended: [0x0112, 0x0400, 34_464, 1, 10_000, 0] },
    { name: "size flag", open: join({ tToO: t({ variable: true }) }), extended: [0x0135] },
    { name: "priority", open: join({ tToO: t({ priority: 3 }) }), extended: [0x0136] },
    { name: "trigger", open: join({ transport: 0x11 }), extended: [0x0138] },
  ])("who joins with another $name is refused", async ({ open, extended }) => {
    const device = ioDevice();
    await device.open(multicast(ownerOpen()));
    expect(await device.open(open)).toMatchObject({ status: 1, extended });
  });

  test("who joins with another class or inhibit time is refused", async () => {
    const device = ioDevice();
    await device.open(multicast(ownerOpen({ transport: 0x11 })));
    const late = join({ transport: 0x11, path: [inhibit(5), ...points(configuration, inputOnly, inputs)] });
    expect(await device.open(late)).toMatchObject({ status: 1, extended: [0x0139] });
    const open = join({ transport: 0x10, tToO: t({ size: inputSize - 2 }) });
    const classZero = { ...open, oToT: { ...open.oToT, size: 0 } };
    expect(await device.open(classZero)).toMatchObject({ status: 1, extended: [0x0137] });
  });

  test("goes as far, and to such groups, as the settings have it; without a group left it is refused", async () => {
    const inputs = [100, 110, 120].map((instance) => ({ instance, kind: "input", size: 6 }));
    const all = [...inputs, { instance: outputs, kind: "output", size: 4 }];
    const settings = { ttl: 7, groups: { start: "239.5.6.254", count: 2 } };
    const device = ioDevice({ assemblies: all }, {}, settings);
    const at = async (produce: number) => {
      const open = multicast({ ...heartbeatOpen(inputOnly), path: points(inputOnly, produce) });
      // From another subnet: that is what the hops are for.
      const { status, extended } = await device.open(open, originatorAt("198.51.100.9"));
      return [status, ...extended];
    };
    expect([await at(100), await at(110), await at(120)]).toEqual([[0], [0], [1, 0x0113]]);
    device.clock.advance(1);
    expect(device.sent.map(({ to, ttl }) => [to.address, ttl])).toEqual([
      ["239.5.6.254", 7],
      ["239.5.6.255", 7],
    ]);
  });

  test("off the subnet it is refused, as it would not arrive", async () => {
    const device = ioDevice();
    const { channel } = originatorAt("192.0.2.7");
    expect(await device.open(multicast(ownerOpen()), { channel })).toMatchObject({ status: 1, extended: [0x0813] });
  });
});

describe("Forward_Open with both directions null", () => {
  const nothing = { oToT: o({ type: 0, size: 0 }), tToO: t({ type: 0, size: 0 }) };
  const withData = (text: string) => ownerOpen({ ...nothing, path: [...points(configuration), data(text)] });

  const ask = (...instances: readonly number[]) => ownerOpen({ ...nothing, path: points(...instances) });

  test.each([[outputs, inputs], [configuration, outputs, inputs], [outputs], [inputs]])(
    "asks for what is there: %j %j %j",
    async (...instances) => expect((await ioDevice().open(ask(...instances))).status).toBe(0),
  );

  test("no match: asks, or configures what nobody uses", async () => {
    const device = ioDevice();
    expect((await device.open(ownerOpen({ ...nothing, path: points(configuration) }))).status).toBe(0);
    expect((await device.open(withData("0a0b0c00"))).status).toBe(0);
    expect(toHex(device.assemblies.get(configuration))).toBe("0a0b0c");
    expect(device.engine.connections).toEqual([]);
  });

  test("match: reconfigures the connection of this triad, for its owner only", async () => {
    const device = ioDevice();
    const asked = ownerOpen();
    await device.open(asked);
    const again = { ...asked, ...nothing, path: [...all, data("0a0b0c00")] };
    const stranger = await device.open(again, { channel: originatorAt("127.25.0.3").channel });
    expect(stranger).toMatchObject({ status: 1, extended: [0x0106] });
    const { grant } = await device.open(again);
    expect(grant).toMatchObject({ oToTConnectionId: device.engine.connections[0]?.oToTConnectionId });
    expect(toHex(device.assemblies.get(configuration))).toBe("0a0b0c");
  });

  test("match: not what a connection of another originator runs by", async () => {
    const device = ioDevice();
    await device.open(ownerOpen({ path: [...all, data("01020300")] }));
    const { channel } = originatorAt("127.25.0.3");
    const listening = heartbeatOpen(inputOnly);
    expect((await device.open(listening, { channel })).status).toBe(0);
    const again = { ...listening, ...nothing, path: [...points(configuration, inputOnly, inputs), data("0a0b0c00")] };
    expect(await device.open(again, { channel })).toMatchObject({ status: 1, extended: [0x0106] });
    expect(toHex(device.assemblies.get(configuration))).toBe("010203");
  });

  test.each([
    { name: "the key", open: ownerOpen({ ...nothing, path: [key, ...all] }), extended: [0x0114] },
    { name: "data of the wrong size", open: withData("0a0b"), extended: [0x0126, 3] },
    {
      name: "an unknown configuration",
      open: ownerOpen({ ...nothing, path: [...points(9), data("0a0b0c00")] }),
      extended: [0x0129],
    },
    { name: "another class", open: ownerOpen({ ...nothing, path: objectPath(2, 1) }), extended: [0x0132] },
    { name: "points that the device does not have", open: ask(configuration, 7, 8), extended: [0x0117] },
    { name: "an output with another's input", open: ask(outputs, 8), extended: [0x012b] },
    { name: "their configuration with another number", open: ask(9, outputs, inputs), extended: [0x0129] },
    { name: "one point that nobody has", open: ask(9), extended: [0x0117] },
  ])("refuses $name", async ({ open, extended }) => {
    expect(await ioDevice().open(open)).toMatchObject({ status: 1, extended });
  });

  test("configuration that an open connection uses, without its triad", async () => {
    const device = ioDevice();
    await device.open(ownerOpen());
    expect(await device.open(withData("0a0b0c00"))).toMatchObject({ status: 1, extended: [0x0106] });
  });
});

describe("Forward_Close", () => {
  test("by its originator, over whatever session; not by another host", async () => {
    const device = ioDevice();
    const asked = ownerOpen();
    await device.open(asked);
    const stranger = await device.close(asked, originatorAt("127.25.0.3").channel);
    expect(stranger.status).toBe(Status.privilegeViolation);
    const elsewhere = { ...plainFacts, remote: { ...plainFacts.remote, port: 51_000 } };
    expect((await device.close(asked, elsewhere)).status).toBe(0);
    expect(await device.close(asked)).toMatchObject({ status: 1, extended: [0x0107] });
    device.clock.advance(100);
    expect(device.sent.filter(({ ms }) => ms > 0)).toEqual([]);
    expect(device.clock.waiting).toBe(0);
  });
});

describe("diagnostics", () => {
  const ask = (device: ReturnType<typeof ioDevice>, service: number, octets: Uint8Array) =>
    device.router.handle(request(service, [6, 1], octets), requestContext());

  test("a connection is described by its number and by its triad", async () => {
    const device = ioDevice();
    const asked = ownerOpen();
    const { grant } = await device.open(asked);
    const expected = {
      connectionNumber: 1,
      state: 3,
      connectionSerial: asked.connectionSerial,
      targetOtoTId: grant?.oToTConnectionId,
      originatorTtoOId: asked.tToOConnectionId,
      oToTRpiMicros: 10_000,
      tToOApiMicros: 10_000,
    };
    const byNumber = await ask(device, 0x56, encode(ConnectionNumber, 1));
    expect(decode(ConnectionData, byNumber.data)).toMatchObject(expected);
    const byTriad = await ask(device, 0x57, encode(ConnectionTriad, asked));
    expect(byTriad.data).toEqual(byNumber.data);
    expect((await ask(device, 0x56, encode(ConnectionNumber, 2))).status).toBe(Status.invalidParameterValue);
    const other = await ask(device, 0x57, encode(ConnectionTriad, { ...asked, connectionSerial: 1 }));
    expect(other.status).toBe(Status.pathDestinationUnknown);
    const list = await device.router.handle(request(0x0e, [6, 1, 9]), requestContext());
    expect(toHex(list.data)).toBe("0c000100");
  });

  test("the owner of a path is named", async () => {
    const device = ioDevice();
    const owner = async (path: readonly Segment[]) => ask(device, 0x5a, encode(ConnectionOwnerRequest, path));
    expect(decode(ConnectionOwnerReply, (await owner(all)).data)).toMatchObject({ connections: 0, lastAction: 0 });
    const asked = ownerOpen();
    await device.open(asked);
    expect(decode(ConnectionOwnerReply, (await owner(all)).data)).toMatchObject({
      connections: 1,
      lastAction: 255,
      connectionSerial: asked.connectionSerial,
    });
    expect((await owner(points(7, 8))).status).toBe(Status.pathDestinationUnknown);
  });
});
