import net from "node:net";
import { once } from "node:events";
import tls from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseCertificate } from "@cipsec/pki";
import { cipherSuites, TrustError } from "@cipsec/wire";
import type { Channel, ListenOptions, Listener, RefusedEvent, TlsPolicy } from "../src/index.ts";
import { dial, listen, systemClock, verifyWith } from "../src/index.ts";
import { echo, plant, policy, rejection, roundTrip, utf8 } from "./support.ts";
import type { Identity, Plant } from "./support.ts";

const address = "127.23.2.1";
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

async function serve(tlsPolicy: () => TlsPolicy, more: Partial<ListenOptions> = {}): Promise<Listener> {
  refused.length = 0;
  const onRefused = (event: RefusedEvent): number => refused.push(event);
  return await listen({ protocol: "tls", address, port: 0, accept: echo, tls: tlsPolicy, onRefused, ...more });
}

async function connect(listener: Listener, tlsPolicy: TlsPolicy): Promise<Channel> {
  return await dial({ protocol: "tls", host: address, port: listener.port, tls: tlsPolicy });
}

const key = { identity: utf8("plant/line 1 é"), key: Uint8Array.from({ length: 64 }, (_, index) => index), usage: 2 };
const overTls = cipherSuites.filter(({ openssl }) => openssl !== undefined);

test.each(overTls)(
  "$name: certificates or keys on both sides, facts on both sides",
  async ({ id, name, encrypts, auth, version }) => {
    const facts: Channel["facts"][] = [];
    const accept = (channel: Channel): void => {
      facts.push(channel.facts);
      echo(channel);
    };
    const parts = { suites: [0xd001, id], psks: [key], maxVersion: version === "1.3" ? "TLSv1.3" : "TLSv1.2" } as const;
    const both = policy(here, undefined, { ...parts, certificates: [device, rsaDevice] });
    await using listener = await serve(() => both, { accept });
    await using channel = await connect(listener, policy(here, tool, parts));
    const bytes = crypto.getRandomValues(new Uint8Array(40_000));
    expect(await roundTrip(channel, bytes)).toEqual(bytes);
    const common = { version: `TLSv${version}`, suite: id, suiteName: name, encrypts };
    const identity = { kind: "psk", identity: "plant/line 1 é" };
    const shown = ({ certificate }: Identity): object => ({
      kind: "certificate",
      subject: expect.stringContaining(`CN=${certificate.facts.subject.includes("tool") ? "tool" : ""}`),
      sha256: certificate.facts.sha256,
      der: certificate.der,
    });
    const server = auth === "rsa" ? rsaDevice : device;
    expect(channel.facts.security).toEqual({ ...common, peer: auth === "psk" ? identity : shown(server) });
    expect(facts[0]?.security).toEqual({ ...common, peer: auth === "psk" ? identity : shown(tool) });
  },
);

test("the dialled side's order of suites counts, and without a common suite both sides say so", async () => {
  await using listener = await serve(() => policy(here, device, { suites: [0xc02c, 0xc02b] }));
  await using channel = await connect(listener, policy(here, tool, { suites: [0xc023, 0xc02b, 0xc02c] }));
  expect(channel.facts.security?.suite).toBe(0xc02c);
  const error = await rejection(connect(listener, policy(here, tool, { suites: [0xc023, 0xc006] })));
  expect(error).toMatchObject({ code: "tls/alert", facts: { alert: "handshake_failure", number: 40 } });
  await expect.poll(() => refused).toHaveLength(1);
  expect(refused[0]).toMatchObject({
    reason: "handshake",
    protocol: "tls",
    error: { code: "tls/handshake", facts: { reason: "no-common-suite" } },
  });
});

test("versions: 1.3 alone and 1.2 alone do not meet", async () => {
  await using modern = await serve(() => policy(here, device, { suites: [0x1301], maxVersion: "TLSv1.3" }));
  expect(await rejection(connect(modern, policy(here, tool)))).toMatchObject({
    code: "tls/alert",
    facts: { alert: "protocol_version" },
  });
  await expect.poll(() => refused[0]?.error).toMatchObject({ facts: { reason: "version" } });
  const none = policy(here, tool, { suites: [0x1301, 0xd001] });
  expect(await rejection(connect(modern, none))).toMatchObject({ code: "usage/state" });
});

