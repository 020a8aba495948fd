import { expect, test } from "vitest";
import { alerts } from "../src/alert.ts";
import { sendClientFlight } from "../src/client/client-flight.ts";
import { Exchange, pskPremaster } from "../src/exchange.ts";
import { packFlight } from "../src/flight/pack.ts";
import { readServerHello } from "../src/handshake/server-hello.ts";
import { handshakeName, handshakeTypes, readFragments, writeMessage } from "../src/handshake/message.ts";
import { trafficKeys } from "../src/key-schedule.ts";
import { recordCipher } from "../src/record/cipher.ts";
import { contentTypes, dtls12, readRecords } from "../src/record/header.ts";
import { RecordLayer } from "../src/record/layer.ts";
import { awaitClientFlight } from "../src/server/client-flight.ts";
import { sendServerFlight } from "../src/server/server-flight.ts";
import { ServerSessions } from "../src/session.ts";
import { settle } from "../src/settings.ts";
import { cipherSuite } from "../src/suites.ts";
import { kinds, makeIdentity } from "./identities.ts";
import { eventOf, Link } from "./link.ts";

const identity = makeIdentity(kinds.ecdsa);
const credentials = { certificates: [identity.credential] };

/** A session, and a way to make any record that its client could make. */
function session() {
  const link = new Link({ keyLog: true, suites: [0xc02b] }, { credentials, suites: [0xc02b] }).connect();
  const [, random = "", master = ""] = eventOf(link.client, "keylog").line.split(" ");
  const hello = link.server.datagrams
    .flatMap((bytes) => readRecords(bytes, 0))
    .filter(({ header, body }) => header.epoch === 0 && header.type === 22 && body[0] === handshakeTypes.serverHello)
    .map(({ body }) => readServerHello(readFragments(body)[0]!.bytes))[0]!;
  const suite = cipherSuite(0xc02b)!;
  const keys = trafficKeys(suite, Buffer.from(master, "hex"), Buffer.from(random, "hex"), hello.random);
  const cipher = recordCipher(suite.bulk, keys.client, { encryptThenMac: false });
  let seq = 100;
  const say = (type: number, content: Uint8Array) => {
    const header = { type, version: dtls12, epoch: 1, seq: seq++, cid: new Uint8Array(0) };
    return link.deliver("server", cipher.seal(header, content))!;
  };
  return { link, say };
}

test("the peer itself may end a session, by a fatal alert, with its reason", () => {
  const { link, say } = session();
  expect(say(contentTypes.alert, Uint8Array.of(1, alerts.user_canceled)).events).toEqual([]);
  expect(say(contentTypes.alert, Uint8Array.of(9, 9)).events).toEqual([]);
  expect(link.server.engine?.statistics.dropped.malformed).toBe(1);
  expect(say(contentTypes.alert, Uint8Array.of(2, alerts.internal_error)).events).toMatchObject([
    { type: "closed", by: "peer", error: { code: "dtls/alert", facts: { alert: "internal_error" } } },
  ]);
  expect(say(contentTypes.applicationData, Uint8Array.of(1))).toMatchObject({ received: [], events: [], authentic: 0 });
});

test("renegotiation, unknown types and broken messages of the peer itself are dropped and counted", () => {
  const { link, say } = session();
  const hello = writeMessage({ type: handshakeTypes.clientHello, seq: 5, body: new Uint8Array(40) });
  const request = writeMessage({ type: handshakeTypes.helloRequest, seq: 5, body: new Uint8Array(0) });
  for (const content of [hello, request])
    expect(say(contentTypes.handshake, content)).toMatchObject({ send: [], events: [] });
  say(24, Uint8Array.of(1));
  say(contentTypes.changeCipherSpec, Uint8Array.of(1));
  say(contentTypes.handshake, Uint8Array.of(1, 2));
  expect(link.server.engine?.statistics.dropped).toMatchObject({ unexpected: 4, malformed: 1 });
  expect(link.server.engine?.state).toBe("open");
});

const psk = { identity: Buffer.from("a"), key: Buffer.alloc(16, 3) };
const everyProof = { ...credentials, psk, findPsk: () => psk.key };

