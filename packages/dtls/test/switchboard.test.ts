import { expect, test } from "vitest";
import { Association } from "../src/association.ts";
import type { ConnectOptions, EndpointOptions, Limits } from "../src/endpoint-options.ts";
import { createClientEngine } from "../src/engine.ts";
import type { DtlsError } from "../src/errors.ts";
import { handshakeTypes, readFragments, writeFragment } from "../src/handshake/message.ts";
import { beginRecord, contentTypes, headerLength, readRecords } from "../src/record/header.ts";
import { Switchboard } from "../src/switchboard.ts";
import { kinds, makeIdentity } from "./identities.ts";

const identity = makeIdentity(kinds.ecdsa);
const credentials = { certificates: [identity.credential] };
const accept = () => ({ accepted: true }) as const;
const server = { address: "127.33.6.1", port: 2221 };
const from = { address: "127.33.6.2", port: 7 };
const none = new Uint8Array(0);

/** A server and a client board whose datagrams go straight across; the client's port is its caller's choice. */
function boards(serverOptions: EndpointOptions = {}, clientOptions: EndpointOptions = {}) {
  const clock = { now: 0 };
  const refusals: DtlsError[] = [];
  const accepted: Association[] = [];
  const near: { [port: number]: Switchboard } = {};
  const queue: (() => void)[] = [];
  const common = { now: () => clock.now, rearm: () => undefined };
  const far = new Switchboard(
    {
      credentials,
      onAssociation: (association) => void accepted.push(association),
      onRefusal: (error) => void refusals.push(error),
      ...serverOptions,
    },
    { ...common, send: (bytes, { port }) => void queue.push(() => near[port]?.receive(bytes, server)) },
  );
  const client = (port: number): Switchboard => {
    const from = { address: "127.33.6.2", port };
    const send = (bytes: Uint8Array) => void queue.push(() => far.receive(bytes, from));
    return (near[port] ??= new Switchboard({ verify: accept, ...clientOptions }, { ...common, send }));
  };
  const run = (): void => {
    for (let step = queue.shift(); step !== undefined; step = queue.shift()) step();
  };
  const pass = (ms: number): void => {
    clock.now += ms;
    for (const board of [far, ...Object.values(near)]) board.wake();
    run();
  };
  const connect = (port: number, options: Partial<ConnectOptions> = {}): Promise<Association> => {
    const opening = client(port).connect({ ...server, ...options });
    opening.catch(() => undefined);
    run();
    return opening;
  };
  return { clock, far, client, run, pass, connect, refusals, accepted };
}

test("limits turn clients away: in all, per host and per second", async () => {
  const perHost = boards({ limits: { perHost: 2 } });
  await perHost.connect(1);
  await perHost.connect(2);
  const third = perHost.connect(3);
  expect(perHost.far.admission).toMatchObject({ admitted: 2, turnedAway: 1 });
  void perHost.accepted[0]?.close();
  perHost.run();
  perHost.pass(300);
  await expect(third).resolves.toMatchObject({ open: true });

  const perSecond = boards({ limits: { handshakesPerSecond: 1 } });
  await perSecond.connect(1);
  const second = perSecond.connect(2);
  expect(perSecond.far.admission.turnedAway).toBe(1);
  perSecond.pass(1000);
  await second;

  const full = boards({ limits: { associations: 1 } }, { limits: { associations: 1 } });
  await full.connect(1);
  void full.connect(2);
  expect(full.far.admission.turnedAway).toBe(1);
  await expect(full.client(1).connect({ ...server, port: 9 })).rejects.toMatchObject({ code: "dtls/limit" });
  expect(() => boards({ limits: { perHost: 0 } })).toThrow(/limits.perHost is 0/);
  expect(() => boards({ connectionIdLength: 40 })).toThrow(/connectionIdLength is 40/);
});

