import { expect, test } from "vitest";
import type { Endpoint, UdpSocket } from "../src/index.ts";
import { openUdp } from "../src/index.ts";
import { rejection } from "./support.ts";

const address = "127.23.3.1";

async function open(
  options: Partial<Parameters<typeof openUdp>[0]> = {},
): Promise<{ socket: UdpSocket; got: [string, Endpoint][] }> {
  const got: [string, Endpoint][] = [];
  const receive = (bytes: Uint8Array, remote: Endpoint): number => got.push([bytes.join(" "), remote]);
  return { socket: await openUdp({ address, port: 0, receive, ...options }), got };
}

test("datagrams go both ways, whole and in order", async () => {
  const a = await open();
  const b = await open();
  for (const octet of [1, 2, 3]) a.socket.send(Uint8Array.of(octet, octet), b.socket.local);
  await expect.poll(() => b.got.length).toBe(3);
  expect(b.got.map(([bytes]) => bytes)).toEqual(["1 1", "2 2", "3 3"]);
  expect(b.got[0]?.[1]).toEqual(a.socket.local);
  await a.socket.close();
  await a.socket.close();
  a.socket.send(Uint8Array.of(9), b.socket.local);
  await b.socket.close();
});

test("a broadcast reaches every socket that shares the address", async () => {
  const shared = { address: "127.255.255.255", reuse: true };
  const one = await open(shared);
  const { port } = one.socket.local;
  const two = await open({ ...shared, port });
  const sender = await open({ broadcast: true });
  sender.socket.send(Uint8Array.of(0x63), { address: "127.255.255.255", port });
  await expect.poll(() => [one.got.length, two.got.length]).toEqual([1, 1]);
  expect(two.got[0]).toEqual(["99", sender.socket.local]);
  for (const { socket } of [one, two, sender]) await socket.close();
});

test("what cannot be sent is counted and ends nothing", async () => {
  const { socket } = await open();
  socket.send(Uint8Array.of(1), { address: "127.255.255.255", port: 9 });
  socket.send(Uint8Array.of(1), { address: "plc.example", port: 9 });
  socket.send(Uint8Array.of(1), { address, port: 0 });
  socket.send(new Uint8Array(70_000), { address, port: 9 });
  await expect.poll(() => socket.sendErrors).toBe(4);
  const peer = await open();
  socket.send(Uint8Array.of(2), peer.socket.local);
  await expect.poll(() => peer.got.length).toBe(1);
  await socket.close();
  await peer.socket.close();
});

test("an address that cannot be bound is named", async () => {
  expect(await rejection(open({ address: "192.0.2.1" }))).toMatchObject({
    code: "transport/address",
    facts: { where: "192.0.2.1:0" },
  });
});
