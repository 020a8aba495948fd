import dgram from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import {
  assemblyPath,
  connect,
  ioUdpPort,
  openIo,
  parseTarget,
  type IoConnection,
  type IoRequest,
  type SecurityOptions,
  type Session,
} from "@cipsec/originator";
import type { DeviceDescription } from "@cipsec/target";
import { openUdp, type Endpoint } from "@cipsec/transport";
import { PeerError, isStackError, objectPath } from "@cipsec/wire";
import type { KeyLogging, Proof } from "./proofs.ts";
import { openRelay, type Captured, type Relay, type Way } from "./relay.ts";

const name = "io-protected";
const expected =
  "I/O runs over DTLS; a datagram that is replayed, altered or sent by a stranger changes nothing; plain UDP 2222 is closed";

/** Milliseconds: slow enough to hold packets back, fast enough to wait for. The multiplier makes the watchdog ten seconds. */
const rpiMs = 20;
const multiplier = 7;

/** Milliseconds for a datagram on loopback to take effect: far above what it takes. */
const settleMs = 60;

/** Milliseconds that a wait for the device may take on a busy machine. */
const patienceMs = 15_000;

/**
 * Proves that the I/O of a device is protected, with a relay on the way that notes every datagram of both directions.
 *
 * First data goes both ways (the control). Then the relay holds back what comes, so that no true packet hides an effect, and sends:
 * noted datagrams again, held ones with one bit changed, held ones from another socket. Outputs of the device, read over TLS,
 * and the counters of the connection must not move. Last, a held one is sent as it is, and does its work: what was tried before
 * arrived, and was refused for the one reason that it should be.
 */
export async function proveIo(
  device: DeviceDescription,
  security: SecurityOptions,
  logging: KeyLogging = {},
): Promise<Proof> {
  try {
    const observed = await trial(device, security, logging);
    return { name, expected, observed, holds: true };
  } catch (error) {
    if (!isStackError(error)) throw error;
    return { name, expected, observed: error.message, holds: false };
  }
}

async function trial(device: DeviceDescription, security: SecurityOptions, logging: KeyLogging): Promise<string> {
  const { address, ports } = device;
  await using relay = await openRelay({ address, port: ports.eipd ?? 2221 });
  const options = { ...logging, reconnect: false as const, requestTimeoutMs: patienceMs, connectTimeoutMs: patienceMs };
  await using watching = await connect(parseTarget(`eips://${address}`), { ...options, security });
  await using session = await connect(parseTarget(`eipd://${relay.local.address}:${relay.local.port}`), {
    ...options,
    localAddress: "127.0.0.1",
    // The relay's address is not the device's, which is what its certificate names.
    security: { ...security, checkName: address },
  });
  const owner = ownerOf(device);
  const outputs = (): Promise<Uint8Array> => watching.getRaw(objectPath(0x04, owner.point, 3));
  const pattern = (octet: number): Uint8Array => new Uint8Array(owner.request.oToT.size).fill(octet);

  await using io = await openIo(session, owner.request, { output: pattern(0xa1) });
  await until(async () => isAll(await outputs(), 0xa1) && io.statistics().received > 3, "no data goes both ways");
  const old = relay.take();
  io.setOutput(pattern(0xb2));
  await until(async () => isAll(await outputs(), 0xb2), "changed outputs do not reach the device");

  relay.hold();
  io.setOutput(pattern(0xc3));
  await sleep(settleMs);
  relay.take();
  await sleep(3 * rpiMs);
  let fresh = relay.take();
  // A busy machine may have sent nothing for a while.
  await until(() => {
    const { toDevice, toTool } = relay.take();
    fresh = { toDevice: [...fresh.toDevice, ...toDevice], toTool: [...fresh.toTool, ...toTool] };
    return Promise.resolve(fresh.toDevice.length > 0 && fresh.toTool.length > 0);
  }, "nothing was captured");
  const counted = countersOf(io);
  for (const [words, attack] of attacks(relay, old, fresh, { address, port: ports.eipd ?? 2221 })) {
    await attack();
    await sleep(settleMs);
    if (!isAll(await outputs(), 0xb2)) throw broken(`outputs changed by a datagram that was ${words}`);
    if (countersOf(io) !== counted) throw broken(`the tool took a datagram that was ${words}`);
  }

  for (const bytes of fresh.toDevice) relay.send("toDevice", bytes);
  for (const bytes of fresh.toTool) relay.send("toTool", bytes);
  await until(async () => isAll(await outputs(), 0xc3), "a true datagram has no effect either");
  await until(() => Promise.resolve(countersOf(io) !== counted), "a true datagram is not taken by the tool either");
  relay.pass();
  if (!(await isClosed({ address, port: ioUdpPort }))) throw broken("plain UDP 2222 is open");
  return `${tries(old, fresh)} forgeries changed nothing, UDP 2222 closed; ${overWords(session)}`;
}