test("one host that begins handshakes without end leaves places for others", () => {
  const { board, hellos, clock } = helloTo({ handshakesPerSecond: 40 });
  const other = { address: "127.33.6.3", port: 7 };
  for (let second = 0; second < 3; second++) {
    for (let i = 0; i < 60; i++) board.receive(hellos()[0] ?? none, from);
    const { admitted } = board.admission;
    for (let i = 0; i < 10; i++) board.receive(hellos(other)[0] ?? none, other);
    expect(board.admission.admitted).toBe(admitted + 10);
    clock.now += 1000;
  }
  // Alone, it gets all that there is after the first half.
  const { admitted } = board.admission;
  for (let i = 0; i < 100; i++) {
    board.receive(hellos()[0] ?? none, from);
    clock.now += 10;
  }
  expect(board.admission.admitted - admitted).toBeGreaterThanOrEqual(40);
});

test.each([
  { limit: "associations", limits: { associations: 1 } },
  { limit: "perHost", limits: { perHost: 1 } },
  { limit: "handshakesPerSecond", limits: { handshakesPerSecond: 1 } },
] as const)("tells which limit turned a peer away, but not without end: $limit", async ({ limit, limits }) => {
  const { far, connect, refusals, pass } = boards({ limits });
  await connect(1);
  for (let port = 2; port < 52; port++) connect(port).catch(() => undefined);
  expect(far.admission.turnedAway).toBe(50);
  expect(refusals).toHaveLength(10);
  for (const { code, facts } of refusals)
    expect({ code, facts }).toEqual({ code: "dtls/limit", facts: { limit, value: 1 } });
  pass(40_000);
});

test("handshakes that stand still leave their place after their time", async () => {
  const { far, connect, pass, refusals } = boards({
    limits: { handshakes: 1 },
    verify: () => new Promise(() => undefined),
    clientAuth: "require",
  });
  const first = connect(1, { credentials });
  const second = connect(2, { credentials });
  expect(far).toMatchObject({ handshakes: 1, open: 0 });
  expect(far.admission.turnedAway).toBe(1);
  pass(30_001);
  await expect(first).rejects.toMatchObject({ code: "dtls/timeout" });
  await expect(second).rejects.toMatchObject({ code: "dtls/timeout" });
  const turnedAway = { code: "dtls/limit", facts: { limit: "handshakes", value: 1 } };
  const others = refusals.filter(({ facts }) => facts["limit"] === undefined);
  expect(refusals[0]).toMatchObject(turnedAway);
  expect(others).toMatchObject([{ code: "dtls/timeout", message: expect.stringContaining("verdict") }]);
  expect(far.handshakes).toBe(0);
});

test("a handshake that never finishes gives way to a newer one, after its chance", async () => {
  let answers = false;
  const verify = () => (answers ? accept() : new Promise<never>(() => undefined));
  const { far, connect, pass, refusals } = boards({ limits: { handshakes: 1 }, verify, clientAuth: "require" });
  const stuck = connect(1, { credentials, handshakeTimeoutMs: 60_000 });
  answers = true;
  const other = connect(2, { credentials });
  expect(far.admission).toMatchObject({ admitted: 1, turnedAway: 1 });
  for (let i = 0; i < 100; i++) pass(100);
  await expect(other).resolves.toMatchObject({ open: true });
  const others = refusals.filter(({ facts }) => facts["limit"] === undefined);
  expect(others).toMatchObject([{ code: "dtls/limit", message: "gave way to another: 1 handshakes are the limit" }]);
  await expect(stuck).rejects.toMatchObject({ code: "dtls/alert" });
});

test.each([
  {
    name: "throws",
    verify: () => {
      throw new TypeError("no list");
    },
  },
  { name: "rejects", verify: () => Promise.reject(new TypeError("no list")) },
])("a judge that $name refuses", async ({ verify }) => {
  const { connect, run, pass } = boards();
  const opening = connect(1, { verify });
  await Promise.resolve();
  run();
  pass(1);
  await expect(opening).rejects.toMatchObject({
    code: "dtls/verify",
    message: expect.stringContaining("judging it failed"),
  });
});

