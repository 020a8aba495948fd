import dgram from "node:dgram";
import { ItemType, readIoData } from "@cipsec/wire";
import { describe, expect, test, vi } from "vitest";
import { assemblyPath, connect, openIo, type InputState, type IoRequest, type Session } from "../../src/index.ts";
import { net } from "../addresses.ts";
import { fakeAdapter, sockaddr, type AdapterWish, type FakeAdapter } from "./fake-adapter.ts";

let host = 0;

interface Pair extends AsyncDisposable {
  readonly adapter: FakeAdapter;
  readonly session: Session;
}

async function pair(wish: AdapterWish = {}): Promise<Pair> {
  host = (host + 2) % 250;
  const local = `${net}.${host + 1}`;
  const adapter = await fakeAdapter(`${net}.${host + 2}`, local, wish);
  const session = await connect(
    { scheme: "eip", host: adapter.address, port: adapter.port },
    { localAddress: local, requestTimeoutMs: 5000 },
  );
  return {
    adapter,
    session,
    async [Symbol.asyncDispose]() {
      await session.close();
      await adapter[Symbol.asyncDispose]();
    },
  };
}

function request(changes: Partial<IoRequest> = {}): IoRequest {
  return {
    oToT: { rpiMicros: 10_000, size: 4 },
    tToO: { rpiMicros: 10_000, size: 8 },
    path: assemblyPath({ configuration: 151, oToT: 150, tToO: 100 }),
    ...changes,
  };
}

const until = (check: () => unknown): Promise<void> =>
  vi.waitFor(() => expect(check()).toBeTruthy(), { timeout: 15_000, interval: 5 });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("opens, produces at the granted interval before anything came, and closes", async () => {
  await using p = await pair({ produces: false, apiMicros: { oToT: 5000, tToO: 10_000 } });
  await using io = await openIo(p.session, request(), { output: Uint8Array.of(1, 2, 3, 4) });
  await until(() => p.adapter.received.length > 20);
  const [first, ...rest] = p.adapter.received;
  expect(first?.frame.sequence).toBe(1);
  const times = p.adapter.received.map(({ atMs }) => atMs);
  const intervals = rest.map((_, i) => (times[i + 1] ?? 0) - (times[i] ?? 0)).toSorted((a, b) => a - b);
  expect(intervals[Math.floor(intervals.length / 2)]).toBeGreaterThan(3.5);
  // A machine that is held up makes some longer, not all.
  expect(intervals[0]).toBeLessThan(8);
  expect(readIoData(first?.frame.data ?? new Uint8Array(0), 1, "run-idle-32")).toEqual({
    count: 1,
    run: true,
    header: 1,
    data: Uint8Array.of(1, 2, 3, 4),
  });
  io.setRun(false);
  io.setOutput(Uint8Array.of(9, 9, 9, 9));
  const before = p.adapter.received.length;
  await until(() => p.adapter.received.length > before + 2);
  const last = readIoData(p.adapter.received.at(-1)?.frame.data ?? new Uint8Array(0), 1, "run-idle-32");
  expect(last).toMatchObject({ count: 2, run: false, data: Uint8Array.of(9, 9, 9, 9) });
  await io.close();
  await io.close();
  expect(p.adapter.closes).toBe(1);
  expect(p.adapter.open.size).toBe(0);
  expect(await io.ended).toEqual({ reason: "closed" });
  const sent = p.adapter.received.length;
  await pause(30);
  expect(p.adapter.received.length - sent).toBeLessThanOrEqual(1);
});

test("gives new input to the application, and statistics", async () => {
  await using p = await pair();
  const inputs: { octet: number; state: InputState }[] = [];
  await using io = await openIo(p.session, request(), {
    onInput: (data, state) => inputs.push({ octet: data[0] ?? -1, state }),
  });
  const [connection] = p.adapter.open.values();
  await until(() => io.statistics().received > 10);
  // The same count again and again: told once.
  expect(inputs).toEqual([{ octet: 0, state: { run: undefined, isNew: true } }]);
  connection?.writer.setData(Uint8Array.of(7));
  await until(() => inputs.length === 2);
  expect(inputs[1]?.octet).toBe(7);
  const { intervalMicros, lost, malformed, duplicates } = io.statistics();
  expect(intervalMicros.p50).toBeGreaterThan(5000);
  expect(intervalMicros.p1).toBeLessThan(20_000);
  expect(intervalMicros.max).toBeGreaterThanOrEqual(intervalMicros.p99);
  expect({ lost, malformed, duplicates }).toEqual({ lost: 0, malformed: 0, duplicates: 0 });
});

