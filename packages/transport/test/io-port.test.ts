import { expect, test } from "vitest";
import { openIoPort, type ChannelFacts, type IoPort, type IoPortOptions } from "../src/index.ts";
import { rejection } from "./support.ts";

const address = "127.31.0.1";

async function open(options: Partial<IoPortOptions> = {}): Promise<{ port: IoPort; got: [number[], ChannelFacts][] }> {
  const got: [number[], ChannelFacts][] = [];
  const receive = (bytes: Uint8Array, from: ChannelFacts): number => {
    expect(bytes.constructor).toBe(Uint8Array);
    return got.push([[...bytes], from]);
  };
  return { port: await openIoPort({ address, port: 0, receive, ...options }), got };
}

test("datagrams go both ways, from buffers that are used again at once", async () => {
  const a = await open();
  const b = await open({ address: "127.31.0.2" });
  await using _a = a.port;
  await using _b = b.port;
  const path = a.port.path(b.port.local);
  const octets = Uint8Array.of(0);
  for (let i = 1; i <= 20; i += 1) {
    octets[0] = i;
    path.send(octets);
  }
  await expect.poll(() => b.got.length).toBe(20);
  expect(b.got.map(([bytes]) => bytes[0])).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(b.got[0]?.[1]).toEqual({ protocol: "udp", local: b.port.local, remote: a.port.local });
  expect(b.got[19]?.[1]).toBe(b.got[0]?.[1]);
});

test("a group reaches every port that has joined it, until it leaves", async () => {
  const group = "239.192.31.1";
  const sender = await open({ address: "127.0.0.1" });
  await using _sender = sender.port;
  const listener = await open({ address: "127.0.0.1", reuse: true });
  await using _listener = listener.port;
  const { port } = listener.port.local;
  const path = sender.port.path({ address: group, port }, { ttl: 1 });
  listener.port.join(group);
  listener.port.join(group);
  listener.port.leave(group);
  await expect
    .poll(() => {
      path.send(Uint8Array.of(1));
      return listener.got.length;
    })
    .toBeGreaterThan(0);
  expect(listener.got[0]?.[1].remote).toEqual(sender.port.local);
  listener.port.leave(group);
  listener.port.leave(group);
  const before = listener.got.length;
  const probe = sender.port.path({ address: "127.0.0.1", port });
  path.send(Uint8Array.of(2));
  probe.send(Uint8Array.of(3));
  await expect.poll(() => listener.got.some(([bytes]) => bytes[0] === 3)).toBe(true);
  expect(listener.got.slice(before).some(([bytes]) => bytes[0] === 2)).toBe(false);
});

test("what cannot be sent or joined is counted and ends nothing", async () => {
  const { port } = await open();
  await using _port = port;
  port.path({ address: "plc.example", port: 9 }).send(Uint8Array.of(1));
  port.path({ address, port: 0 }).send(Uint8Array.of(1));
  port.path({ address, port: 9 }).send(new Uint8Array(70_000));
  port.join("192.0.2.1");
  await expect.poll(() => port.sendErrors).toBe(4);
  const peer = await open();
  await using _peer = peer.port;
  port.path(peer.port.local).send(Uint8Array.of(2));
  await expect.poll(() => peer.got.length).toBe(1);
});

test("a closed port sends and receives nothing", async () => {
  const { port } = await open();
  const path = port.path({ address, port: 9 });
  await port[Symbol.asyncDispose]();
  await port[Symbol.asyncDispose]();
  path.send(Uint8Array.of(1));
  expect(port.sendErrors).toBe(0);
});

test("an address that cannot be bound is named", async () => {
  expect(await rejection(open({ address: "192.0.2.1" }))).toMatchObject({ code: "transport/address" });
});