test.each(
  [0xc02b, 0xd001].flatMap((suite) =>
    (["client", "server"] as const).flatMap((liar) =>
      (["left out", "said twice", "said after the next", "of unknown type"] as const).map((how) => ({
        suite,
        liar,
        how,
      })),
    ),
  ),
)("suite $suite, a $liar whose own transcript agrees: no message may be $how", ({ suite, liar, how }) => {
  const say = Exchange.prototype.say;
  const types = new Set<number>();
  const outcomes = new Map<string, boolean>();
  /** A handshake in which this message is not said as it should be. */
  const attempt = (wrong: number | undefined): Link => {
    let late: (() => void) | undefined;
    Exchange.prototype.say = function (type, body) {
      if (this.role === liar) types.add(type);
      if (this.role !== liar || type !== wrong) {
        say.call(this, type, body);
        late?.();
        late = undefined;
      } else if (how === "said after the next") late = () => say.call(this, type, body);
      else if (how === "of unknown type") say.call(this, 99, body);
      else if (how === "said twice") [1, 2].forEach(() => say.call(this, type, body));
    };
    const options = { suites: [suite], credentials: everyProof };
    return new Link(options, { ...options, clientAuth: "require", sessions: new ServerSessions() }).connect();
  };
  try {
    expect(eventOf(attempt(undefined).server, "open").facts.suite).toBe(suite);
    for (const type of types) {
      const link = attempt(type);
      const honest = liar === "client" ? link.server : link.client;
      outcomes.set(handshakeName(type), honest.engine?.state === "open");
    }
  } finally {
    Exchange.prototype.say = say;
  }
  // A Finished that comes twice is a flight that is said again.
  const allowed = how === "said twice" ? ["Finished"] : [];
  expect([...outcomes].filter(([, isOpen]) => isOpen).map(([name]) => name)).toEqual(allowed);
  expect(outcomes.size).toBeGreaterThanOrEqual(3);
});

test("what comes before its keys is kept for a moment, bounded", () => {
  const link = new Link({}, { credentials });
  link.tell("client", { type: "start" });
  const record = (seq: number): Uint8Array => {
    const layer = new RecordLayer(99);
    layer.protect(
      recordCipher(
        cipherSuite(0xc02b)!.bulk,
        trafficKeys(cipherSuite(0xc02b)!, new Uint8Array(48), new Uint8Array(32), new Uint8Array(32)).client,
        { encryptThenMac: false },
      ),
      new Uint8Array(0),
    );
    const sealed = Uint8Array.from(layer.seal(23, Uint8Array.of(1), 1));
    sealed[10] = seq;
    return sealed;
  };
  const long = Buffer.concat([record(99), new Uint8Array(20_000)]).subarray(0, 13 + 18_000);
  long.writeUInt16BE(18_000, 11);
  for (let i = 0; i < 14; i++) link.deliver("client", record(i));
  for (let i = 0; i < 3; i++) link.deliver("client", long);
  expect(link.client.engine?.statistics.dropped.overflow).toBe(2);
  for (let i = 14; i < 20; i++) link.deliver("client", record(i));
  expect(link.client.engine?.statistics.dropped.overflow).toBe(7);
  link.connect();
  expect(eventOf(link.client, "open").facts.resumed).toBe(false);
  expect(link.client.engine?.statistics.dropped.unauthentic).toBe(16);
});

test("payloads that overtake the peer's Finished wait for it, bounded; none is handed out before", () => {
  const link = new Link({}, { credentials });
  const held: Uint8Array[] = [];
  link.meddle = (bytes, to) => {
    const isLastFlight = to === "client" && readRecords(bytes, 0)[0]?.header.type === contentTypes.changeCipherSpec;
    if (!isLastFlight || held.length > 0) return [bytes];
    held.push(bytes);
    return [];
  };
  link.tell("client", { type: "start" });
  link.run(20);
  for (let i = 0; i < 20; i++) link.tell("server", { type: "send", payload: Uint8Array.of(i) });
  link.run(20);
  expect(link.client.received).toEqual([]);
  expect(link.client.engine?.statistics.dropped.overflow).toBe(4);
  link.deliver("client", held[0]!);
  expect(link.client.received.map(([first]) => first)).toEqual(Array.from({ length: 16 }, (_, i) => i));
});

