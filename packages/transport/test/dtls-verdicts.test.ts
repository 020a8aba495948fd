import { afterAll, beforeAll, expect, test } from "vitest";
import type { Channel, RefusedEvent, TlsPolicy, VerifyOptions } from "../src/index.ts";
import { dial, listenDtls, systemClock, verifyWith } from "../src/index.ts";
import { echo, plant, policy, rejection, roundTrip, utf8 } from "./support.ts";
import type { Identity, Plant } from "./support.ts";

const address = "127.34.6.1";
const dayMs = 24 * 60 * 60 * 1000;
let here: Plant;
let stranger: Plant;
let good: Identity;
let elsewhere: Identity;
let revoked: Identity;
let foreign: Identity;
let otherKey: Identity;

beforeAll(async () => {
  here = await plant("Here");
  stranger = await plant("Stranger");
  good = await here.issue("good", { ip: address });
  elsewhere = await here.issue("elsewhere", { ip: "127.34.6.99" });
  revoked = await here.issue("revoked", { ip: address });
  foreign = await stranger.issue("foreign", { ip: address });
  const spare = await here.issue("spare", { ip: address });
  // What is signed with this key is not the certificate's: the last octets of its signature are turned.
  otherKey = { ...spare, chain: [tampered(spare.certificate.der)] };
  await here.ca.revoke(revoked.certificate.facts.serialHex, "keyCompromise");
});

afterAll(async () => {
  await here[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

function tampered(der: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(der);
  const last = copy.length - 1;
  copy[last] = (copy[last] ?? 0) ^ 1;
  return copy;
}

const inDays = (days: number): VerifyOptions["clock"] => ({ wallNow: () => Date.now() + days * dayMs });

interface Way {
  readonly name: string;
  readonly shown: () => Identity;
  readonly judged?: () => Partial<VerifyOptions> | Promise<Partial<VerifyOptions>>;
  readonly code: string;
  readonly alert: string;
}

/** IEC 62443-4-2 CR 1.9: signature, chain, revocation, identity, days. Possession of the key is the handshake's: refusals in `dtls`. */
const ways: readonly Way[] = [
  {
    name: "its signature is not the authority's",
    shown: () => otherKey,
    code: "trust/bad-signature",
    alert: "bad_certificate",
  },
  {
    name: "its chain ends at no trusted authority",
    shown: () => foreign,
    code: "trust/unknown-authority",
    alert: "unknown_ca",
  },
  {
    name: "it is revoked",
    shown: () => revoked,
    judged: async () => ({ crls: [await here.ca.crl()] }),
    code: "trust/revoked",
    alert: "certificate_revoked",
  },
  {
    name: "it names somebody else",
    shown: () => elsewhere,
    judged: () => ({ checkName: true }),
    code: "trust/name",
    alert: "certificate_unknown",
  },
  {
    name: "it is past its end",
    shown: () => good,
    judged: () => ({ clock: inDays(60) }),
    code: "trust/expired",
    alert: "certificate_expired",
  },
  {
    name: "it is not yet good",
    shown: () => good,
    judged: () => ({ clock: inDays(-400) }),
    code: "trust/not-yet-valid",
    alert: "certificate_expired",
  },
  {
    name: "it is not among the pinned",
    shown: () => elsewhere,
    judged: () => ({ pinned: [good.certificate.facts.sha256] }),
    code: "trust/not-pinned",
    alert: "access_denied",
  },
];

async function judging(judged: Way["judged"]): Promise<Partial<TlsPolicy>> {
  const anchors = [here.ca.issuing, here.ca.root];
  return { verify: verifyWith({ anchors, checkName: false, clock: systemClock, ...(await judged?.()) }) };
}

async function meet(server: TlsPolicy, client: TlsPolicy) {
  const refused: RefusedEvent[] = [];
  const listener = await listenDtls({
    address,
    port: 0,
    accept: echo,
    tls: () => server,
    onRefused: (event) => refused.push(event),
  });
  const connect = (tls: TlsPolicy): Promise<Channel> =>
    dial({ protocol: "dtls", host: address, port: listener.port, tls, timeoutMs: 8000, localAddress: address });
  const error = await rejection(connect(client));
  return { error, refused, connect, listener };
}

test.each(ways)("a client's certificate is refused over DTLS: $name", async ({ shown, judged, code, alert }) => {
  const server = policy(here, good, await judging(judged));
  const { error, refused, listener } = await meet(server, policy(here, shown()));
  await using _ = listener;
  expect(error).toMatchObject({ code: "tls/alert", facts: { alert } });
  await expect.poll(() => refused).toMatchObject([{ protocol: "dtls", reason: "handshake", error: { code } }]);
  expect(listener.connections).toBe(0);
});

test.each(ways)("a server's certificate is refused over DTLS: $name", async ({ shown, judged, code, alert }) => {
  const client = policy(here, good, await judging(judged));
  const { error, refused, listener } = await meet(policy(here, shown()), client);
  await using _ = listener;
  expect(error).toMatchObject({ code });
  await expect.poll(() => refused).toMatchObject([{ error: { code: "tls/alert", facts: { alert } } }]);
});

test("the same judges let in whom they should", async () => {
  const crls = [await here.ca.crl()];
  const strict = await judging(() => ({ checkName: true, crls, pinned: [good.certificate.facts.sha256] }));
  const both = policy(here, good, strict);
  await using listener = await listenDtls({ address, port: 0, accept: echo, tls: () => both });
  await using channel = await dial({
    protocol: "dtls",
    host: address,
    port: listener.port,
    tls: both,
    localAddress: address,
  });
  expect(await roundTrip(channel, utf8("in"))).toEqual(utf8("in"));
});

test.each([
  { reason: "address", limits: { maxPerAddress: 1 } },
  { reason: "connections", limits: { maxConnections: 1 } },
] as const)("who is turned away by a limit is told to onRefused: $reason", async ({ reason, limits }) => {
  const refused: RefusedEvent[] = [];
  const both = policy(here, good);
  const onRefused = (event: RefusedEvent): void => void refused.push(event);
  await using listener = await listenDtls({ address, port: 0, accept: echo, tls: () => both, limits, onRefused });
  const options = { protocol: "dtls", host: address, port: listener.port, tls: both } as const;
  await using channel = await dial(options);
  expect(await rejection(dial({ ...options, timeoutMs: 600 }))).toMatchObject({ code: "transport/timeout" });
  expect(refused[0]).toMatchObject({ protocol: "dtls", reason, error: { code: "transport/limit" } });
  expect(await roundTrip(channel, utf8("unmoved"))).toEqual(utf8("unmoved"));
});
