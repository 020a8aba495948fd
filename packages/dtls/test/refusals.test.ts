import { createHmac, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { alerts } from "../src/alert.ts";
import type { EngineInput } from "../src/engine-contract.ts";
import { createClientEngine, createServerEngine } from "../src/engine.ts";
import { DtlsError } from "../src/errors.ts";
import { readFragments } from "../src/handshake/message.ts";
import { contentTypes, readRecords } from "../src/record/header.ts";
import { ClientSession, ServerSessions } from "../src/session.ts";
import { chooseSuite } from "../src/server/choose.ts";
import { settle } from "../src/settings.ts";
import type { ClientOptions, ServerOptions } from "../src/settings.ts";
import { kinds, makeIdentity, makePem } from "./identities.ts";
import { eventOf, Link } from "./link.ts";

const ecdsa = makeIdentity(kinds.ecdsa);
const other = makeIdentity(kinds.ecdsa, "other.example");
const p384 = makeIdentity(kinds.p384);
const rsa = makeIdentity(kinds.rsa);
const ed25519 = makeIdentity(kinds.ed25519);
const credentials = { certificates: [ecdsa.credential] };

const weak = new Uint8Array(new X509Certificate(makePem(["-newkey", "rsa:1024"]).pem).raw);
/** Shows a chain that is not that of the key: only a broken or hostile peer does. */
const showing = (chain: readonly Uint8Array[]) => ({ credentials: { certificates: [{ ...ecdsa.credential, chain }] } });
const psk = {
  suites: [0xd001],
  credentials: { psk: { identity: Buffer.from("a"), key: Buffer.alloc(16) }, findPsk: () => Buffer.alloc(16) },
};

interface Case {
  readonly name: string;
  readonly client?: ClientOptions;
  readonly server?: ServerOptions;
  /** Changes whole handshake messages on the way. */
  readonly change?: (body: Buffer, type: number) => void;
  readonly by: "client" | "server";
  readonly alert: keyof typeof alerts;
  readonly message: RegExp;
}

const at = (offset: number, value: number) => (body: Buffer) => {
  body[offset] = value;
};
const only = (wanted: number, change: (body: Buffer) => void) => (body: Buffer, type: number) => {
  if (type === wanted) change(body);
};

const cases: readonly Case[] = [
  {
    name: "no suite shared",
    client: { suites: [0xc02c] },
    server: { suites: [0xc02b] },
    by: "server",
    alert: "handshake_failure",
    message: /none of the suites/,
  },
  {
    name: "no group shared",
    client: { groups: [24] },
    server: { groups: [29] },
    by: "server",
    alert: "handshake_failure",
    message: /no group is shared/,
  },
  {
    name: "no certificate for the suite",
    client: { suites: [0xc02f] },
    by: "server",
    alert: "handshake_failure",
    message: /no certificate here/,
  },
  {
    name: "no signature scheme shared",
    client: { signatureSchemes: [0x0503] },
    server: { signatureSchemes: [0x0403] },
    by: "server",
    alert: "handshake_failure",
    message: /no certificate here/,
  },
  {
    name: "no key set for the suite",
    client: { suites: [0xd001], credentials: { psk: { identity: Buffer.from("a"), key: Buffer.alloc(16) } } },
    by: "server",
    alert: "handshake_failure",
    message: /no pre-shared key is set/,
  },
  {
    name: "client certificate missing",
    client: { credentials: {} },
    server: { clientAuth: "require" },
    by: "server",
    alert: "handshake_failure",
    message: /showed no certificate/,
  },
  {
    name: "client speaks DTLS 1.0 only",
    change: only(1, at(1, 0xff)),
    by: "server",
    alert: "protocol_version",
    message: /version 0xfeff/,
  },
  {
    name: "server answers with DTLS 1.0",
    change: only(2, at(1, 0xff)),
    by: "client",
    alert: "protocol_version",
    message: /version 0xfeff/,
  },
  {
    name: "server picks a suite that was not offered",
    change: only(2, (body) => body.writeUInt16BE(0x003b, 35 + (body[34] ?? 0))),
    by: "client",
    alert: "illegal_parameter",
    message: /0x3b, which was not offered/,
  },
  {
    name: "server picks a compression",
    change: only(2, (body) => void (body[37 + (body[34] ?? 0)] = 1)),
    by: "client",
    alert: "decode_error",
    message: /compression method/,
  },
  {
    name: "server picks a group that was not offered",
    client: { groups: [23] },
    change: only(12, at(2, 24)),
    by: "client",
    alert: "decrypt_error",
    message: /signature is not that/,
  },
  {
    name: "server signs with a scheme that was not offered",
    client: { signatureSchemes: [0x0403] },
    change: only(12, (body) => body.writeUInt16BE(0x0603, 4 + (body[3] ?? 0))),
    by: "client",
    alert: "illegal_parameter",
    message: /scheme 0x603/,
  },
  {
    name: "signature of the key exchange is changed",
    change: only(12, (body) => void (body[body.length - 1] = (body[body.length - 1] ?? 0) ^ 1)),
    by: "client",
    alert: "decrypt_error",
    message: /signature is not that/,
  },
  {
    name: "server's certificate is unreadable",
    change: only(11, (body) => void (body[9] = (body[9] ?? 0) ^ 1)),
    by: "client",
    alert: "bad_certificate",
    message: /cannot be read/,
  },
  {
    name: "client's signature is changed",
    client: { credentials },
    server: { clientAuth: "require" },
    change: only(15, (body) => void (body[body.length - 1] = (body[body.length - 1] ?? 0) ^ 1)),
    by: "server",
    alert: "decrypt_error",
    message: /signature is not that/,
  },
  {
    name: "client's signature scheme was not asked for",
    client: { credentials },
    server: { clientAuth: "require" },
    change: only(15, at(0, 2)),
    by: "server",
    alert: "illegal_parameter",
    message: /not asked for/,
  },
  {
    name: "client's point is not on the curve",
    client: { groups: [23] },
    change: only(16, (body) => void (body[20] = (body[20] ?? 0) ^ 1)),
    by: "server",
    alert: "illegal_parameter",
    message: /not on prime256v1/,
  },
  {
    name: "client's point has another form",
    client: { groups: [23] },
    change: only(16, at(1, 2)),
    by: "server",
    alert: "illegal_parameter",
    message: /not on prime256v1/,
  },
  {
    name: "client's X25519 point has low order",
    client: { groups: [29, 23] },
    change: only(16, (body) => body.fill(0, 1)),
    by: "server",
    alert: "illegal_parameter",
    message: /not on X25519/,
  },
  {
    name: "server shows no certificate",
    server: showing([]),
    by: "client",
    alert: "bad_certificate",
    message: /sent no certificate/,
  },
  {
    name: "server shows a weak key",
    server: showing([weak]),
    by: "client",
    alert: "unsupported_certificate",
    message: /1024 bits/,
  },
  {
    name: "server shows a key of another kind",
    server: showing(rsa.credential.chain),
    by: "client",
    alert: "illegal_parameter",
    message: /a key for rsa/,
  },
  {
    name: "client shows a weak key",
    client: showing([weak]),
    server: { clientAuth: "require" },
    by: "server",
    alert: "unsupported_certificate",
    message: /1024 bits/,
  },
  {
    name: "client shows what is no certificate",
    client: showing([Uint8Array.of(48, 0)]),
    server: { clientAuth: "require" },
    by: "server",
    alert: "bad_certificate",
    message: /cannot be read/,
  },
  {
    name: "client shows another's certificate",
    client: showing(other.credential.chain),
    server: { clientAuth: "require" },
    by: "server",
    alert: "decrypt_error",
    message: /signature is not that/,
  },
  {
    name: "certificate on a curve that the client lacks",
    client: { groups: [29] },
    by: "server",
    alert: "handshake_failure",
    message: /no certificate here/,
  },
  {
    name: "unsigned group that was not offered",
    client: { ...psk, groups: [23] },
    server: psk,
    change: only(12, at(4, 24)),
    by: "client",
    alert: "illegal_parameter",
    message: /group 24, which was not offered/,
  },
  {
    name: "server adds an extension",
    change: only(2, (body) => body.fill(0x7f, 40 + (body[34] ?? 0), 42 + (body[34] ?? 0))),
    by: "client",
    alert: "unsupported_extension",
    message: /extension 32639 was not offered/,
  },
  {
    name: "server asks for nothing and says done too long",
    change: only(14, () => undefined),
    server: { suites: [0xc006] },
    client: { suites: [0xc02b] },
    by: "server",
    alert: "handshake_failure",
    message: /none of the suites/,
  },
];

test.each(cases)("ends with the right alert: $name", ({ client, server, change, by, alert, message }) => {
  const link = new Link({ ...client }, { credentials, ...server });
  link.meddle = (bytes) => [change === undefined ? bytes : rewrite(bytes, change)];
  link.connect();
  const { error } = eventOf(link[by], "closed");
  expect(error?.message).toMatch(message);
  expect(error?.alert).toBe(alerts[alert]);
  const peer = by === "client" ? link.server : link.client;
  expect(eventOf(peer, "closed").error).toMatchObject({ code: "dtls/alert", facts: { alert } });
});

test("an error names some of the suites that a peer lists, and not thousands: each error is logged", () => {
  const x = { suites: Array.from({ length: 16_000 }, (_, i) => i), groups: [23], schemes: [0x0403] };
  const offer = {
    ...x,
    sessionId: new Uint8Array(0),
    serverName: undefined,
    encryptThenMac: true,
    extendedMaster: true,
  };
  const rest = { ticket: undefined, cid: undefined, pointFormats: true, renegotiationInfo: true };
  try {
    chooseSuite(settle({ suites: [0xc02b] }), { ...offer, ...rest });
    expect.unreachable();
  } catch (error) {
    expect(error instanceof DtlsError && error.facts["suites"]).toMatch(/^0x0000 0x0001 .* 0x0027 and 15960 more$/);
  }
});

test.each([
  { name: "server refused by the client", by: "client", code: "dtls/verify" },
  { name: "client refused by the server", by: "server", code: "dtls/verify" },
] as const)("the caller's verdict ends it: $name", ({ by, code }) => {
  const link = new Link({ credentials }, { credentials, clientAuth: "require" });
  link[by].verdict = { accepted: false, reason: "it is revoked", alert: "certificate_revoked" };
  link.connect();
  expect(eventOf(link[by], "closed").error).toMatchObject({ code, message: expect.stringContaining("it is revoked") });
  const peer = by === "client" ? link.server : link.client;
  expect(eventOf(peer, "closed").error?.facts).toEqual({ alert: "certificate_revoked" });
});

test("a verdict may come later, and waits for nobody but the deadline", () => {
  const link = new Link({ credentials }, { credentials, clientAuth: "require" });
  link.client.verdict = "later";
  link.server.verdict = "later";
  link.tell("client", { type: "start" });
  link.run(5000);
  expect(link.client.engine?.state).toBe("handshake");
  link.tell("client", { type: "verdict", verdict: { accepted: true } });
  link.run(5000);
  link.tell("server", { type: "verdict", verdict: { accepted: true } });
  link.run(100);
  expect(eventOf(link.server, "open").facts.peer.kind).toBe("certificate");
  expect(eventOf(link.client, "open").facts.resumed).toBe(false);
  const short = new Link({}, { credentials });
  short.client.verdict = { accepted: false, reason: "not of this plant" };
  expect(eventOf(short.connect().server, "closed").error?.facts).toEqual({ alert: "bad_certificate" });
  // A second verdict changes nothing.
  link.tell("server", { type: "verdict", verdict: { accepted: false, reason: "too late" } });
  expect(link.server.engine?.state).toBe("open");

  const never = new Link({}, { credentials });
  never.client.verdict = "later";
  never.tell("client", { type: "start" });
  never.run(31_000);
  expect(eventOf(never.client, "closed").error?.message).toContain("waiting for the verdict");
});

test("a changed Finished is found out, whoever sent it", () => {
  // The transcript differs: the server saw another list of groups than the client sent, without a difference in outcome.
  const link = new Link({ groups: [23, 24] }, { credentials, groups: [23] });
  link.meddle = (bytes, to) => [
    to === "server"
      ? rewrite(
          bytes,
          only(1, (body) => replace(body, Buffer.from([0, 4, 0, 23, 0, 24]), Buffer.from([0, 4, 0, 23, 0, 29]))),
        )
      : bytes,
  ];
  link.connect();
  // The secrets are bound to the transcript, so the records do not even open: silence, and nobody is open.
  expect(eventOf(link.client, "closed").error?.code).toBe("dtls/timeout");
  expect(eventOf(link.server, "closed").error?.facts["unauthentic"]).toBeGreaterThan(0);
});

test("a server that never tires of cookies is given up", () => {
  const engine = createClientEngine({});
  let { events } = engine.handle({ type: "start" }, 0);
  for (let seq = 0; seq < 5; seq++) {
    const message = Uint8Array.of(3, 0, 0, 4, 0, seq, 0, 0, 0, 0, 0, 4, 0xfe, 0xff, 1, seq);
    const record = Uint8Array.of(22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, seq, 0, message.length, ...message);
    ({ events } = engine.handle({ type: "datagram", bytes: record }, 0));
  }
  expect(events).toMatchObject([{ type: "closed", error: { message: "the server asked for a cookie 5 times" } }]);
});

test("a message out of order ends the handshake", () => {
  const link = new Link({}, { credentials });
  link.meddle = (bytes) => [rewriteTypes(bytes, 12, 14)];
  link.connect();
  expect(eventOf(link.client, "closed").error).toMatchObject({
    code: "dtls/handshake",
    message: "waiting for ServerKeyExchange, and ServerHelloDone came",
    alert: alerts.unexpected_message,
  });
});

test.each([
  { name: "P-384 certificate", identity: p384, suites: [0xc02c], scheme: 0x0403 },
  { name: "Ed25519 certificate", identity: ed25519, suites: [0xc02b], scheme: 0x0807 },
  { name: "RSA with PSS", identity: rsa, suites: [0xc02f], scheme: 0x0804 },
])("authenticates both ways: $name", ({ identity, suites, scheme }) => {
  const own = { certificates: [identity.credential] };
  const link = new Link({ suites, credentials: own }, { suites, credentials: own, clientAuth: "require" }).connect();
  expect(eventOf(link.client, "open").facts.signatureScheme).toBe(scheme);
  expect(eventOf(link.server, "open").facts.peer).toEqual({ kind: "certificate", chain: identity.credential.chain });
});

test("the certificate for the name that was asked for is shown", () => {
  const server = { credentials: { certificates: [ecdsa.credential, other.credential] } };
  const link = new Link({ serverName: "other.example" }, server).connect();
  expect(eventOf(link.client, "open").facts.peer).toEqual({ kind: "certificate", chain: other.credential.chain });
  expect(eventOf(link.server, "open").facts.serverName).toBe("other.example");
});

test("a client that is only asked may stay without certificate", () => {
  const link = new Link({}, { credentials, clientAuth: "request" }).connect();
  expect(eventOf(link.server, "open").facts.peer).toEqual({ kind: "anonymous" });
});

test("sessions are taken up by ticket, with a pre-shared key too, and not under changed rules", () => {
  const sessions = new ServerSessions();
  const key = { identity: Buffer.from("line 3"), key: Buffer.alloc(16, 1) };
  let known = true;
  const client = { suites: [0xd001], credentials: { psk: key } };
  const server = { suites: [0xd001], sessions, credentials: { findPsk: () => (known ? key.key : undefined) } };
  const first = new Link(client, server).connect();
  const { session } = eventOf(first.client, "open");
  const again = new Link({ ...client, session: session! }, server).connect();
  expect(eventOf(again.server, "open").facts).toMatchObject({ resumed: true, peer: { kind: "psk" } });
  const otherSuite = new Link(
    { ...client, suites: [0xd002], session: session! },
    { ...server, suites: [0xd002] },
  ).connect();
  expect(eventOf(otherSuite.client, "open").facts.resumed).toBe(false);
  known = false;
  const forgotten = new Link({ ...client, session: session! }, server).connect();
  expect(eventOf(forgotten.client, "closed").error?.code).toBe("dtls/timeout");
  known = true;
  sessions.reset();
  const reset = new Link({ ...client, session: session! }, server).connect();
  expect(eventOf(reset.client, "open").facts.resumed).toBe(false);
});

test("a session with a client certificate is judged anew, and can be refused", () => {
  const sessions = new ServerSessions();
  const server = { credentials, sessions, clientAuth: "require" } as const;
  const first = new Link({ credentials }, server).connect();
  const { session } = eventOf(first.client, "open");
  const again = new Link({ credentials, session: session! }, server);
  again.server.verdict = { accepted: false, reason: "revoked since", alert: "certificate_revoked" };
  again.connect();
  expect(eventOf(again.server, "verify").request).toMatchObject({ resumed: true, chain: ecdsa.credential.chain });
  expect(eventOf(again.client, "closed").error?.facts).toEqual({ alert: "certificate_revoked" });
});

test.each([
  { name: "under another name", server: {}, client: { serverName: "other.example" } },
  { name: "without its name", server: {}, client: {} },
  {
    name: "where its suite is not allowed any more",
    server: { suites: [0xc02b] },
    client: { serverName: "a.example" },
  },
])("a session is not taken up $name, even where the client asks for it", ({ client, server }) => {
  for (const clientAuth of ["none", "require"] as const) {
    const sessions = new ServerSessions();
    const options = { credentials, sessions, clientAuth } as const;
    const suites = [0xc02b, 0xc02c];
    const first = new Link({ credentials, serverName: "a.example", suites: [0xc02c] }, options).connect();
    const { session } = eventOf(first.client, "open");
    // A client of ours would not even ask: this one is told that its session is of the name that it asks for now.
    const opened = ClientSession.open(session!);
    const state = { ...opened.state, serverName: "serverName" in client ? client.serverName : undefined };
    const lying = new ClientSession(state, opened.sessionId, opened.ticket);
    for (const offered of [session!, lying]) {
      const link = new Link({ credentials, suites, ...client, session: offered }, { ...options, ...server }).connect();
      expect(eventOf(link.client, "open").facts.resumed).toBe(false);
      expect(eventOf(link.server, "open").facts.serverName).toBe(state.serverName);
    }
  }
});

test("a session that its client cannot use any more makes room for a full handshake with another suite", () => {
  const key = { identity: Buffer.from("line 3"), key: Buffer.alloc(16, 1) };
  const sessions = new ServerSessions();
  const server = { sessions, credentials: { ...credentials, findPsk: () => key.key } };
  const first = new Link({ suites: [0xc02b] }, { ...server, groups: [23, 24] }).connect();
  const { session } = eventOf(first.client, "open");
  const other = { suites: [0xc02b, 0xd001], credentials: { psk: key }, groups: [24], session: session! };
  const again = new Link(other, { ...server, groups: [23, 24] }).connect();
  expect(eventOf(again.server, "open").facts).toMatchObject({ suite: 0xd001, resumed: false });
});

test("a session with the extended master secret is not taken up without it, but ends the handshake", () => {
  const sessions = new ServerSessions();
  const first = new Link({}, { credentials, sessions }).connect();
  const { session } = eventOf(first.client, "open");
  const again = new Link({ session: session! }, { credentials, sessions });
  again.meddle = (bytes, to) => [to === "server" ? rewrite(bytes, only(1, hideExtendedMaster)) : bytes];
  again.connect();
  expect(eventOf(again.server, "closed").error).toMatchObject({
    alert: alerts.handshake_failure,
    message: expect.stringContaining("extended master secret"),
  });
});

test("a client refuses a session that the server takes up with another suite than it had", () => {
  const sessions = new ServerSessions();
  const suites = [0xc02b, 0xc02c];
  const first = new Link({ suites }, { credentials, sessions }).connect();
  const { session } = eventOf(first.client, "open");
  const again = new Link({ suites, session: session! }, { credentials, sessions });
  again.meddle = (bytes) => [
    rewrite(
      bytes,
      only(2, (body) => body.writeUInt16BE(0xc02c, 35 + (body[34] ?? 0))),
    ),
  ];
  const { error } = eventOf(again.connect().client, "closed");
  expect(error).toMatchObject({ alert: alerts.illegal_parameter, message: expect.stringContaining("another suite") });
});

test("an empty key is none, an empty identity is one; a session goes on as the identity that it was made with", () => {
  const [key, none] = [Buffer.alloc(16, 1), new Uint8Array(0)];
  const sessions = new ServerSessions();
  /** What is empty is refused as an option, so it is changed behind the client's back. */
  const open = (identity: Uint8Array, own: Uint8Array, found: Uint8Array | undefined, session?: ClientSession) => {
    const credential = { identity: Buffer.alloc(1), key };
    const client = { suites: [0xd001], credentials: { psk: credential }, ...(session && { session }) };
    const link = new Link(client, { suites: [0xd001], sessions, credentials: { findPsk: () => found } });
    Object.assign(credential, { identity, key: own });
    return link.connect();
  };
  const first = open(none, key, key);
  const { session } = eventOf(first.client, "open");
  expect(eventOf(first.server, "open").facts.peer).toEqual({ kind: "psk", identity: none });
  const again = open(none, key, key, session);
  expect(eventOf(again.server, "open").facts).toMatchObject({ resumed: true, peer: { kind: "psk", identity: none } });
  expect(eventOf(open(none, key, undefined, session).client, "closed").error?.code).toBe("dtls/timeout");
  expect(eventOf(open(none, none, none).server, "closed").error?.code).toBe("dtls/timeout");
  const asOther = open(Buffer.from("b"), key, key, session);
  expect(eventOf(asOther.server, "open").facts).toMatchObject({
    resumed: false,
    peer: { identity: Uint8Array.of(98) },
  });
});

test("a ticket and a session id end with their time; a changed ticket is nobody's", () => {
  const sessions = new ServerSessions();
  const named = { pskIdentity: undefined, peerChain: [], serverName: "plc.example" };
  const state = { suite: 0xc02b, master: new Uint8Array(48).fill(3), ...named };
  const ticket = sessions.ticketFor(state, 0);
  expect(sessions.openTicket(ticket, 1000)).toEqual(state);
  expect(sessions.openTicket(ticket, 3_601_000)).toBeUndefined();
  expect(sessions.openTicket(ticket, 9_000_000)).toBeUndefined();
  expect(
    sessions.openTicket(
      ticket.map((octet, i) => (i === 20 ? octet ^ 1 : octet)),
      0,
    ),
  ).toBeUndefined();
  expect(sessions.openTicket(ticket.subarray(0, 20), 0)).toBeUndefined();
  const id = Buffer.alloc(32, 1);
  sessions.keep(id, state, 0);
  expect(sessions.find(id, 1000)).toEqual(state);
  expect(sessions.find(id, 3_600_000)).toBeUndefined();
  for (let i = 0; i < 1100; i++) sessions.keep(createHmac("sha256", "id").update(String(i)).digest(), state, 0);
  expect(sessions.find(createHmac("sha256", "id").update("0").digest(), 1)).toBeUndefined();
  expect(sessions.find(createHmac("sha256", "id").update("1099").digest(), 1)).toEqual(state);
});

test("goodbye, idleness and the last sequence number end a session, each with its reason", () => {
  const idle = new Link({ idleTimeoutMs: 12_000 }, { credentials }).connect();
  idle.run(11_000);
  expect(idle.client.engine?.state).toBe("open");
  idle.run(2000);
  expect(eventOf(idle.client, "closed")).toMatchObject({ by: "idle", error: { code: "dtls/timeout" } });
  expect(eventOf(idle.server, "closed").by).toBe("peer");

  const spent = new Link({ maxRecords: 20 }, { credentials }).connect();
  for (let i = 0; i < 19; i++) spent.tell("client", { type: "send", payload: Uint8Array.of(i) });
  expect(eventOf(spent.client, "closed")).toMatchObject({ by: "error", error: { code: "dtls/limit" } });
  spent.run(10);
  expect(spent.server.received).toHaveLength(18);
  expect(eventOf(spent.server, "closed").by).toBe("peer");
  expect(() => spent.tell("client", { type: "send", payload: Uint8Array.of(1) })).toThrow(
    expect.objectContaining({ code: "dtls/closed" }),
  );
});

test("the key log has one line a side, and only where it is asked for", () => {
  const link = new Link({ keyLog: true }, { credentials }).connect();
  const random = Buffer.from(link.client.engine!.clientRandom).toString("hex");
  expect(eventOf(link.client, "keylog").line).toMatch(new RegExp(`^CLIENT_RANDOM ${random} [0-9a-f]{96}$`));
  expect(link.server.events.some(({ type }) => type === "keylog")).toBe(false);
});

test.each<{ name: string; run: () => unknown }>([
  { name: "MTU too small", run: () => createClientEngine({ mtu: 299 }) },
  { name: "unknown suite", run: () => createClientEngine({ suites: [0x1301] }) },
  { name: "no suite", run: () => createClientEngine({ suites: [] }) },
  { name: "SHA-1 signatures", run: () => createClientEngine({ signatureSchemes: [0x0203] }) },
  { name: "id too long", run: () => createClientEngine({ connectionId: new Uint8Array(33) }) },
  {
    name: "identity too long",
    run: () => createClientEngine({ credentials: { psk: { identity: new Uint8Array(256), key: Buffer.alloc(16) } } }),
  },
  {
    name: "empty key",
    run: () =>
      createServerEngine(
        { credentials: { psk: { identity: Buffer.from("a"), key: new Uint8Array(0) } } },
        { messageSeq: 0, recordSeq: 0 },
      ),
  },
])("says which option is wrong: $name", ({ run }) => {
  expect(run).toThrow(expect.objectContaining({ code: "usage/argument" }));
});

test("sending before it is open is a mistake; other early inputs are none", () => {
  const engine = createClientEngine({});
  expect(() => engine.handle({ type: "send", payload: Uint8Array.of(1) }, 0)).toThrow(
    expect.objectContaining({ code: "usage/state" }),
  );
  const early: readonly EngineInput[] = [{ type: "timer" }, { type: "verdict", verdict: { accepted: true } }];
  for (const input of early) expect(engine.handle(input, 0).events).toEqual([]);
  expect(engine.handle({ type: "close" }, 0)).toMatchObject({ send: [], events: [{ type: "closed", by: "local" }] });
  expect(engine.handle({ type: "close" }, 0).events).toEqual([]);
  const psk = createClientEngine({ suites: [0xd001] }).handle({ type: "start" }, 0);
  expect(psk.events).toMatchObject([
    { type: "closed", error: { message: expect.stringContaining("needs a pre-shared key") } },
  ]);
});

/** Applies a change to the body of each whole plain handshake message. */
function rewrite(bytes: Uint8Array, change: (body: Buffer, type: number) => void): Uint8Array {
  const copy = Buffer.from(bytes);
  for (const { header, body } of readRecords(copy, 0)) {
    if (header.type !== contentTypes.handshake || header.epoch !== 0) continue;
    for (const { bytes: fragment, type } of readFragments(body)) {
      change(Buffer.from(fragment.buffer, fragment.byteOffset, fragment.length), type);
    }
  }
  return copy;
}

/** Renames the extension in a hello, so that nobody knows it. */
function hideExtendedMaster(body: Buffer): void {
  replace(body, Buffer.from([0, 23, 0, 0]), Buffer.from([0xfa, 0xfa, 0, 0]));
}

function rewriteTypes(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const copy = Buffer.from(bytes);
  for (const { header, body } of readRecords(copy, 0)) {
    if (header.type === contentTypes.handshake && header.epoch === 0 && body[0] === from) body[0] = to;
  }
  return copy;
}

function replace(body: Buffer, old: Buffer, by: Buffer): void {
  const found = body.indexOf(old);
  if (found >= 0) by.copy(body, found);
}
