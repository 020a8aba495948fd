// The server's side of EST over TLS, with its sockets and timers; plain HTTP for documents that anybody may read.
import http from "node:http";
import https from "node:https";
import { systemCode, TransportError } from "../errors.ts";
import { answerDocument, type Documents } from "./documents.ts";
import { headerName, type HttpAnswer, type HttpRequest, type TlsFacts } from "./http.ts";
import type { EstLimits } from "./limits.ts";
import type { EstService } from "./service.ts";
import { readAll, readFacts, secureOptions, type TlsIdentity } from "./session.ts";

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

function flatHeaders(headers: http.IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
}
