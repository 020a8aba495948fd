import net from "node:net";
import { once } from "node:events";
import { expect, test } from "vitest";
import type { Channel, RefusedEvent } from "../src/index.ts";
import { dial, listen } from "../src/index.ts";
import { echo, rejection, roundTrip } from "./support.ts";

const address = "127.23.0.1";

/** A listener whose channels can be waited for. */
async function catching(limits = {}): Promise<{ port: number; next: () => Promise<Channel> } & AsyncDisposable> {
  const got: Channel[] = [];
  const listener = await listen({ protocol: "tcp", address, port: 0, limits, accept: (channel) => got.push(channel) });
  return {
    port: listener.port,
    async next() {
      await expect.poll(() => got.length).toBeGreaterThan(0);
      const [channel] = got.splice(0, 1);
      if (channel === undefined) throw new Error("no channel");
      return channel;
    },
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

test("carries octets both ways and says who speaks", async () => {
  await using listener = await listen({ protocol: "tcp", address, port: 0, accept: echo });
  await using channel = await dial({ protocol: "tcp", host: address, port: listener.port, localAddress: "127.23.0.2" });
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  expect(await roundTrip(channel, bytes)).toEqual(bytes);
  expect(channel.facts).toEqual({
    protocol: "tcp",
    local: { address: "127.23.0.2", port: expect.any(Number) },
    remote: { address, port: listener.port },
  });
  expect(listener.connections).toBe(1);
  await channel.close();
  expect(await channel.closed).toEqual({ clean: true });
  await expect.poll(() => listener.connections).toBe(0);
});

test("octets that come before the receiver reach it first, bounded by the peer's window", async () => {
  await using listener = await catching({ maxUnreadBytes: 1000 });
  const raw = net.connect(listener.port, address);
  const channel = await listener.next();
  raw.end(Buffer.alloc(32_000_000, 7));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(raw.writableLength).toBeGreaterThan(0);
  let total = 0;
  channel.receive((bytes) => (total += bytes.length));
  expect(await channel.closed).toEqual({ clean: true });
  expect(total).toBe(32_000_000);
});

test("what is sent in one turn leaves as one write, in order, and also before a destroy", async () => {
  await using listener = await catching();
  const raw = net.connect(listener.port, address);
  const chunks: Buffer[] = [];
  raw.on("data", (bytes: Buffer) => chunks.push(bytes));
  const channel = await listener.next();
  for (let i = 0; i < 100; i += 1) channel.send(Uint8Array.of(i));
  await expect.poll(() => chunks.length).toBe(1);
  expect(Buffer.concat(chunks)).toEqual(Buffer.from(Array.from({ length: 100 }, (_, i) => i)));
  channel.send(Uint8Array.of(100));
  await expect.poll(() => chunks.length).toBe(2);
  channel.send(Uint8Array.of(101));
  channel.destroy();
  await once(raw, "close");
  expect(Buffer.concat(chunks).at(-1)).toBe(101);
});

test("octets that came before a close are delivered after it", async () => {
  await using listener = await catching();
  const raw = net.connect(listener.port, address);
  raw.end("abc");
  const channel = await listener.next();
  await channel.closed;
  const got: Uint8Array[] = [];
  channel.receive((bytes) => got.push(bytes));
  expect(got).toEqual([Uint8Array.of(97, 98, 99)]);
  channel.send(Uint8Array.of(1));
  expect(channel.queued).toBe(0);
});

test("a peer that resets is told from one that closes", async () => {
  await using listener = await catching();
  const raw = net.connect(listener.port, address);
  await once(raw, "connect");
  const channel = await listener.next();
  raw.resetAndDestroy();
  expect(await channel.closed).toMatchObject({
    clean: false,
    error: { code: "transport/closed", facts: { system: "ECONNRESET" } },
  });
});

test("a half-open peer is closed after what waits for it is sent", async () => {
  await using listener = await catching();
  const raw = net.connect({ port: listener.port, host: address, allowHalfOpen: true });
  const channel = await listener.next();
  channel.receive(() => undefined);
  channel.send(new Uint8Array(500_000));
  raw.end();
  let total = 0;
  raw.on("data", (bytes) => (total += bytes.length));
  await once(raw, "end");
  expect(total).toBe(500_000);
  expect(await channel.closed).toEqual({ clean: true });
});

test("closing ends also when the peer keeps its half open", async () => {
  await using listener = await catching();
  const raw = net.connect({ port: listener.port, host: address, allowHalfOpen: true });
  raw.resume();
  const channel = await listener.next();
  const before = performance.now();
  await channel.close();
  expect(performance.now() - before).toBeLessThan(4_000);
  expect(await channel.closed).toEqual({ clean: true });
  raw.destroy();
});

test("a receiver that throws ends its channel only", async () => {
  await using listener = await catching();
  const raw = net.connect(listener.port, address);
  const channel = await listener.next();
  const fault = new Error("fault");
  channel.receive(() => {
    throw fault;
  });
  raw.write("x");
  expect(await channel.closed).toMatchObject({ clean: false, error: { code: "bug/unreachable", cause: fault } });
  const other = net.connect(listener.port, address);
  await listener.next();
  other.destroy();
});

test("a slow reader is cut off when its queue is full", async () => {
  await using listener = await catching({ maxQueuedBytes: 300_000 });
  const raw = net
    .connect(listener.port, address)
    .on("error", () => undefined)
    .pause();
  const channel = await listener.next();
  let sent = 0;
  const timer = setInterval(() => {
    channel.send(new Uint8Array(60_000));
    sent += 60_000;
  }, 1);
  const reason = await channel.closed;
  clearInterval(timer);
  expect(reason).toMatchObject({ clean: false, error: { code: "transport/limit" } });
  expect(sent).toBeGreaterThan(300_000);
  raw.destroy();
});

test("a reader that takes nothing is cut off after the stall time", async () => {
  await using listener = await catching({ maxQueuedBytes: 100_000_000, sendStallMs: 200 });
  const raw = net
    .connect(listener.port, address)
    .on("error", () => undefined)
    .pause();
  const channel = await listener.next();
  for (let sent = 0; sent < 200; sent += 1) channel.send(new Uint8Array(100_000));
  expect(channel.queued).toBeGreaterThan(0);
  expect(await channel.closed).toMatchObject({ clean: false, error: { code: "transport/timeout" } });
  raw.destroy();
});

test("the tap sees both directions", async () => {
  const seen: string[] = [];
  await using listener = await listen({ protocol: "tcp", address, port: 0, accept: echo });
  const tap = (direction: string, bytes: Uint8Array): number => seen.push(`${direction} ${bytes.join(" ")}`);
  await using channel = await dial({ protocol: "tcp", host: address, port: listener.port, tap });
  await roundTrip(channel, Uint8Array.of(1, 2));
  expect(seen).toEqual(["out 1 2", "in 1 2"]);
});

test("limits hold: connections in all, and from one address", async () => {
  const refused: RefusedEvent[] = [];
  await using listener = await listen({
    protocol: "tcp",
    address,
    port: 0,
    accept: echo,
    limits: { maxConnections: 3, maxPerAddress: 2 },
    onRefused: (event) => refused.push(event),
  });
  const open = async (from: string): Promise<Channel> =>
    await dial({ protocol: "tcp", host: address, port: listener.port, localAddress: from });
  const [first, second] = [await open("127.23.1.1"), await open("127.23.1.1")];
  const third = await open("127.23.1.1");
  expect(await third.closed).toMatchObject({ clean: expect.any(Boolean) });
  const fourth = await open("127.23.1.2");
  expect(await roundTrip(fourth, Uint8Array.of(4))).toEqual(Uint8Array.of(4));
  await (
    await open("127.23.1.3")
  ).closed;
  expect(refused.map(({ reason, remote }) => [reason, remote.address])).toEqual([
    ["address", "127.23.1.1"],
    ["connections", "127.23.1.3"],
  ]);
  expect(refused[0]?.error).toMatchObject({ code: "transport/limit" });
  await first.close();
  await expect.poll(() => listener.connections).toBe(2);
  await using again = await open("127.23.1.1");
  expect(await roundTrip(again, Uint8Array.of(5))).toEqual(Uint8Array.of(5));
  await second.close();
});

test("a closed listener frees the port and leaves channels alone; closeChannels ends those it names", async () => {
  const listener = await listen({ protocol: "tcp", address, port: 0, accept: echo });
  await using one = await dial({ protocol: "tcp", host: address, port: listener.port, localAddress: "127.23.1.1" });
  await using two = await dial({ protocol: "tcp", host: address, port: listener.port, localAddress: "127.23.1.2" });
  await listener.close();
  await listener.close();
  await using next = await listen({ protocol: "tcp", address, port: listener.port, accept: echo });
  expect(await roundTrip(one, Uint8Array.of(1))).toEqual(Uint8Array.of(1));
  listener.closeChannels(({ remote }) => remote.address === "127.23.1.1");
  expect(await one.closed).toEqual({ clean: true });
  expect(await roundTrip(two, Uint8Array.of(2))).toEqual(Uint8Array.of(2));
  listener.closeChannels();
  expect(await two.closed).toEqual({ clean: true });
  expect(next.connections).toBe(0);
});

test.each([
  { name: "nothing listens", host: address, port: 9, code: "transport/refused" },
  // An empty label: no name server is asked, which may be slow or far away.
  { name: "an unknown name", host: "no..host", port: 9, code: "transport/address" },
  { name: "a foreign local address", host: address, port: 9, localAddress: "192.0.2.1", code: "transport/address" },
])("dialling: $name", async ({ code, name: _, ...options }) => {
  const error = await rejection(dial({ protocol: "tcp", ...options }));
  expect(error).toMatchObject({ code, message: expect.stringContaining(`${options.host}:9`) });
});

test("dialling gives up in time, and at once when told to", async () => {
  // A listener with a full backlog answers no more SYNs.
  const full = net.createServer();
  full.listen({ host: address, port: 0, backlog: 1 });
  await once(full, "listening");
  const aborted = AbortSignal.abort(new Error("stop"));
  const bound = full.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  await expect(dial({ protocol: "tcp", host: address, port, signal: aborted })).rejects.toThrow("stop");
  full.close();
  const silent = net.createServer((socket) => socket.on("error", () => undefined));
  silent.listen(0, address);
  await once(silent, "listening");
  const there = silent.address();
  const silentPort = typeof there === "object" && there !== null ? there.port : 0;
  const tls = { suites: [0xc02b], certificates: [], sendChain: false, psks: [], verifyPeer: false };
  const late = await rejection(dial({ protocol: "tls", host: address, port: silentPort, timeoutMs: 100, tls }));
  expect(late).toMatchObject({ code: "transport/timeout", facts: { phase: "handshake" } });
  const stop = new AbortController();
  const waiting = rejection(dial({ protocol: "tls", host: address, port: silentPort, tls, signal: stop.signal }));
  setTimeout(() => stop.abort(new Error("stopped")), 20);
  expect(await waiting).toMatchObject({ message: "stopped" });
  silent.close();
});

test("listening on a taken port or a foreign address says which", async () => {
  await using listener = await listen({ protocol: "tcp", address, port: 0, accept: echo });
  const taken = await rejection(listen({ protocol: "tcp", address, port: listener.port, accept: echo }));
  expect(taken).toMatchObject({
    code: "transport/address",
    facts: { system: "EADDRINUSE", where: `${address}:${listener.port}` },
  });
  const foreign = await rejection(listen({ protocol: "tcp", address: "192.0.2.1", port: 0, accept: echo }));
  expect(foreign).toMatchObject({ code: "transport/address" });
  await expect(listen({ protocol: "tls", address, port: 0, accept: echo })).rejects.toMatchObject({
    code: "usage/argument",
  });
});
