import { describe, expect, test, vi } from "vitest";
import { PeerError, TransportError } from "@cipsec/wire";
import { Scanner, assemblyPath, type IoRequest, type ScanEntry, type StateChange } from "../../src/index.ts";
import { defaultBackoff, waitAfter } from "../../src/io/backoff.ts";
import { net } from "../addresses.ts";
import { fakeAdapter, type AdapterWish, type FakeAdapter } from "./fake-adapter.ts";

const local = `${net}.1`;
let host = 2;

const request: IoRequest = {
  oToT: { rpiMicros: 5000, size: 4 },
  tToO: { rpiMicros: 5000, size: 8 },
  timeoutMultiplier: 0,
  path: assemblyPath({ configuration: 151, oToT: 150, tToO: 100 }),
};

const quick = { refusedMs: 20, maxRefusedMs: 50, lostMs: 10, maxLostMs: 50 };

function adapterAt(wish: AdapterWish = {}, address = `${net}.${(host += 1)}`): Promise<FakeAdapter> {
  return fakeAdapter(address, local, wish);
}

function entry(adapter: FakeAdapter, changes: Partial<ScanEntry> = {}): ScanEntry {
  const target = { scheme: "eip", host: adapter.address, port: adapter.port } as const;
  return { name: adapter.address, target, request, ...changes };
}

function scanner(changes: StateChange[], backoff = quick): Scanner {
  return new Scanner({
    connect: { localAddress: local, requestTimeoutMs: 5000, connectTimeoutMs: 5000 },
    backoff,
    onState: (change) => changes.push(change),
  });
}

const until = (check: () => unknown): Promise<void> =>
  vi.waitFor(() => expect(check()).toBeTruthy(), { timeout: 15_000, interval: 5 });
const statesOf = (changes: readonly StateChange[], name: string) =>
  changes.filter((change) => change.name === name).map(({ state }) => state);

test("many connections to many devices, one session each; all is given back", async () => {
  const devices = await Promise.all(Array.from({ length: 4 }, () => adapterAt()));
  const changes: StateChange[] = [];
  const s = scanner(changes);
  for (const device of devices)
    // A long watchdog: what is tested is who shares what, on a machine that is busy with other tests.
    for (const n of [1, 2, 3])
      s.add(entry(device, { name: `${device.address} ${n}`, request: { ...request, timeoutMultiplier: 6 } }));
  await until(() => s.connections.every((one) => (one.statistics().current?.received ?? 0) > 10));
  expect(s.sessions).toBe(4);
  expect(devices.map(({ tcp }) => tcp.connections)).toEqual([1, 1, 1, 1]);
  expect(() => s.add(entry(devices[0]!, { name: `${devices[0]!.address} 1` }))).toThrow(/already/u);
  await s.close();
  expect(s.sessions).toBe(0);
  expect(s.connections).toEqual([]);
  for (const device of devices) {
    expect(device.open.size).toBe(0);
    expect(device.closes).toBe(3);
    await device[Symbol.asyncDispose]();
  }
  expect(statesOf(changes, `${devices[0]!.address} 1`)).toEqual(["connecting", "opening", "running", "stopped"]);
});

test("comes back by itself: refusal with reason, silence, a session that is cut", async () => {
  let refusals = 2;
  await using device = await adapterAt({
    refuse: () => (refusals-- > 0 ? { status: 1, extended: [0x0113] } : undefined),
  });
  const changes: StateChange[] = [];
  await using s = scanner(changes);
  // 640 ms: a busy machine does not look like a silent device.
  const one = s.add(entry(device, { output: Uint8Array.of(1), request: { ...request, timeoutMultiplier: 5 } }));
  await until(() => one.state === "running");
  expect(changes.filter(({ state }) => state === "waiting")).toMatchObject([
    { reason: { code: "cip/status", facts: { extended: "0x0113" } }, retryInMs: expect.any(Number) },
    { reason: { code: "cip/status" } },
  ]);
  one.setOutput(Uint8Array.of(5));
  await until(() => (one.statistics().current?.received ?? 0) > 5);
  // The session ends, as targets do with idle ones: I/O goes on.
  device.tcp.dropAll();
  const before = one.statistics().current?.received ?? 0;
  await until(() => (one.statistics().current?.received ?? 0) > before + 20);
  expect(one.statistics()).toMatchObject({ opens: 1, timeouts: 0, refusals: 2 });
  // The device falls silent, and answers again.
  for (const connection of device.open.values()) connection.stop();
  device.open.clear();
  const sent = device.received.length;
  await until(() => one.statistics().opens === 2 && one.state === "running" && device.received.length > sent + 5);
  expect(one.statistics().timeouts).toBe(1);
  expect(
    changes.find(({ reason }) => reason !== undefined && "code" in reason && reason.code === "transport/timeout"),
  ).toBeDefined();
  // The output that was set is what the new connection sends.
  expect(device.received.at(-1)?.frame.data.at(6)).toBe(5);
  expect(one.statistics().total.received).toBeGreaterThan(25);
});