test("one association an address: a second waits for another port, an abort frees the place", async () => {
  const { connect, client, far, run } = boards();
  const first = await connect(1);
  await expect(client(1).connect(server)).rejects.toMatchObject({ code: "usage/state" });
  await expect(connect(2, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "dtls/closed" });
  const controller = new AbortController();
  const nowhere = client(3).connect({ address: "127.33.6.9", port: 9, signal: controller.signal });
  controller.abort(new Error("changed my mind"));
  await expect(nowhere).rejects.toMatchObject({ code: "dtls/closed", cause: { message: "changed my mind" } });
  expect(client(3)).toMatchObject({ open: 0, handshakes: 0 });
  expect([...far.associations()]).toHaveLength(1);
  expect(first.statistics.recordsIn).toBeGreaterThan(0);
  far.close();
  run();
  expect((await first.closed).by).toBe("peer");
  expect(far.statistics.datagramsIn).toBe(2);
});

test("a restarted client takes its place again while its earlier handshake still stands there", async () => {
  const { far, clock, accepted } = boards();
  const from = { address: "127.33.6.2", port: 7 };
  const answers: Uint8Array[] = [];
  const host = (to: Switchboard | undefined) => ({
    send: (bytes: Uint8Array) => void (to === undefined ? answers.push(bytes) : to.receive(bytes, from)),
    now: () => clock.now,
    rearm: () => undefined,
  });
  const board = new Switchboard(
    { credentials, onAssociation: (association) => void accepted.push(association) },
    host(undefined),
  );
  for (let life = 0; life < 2; life++) {
    const client = new Switchboard({ verify: accept }, host(board));
    void client.connect({ ...server }).catch(() => undefined);
    // The cookie arrives; what the server says then is lost.
    client.receive(answers.splice(0)[0] ?? new Uint8Array(0), server);
    answers.splice(0);
  }
  expect(board).toMatchObject({ handshakes: 1, open: 0 });
  expect(board.admission).toMatchObject({ admitted: 2, turnedAway: 0 });
  expect(far.open).toBe(0);
});

test("a client that starts again is told nothing of its earlier handshake, which it would take as meant for this one", () => {
  const { hellos, board, answers } = helloTo();
  const [first = none] = hellos();
  board.receive(first, from);
  const [second = none] = hellos();
  board.receive(second, from);
  expect(board.admission.admitted).toBe(2);
  const types = answers.flatMap((bytes) => readRecords(bytes, 0)).map(({ header }) => header.type);
  expect(new Set(types)).toEqual(new Set([contentTypes.handshake]));
});

test("a hello in fragments that come twice and late is one hello, and none of them is lost", () => {
  const { hellos, board, answers } = helloTo();
  const [front = none, back = none] = hellos(from, 100);
  board.receive(front, from);
  board.receive(front, from);
  expect(board).toMatchObject({ handshakes: 1 });
  answers.length = 0;
  board.receive(back, from);
  board.receive(front, from);
  expect(board.admission).toMatchObject({ admitted: 1, turnedAway: 0 });
  const [reply] = answers.flatMap((bytes) => readRecords(bytes, 0));
  expect(reply?.body[0]).toBe(handshakeTypes.serverHello);
});

/** A server's board, what it answers, and hellos of new clients at one address that have their cookie, cut where told. */
function helloTo(limits: Partial<Limits> = {}) {
  const clock = { now: 0 };
  const answers: Uint8Array[] = [];
  const board = new Switchboard(
    { credentials, limits, onAssociation: () => undefined },
    { send: (bytes) => void answers.push(bytes), now: () => clock.now, rearm: () => undefined },
  );
  const hellos = (remote = from, cut = Infinity): readonly Uint8Array[] => {
    const client = createClientEngine({});
    answers.length = 0;
    board.receive(client.handle({ type: "start" }, 0).send[0] ?? none, remote);
    const [hello = none] = client.handle({ type: "datagram", bytes: answers.splice(0)[0] ?? none }, 0).send;
    const [record] = readRecords(hello, 0);
    const [whole] = readFragments(record!.body);
    const pieces = [whole!.bytes.subarray(0, cut), whole!.bytes.subarray(cut)].filter(({ length }) => length > 0);
    return pieces.map((bytes, i) => {
      const fragment = writeFragment({ ...whole!, offset: i === 0 ? 0 : cut, bytes });
      const datagram = beginRecord({ ...record!.header, seq: i + 1 }, fragment.length);
      datagram.set(fragment, headerLength);
      return datagram;
    });
  };
  return { board, answers, hellos, clock };
}

