import * as fc from "fast-check";
import { expect, test } from "vitest";
import { CookieJar } from "../src/cookie.ts";
import { createClientEngine, createServerEngine } from "../src/engine.ts";
import { DtlsError } from "../src/errors.ts";
import { judgeHello } from "../src/gate.ts";
import { readCertificateRequest } from "../src/handshake/certificate-request.ts";
import { readCertificate } from "../src/handshake/certificate.ts";
import { readClientHello } from "../src/handshake/client-hello.ts";
import { readClientKeyExchange, readEncryptedPremaster } from "../src/handshake/client-key-exchange.ts";
import { readHelloVerifyRequest } from "../src/handshake/hello-verify-request.ts";
import { readFragments } from "../src/handshake/message.ts";
import { readNewSessionTicket } from "../src/handshake/new-session-ticket.ts";
import { readServerHello } from "../src/handshake/server-hello.ts";
import {
  readCertificateVerify,
  readPskKeyExchange,
  readSignedKeyExchange,
} from "../src/handshake/server-key-exchange.ts";
import { readRecords } from "../src/record/header.ts";
import { Switchboard } from "../src/switchboard.ts";
import { kinds, makeIdentity } from "./identities.ts";
import { Link, seeded } from "./link.ts";

const identity = makeIdentity(kinds.ecdsa);
const options = { credentials: { certificates: [identity.credential] }, clientAuth: "require" } as const;

const readers = {
  readCertificate,
  readCertificateRequest,
  readCertificateVerify,
  readClientHello,
  readClientKeyExchange: (bytes: Uint8Array) => readClientKeyExchange(bytes, true),
  readEncryptedPremaster,
  readFragments,
  readHelloVerifyRequest,
  readNewSessionTicket,
  readPskKeyExchange,
  readServerHello,
  readSignedKeyExchange,
};

test.each(Object.entries(readers))("%s reads any octets or refuses them by name", (_, read) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      try {
        read(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DtlsError);
        expect(error).toMatchObject({ code: "dtls/decode" });
      }
    }),
    { numRuns: 500 },
  );
});

test("any datagram, in any state, is taken without an exception and with bounded answers", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), fc.boolean(), (datagrams, asClient) => {
      const engine = asClient ? createClientEngine({}) : createServerEngine(options, { messageSeq: 0, recordSeq: 0 });
      if (asClient) engine.handle({ type: "start" }, 0);
      for (const bytes of datagrams) {
        const { send } = engine.handle({ type: "datagram", bytes }, 1);
        expect(send.length).toBeLessThanOrEqual(8);
      }
    }),
    { numRuns: 500 },
  );
});

/** Changes datagrams of a real handshake: octets, lengths, order, copies. */
function mutate(bytes: Uint8Array, random: () => number): readonly Uint8Array[] {
  const pick = (below: number): number => Math.floor(random() * below);
  const kind = pick(12);
  const copy = Uint8Array.from(bytes);
  const at = pick(bytes.length);
  if (kind === 0) copy[at] = pick(256);
  if (kind === 1) return [copy.subarray(0, at)];
  if (kind === 2) return [copy, copy];
  if (kind === 3) copy.fill(pick(256), at, at + pick(8));
  // The fragment header: lengths and offsets that lie.
  if (kind === 4) copy[13 + pick(12)] = pick(256);
  // The record header: epochs, numbers and lengths that lie.
  if (kind === 5) copy[pick(13)] = pick(256);
  if (kind === 6) return [Uint8Array.from([...copy, ...copy.subarray(at)])];
  if (kind === 7) return [];
  return [copy];
}

test.each(Array.from({ length: 60 }, (_, seed) => ({ seed })))(
  "a handshake whose every flight is mutated throws nothing and ends in time, seed $seed",
  ({ seed }) => {
    const random = seeded(seed);
    const common = { connectionId: Buffer.from("abcd"), mtu: 300 + Math.floor(random() * 1000) };
    const link = new Link({ ...common, credentials: options.credentials }, { ...common, ...options }, {}, seed);
    link.meddle = (bytes) => mutate(bytes, random);
    link.connect(70_000);
    const states = [link.client.engine?.state, link.server.engine?.state ?? "closed"];
    // One side may be open while the other failed: its last flight was refused. None may hang in the handshake.
    expect(states).not.toContain("handshake");
  },
);

