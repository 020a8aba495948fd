import { openUdp, systemClock, type Clock, type UdpSocket } from "@cipsec/transport";
import { Command, RegisterSession, encode, frame, type Frame } from "@cipsec/wire";
import { describe, expect, test, vi } from "vitest";
import { answerDiscovery } from "../src/discovery.ts";
import { discoveryFacts, frameOf, someContext } from "./support/device.ts";
import { FakeClock, concat } from "./support/fakes.ts";

const broadcastAddress = "127.255.255.255";

/** A fake clock that also tells which waits were asked for. */
class WaitingClock extends FakeClock implements Clock {
  readonly waits: number[] = [];

  override after(ms: number, run: () => void) {
    this.waits.push(ms);
    return super.after(ms, run);
  }
}

interface Plant extends AsyncDisposable {
  readonly clock: WaitingClock;
  readonly came: { readonly reply: Frame; readonly from: string }[];
  unicast(...bytes: readonly Uint8Array[]): void;
  broadcast(...bytes: readonly Uint8Array[]): void;
  /** Replies to this and all before it: a last request whose reply shows that the earlier ones were seen. */
  settled(): Promise<readonly Frame[]>;
}

async function plant(address: string): Promise<Plant> {
  const clock = new WaitingClock();
  const came: { reply: Frame; from: string }[] = [];
  const device = await answerDiscovery({
    address,
    port: 0,
    broadcastAddresses: [broadcastAddress],
    clock,
    facts: () => discoveryFacts({ address }),
  });
  const client: UdpSocket = await openUdp({
    address: "127.25.3.200",
    port: 0,
    broadcast: true,
    receive: (bytes, from) => came.push({ reply: frameOf(bytes), from: `${from.address}:${from.port}` }),
  });
  const send = (to: string, bytes: readonly Uint8Array[]): void => {
    for (const each of bytes) client.send(each, { address: to, port: device.port });
  };
  const marker = frame(Command.listServices, { context: new Uint8Array(8).fill(0xee) });
  return {
    clock,
    came,
    unicast: (...bytes) => send(address, bytes),
    broadcast: (...bytes) => send(broadcastAddress, bytes),
    async settled() {
      const count = came.filter(({ reply }) => reply.context[0] === 0xee).length;
      send(address, [marker]);
      send(broadcastAddress, [marker]);
      await vi.waitFor(
        () => expect(came.filter(({ reply }) => reply.context[0] === 0xee)).toHaveLength(count + 2),
        15_000,
      );
      return came.map(({ reply }) => reply).filter((reply) => reply.context[0] !== 0xee);
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await device[Symbol.asyncDispose]();
    },
  };
}

const identify = (maxDelayMs = 0): Uint8Array =>
  frame(Command.listIdentity, { context: Uint8Array.of(maxDelayMs & 0xff, maxDelayMs >> 8, 3, 4, 5, 6, 7, 8) });

describe("unicast, ethernet-ip.md 1.7", () => {
  test("is answered at once, from the discovery port, with the context", async () => {
    await using net = await plant("127.25.3.1");
    net.unicast(identify(500));
    const replies = await net.settled();
    expect(replies).toMatchObject([{ command: Command.listIdentity, status: 0 }]);
    expect(replies[0]?.context).toEqual(Uint8Array.of(0xf4, 1, 3, 4, 5, 6, 7, 8));
    expect(net.clock.waits).toEqual([]);
    expect(net.came[0]?.from).toMatch(/^127\.25\.3\.1:/);
  });

  test.each(["listServices", "listInterfaces"] as const)("%s is answered", async (name) => {
    await using net = await plant("127.25.3.2");
    net.unicast(frame(Command[name], { context: someContext }));
    expect(await net.settled()).toMatchObject([{ command: Command[name], status: 0, context: someContext }]);
  });

  test.each([
    { name: "an unknown command", command: 0x1234 },
    { name: "RegisterSession, TCP only", command: Command.registerSession },
    { name: "SendRRData, TCP only", command: Command.sendRRData },
    { name: "StartDTLS", command: Command.startDtls },
  ])("$name: header with status 1", async ({ command }) => {
    await using net = await plant("127.25.3.3");
    const data = encode(RegisterSession, { version: 1, options: 0 });
    net.unicast(frame(command, { session: 7, context: someContext, data }));
    const replies = await net.settled();
    expect(replies).toEqual([
      { command, session: 7, status: 1, context: someContext, options: 0, data: new Uint8Array(0) },
    ]);
  });
});