test("a device that restarts is found again", async () => {
  const address = `${net}.${(host += 1)}`;
  const first = await adapterAt({}, address);
  const changes: StateChange[] = [];
  await using s = scanner(changes);
  const port = first.port;
  const one = s.add(entry(first));
  await until(() => one.state === "running" && (one.statistics().current?.received ?? 0) > 3);
  await first[Symbol.asyncDispose]();
  await until(() => one.state === "waiting" && changes.filter(({ state }) => state === "waiting").length > 2);
  expect(one.reason).toMatchObject({ code: "transport/refused" });
  await using again = await fakeAdapter(address, local, {}, port);
  await until(() => one.state === "running");
  expect(again.open.size).toBe(1);
});

test("what cannot be is not tried again", async () => {
  await using device = await adapterAt();
  const changes: StateChange[] = [];
  await using s = scanner(changes);
  s.add(entry(device, { name: "odd", request: { ...request, oToT: { ...request.oToT, type: "multicast" } } }));
  await until(() => changes.at(-1)?.state === "failed");
  expect(changes.at(-1)?.reason).toMatchObject({ code: "usage/argument" });
});

test("two hundred lives leave nothing behind", async () => {
  await using device = await adapterAt({ produces: false });
  const changes: StateChange[] = [];
  await using s = scanner(changes, { ...quick, lostMs: 1, maxLostMs: 2 });
  const fast = { ...request, oToT: { rpiMicros: 1000, size: 4 }, tToO: { rpiMicros: 1000, size: 8 } };
  const one = s.add(entry(device, { request: fast }));
  // Each life gets one packet, then silence, and ends by its watchdog.
  const feed = setInterval(() => {
    for (const [serial, connection] of device.open) {
      connection.send();
      device.open.delete(serial);
    }
  }, 1);
  await vi.waitFor(() => expect(one.statistics().timeouts).toBeGreaterThanOrEqual(200), {
    timeout: 50_000,
    interval: 50,
  });
  clearInterval(feed);
  expect(s.sessions).toBe(1);
  expect(device.tcp.connections).toBe(1);
  await s.close();
  expect(s.sessions).toBe(0);
}, 60_000);

describe("waits", () => {
  const refused = (extended: string) => new PeerError("cip/status", "no", { facts: { status: 1, extended } });
  const wait = (error: Error, failures: number) =>
    waitAfter(error, failures, { ...request, timeoutMultiplier: 4 }, defaultBackoff);

  test("after a crash for the target's watchdog, then longer", () => {
    // 5 ms times 64, and a little.
    expect(wait(refused("0x0106"), 1)).toBe(420);
    expect(wait(refused("0x0100"), 3)).toBe(420);
    expect(wait(refused("0x0106"), 4)).toBeGreaterThan(6000);
  });

  test.each([
    { error: refused("0x0113"), waits: [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] },
    { error: new TransportError("transport/refused", "no"), waits: [200, 400, 800, 1600, 3200, 5000, 5000] },
  ])("$error.code, doubling, with a bound", ({ error, waits }) => {
    for (const [i, expected] of waits.entries()) {
      expect(wait(error, i + 1)).toBeGreaterThanOrEqual(0.9 * expected);
      expect(wait(error, i + 1)).toBeLessThanOrEqual(1.1 * expected);
    }
  });
});
