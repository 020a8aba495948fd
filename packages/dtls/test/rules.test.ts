import { expect, test } from "vitest";
import { alerts } from "../src/alert.ts";
import type { EngineOutput } from "../src/engine-contract.ts";
import { createClientEngine } from "../src/engine.ts";
import type { ConnectOptions, EndpointOptions } from "../src/endpoint-options.ts";
import { CookieJar } from "../src/cookie.ts";
import { judgeHello } from "../src/gate.ts";
import type { Remote } from "../src/peers.ts";
import { contentTypes, readRecords } from "../src/record/header.ts";
import { Switchboard } from "../src/switchboard.ts";
import type { Association } from "../src/association.ts";
import { kinds, makeIdentity } from "./identities.ts";
import { eventOf, Link, seeded } from "./link.ts";

const server = makeIdentity(kinds.ecdsa, "server.example");
const credentials = { certificates: [server.credential] };
const psk = { identity: Buffer.from("line 3"), key: Buffer.alloc(32, 7) };
const clientRemote = { address: "127.33.4.1", port: 5000 };
const serverRemote = { address: "127.33.4.2", port: 2221 };

/** Two switchboards on one table, with a fake clock; datagrams wait until `run` delivers them. */
class Table {
  now = 1000;
  readonly accepted: Association[] = [];
  readonly client: Switchboard;
  readonly server: Switchboard;
  /** What was put on the wire, in order. */
  readonly wire: { from: Remote; to: Remote; bytes: Uint8Array }[] = [];
  /** Where the client's datagrams seem to come from: an address translator may change it. */
  clientRemote: Remote = clientRemote;
  #queue: { from: Remote; to: Remote; bytes: Uint8Array }[] = [];

  constructor(serverOptions: EndpointOptions = {}, clientOptions: EndpointOptions = {}) {
    const host = (from: () => Remote) => ({
      send: (bytes: Uint8Array, to: Remote) => {
        const item = { from: from(), to, bytes };
        this.wire.push(item);
        this.#queue.push(item);
      },
      now: () => this.now,
      rearm: () => undefined,
    });
    this.client = new Switchboard(
      clientOptions,
      host(() => this.clientRemote),
    );
    const onAssociation = (association: Association): void => void this.accepted.push(association);
    this.server = new Switchboard(
      { credentials, onAssociation, ...serverOptions },
      host(() => serverRemote),
    );
  }

  run(): this {
    for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
      if (item.to.port === serverRemote.port) this.server.receive(item.bytes, item.from);
      else if (item.to.port === this.clientRemote.port) this.client.receive(item.bytes, serverRemote);
    }
    return this;
  }

  /** Time passes; both sides' timers go off. */
  pass(ms: number): this {
    this.now += ms;
    this.client.wake();
    this.server.wake();
    return this.run();
  }

  async connect(options: Partial<ConnectOptions> = {}): Promise<Association> {
    const opening = this.client.connect({ ...serverRemote, verify: () => ({ accepted: true }), ...options });
    this.run();
    return await opening;
  }
}

function text(payload: Uint8Array | undefined): string {
  return Buffer.from(payload ?? []).toString();
}

