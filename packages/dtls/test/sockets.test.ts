import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
import { channel } from "node:diagnostics_channel";
import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import type { Association, DatagramPort, DtlsEndpoint, EndpointOptions, Remote } from "../src/index.ts";
import { createClientEngine, createDtlsEndpoint } from "../src/index.ts";
import { kinds, makeIdentity } from "./identities.ts";

const net = "127.34.5";
const identity = makeIdentity(kinds.ecdsa);
const credentials = { certificates: [identity.credential] };
const verify = () => ({ accepted: true }) as const;
const closing: (() => Promise<void>)[] = [];
/** For what has to come: a busy machine may be held up for long. */
const patient = { timeout: 20_000 };

afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function endpoint(options: EndpointOptions): Promise<DtlsEndpoint> {
  const made = await createDtlsEndpoint({ address: `${net}.1`, ...options });
  closing.push(() => made.close());
  return made;
}

async function bound(address: string): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  socket.bind(0, address);
  await once(socket, "listening");
  closing.push(() => new Promise((resolve) => socket.close(() => resolve())));
  return socket;
}

const next = (association: Association): Promise<string> =>
  new Promise((resolve) => {
    association.onMessage = (payload) => resolve(Buffer.from(payload).toString());
  });

/** A way to the server whose far side can change its address, as a NAT or a new lease does. */
async function movingWay(server: Remote) {
  const front = await bound(`${net}.20`);
  const backs = [await bound(`${net}.21`), await bound(`${net}.22`)];
  let client: Remote | undefined;
  let at = 0;
  front.on("message", (bytes, from) => {
    client = from;
    backs[at]?.send(bytes, server.port, server.address);
  });
  for (const back of backs)
    back.on("message", (bytes) => {
      if (client !== undefined) front.send(bytes, client.port, client.address);
    });
  const place = (socket: Socket | undefined): Remote => {
    const { address, port } = socket?.address() ?? { address: "", port: 0 };
    return { address, port };
  };
  return {
    front: place(front),
    move(): Remote {
      at = 1;
      return place(backs[1]);
    },
  };
}

test.each([
  { name: "with connection ids", addressChange: "connection-id", connectionIdLength: 6 },
  { name: "without, by an authentic record", addressChange: "authenticated", connectionIdLength: 0 },
] as const)(
  "a session goes on from another local address over real sockets: $name",
  async ({ addressChange, connectionIdLength }) => {
    const accepted: Association[] = [];
    const server = await endpoint({
      credentials,
      addressChange,
      connectionIdLength,
      onAssociation(association) {
        accepted.push(association);
        association.onMessage = (payload) => association.send(payload);
      },
    });
    const way = await movingWay(server.local);
    const client = await endpoint({ verify, connectionIdLength });
    const association = await client.connect(way.front);
    const before = next(association);
    association.send(Buffer.from("before"));
    expect(await before).toBe("before");
    const moved = way.move();
    const after = next(association);
    association.send(Buffer.from("after"));
    expect(await after).toBe("after");
    expect(accepted).toHaveLength(1);
    expect(accepted[0]?.remote).toEqual(moved);
    expect(server.statistics).toMatchObject({ moves: 1, open: 1, admitted: 1 });
  },
);

test("where addresses must not change, what comes from another one is nobody's", async () => {
  const heard: string[] = [];
  const server = await endpoint({
    credentials,
    addressChange: "never",
    onAssociation: (association) => {
      association.onMessage = (payload) => heard.push(Buffer.from(payload).toString());
    },
  });
  const way = await movingWay(server.local);
  const client = await endpoint({ verify, connectionIdLength: 0 });
  const association = await client.connect(way.front);
  association.send(Buffer.from("before"));
  await expect.poll(() => heard, patient).toEqual(["before"]);
  way.move();
  association.send(Buffer.from("after"));
  await expect.poll(() => server.statistics.strangers, patient).toBeGreaterThan(0);
  expect(heard).toEqual(["before"]);
  expect(server.statistics).toMatchObject({ moves: 0, open: 1 });
});

