import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDescription } from "../src/description.ts";
import { deviceLimits } from "../src/limits.ts";
import { forwardOpen, sendOpen } from "./support/connection.ts";
import { heartbeatOpen, inputOnly, inputs } from "./support/io.ts";
import { identity, registerSession, request } from "./support/device.ts";
import { runDevice, type RunningDevice, type TargetSession } from "./support/target-session.ts";

const least = { name: "d", identity };

describe("limits of a description", () => {
  test("each alone; the rest is as it is without", () => {
    expect(readDescription(least).limits).toBeUndefined();
    expect(readDescription({ ...least, limits: { sessions: 5 } }).limits).toEqual({ ...deviceLimits, sessions: 5 });
  });

  test("a smaller whole makes smaller shares", () => {
    const { limits } = readDescription({ ...least, limits: { ioConnections: 10, explicitConnections: 2 } });
    expect(limits).toMatchObject({ ioConnectionsPerOriginator: 10, explicitConnectionsPerOriginator: 2 });
  });

  test.each([
    { name: "nothing at all", limits: { sessions: 0 }, where: "device.limits.sessions" },
    { name: "more than the machine could", limits: { ioConnections: 10_001 }, where: "device.limits.ioConnections" },
    { name: "messages without room", limits: { messageOctets: 63 }, where: "device.limits.messageOctets" },
    {
      name: "a share above the whole",
      limits: { explicitConnections: 4, explicitConnectionsPerOriginator: 5 },
      where: "device.limits.explicitConnectionsPerOriginator",
    },
    { name: "more sessions than connections", limits: { tcpConnections: 10 }, where: "device.limits.sessions" },
    { name: "a limit that there is not", limits: { users: 1 }, where: "device.limits.users" },
  ])("refuses $name", ({ limits, where }) => {
    expect(() => readDescription({ ...least, limits })).toThrow(
      expect.objectContaining({ code: "usage/file", facts: { where } }),
    );
  });
});

describe("CR 2.7: beyond a limit a request is refused, and those who are in stay", () => {
  const address = "127.33.3.1";
  let device: RunningDevice;
  let session: TargetSession;
  let other: TargetSession;

  beforeAll(async () => {
    device = await runDevice(address, {
      assemblies: [{ instance: inputs, kind: "input", size: 6 }],
      limits: {
        tcpConnections: 4,
        tcpConnectionsPerAddress: 3,
        handshakes: 2,
        sessions: 3,
        explicitConnections: 3,
        explicitConnectionsPerOriginator: 2,
        messageOctets: 100,
        ioConnections: 3,
        ioConnectionsPerOriginator: 2,
      },
    });
    session = await device.session("127.33.3.10");
    other = await device.session("127.33.3.11");
  });

  afterAll(async () => {
    await device[Symbol.asyncDispose]();
  });

  let serial = 0;
  const explicit = async (peer: TargetSession): Promise<readonly number[]> => {
    serial += 1;
    const open = forwardOpen({ connectionSerial: serial, size: 90 });
    const { status, extended } = await sendOpen(peer, open);
    return [status, ...extended];
  };
  const io = async (peer: TargetSession): Promise<readonly number[]> => {
    const open = heartbeatOpen(inputOnly);
    const { status, extended } = await sendOpen(peer, {
      ...open,
      path: [...open.path.slice(0, 1), ...open.path.slice(2)],
    });
    return [status, ...extended];
  };
  const outOfConnections = [1, 0x0113];

  test.each([
    { name: "class 3 connections", open: explicit },
    { name: "class 0 and 1 connections", open: io },
  ])("$name: of one originator, then of all", async ({ open }) => {
    expect([await open(session), await open(session), await open(session)]).toEqual([[0], [0], outOfConnections]);
    expect([await open(other), await open(other)]).toEqual([[0], outOfConnections]);
  });

  test("octets of a message, and the size that would do", async () => {
    const { status, extended } = await sendOpen(other, forwardOpen({ connectionSerial: 99, size: 101 }));
    expect([status, ...extended]).toEqual([1, 0x0127, 100]);
  });

  /** Connects and registers a session: its status, or that the connection was closed. */
  const register = (localAddress: string): Promise<number | "closed"> =>
    new Promise((resolve) => {
      const socket = connect({ host: address, port: 44_818, localAddress });
      sockets.push(socket);
      socket.on("data", (reply: Uint8Array) => resolve(reply[8] ?? 0));
      socket.on("error", () => resolve("closed"));
      socket.on("close", () => resolve("closed"));
      socket.write(registerSession());
    });
  const sockets: Socket[] = [];

  test("sessions, TCP connections of one address, then of all; the sessions that exist go on", async () => {
    // Two sessions are there, one from each address.
    expect(await register("127.33.3.10")).toBe(0);
    expect(await register("127.33.3.10")).toBe(2);
    expect(await register("127.33.3.10")).toBe("closed");
    expect(await register("127.33.3.12")).toBe("closed");
    expect((await session.request(request(0x0e, [1, 1, 1]))).status).toBe(0);
    expect((await other.request(request(0x0e, [1, 1, 1]))).status).toBe(0);
    sockets[0]?.destroy();
    sockets[1]?.destroy();
    await expect.poll(() => register("127.33.3.12"), { timeout: 20_000 }).toBe(0);
    for (const socket of sockets) socket.destroy();
  });
});
