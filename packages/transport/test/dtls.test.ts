import { afterAll, beforeAll, expect, test } from "vitest";
import { DtlsError, cipherSuites } from "@cipsec/dtls";
import { cipherSuite, TrustError } from "@cipsec/wire";
import type { Channel, DtlsListener, DtlsListenOptions, RefusedEvent, TlsPolicy } from "../src/index.ts";
import { dial, listenDtls } from "../src/index.ts";
import { dtlsError } from "../src/dtls-errors.ts";
import { echo, plant, policy, rejection, roundTrip, run, utf8 } from "./support.ts";
import type { Identity, Plant } from "./support.ts";

const address = "127.37.2.1";
const key = { identity: utf8("plant/line 1 é"), key: Uint8Array.from({ length: 64 }, (_, i) => i), usage: 2 };
const refused: RefusedEvent[] = [];
let here: Plant;
let stranger: Plant;
let device: Identity;
let rsaDevice: Identity;
let tool: Identity;
let foreign: Identity;

beforeAll(async () => {
  here = await plant("Here");
  stranger = await plant("Stranger");
  device = await here.issue("device", { ip: address });
  rsaDevice = await here.issue("rsa-device", { kind: "rsa-2048", ip: address });
  tool = await here.issue("tool");
  foreign = await stranger.issue("foreign");
});

afterAll(async () => {
  await here[Symbol.asyncDispose]();
  await stranger[Symbol.asyncDispose]();
});

async function serve(tls: () => TlsPolicy, more: Partial<DtlsListenOptions> = {}): Promise<DtlsListener> {
  refused.length = 0;
  const onRefused = (event: RefusedEvent): number => refused.push(event);
  return await listenDtls({ address, port: 0, accept: echo, tls, onRefused, ...more });
}

async function connect(listener: DtlsListener, tls: TlsPolicy, timeoutMs = 5_000): Promise<Channel> {
  return await dial({ protocol: "dtls", host: address, port: listener.port, tls, timeoutMs });
}

test.each(cipherSuites.filter(({ id }) => cipherSuite(id) !== undefined).map(({ id }) => cipherSuite(id)))(
  "$name: certificates or keys on both sides, facts on both sides",
  async (suite) => {
    const { id = 0, name, encrypts, auth } = suite ?? {};
    const facts: Channel["facts"][] = [];
    const accept = (channel: Channel): void => {
      facts.push(channel.facts);
      echo(channel);
    };
    const parts = { suites: [0x1301, id], psks: [key] };
    const both = policy(here, undefined, { ...parts, certificates: [device, rsaDevice] });
    await using listener = await serve(() => both, { accept });
    await using channel = await connect(listener, policy(here, tool, parts));
    expect(await roundTrip(channel, utf8("hello"))).toEqual(utf8("hello"));
    expect(channel).toMatchObject({ kind: "datagram", facts: { protocol: "dtls", remote: { port: listener.port } } });
    const common = { version: "DTLSv1.2", suite: id, suiteName: name, encrypts, accelerated: expect.any(Boolean) };
    const shown = ({ certificate }: Identity): object => ({
      kind: "certificate",
      subject: expect.stringContaining("CN="),
      sha256: certificate.facts.sha256,
      der: certificate.der,
    });
    const identity = { kind: "psk", identity: "plant/line 1 é" };
    const server = auth === "rsa" ? rsaDevice : device;
    expect(channel.facts.security).toEqual({ ...common, peer: auth === "psk" ? identity : shown(server) });
    expect(facts[0]?.security).toEqual({ ...common, peer: auth === "psk" ? identity : shown(tool) });
  },
);

test("a client that shows nothing, where nothing is asked for, is anonymous", async () => {
  const facts: Channel["facts"][] = [];
  await using listener = await serve(() => policy(here, device, { verifyPeer: false }), {
    accept: (channel) => facts.push(channel.facts),
  });
  await using _ = await connect(listener, policy(here, undefined));
  expect(facts[0]?.security?.peer).toEqual({ kind: "anonymous" });
});

test.each([
  {
    name: "no common suite",
    ours: () => policy(here, tool, { suites: [0xc02c] }),
    code: "tls/alert",
    facts: { alert: "handshake_failure", number: 40 },
    theirs: { code: "tls/handshake", facts: { reason: "no-common-suite" } },
  },
  {
    name: "no certificate where one is required",
    ours: () => policy(here, undefined),
    code: "tls/alert",
    facts: { alert: "handshake_failure" },
    theirs: { code: "trust/refused", facts: { reason: "no-certificate" } },
  },
  {
    name: "a certificate of a strange authority",
    ours: () => policy(stranger, foreign, { verify: () => ({ ok: true }) }),
    code: "tls/alert",
    facts: { alert: "unknown_ca", number: 48 },
    theirs: { code: "trust/unknown-authority" },
  },
  {
    name: "a server of a strange authority",
    ours: () => policy(stranger, tool),
    code: "trust/unknown-authority",
    facts: {},
    theirs: { code: "tls/alert", facts: { alert: "unknown_ca" } },
  },
])("refuses with the codes of TLS: $name", async ({ ours, code, facts, theirs }) => {
  await using listener = await serve(() => policy(here, device));
  expect(await rejection(connect(listener, ours()))).toMatchObject({ code, facts });
  await expect.poll(() => refused[0]).toMatchObject({ protocol: "dtls", reason: "handshake", error: theirs });
  await using channel = await connect(listener, policy(here, tool));
  expect(await roundTrip(channel, utf8("still here"))).toEqual(utf8("still here"));
});