test.each([
  { version: "TLSv1.2", suites: [0xc02b], alert: "handshake_failure" },
  { version: "TLSv1.3", suites: [0x1301], alert: "certificate_required" },
] as const)("no certificate where one is required: a real alert, $version", async ({ version, suites, alert }) => {
  const parts = { suites, maxVersion: version };
  await using listener = await serve(() => policy(here, device, parts));
  const dialled = connect(listener, policy(here, undefined, parts));
  const error = version === "TLSv1.2" ? await rejection(dialled) : (await (await dialled).closed).error;
  expect(error).toMatchObject({ code: "tls/alert", facts: { alert } });
  await expect
    .poll(() => refused[0])
    .toMatchObject({ reason: "handshake", error: { code: "trust/refused", facts: { reason: "no-certificate" } } });
});

test("a stranger's certificate: TLS 1.2 names the reason in an alert, 1.3 can only hang up", async () => {
  await using old = await serve(() => policy(here, device));
  const stolen = policy(stranger, foreign, { verify: () => ({ ok: true }) });
  expect(await rejection(connect(old, stolen))).toMatchObject({
    code: "tls/alert",
    facts: { alert: "unknown_ca", number: 48 },
  });
  await expect
    .poll(() => refused[0])
    .toMatchObject({
      reason: "handshake",
      error: { code: "trust/unknown-authority", facts: { where: expect.any(String) } },
    });
  const modern = { suites: [0x1301], maxVersion: "TLSv1.3" } as const;
  await using listener = await serve(() => policy(here, device, modern));
  const channel = await connect(listener, { ...stolen, ...modern });
  expect(await channel.closed).toMatchObject({
    clean: false,
    error: { code: "trust/refused", facts: { reason: "closed-after-handshake" } },
  });
});

test.each([
  ["trust/expired", "certificate_expired"],
  ["trust/revoked", "certificate_revoked"],
  ["trust/usage", "unsupported_certificate"],
  ["trust/name", "certificate_unknown"],
  ["trust/not-pinned", "access_denied"],
  ["trust/bad-signature", "bad_certificate"],
])("a verdict %s reaches a TLS 1.2 client as %s", async (code, alert) => {
  const error = Object.assign(new TrustError("trust/refused", "no"), { code });
  await using listener = await serve(() => policy(here, device, { verify: () => ({ ok: false, error }) }));
  expect(await rejection(connect(listener, policy(here, tool)))).toMatchObject({ facts: { alert } });
});

test("not one octet of a refused client is delivered", async () => {
  const accepted: Channel[] = [];
  const refuse = { verify: () => ({ ok: false, error: new TrustError("trust/refused", "no") }) } as const;
  const modern = { suites: [0x1301], maxVersion: "TLSv1.3", ...refuse } as const;
  await using listener = await serve(() => policy(here, device, modern), {
    accept: (channel) => accepted.push(channel),
  });
  const channel = await connect(listener, policy(here, tool, { ...modern, verify: () => ({ ok: true }) }));
  channel.send(utf8("let me in"));
  await channel.closed;
  expect(accepted).toEqual([]);
  expect(refused).toHaveLength(1);
});

test("the dialler refuses a device that its policy refuses, and one without a verdict", async () => {
  await using listener = await serve(() => policy(here, device, { verifyPeer: false }));
  expect(await rejection(connect(listener, policy(stranger, foreign)))).toMatchObject({
    code: "trust/unknown-authority",
  });
  const { verify: _, ...blind } = policy(here, tool);
  expect(await rejection(connect(listener, blind))).toMatchObject({ code: "trust/refused" });
  const faulty = policy(here, tool, {
    verify: () => {
      throw new Error("fault");
    },
  });
  expect(await rejection(connect(listener, faulty))).toMatchObject({ code: "bug/unreachable" });
  await using channel = await connect(listener, policy(here, tool, { verifyPeer: false }));
  await roundTrip(channel, Uint8Array.of(1));
});

test("names: what was dialled has to stand in the certificate", async () => {
  const strict = policy(here, tool, {
    verify: verifyWith({ anchors: [here.ca.issuing], checkName: true, clock: systemClock }),
  });
  await using right = await serve(() => policy(here, device, { verifyPeer: false }));
  await using channel = await connect(right, strict);
  await roundTrip(channel, Uint8Array.of(1));
  await using wrong = await serve(() => policy(here, tool, { verifyPeer: false }));
  expect(await rejection(connect(wrong, strict))).toMatchObject({ code: "trust/name" });
});

