import { once } from "node:events";
import net from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { expect, test } from "vitest";
import { toPem } from "../src/certificate.ts";
import { headerName } from "../src/est/http.ts";
import { networkError } from "../src/est/network-errors.ts";
import { dialEst, estPause } from "../src/est/dial.ts";
import { listenEst } from "../src/est/listen.ts";
import { makeKeyPair, writeKeyFile } from "../src/keys.ts";
import { bench, birth, client, serve } from "./est-support.ts";
import { mustOpenssl, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const host = "127.37.4.1";
const limits = { bodyOctets: 2000, connections: 8, connectionsPerAddress: 3, requestMs: 2500, idleMs: 1000 };
const plant = await bench({ limits });
const server = await serve(plant, host);
const trust = { explicit: [plant.ca.root, plant.ca.issuing] };
const device = await birth(plant.vendor);

/** What a server says to raw octets inside TLS, until it hangs up. */
async function raw(text: string, local = "127.37.4.9"): Promise<string> {
  const socket = tls.connect({
    socket: net.connect({ host, port: server.port, localAddress: local }),
    rejectUnauthorized: false,
  });
  let said = "";
  socket.on("data", (part: Buffer) => (said += part.toString()));
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return said;
}

test("a body that is too large is refused, whether its length is told or not", async () => {
  const head = "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\n";
  expect(await raw(`${head}Content-Length: 100000\r\n\r\n${"A".repeat(3000)}`)).toMatch(/^HTTP\/1\.1 413/);
  expect(await raw(`${head}Transfer-Encoding: chunked\r\n\r\nbb8\r\n${"A".repeat(3000)}\r\n`)).toMatch(
    /^HTTP\/1\.1 413/,
  );
});

test("what is no HTTP is refused, and who stays silent is hung up on", async () => {
  expect(await raw("nonsense\r\n\r\n")).toMatch(/^HTTP\/1\.1 400/);
  expect(await raw(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(10_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 4/);
  const silent = net.connect({ host, port: server.port, localAddress: "127.37.4.8" });
  silent.on("error", () => undefined);
  const [half, idle] = await Promise.all([
    raw("POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"),
    raw("GET /.well-known/est/csrattrs HTTP/1.1\r\nHost: x\r\n\r\n"),
    once(silent, "close"),
  ]);
  expect(half).toMatch(/^(HTTP\/1\.1 4|$)/);
  expect(idle).toMatch(/^HTTP\/1\.1 204/);
});

test("an address that holds more connections than it may is cut, another is not", async () => {
  const open: net.Socket[] = [];
  const dial = (local: string) => {
    const socket = net.connect({ host, port: server.port, localAddress: local });
    socket.on("error", () => undefined);
    open.push(socket);
    return socket;
  };
  for (let n = 0; n < 3; n++) await once(dial("127.37.4.7"), "connect");
  const cut = dial("127.37.4.7");
  await once(cut, "close");
  expect(
    await raw("GET /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "127.37.4.6"),
  ).toMatch(/^HTTP\/1\.1 200/);
  for (const socket of open) socket.destroy();
});

test("HEAD, and a request on a connection that is kept", async () => {
  const head = await raw(
    "HEAD /.well-known/est/cacerts HTTP/1.1\r\nHost: x\r\n\r\nGET /.well-known/est/csrattrs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
  );
  expect(head).toMatch(/^HTTP\/1\.1 200[^]*Content-Length: [1-9]\d*\r\n[^]*\r\n\r\nHTTP\/1\.1 204/);
});

test("a client certificate that cannot be read counts as not shown", async () => {
  const { privateKey } = await makeKeyPair();
  const key = join(folder, "odd.key");
  await writeKeyFile(key, privateKey);
  const odd = ["-subj", "/CN=odd", "-days", "9", "-addext", "2.5.29.15=ASN1:NULL"];
  const cert = mustOpenssl(["req", "-x509", "-new", "-key", key, ...odd]).toString();
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  const socket = tls.connect({ host, port: server.port, rejectUnauthorized: false, cert, key: pem });
  let said = "";
  socket.on("data", (part: Buffer) => (said += part.toString()));
  socket.write(
    "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
  await once(socket, "close");
  expect(said).toContain("no client certificate was shown");
});

test("the server's certificate is renewed without an interruption", async () => {
  const own = await serve(plant, "127.37.4.2");
  const before = (await client(own, { trust }).cacerts()).anchors.length;
  const { privateKey, publicKey } = await makeKeyPair();
  const next = await plant.ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject: { commonName: "est 2" },
    san: { ip: ["127.37.4.2"] },
  });
  own.renew({ chain: next.chain, key: privateKey });
  const connection = await dialEst({
    host: "127.37.4.2",
    port: own.port,
    identity: undefined,
    timeoutMs: 5000,
    signal: undefined,
  });
  expect([before, connection.tls.chain[0]?.facts.sha256]).toEqual([1, next.certificate.facts.sha256]);
  connection.close();
  await expect(
    listenEst(plant.service, { host: "127.37.4.2", port: own.port, chain: next.chain, key: privateKey }),
  ).rejects.toMatchObject({ code: "transport/address" });
});

/** A server without TLS, or with it, that does with a connection what it is told to. */
async function odd(answer: (socket: net.Socket) => void): Promise<{ readonly port: number; close(): void }> {
  const listener = net.createServer((socket) => {
    socket.on("error", () => undefined);
    answer(socket);
  });
  listener.listen(0, "127.37.4.3");
  await once(listener, "listening");
  const address = listener.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    close: () => void listener.close(),
  };
}

test.each([
  { name: "nobody listens", answer: undefined, code: "transport/unreachable" },
  { name: "it hangs up", answer: (socket: net.Socket) => void socket.destroy(), code: "transport/closed" },
  {
    name: "it speaks no TLS",
    answer: (socket: net.Socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
    code: "est/http",
  },
  { name: "it says nothing", answer: () => undefined, code: "transport/timeout" },
])("no EST server: $name", async ({ answer, code }) => {
  const listener = answer === undefined ? { port: 9, close: () => undefined } : await odd(answer);
  await expect(
    client(
      { host: "127.37.4.3", port: listener.port },
      { trust, timeoutMs: code === "transport/timeout" ? 400 : 20_000 },
    ).cacerts(),
  ).rejects.toMatchObject({ code });
  listener.close();
});

test("answers that are none: no HTTP, too long, cut off", async () => {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await plant.ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject: { commonName: "odd" },
    san: { ip: ["127.37.4.4"] },
  });
  for (const { text, code } of [
    { text: "nonsense\r\n\r\n", code: "est/answer" },
    { text: `HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${"A".repeat(200_000)}`, code: "est/answer" },
    { text: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nA", code: "transport/closed" },
  ]) {
    const listener = tls.createServer(
      { cert: toPem(chain), key: privateKey.export({ type: "pkcs8", format: "pem" }) },
      (socket) => {
        socket.on("error", () => undefined);
        socket.once("data", () => void socket.end(text));
      },
    );
    listener.listen(0, "127.37.4.4");
    await once(listener, "listening");
    const address = listener.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(client({ host: "127.37.4.4", port }, { trust, timeoutMs: 20_000 }).cacerts()).rejects.toMatchObject({
      code,
    });
    listener.close();
  }
});

test("who gives up is heard at once, before, amid and while waiting", async () => {
  const reason = new RangeError("enough");
  await expect(client(server, { trust, signal: AbortSignal.abort(reason) }).cacerts()).rejects.toBe(reason);
  const listener = await odd(() => undefined);
  const stop = new AbortController();
  const amid = client({ host: "127.37.4.3", port: listener.port }, { trust, signal: stop.signal }).cacerts();
  setTimeout(() => stop.abort(reason), 50);
  await expect(amid).rejects.toBe(reason);
  listener.close();
  await expect(estPause(AbortSignal.abort(reason))(10_000)).rejects.toBe(reason);
  await expect(estPause(AbortSignal.abort("no error"))(10_000)).rejects.toMatchObject({ code: "transport/closed" });
  const later = new AbortController();
  const waiting = estPause(later.signal)(10_000);
  later.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  await estPause()(1);
  await estPause(new AbortController().signal)(1);
});

test("a client of IPv6, by name", async () => {
  const { privateKey, publicKey } = await makeKeyPair();
  const { chain } = await plant.ca.issue({
    profile: "tool",
    server: true,
    publicKey,
    subject: { commonName: "six" },
    san: { ip: ["::1"], dns: ["est.plant.example"] },
  });
  const six = await listenEst(plant.service, { host: "::1", port: 0, chain, key: privateKey });
  expect((await client({ host: "[::1]", port: six.port }, { trust }).cacerts()).anchors).toHaveLength(1);
  expect(
    (
      await client(
        { host: "est.plant.example", port: six.port },
        { trust, address: "::1", identity: { certificate: device } },
      ).cacerts()
    ).anchors,
  ).toHaveLength(1);
  await six.close();
});

test.each([
  ["ENOTFOUND", "transport/address"],
  ["ETIMEDOUT", "transport/timeout"],
  ["EHOSTUNREACH", "transport/unreachable"],
  ["ECONNRESET", "transport/closed"],
  ["HPE_INVALID_CONSTANT", "est/answer"],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "est/http"],
])("the system's %s is %s", (code, expected) => {
  expect(networkError(Object.assign(new Error("x"), { code }), "est:443")).toMatchObject({
    code: expected,
    facts: { reason: code },
  });
});

test("header names are sent as libest knows them: it takes no other case", async () => {
  const said = await raw(
    "POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
  );
  expect(said).toContain("\r\nContent-Type: text/plain");
  expect([headerName("www-authenticate"), headerName("retry-after")]).toEqual(["WWW-Authenticate", "Retry-After"]);
});