test.each([{ suite: 0xc02b }, { suite: 0xc023 }, { suite: 0xc006 }, { suite: 0xcca9 }])(
  "a live session with suite $suite survives thousands of mutated, replayed and invented datagrams",
  ({ suite }) => {
    const link = new Link({ suites: [suite] }, { ...options, suites: [suite], clientAuth: "none" }).connect();
    const random = seeded(suite);
    const flights = [...link.client.datagrams];
    for (let i = 0; i < 20; i++) link.tell("client", { type: "send", payload: Buffer.from(`payload ${i}`) });
    const data = link.client.datagrams.slice(flights.length);
    link.run(10);
    expect(link.server.received).toHaveLength(20);
    for (let i = 0; i < 4000; i++) {
      const source = i % 2 === 0 ? data : flights;
      const bytes = source[Math.floor(random() * source.length)] ?? new Uint8Array(0);
      for (const mutated of mutate(bytes, random)) {
        const output = link.deliver("server", mutated);
        expect(output?.received).toEqual([]);
        expect(output?.events).toEqual([]);
      }
    }
    expect(link.server.engine?.state).toBe("open");
    link.tell("client", { type: "send", payload: Buffer.from("alive") });
    link.run(10);
    expect(Buffer.from(link.server.received.at(-1) ?? []).toString()).toBe("alive");
  },
);

test("any datagram at a switchboard keeps nothing and throws nothing", () => {
  const board = new Switchboard(
    { ...options, onAssociation: () => undefined },
    { send: () => undefined, now: () => 0, rearm: () => undefined },
  );
  const hello = createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? new Uint8Array(0);
  const random = seeded(3);
  for (let i = 0; i < 3000; i++) {
    for (const bytes of mutate(hello, random)) board.receive(bytes, { address: "127.33.5.1", port: i });
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 1, max: 65535 }), (bytes, port) =>
      board.receive(bytes, { address: "127.33.5.1", port }),
    ),
    { numRuns: 500 },
  );
  expect(board).toMatchObject({ open: 0, handshakes: 0 });
});

test("the gate answers hellos only, and never with more than came", () => {
  const cookies = new CookieJar();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(1, 2, 3, 16, 20), (bytes, type) => {
      const header = Uint8Array.of(22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes.length + 12);
      const fragment = Uint8Array.of(type, 0, 0, bytes.length, 0, 0, 0, 0, 0, 0, 0, bytes.length);
      const datagram = Buffer.concat([header, fragment, bytes]);
      const verdict = judgeHello(datagram, "a 1", cookies, 0);
      expect(verdict.kind).not.toBe("admit");
      if (type !== 1) expect(verdict.kind).toBe("ignore");
      if (verdict.kind === "answer") expect(verdict.bytes.length).toBeLessThanOrEqual(datagram.length);
    }),
    { numRuns: 500 },
  );
});

test("splitting any datagram into records stays inside it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 0, max: 32 }), (bytes, cidLength) => {
      const octets = readRecords(bytes, cidLength).reduce(
        (sum, { body, header }) => sum + 13 + header.cid.length + body.length,
        0,
      );
      expect(octets).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 500 },
  );
});

test("a hello with the last record number there is ends its handshake, and throws nothing", () => {
  const hello = Uint8Array.from(createClientEngine({}).handle({ type: "start" }, 0).send[0] ?? []);
  hello.fill(255, 5, 11);
  const engine = createServerEngine(options, { messageSeq: 0, recordSeq: 2 ** 48 - 1 });
  const { events, send } = engine.handle({ type: "datagram", bytes: hello }, 0);
  expect(events).toMatchObject([{ type: "closed", by: "error", error: { code: "dtls/limit" } }]);
  expect(send).toEqual([]);
});

test("fragments that claim much and bring little take a bounded share of memory", () => {
  const engine = createServerEngine(options, { messageSeq: 0, recordSeq: 0 });
  for (let seq = 0; seq < 12; seq++) {
    const message = Uint8Array.of(11, 0, 0x7f, 0xff, 0, seq, 0, 0, 0, 0, 0, 1, 1);
    const record = Uint8Array.of(22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, seq, 0, message.length, ...message);
    engine.handle({ type: "datagram", bytes: record }, 0);
  }
  // Two of 32 KiB wait; the others had no room or lay too far ahead.
  expect(engine.statistics.dropped.unexpected).toBe(10);
});
