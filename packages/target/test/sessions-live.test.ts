import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CertificateManagement, CipSecurity, EtherNetIpSecurity, FileObject } from "@cipsec/objects";
import { crlToPem, initCa, makeKeyPair, privateKeyToPem, toPem, type CertificateAuthority } from "@cipsec/pki";
import {
  acceptAnyone,
  dial,
  sharedWheel,
  systemClock,
  verifyWith,
  type Channel,
  type TlsCertificate,
  type TlsPolicy,
} from "@cipsec/transport";
import {
  Cpf,
  ForwardOpen,
  ForwardOpenReply,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  PskUsage,
  UnconnectedMessage,
  decode,
  encode,
  objectPath,
  readIo,
  type PreSharedKey,
} from "@cipsec/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readDescription, startTarget, type Target, type TargetEvent } from "../src/index.ts";
import { begin, download, enrol, must, temporaryFolder, toolOf, type Tool } from "./security-device.ts";
import { registerSession, request, rrReply, sendRRData } from "./support/device.ts";
import { hex } from "./support/fakes.ts";
import { inputs, ioDescription, outputs, ownerOpen, ownerWriter } from "./support/io.ts";
import { receiver } from "./support/loopback.ts";

const address = "127.34.20.1";
const folder = temporaryFolder();
const events: TargetEvent[] = [];
const told: string[] = [];
let ca: CertificateAuthority;
let target: Target;
/** Who may change the device in each test. */
let admin: TlsPolicy;
let caFile = 0;

interface Issued extends TlsCertificate {
  readonly serial: string;
  readonly pemFile: string;
}

beforeAll(async () => {
  ca = await initCa(join(folder, "ca"), { name: "Sessions", now: () => new Date() });
  const description = readDescription({
    ...ioDescription(),
    address,
    ports: { eip: null, eipUdp: null, io: null, eips: 0, eipd: 0 },
    security: { sessions: { drainSeconds: 3600 } },
  });
  target = await startTarget({
    description,
    stateDir: join(folder, "state"),
    onEvent: (event) => events.push(event),
  });
  target.assemblies.onOutput(outputs, (data, state) => told.push(`${state} ${Buffer.from(data).toString("hex")}`));
  target.assemblies.setInput(inputs, hex("0a0b0c0d0e0f"));
  admin = by(await issue("admin"));
  // As a tool from outside finds it: nobody is verified yet.
  await using first = await session({ ...admin, certificates: [], verify: acceptAnyone() });
  await change(first.tool, async (tool) => {
    const { instance, caFile: file } = await enrol(tool, ca, "first");
    caFile = file;
    const reference = objectPath(CertificateManagement.classId, instance);
    await must(tool.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [reference]));
    await must(tool.set(EtherNetIpSecurity, 1, "trustedAuthorities", [objectPath(FileObject.classId, caFile)]));
    await must(tool.set(EtherNetIpSecurity, 1, "allowedCipherSuites", [0xc02b, 0xc037]));
    await must(tool.set(EtherNetIpSecurity, 1, "preSharedKeys", [psk(1), psk(2)]));
    await must(tool.set(EtherNetIpSecurity, 1, "verifyClientCertificate", true));
  });
});

afterAll(async () => await target.stop());

async function issue(commonName: string): Promise<Issued> {
  const { privateKey, publicKey } = await makeKeyPair();
  const subject = { commonName };
  const { chain, certificate } = await ca.issue({ profile: "tool", publicKey, subject, days: 30 });
  const pemFile = join(folder, `${commonName}.pem`);
  writeFileSync(pemFile, toPem(chain) + privateKeyToPem(privateKey));
  const serial = certificate.facts.serialHex;
  return { chain: chain.map(({ der }) => der), key: privateKey, serial, pemFile };
}

function by(certificate: TlsCertificate): TlsPolicy {
  const verify = verifyWith({ anchors: [ca.root, ca.issuing], checkName: false, clock: systemClock });
  return { suites: [0xc02b], certificates: [certificate], sendChain: true, psks: [], verifyPeer: true, verify };
}

function psk(octet: number): PreSharedKey {
  return { identity: Buffer.from(`panel ${octet}`), key: new Uint8Array(16).fill(octet), usage: PskUsage.any };
}

/** Begins, changes, applies and ends a configuration. */
async function change(tool: Tool, work: (tool: Tool) => Promise<void>): Promise<void> {
  await begin(tool);
  await work(tool);
  await must(tool.call(EtherNetIpSecurity, 1, "applyConfig"));
  await must(tool.call(CipSecurity, 1, "endConfig"));
}