test("sequence: losses, duplicates, late ones, wrong lengths and strangers", async () => {
  await using p = await pair({ produces: false });
  const inputs: number[] = [];
  // The watchdog is to wait for all of them, whatever the machine does meanwhile.
  const patient = request({ timeoutMultiplier: 7 });
  await using io = await openIo(p.session, patient, { onInput: (data) => inputs.push(data[0] ?? -1) });
  const [connection] = p.adapter.open.values();
  if (connection === undefined) throw new RangeError("no connection");
  const packet = (sequence: number, count: number, octets = 8): Uint8Array => {
    const bytes = new Uint8Array(20 + octets);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 2, true);
    view.setUint16(2, 0x8002, true);
    view.setUint16(4, 8, true);
    view.setUint32(6, io.granted.tToOConnectionId, true);
    view.setUint32(10, sequence, true);
    view.setUint16(14, 0xb1, true);
    view.setUint16(16, 2 + octets, true);
    view.setUint16(18, count, true);
    bytes[20] = count;
    return bytes;
  };
  const send = (bytes: Uint8Array): void => p.adapter.raw(bytes, connection.to.port, connection.to.address);
  // The first is taken whatever its numbers are, also across the wrap.
  for (const [sequence, count] of [
    [0xffff_fffe, 0],
    [0xffff_ffff, 1],
    [0, 2],
    [0, 2],
    [4, 3],
    [3, 9],
    [5, 3],
  ] as const)
    send(packet(sequence, count));
  send(packet(6, 4, 7));
  send(Uint8Array.of(1, 2, 3));
  await until(() => io.statistics().malformed === 1);
  expect(io.statistics()).toMatchObject({ received: 5, lost: 3, duplicates: 1, outOfOrder: 1, malformed: 1 });
  expect(inputs).toEqual([0, 1, 2, 3]);
  const stranger = dgram.createSocket("udp4");
  await new Promise<void>((resolve) => stranger.bind(0, `${net}.254`, resolve));
  await new Promise((resolve) => stranger.send(packet(100, 100), connection.to.port, connection.to.address, resolve));
  await pause(30);
  stranger.close();
  expect(io.statistics().received).toBe(5);
});

test("the watchdog ends a connection, frees the target, and says what was missing", async () => {
  await using p = await pair();
  await using io = await openIo(p.session, request({ timeoutMultiplier: 2 }));
  await until(() => io.statistics().received > 2);
  const started = performance.now();
  for (const connection of p.adapter.open.values()) connection.stop();
  const end = await io.ended;
  expect(end).toMatchObject({ reason: "timed-out", error: { code: "transport/timeout" } });
  expect(performance.now() - started).toBeLessThan(2500);
  expect(io.isOpen).toBe(false);
  await until(() => p.adapter.closes === 1);
});

describe("formats", () => {
  test.each<{ name: string; request: Partial<IoRequest>; wish: AdapterWish; octets: number; size: number }>([
    {
      name: "heartbeat and 32-bit header",
      request: { oToT: { rpiMicros: 10_000, size: 0 }, tToO: { rpiMicros: 10_000, size: 8, format: "run-idle-32" } },
      wish: { format: "run-idle-32", size: 8 },
      octets: 2,
      size: 14,
    },
    {
      name: "modeless both ways, class 0",
      request: { transportClass: 0, oToT: { rpiMicros: 10_000, size: 4, format: "modeless" } },
      wish: { transportClass: 0, size: 8 },
      octets: 4,
      size: 8,
    },
    {
      name: "zero length",
      request: {
        oToT: { rpiMicros: 10_000, size: 4, format: "zero-length" },
        tToO: { rpiMicros: 10_000, size: 8, format: "zero-length" },
      },
      wish: { format: "zero-length", size: 8 },
      octets: 6,
      size: 10,
    },
  ])("$name", async ({ request: changes, wish, octets, size }) => {
    await using p = await pair(wish);
    const seen: InputState[] = [];
    await using io = await openIo(p.session, request(changes), { onInput: (_, state) => seen.push(state) });
    await until(() => p.adapter.received.length > 0 && seen.length > 0);
    expect(p.adapter.received[0]?.frame.data.length).toBe(octets);
    expect(p.adapter.opens[0]?.open.tToO.size).toBe(size);
    const tells = (changes.tToO?.format ?? "modeless") !== "modeless";
    expect(seen[0]).toEqual({ run: tells ? true : undefined, isNew: true });
    if (!tells) return;
    const [connection] = p.adapter.open.values();
    connection?.writer.setRun(false);
    await until(() => seen.some(({ run }) => run === false));
    expect(io.statistics().malformed).toBe(0);
  });
});

