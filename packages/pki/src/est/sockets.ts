// The only file of this package with sockets and timers: EST over TLS, as server and as client.
import { constants } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { isIP } from "node:net";
import tls from "node:tls";
import type { KeyObject } from "node:crypto";
import { parseCertificate, toPem, type Certificate } from "../certificate.ts";
import { PeerError, systemCode, TransportError } from "../errors.ts";
import type { Pause } from "../lock.ts";
import { answerDocument, type Documents } from "./documents.ts";
import { maxBodyOctets } from "./encoding.ts";
import { headerName, type HttpAnswer, type HttpRequest, type TlsFacts } from "./http.ts";
import type { EstLimits } from "./limits.ts";
import { closed, networkError } from "./network-errors.ts";
import type { EstService } from "./service.ts";

/** Certificate chain, leaf first, and key of one end. */
export interface TlsIdentity {
  readonly chain: readonly Certificate[];
  readonly key: KeyObject;
}

/** Where an EST server listens. */
export interface EstListenOptions extends TlsIdentity {
  readonly host: string;
  readonly port: number;
  /** Default `TLSv1.2`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
}

/** A listening EST server. */
export interface EstListener {
  readonly host: string;
  readonly port: number;
  /** Takes another certificate for new connections: nothing is interrupted. */
  renew(identity: TlsIdentity): void;
  close(): Promise<void>;
}

/**
 * Serves EST over TLS 1.2 and 1.3. A client certificate is asked for and never demanded by TLS: who may do what is decided by
 * the service, which can say why.
 *
 * @throws {TransportError} `transport/address` when it cannot listen there
 */
export async function listenEst(service: EstService, options: EstListenOptions): Promise<EstListener> {
  const { host, port, minVersion = "TLSv1.2", maxVersion = "TLSv1.3" } = options;
  const { limits } = service;
  const server = https.createServer({
    ...secureOptions(options),
    minVersion,
    maxVersion,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
    handshakeTimeout: limits.requestMs,
    headersTimeout: limits.requestMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.min(1000, limits.requestMs),
    maxHeaderSize: 8192,
  });
  const peers = new WeakMap<object, TlsFacts>();
  server.maxHeadersCount = 64;
  server.maxConnections = limits.connections;
  countConnections(server, limits);
  server.on("secureConnection", (socket) => {
    socket.on("error", () => socket.destroy());
    // Read once, here: Node 22 takes the chain off the session when it is first asked for.
    peers.set(socket, readFacts(socket, "server"));
  });
  server.on("request", (request, response) => {
    // The service answers its own faults; what is left is a socket that died meanwhile, or a fault of the caller's observer.
    serve(service, peers, request, response).catch(() => request.socket.destroy());
  });
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  server.on("clientError", (error, socket) => refuseUnread(error, socket));
  return {
    ...(await listening(server, host, port)),
    renew: (identity) => server.setSecureContext({ ...secureOptions(identity), minVersion, maxVersion }),
  };
}

/** Has a server listen, and says where it does. */
async function listening(
  server: http.Server | https.Server,
  host: string,
  port: number,
): Promise<Pick<EstListener, "host" | "port" | "close">> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new TransportError("transport/address", `cannot listen at ${host}:${port} (${systemCode(error)})`, {
          facts: { host, port },
          cause: error,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    host,
    port: typeof address === "object" && address !== null ? address.port : port,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((closed) => void server.close(() => closed()));
    },
  };
}

/** Where public documents are handed out without TLS. */
export interface DocumentListenOptions {
  readonly host: string;
  readonly port: number;
  readonly limits: EstLimits;
}

/**
 * Hands public documents out over plain HTTP, as certificates name it for revocation lists: these are signed, and who checks a
 * certificate has no TLS yet.
 *
 * @throws {TransportError} `transport/address` when it cannot listen there
 */
export async function listenDocuments(
  documents: Documents,
  { host, port, limits }: DocumentListenOptions,
): Promise<Pick<EstListener, "host" | "port" | "close">> {
  const server = http.createServer({
    headersTimeout: limits.requestMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.min(1000, limits.requestMs),
    maxHeaderSize: 8192,
  });
  server.maxConnections = limits.connections;
  countConnections(server, limits);
  server.on("request", (request, response) => {
    const asked = { method: request.method ?? "", path: request.url ?? "" };
    const none: HttpAnswer = {
      status: 404,
      headers: { "content-type": "text/plain" },
      body: "there is nothing here\n",
    };
    answerDocument(documents, asked)
      .then((found) => send(response, asked.method, found ?? none))
      .catch(() => request.socket.destroy());
  });
  server.on("clientError", (error, socket) => refuseUnread(error, socket));
  return await listening(server, host, port);
}

/** Suites that Debian's and old EST clients share with us: forward secret, authenticated encryption. */
const ciphers =
  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE+AESGCM:ECDHE+CHACHA20";