test("rule 1: nothing unauthenticated ends, stalls, moves or grows a session", () => {
  for (const suite of [0xc02b, 0xc023, 0xc006, 0xcca9]) {
    for (const cid of [undefined, Buffer.from("id42")]) {
      const common = { suites: [suite], ...(cid && { connectionId: cid }) };
      const link = new Link(common, { ...common, credentials }).connect();
      link.tell("client", { type: "send", payload: Buffer.from("genuine") });
      const genuine = link.client.datagrams.at(-1) ?? new Uint8Array(0);
      const record = (type: number, epoch: number, seq: number, body: Uint8Array): Uint8Array => {
        const header = Buffer.alloc(13);
        header[0] = type;
        header.writeUInt16BE(0xfefd, 1);
        header.writeUInt16BE(epoch, 3);
        header.writeUIntBE(seq, 5, 6);
        header.writeUInt16BE(body.length, 11);
        return Buffer.concat([header, body]);
      };
      const flipped = (at: number): Uint8Array => genuine.map((octet, i) => (i === at ? octet ^ 1 : octet));
      const forged: readonly Uint8Array[] = [
        ...Array.from({ length: genuine.length }, (_, at) => flipped(at)),
        ...Array.from({ length: genuine.length }, (_, length) => genuine.subarray(0, length)),
        record(contentTypes.alert, 0, 9, Uint8Array.of(2, alerts.handshake_failure)),
        record(contentTypes.alert, 0, 9, Uint8Array.of(1, alerts.close_notify)),
        record(contentTypes.alert, 1, 9, Uint8Array.of(2, alerts.bad_record_mac)),
        record(contentTypes.handshake, 0, 9, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
        record(contentTypes.handshake, 1, 9, new Uint8Array(40)),
        record(contentTypes.changeCipherSpec, 0, 9, Uint8Array.of(1)),
        record(contentTypes.applicationData, 0, 9, Buffer.from("plain")),
        record(contentTypes.applicationData, 2, 9, new Uint8Array(64)),
        record(24, 1, 9, new Uint8Array(64)),
        record(contentTypes.applicationData, 1, 2 ** 48 - 1, new Uint8Array(200)),
        record(contentTypes.handshake, 0, 9, new Uint8Array(12).fill(255)),
        Uint8Array.of(),
      ];
      const before = link.server.engine?.statistics.recordsIn;
      for (const bytes of forged) {
        const { send, received, events, wakeAt, authentic, newest } = link.deliver("server", bytes) as EngineOutput;
        expect({ send, received, events, wakeAt, authentic, newest }).toEqual({
          send: [],
          received: [],
          events: [],
          wakeAt: undefined,
          authentic: 0,
          newest: false,
        });
      }
      const { state, statistics } = link.server.engine ?? {};
      expect(state).toBe("open");
      expect(statistics?.recordsIn).toBe(before);
      const drops = Object.values(statistics?.dropped ?? {}).reduce((sum, count) => sum + count, 0);
      expect(drops).toBeGreaterThanOrEqual(forged.length);
      link.run(10);
      expect(link.server.received.map(text)).toEqual(["genuine"]);
      const replayed = statistics?.dropped.replayed ?? 0;
      expect(link.deliver("server", genuine)?.received).toEqual([]);
      expect(statistics?.dropped.replayed).toBe(replayed + 1);
    }
  }
});

test("rule 1: a plain fatal alert in the handshake ends it only when nothing better comes", () => {
  const spoofed = new Link({}, { credentials });
  spoofed.tell("client", { type: "start" });
  const alert = Buffer.from("15fefd0000000000000000000202280000".slice(0, 30), "hex");
  alert.set([2, alerts.handshake_failure], 13);
  spoofed.deliver("client", alert);
  spoofed.connect();
  expect(eventOf(spoofed.client, "open").facts.suite).toBe(0xc02b);

  const refused = new Link({ suites: [0xc02c] }, { credentials, suites: [0xc02b] }).connect();
  expect(eventOf(refused.client, "closed").error).toMatchObject({
    code: "dtls/alert",
    facts: { alert: "handshake_failure" },
  });
  expect(eventOf(refused.server, "closed").error?.message).toContain("offers none of the suites");
});

test("rule 1: after the process was held up, neither an alert that anyone can send nor a payload of ours ends anything", () => {
  const link = new Link({}, { credentials });
  link.tell("client", { type: "start" });
  link.run(1);
  link.now += 1000;
  const alert = Uint8Array.of(21, 0xfe, 0xfd, ...new Uint8Array(8), 0, 2, 2, alerts.handshake_failure);
  expect(link.deliver("client", alert)?.events).toEqual([]);
  link.run(100);
  expect(eventOf(link.client, "open").facts.suite).toBe(0xc02b);

  const idle = new Link({ idleTimeoutMs: 1000 }, { credentials }).connect();
  idle.tell("server", { type: "send", payload: Buffer.from("waits in the socket") });
  idle.now += 5000;
  for (const input of [
    { type: "send", payload: Buffer.from("a timer of the caller's") },
    { type: "datagram", bytes: alert },
  ] as const)
    expect(idle.tell("client", input)?.events).toEqual([]);
  idle.run(10);
  expect(idle.client.received.map(text)).toEqual(["waits in the socket"]);
  expect(idle.client.engine?.state).toBe("open");
});

test("rule 2: a hello from a live session's address replaces it only by completing", async () => {
  const table = new Table();
  const first = await table.connect();
  const withCookie = table.wire.filter(({ to, bytes }) => to.port === 2221 && bytes[13] === 1)[1];
  const admitted = table.server.admission.admitted;
  const sentBefore = table.wire.length;
  table.server.receive(withCookie?.bytes ?? new Uint8Array(0), clientRemote);
  expect(table.server.admission).toMatchObject({ admitted, lateHellos: 1 });
  expect(table.wire.length).toBe(sentBefore);

  // A new client at the same address, which stops half way: the session lives on.
  const stranger = createClientEngine({});
  let output = stranger.handle({ type: "start" }, table.now);
  table.server.receive(output.send[0] ?? new Uint8Array(0), clientRemote);
  const cookie = table.wire.at(-1)?.bytes ?? new Uint8Array(0);
  output = stranger.handle({ type: "datagram", bytes: cookie }, table.now);
  table.server.receive(output.send[0] ?? new Uint8Array(0), clientRemote);
  expect(table.server).toMatchObject({ open: 1, handshakes: 1 });
  const heard: string[] = [];
  const [accepted] = table.accepted;
  if (accepted !== undefined) accepted.onMessage = (payload) => heard.push(text(payload));
  first.send(Buffer.from("still here"));
  table.run();
  expect(heard).toEqual(["still here"]);
  table.pass(31_000);
  expect(table.server).toMatchObject({ open: 1, handshakes: 0 });

  // The client starts again from nothing, and completes: now the old session is replaced.
  const restarted = new Table();
  const old = await restarted.connect();
  expect(old.open).toBe(true);
  const fresh = new Switchboard(
    {},
    {
      send: (bytes, to) => {
        restarted.wire.push({ from: clientRemote, to, bytes });
        restarted.server.receive(bytes, clientRemote);
      },
      now: () => restarted.now,
      rearm: () => undefined,
    },
  );
  const answers = restarted.wire;
  let seen = answers.length;
  const opening = fresh.connect({ ...serverRemote, verify: () => ({ accepted: true }) });
  for (; seen < answers.length; seen++) {
    const item = answers[seen];
    if (item !== undefined && item.from === serverRemote) fresh.receive(item.bytes, serverRemote);
  }
  await opening;
  expect(await restarted.accepted[0]?.closed).toEqual({ by: "replaced", error: undefined });
  expect(restarted.server).toMatchObject({ open: 1, handshakes: 0 });
});

test("rule 3: whoever sent the last flight repeats it when asked, also after application data", () => {
  const link = new Link({}, { credentials });
  let lost = 0;
  // The server's last flight gets lost, until a payload has gone out behind it.
  link.meddle = (bytes, to) => {
    const [first] = readRecords(bytes, 0);
    const last = to === "client" && first?.header.type === contentTypes.changeCipherSpec && lost < 2;
    if (last) lost++;
    return last ? [] : [bytes];
  };
  link.tell("client", { type: "start" });
  link.run(50);
  expect(link.server.engine?.state).toBe("open");
  expect(link.client.engine?.state).toBe("handshake");
  link.tell("server", { type: "send", payload: Buffer.from("early I/O") });
  link.run(2000);
  expect(lost).toBe(2);
  expect(eventOf(link.client, "open").facts.suite).toBe(0xc02b);
  expect(link.client.received.map(text)).toEqual(["early I/O"]);
});

test("rule 4: a flood of spoofed hellos costs no memory and gains no amplification", () => {
  const table = new Table();
  const hello = createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? new Uint8Array(0);
  let most = 0;
  for (let i = 0; i < 5000; i++) {
    const spoofed = { address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, port: 1024 + (i % 60_000) };
    const before = table.wire.length;
    table.server.receive(hello, spoofed);
    for (const { bytes } of table.wire.splice(before)) most = Math.max(most, bytes.length / hello.length);
  }
  expect(table.server).toMatchObject({ open: 0, handshakes: 0 });
  expect(table.server.admission).toMatchObject({ admitted: 0, cookiesSent: 5000 });
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(1);
});

test("rule 4: a cookie is good for its address, its hello and two minutes", () => {
  const cookies = new CookieJar();
  const first = createClientEngine({});
  const start = first.handle({ type: "start" }, 0).send[0] ?? new Uint8Array(0);
  const answer = judgeHello(start, "a 1", cookies, 0);
  if (answer.kind !== "answer") throw new Error("no cookie");
  const second = first.handle({ type: "datagram", bytes: answer.bytes }, 0).send[0] ?? new Uint8Array(0);
  expect(judgeHello(second, "a 1", cookies, 0).kind).toBe("admit");
  expect(judgeHello(second, "a 2", cookies, 0).kind).toBe("answer");
  expect(judgeHello(second, "b 1", cookies, 0).kind).toBe("answer");
  const otherRandom = second.map((octet, i) => (i === 30 ? octet ^ 1 : octet));
  expect(judgeHello(otherRandom, "a 1", cookies, 0).kind).toBe("answer");
  expect(judgeHello(second, "a 1", cookies, 61_000).kind).toBe("admit");
  expect(judgeHello(second, "a 1", cookies, 125_000).kind).toBe("answer");
  expect(judgeHello(second, "a 1", cookies, 900_000).kind).toBe("answer");
});

test("rule 5: flights are repeated after 200 ms, then doubling; a handshake ends after 30 s", () => {
  const engine = createClientEngine({});
  const sentAt: number[] = [];
  let now = 0;
  let output = engine.handle({ type: "start" }, now);
  while (output.wakeAt !== undefined) {
    if (output.send.length > 0) sentAt.push(now);
    now = output.wakeAt;
    output = engine.handle({ type: "timer" }, now);
  }
  expect(sentAt.slice(0, 6)).toEqual([0, 200, 600, 1400, 3000, 6200]);
  expect(now).toBe(30_000);
  expect(output.events).toMatchObject([{ type: "closed", by: "error", error: { code: "dtls/timeout" } }]);
});

test("rule 5: a wrong pre-shared key shows as silence, and both sides say so", () => {
  const suites = [0xd001];
  const client = { suites, credentials: { psk: { ...psk, key: Buffer.alloc(32, 8) } } };
  const link = new Link(client, { suites, credentials: { findPsk: () => psk.key } }).connect();
  for (const end of [link.client, link.server]) {
    const { error } = eventOf(end, "closed");
    expect(error).toMatchObject({ code: "dtls/timeout", facts: { wrongKey: true } });
    expect(error?.message).toContain("different pre-shared keys");
  }
  // An identity that is not known looks the same from outside.
  const unknown = new Link(client, { suites, credentials: { findPsk: () => undefined } }).connect();
  expect(eventOf(unknown.client, "closed").error?.message).toContain("different pre-shared keys");
});

test("rule 6: a payload above what fits is refused with both numbers", () => {
  for (const suite of [0xc02b, 0xc023, 0xc006, 0xcca9, 0xc0ae]) {
    for (const mtu of [300, 577, 1452]) {
      const options = { suites: [suite], mtu, connectionId: Buffer.from("12345678") };
      const link = new Link(options, { ...options, credentials }).connect();
      const { maxPayload } = eventOf(link.client, "open").facts;
      link.tell("client", { type: "send", payload: new Uint8Array(maxPayload) });
      const { length } = link.client.datagrams.at(-1) ?? [];
      expect(length).toBeLessThanOrEqual(mtu);
      expect(length).toBeGreaterThan(mtu - 17);
      const tooLong = { type: "send", payload: new Uint8Array(maxPayload + 1) } as const;
      expect(() => link.tell("client", tooLong)).toThrow(
        expect.objectContaining({ code: "dtls/size", facts: { octets: maxPayload + 1, maxPayload, mtu } }),
      );
      expect(link.client.engine?.state).toBe("open");
    }
  }
});

test("rule 7: with a connection id a session goes on from another address, and an old record moves nothing", async () => {
  const table = new Table({ addressChange: "connection-id" });
  const association = await table.connect();
  const [accepted] = table.accepted;
  accepted!.onMessage = (payload) => accepted!.send(payload);
  const heard: string[] = [];
  association.onMessage = (payload) => heard.push(text(payload));
  association.send(Buffer.from("one"));
  const old = table.wire.at(-1)?.bytes ?? new Uint8Array(0);
  table.run();
  table.clientRemote = { address: "127.33.4.9", port: 6000 };
  association.send(Buffer.from("two"));
  table.run();
  expect(heard).toEqual(["one", "two"]);
  expect(accepted?.remote).toEqual(table.clientRemote);
  const thief = { address: "127.33.4.66", port: 7000 };
  table.server.receive(old, thief);
  table.server.receive(
    old.map((octet, i) => (i === 10 ? octet + 9 : octet)),
    thief,
  );
  expect(accepted?.remote).toEqual(table.clientRemote);
  expect(table.server.admission.moves).toBe(1);
});

test("rule 7: without one an authentic record moves it, few tries, and little is sent until the address is proved", async () => {
  const table = new Table({ connectionIdLength: 0 }, { connectionIdLength: 0 });
  const association = await table.connect();
  const [accepted] = table.accepted;
  table.clientRemote = { address: clientRemote.address, port: 6000 };
  association.send(Buffer.from("from behind another port"));
  table.run();
  expect(accepted?.remote).toEqual(table.clientRemote);
  const before = table.wire.length;
  for (let i = 0; i < 100; i++) accepted?.send(new Uint8Array(100));
  const sent = table.wire.slice(before).reduce((sum, { bytes }) => sum + bytes.length, 0);
  expect(sent).toBeLessThanOrEqual(3 * 61);
  expect(table.server.admission.heldBack).toBeGreaterThan(90);
  for (let i = 0; i < 40; i++) {
    association.send(Buffer.from("on and on"));
    table.run();
    table.now += 50;
  }
  const after = table.wire.length;
  for (let i = 0; i < 100; i++) accepted?.send(new Uint8Array(100));
  expect(table.wire.length - after).toBe(100);

  const never = new Table({ connectionIdLength: 0, addressChange: "never" }, { connectionIdLength: 0 });
  const staying = await never.connect();
  never.clientRemote = { address: clientRemote.address, port: 6000 };
  staying.send(Buffer.from("nobody listens"));
  never.run();
  expect(never.accepted[0]?.remote).toEqual(clientRemote);
  expect(never.server.admission).toMatchObject({ moves: 0, strangers: 1 });
});

test("rule 7: a record held back and sent from elsewhere slows the session down for no longer than that", async () => {
  const table = new Table({ addressChange: "connection-id" });
  const association = await table.connect();
  const [accepted] = table.accepted;
  const sentNow = (): number => {
    const before = table.wire.length;
    for (let i = 0; i < 20; i++) accepted?.send(new Uint8Array(500));
    return table.wire.length - before;
  };
  const thief = { address: "127.33.4.66", port: 7000 };
  table.clientRemote = thief;
  association.send(Buffer.from("held back"));
  table.run();
  expect(accepted?.remote).toEqual(thief);
  expect(sentNow()).toBe(0);
  table.clientRemote = clientRemote;
  association.send(Buffer.from("genuine"));
  table.run();
  expect(accepted?.remote).toEqual(clientRemote);
  expect(sentNow()).toBe(20);
  // An address that it went to for good is its home from then on.
  table.clientRemote = { address: "127.33.4.9", port: 6000 };
  for (let i = 0; i < 40; i++) {
    association.send(Buffer.from("moved"));
    table.run();
    table.now += 50;
  }
  table.clientRemote = clientRemote;
  association.send(Buffer.from("back"));
  table.run();
  expect(accepted?.remote).toEqual(clientRemote);
  expect(sentNow()).toBe(0);
});

test("rule 8: CBC needs Encrypt-then-MAC unless the caller allows old peers", () => {
  const suites = [0xc023];
  /** Takes the extension out of the hellos, as an old peer would not have it; the transcript is then the changed one. */
  const withoutEtm = (allows: { client: boolean; server: boolean }) => {
    const client = { suites, allowsMacThenEncrypt: allows.client };
    const link = new Link(client, { suites, credentials, allowsMacThenEncrypt: allows.server });
    link.meddle = (bytes, to) => [to === "server" ? maskExtension(bytes, 22) : bytes];
    return link.connect();
  };
  const refused = withoutEtm({ client: true, server: false });
  expect(eventOf(refused.server, "closed").error?.message).toContain("does not know Encrypt-then-MAC");
  const byClient = withoutEtm({ client: false, server: true });
  expect(eventOf(byClient.client, "closed").error?.message).toContain("without Encrypt-then-MAC, which is not allowed");
});

test("rule 8: integrity-only, CBC and short tags are used only where they are named", () => {
  const link = new Link({}, { credentials, suites: [0xc006, 0xc023, 0xc0ae] }).connect();
  expect(eventOf(link.server, "closed").error?.message).toContain("offers none of the suites allowed here");
  const named = new Link({ suites: [0xc006] }, { credentials, suites: [0xc006] }).connect();
  expect(eventOf(named.client, "open").facts.encrypts).toBe(false);
});

test("rule 8: weak keys are refused here, whatever a library allows", () => {
  expect(() => makeIdentity(["-newkey", "rsa:1024"])).toThrow(/1024 bits, 2048 are the least/);
  expect(() => makeIdentity(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"])).toThrow(/not P-256/);
});

/** Renames an extension in a ClientHello to a number that nobody knows. */
function maskExtension(bytes: Uint8Array, type: number): Uint8Array {
  if (bytes[0] !== contentTypes.handshake || bytes[13] !== 1) return bytes;
  const copy = Uint8Array.from(bytes);
  const view = new DataView(copy.buffer);
  let at = 25 + 34;
  at += 1 + (copy[at] ?? 0);
  at += 1 + (copy[at] ?? 0);
  at += 2 + view.getUint16(at);
  at += 1 + (copy[at] ?? 0) + 2;
  for (; at + 4 <= copy.length; at += 4 + view.getUint16(at + 2)) {
    if (view.getUint16(at) === type) view.setUint16(at, 0xfafa);
  }
  return copy;
}

test("the seeded link is the same each time", () => {
  const [a, b] = [seeded(7), seeded(7)];
  expect([a(), a(), a()]).toEqual([b(), b(), b()]);
});