test("in a flood of hellos from many addresses real clients get in, and nothing of the flood is kept", async () => {
  const server = await endpoint({
    credentials,
    onAssociation(association) {
      association.onMessage = (payload) => association.send(payload);
    },
  });
  const hello = createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? new Uint8Array(0);
  const spoofers = await Promise.all(Array.from({ length: 24 }, (_, i) => bound(`${net}.${100 + i}`)));
  const over = new AbortController();
  // No answer is ever read: a sender that uses the addresses of others gets none.
  // As fast as the server takes it: above that the system drops datagrams of anybody, and no program can tell whose.
  const flooding = (async () => {
    while (!over.signal.aborted) {
      const before = server.statistics.cookiesSent;
      for (const spoofer of spoofers)
        for (let i = 0; i < 8; i++) spoofer.send(hello, server.local.port, server.local.address);
      for (let waits = 0; waits < 20 && server.statistics.cookiesSent < before + spoofers.length * 8; waits++)
        await new Promise((resolve) => setTimeout(resolve, 1));
    }
  })();
  closing.push(async () => {
    over.abort();
    await flooding;
  });
  await expect.poll(() => server.statistics.cookiesSent, patient).toBeGreaterThan(2000);
  const clients = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const client = await endpoint({ verify });
      return client.connect({ ...server.local, handshakeTimeoutMs: 30_000 });
    }),
  );
  for (const association of clients) {
    // A flood fills the socket, and datagrams get lost: this is UDP.
    const echoed = next(association);
    const again = setInterval(() => association.send(Buffer.from("here")), 50);
    association.send(Buffer.from("here"));
    expect(await echoed).toBe("here");
    clearInterval(again);
  }
  const { open, handshakes, admitted } = server.statistics;
  expect({ open, handshakes }).toEqual({ open: 4, handshakes: 0 });
  expect(admitted).toBeLessThan(20);
}, 60_000);

test("diagnostics channels tell of associations and refusals, without a secret", async () => {
  const told: { readonly name: string; readonly message: object }[] = [];
  const names = ["cipsec.dtls.open", "cipsec.dtls.close", "cipsec.dtls.refusal"];
  const hear = (message: unknown, name: string | symbol): void =>
    void told.push({ name: String(name), message: Object(message) });
  for (const name of names) channel(name).subscribe(hear);
  closing.push(async () => names.forEach((name) => channel(name).unsubscribe(hear)));
  const secrets: string[] = [];
  const onKeyLog = (line: string): void => void secrets.push(line.split(" ")[2] ?? "");
  const server = await endpoint({ credentials, keyLog: true, onKeyLog, onAssociation: () => undefined });
  const client = await endpoint({ verify });
  const association = await client.connect(server.local);
  await association.close();
  await expect.poll(() => told.length, patient).toBe(4);
  await expect(
    client.connect({ ...server.local, verify: () => ({ accepted: false, reason: "not ours", alert: "unknown_ca" }) }),
  ).rejects.toThrow();
  await expect.poll(() => told.length, patient).toBe(6);
  const of = (name: string): object[] => told.filter((each) => each.name === name).map(({ message }) => message);
  const opened = expect.objectContaining({ suite: association.facts.suite });
  expect(of("cipsec.dtls.open")).toEqual(
    expect.arrayContaining([
      { role: "client", remote: server.local, facts: opened },
      { role: "server", remote: client.local, facts: opened },
    ]),
  );
  expect(of("cipsec.dtls.close")).toMatchObject([
    { role: "client", by: "local", code: undefined },
    { role: "server", by: "peer", code: undefined },
  ]);
  expect(of("cipsec.dtls.refusal")).toMatchObject([
    { role: "client", code: "dtls/verify", remote: server.local },
    { role: "server", code: "dtls/alert", facts: { alert: "unknown_ca" } },
  ]);
  expect(secrets.length).toBeGreaterThan(0);
  for (const secret of secrets) expect(JSON.stringify(told)).not.toContain(secret);
});

