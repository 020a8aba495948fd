import { ForwardOpen, IoWriter, Status, encode } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { identityStatus, ioStatus } from "../src/objects/identity.ts";
import { request, requestContext } from "./support/device.ts";
import { concat, hex, toHex, plainFacts } from "./support/fakes.ts";
import {
  configuration,
  heartbeatOpen,
  heartbeatWriter,
  inputOnly,
  inputs,
  ioDevice,
  listenOnly,
  multicast,
  originatorAt,
  outputs,
  ownerOpen,
  ownerWriter,
  points,
  udpFrom,
} from "./support/io.ts";

type Device = ReturnType<typeof ioDevice>;

/** A device with an owner that has sent its first packet. */
async function owned(more: Readonly<Record<string, unknown>> = {}) {
  const device = ioDevice(more);
  const asked = ownerOpen();
  const { grant } = await device.open(asked);
  const writer = ownerWriter(grant);
  const send = (octets?: string): void => {
    if (octets !== undefined) writer.setData(hex(octets));
    device.engine.receive(writer.next(), udpFrom());
  };
  return { device, asked, grant, writer, send };
}

const times = ({ sent }: Device) => sent.map(({ ms }) => ms);

describe("producing", () => {
  test("the interval granted is the one produced, from the first millisecond", async () => {
    const device = ioDevice();
    await device.open(ownerOpen({ tToORpiMicros: 2500 }));
    device.clock.advance(10);
    expect(times(device)).toEqual([0, 2.5, 5, 7.5, 10]);
  });

  test("an interval of 1 ms is 1 ms", async () => {
    const device = ioDevice();
    await device.open(ownerOpen({ tToORpiMicros: 1000 }));
    device.clock.advance(100);
    expect(device.sent).toHaveLength(101);
  });

  test("each packet has a new sequence number, only changed data a new count", async () => {
    const device = ioDevice();
    await device.open(ownerOpen());
    device.clock.advance(10);
    device.assemblies.get(inputs)[5] = 7;
    device.clock.advance(20);
    expect(device.sent.map(({ frame }) => [frame.sequence, toHex(frame.data)])).toEqual([
      [1, "0100000000000000"],
      [2, "0100000000000000"],
      [3, "0200000000000007"],
      [4, "0200000000000007"],
    ]);
  });

  test("class 0 has no count; priority makes the code point", async () => {
    const device = ioDevice();
    const open = ownerOpen({ transport: 0 });
    await device.open({ ...open, oToT: { ...open.oToT, size: 8 }, tToO: { ...open.tToO, size: 6, priority: 3 } });
    device.clock.advance(0);
    expect(device.sent.map(({ frame, dscp }) => [toHex(frame.data), dscp])).toEqual([["000000000000", 55]]);
  });

  test("change of state sends at once, not before the inhibit time is over, and a period after it again", async () => {
    const device = ioDevice();
    const path = [{ kind: "network", type: 0x43, data: Uint8Array.of(3) } as const, ...points(outputs, inputs)];
    await device.open(ownerOpen({ transport: 0x11, path }));
    device.clock.advance(5);
    device.assemblies.setInput(inputs, hex("010000000000"));
    expect(times(device)).toEqual([0, 5]);
    device.assemblies.setInput(inputs, hex("010000000000"));
    device.clock.advance(1);
    device.assemblies.setInput(inputs, hex("020000000000"));
    device.assemblies.setInput(inputs, hex("030000000000"));
    device.clock.advance(20);
    expect(times(device)).toEqual([0, 5, 8, 17.5]);
    expect(toHex(device.sent[2]?.frame.data ?? hex(""))).toBe("0300030000000000");
  });

  test("the application's trigger sends also what is the same, a cyclic one nothing out of turn", async () => {
    const device = ioDevice();
    await device.open(ownerOpen({ transport: 0x21 }));
    await device.open(heartbeatOpen(inputOnly));
    device.clock.advance(5);
    device.assemblies.setInput(inputs, hex("000000000000"));
    expect(times(device)).toEqual([0, 0, 5]);
  });
});