interface Session extends AsyncDisposable {
  readonly channel: Channel;
  readonly tool: Tool;
}

/** An encapsulation session over TLS. */
async function session(tls: TlsPolicy): Promise<Session> {
  const channel = await dial({ protocol: "tls", host: address, port: target.ports.eips ?? 0, tls, timeoutMs: 20_000 });
  const frames = receiver(channel);
  channel.send(registerSession());
  const { session: handle } = await frames.next();
  const tool = toolOf(async (classId, instance, service, data = hex(""), attribute) => {
    const message = { service, path: objectPath(classId, instance, attribute), data };
    channel.send(sendRRData(handle, encode(MessageRouterRequest, message)));
    return rrReply(await frames.next());
  });
  return { channel, tool, [Symbol.asyncDispose]: () => channel.close() };
}

const state = async ({ tool }: Session): Promise<unknown> => await tool.get(EtherNetIpSecurity, 1, "state");

interface Owner extends AsyncDisposable {
  readonly channel: Channel;
  /** Sequence numbers of what came. */
  readonly got: number[];
}

/** The exclusive owner, over DTLS, sending at 20 ms. */
async function owner(certificate: TlsCertificate, value: string): Promise<Owner> {
  const port = target.ports.eipd ?? 0;
  const channel = await dial({ protocol: "dtls", host: address, port, tls: by(certificate), timeoutMs: 20_000 });
  const got: number[] = [];
  const opened = Promise.withResolvers<Uint8Array>();
  channel.receive((bytes) => {
    const io = readIo(bytes.slice());
    if (io === undefined) opened.resolve(decode(Cpf, bytes)[0]?.data ?? hex(""));
    else got.push(io.sequence ?? -1);
  });
  const forwardOpen = ownerOpen({ timeoutMultiplier: 7, oToTRpiMicros: 20_000, tToORpiMicros: 20_000 });
  const message = encode(MessageRouterRequest, request(0x54, [6, 1], encode(ForwardOpen, forwardOpen)));
  const data = encode(UnconnectedMessage, { type: 1, transactionId: 1, status: 0, message });
  channel.send(encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]));
  const reply = decode(MessageRouterReply, decode(UnconnectedMessage, await opened.promise).message);
  const writer = ownerWriter(decode(ForwardOpenReply, reply.data));
  writer.setData(hex(value));
  const producing = sharedWheel().every(20_000, () => channel.send(writer.next()));
  await expect.poll(() => got.length, { timeout: 20_000 }).toBeGreaterThan(2);
  return {
    channel,
    got,
    async [Symbol.asyncDispose]() {
      producing.cancel();
      await channel.close();
    },
  };
}

/** openssl as a peer: connected, and waiting for what we do. */
async function openssl(
  words: readonly string[],
  peer: string,
): Promise<{ readonly child: ChildProcess; readonly said: () => string }> {
  const before = connected(peer);
  const to = ["s_client", "-connect", `${address}:${target.ports.eips}`, "-tls1_2", ...words];
  const child = spawn("openssl", to, { stdio: "pipe" });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
  await expect.poll(() => connected(peer), { timeout: 20_000 }).toBe(before + 1);
  return { child, said: () => text };
}

const connected = (peer: string): number =>
  events.filter(({ name, facts }) => name === "connected" && String(facts["peer"]).includes(peer)).length;

const endings = (): string[] =>
  events
    .filter(({ name }) => name === "session-closed")
    .map(({ facts }) => [facts["protocol"], facts["peer"], facts["why"], facts["code"]].join(" "));

test("a new list ends the sessions of who is on it, and those of the others lose no packet", async () => {
  const [victim, trusted, panel] = [await issue("victim"), await issue("trusted"), await issue("panel")];
  await using other = await session(by(trusted));
  const { child, said } = await openssl(
    ["-cert", victim.pemFile, "-cert_chain", victim.pemFile, "-key", victim.pemFile],
    "victim",
  );
  await using io = await owner(panel, "01020304");
  await using theirs = await session(by(victim));
  const dtls = await dial({ protocol: "dtls", host: address, port: target.ports.eipd ?? 0, tls: by(victim) });
  await ca.revoke(victim.serial, "keyCompromise");
  const list = await ca.crl();
  const gone = once(child, "close");
  await using tool = await session(admin);
  await change(tool.tool, async (device) => {
    const file = await download(device, "revoked", crlToPem(list), 4);
    await must(device.set(EtherNetIpSecurity, 1, "certificateRevocationList", [objectPath(FileObject.classId, file)]));
  });
  await gone;
  // close_notify and the end of the connection: an orderly end, as far as openssl is concerned.
  expect(said()).toContain("closed");
  expect((await theirs.channel.closed).clean).toBe(true);
  expect((await dtls.closed).clean).toBe(true);
  expect(endings().filter((text) => text.includes("victim revocation trust/revoked"))).toHaveLength(3);
  await expect(session(by(victim))).rejects.toMatchObject({ facts: { alert: "certificate_revoked" } });
  const until = io.got.length + 20;
  await expect.poll(() => io.got.length, { timeout: 20_000 }).toBeGreaterThan(until);
  expect(io.got).toEqual(io.got.map((_, i) => i + 1));
  expect(told).toEqual(["run 01020304"]);
  expect(await state(other)).toBe(2);
}, 60_000);

