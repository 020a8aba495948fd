import { dial, listen, systemClock, type Channel } from "@cipsec/transport";
import { Command, ForwardOpen, MessageRouterRequest, MultipleServiceRequest, encode, frame } from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { serve } from "../src/serve.ts";
import { forwardOpen } from "./support/connection.ts";
import {
  Peer,
  device,
  registerSession,
  request,
  rrReply,
  sendRRData,
  serveLimits,
  someContext,
} from "./support/device.ts";
import { receiver } from "./support/loopback.ts";
import { FakeChannel, concat, hex, settle } from "./support/fakes.ts";

const read = hex("0e 03 2064 2401 3001");
const listServices = frame(Command.listServices, { context: someContext });

describe("frames in a stream", () => {
  test("eleven ListServices in one segment get eleven replies", async () => {
    const replies = await device()
      .peer()
      .send(concat(...Array.from({ length: 11 }, () => listServices)));
    expect(replies.map(({ command, status }) => [command, status])).toEqual(
      Array.from({ length: 11 }, () => [Command.listServices, 0]),
    );
  });

  test("PDUs split in two at every octet and coalesced are answered as if they had come whole", async () => {
    const handle = 0x1234_5678;
    const stream = concat(registerSession(), listServices, sendRRData(handle, read), listServices);
    const expected = [0, 0, 0x64, 0];
    for (let at = 0; at <= stream.length; at += 1) {
      const peer = device().peer();
      peer.channel.push(stream.subarray(0, at));
      const replies = await peer.send(stream.subarray(at));
      expect(replies.map(({ status }) => status)).toEqual(expected);
    }
  });

  test("PDUs that come one octet at a time are answered", async () => {
    const peer = device().peer();
    await peer.register();
    for (const octet of sendRRData(peer.handle, read)) peer.channel.push(Uint8Array.of(octet));
    await settle();
    expect(peer.received().map(rrReply)).toMatchObject([{ status: 0, data: hex("1400") }]);
  });

  test("requests are answered in the order they came, each before the next is begun", async () => {
    const { peer, router, boiler } = device();
    const client = peer();
    await client.register();
    const answers: (() => void)[] = [];
    router.hostSpecial(0x64, 0x60, async (asked) => {
      boiler.done.push(`begun ${asked.data[0]}`);
      await new Promise<void>((resolve) => answers.push(resolve));
      return { service: asked.service, status: 0, extended: [], data: asked.data };
    });
    const ask = (n: number): Uint8Array =>
      sendRRData(client.handle, encode(MessageRouterRequest, request(0x60, [0x64, 1], Uint8Array.of(n))));
    expect(await client.send(concat(ask(1), ask(2)))).toEqual([]);
    expect(boiler.done).toEqual(["begun 1"]);
    answers[0]?.();
    await settle();
    answers[1]?.();
    await settle();
    expect(client.received().map((reply) => rrReply(reply).data[0])).toEqual([1, 2]);
  });

  test("more frames waiting than the bound end the channel", async () => {
    const { peer, router } = device();
    const client = peer();
    await client.register();
    router.hostSpecial(0x64, 0x60, () => new Promise(() => undefined));
    await client.send(sendRRData(client.handle, encode(MessageRouterRequest, request(0x60, [0x64, 1]))));
    const frames = (count: number): Uint8Array => concat(...Array.from({ length: count }, () => listServices));
    await client.send(frames(serveLimits.maxWaiting));
    expect(client.channel.ended).toBeUndefined();
    await client.send(frames(1));
    expect(client.channel.ended).toBe("destroyed");
  });

  test("more octets waiting than the bound end the channel, however few the frames", async () => {
    const { services, clock, router } = device();
    const channel = new FakeChannel();
    serve(channel, {
      services,
      clock,
      limits: { ...serveLimits, maxFrame: 65_000, maxWaiting: 1000 },
      inactivityS: () => 0,
    });
    const client = new Peer(channel);
    await client.register();
    router.hostSpecial(0x64, 0x60, () => new Promise(() => undefined));
    await client.send(sendRRData(client.handle, encode(MessageRouterRequest, request(0x60, [0x64, 1]))));
    const large = frame(Command.nop, { data: new Uint8Array(65_000) });
    for (let i = 0; i < 16; i += 1) await client.send(large);
    expect(channel.ended).toBeUndefined();
    await client.send(large);
    expect(channel.ended).toBe("destroyed");
  });

  test("octets of frames that were answered do not count", async () => {
    const { peer } = device();
    const client = peer();
    const nop = frame(Command.nop, { data: new Uint8Array(1000) });
    for (let i = 0; i < 60; i += 1) await client.send(concat(...Array.from({ length: 20 }, () => nop)));
    expect(client.channel.ended).toBeUndefined();
  });

  test("a fault of ours while answering ends this channel only", async () => {
    const { peer, services } = device();
    const [unlucky, other] = [peer(), peer()];
    const discovery = services.discovery;
    services.discovery = () => {
      throw new RangeError("unforeseen");
    };
    await unlucky.send(frame(Command.listIdentity));
    expect(unlucky.channel.ended).toBe("destroyed");
    services.discovery = discovery;
    expect(await other.send(frame(Command.listIdentity))).toHaveLength(1);
  });

  test("an answer that comes after the channel has ended is dropped", async () => {
    const { peer, router, boiler } = device();
    const client = peer();
    await client.register();
    let answer: () => void = () => undefined;
    router.hostSpecial(0x64, 0x60, async (asked, context) => {
      context.afterReply(() => boiler.done.push("after"));
      await new Promise<void>((resolve) => (answer = resolve));
      return { service: asked.service, status: 0, extended: [], data: asked.data };
    });
    await client.send(sendRRData(client.handle, encode(MessageRouterRequest, request(0x60, [0x64, 1]))));
    client.channel.hangUp();
    await settle();
    answer();
    await settle();
    expect(client.received()).toEqual([]);
    expect(boiler.done).toEqual([]);
  });
});