test("a repeated hello and a late fragment reach the handshake that stands there", async () => {
  const { far, clock } = boards();
  const answers: Uint8Array[] = [];
  const from = { address: "127.33.6.2", port: 7 };
  const sent: Uint8Array[] = [];
  const client = new Switchboard(
    { verify: accept },
    { send: (bytes) => void sent.push(bytes), now: () => clock.now, rearm: () => undefined },
  );
  const board = new Switchboard(
    { credentials, onAssociation: () => undefined },
    { send: (bytes) => void answers.push(bytes), now: () => clock.now, rearm: () => undefined },
  );
  void client.connect({ ...server }).catch(() => undefined);
  board.receive(sent[0] ?? new Uint8Array(0), from);
  client.receive(answers[0] ?? new Uint8Array(0), server);
  board.receive(sent[1] ?? new Uint8Array(0), from);
  const flight = answers.length;
  clock.now += 150;
  board.receive(sent[1] ?? new Uint8Array(0), from);
  expect(answers.length).toBeGreaterThan(flight);
  expect(board.admission.admitted).toBe(1);
  const late = Uint8Array.from(sent[1] ?? []);
  late[21] = 1;
  board.receive(late, from);
  expect(board.admission).toMatchObject({ admitted: 1, strangers: 0 });
  expect(far.handshakes).toBe(0);
});

test("key log lines are handed over where asked for, and unknown ids and hellos for a client are strangers", async () => {
  const lines: string[] = [];
  const { connect, far, client } = boards({ keyLog: true, onKeyLog: (line) => void lines.push(line) });
  await connect(1);
  expect(lines).toEqual([expect.stringMatching(/^CLIENT_RANDOM /)]);
  far.receive(Uint8Array.from([25, 0xfe, 0xfd, 0, 1, ...new Uint8Array(30)]), { address: "127.33.6.7", port: 1 });
  expect(far.admission.strangers).toBe(1);
  const hello = Uint8Array.from([22, 0xfe, 0xfd, 0, 0, ...new Uint8Array(8), 1, ...new Uint8Array(60)]);
  client(1).receive(hello, { address: "127.33.6.8", port: 1 });
  far.receive(Uint8Array.of(1, 2, 3), server);
  expect(client(1).admission.strangers).toBe(1);
  expect(far.admission.strangers).toBe(2);
});

test("settings may change while it runs: later handshakes follow them", async () => {
  const { connect, far, accepted, run } = boards();
  const first = await connect(1);
  far.configure({ suites: [0xc02c] });
  expect((await connect(2)).facts.suite).toBe(0xc02c);
  expect(first.facts.suite).toBe(0xc02b);
  expect(() => far.configure({ suites: [1] })).toThrow(/suites has 0x0001/);
  // What came before the program listened is kept for it, a bounded number of payloads.
  for (let i = 0; i < 70; i++) first.send(Uint8Array.of(i));
  run();
  const heard: number[] = [];
  const [association] = accepted;
  association!.onMessage = (payload) => heard.push(payload[0] ?? -1);
  expect(heard).toHaveLength(64);
  expect(association!.onMessage).toBeDefined();
  association!.onMessage = undefined;
  await using closing = first;
  expect(closing.open).toBe(true);
});

test("an association that is not open has no facts", () => {
  const host = {
    send: () => undefined,
    close: () => undefined,
    remote: () => server,
    statistics: boards().far.statistics,
    credentials: undefined,
  };
  const association = new Association(host);
  expect(() => association.facts).toThrow(expect.objectContaining({ code: "usage/state" }));
  expect(association.open).toBe(false);
});
