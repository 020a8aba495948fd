import { createSocket, type Socket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import { createDtlsEndpoint, type Acceleration, type Association } from "@cipsec/dtls";
import { acceptAnyone, dial, listenDtls, type TlsPolicy } from "@cipsec/transport";
import { startServer } from "./child.ts";
import { farKey, type FarFigures, type FarOrder } from "./dtls-process.ts";
import { spread, type Spread } from "./measure.ts";

const near = "127.35.2.1";
const far = { address: "127.35.2.2", port: 2221, plainPort: 2222 };

const outstanding = 32;
const payloadOctets = 64;
/** Of a record with AES-GCM and a connection id of six octets. */
const recordOctets = payloadOctets + 37 + 7;

const psk = { psk: { identity: Buffer.from("bench"), key: farKey } };

/**
 * Packets a second of processor time, each counted where it is sent and where it is received: echoes over loopback, both
 * ends in this process.
 */
export async function protectedPackets(acceleration: Acceleration, forMs: number): Promise<number> {
  const common = { address: near, acceleration, suites: [0xd001] };
  await using listening = await createDtlsEndpoint({
    ...common,
    credentials: { findPsk: () => farKey },
    onAssociation(association) {
      association.onMessage = (payload) => association.send(payload);
    },
  });
  await using dialling = await createDtlsEndpoint({ ...common, credentials: psk });
  const association = await dialling.connect(listening.local);
  const payload = new Uint8Array(payloadOctets);
  return await echoes(
    () => association.send(payload),
    (received) => void (association.onMessage = received),
    forMs,
  );
}

/** The same by channels of `transport`, as CIP uses them: datagrams go by calls of the C library where it can be had. */
export async function channelPackets(acceleration: Acceleration, forMs: number): Promise<number> {
  const [suites, certificates, psks] = [[0xd001], [], [{ identity: psk.psk.identity, key: farKey, usage: 2 }]];
  const tls: TlsPolicy = { suites, certificates, sendChain: false, psks, verifyPeer: true, verify: acceptAnyone() };
  await using listener = await listenDtls({
    address: near,
    port: 0,
    tls: () => tls,
    acceleration,
    accept: (channel) => channel.receive((payload) => channel.send(payload)),
  });
  await using channel = await dial({ protocol: "dtls", host: near, port: listener.port, tls, acceleration });
  const payload = new Uint8Array(payloadOctets);
  return await echoes(
    () => channel.send(payload),
    (received) => channel.receive(received),
    forMs,
  );
}

/** The same with plain datagrams of the same size. */
export async function plainPackets(forMs: number): Promise<number> {
  const [a, b] = [plainSocket(), plainSocket()];
  for (const socket of [a, b]) await bound(socket, near);
  const ignore = (): void => undefined;
  b.on("message", (bytes, { address, port }) => b.send(bytes, port, address, ignore));
  const { address, port } = b.address();
  const payload = new Uint8Array(recordOctets);
  try {
    return await echoes(
      () => a.send(payload, port, address, ignore),
      (received) => void a.removeAllListeners("message").on("message", received),
      forMs,
    );
  } finally {
    for (const socket of [a, b]) socket.close();
  }
}

async function echoes(send: () => void, listen: (received: () => void) => void, forMs: number): Promise<number> {
  let count = 0;
  listen(() => {
    count += 1;
    send();
  });
  for (let i = 0; i < outstanding; i += 1) send();
  await sleep(forMs / 4);
  const before = process.cpuUsage();
  const from = count;
  await sleep(forMs);
  const { user, system } = process.cpuUsage(before);
  const done = count - from;
  listen(() => undefined);
  if (done === 0) throw new Error("nothing came back");
  return (4 * done * 1e6) / (user + system);
}

/** One-way times at 1,000 packets a second, microseconds: of DTLS and of plain UDP, taking turns. */
export interface Latency {
  readonly dtls: { readonly p50: Spread; readonly p99: Spread };
  readonly plain: { readonly p50: Spread; readonly p99: Spread };
  readonly addedP99: Spread;
}

/** Sender and receiver are processes of their own. */
export async function latency(rounds: number, forMs: number): Promise<Latency> {
  const order: FarOrder = { ...far, acceleration: "auto" };
  const server = await startServer("dtls-process.ts", order);
  try {
    await using dialling = await createDtlsEndpoint({ address: near, suites: [0xd001], credentials: psk });
    const association = await dialling.connect(far);
    const socket = plainSocket();
    await bound(socket, near);
    const dtls: [p50: number, p99: number][] = [];
    const plain: [p50: number, p99: number][] = [];
    await pace(association, socket, "dtls", 500);
    await pace(association, socket, "plain", 500);
    await server.ask({});
    for (let round = 0; round < rounds; round += 1) {
      await pace(association, socket, "dtls", forMs);
      await pace(association, socket, "plain", forMs);
      const figures = (await server.ask({})) as FarFigures;
      dtls.push(quantiles(figures.dtlsMicros));
      plain.push(quantiles(figures.plainMicros));
    }
    socket.close();
    const of = (all: readonly [number, number][], i: 0 | 1): Spread => spread(all.map((one) => one[i]));
    return {
      dtls: { p50: of(dtls, 0), p99: of(dtls, 1) },
      plain: { p50: of(plain, 0), p99: of(plain, 1) },
      addedP99: spread(dtls.map(([, p99], i) => p99 - (plain[i]?.[1] ?? 0))),
    };
  } finally {
    server.stop();
  }
}

/** A packet each millisecond, with its time of sending; what the timer missed is sent late, and stamped then. */
async function pace(association: Association, socket: Socket, how: "dtls" | "plain", forMs: number): Promise<void> {
  const began = performance.now();
  for (let sent = 0; sent < forMs;) {
    for (; sent < Math.min(forMs, performance.now() - began); sent += 1) {
      const payload = Buffer.alloc(how === "dtls" ? payloadOctets : recordOctets);
      payload.writeBigUInt64BE(process.hrtime.bigint());
      if (how === "dtls") association.send(payload);
      else socket.send(payload, far.plainPort, far.address, () => undefined);
    }
    await sleep(1);
  }
  await sleep(50);
}

function quantiles(micros: readonly number[]): [p50: number, p99: number] {
  const sorted = micros.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * sorted.length)] ?? Number.NaN;
  return [at(0.5), at(0.99)];
}

/** Resident memory of a server process for each of its idle associations, KiB. */
export async function idleKib(associations: number): Promise<number> {
  const server = await startServer("dtls-process.ts", { ...far, acceleration: "auto" } satisfies FarOrder);
  const clients: { close(): Promise<void> }[] = [];
  const open = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      const client = await createDtlsEndpoint({ address: near, suites: [0xd001], credentials: psk });
      clients.push(client);
      await client.connect(far);
    }
  };
  try {
    // The first ones pay for code and tables that all use.
    await open(50);
    const before = (await server.ask({})) as FarFigures;
    await open(associations);
    const after = (await server.ask({})) as FarFigures;
    if (after.open !== associations + 50) throw new Error(`${after.open} associations are open`);
    return (after.residentKib - before.residentKib) / associations;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    server.stop();
  }
}

function plainSocket(): Socket {
  return createSocket({ type: "udp4", lookup: (host, _options, done) => done(null, host, 4) });
}

function bound(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve) => void socket.bind(0, address, resolve));
}
