import { createSocket } from "node:dgram";
import dns from "node:dns";
import { afterEach, expect, test, vi } from "vitest";
import type { Association, DtlsEndpoint, EndpointOptions, EngineInput } from "../src/index.ts";
import { createClientEngine, createDtlsEndpoint } from "../src/index.ts";
import { kinds, makeIdentity } from "./identities.ts";

const server = makeIdentity(kinds.ecdsa, "server.example");
const client = makeIdentity(kinds.ecdsa, "client.example");
const accept = () => ({ accepted: true }) as const;
const open: DtlsEndpoint[] = [];
/** For what has to come: a busy machine may be held up for long. */
const patient = { timeout: 20_000 };

afterEach(async () => {
  for (const endpoint of open.splice(0)) await endpoint.close();
});

async function endpoint(options: EndpointOptions): Promise<DtlsEndpoint> {
  const made = await createDtlsEndpoint({ address: "127.33.1.1", ...options });
  open.push(made);
  return made;
}

function echo(association: Association): void {
  association.onMessage = (payload) => association.send(payload);
}

function next(association: Association): Promise<string> {
  return new Promise((resolve) => {
    association.onMessage = (payload) => resolve(Buffer.from(payload).toString());
  });
}

test("a client and a server with certificates talk, and say goodbye", async () => {
  const accepted: Association[] = [];
  const listening = await endpoint({
    credentials: { certificates: [server.credential] },
    clientAuth: "require",
    verify: async () => accept(),
    onAssociation(association) {
      accepted.push(association);
      echo(association);
    },
  });
  const dialling = await endpoint({ credentials: { certificates: [client.credential] }, verify: accept });
  const target = { ...listening.local, serverName: "server.example" };
  const association = await dialling.connect(target);
  const answer = next(association);
  association.send(Buffer.from("hello"));
  expect(await answer).toBe("hello");
  expect(accepted[0]?.facts.peer).toEqual({ kind: "certificate", chain: client.credential.chain });
  expect(accepted[0]?.facts.connectionIdLength).toEqual({ toUs: 6, toPeer: 6 });
  expect(accepted[0]?.remote).toEqual(dialling.local);
  await association.close();
  expect(await accepted[0]?.closed).toEqual({ by: "peer", error: undefined });
  // A busy machine may repeat a hello, so what was counted is a least.
  const { open: left, admitted, cookiesSent, sendErrors } = listening.statistics;
  expect({ left, sendErrors }).toEqual({ left: 0, sendErrors: 0 });
  expect(Math.min(admitted, cookiesSent)).toBeGreaterThanOrEqual(1);

  const { session } = association;
  const again = await dialling.connect({ ...target, ...(session && { session }) });
  expect(again.facts.resumed).toBe(true);
  listening.setCredentials({ certificates: [server.credential] });
  await again.close();
  const afresh = await dialling.connect({ ...target, ...(again.session && { session: again.session }) });
  expect(afresh.facts.resumed).toBe(false);
});

test("refuses every certificate where nobody judges", async () => {
  const refusals: string[] = [];
  const listening = await endpoint({
    credentials: { certificates: [server.credential] },
    onAssociation: echo,
    onRefusal: ({ code, message }) => refusals.push(`${code}: ${message}`),
  });
  const dialling = await endpoint({});
  await expect(dialling.connect(listening.local)).rejects.toMatchObject({
    code: "dtls/verify",
    message: expect.stringContaining("no 'verify' was given"),
  });
  await expect.poll(() => refusals, patient).toEqual([expect.stringContaining("dtls/alert: the peer ended")]);
});