test("a connection that is opened behind an answer that took its time goes with its session, if that has ended meanwhile", async () => {
  const { peer, router, connections } = device();
  let answer: () => void = () => undefined;
  router.hostSpecial(0x64, 0x60, async (asked) => {
    await new Promise<void>((resolve) => (answer = resolve));
    return { service: asked.service, status: 0, extended: [], data: asked.data };
  });
  const open = encode(ForwardOpen, forwardOpen());
  const packet = encode(MultipleServiceRequest, [request(0x60, [0x64, 1]), request(0x54, [6, 1], open)]);
  const client = peer();
  await client.register();
  await client.send(sendRRData(client.handle, encode(MessageRouterRequest, request(0x0a, [2, 1], packet))));
  client.channel.hangUp();
  await settle();
  answer();
  await settle();
  expect(connections.counters.openRequests).toBe(1);
  expect(connections.table.size).toBe(0);
});

describe("time that a frame may take", () => {
  test("a frame unfinished after its time ends the channel", async () => {
    const { peer, clock } = device();
    const client = peer();
    await client.send(listServices.subarray(0, 4));
    clock.advance(serveLimits.partialFrameMs - 1);
    expect(client.channel.ended).toBeUndefined();
    clock.advance(1);
    expect(client.channel.ended).toBe("destroyed");
  });

  test("octets that trickle do not win time", async () => {
    const { peer, clock } = device();
    const client = peer();
    for (const octet of listServices.subarray(0, 10)) {
      await client.send(Uint8Array.of(octet));
      clock.advance(serveLimits.partialFrameMs / 10);
    }
    expect(client.channel.ended).toBe("destroyed");
  });

  test("a frame that ends in time stops the timer; the next one has its own", async () => {
    const { peer, clock } = device();
    const client = peer();
    await client.send(listServices.subarray(0, 4));
    clock.advance(4000);
    await client.send(concat(listServices.subarray(4), listServices.subarray(0, 4)));
    clock.advance(4000);
    expect(client.channel.ended).toBeUndefined();
    await client.send(listServices.subarray(4));
    clock.advance(100_000);
    expect(client.channel.ended).toBeUndefined();
  });

  test("an oversize frame that is never sent to its end ends the channel", async () => {
    const { peer, clock } = device();
    const client = peer();
    const large = frame(Command.sendRRData, { data: new Uint8Array(5000) });
    await client.send(large.subarray(0, 2000));
    clock.advance(4000);
    await client.send(large.subarray(2000, 3000));
    clock.advance(1000);
    expect(client.channel.ended).toBe("destroyed");
  });
});