test("a wrong pre-shared key shows as silence, and the error says what it can mean", async () => {
  const parts = { suites: [0xccac], psks: [key] };
  await using listener = await serve(() => policy(here, undefined, parts));
  const wrong = { ...parts, psks: [{ ...key, key: new Uint8Array(64) }] };
  const error = await rejection(connect(listener, policy(here, undefined, wrong), 700));
  expect(error).toMatchObject({ code: "transport/timeout", facts: { phase: "handshake", wrongKey: true } });
  expect(String(error)).toContain("different pre-shared keys");
});

test("nobody there, no policy, no usable suite: each its own error", async () => {
  const tls = policy(here, tool);
  expect(await rejection(dial({ protocol: "dtls", host: address, port: 1, tls, timeoutMs: 300 }))).toMatchObject({
    code: "transport/timeout",
  });
  expect(await rejection(dial({ protocol: "dtls", host: address, port: 1 }))).toMatchObject({ code: "usage/argument" });
  const none = policy(here, tool, { suites: [0x1301, 0xccac] });
  expect(await rejection(dial({ protocol: "dtls", host: address, port: 1, tls: none }))).toMatchObject({
    code: "usage/state",
  });
});

test("the policy is read for each new association; one that cannot be used lets nobody in", async () => {
  let current: () => TlsPolicy = () => policy(here, device);
  await using listener = await serve(() => current());
  await using before = await connect(listener, policy(here, tool));
  const later = policy(here, device, { suites: [0xc02c] });
  current = () => later;
  await using after = await connect(listener, policy(here, tool, { suites: [0xc02b, 0xc02c] }));
  expect(after.facts.security?.suite).toBe(0xc02c);
  expect(await roundTrip(before, utf8("goes on"))).toEqual(utf8("goes on"));
  current = () => {
    throw new TrustError("trust/refused", "no credentials");
  };
  expect(await rejection(connect(listener, policy(here, tool)))).toMatchObject({ code: "tls/alert" });
  current = () => later;
  await using again = await connect(listener, policy(here, tool, { suites: [0xc02c] }));
  expect(again.facts.security?.suite).toBe(0xc02c);
});

test("closing tells the other side; silence ends an association where a timeout is set", async () => {
  const accepted: Channel[] = [];
  const accept = (channel: Channel): number => accepted.push(channel);
  await using listener = await serve(() => policy(here, device), { accept, idleTimeoutS: () => 0.3 });
  const closing = await connect(listener, policy(here, tool));
  await closing.close();
  expect(await accepted[0]?.closed).toEqual({ clean: true });
  const silent = await connect(listener, policy(here, tool));
  expect(await accepted[1]?.closed).toMatchObject({
    clean: false,
    error: { code: "transport/timeout", facts: { phase: "idle" } },
  });
  expect(await silent.closed).toEqual({ clean: true });
  const last = await connect(listener, policy(here, tool));
  listener.closeChannels(({ protocol }) => protocol === "dtls");
  expect(await last.closed).toEqual({ clean: true });
  last.send(utf8("too late"));
});

test("a datagram that is too long is not sent, a receiver that fails ends its channel only", async () => {
  const accepted: Channel[] = [];
  await using listener = await serve(() => policy(here, device), {
    accept: (channel) => {
      accepted.push(channel);
      channel.receive((bytes) => {
        if (bytes[0] === 0) throw new TrustError("trust/refused", "test");
        channel.send(bytes);
      });
    },
  });
  await using channel = await connect(listener, policy(here, tool));
  channel.send(new Uint8Array(channel.maxMessage ?? 0).fill(1).subarray(1));
  channel.send(new Uint8Array((channel.maxMessage ?? 0) + 1));
  channel.send(utf8("x"));
  const lengths: number[] = [];
  channel.receive((bytes) => lengths.push(bytes.length));
  await expect.poll(() => lengths).toEqual([(channel.maxMessage ?? 0) - 1, 1]);
  channel.send(Uint8Array.of(0));
  expect(await accepted[0]?.closed).toMatchObject({ clean: false, error: { code: "trust/refused" } });
  expect(await channel.closed).toEqual({ clean: true });
});

test("an address in use is told so", async () => {
  await using listener = await serve(() => policy(here, device));
  const error = await rejection(
    listenDtls({ address, port: listener.port, accept: echo, tls: () => policy(here, device) }),
  );
  expect(error).toMatchObject({ code: "transport/address" });
});

test("openssl s_client speaks with the listener, both ends showing certificates", async () => {
  await using listener = await serve(() => policy(here, device));
  const where = `s_client -dtls1_2 -connect ${address}:${listener.port} -CAfile ${here.caFile}`;
  const how = `-cert ${tool.certFile} -key ${tool.keyFile} -cipher ECDHE-ECDSA-AES128-GCM-SHA256`;
  const { text } = await run("openssl", `${where} ${how}`.split(" "));
  expect(text).toContain("Cipher is ECDHE-ECDSA-AES128-GCM-SHA256");
  expect(text).toContain("hello");
});

test.each([
  { code: "dtls/limit", becomes: "transport/limit" },
  { code: "dtls/closed", becomes: "transport/closed" },
  { code: "dtls/decode", becomes: "tls/handshake" },
  { code: "usage/state", becomes: "usage/state" },
  { code: "bug/unreachable", becomes: "bug/unreachable" },
] as const)("$code becomes $becomes", ({ code, becomes }) => {
  const error = dtlsError(new DtlsError(code, "why"), "192.0.2.7:2221");
  expect(error).toMatchObject({ code: becomes, message: expect.stringContaining("192.0.2.7:2221: ") });
});