describe("consuming", () => {
  test("run, idle and run again: the application is told of each change and of new data", async () => {
    const { device, writer, send } = await owned();
    send("01020304");
    send();
    send("05060708");
    writer.setRun(false);
    send();
    send("11111111");
    expect(toHex(device.assemblies.get(outputs))).toBe("00000000");
    writer.setRun(true);
    send();
    expect(device.told).toEqual([
      ["run", "01020304"],
      ["run", "05060708"],
      ["idle", "00000000"],
      ["run", "11111111"],
    ]);
  });

  test("repeated, late and far-off sequence numbers; the wrap is no border", async () => {
    const { device, writer, send } = await owned();
    const packet = (sequence: number, octet: number): Uint8Array => {
      writer.setData(Uint8Array.of(octet, 0, 0, 0));
      const bytes = writer.next().slice();
      new DataView(bytes.buffer).setUint32(10, sequence, true);
      return bytes;
    };
    const receive = (sequence: number, octet: number): void =>
      device.engine.receive(packet(sequence, octet), udpFrom());
    receive(0xffff_fffe, 1);
    receive(0xffff_fffe, 2);
    receive(0xffff_fffd, 3);
    receive(0xffff_ffff, 4);
    receive(0, 5);
    receive(0x7fff_ffff, 6);
    receive(0xffff_ffff, 7);
    expect(device.told.map(([, data]) => data.slice(0, 2))).toEqual(["01", "04", "05", "06"]);
    expect(device.engine.dropped.stale).toBe(3);
    send();
    expect(device.engine.dropped.stale).toBe(4);
  });

  test("class 1 comes with a sequence number: an old packet without one is not taken, nor what it says of the next", async () => {
    const { device, writer, send } = await owned();
    const old = writer.next().slice();
    send("01020304");
    const bare = concat(hex("0200a1000400"), old.subarray(6, 10), old.subarray(14));
    device.engine.receive(bare, udpFrom());
    device.engine.receive(old, udpFrom());
    expect(device.engine.dropped).toMatchObject({ malformed: 1, stale: 1 });
    expect(device.told).toEqual([["run", "01020304"]]);
  });

  test("class 0 may leave it out, and then the next one has still to be newer than the last", async () => {
    const device = ioDevice();
    const { oToT, tToO } = ownerOpen();
    const bare = { oToT: { ...oToT, size: oToT.size - 2 }, tToO: { ...tToO, size: tToO.size - 2 } };
    const { grant } = await device.open(ownerOpen({ transport: 0x00, ...bare }));
    const connectionId = grant?.oToTConnectionId ?? 0;
    const writer = new IoWriter({ connectionId, transportClass: 0, format: "run-idle-32", size: 4 });
    const old = writer.next().slice();
    writer.setData(hex("01020304"));
    device.engine.receive(writer.next(), udpFrom());
    device.engine.receive(concat(hex("0200a1000400"), old.subarray(6, 10), old.subarray(14)), udpFrom());
    device.engine.receive(old, udpFrom());
    expect(device.engine.dropped).toMatchObject({ malformed: 0, stale: 1 });
    expect(device.engine.connections[0]?.consumed.packets).toBe(2);
  });

  test("a first count of 0 is data", async () => {
    const { device, writer } = await owned();
    writer.setData(hex("01020304"));
    const bytes = writer.next().slice();
    bytes[18] = 0;
    device.engine.receive(bytes, udpFrom());
    expect(device.told).toEqual([["run", "01020304"]]);
  });

  test("an older count refreshes the watchdog and is no data", async () => {
    const { device, writer, send } = await owned();
    send("01020304");
    device.clock.advance(30);
    writer.setData(hex("05060708"));
    const bytes = writer.next().slice();
    bytes[18] = 0;
    device.engine.receive(bytes, udpFrom());
    device.clock.advance(30);
    expect(device.told).toEqual([["run", "01020304"]]);
    expect(device.engine.connections).toHaveLength(1);
  });

  test("only from the originator's address, over UDP, for a connection that is there, of its size", async () => {
    const { device, writer, grant } = await owned();
    const packet = writer.next();
    device.engine.receive(packet, originatorAt("127.25.0.3").udp);
    device.engine.receive(packet, { ...udpFrom(), protocol: "dtls" });
    const foreign = packet.slice();
    foreign[6] = (foreign[6] ?? 0) ^ 1;
    device.engine.receive(foreign, udpFrom());
    device.engine.receive(heartbeatWriter(grant).next(), udpFrom());
    device.engine.receive(packet.subarray(1), udpFrom());
    device.engine.receive(new Uint8Array(0), udpFrom());
    expect(device.engine.dropped).toEqual({ foreign: 3, wrongSize: 1, malformed: 2, stale: 0 });
    expect(device.told).toEqual([]);
    device.engine.receive(packet, { ...udpFrom(), remote: { ...udpFrom().remote, port: 9 } });
    expect(device.told).toHaveLength(1);
  });

  test("octets of any sort are counted and dropped, or belong to the connection", async () => {
    const { device, writer } = await owned();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(40), fc.nat(255)), { maxLength: 6 }),
        fc.nat(40),
        fc.uint8Array({ maxLength: 60 }),
        (changes, length, noise) => {
          const packet = writer.next().slice();
          for (const [at, octet] of changes) packet[at % packet.length] = octet;
          const before = Object.values(device.engine.dropped).reduce((a, b) => a + b);
          const { packets } = device.engine.connections[0]?.consumed ?? { packets: 0 };
          for (const bytes of [packet, packet.subarray(0, length), noise]) device.engine.receive(bytes, udpFrom());
          const dropped = Object.values(device.engine.dropped).reduce((a, b) => a + b) - before;
          expect(dropped + (device.engine.connections[0]?.consumed.packets ?? 0) - packets).toBe(3);
        },
      ),
    );
  });

  test("zero-length: no data is idle", async () => {
    const connections = [{ type: "exclusive-owner", consume: outputs, produce: inputs, oToTFormat: "zero-length" }];
    const device = ioDevice({ connections });
    const open = ownerOpen({ path: points(outputs, inputs) });
    const { grant } = await device.open({ ...open, oToT: { ...open.oToT, size: 6, variable: true } });
    const writer = ownerWriter(grant);
    const modeless = (sequence: number, octets: string): Uint8Array => {
      const bytes = Uint8Array.of(...writer.next().subarray(0, 18), ...hex(octets));
      new DataView(bytes.buffer).setUint32(10, sequence, true);
      bytes[16] = bytes.length - 18;
      return bytes;
    };
    for (const [i, octets] of ["0100aabbccdd", "0200", "0300aabbccdd"].entries())
      device.engine.receive(modeless(i + 1, octets), udpFrom());
    expect(device.told.map(([state]) => state)).toEqual(["run", "idle", "run"]);
  });
});