describe("inactivity, ethernet-ip.md 1.6", () => {
  test("silence closes the channel, with its session and class 3 connections", async () => {
    const { peer, clock, sessions } = device({ inactivityS: 120 });
    const client = peer();
    await client.register();
    clock.advance(119_999);
    expect(client.channel.ended).toBeUndefined();
    clock.advance(1);
    expect(client.channel.ended).toBe("closed");
    expect(sessions.size).toBe(0);
  });

  test("it covers a channel that never registered", () => {
    const { peer, clock } = device({ inactivityS: 3 });
    const client = peer();
    clock.advance(3000);
    expect(client.channel.ended).toBe("closed");
  });

  test.each([
    { name: "NOP", bytes: frame(Command.nop) },
    { name: "a request", bytes: listServices },
  ])("$name counts as activity", async ({ bytes }) => {
    const { peer, clock } = device({ inactivityS: 3 });
    const client = peer();
    for (let i = 0; i < 5; i += 1) {
      clock.advance(2000);
      await client.send(bytes);
    }
    expect(client.channel.ended).toBeUndefined();
    clock.advance(3000);
    expect(client.channel.ended).toBe("closed");
  });

  test("0 never closes", async () => {
    const { peer, clock } = device({ inactivityS: 0 });
    const client = peer();
    await client.register();
    clock.advance(100_000_000);
    expect(client.channel.ended).toBeUndefined();
  });

  test("a new value counts from the next message", () => {
    const { clock, services } = device();
    let seconds = 10;
    const channel = new FakeChannel();
    serve(channel, { services, clock, limits: serveLimits, inactivityS: () => seconds });
    seconds = 1;
    clock.advance(5000);
    expect(channel.ended).toBeUndefined();
    channel.push(frame(Command.nop));
    clock.advance(1000);
    expect(channel.ended).toBe("closed");
  });

  test("nothing is left on the clock when a channel has ended", async () => {
    const { peer, clock } = device({ inactivityS: 3 });
    const client = peer();
    await client.send(listServices.subarray(0, 4));
    client.channel.hangUp();
    await settle();
    expect(clock.waiting).toBe(0);
  });
});

describe("over loopback sockets", () => {
  test("a four-byte slow client does not stop others, and is cut off", { timeout: 60_000 }, async () => {
    const { services } = device();
    const limits = { ...serveLimits, partialFrameMs: 300 };
    await using listener = await listen({
      protocol: "tcp",
      address: "127.25.1.1",
      port: 0,
      accept: (channel) => serve(channel, { services, clock: systemClock, limits, inactivityS: () => 0 }),
    });
    const connect = (): Promise<Channel> =>
      dial({ protocol: "tcp", host: "127.25.1.1", port: listener.port, timeoutMs: 2000 });
    await using slow = await connect();
    slow.receive(() => undefined);
    slow.send(listServices.subarray(0, 4));
    await using quick = await connect();
    const replies = receiver(quick);
    for (let i = 1; i <= 20; i += 1) {
      quick.send(listServices);
      expect(await replies.next()).toMatchObject({ command: Command.listServices, status: 0 });
    }
    await slow.closed;
    quick.send(listServices);
    expect((await replies.next()).status).toBe(0);
  });
});