test("a name is matched by name, never by the address it led to", () => {
  const verify = verifyWith({ anchors: [here.ca.issuing], checkName: true, clock: systemClock });
  const remote = { address, port: 2221 };
  const { chain } = device;
  expect(verify({ chain, role: "server", host: "localhost", remote })).toMatchObject({ ok: true });
  expect(verify({ chain, role: "server", host: "plc.example", remote })).toMatchObject({
    ok: false,
    error: { code: "trust/name" },
  });
  expect(verify({ chain, role: "client", remote })).toMatchObject({ ok: true });
  expect(verify({ chain: [utf8("rubbish")], role: "client", remote })).toMatchObject({
    ok: false,
    error: { code: "trust/refused" },
  });
});

test("the chain is sent when asked, for each certificate its own", async () => {
  const seen: number[] = [];
  const verify: NonNullable<TlsPolicy["verify"]> = ({ chain }) => {
    seen.push(chain.length);
    return verifyWith({ anchors: [here.ca.root], checkName: false, clock: systemClock })({
      chain,
      role: "server",
      remote: { address, port: 1 },
    });
  };
  let sendChain = true;
  const suites = [0xc02b, 0x3c];
  const shown = (): TlsPolicy =>
    policy(here, undefined, { suites, certificates: [device, rsaDevice], sendChain, verifyPeer: false });
  await using listener = await serve(shown);
  for (const suite of suites) await (await connect(listener, policy(here, tool, { suites: [suite], verify }))).close();
  sendChain = false;
  expect(await rejection(connect(listener, policy(here, tool, { verify })))).toMatchObject({
    code: "trust/unknown-authority",
  });
  expect(seen).toEqual([2, 2, 1]);
});

test("a new policy is for new handshakes; sessions stay; nothing is resumed", async () => {
  let current = policy(here, device);
  await using listener = await serve(() => current);
  await using before = await connect(listener, policy(here, tool));
  await roundTrip(before, Uint8Array.of(1));
  current = policy(here, device, { suites: [0xc02c] });
  expect(await rejection(connect(listener, policy(here, tool)))).toMatchObject({ code: "tls/alert" });
  expect(await roundTrip(before, Uint8Array.of(2))).toEqual(Uint8Array.of(2));
  await using after = await connect(listener, policy(here, tool, { suites: [0xc02c] }));
  expect(after.facts.security?.suite).toBe(0xc02c);
});

test.each(["TLSv1.2", "TLSv1.3"] as const)(
  "a client that comes back with its session does a full handshake, %s",
  async (version) => {
    const suites = [0xc02b, 0x1301];
    await using listener = await serve(() => policy(here, device, { suites, maxVersion: version, verifyPeer: false }));
    let session: Buffer | undefined;
    for (const _ of [1, 2]) {
      const socket = tls.connect({
        host: address,
        port: listener.port,
        rejectUnauthorized: false,
        ...(session !== undefined && { session }),
      });
      socket.on("session", (saved: Buffer) => (session = saved));
      await once(socket, "secureConnect");
      session ??= socket.getSession();
      socket.write("x");
      await once(socket, "data");
      expect(socket.isSessionReused()).toBe(false);
      socket.destroy();
    }
  },
);

test.each([
  {
    name: "the wrong key",
    change: { key: utf8("another key") },
    alert: /^(decrypt_error|bad_record_mac)$/,
    here: "keys-differ",
  },
  {
    name: "an unknown identity",
    change: { identity: utf8("who") },
    alert: /^unknown_psk_identity$/,
    here: "unknown-psk-identity",
  },
])("pre-shared key: $name", async ({ change, alert, here: reason }) => {
  const parts = { suites: [0xc037], psks: [key] };
  await using listener = await serve(() => policy(here, undefined, parts));
  const error = await rejection(
    connect(listener, policy(here, undefined, { ...parts, psks: [{ ...key, ...change }] })),
  );
  expect(error).toMatchObject({ code: "tls/alert", facts: { alert: expect.stringMatching(alert) } });
  await expect.poll(() => refused[0]?.error.facts).toMatchObject({ reason });
});

