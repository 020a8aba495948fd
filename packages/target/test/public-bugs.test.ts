import { PADDED_STRING, Status, ForwardOpen, decode, encode } from "@cipsec/wire";
import { expect, test } from "vitest";
import { hostTcpIpInterface } from "../src/objects/tcp-ip-interface.ts";
import { Router } from "../src/router.ts";
import { request, requestContext } from "./support/device.ts";
import { runDevice } from "./support/target-session.ts";
import { configuration, inputs, ioDevice, multicast, originatorAt, outputs, ownerOpen, points } from "./support/io.ts";

/*
 * Bugs of other stacks that became public, each as a question to ours. Those of one object alone are beside its other tests.
 */

test("short Forward_Open: cut anywhere it is refused as such, and opens nothing", async () => {
  const whole = encode(ForwardOpen, ownerOpen());
  for (let length = 0; length < whole.length; length += 1) {
    const device = ioDevice();
    const reply = await device.router.handle(request(0x54, [6, 1], whole.slice(0, length)), requestContext());
    expect(reply, `${length} octets`).toMatchObject({ status: Status.notEnoughData, extended: [] });
    expect(device.engine.connections).toHaveLength(0);
  }
});

test.each([1000, 1001, 2500, 10_000])("granted API is produced: %i µs", async (micros) => {
  const device = ioDevice();
  const { grant } = await device.open(ownerOpen({ tToORpiMicros: micros }));
  expect(grant).toMatchObject({ tToOApiMicros: micros });
  // A tenth of a second: where 10 ms were produced silently, there would be 11 packets.
  device.clock.advance(100);
  expect(device.sent).toHaveLength(1 + Math.floor(100_000 / micros));
});

test("granted API is produced: what cannot be, is refused and not stretched", async () => {
  const device = ioDevice();
  expect(await device.open(ownerOpen({ tToORpiMicros: 500 }))).toMatchObject({
    status: 1,
    extended: [0x0112, 0x0200, 10_000, 0, 1000, 0],
  });
});

test("off-subnet multicast is refused with 0x0813, and holds no group or connection", async () => {
  const device = ioDevice();
  for (let i = 0; i < 100; i += 1)
    expect(await device.open(multicast(ownerOpen()), originatorAt("198.51.100.9"))).toMatchObject({
      status: 1,
      extended: [0x0813],
    });
  expect(device.engine.connections).toHaveLength(0);
});

test.each([
  { name: "of 64 octets, as long as may be", hostName: "h".repeat(64), read: "h".repeat(64) },
  { name: "too long", hostName: "h".repeat(200), read: "h".repeat(64) },
  { name: "odd, with its pad", hostName: "abc", read: "abc" },
  { name: "none", hostName: "", read: "" },
])("host name without terminator: $name", async ({ hostName, read }) => {
  const router = new Router(() => undefined);
  hostTcpIpInterface(router, {
    address: "192.0.2.7",
    hostName,
    inactivityTimeoutS: () => 120,
    setInactivityTimeout: () => Promise.resolve(),
    activeTcpConnections: () => 0,
  });
  const { status, data } = await router.handle(request(0x0e, [0xf5, 1, 6]), requestContext());
  expect(status).toBe(0);
  // Nothing behind the name: its length alone says where it ends.
  expect(data).toHaveLength(2 + read.length + (read.length % 2));
  expect(decode(PADDED_STRING, data)).toBe(read);
});

test("leak on error replies: 2,000 of them over a session leave handles, sessions and connections as they were", async () => {
  await using device = await runDevice("127.33.7.1", { assemblies: [{ instance: inputs, kind: "input", size: 6 }] });
  const session = await device.session();
  const handles = (): readonly string[] => process.getActiveResourcesInfo().filter((name) => name !== "Timeout");
  const open = encode(ForwardOpen, ownerOpen({ path: points(9, 8, 7) }));
  const wrong = [
    request(0x0e, [1, 1, 99]),
    request(0x0e, [0x63, 1, 1]),
    request(0x7f, [1, 1]),
    request(0x10, [1, 1, 1], new Uint8Array(2)),
    request(0x54, [6, 1], open),
    request(0x54, [6, 1], open.slice(0, 20)),
    request(0x4e, [6, 1], new Uint8Array(3)),
    request(0x0a, [2, 1], Uint8Array.of(1, 0, 4, 0)),
  ];
  const fail = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1)
      expect((await session.request(wrong[i % wrong.length] ?? request(0x7f, [1, 1]))).status).not.toBe(0);
  };
  await fail(wrong.length);
  const before = handles();
  await fail(2000);
  expect(handles().toSorted()).toEqual(before.toSorted());
  expect(device.target.io).toMatchObject({ connections: 0 });
  // As many sessions as there can be beside this one: no reply has taken a place.
  const others = await Promise.all(Array.from({ length: 15 }, () => device.session()));
  for (const other of others) expect((await other.request(request(0x0e, [1, 1, 1]))).status).toBe(0);
});

test("10,000 refused Forward_Opens take no place, number or timer", async () => {
  const device = ioDevice();
  const refused = [
    () => ownerOpen({ tToORpiMicros: 0 }),
    () => ownerOpen({ path: points(configuration, outputs, 7) }),
    () => ownerOpen({ timeoutMultiplier: 9 }),
    () => multicast(ownerOpen({ path: points(configuration, 7, inputs) })),
  ];
  for (let i = 0; i < 10_000; i += 1) expect((await device.open(refused[i % 4]?.() ?? ownerOpen())).status).toBe(1);
  device.clock.advance(1000);
  expect(device.sent).toHaveLength(0);
  expect(device.engine.connections).toHaveLength(0);
  expect(await device.open(ownerOpen())).toMatchObject({ status: 0 });
});
