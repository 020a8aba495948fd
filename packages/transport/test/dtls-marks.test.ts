import { acceptAnyone, channelPath, dial, listenDtls, type Channel, type TlsPolicy } from "../src/index.ts";
import { expect, test } from "vitest";
import { openDtlsPort } from "../src/dtls-port.ts";
import { socketAddress } from "../src/native-sockets.ts";
import { markedSocket } from "./marked-socket.ts";
import { echo, utf8 } from "./support.ts";

/*
 * DTLS by calls of the C library and without: marks as they are on the wire, and datagrams that go by few calls.
 */

const address = "127.40.1.1";
const listening = "127.40.1.2";
const key = { identity: utf8("marks"), key: new Uint8Array(32).fill(3), usage: 2 };
const tls: TlsPolicy = {
  suites: [0xd001],
  certificates: [],
  sendChain: false,
  psks: [key],
  verifyPeer: true,
  verify: acceptAnyone(),
};

type Acceleration = "auto" | "required" | "off";

async function serve(accept: (channel: Channel) => void, acceleration: Acceleration, dscp?: number) {
  const mark = dscp === undefined ? {} : { dscp };
  return await listenDtls({ address: listening, port: 0, tls: () => tls, accept, acceleration, ...mark });
}

/** Stands between client and listener, and notes the code point of each datagram of either. */
function relay(port: number, server: number) {
  const front = markedSocket(address, port);
  const back = markedSocket(address, port + 1);
  const listener = new Uint8Array(socketAddress(listening, server).buffer);
  const marks = { client: [] as number[], server: [] as number[] };
  let client: Uint8Array | undefined;
  const timer = setInterval(() => {
    for (let got = front.next(); got !== undefined; got = front.next()) {
      client = got.from;
      marks.client.push(got.tos / 4);
      back.send(got.octets, listener);
    }
    for (let got = back.next(); got !== undefined; got = back.next()) {
      marks.server.push(got.tos / 4);
      if (client !== undefined) front.send(got.octets, client);
    }
  }, 1);
  const forget = (): void => {
    marks.client.length = 0;
    marks.server.length = 0;
  };
  const dispose = (): void => {
    clearInterval(timer);
    front.close();
    back.close();
  };
  return { marks, forget, [Symbol.dispose]: dispose };
}

test.each([
  { acceleration: "required", port: 22_230, handshake: 27, io: [55, 47] },
  { acceleration: "off", port: 22_240, handshake: 0, io: [undefined, undefined] },
] as const)(
  "acceleration $acceleration: handshakes and messages carry the channel's mark, I/O its own",
  async ({ acceleration, port, handshake, io }) => {
    const paths: (number | undefined)[] = [];
    const accelerated: (boolean | undefined)[] = [];
    await using listener = await serve(
      (channel) => {
        const path = channelPath(channel, { dscp: 47 });
        paths.push(path.dscp);
        accelerated.push(channel.facts.security?.accelerated);
        channel.receive((bytes) => (bytes[0] === 1 ? path.send(bytes) : channel.send(bytes)));
      },
      acceleration,
      27,
    );
    using between = relay(port, listener.port);
    await using channel = await dial({ protocol: "dtls", host: address, port, tls, dscp: 27, acceleration });
    expect(between.marks.client.length).toBeGreaterThanOrEqual(3);
    expect([...between.marks.client, ...between.marks.server].every((mark) => mark === handshake)).toBe(true);
    between.forget();
    const path = channelPath(channel, { dscp: 55 });
    const got: number[] = [];
    channel.receive((bytes) => got.push(bytes[0] ?? -1));
    path.send(Uint8Array.of(1));
    channel.send(Uint8Array.of(2));
    path.send(Uint8Array.of(1));
    await expect.poll(() => got).toEqual([1, 2, 1]);
    expect([path.dscp, paths[0]]).toEqual(io);
    expect(between.marks.client).toEqual([io[0] ?? 0, handshake, io[0] ?? 0]);
    expect(between.marks.server).toEqual([io[1] ?? 0, handshake, io[1] ?? 0]);
    expect([channel.facts.security?.accelerated, accelerated[0]]).toEqual(Array(2).fill(acceleration === "required"));
  },
);

test.each(["auto", "off"] as const)(
  "acceleration %s: hundreds of datagrams of one turn come whole and in order, from a buffer that is used again",
  async (acceleration) => {
    await using listener = await serve(echo, acceleration);
    await using channel = await dial({ protocol: "dtls", host: listening, port: listener.port, tls, acceleration });
    const got: string[] = [];
    channel.receive((bytes) => {
      const [first = -1] = bytes;
      got.push(`${first} ${bytes.length} ${bytes.every((octet) => octet === first)}`);
    });
    const octets = new Uint8Array(400);
    const sent = Array.from({ length: 200 }, (_, i) => {
      octets.fill(i);
      channel.send(octets.subarray(0, 1 + ((i * 7) % 400)));
      return `${i} ${1 + ((i * 7) % 400)} true`;
    });
    await expect.poll(() => got.length).toBe(200);
    expect(got).toEqual(sent);
  },
);

test.each([true, false])("native %s: what is sent has left at the end of the turn that sent it", async (native) => {
  const receiver = markedSocket(address, 22_250);
  const port = await openDtlsPort({ address: listening, port: 0 }, "dial", { native, dscp: 27 });
  try {
    expect(port.marks).toBe(native);
    const remote = { address, port: 22_250 };
    for (const [first, dscp] of [
      [1, 55],
      [2, undefined],
      [3, 47],
    ] as const)
      port.send(Uint8Array.of(first), remote, dscp);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    const got = [receiver.next(), receiver.next(), receiver.next()].map((one) => [one?.octets[0], one?.tos]);
    expect(got).toEqual(
      native
        ? [
            [1, 220],
            [2, 108],
            [3, 188],
          ]
        : [
            [1, 0],
            [2, 0],
            [3, 0],
          ],
    );
    port.send(Uint8Array.of(4), remote, undefined);
    await port.close();
    expect(receiver.next()?.octets[0]).toBe(4);
    port.send(Uint8Array.of(5), remote, undefined);
    expect(port.sendErrors).toBe(0);
  } finally {
    receiver.close();
    await port.close();
  }
});

test("what a port gives to DTLS stays as it was when more comes", async () => {
  const port = await openDtlsPort({ address: listening, port: 0 }, "listen", {});
  const sender = markedSocket(address, 22_251);
  try {
    const got: Uint8Array[] = [];
    port.listen((bytes) => got.push(bytes));
    const to = new Uint8Array(socketAddress(listening, port.local.port).buffer);
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 20; i += 1) sender.send(new Uint8Array(50).fill(round * 20 + i), to);
      await expect.poll(() => got.length).toBe((round + 1) * 20);
    }
    expect(got.map((bytes) => [bytes.length, new Set(bytes).size, bytes[0]])).toEqual(
      Array.from({ length: 60 }, (_, i) => [50, 1, i]),
    );
    port.send(Uint8Array.of(1), { address: "nowhere", port: 1 }, undefined);
    expect(port.sendErrors).toBe(1);
  } finally {
    sender.close();
    await port.close();
  }
});