test("what the handshake held of secrets is overwritten when it is over, given up, or mixed into others", () => {
  const exchange = new Exchange("client", settle({}), new RecordLayer(99), 0);
  const master = (exchange.master = new Uint8Array(48).fill(7));
  exchange.settleDown();
  expect(master).toEqual(new Uint8Array(48));
  const agreed = new Uint8Array(32).fill(9);
  expect(Buffer.from(pskPremaster(agreed, Uint8Array.of(5))).toString("hex")).toBe(`0020${"09".repeat(32)}000105`);
  expect(agreed).toEqual(new Uint8Array(32));
});

test("faults of ours are told as such, with the alert for them", () => {
  const exchange = () => new Exchange("server", settle({}), new RecordLayer(99), 0);
  expect(() => exchange().chosen).toThrow(expect.objectContaining({ code: "bug/unreachable" }));
  const plan = { sessionId: new Uint8Array(0), ticketDue: false, asksClient: false, now: () => 0 };
  const secrets = { ephemeral: undefined, rsaKey: undefined };
  const message = { type: 16, seq: 0, body: Uint8Array.of(0, 1, 1) };
  for (const id of [0x003c, 0xd001]) {
    const x = exchange();
    x.suite = cipherSuite(id)!;
    const body = id === 0xd001 ? Uint8Array.of(0, 1, 1, 1, 1) : message.body;
    const step = awaitClientFlight(x, {}, plan, secrets);
    expect(() => step.on({ ...message, body })).toThrow(expect.objectContaining({ alert: alerts.internal_error }));
  }
  const client = exchange();
  client.suite = cipherSuite(0xc02b)!;
  const flight = { sessionId: new Uint8Array(0), ticketComes: false, chain: [] };
  expect(() => sendClientFlight(client, flight)).toThrow(expect.objectContaining({ alert: alerts.internal_error }));
  const choice = {
    suite: cipherSuite(0xc02b)!,
    group: { id: 23, name: "x", generate: () => ({ point: new Uint8Array(1), agree: () => new Uint8Array(1) }) },
    certificate: { credential: identity.credential, scheme: undefined },
  };
  expect(() => sendServerFlight(client, {}, choice, plan)).toThrow(
    expect.objectContaining({ alert: alerts.internal_error }),
  );
});

test("a flight is cut into fragments that fill datagrams, the smallest MTU included", () => {
  for (const mtu of [300, 301, 317, 508, 1452]) {
    const items = [700, 5, 0, 263, 262, 261, 1].map((length, seq) => ({
      kind: "message" as const,
      epoch: 0 as const,
      message: { type: 11, seq, body: new Uint8Array(length).fill(seq) },
    }));
    const datagrams = packFlight(items, new RecordLayer(99), mtu);
    expect(Math.max(...datagrams.map(({ length }) => length))).toBeLessThanOrEqual(mtu);
    const fragments = datagrams.flatMap((bytes) => readRecords(bytes, 0)).flatMap(({ body }) => readFragments(body));
    for (const { message } of items) {
      const own = fragments.filter(({ seq }) => seq === message.seq);
      expect(own.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(message.body.length);
    }
  }
});

test("Mac-then-encrypt runs where both callers allow it and the peer is old", () => {
  const options = { suites: [0xc023], allowsMacThenEncrypt: true, connectionId: Buffer.from("cid") };
  const x = new Exchange("client", settle(options), new RecordLayer(99), 0);
  x.suite = cipherSuite(0xc023)!;
  x.master = new Uint8Array(48);
  x.clientRandom = new Uint8Array(32);
  x.serverRandom = new Uint8Array(32);
  const y = new Exchange("server", settle(options), new RecordLayer(99), 0);
  Object.assign(y, { suite: x.suite, master: x.master, clientRandom: x.clientRandom, serverRandom: x.serverRandom });
  x.installKeys();
  y.installKeys();
  for (const length of [0, 1, 15, 16, 200]) {
    const content = new Uint8Array(length).fill(7);
    const [record] = readRecords(x.layer.seal(23, content, 1), 0);
    const opened = y.layer.open(record!);
    expect("content" in opened && Buffer.compare(opened.content, content)).toBe(0);
  }
});