describe("malformed datagrams are dropped", () => {
  test.each([
    { name: "no octets but one", bytes: Uint8Array.of(0x63) },
    { name: "a header cut short", bytes: identify().subarray(0, 23) },
    { name: "an octet behind the frame", bytes: concat(identify(), Uint8Array.of(0)) },
    { name: "a length that claims more than is there", bytes: identify().map((octet, i) => (i === 2 ? 1 : octet)) },
    {
      name: "eleven ListServices in one datagram",
      bytes: concat(...Array.from({ length: 11 }, () => frame(Command.listServices))),
    },
    { name: "options other than 0", bytes: frame(Command.listIdentity, { options: 1 }) },
    { name: "status other than 0", bytes: frame(Command.listIdentity, { status: 1 }) },
    { name: "NOP", bytes: frame(Command.nop) },
    { name: "noise", bytes: new Uint8Array(1400).fill(0xa5) },
    {
      name: "a ListIdentity reply: two devices must not answer each other for ever",
      bytes: frame(Command.listIdentity, { data: Uint8Array.of(0, 0) }),
    },
  ])("$name", async ({ bytes }) => {
    await using net = await plant("127.25.3.4");
    net.unicast(bytes);
    net.broadcast(bytes);
    expect(await net.settled()).toEqual([]);
    expect(net.clock.waits).toEqual([]);
  });

  test("our own reply, sent back, is not answered", async () => {
    await using net = await plant("127.25.3.5");
    net.unicast(identify());
    const [reply] = await net.settled();
    if (reply !== undefined) net.unicast(frame(reply.command, reply));
    expect(await net.settled()).toHaveLength(1);
  });
});

describe("broadcast", () => {
  test.each([
    { asked: 0, max: 2000 },
    { asked: 1, max: 500 },
    { asked: 500, max: 500 },
    { asked: 501, max: 501 },
    { asked: 60_000, max: 60_000 },
  ])(
    "ListIdentity with maximum delay $asked waits a new random time up to $max ms for each",
    async ({ asked, max }) => {
      await using net = await plant("127.25.3.6");
      for (let i = 0; i < 4; i += 1) {
        net.broadcast(...Array.from({ length: 10 }, () => identify(asked)));
        await net.settled();
        net.clock.advance(max);
      }
      expect(await net.settled()).toHaveLength(40);
      expect(net.clock.waits.every((ms) => ms > 0 && ms <= max)).toBe(true);
      // Forty draws: all small, all large or all equal happen less than once in 10^9 runs.
      expect(Math.max(...net.clock.waits)).toBeGreaterThan(max / 2);
      expect(Math.min(...net.clock.waits)).toBeLessThan(max / 2);
    },
  );

  test("the reply comes when its time is over, not before", async () => {
    await using net = await plant("127.25.3.7");
    net.broadcast(identify(60_000));
    await vi.waitFor(() => expect(net.clock.waits).toHaveLength(1), 15_000);
    net.clock.advance((net.clock.waits[0] ?? 0) - 1);
    expect(await net.settled()).toEqual([]);
    net.clock.advance(1);
    expect(await net.settled()).toMatchObject([{ command: Command.listIdentity }]);
  });

  test("at most 16 replies wait; the rest of a flood is dropped", async () => {
    await using net = await plant("127.25.3.8");
    net.broadcast(...Array.from({ length: 60 }, () => identify(60_000)));
    await net.settled();
    net.clock.advance(60_000);
    const replies = await net.settled();
    expect(replies.length).toBeGreaterThanOrEqual(16);
    expect(net.clock.waits).toHaveLength(16);
  });

  test("ListServices and ListInterfaces are answered at once", async () => {
    await using net = await plant("127.25.3.9");
    net.broadcast(frame(Command.listServices), frame(Command.listInterfaces));
    expect((await net.settled()).map(({ command }) => command)).toEqual([Command.listServices, Command.listInterfaces]);
    expect(net.clock.waits).toEqual([]);
  });

  test("an unknown or TCP-only command gets no reply", async () => {
    await using net = await plant("127.25.3.10");
    net.broadcast(frame(0x1234), frame(Command.registerSession));
    expect(await net.settled()).toEqual([]);
  });
});

test("a reply that still waits when the port closes is never sent", async () => {
  const net = await plant("127.25.3.11");
  net.broadcast(identify(60_000));
  await vi.waitFor(() => expect(net.clock.waiting).toBe(1), 15_000);
  await net[Symbol.asyncDispose]();
  net.clock.advance(60_000);
  expect(net.came).toEqual([]);
});

test("an address that cannot be bound is told, and leaves nothing open", async () => {
  const facts = { clock: systemClock, facts: () => discoveryFacts() };
  await using taken = await openUdp({ address: "127.25.3.14", port: 0, receive: () => undefined });
  const { port } = taken.local;
  const own = answerDiscovery({ ...facts, address: "127.25.3.14", port, broadcastAddresses: [] });
  await expect(own).rejects.toMatchObject({ code: "transport/address" });
  const other = { ...facts, address: "127.25.3.13", port };
  const broadcast = answerDiscovery({ ...other, broadcastAddresses: ["127.25.3.14"] });
  await expect(broadcast).rejects.toMatchObject({ code: "transport/address" });
  await using again = await answerDiscovery({ ...other, broadcastAddresses: [] });
  expect(again.port).toBe(port);
});