test.each([
  { name: "a key for the other role", usage: 0, code: "usage/state" },
  { name: "a key for this role", usage: 1, code: undefined },
])("pre-shared key: $name", async ({ usage, code }) => {
  await using listener = await serve(() => policy(here, undefined, { suites: [0xc037], psks: [{ ...key, usage: 0 }] }));
  const dialled = connect(listener, policy(here, undefined, { suites: [0xc037], psks: [{ ...key, usage }] }));
  if (code !== undefined) {
    expect(await rejection(dialled)).toMatchObject({ code });
    return;
  }
  await using channel = await dialled;
  expect(channel.facts.security?.peer).toMatchObject({ kind: "psk" });
});

test("pre-shared keys in TLS 1.3, only with a pre-shared key suite in the list", async () => {
  const parts = { suites: [0x1301, 0xc037], psks: [key], maxVersion: "TLSv1.3" } as const;
  const peers: unknown[] = [];
  const accept = (channel: Channel): void => {
    peers.push(channel.facts.security?.peer);
    echo(channel);
  };
  await using listener = await serve(() => policy(here, device, parts), { accept });
  await using channel = await connect(listener, policy(here, undefined, parts));
  expect(channel.facts.security).toMatchObject({ version: "TLSv1.3", suite: 0x1301, peer: { kind: "psk" } });
  await roundTrip(channel, Uint8Array.of(1));
  expect(peers).toEqual([{ kind: "psk", identity: "plant/line 1 é" }]);
  await using without = await serve(() => policy(here, device, { ...parts, suites: [0x1301] }), { accept });
  const late = await connect(without, policy(here, undefined, parts));
  expect(await late.closed).toMatchObject({ clean: false, error: { facts: { alert: "certificate_required" } } });
});

test("a client that names a key but goes on without it is not taken for its owner", async () => {
  // SHA-384 suites cannot use an external key, which is bound to SHA-256: the handshake goes on with certificates.
  const parts = { suites: [0x1302, 0xc037], maxVersion: "TLSv1.3", verifyPeer: false } as const;
  const peers: unknown[] = [];
  await using listener = await serve(() => policy(here, device, { ...parts, psks: [key] }), {
    accept: (channel) => peers.push(channel.facts.security?.peer),
  });
  const socket = tls.connect({
    host: address,
    port: listener.port,
    rejectUnauthorized: false,
    ciphers: "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256",
    pskCallback: () => ({ identity: "plant/line 1 é", psk: utf8("not the key") }),
  });
  await once(socket, "secureConnect");
  await expect.poll(() => peers).toEqual([{ kind: "anonymous" }]);
  socket.destroy();
});

test("a silent peer, and one that dribbles, lose their place", async () => {
  await using listener = await serve(() => policy(here, device), {
    // Long enough for the handshakes of those who do them, on a machine that is busy.
    limits: { handshakeTimeoutMs: 2500, maxHandshakes: 2 },
  });
  const silent = net.connect(listener.port, address).on("error", () => undefined);
  const slow = net.connect(listener.port, address).on("error", () => undefined);
  await expect.poll(() => listener.connections).toBe(2);
  const hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
  const timer = setInterval(() => slow.writable && slow.write(Uint8Array.of(hello.shift() ?? 0)), 20);
  const third = await rejection(connect(listener, policy(here, tool)));
  expect(third).toMatchObject({ code: "tls/handshake", facts: { reason: "closed" } });
  await expect.poll(() => listener.connections).toBe(0);
  clearInterval(timer);
  expect(refused.map(({ reason }) => reason).toSorted()).toEqual(["handshakes", "timeout", "timeout"]);
  await using channel = await connect(listener, policy(here, tool));
  expect(await roundTrip(channel, Uint8Array.of(1))).toEqual(Uint8Array.of(1));
  silent.destroy();
  slow.destroy();
});

test("a peer that speaks something else, in both roles", async () => {
  await using listener = await serve(() => policy(here, device));
  net
    .connect(listener.port, address)
    .on("error", () => undefined)
    .end("GET / HTTP/1.0\r\n\r\n");
  await expect.poll(() => refused[0]?.error).toMatchObject({ code: "tls/handshake", facts: { reason: "not-tls" } });
  const babbler = net.createServer((socket) => socket.end("220 hello, this is no TLS\r\n"));
  babbler.listen(0, address);
  await once(babbler, "listening");
  const bound = babbler.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const error = await rejection(dial({ protocol: "tls", host: address, port, tls: policy(here, tool) }));
  expect(error).toMatchObject({ code: "tls/handshake", facts: { reason: "not-tls" } });
  babbler.close();
});