test("ends a handshake when told to, and names a dead address", async () => {
  const dialling = await endpoint({ handshakeTimeoutMs: 300 });
  const remote = { address: "127.33.1.9", port: 9 };
  await expect(dialling.connect({ ...remote, signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
    code: "dtls/closed",
  });
  await expect(dialling.connect(remote)).rejects.toMatchObject({ code: "dtls/timeout" });
  await expect(dialling.connect({ address: "plc.example", port: 9 })).rejects.toMatchObject({ code: "usage/argument" });
  expect(dialling.statistics).toMatchObject({ open: 0, handshakes: 0 });
});

test("hands over datagrams that are no DTLS, and sends such", async () => {
  const foreign: string[] = [];
  const shared = await endpoint({ onForeign: (bytes) => foreign.push(Buffer.from(bytes).toString("hex")) });
  const other = await endpoint({});
  other.sendPlain(Buffer.from("c8000000", "hex"), shared.local);
  await expect.poll(() => foreign, patient).toEqual(["c8000000"]);
});

test("says which address cannot be had", async () => {
  const first = await endpoint({});
  await expect(createDtlsEndpoint(first.local)).rejects.toMatchObject({ code: "dtls/socket", facts: first.local });
});

test("rule 9: no datagram waits for a look-up of an address, and none shares its buffer with the next", async () => {
  const lookup = vi.spyOn(dns, "lookup");
  const heard: number[] = [];
  const listening = await endpoint({
    credentials: { certificates: [server.credential] },
    onAssociation(association) {
      association.onMessage = (payload) => heard.push(payload[0] ?? -1);
    },
  });
  const dialling = await endpoint({ verify: accept });
  const association = await dialling.connect(listening.local);
  const buffer = new Uint8Array(64);
  for (let i = 0; i < 100; i++) association.send(buffer.fill(i));
  await expect.poll(() => heard.length, patient).toBe(100);
  expect(heard).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(lookup).not.toHaveBeenCalled();
  lookup.mockRestore();
});

test("speaks IPv6, and is closed once and for all", async () => {
  const listening = await createDtlsEndpoint({
    address: "::1",
    credentials: { certificates: [server.credential] },
    onAssociation: echo,
  });
  const dialling = await createDtlsEndpoint({ address: "::1", verify: accept });
  const association = await dialling.connect(listening.local);
  expect(association.remote).toEqual(listening.local);
  await dialling.close();
  await dialling.close();
  expect((await association.closed).by).toBe("local");
  expect(() => association.send(Uint8Array.of(1))).toThrow(expect.objectContaining({ code: "dtls/closed" }));
  await expect(dialling.connect(listening.local)).rejects.toMatchObject({ code: "dtls/closed" });
  dialling.sendPlain(Uint8Array.of(1), listening.local);
  await listening.close();
  const anywhere = await createDtlsEndpoint();
  expect(anywhere.local.address).toBe("0.0.0.0");
  expect([...anywhere.associations()]).toEqual([]);
  await anywhere.close();
});

test("a process that was held up longer than the idle time-out hears what came meanwhile before it judges", async () => {
  const idleTimeoutMs = 1500;
  const heard: string[] = [];
  const listening = await endpoint({
    credentials: { certificates: [server.credential] },
    idleTimeoutMs,
    onAssociation(association) {
      association.onMessage = (payload) => heard.push(Buffer.from(payload).toString());
    },
  });
  const dialling = await endpoint({ verify: accept });
  const opened = async (): Promise<Association> => {
    const made = await dialling.connect({ ...listening.local, idleTimeoutMs: 0 });
    heard.length = 0;
    made.send(Buffer.from("first"));
    await expect.poll(() => heard, patient).toEqual(["first"]);
    // Of a turn of the event loop, what comes next are timers.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    if (listening.statistics.open === 1) return made;
    // The machine held us up so long meanwhile: the association ended, and rightly.
    await made.closed;
    return await opened();
  };
  const association = await opened();
  for (let i = 0; i < 100; i++) association.send(Buffer.from("late"));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, idleTimeoutMs + 100);
  await expect.poll(() => heard.length, patient).toBe(101);
});

test("so does one that is held up just when it looks whether something has come", async () => {
  const idleTimeoutMs = 2000;
  const heard: string[] = [];
  const listening = await endpoint({
    credentials: { certificates: [server.credential] },
    idleTimeoutMs,
    onAssociation(association) {
      association.onMessage = (payload) => heard.push(Buffer.from(payload).toString());
    },
  });
  // A client without timers, so that the server's are the only ones.
  const engine = createClientEngine({});
  const socket = createSocket("udp4");
  const tell = (input: EngineInput): void => {
    const { send, events } = engine.handle(input, performance.now());
    for (const bytes of send) socket.send(bytes, listening.local.port, listening.local.address);
    if (events.some(({ type }) => type === "verify")) tell({ type: "verdict", verdict: accept() });
  };
  socket.on("message", (bytes) => tell({ type: "datagram", bytes }));
  const say = (text: string): void => {
    if (engine.state === "open") tell({ type: "send", payload: Buffer.from(text) });
  };
  const later = globalThis.setImmediate;
  let isHeldUp = false;
  const spy = vi.spyOn(globalThis, "setImmediate").mockImplementation((call, ...args) => {
    if (call.name === "judge" && !isHeldUp && heard.length > 0) {
      isHeldUp = true;
      later(() => {
        for (let i = 0; i < 100; i++) say("late");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, idleTimeoutMs + 100);
      });
    }
    return later(call, ...args);
  });
  const ticking = setInterval(say, 50, "tick");
  try {
    tell({ type: "start" });
    await expect.poll(() => heard.filter((text) => text === "late").length, patient).toBe(100);
  } finally {
    clearInterval(ticking);
    spy.mockRestore();
    socket.close();
  }
});
