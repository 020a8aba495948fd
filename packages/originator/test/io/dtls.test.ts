import { expect, test, vi } from "vitest";
import { Identity } from "@cipsec/objects";
import { openIoPort } from "@cipsec/transport";
import {
  Scanner,
  assemblyPath,
  connect,
  formatTarget,
  openIo,
  openUdpGate,
  parseTarget,
  type IoRequest,
  type OpenGate,
  type StateChange,
} from "../../src/index.ts";
import { net } from "../addresses.ts";
import { dtlsAdapter, security, type DtlsAdapter } from "./dtls-adapter.ts";

const local = `${net}.1`;
let host = 1;
const adapterHere = (): Promise<DtlsAdapter> => dtlsAdapter(`${net}.${(host += 1)}`);

/** A long watchdog where it is not what is tested: the machine is busy. */
const request: IoRequest = {
  oToT: { rpiMicros: 10_000, size: 4 },
  tToO: { rpiMicros: 10_000, size: 8 },
  timeoutMultiplier: 7,
  path: assemblyPath({ oToT: 150, tToO: 100 }),
};

const targetOf = ({ address, port }: DtlsAdapter) => parseTarget(`eipd://${address}:${port}`);
const sessionWith = (adapter: DtlsAdapter) => connect(targetOf(adapter), { security, localAddress: local });
const until = (check: () => unknown): Promise<void> =>
  vi.waitFor(() => expect(check()).toBeTruthy(), { timeout: 8000, interval: 5 });

test("a session over DTLS: typed access, and what protects it", async () => {
  await using adapter = await adapterHere();
  const lines: string[] = [];
  await using session = await connect(targetOf(adapter), { security, keyLog: (line) => lines.push(line) });
  expect(await session.object(Identity, 1).get("vendorId")).toBe(0x1234);
  expect(session.facts).toMatchObject({
    protocol: "dtls",
    remote: { address: adapter.address, port: adapter.port },
    security: { version: "DTLSv1.2", suite: 0xc037, encrypts: true },
  });
  expect(session.peer).toBe(formatTarget(targetOf(adapter)));
  expect(session.trust).toMatchObject({ kind: "psk", identity: "plant-key" });
  expect(lines.join("\n")).toMatch(/^CLIENT_RANDOM [\da-f]{64} [\da-f]{96}$/mu);
});

test("needs something to trust the device by, as TLS does", async () => {
  await expect(connect(parseTarget(`eipd://${net}.250`))).rejects.toMatchObject({
    code: "usage/argument",
    message: expect.stringContaining(`eipd://${net}.250:2221`),
  });
});

test("several connections on one association, both ways, and no port of their own", async () => {
  await using adapter = await adapterHere();
  await using session = await sessionWith(adapter);
  const mustNotOpen: OpenGate = () => Promise.reject(new Error("a UDP gate was opened"));
  const inputs: number[] = [];
  const options = { openGate: mustNotOpen, onInput: (data: Uint8Array) => void inputs.push(data.length) };
  const first = await openIo(session, request, { ...options, output: Uint8Array.of(1, 2, 3, 4) });
  const second = await openIo(session, request, { ...options, output: Uint8Array.of(5, 6, 7, 8), dscp: 12 });
  const marks = adapter.associations[0]?.marks === true;
  expect([first.dscp, second.dscp]).toEqual(marks ? [47, 12] : [undefined, undefined]);
  await until(() => first.statistics().received > 5 && second.statistics().received > 5);
  expect(adapter.associations).toHaveLength(1);
  expect(first.facts).toBe(session.facts);
  expect(first.granted.remote).toEqual({ address: adapter.address, port: adapter.port });
  expect(first.granted.tToOConnectionId).not.toBe(second.granted.tToOConnectionId);
  expect(first.statistics()).toMatchObject({ lost: 0, malformed: 0 });
  expect(inputs[0]).toBe(8);
  for (const [io, expected] of [
    [first, "01020304"],
    [second, "05060708"],
  ] as const) {
    const sentBy = () => adapter.received.filter(({ frame }) => frame.connectionId === io.granted.oToTConnectionId);
    await until(() => sentBy().length > 4);
    const sent = sentBy();
    expect(Buffer.from(sent[0]!.frame.data.subarray(6)).toString("hex")).toBe(expected);
  }
  // Requests go beside them.
  expect(await session.object(Identity, 1).get("vendorId")).toBe(0x1234);
  await first.close();
  expect(adapter.closes).toBe(1);
  const before = second.statistics().received;
  await until(() => second.statistics().received > before + 3);
  await second.close();
  expect(adapter.open.size).toBe(0);
  expect(session.isConnected).toBe(true);
});

