import { expect, test } from "vitest";
import { ServerSessions } from "../src/session.ts";
import { cipherSuites } from "../src/suites.ts";
import { kinds, makeIdentity } from "./identities.ts";
import { eventOf, Link } from "./link.ts";

const ecdsa = makeIdentity(kinds.ecdsa);
const rsa = makeIdentity(kinds.rsa);
const psk = { identity: Buffer.from("line 3"), key: Buffer.alloc(32, 7) };
const bothCertificates = [ecdsa.credential, rsa.credential];
const serverCredentials = {
  certificates: bothCertificates,
  findPsk: (identity: Uint8Array) => (Buffer.compare(identity, psk.identity) === 0 ? psk.key : undefined),
};
const clientCredentials = { certificates: [ecdsa.credential], psk };

test.each(cipherSuites.flatMap((suite) => [true, false].map((withCids) => ({ ...suite, withCids }))))(
  "$name, connection ids $withCids: both ends open and talk",
  ({ id, encrypts, withCids, bulk, authentication }) => {
    const cids = withCids ? { connectionId: Buffer.from("abcd") } : {};
    const link = new Link(
      { suites: [id], credentials: clientCredentials, ...cids },
      { suites: [id], credentials: serverCredentials, clientAuth: "require", ...cids },
    ).connect();
    const client = eventOf(link.client, "open").facts;
    const server = eventOf(link.server, "open").facts;
    expect(client).toMatchObject({
      suite: id,
      encrypts,
      extendedMasterSecret: true,
      encryptThenMac: bulk.kind === "cbc",
    });
    expect(client.connectionIdLength.toUs).toBe(withCids ? 4 : 0);
    expect(server.peer.kind).toBe(authentication === "psk" ? "psk" : "certificate");
    const most = Buffer.alloc(client.maxPayload, 0x55);
    link.tell("client", { type: "send", payload: Buffer.from("hello") });
    link.tell("client", { type: "send", payload: most });
    link.tell("server", { type: "send", payload: Buffer.from("hi") });
    link.run(10);
    expect(link.server.received.map((bytes) => Buffer.from(bytes))).toEqual([Buffer.from("hello"), most]);
    expect(link.client.received.map((bytes) => Buffer.from(bytes))).toEqual([Buffer.from("hi")]);
    expect(Math.max(...link.client.datagrams.map(({ length }) => length))).toBeLessThanOrEqual(1452);
    link.tell("client", { type: "close" });
    link.run(10);
    expect(eventOf(link.server, "closed").by).toBe("peer");
  },
);

test.each(Array.from({ length: 40 }, (_, seed) => ({ seed })))("opens over a bad link, seed $seed", ({ seed }) => {
  const sessions = new ServerSessions();
  const server = { credentials: serverCredentials, clientAuth: "require", mtu: 300, sessions } as const;
  const client = { credentials: clientCredentials, mtu: 300 } as const;
  const faults = { loss: 0.3, duplication: 0.2, reordering: 0.3 };
  const link = new Link(client, server, faults, seed).connect();
  const { session } = eventOf(link.client, "open");
  eventOf(link.server, "open");
  expect(session).toBeDefined();
  const again = new Link({ ...client, ...(session && { session }) }, server, faults, seed + 1000).connect();
  expect(eventOf(again.client, "open").facts.resumed).toBe(true);
  expect(eventOf(again.server, "open").facts).toMatchObject({ resumed: true, peer: { kind: "certificate" } });
  expect(Math.max(...link.client.datagrams.map(({ length }) => length))).toBeLessThanOrEqual(300);
});