test("a revoked owner's outputs take their fault state", async () => {
  const victim = await issue("owner");
  await using io = await owner(victim, "0a0b0c0d");
  await ca.revoke(victim.serial, "keyCompromise");
  const list = await ca.crl();
  await using tool = await session(admin);
  await change(tool.tool, async (device) => {
    const file = await download(device, "owner", crlToPem(list), 4);
    await must(device.set(EtherNetIpSecurity, 1, "certificateRevocationList", [objectPath(FileObject.classId, file)]));
  });
  expect((await io.channel.closed).clean).toBe(true);
  expect(told.slice(-2)).toEqual(["run 0a0b0c0d", "timeout 00000000"]);
  expect(target.io.connections).toBe(0);
}, 60_000);

test("a withdrawn pre-shared key ends its sessions, over TLS and DTLS; other keys and certificates go on", async () => {
  const keyed = (octet: number): TlsPolicy => ({
    ...by(spare),
    suites: [0xc037],
    certificates: [],
    psks: [psk(octet)],
  });
  const spare = await issue("spare");
  const { child } = await openssl(
    ["-cipher", "ECDHE-PSK-AES128-CBC-SHA256", "-psk_identity", "panel 1", "-psk", "01".repeat(16)],
    "panel 1",
  );
  const dtls = await dial({ protocol: "dtls", host: address, port: target.ports.eipd ?? 0, tls: keyed(1) });
  await using kept = await session(keyed(2));
  await using other = await session(by(spare));
  const gone = once(child, "close");
  await using tool = await session(admin);
  await change(tool.tool, async (device) => {
    await must(device.set(EtherNetIpSecurity, 1, "preSharedKeys", [psk(2)]));
  });
  await gone;
  expect((await dtls.closed).clean).toBe(true);
  expect(endings().filter((text) => text.includes("PSK panel 1 trust trust/refused"))).toHaveLength(2);
  expect([await state(kept), await state(other)]).toEqual([2, 2]);
}, 60_000);

test("a renewed certificate is for new sessions; the old ones drain, and what they carry goes on", async () => {
  const spare = await issue("drainer");
  await using io = await owner(spare, "05060708");
  await using before = await session(by(spare));
  await using tool = await session(admin);
  await change(tool.tool, async (device) => {
    const { instance } = await enrol(device, ca, "second");
    const reference = objectPath(CertificateManagement.classId, instance);
    await must(device.set(EtherNetIpSecurity, 1, "activeDeviceCertificates", [reference]));
  });
  await using after = await session(by(spare));
  const shown = [before, after].map(({ channel }) => {
    const peer = channel.facts.security?.peer;
    return peer?.kind === "certificate" ? peer.sha256 : undefined;
  });
  expect(shown[0]).not.toBe(shown[1]);
  await expect
    .poll(
      () => events.filter(({ name, facts }) => name === "session-draining" && facts["peer"] === "CN=drainer").length,
      {
        timeout: 20_000,
      },
    )
    .toBe(2);
  const until = io.got.length + 20;
  await expect.poll(() => io.got.length, { timeout: 20_000 }).toBeGreaterThan(until);
  expect(io.got).toEqual(io.got.map((_, i) => i + 1));
  expect([await state(before), await state(after)]).toEqual([2, 2]);
}, 60_000);

test("the tool that loses trust by its own change finishes, and is out once its time is over", async () => {
  const leaving = await issue("leaving");
  await using tool = await session(by(leaving));
  await ca.revoke(leaving.serial, "cessationOfOperation");
  const list = await ca.crl();
  await change(tool.tool, async (device) => {
    const file = await download(device, "leaving", crlToPem(list), 4);
    await must(device.set(EtherNetIpSecurity, 1, "certificateRevocationList", [objectPath(FileObject.classId, file)]));
  });
  expect(await state(tool)).toBe(2);
  await expect(session(by(leaving))).rejects.toMatchObject({ facts: { alert: "certificate_revoked" } });
}, 60_000);