describe("an explicit message", () => {
  const set = (device: Device, instance: number, octets: string) =>
    device.router.handle(request(0x10, [4, instance, 3], hex(octets)), requestContext());

  test("sets outputs and configuration only while nobody owns them", async () => {
    const { device, asked } = await owned();
    expect((await set(device, outputs, "01020304")).status).toBe(Status.objectStateConflict);
    expect((await set(device, configuration, "010203")).status).toBe(Status.objectStateConflict);
    await device.close(asked);
    expect((await set(device, outputs, "01020304")).status).toBe(0);
    expect((await set(device, configuration, "010203")).status).toBe(0);
    expect(device.told.at(-1)).toEqual(["set", "01020304"]);
  });
});

describe("silence ends a connection", () => {
  test("before the first packet after 10 s, then after interval times multiplier", async () => {
    const { device, send } = await owned();
    device.clock.advance(9999);
    expect(device.engine.connections).toHaveLength(1);
    send();
    device.clock.advance(39);
    send();
    device.clock.advance(39);
    expect(device.engine.connections).toHaveLength(1);
    device.clock.advance(2);
    expect(device.engine.connections).toEqual([]);
    expect(device.events.at(-1)).toEqual(["io-closed", "timeout"]);
    expect(device.connections.counters.timeouts).toBe(1);
    expect(device.clock.waiting).toBe(0);
  });

  test("a first wait above 10 s is kept, and one without any packet ends", async () => {
    const device = ioDevice();
    await device.open(ownerOpen({ oToTRpiMicros: 100_000, timeoutMultiplier: 6 }));
    device.clock.advance(25_599);
    expect(device.engine.connections).toHaveLength(1);
    device.clock.advance(2);
    expect(device.engine.connections).toEqual([]);
  });

  test.each([
    { name: "zero by default", more: {}, data: "00000000" },
    { name: "hold", more: { faultState: "hold" }, data: "01020304" },
    { name: "zero", more: { faultState: "zero" }, data: "00000000" },
    { name: "a given value", more: { faultState: { hex: "deadBEEF" } }, data: "deadbeef" },
  ])("outputs take their fault state: $name", async ({ more, data }) => {
    const assemblies = [
      { instance: inputs, kind: "input", size: 6 },
      { instance: outputs, kind: "output", size: 4, ...more },
      { instance: configuration, kind: "configuration", size: 3 },
    ];
    const timedOut = await owned({ assemblies });
    timedOut.send("01020304");
    timedOut.device.clock.advance(41);
    expect(timedOut.device.told.at(-1)).toEqual(["timeout", data]);
    timedOut.device.assemblies.reset();
    expect(toHex(timedOut.device.assemblies.get(outputs))).toBe(data === "deadbeef" ? data : "00000000");
    const closed = await owned({ assemblies });
    closed.send("01020304");
    await closed.device.close(closed.asked);
    expect(closed.device.told.at(-1)).toEqual(["closed", data]);
    const unplugged = await owned({ assemblies });
    unplugged.send("01020304");
    unplugged.device.closePort();
    expect(unplugged.device.told.at(-1)).toEqual(["timeout", data]);
    expect(unplugged.device.events.at(-1)).toEqual(["io-closed", "port-closed"]);
    const refused = await owned({ assemblies });
    refused.send("01020304");
    refused.device.engine.refuse(plainFacts);
    expect(refused.device.told.at(-1)).toEqual(["timeout", data]);
    expect(refused.device.events.at(-1)).toEqual(["io-closed", "refused"]);
  });

  test("a channel whose peer is refused takes what was opened over it, and nothing else", async () => {
    const device = ioDevice();
    const other = originatorAt("127.25.0.7").channel;
    await device.open(ownerOpen());
    await device.open(heartbeatOpen(inputOnly), { channel: other });
    expect([device.engine.carries(plainFacts), device.engine.carries(other)]).toEqual([true, true]);
    device.engine.refuse(plainFacts);
    expect([device.engine.carries(plainFacts), device.engine.carries(other)]).toEqual([false, true]);
  });

  test("one that is closed before its reply is out does not produce", async () => {
    const device = ioDevice();
    const after: (() => void)[] = [];
    const context = requestContext({ afterReply: (run) => after.push(run) });
    await device.router.handle(request(0x54, [6, 1], encode(ForwardOpen, ownerOpen())), context);
    for (const connection of device.engine.connections) device.engine.close(connection, "closed");
    for (const run of after) run();
    device.clock.advance(50);
    expect(device.sent).toEqual([]);
    expect(device.clock.waiting).toBe(0);
  });

  test("after it the same originator opens again", async () => {
    const { device, asked } = await owned();
    device.clock.advance(10_001);
    expect((await device.open(asked)).status).toBe(0);
  });

  test("one thousand openings, packets and losses leave nothing", async () => {
    const device = ioDevice();
    for (let i = 0; i < 1000; i += 1) {
      const { grant } = await device.open(multicast(ownerOpen()));
      device.engine.receive(ownerWriter(grant).next(), udpFrom());
      device.clock.advance(i % 2 === 0 ? 41 : 1);
      if (i % 2 === 1) for (const connection of device.engine.connections) device.engine.close(connection, "closed");
    }
    expect(device.engine.connections).toEqual([]);
    expect(device.clock.waiting).toBe(0);
    expect(device.connections.counters.timeouts).toBe(500);
  });
});

