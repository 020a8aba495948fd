// The client's side of EST over TLS, with its sockets and timers.
import http from "node:http";
import { isIP } from "node:net";
import tls from "node:tls";
import { PeerError, TransportError } from "../errors.ts";
import type { Pause } from "../lock.ts";
import { maxBodyOctets } from "./encoding.ts";
import { headerName, type HttpAnswer, type TlsFacts } from "./http.ts";
import { closed, networkError } from "./network-errors.ts";
import { readAll, readFacts, secureOptions, type TlsIdentity } from "./session.ts";

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
