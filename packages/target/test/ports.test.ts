import { dial, openIoPort, systemClock, type Channel, type IoPort } from "@cipsec/transport";
import { IanaPort, UsageError } from "@cipsec/wire";
import { expect, test } from "vitest";
import type { DevicePorts } from "../src/description.ts";
import { Ports, type OpenPorts } from "../src/ports.ts";
import { discoveryFacts } from "./support/device.ts";

const closed: OpenPorts = { eip: false, eipUdp: false, io: false, eips: false, eipd: false };
const any: DevicePorts = { eip: 0, eipUdp: 0, io: 0, eips: 0 };

function portsAt(
  address: string,
  ports: DevicePorts = any,
  samePort = false,
): {
  readonly ports: Ports;
  readonly accepted: Channel[];
  readonly datagrams: number[];
  readonly closedIo: IoPort[];
} {
  const accepted: Channel[] = [];
  const datagrams: number[] = [];
  const closedIo: IoPort[] = [];
  const all = new Ports({
    address,
    ports,
    broadcastAddresses: [],
    samePort,
    clock: systemClock,
    tls: () => {
      throw new UsageError("usage/state", "no handshake is expected here");
    },
    accept: (channel) => {
      channel.receive(() => undefined);
      accepted.push(channel);
    },
    acceptDatagrams: (channel) => {
      channel.receive(() => undefined);
      accepted.push(channel);
    },
    dtlsTimeoutS: () => 0,
    discovery: () => discoveryFacts({ address }),
    receiveIo: (bytes) => datagrams.push(...bytes),
    ioClosed: (port) => closedIo.push(port),
    onRefused: () => undefined,
  });
  return { ports: all, accepted, datagrams, closedIo };
}

const connect = (host: string, port: number | undefined): Promise<Channel> =>
  dial({ protocol: "tcp", host, port: port ?? 0, timeoutMs: 2000 });

test("opens what shall be open, tells the numbers and the bits, and closes it again", async () => {
  const { ports } = portsAt("127.25.4.1");
  expect(ports.bits).toBe(0);
  await ports.apply({ ...closed, eip: true, eipUdp: true, eips: true });
  expect(ports.bits).toBe(IanaPort.eip | IanaPort.eipUdp | IanaPort.eips);
  for (const name of ["eip", "eipUdp", "eips"] as const) expect(ports.number(name)).toBeGreaterThan(0);
  await ports.apply({ ...closed, eips: true });
  expect(ports.bits).toBe(IanaPort.eips);
  expect(ports.number("eip")).toBeUndefined();
  await ports[Symbol.asyncDispose]();
  expect(ports.bits).toBe(0);
});

test("closing a port refuses new connections and ends those that came in by it", async () => {
  const { ports, accepted } = portsAt("127.25.4.2");
  await ports.apply({ ...closed, eip: true });
  const number = ports.number("eip");
  await using channel = await connect("127.25.4.2", number);
  channel.receive(() => undefined);
  await expect.poll(() => accepted.length).toBe(1);
  await ports.apply(closed);
  await channel.closed;
  await expect(connect("127.25.4.2", number)).rejects.toMatchObject({ code: "transport/refused" });
});

test("a port that is open already stays as it is", async () => {
  const { ports } = portsAt("127.25.4.3");
  await ports.apply({ ...closed, eip: true });
  const number = ports.number("eip");
  await using channel = await connect("127.25.4.3", number);
  await ports.apply({ ...closed, eip: true, eipUdp: true });
  expect(ports.number("eip")).toBe(number);
  let hasEnded = false;
  void channel.closed.finally(() => (hasEnded = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(hasEnded).toBe(false);
  await ports[Symbol.asyncDispose]();
});

test("the I/O port takes datagrams while it is open, and tells before it closes", async () => {
  const { ports, datagrams, closedIo } = portsAt("127.31.4.1");
  expect(ports.io).toBeUndefined();
  await ports.apply({ ...closed, io: true });
  expect(ports.bits).toBe(IanaPort.io);
  const { io } = ports;
  await using sender = await openIoPort({ address: "127.31.4.2", port: 0, receive: () => undefined });
  sender.path({ address: "127.31.4.1", port: ports.number("io") ?? 0 }).send(Uint8Array.of(7));
  await expect.poll(() => datagrams).toEqual([7]);
  await ports.apply(closed);
  expect(ports.io).toBeUndefined();
  expect(closedIo).toEqual([io]);
});

test("a port that the description says never opens does not", async () => {
  const { ports } = portsAt("127.25.4.4", { eip: null, eipUdp: null, io: null, eips: null });
  await ports.apply({ eip: true, eipUdp: true, io: true, eips: true, eipd: true });
  expect(ports.bits).toBe(0);
});

test("a port that cannot be opened is told, and keeps no other one open", async () => {
  const first = portsAt("127.25.4.5");
  await first.ports.apply({ ...closed, eip: true });
  const taken = first.ports.number("eip") ?? 0;
  const second = portsAt("127.25.4.5", { eip: taken, eipUdp: 0, io: 0, eips: 0 });
  await second.ports.apply({ ...closed, eips: true });
  await expect(second.ports.apply({ ...closed, eip: true })).rejects.toMatchObject({ code: "transport/address" });
  expect(second.ports.bits).toBe(0);
  await second.ports.apply({ ...closed, eipUdp: true });
  expect(second.ports.bits).toBe(IanaPort.eipUdp);
  await second.ports[Symbol.asyncDispose]();
  await first.ports[Symbol.asyncDispose]();
});

test("changes asked for at the same time are carried out one after another", async () => {
  const { ports } = portsAt("127.25.4.6");
  await Promise.all([
    ports.apply({ ...closed, eip: true }),
    ports.apply(closed),
    ports.apply({ ...closed, eipUdp: true }),
    ports.apply({ ...closed, eip: true }),
  ]);
  expect(ports.bits).toBe(IanaPort.eip);
  await ports[Symbol.asyncDispose]();
});

test("on the same port, TLS and plain are let in each as its own port is open", async () => {
  const { ports, accepted } = portsAt("127.25.4.9", any, true);
  await ports.apply({ ...closed, eip: true, eips: true });
  const number = ports.number("eip") ?? 0;
  await using channel = await connect("127.25.4.9", number);
  channel.receive(() => undefined);
  channel.send(new Uint8Array(24));
  await expect.poll(() => accepted.length).toBe(1);
  await ports.apply({ ...closed, eips: true });
  expect(ports.bits).toBe(IanaPort.eips);
  await channel.closed;
  // The port takes TLS still: a plain octet is what it refuses.
  await using plain = await connect("127.25.4.9", number);
  plain.receive(() => undefined);
  plain.send(new Uint8Array(24));
  await plain.closed;
  expect(accepted).toHaveLength(1);
  await ports.apply(closed);
  await expect(connect("127.25.4.9", number)).rejects.toMatchObject({ code: "transport/refused" });
});