type Attack = readonly [words: string, run: () => Promise<void>];

const ways = ["toDevice", "toTool"] as const satisfies readonly Way[];

function attacks(relay: Relay, old: Captured, fresh: Captured, device: Endpoint): readonly Attack[] {
  const both = (send: (way: Way) => void) => (): Promise<void> => {
    for (const way of ways) send(way);
    return Promise.resolve();
  };
  return [
    ["replayed", both((way) => old[way].forEach((bytes) => relay.send(way, bytes)))],
    ["altered", both((way) => fresh[way].forEach((bytes) => relay.send(way, altered(bytes))))],
    [
      "sent by a stranger",
      async () => {
        await using stranger = await openUdp({ address: "127.0.0.1", port: 0, receive: () => undefined });
        for (const bytes of fresh.toDevice) stranger.send(bytes, device);
        for (const bytes of fresh.toTool) if (relay.tool !== undefined) stranger.send(bytes, relay.tool);
        await sleep(settleMs);
      },
    ],
  ];
}

/** The same, with the last bit turned: header and length stay good, so that nothing but the protection can tell. */
function altered(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice();
  const last = copy.length - 1;
  copy[last] = (copy[last] ?? 0) ^ 1;
  return copy;
}

function tries(old: Captured, fresh: Captured): number {
  const count = ({ toDevice, toTool }: Captured): number => toDevice.length + toTool.length;
  return count(old) + 2 * count(fresh);
}

/** All that tells that the tool has taken or noticed a packet. */
function countersOf(io: IoConnection): string {
  const { received, lost, duplicates, outOfOrder, malformed } = io.statistics();
  return [received, lost, duplicates, outOfOrder, malformed].join(" ");
}

function overWords({ facts: { protocol, security } }: Session): string {
  if (protocol !== "dtls" || security?.encrypts !== true) throw broken("the association does not encrypt");
  return `DTLS ${security.suiteName.replace(/^TLS_/u, "")}`;
}

/** What a trial shows to be otherwise than it must be. */
function broken(words: string): PeerError {
  return new PeerError("cip/mismatch", words);
}

function ownerOf({ connections, assemblies }: DeviceDescription): { point: number; request: IoRequest } {
  const owner = connections.find(({ type }) => type === "exclusive-owner");
  if (owner === undefined) throw broken("the device has no connection that owns its outputs");
  const sizeOf = (instance: number): number => assemblies.find((one) => one.instance === instance)?.size ?? 0;
  const rpiMicros = rpiMs * 1000;
  const { configuration } = owner;
  return {
    point: owner.consume,
    request: {
      oToT: { rpiMicros, size: sizeOf(owner.consume), format: owner.oToTFormat },
      tToO: { rpiMicros, size: sizeOf(owner.produce), format: owner.tToOFormat },
      timeoutMultiplier: multiplier,
      path: assemblyPath({
        oToT: owner.consume,
        tToO: owner.produce,
        ...(configuration === undefined ? {} : { configuration }),
      }),
    },
  };
}

function isAll(octets: Uint8Array, octet: number): boolean {
  return octets.length > 0 && octets.every((one) => one === octet);
}

async function until(check: () => Promise<boolean>, otherwise: string): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!(await check())) {
    if (performance.now() > end) throw broken(otherwise);
    await sleep(5);
  }
}

/** Whether nobody has this UDP port: the machine says so itself to a socket that is connected to it. */
export async function isClosed(remote: Endpoint): Promise<boolean> {
  const socket = dgram.createSocket("udp4");
  const { promise, resolve } = Promise.withResolvers<boolean>();
  socket.on("error", () => resolve(true));
  socket.connect(remote.port, remote.address, () => socket.send(new Uint8Array(24)));
  // What has arrived while this process was held up is heard before the time counts as over.
  const timer = setTimeout(() => setImmediate(() => resolve(false)), settleMs);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}
