import { expect, test } from "vitest";
import { openIoPort, type ChannelFacts } from "../src/index.ts";
import { markedSocket } from "./marked-socket.ts";

/*
 * Marks as they are on the wire: the receiver asks the system for the TOS octet of each datagram, which the runtime cannot.
 */

const port = 22_220;

test("each datagram carries the mark of its path, and one without a mark none", async () => {
  const receiver = markedSocket("127.36.1.2", port);
  try {
    await using sender = await openIoPort({ address: "127.36.1.1", port: 0, receive: () => undefined });
    expect(sender.marks).toBe(true);
    const remote = { address: "127.36.1.2", port };
    for (const dscp of [55, 47, 43, 31, undefined, 0, 63])
      sender.path(remote, dscp === undefined ? {} : { dscp }).send(Uint8Array.of(dscp ?? 99));
    const got: [number[], number][] = [];
    await expect
      .poll(() => {
        const next = receiver.next();
        if (next !== undefined) got.push([[...next.octets], next.tos]);
        return got.length;
      })
      .toBe(7);
    expect(got.map(([[octet = -1], tos]) => [octet, tos >> 2])).toEqual([
      [55, 55],
      [47, 47],
      [43, 43],
      [31, 31],
      [99, 0],
      [0, 0],
      [63, 63],
    ]);
    expect(got.every(([, tos]) => (tos & 3) === 0)).toBe(true);
  } finally {
    receiver.close();
  }
});

test("without the calls of the C library a port works and says that it does not mark", async () => {
  const receiver = markedSocket("127.36.1.3", port);
  try {
    const sender = await openIoPort({ address: "127.36.1.1", port: 0, native: false, receive: () => undefined });
    await using _sender = sender;
    expect(sender.marks).toBe(false);
    sender.path({ address: "127.36.1.3", port }, { dscp: 55 }).send(Uint8Array.of(1));
    await expect.poll(() => receiver.next()).toMatchObject({ octets: Uint8Array.of(1), tos: 0 });
  } finally {
    receiver.close();
  }
});

test("hundreds of datagrams of all lengths go by few calls, in order and whole, from many senders", async () => {
  const got: [string, number, number][] = [];
  const receive = (bytes: Uint8Array, from: ChannelFacts): void => {
    const isWhole = bytes.every((octet) => octet === bytes.length % 251);
    got.push([from.remote.address, bytes.length, isWhole ? 1 : 0]);
  };
  await using receiver = await openIoPort({ address: "127.36.1.4", port: 0, receive });
  await using a = await openIoPort({ address: "127.36.1.5", port: 0, receive: () => undefined });
  await using b = await openIoPort({ address: "127.36.1.6", port: 0, receive: () => undefined });
  const octets = new Uint8Array(65_507);
  const lengths = Array.from({ length: 300 }, (_, i) => (i * 7) % 1400);
  lengths.push(65_507, 9000, 65_507);
  for (const length of lengths)
    for (const port of [a, b]) {
      octets.fill(length % 251);
      port.path(receiver.local).send(octets.subarray(0, length));
    }
  await expect.poll(() => got.length).toBe(2 * lengths.length);
  for (const from of ["127.36.1.5", "127.36.1.6"])
    expect(got.filter(([address]) => address === from)).toEqual(lengths.map((length) => [from, length, 1]));
  expect([a.sendErrors, b.sendErrors]).toEqual([0, 0]);
});

test("a port that is closed by what it receives gives nothing more", async () => {
  let got = 0;
  const receive = (): void => {
    got += 1;
    void receiver[Symbol.asyncDispose]();
  };
  const receiver = await openIoPort({ address: "127.36.1.7", port: 0, receive });
  await using sender = await openIoPort({ address: "127.36.1.8", port: 0, receive: () => undefined });
  const path = sender.path(receiver.local);
  for (let i = 0; i < 200; i += 1) path.send(Uint8Array.of(i));
  await expect.poll(() => got).toBeGreaterThan(0);
  await receiver[Symbol.asyncDispose]();
  path.send(Uint8Array.of(1));
  await using probe = await openIoPort({ address: "127.36.1.7", port: 0, receive: () => undefined });
  expect(probe.local.port).toBeGreaterThan(0);
  expect(got).toBe(1);
});