test.each([{ how: "closes" }, { how: "resets" }])("a peer that $how in the handshake", async ({ how }) => {
  const rude = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => (how === "resets" ? socket.resetAndDestroy() : socket.end()));
  });
  rude.listen(0, address);
  await once(rude, "listening");
  const bound = rude.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const error = await rejection(dial({ protocol: "tls", host: address, port, tls: policy(here, tool) }));
  expect(error).toMatchObject({ code: "tls/handshake", facts: { reason: "closed" } });
  rude.close();
});

test("same-port mode tells TLS from plain by the first octet, and asks each time", async () => {
  const allowed = { plain: true, tls: true };
  await using listener = await serve(() => policy(here, device), { protocol: "tcp", samePort: () => allowed });
  await using secure = await connect(listener, policy(here, tool));
  await using plain = await dial({ protocol: "tcp", host: address, port: listener.port });
  expect(await roundTrip(secure, utf8("secure"))).toEqual(utf8("secure"));
  expect(await roundTrip(plain, utf8("plain"))).toEqual(utf8("plain"));
  allowed.plain = false;
  await using late = await dial({ protocol: "tcp", host: address, port: listener.port });
  late.send(utf8("e\0"));
  await late.closed;
  expect(refused.map(({ reason, protocol }) => [reason, protocol])).toEqual([["same-port", "tcp"]]);
  allowed.tls = false;
  expect(await rejection(connect(listener, policy(here, tool)))).toMatchObject({ code: "tls/handshake" });
  expect(await roundTrip(plain, utf8("stays"))).toEqual(utf8("stays"));
});

test("key log lines of both roles agree, in the form of SSLKEYLOGFILE", async () => {
  const lines: { readonly here: string[]; readonly there: string[] } = { here: [], there: [] };
  await using listener = await serve(() => policy(here, device), { keyLog: (line) => lines.here.push(line) });
  const keyLog = (line: string): number => lines.there.push(line);
  await using channel = await dial({
    protocol: "tls",
    host: address,
    port: listener.port,
    tls: policy(here, tool),
    keyLog,
  });
  await roundTrip(channel, Uint8Array.of(1));
  expect(lines.here).toEqual([expect.stringMatching(/^CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}$/)]);
  expect(lines.there).toEqual(lines.here);
});

test("a policy that cannot be used refuses the connection and says why, without ending the listener", async () => {
  let current = policy(here, { chain: tool.chain, key: device.key });
  await using listener = await serve(() => current);
  expect(await rejection(connect(listener, policy(here, tool)))).toMatchObject({ code: "tls/handshake" });
  expect(refused[0]?.error).toMatchObject({ code: "usage/state" });
  current = policy(here, device);
  await using channel = await connect(listener, policy(here, tool));
  expect(await roundTrip(channel, Uint8Array.of(1))).toEqual(Uint8Array.of(1));
});

test("a tampered record ends the session with an error on both sides", async () => {
  const accepted: Channel[] = [];
  await using listener = await serve(() => policy(here, device), { accept: (channel) => accepted.push(channel) });
  const proxy = net.createServer((client) => {
    const server = net.connect(listener.port, address);
    server.on("error", () => undefined).pipe(client.on("error", () => undefined));
    client.on("data", (bytes: Buffer) => {
      if (bytes[0] === 23) bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
      server.write(bytes);
    });
  });
  proxy.listen(0, address);
  await once(proxy, "listening");
  const bound = proxy.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const channel = await dial({ protocol: "tls", host: address, port, tls: policy(here, tool) });
  await expect.poll(() => accepted).toHaveLength(1);
  channel.send(utf8("hello"));
  expect(await accepted[0]?.closed).toMatchObject({ clean: false, error: { code: "tls/handshake" } });
  expect(await channel.closed).toMatchObject({
    clean: false,
    error: { code: "tls/alert", facts: { alert: "bad_record_mac" } },
  });
  proxy.close();
});

test("certificates that pki makes are those that peers see", () => {
  expect(parseCertificate(device.chain[0] ?? new Uint8Array()).facts.sha256).toBe(device.certificate.facts.sha256);
});