describe("connections beside the owner", () => {
  const beat = (device: Device, writer: ReturnType<typeof heartbeatWriter>): void =>
    device.engine.receive(writer.next(), udpFrom());

  test("listen only ends with the last that it listens to, by closing or by time", async () => {
    const { device, asked, send } = await owned();
    send();
    await device.open(heartbeatOpen(listenOnly));
    await device.close(asked);
    expect(device.events.slice(-2)).toEqual([
      ["io-closed", "closed"],
      ["io-closed", "owner-gone"],
    ]);
    expect(device.engine.connections).toEqual([]);
    const reader = heartbeatOpen(inputOnly);
    await device.open(reader);
    await device.open(heartbeatOpen(listenOnly));
    device.clock.advance(10_001);
    expect(device.engine.connections).toEqual([]);
  });

  test("input only keeps its own, and the multicast production goes on under it when the owner is lost", async () => {
    const device = ioDevice();
    const { grant } = await device.open(multicast(ownerOpen()));
    const reader = heartbeatWriter((await device.open(multicast(heartbeatOpen(inputOnly)))).grant);
    await device.open(multicast(heartbeatOpen(listenOnly)));
    device.engine.receive(ownerWriter(grant).next(), udpFrom());
    beat(device, reader);
    device.clock.advance(100);
    beat(device, reader);
    expect(device.engine.connections.map(({ point }) => point.type)).toEqual(["input-only", "listen-only"]);
    const before = device.sent.length;
    device.clock.advance(100);
    expect(device.sent.length).toBe(before + 10);
  });

  test("heartbeats keep it alive and are no data", async () => {
    const device = ioDevice();
    const reader = heartbeatWriter((await device.open(heartbeatOpen(inputOnly))).grant);
    for (let i = 0; i < 10; i += 1) {
      beat(device, reader);
      device.clock.advance(399);
    }
    expect(device.engine.connections).toHaveLength(1);
    expect(device.told).toEqual([]);
    device.clock.advance(2);
    expect(device.engine.connections).toEqual([]);
  });
});

test("a Forward_Open with octets changed gets one answer, and opens at most what it is told", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { minLength: 1, maxLength: 4 }), async (changes) => {
      const device = ioDevice();
      const octets = encode(ForwardOpen, ownerOpen());
      for (const [at, octet] of changes) octets[at % octets.length] = octet;
      const reply = await device.router.handle(request(0x54, [6, 1], octets), requestContext());
      expect(device.connections.connections.length).toBeLessThanOrEqual(reply.status === 0 ? 1 : 0);
      for (const connection of device.engine.connections) device.engine.close(connection, "closed");
    }),
  );
});

test("Identity says owned, run, idle, faulted, none", async () => {
  const { device, asked, writer, send } = await owned();
  const status = (): number => identityStatus(true, ioStatus(device.engine));
  expect(status()).toBe(0x75);
  send();
  expect(status()).toBe(0x65);
  writer.setRun(false);
  send();
  expect(status()).toBe(0x75);
  device.clock.advance(100);
  expect(status()).toBe(0x24);
  await device.open(asked);
  expect(status()).toBe(0x75);
  await device.close(asked);
  expect(status()).toBe(0x34);
});