test.each(["change-of-state", "application"] as const)(
  "%s: sends at once, not within the inhibit time",
  async (trigger) => {
    await using p = await pair({ produces: false });
    const slow = { rpiMicros: 2_000_000, size: 4 };
    await using io = await openIo(p.session, request({ oToT: slow, trigger, inhibitMicros: 50_000 }));
    await until(() => p.adapter.received.length === 1);
    await pause(60);
    const told = performance.now();
    for (let value = 1; value <= 5; value += 1) {
      io.setOutput(Uint8Array.of(value));
      io.send();
    }
    await until(() => p.adapter.received.length >= 3);
    const [, second, third] = p.adapter.received;
    expect((second?.atMs ?? 0) - told).toBeLessThan(1000);
    expect((third?.atMs ?? 0) - told).toBeGreaterThan(45);
    expect(readIoData(third?.frame.data ?? new Uint8Array(0), 1, "run-idle-32")?.data[0]).toBe(5);
    expect(p.adapter.opens[0]?.open.transport).toBe(trigger === "application" ? 0x21 : 0x11);
  },
);

describe("Forward_Open", () => {
  test("large where needed; falls back, and takes the size that the target names", async () => {
    await using p = await pair({
      refuse: (open, large) => {
        if (large) return { status: 0x08 };
        return open.oToT.size === 10 ? { status: 1, extended: [0x0127, 42] } : undefined;
      },
    });
    await using io = await openIo(p.session, request({ large: true }));
    expect(p.adapter.opens.map(({ large, open }) => [large, open.oToT.size])).toEqual([
      [true, 10],
      [false, 10],
      [false, 42],
    ]);
    expect(io.granted).toMatchObject({ oToTSize: 36, large: false });
    expect(new Set(p.adapter.opens.map(({ open }) => open.connectionSerial)).size).toBe(3);
  });

  test("1400 octets need the large one; a target without it refuses with a cause", async () => {
    await using p = await pair({ refuse: (_, large) => (large ? { status: 0x08 } : undefined) });
    const big = request({ tToO: { rpiMicros: 10_000, size: 1400 } });
    await expect(openIo(p.session, big)).rejects.toMatchObject({ code: "cip/status", facts: { status: 8 } });
  });

  test.each([
    { extended: [0x0106], field: "O→T path", word: "owns these outputs" },
    { extended: [0x0111], field: "RPI", word: "cannot keep" },
    { extended: [0x0127], field: "O→T size", word: "size" },
    { extended: [0x0114], field: "electronic key", word: "another vendor" },
  ])("a refusal $extended says cause, fix and field", async ({ extended, field, word }) => {
    await using p = await pair({ refuse: () => ({ status: 1, extended }) });
    await expect(openIo(p.session, request())).rejects.toMatchObject({
      code: "cip/status",
      facts: { field },
      message: expect.stringContaining(word),
      fix: expect.stringMatching(/.{20}/u),
    });
  });

  test("announces a port of its own where 2222 is taken, sends to the port that the reply names", async () => {
    const local = `${net}.253`;
    const taken = dgram.createSocket("udp4");
    await new Promise<void>((resolve) => taken.bind(2222, local, resolve));
    await using adapter = await fakeAdapter(`${net}.252`, local, {
      items: [sockaddr(ItemType.sockaddrOtoT, 0x0808_0808, 2222)],
    });
    await using session = await connect(
      { scheme: "eip", host: adapter.address, port: adapter.port },
      { localAddress: local },
    );
    await using io = await openIo(session, request());
    await until(() => io.statistics().received > 2 && adapter.received.length > 2);
    taken.close();
    const announced = adapter.opens[0]?.items.find(({ type }) => type === ItemType.sockaddrTtoO);
    expect(announced?.data.length).toBe(16);
    // The address of the item is not believed: data goes to the device that we talk to.
    expect(io.granted.remote).toEqual({ address: adapter.address, port: 2222 });
    expect(adapter.received[0]?.fromPort).not.toBe(2222);
  });
});