/** No SHA-1 signature is ever accepted. */
const sigalgs =
  "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";

function secureOptions(identity: TlsIdentity | undefined): tls.SecureContextOptions {
  return {
    ...(identity === undefined
      ? {}
      : { cert: toPem(identity.chain), key: identity.key.export({ type: "pkcs8", format: "pem" }) }),
    // Trust is decided by our own verdict; an empty list keeps Node from loading the authorities of the web.
    ca: [],
    ciphers,
    sigalgs,
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
  };
}

/** Addresses that hold more connections than one device needs are cut at once, before TLS costs anything. */
function countConnections(server: http.Server | https.Server, { connectionsPerAddress }: EstLimits): void {
  const open = new Map<string, number>();
  server.on("connection", (socket) => {
    const address = socket.remoteAddress ?? "";
    const count = (open.get(address) ?? 0) + 1;
    if (count > connectionsPerAddress) {
      socket.destroy();
      return;
    }
    open.set(address, count);
    socket.once("close", () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
  });
}

async function serve(
  service: EstService,
  peers: WeakMap<object, TlsFacts>,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const facts = peers.get(request.socket);
  const body = await readAll(request, service.limits.bodyOctets).catch(() => undefined);
  if (facts === undefined || body === undefined) {
    response.writeHead(413, { Connection: "close", "Content-Type": "text/plain" });
    response.end("the body is too large\n", () => request.socket.destroy());
    return;
  }
  const asked: HttpRequest = {
    method: request.method ?? "",
    path: request.url ?? "",
    headers: flatHeaders(request.headers),
    body,
    address: request.socket.remoteAddress ?? "",
    tls: facts,
  };
  send(response, asked.method, await service.handle(asked));
}

function send(response: http.ServerResponse, method: string, { status, headers, body }: HttpAnswer): void {
  const octets = Buffer.from(body);
  const lists = Object.entries(headers).map(([name, value]): [string, string | string[]] => [
    headerName(name),
    typeof value === "string" ? value : [...value],
  ]);
  response.writeHead(status, {
    ...Object.fromEntries(lists),
    ...(status === 204 ? {} : { "Content-Length": octets.length }),
  });
  response.end(method === "HEAD" ? undefined : octets);
}

/** A request that HTTP itself could not read. */
function refuseUnread(error: Error, socket: NodeJS.WritableStream & { destroy?(): void }): void {
  const status = systemCode(error) === "ERR_HTTP_REQUEST_TIMEOUT" ? "408 Request Timeout" : "400 Bad Request";
  if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`);
  socket.destroy?.();
}

/** A whole body; nothing when it is larger than allowed. What is left of it then stays unread. */
async function readAll(stream: http.IncomingMessage, max: number): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let octets = 0;
  return await new Promise((resolve, reject) => {
    stream.on("data", (chunk: Buffer) => {
      octets += chunk.length;
      if (octets <= max) parts.push(chunk);
      else {
        stream.pause();
        resolve(undefined);
      }
    });
    stream.on("end", () => resolve(Buffer.concat(parts)));
    stream.on("error", reject);
  });
}

function flatHeaders(headers: http.IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}

/** Chain, version and channel binding of a session. */
function readFacts(socket: tls.TLSSocket, role: "client" | "server"): TlsFacts {
  const version = socket.getProtocol() ?? "";
  return { chain: readChain(socket), binding: readBinding(socket, version, role), version };
}

/** Certificates that a peer sends; more than a chain has are not read. */
const maxChain = 10;

function readChain(socket: tls.TLSSocket): readonly Certificate[] {
  const chain: Certificate[] = [];
  let next: tls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  try {
    while (next?.raw !== undefined && chain.length < maxChain) {
      const certificate = parseCertificate(next.raw);
      if (chain.some(({ facts }) => facts.sha256 === certificate.facts.sha256)) break;
      chain.push(certificate);
      next = next.issuerCertificate;
    }
  } catch {
    // A certificate that cannot be read counts as not shown; what stands above it is of no use then.
  }
  return chain;
}

/**
 * TLS 1.2: the first Finished message of the latest handshake, which is the client's, as nothing is resumed here.
 * TLS 1.3 has no such value; its exporter takes that place.
 *
 * @see RFC 5929 3; RFC 9266 4.1, 4.2
 */
function readBinding(socket: tls.TLSSocket, version: string, role: "client" | "server"): string | undefined {
  if (version === "TLSv1.3")
    return socket.exportKeyingMaterial(32, "EXPORTER-Channel-Binding", Buffer.alloc(0)).toString("base64");
  return (role === "client" ? socket.getFinished() : socket.getPeerFinished())?.toString("base64");
}

/** Where and how to connect. */
export interface EstDialOptions {
  readonly host: string;
  readonly port: number;
  readonly identity: TlsIdentity | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Connects here instead, for names that no resolver knows. */
  readonly address?: string;
  /** Connects from this address. */
  readonly localAddress?: string;
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
}

/** One TLS session to a server, on which requests follow each other. */
export interface EstConnection {
  readonly tls: TlsFacts;
  /** False when the server has hung up, as some do after every answer. */
  isOpen(): boolean;
  ask(
    method: "GET" | "POST",
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: string,
  ): Promise<HttpAnswer>;
  close(): void;
}

/** How a client reaches a server; tests give their own. */
export type EstDial = (options: EstDialOptions) => Promise<EstConnection>;

/**
 * Opens a TLS session. The server's certificate is not judged here: the caller does, before it sends anything.
 *
 * @throws {TransportError} `transport/…`; {@link PeerError} `est/http` when the server breaks off the handshake
 */
export const dialEst: EstDial = async (options) => {
  const { host, port, identity, timeoutMs, signal, address, localAddress, maxVersion = "TLSv1.3" } = options;
  const where = `${host}:${port}`;
  signal?.throwIfAborted();
  const socket = tls.connect({
    ...secureOptions(identity),
    host: address ?? host,
    port,
    ...(localAddress === undefined ? {} : { localAddress }),
    minVersion: "TLSv1.2",
    maxVersion,
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  const failed = failures(socket, where, timeoutMs, signal);
  await failed.during(new Promise<void>((done) => void socket.once("secureConnect", done)));
  return {
    tls: readFacts(socket, "client"),
    isOpen: () => !socket.destroyed && socket.writable,
    async ask(method, path, headers, body) {
      return await failed.during(
        new Promise<HttpAnswer>((resolve, reject) => {
          const request = http.request({
            createConnection: () => socket,
            method,
            path,
            headers: {
              Host: hostHeader(host, port),
              Connection: "keep-alive",
              ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [headerName(name), value])),
            },
            maxHeaderSize: 16_384,
          });
          request.on("error", reject);
          request.on("response", (response) => {
            readAll(response, maxBodyOctets).then((octets) => {
              if (octets === undefined)
                reject(new PeerError("est/answer", `${where} answers with more than ${maxBodyOctets} octets`));
              else resolve({ status: response.statusCode ?? 0, headers: answerHeaders(response), body: octets });
            }, reject);
          });
          request.end(body);
        }),
      );
    },
    close: () => {
      failed.dispose();
      socket.destroy();
    },
  };
};

/** A pause on the system's clock that ends early when it is called off. */
export function estPause(signal?: AbortSignal): Pause {
  return async (ms) =>
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", stop);
        resolve();
      }, ms);
      const stop = (): void => {
        clearTimeout(timer);
        reject(signal?.reason instanceof Error ? signal.reason : new TransportError("transport/closed", "called off"));
      };
      signal?.addEventListener("abort", stop, { once: true });
      if (signal?.aborted === true) stop();
    });
}

interface Failures {
  during<T>(work: Promise<T>): Promise<T>;
  dispose(): void;
}

/** Whatever ends a session early: time, the caller, the network, the other side. */
function failures(socket: tls.TLSSocket, where: string, timeoutMs: number, signal: AbortSignal | undefined): Failures {
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = (error) => {
      reject(error);
      socket.destroy();
    };
  });
  failed.catch(() => undefined);
  const onAbort = (): void => fail(signal?.reason instanceof Error ? signal.reason : closed(where));
  signal?.addEventListener("abort", onAbort, { once: true });
  socket.on("error", (error) => fail(networkError(error, where)));
  socket.on("close", () => fail(closed(where)));
  return {
    async during(work) {
      const timer = setTimeout(
        () =>
          fail(
            new TransportError("transport/timeout", `${where} did not answer within ${timeoutMs} ms`, {
              facts: { where },
            }),
          ),
        timeoutMs,
      );
      try {
        return await Promise.race([work, failed]);
      } catch (error) {
        if (error instanceof PeerError || error instanceof TransportError || error === signal?.reason) throw error;
        throw networkError(error, where);
      } finally {
        clearTimeout(timer);
        work.catch(() => undefined);
      }
    },
    dispose: () => signal?.removeEventListener("abort", onAbort),
  };
}

function hostHeader(host: string, port: number): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return port === 443 ? name : `${name}:${port}`;
}

/** Challenges may come in several headers; of others the first counts. */
function answerHeaders({ headersDistinct }: http.IncomingMessage): HttpAnswer["headers"] {
  return Object.fromEntries(
    Object.entries(headersDistinct).flatMap(([name, values]): [string, string | readonly string[]][] =>
      values === undefined ? [] : [[name, name === "www-authenticate" ? values : (values[0] ?? "")]],
    ),
  );
}