test("the end of the association ends its connections at once, and tells why", async () => {
  await using adapter = await adapterHere();
  await using session = await sessionWith(adapter);
  const both = [await openIo(session, request), await openIo(session, request)];
  await until(() => both.every((io) => io.statistics().received > 0));
  const started = performance.now();
  await adapter.associations[0]!.close();
  for (const io of both) {
    expect(await io.ended).toMatchObject({ reason: "lost", error: { code: "transport/closed" } });
    expect(io.isOpen).toBe(false);
    await io.close();
  }
  // The watchdog would have taken 5 s.
  expect(performance.now() - started).toBeLessThan(3000);
  expect(adapter.closes).toBe(0);
});

test("a session whose association has ended opens another for the next connection", async () => {
  await using adapter = await adapterHere();
  await using session = await sessionWith(adapter);
  await adapter.associations[0]!.close();
  await session.disconnected;
  await using io = await openIo(session, request);
  await until(() => io.statistics().received > 2);
  expect(adapter.associations).toHaveLength(2);
  expect(adapter.received[0]!.channel).toBe(adapter.associations[1]);
});

test("multicast is refused before anything is sent", async () => {
  await using adapter = await adapterHere();
  await using session = await sessionWith(adapter);
  const multicast: IoRequest = { ...request, tToO: { ...request.tToO, type: "multicast" } };
  await expect(openIo(session, multicast)).rejects.toMatchObject({
    code: "usage/argument",
    message: /multicast.*DTLS/u,
    fix: /point to point/u,
  });
  expect(adapter.opens).toEqual([]);
});

test("packets of the plain port mean nothing to a connection over DTLS", async () => {
  await using adapter = await adapterHere();
  await using session = await sessionWith(adapter);
  await using io = await openIo(session, request);
  await until(() => io.statistics().received > 2);
  const gate = await openUdpGate({ local, remote: adapter.address });
  await using stranger = await openIoPort({ address: `${net}.240`, port: 0, receive: () => undefined });
  const { sent, received } = io.statistics();
  const forged = Buffer.alloc(24, 0xee);
  for (let i = 0; i < 5; i += 1) {
    stranger.path({ address: local, port: session.facts.local.port }).send(forged);
    stranger.path({ address: local, port: gate.port ?? 0 }).send(forged);
  }
  await until(() => io.statistics().sent > sent + 3 && io.statistics().received > received + 3);
  expect(io.statistics()).toMatchObject({ malformed: 0, duplicates: 0, outOfOrder: 0 });
  expect(session.isConnected).toBe(true);
  await gate.release();
});

const quick = { refusedMs: 20, maxRefusedMs: 50, lostMs: 10, maxLostMs: 50 };

function scannerWith(changes: StateChange[]): Scanner {
  return new Scanner({
    connect: { security, localAddress: local, requestTimeoutMs: 2000, connectTimeoutMs: 2000 },
    backoff: quick,
    onState: (change) => changes.push(change),
  });
}

test("a scanner shares one association, and comes back when it ends", async () => {
  await using adapter = await adapterHere();
  const changes: StateChange[] = [];
  await using scanner = scannerWith(changes);
  const kept = ["a", "b"].map((name) => scanner.add({ name, target: targetOf(adapter), request }));
  const all = (check: (one: (typeof kept)[number]) => boolean) => until(() => kept.every(check));
  await all((one) => (one.statistics().current?.received ?? 0) > 3);
  expect(adapter.associations).toHaveLength(1);
  expect(kept[0]!.facts?.protocol).toBe("dtls");
  await adapter.associations[0]!.close();
  await all((one) => one.statistics().opens === 2 && (one.statistics().current?.received ?? 0) > 3);
  expect(adapter.associations).toHaveLength(2);
  expect(changes.find(({ state }) => state === "waiting")?.reason).toMatchObject({ code: "transport/closed" });
  await scanner.close();
  expect(adapter.open.size).toBe(2); // The two of the lost association; a fake has no watchdog.
  expect(scanner.sessions).toBe(0);
});

test("a scanner leaves an association that a restarted device knows nothing of", async () => {
  const address = `${net}.${(host += 1)}`;
  const adapter = await dtlsAdapter(address);
  const changes: StateChange[] = [];
  await using scanner = scannerWith(changes);
  // 640 ms without a packet.
  const one = scanner.add({ name: "a", target: targetOf(adapter), request: { ...request, timeoutMultiplier: 4 } });
  await until(() => (one.statistics().current?.received ?? 0) > 3);
  // Without a farewell: the association stands at our end.
  adapter.isDeaf = true;
  await until(() => one.statistics().timeouts === 1);
  adapter.isDeaf = false;
  for (const connection of adapter.open.values()) connection.stop();
  const silent = adapter.associations[0]!;
  silent.receive(() => undefined);
  await until(() => one.statistics().opens === 2 && (one.statistics().current?.received ?? 0) > 3);
  expect(adapter.associations).toHaveLength(2);
  await scanner.close();
  await adapter[Symbol.asyncDispose]();
});