test("an answer that cannot be read leaves no connection behind", async () => {
  await using p = await pair({ refuse: () => ({ data: new Uint8Array(20) }) });
  await expect(openIo(p.session, request())).rejects.toMatchObject({ code: "wire/truncated" });
  await until(() => p.adapter.closes === 1);
});

test("more than a datagram carries is not asked for", async () => {
  await using p = await pair();
  const big = request({ oToT: { rpiMicros: 10_000, size: 65_490 } });
  await expect(openIo(p.session, big)).rejects.toMatchObject({ code: "usage/argument" });
  expect(p.adapter.opens).toHaveLength(0);
});

test("an interval of nothing, asked for and granted, is none to send at", async () => {
  await using p = await pair();
  await using io = await openIo(p.session, request({ oToT: { rpiMicros: 0, size: 4 } }));
  expect(io.granted.oToTApiMicros).toBe(1000);
});

describe("multicast", () => {
  const multicast = request({ tToO: { rpiMicros: 10_000, size: 8, type: "multicast" } });

  test("joins the group that the target names", async () => {
    await using p = await pair({ items: [sockaddr(ItemType.sockaddrTtoO, 0xefc0_0142, 2222)], multicastId: 77 });
    await using io = await openIo(p.session, multicast);
    expect(io.granted).toMatchObject({ group: { address: "239.192.1.66", port: 2222 }, tToOConnectionId: 77 });
    await until(() => io.statistics().received > 3);
  });

  test.each<{ name: string; items: AdapterWish["items"]; code?: string }>([
    { name: "malformed multicast reply: no group", items: [] },
    {
      name: "malformed multicast reply: a group that is none",
      items: [sockaddr(ItemType.sockaddrTtoO, 0x0a00_0001, 2222)],
    },
    {
      name: "malformed multicast reply: a group that is cut short",
      items: [{ type: ItemType.sockaddrTtoO, data: new Uint8Array(7) }],
      code: "wire/truncated",
    },
  ])("$name is refused and closed", async ({ items = [], code = "cip/mismatch" }) => {
    await using p = await pair({ items });
    await expect(openIo(p.session, multicast)).rejects.toMatchObject({ code });
    await until(() => p.adapter.closes === 1);
  });
});

test("data does not go unprotected beside a secured session, unless the caller says so", async () => {
  await using p = await pair();
  const { facts } = p.session;
  const security = { version: "TLSv1.3", suite: 0x1301, suiteName: "x", encrypts: true, peer: { kind: "anonymous" } };
  const secured = new Proxy(p.session, {
    get(session, name) {
      if (name === "facts") return { ...facts, security };
      const value: unknown = Reflect.get(session, name, session);
      return typeof value === "function" ? value.bind(session) : value;
    },
  });
  await expect(openIo(secured, request())).rejects.toMatchObject({ code: "usage/state" });
  expect(p.adapter.opens).toHaveLength(0);
  await using io = await openIo(secured, request(), { allowPlainIo: true });
  expect(io.isOpen).toBe(true);
});

test("a hundred connections opened and closed leave nothing behind", async () => {
  await using p = await pair({ produces: false });
  for (let i = 0; i < 100; i += 1) {
    const io = await openIo(p.session, request());
    await io.close();
  }
  expect(p.adapter.closes).toBe(100);
  expect(p.adapter.open.size).toBe(0);
  // The port is free again: nobody holds it.
  const probe = dgram.createSocket("udp4");
  await new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.bind(2222, p.session.facts.local.address, resolve);
  });
  probe.close();
});