test("a shared socket: both protocols on one port, and it stays open after the endpoint", async () => {
  const socket = await bound(`${net}.30`);
  const foreign: string[] = [];
  const server = await createDtlsEndpoint({
    socket,
    credentials,
    onAssociation: (association) => {
      association.onMessage = (payload) => association.send(payload);
    },
    onForeign: (bytes) => foreign.push(Buffer.from(bytes).toString()),
  });
  const client = await endpoint({ verify });
  const association = await client.connect(server.local);
  const echoed = next(association);
  association.send(Buffer.from("inside"));
  expect(await echoed).toBe("inside");
  const plain = await bound(`${net}.31`);
  plain.send("outside", server.local.port, server.local.address);
  await expect.poll(() => foreign, patient).toEqual(["outside"]);
  await server.close();
  expect((await association.closed).by).toBe("peer");
  const answered = once(plain, "message");
  socket.send("still here", plain.address().port, plain.address().address);
  expect(String((await answered)[0])).toBe("still here");
});

test("what seems to come from port 0, where nothing can be sent, ends nothing", async () => {
  const socket = await bound(`${net}.32`);
  const server = await createDtlsEndpoint({ socket, credentials, onAssociation: () => undefined });
  closing.push(() => server.close());
  const hello = Buffer.from(createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? []);
  // Only a raw socket sends such; Linux hands it on.
  socket.emit("message", hello, { address: `${net}.33`, family: "IPv4", port: 0, size: hello.length });
  expect(server.statistics).toMatchObject({ strangers: 1, cookiesSent: 0, sendErrors: 0 });
  server.sendPlain(hello, { address: `${net}.33`, port: 0 });
  await expect.poll(() => server.statistics.sendErrors, patient).toBe(1);
  await expect(server.connect({ address: `${net}.33`, port: 0 })).rejects.toMatchObject({ code: "usage/argument" });
});

/** Two ports with nothing between them; what each sends is kept with its mark. */
function pairOfPorts() {
  const marks: (number | undefined)[] = [];
  const closed: number[] = [];
  const receivers = new Map<number, (bytes: Uint8Array, remote: Remote) => void>();
  const portAt = (port: number): DatagramPort => ({
    local: { address: `${net}.40`, port },
    sendErrors: 0,
    send(bytes, remote, dscp) {
      marks.push(dscp);
      const copy = Buffer.from(bytes);
      setImmediate(() => receivers.get(remote.port)?.(copy, { address: `${net}.40`, port }));
    },
    listen: (receive) => void receivers.set(port, receive),
    async close() {
      receivers.delete(port);
      closed.push(port);
    },
  });
  return { marks, closed, near: portAt(1), far: portAt(2) };
}

test("ports of the caller's: marks go to them, and they are closed with the endpoint", async () => {
  const { marks, closed, near, far } = pairOfPorts();
  const server = await createDtlsEndpoint({
    datagrams: far,
    credentials,
    onAssociation: (association) => {
      association.onMessage = (payload) => association.send(payload, 31);
    },
  });
  const client = await createDtlsEndpoint({ datagrams: near, verify });
  expect([client.local, server.local]).toEqual([near.local, far.local]);
  const association = await client.connect(server.local);
  expect(marks.length).toBeGreaterThan(4);
  expect(marks.every((mark) => mark === undefined)).toBe(true);
  marks.length = 0;
  const answer = next(association);
  association.send(Buffer.from("marked"), 47);
  expect(await answer).toBe("marked");
  expect(marks).toEqual([47, 31]);
  await Promise.all([client.close(), client.close()]);
  await server.close();
  expect(closed).toEqual([1, 2]);
  expect(marks.slice(2).every((mark) => mark === undefined)).toBe(true);
});

test("options that are out of range leave no port open", async () => {
  const { closed, near } = pairOfPorts();
  await expect(createDtlsEndpoint({ datagrams: near, mtu: 1 })).rejects.toThrow("mtu is 1");
  expect(closed).toEqual([1]);
});
