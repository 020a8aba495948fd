import { constants, randomBytes } from "node:crypto";
import { createServer as createPlainServer, type AddressInfo, type Server } from "node:net";
import { createServer, type TlsOptions } from "node:tls";
import { makeKeyPair, privateKeyToPem, selfSigned, toPem } from "@cipsec/pki";
import { systemClock } from "@cipsec/transport";
import { Command, frame } from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { keepSessions } from "./broken-front.ts";
import { openUncheckedTls, type UncheckedIdentity, type UncheckedTls } from "../src/endpoint/tls-client.ts";

const address = "127.72.1.1";
const servers: Server[] = [];
const question = frame(Command.listIdentity, { data: randomBytes(40) });
const noInfo = new Uint8Array();

/** Not among Node's constants. */
const noEncryptThenMac = 0x0008_0000;

let identity: UncheckedIdentity;
let own: Pick<TlsOptions, "key" | "cert">;

beforeAll(async () => {
  const { privateKey } = await makeKeyPair();
  const made = await selfSigned({ subject: { commonName: "anyone" }, privateKey, now: new Date() });
  own = { key: privateKeyToPem(privateKey), cert: toPem(made) };
  identity = { chain: [made.der], key: privateKey };
});

afterAll(async () => {
  for (const server of servers) await new Promise((resolve) => void server.close(resolve));
});

async function listening(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, address, resolve));
  return (server.address() as AddressInfo).port;
}

/** OpenSSL, which sends back whatever it gets. */
async function startEcho(options: TlsOptions, keepsSessions = false): Promise<number> {
  const server = createServer(
    { ...own, requestCert: true, rejectUnauthorized: false, maxVersion: "TLSv1.2", ...options },
    (socket) => {
      socket.on("error", () => undefined);
      socket.pipe(socket);
    },
  );
  server.on("tlsClientError", () => undefined);
  if (keepsSessions) keepSessions(server);
  return await listening(server);
}

test("OpenSSL goes on with a session that it keeps, and asks for no proof again", async () => {
  for (const keeps of [true, false]) {
    const port = await startEcho({}, keeps);
    await using before = await open(port);
    const first = await before.handshake({ identity });
    if ("ended" in first) throw new RangeError(first.words);
    expect([first.isResumed, first.asked]).toEqual([false, true]);
    await using tls = await open(port);
    expect(await tls.handshake({ identity, session: first.session })).toMatchObject({
      isResumed: keeps,
      asked: !keeps,
    });
    expect(await tls.ask(question)).toMatchObject({ command: Command.listIdentity });
  }
});

async function open(port: number): Promise<UncheckedTls> {
  const signal = new AbortController().signal;
  return await openUncheckedTls({ host: address, port, timeoutMs: 5000, signal }, systemClock);
}

const psk = { identity: Buffer.from("cell4"), key: randomBytes(32) };

describe("OpenSSL understands a handshake, data, and a second handshake inside", () => {
  test.each<{ name: string; suite: number; options: TlsOptions; psk?: typeof psk }>([
    { name: "AES-128-GCM", suite: 0xc02b, options: { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" } },
    { name: "AES-256-GCM", suite: 0xc02c, options: { ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384" } },
    { name: "CBC, Encrypt-then-MAC", suite: 0xc023, options: { ciphers: "ECDHE-ECDSA-AES128-SHA256" } },
    {
      name: "CBC, MAC-then-encrypt",
      suite: 0xc024,
      options: { ciphers: "ECDHE-ECDSA-AES256-SHA384", secureOptions: noEncryptThenMac },
    },
    {
      name: "a pre-shared key",
      suite: 0xc037,
      options: { ciphers: "ECDHE-PSK-AES128-CBC-SHA256", pskCallback: () => psk.key },
      psk,
    },
  ])("$name", async ({ suite, options, psk: key }) => {
    await using tls = await open(await startEcho(options));
    const wish = key === undefined ? { identity } : { psk: key };
    const first = await tls.handshake({ ...wish, renegotiationInfo: noInfo });
    expect(first).toMatchObject({ suite, asked: key === undefined, renegotiationInfo: noInfo });
    if ("ended" in first) return;
    expect(await tls.ask(question)).toMatchObject({ command: Command.listIdentity });
    const second = await tls.handshake({ ...wish, renegotiationInfo: first.clientVerify });
    expect(second).toMatchObject({
      suite,
      renegotiationInfo: Uint8Array.of(...first.clientVerify, ...first.serverVerify),
    });
    expect(await tls.ask(question)).toMatchObject({ command: Command.listIdentity });
  });
});

describe("a second handshake without the binding", () => {
  test.each([
    { name: "is refused by OpenSSL", secureOptions: 0, is: { ended: "alert", words: "alert 40 handshake_failure" } },
    {
      name: "is refused where nothing is renegotiated",
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      is: { ended: "alert", words: "alert 100 no_renegotiation" },
    },
    {
      name: "is taken where that is allowed",
      secureOptions: constants.SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION,
      is: { asked: true },
    },
  ])("$name", async ({ secureOptions, is }) => {
    await using tls = await open(await startEcho({ secureOptions }));
    expect(await tls.handshake({ identity, renegotiationInfo: noInfo })).toMatchObject({ asked: true });
    expect(await tls.handshake({ identity })).toMatchObject(is);
  });
});

test("a certificate is shown with a key that is not its own, and OpenSSL tells", async () => {
  const { privateKey } = await makeKeyPair();
  await using tls = await open(await startEcho({}));
  expect(await tls.handshake({ identity: { ...identity, key: privateKey } })).toMatchObject({
    ended: "alert",
    words: "alert 51 decrypt_error",
  });
});

test.each([
  { name: "nothing", answer: "", is: { ended: "silence" } },
  { name: "no TLS", answer: "485454502f312e31", is: { ended: "other" } },
  { name: "an alert", answer: "15030300020228", is: { ended: "alert", words: "alert 40 handshake_failure" } },
  { name: "a flight without a ServerHello", answer: "16030300040e000000", is: { ended: "other" } },
  { name: "a record that is cut", answer: "1603030fffff", is: { ended: "silence" } },
  { name: "a record that is too long", answer: "160303ffff", is: { ended: "other" } },
  { name: "a message without an end", answer: "160303000402ffffff", is: { ended: "other" } },
  { name: "messages without an end", answer: "16030300040b000000".repeat(40), is: { ended: "other" } },
])("$name in answer is an end", async ({ answer, is }) => {
  const server = createPlainServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => void socket.write(Buffer.from(answer, "hex")));
  });
  const signal = new AbortController().signal;
  const timeoutMs = is.ended === "silence" ? 1000 : 10_000;
  const where = { host: address, port: await listening(server), timeoutMs, signal };
  await using tls = await openUncheckedTls(where, systemClock);
  expect(await tls.handshake({ identity })).toMatchObject(is);
});
