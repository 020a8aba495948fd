import { connect as connectTcp, createServer } from "node:net";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { openIoPort } from "@cipsec/transport";
import { objectPath } from "@cipsec/wire";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import {
  Port,
  Scanner,
  assemblyPath,
  connect,
  getConnectionOwner,
  openIo,
  openUdpGate,
  parseRoute,
  searchConnectionData,
  tags,
  type IoRequest,
  type OpenGate,
  type Session,
  type StateChange,
} from "../../src/index.ts";
import { net } from "../addresses.ts";

const address = `${net}.100`;
const target = { scheme: "eip", host: address } as const;
let folder: string;
let device: Target;
let session: Session;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-io-"));
  device = await startTarget({
    stateDir: folder,
    description: readDescription({
      name: "adapter",
      identity: {
        vendorId: 0xffff,
        productCode: 7,
        revision: { major: 1, minor: 2 },
        serialNumber: 0xcafe,
        productName: "Adapter",
      },
      address,
      security: null,
      assemblies: [
        { instance: 100, kind: "input", size: 8, name: "in" },
        { instance: 150, kind: "output", size: 4, name: "out" },
      ],
      connections: [
        { name: "owner", type: "exclusive-owner", consume: 150, produce: 100, multicast: true },
        { name: "monitor", type: "input-only", consume: 254, produce: 100, multicast: true, maxConnections: 8 },
      ],
      tags: [{ name: "Count", type: "DINT", value: 258 }],
    }),
  });
  session = await connect(target);
});
afterAll(async () => {
  await session.close();
  await device[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** A watchdog of 320 ms: enough for a machine that is busy, short enough to wait for. */
function owner(changes: Partial<IoRequest> = {}): IoRequest {
  return {
    oToT: { rpiMicros: 10_000, size: 4 },
    tToO: { rpiMicros: 10_000, size: 8 },
    timeoutMultiplier: 3,
    path: assemblyPath({ oToT: 150, tToO: 100 }),
    ...changes,
  };
}

const until = (check: () => unknown): Promise<void> =>
  vi.waitFor(async () => expect(await check()).toBeTruthy(), { timeout: 8000, interval: 10 });

test("outputs reach the device, inputs reach us, and the device says whose connection it is", async () => {
  await using io = await openIo(session, owner({ timeoutMultiplier: 7 }), { output: Uint8Array.of(1, 2, 3, 4) });
  await until(() => io.statistics().received > 5);
  await until(async () => (await session.getRaw(objectPath(4, 150, 3)))[3] === 4);
  const { triad } = io.granted;
  expect(await searchConnectionData(session, triad)).toMatchObject(triad);
  expect(await getConnectionOwner(session, assemblyPath({ oToT: 150, tToO: 100 }))).toMatchObject({
    ...triad,
    lastAction: 2,
  });
  await expect(openIo(session, owner())).rejects.toMatchObject({
    facts: { extended: "0x0106", field: "O→T path" },
    fix: expect.stringContaining("watchdog"),
  });
});

test("a size that is wrong is corrected by the device's own answer", async () => {
  const wrong = owner({
    oToT: { rpiMicros: 10_000, size: 2 },
    tToO: { rpiMicros: 10_000, size: 20 },
    timeoutMultiplier: 7,
  });
  await using io = await openIo(session, wrong);
  expect(io.granted).toMatchObject({ oToTSize: 4, tToOSize: 8 });
  await until(() => io.statistics().received > 3);
});

test("multicast inputs, beside another listener to the same group", async () => {
  const multicast = owner({
    oToT: { rpiMicros: 20_000, size: 0 },
    tToO: { rpiMicros: 20_000, size: 8, type: "multicast" },
    timeoutMultiplier: 7,
    path: assemblyPath({ oToT: 254, tToO: 100 }),
  });
  await using first = await openIo(session, multicast);
  await using second = await openIo(session, multicast);
  expect(second.granted.group).toEqual(first.granted.group);
  await until(() => first.statistics().received > 3 && second.statistics().received > 3);
});

test("multicast inputs while another program has our port 2222: the group's port is the target's to say", async () => {
  const local = `${net}.101`;
  await using _other = await openIoPort({ address: local, port: Port.io, receive: () => undefined });
  const multicast = owner({
    oToT: { rpiMicros: 20_000, size: 0 },
    tToO: { rpiMicros: 20_000, size: 8, type: "multicast" },
    timeoutMultiplier: 7,
    path: assemblyPath({ oToT: 254, tToO: 100 }),
  });
  await using io = await openIo(session, multicast, { openGate: (way) => openUdpGate({ ...way, local }) });
  expect(io.facts.local.port).not.toBe(Port.io);
  expect(io.granted.group?.port).toBe(Port.io);
  await until(() => io.statistics().received > 3);
});

test("0x0106 after a crash: waits for the target's watchdog, then owns the outputs", async () => {
  let isDead = false;
  const dying: OpenGate = async (way) => {
    const gate = await openUdpGate(way);
    return {
      ...gate,
      path(remote) {
        const path = gate.path(remote);
        return { facts: path.facts, send: (bytes) => (isDead ? undefined : path.send(bytes)) };
      },
    };
  };
  await using crashed = await openIo(session, owner(), { openGate: dying });
  await until(() => crashed.statistics().received > 3);
  const changes: StateChange[] = [];
  const onState = (change: StateChange): void => {
    changes.push(change);
    // It dies when the next one asks, so that its watchdog has not ended before, however slow this machine is.
    isDead ||= change.state === "waiting";
  };
  await using scanner = new Scanner({ onState });
  const again = scanner.add({ name: "again", target, request: owner() });
  await until(() => again.state === "running" && (again.statistics().current?.received ?? 0) > 3);
  const waits = changes.filter(({ state }) => state === "waiting");
  expect(waits[0]).toMatchObject({ reason: { facts: { extended: "0x0106" } }, retryInMs: 420 });
  expect(waits.length).toBeLessThanOrEqual(2);
});

test("a route through the device itself leads to its tags", async () => {
  expect(await tags(session, { route: parseRoute("1,0") }).read(["Count"])).toMatchObject([{ value: 258 }]);
  const [missing] = await tags(session, { route: parseRoute("1,9") }).read(["Count"]);
  expect(missing).toMatchObject({ error: { facts: { router: true } } });
});

test.each([
  { priority: undefined, dscp: undefined, marked: 47 },
  { priority: "urgent", dscp: undefined, marked: 55 },
  { priority: "high", dscp: undefined, marked: 43 },
  { priority: "low", dscp: undefined, marked: 31 },
  { priority: "low", dscp: 12, marked: 12 },
] as const)("packets of priority $priority are marked with $marked", async ({ priority, dscp, marked }) => {
  const oToT = { rpiMicros: 10_000, size: 4, ...(priority === undefined ? {} : { priority }) };
  await using io = await openIo(session, owner({ oToT }), dscp === undefined ? {} : { dscp });
  expect(io.dscp).toBe(marked);
});

test("a Forward_Open whose answer is cut off does not keep the owner out", async () => {
  // A way to the device that delivers the first Forward_Open and then breaks before the answer passes.
  let cuts = 1;
  const way = createServer((near) => {
    const far = connectTcp(44_818, address);
    near.pipe(far);
    far.on("data", (chunk: Buffer) => {
      const isOpened = chunk.includes(Buffer.of(0xd4, 0x00, 0x00, 0x00));
      if (!isOpened || cuts === 0) near.write(chunk);
      else {
        cuts -= 1;
        near.destroy();
      }
    });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => way.listen(0, address, resolve));
  const listening = way.address();
  if (listening === null || typeof listening === "string") throw new RangeError("no port");
  const changes: StateChange[] = [];
  try {
    await using scanner = new Scanner({
      backoff: { lostMs: 10, maxLostMs: 20, refusedMs: 10, maxRefusedMs: 20 },
      onState: (change) => changes.push(change),
    });
    const one = scanner.add({
      name: "cut",
      target: { scheme: "eip", host: address, port: listening.port },
      request: {
        oToT: { rpiMicros: 20_000, size: 4 },
        tToO: { rpiMicros: 20_000, size: 8 },
        timeoutMultiplier: 7,
        path: assemblyPath({ oToT: 150, tToO: 100 }),
      },
    });
    await vi.waitFor(() => expect(one.state).toBe("running"), { timeout: 8000, interval: 5 });
    expect(cuts).toBe(0);
    const reasons = changes.flatMap(({ reason }) => reason ?? []);
    // Once cut off, and never refused for an owner that was itself.
    expect(reasons.map(({ name }) => name)).toEqual(["TransportError"]);
  } finally {
    await new Promise((resolve) => way.close(resolve));
  }
});
