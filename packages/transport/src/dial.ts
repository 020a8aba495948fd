import net from "node:net";
import tls from "node:tls";
import type { Acceleration } from "@cipsec/dtls";
import { isStackError, TransportError, UsageError } from "@cipsec/wire";
import type { Channel, ChannelFacts } from "./channel.ts";
import { systemClock } from "./clock.ts";
import { dialDtls } from "./dtls-dial.ts";
import { endpoint, endpointText } from "./endpoint.ts";
import { defaultLimits } from "./limits.ts";
import type { ChannelLimits } from "./limits.ts";
import { networkError, systemCode } from "./network-errors.ts";
import { SocketChannel } from "./socket-channel.ts";
import type { Tap } from "./socket-channel.ts";
import { prepareSocket } from "./socket-options.ts";
import { settled } from "./tls-accept.ts";
import type { Settled } from "./tls-accept.ts";
import { tlsContext } from "./tls-context.ts";
import { closedInHandshake, tlsError } from "./tls-errors.ts";
import type { TlsPolicy } from "./tls-policy.ts";

/** Whom to connect to, and how. */
export interface DialOptions {
  readonly protocol: "tcp" | "tls" | "dtls";
  /** An address, or a name to look up. */
  readonly host: string;
  readonly port: number;
  /** For connection and handshake together; 10 s unless said otherwise. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Needed for TLS and DTLS. */
  readonly tls?: TlsPolicy;
  /** DTLS only: asks for it with the encapsulation command StartDTLS first, as on UDP 44818. */
  readonly startDtls?: boolean;
  readonly localAddress?: string;
  /** Gets lines in the form of SSLKEYLOGFILE: secrets of the session, for debugging only. */
  readonly keyLog?: (line: string) => void;
  readonly limits?: Partial<ChannelLimits>;
  /** Differentiated services code point, 0 to 63, where it can be marked: TCP by the runtime, DTLS by the optional package `koffi`. */
  readonly dscp?: number;
  /**
   * DTLS only: calls into OpenSSL and the C library by the optional package `koffi`, where they can be had (`auto`, which is the
   * default), or an error without OpenSSL's (`required`), or none (`off`).
   */
  readonly acceleration?: Acceleration;
  readonly tap?: Tap;
}

/**
 * Connects, does the TLS or DTLS handshake where asked to, and judges the other side's certificate. A DTLS channel carries
 * datagrams and has a socket of its own; a wrong pre-shared key shows there as silence, and `transport/timeout` says so.
 *
 * In TLS 1.3 the other side judges ours only after this resolves: the channel then ends with `tls/alert`, or, if it gave
 * no reason, `trust/refused`.
 *
 * @throws {TransportError} `transport/refused`, `unreachable`, `timeout`, `address` or `closed`.
 * @throws {PeerError} `encap/status` when StartDTLS is refused; `tls/alert` with `facts.alert` when the other side refused us; `tls/handshake` with `facts.reason`
 * `closed`, `not-tls`, `version`, `no-common-suite`, … when the handshake failed.
 * @throws {Error} the error of the policy's verdict when it refused the other side's certificate.
 * @throws {UsageError} `usage/argument` without a policy, `usage/state` when the policy has no usable suite, or acceleration is
 * required and cannot be had.
 */
export async function dial(options: DialOptions): Promise<Channel> {
  const { protocol, host, port, timeoutMs = 10_000, signal } = options;
  const where = endpointText({ address: host, port });
  if (protocol !== "tcp" && options.tls === undefined) {
    throw new UsageError("usage/argument", `${where}: a TLS connection needs a TLS policy: set 'tls'`);
  }
  signal?.throwIfAborted();
  if (protocol === "dtls" && options.tls !== undefined) return dialDtls({ ...options, tls: options.tls, timeoutMs });
  const raw = net.connect({
    host,
    port,
    ...(options.localAddress !== undefined && { localAddress: options.localAddress }),
  });
  raw.on("error", () => undefined);
  return await new Promise<Channel>((resolve, reject) => {
    const finish = (): void => {
      cancel();
      signal?.removeEventListener("abort", aborted);
    };
    const fail = (error: unknown): void => {
      finish();
      raw.destroy();
      reject(error);
    };
    const aborted = (): void => fail(signal?.reason);
    const cancel = systemClock.after(timeoutMs, () => fail(late(where, raw.connecting, timeoutMs)));
    signal?.addEventListener("abort", aborted, { once: true });
    const refused = (error: Error): void => fail(networkError(error, where));
    const up = (socket: net.Socket, result?: Settled): void => {
      finish();
      resolve(channel(socket, raw, options, result));
    };
    raw.once("error", refused);
    raw.once("connect", () => {
      raw.off("error", refused);
      prepareSocket(raw, options.dscp);
      if (protocol === "tls" && options.tls !== undefined) handshake(raw, options, options.tls, where, up, fail);
      else up(raw);
    });
  });
}

function handshake(
  raw: net.Socket,
  { host, keyLog }: DialOptions,
  policy: TlsPolicy,
  where: string,
  up: (socket: tls.TLSSocket, result: Settled) => void,
  fail: (error: unknown) => void,
): void {
  let psk: string | undefined;
  let socket: tls.TLSSocket;
  try {
    const { secure, psks } = tlsContext(policy, "client");
    const [ours] = psks;
    socket = tls.connect({
      socket: raw,
      secureContext: secure,
      // The policy's verdict replaces Node's: it knows the plant's authorities, pins and revocations.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(net.isIP(host) === 0 && { servername: host }),
      ...(ours !== undefined && {
        pskCallback: () => {
          psk = ours[0];
          return { identity: ours[0], psk: ours[1] };
        },
      }),
    });
  } catch (error) {
    fail(tlsError(error, where));
    return;
  }
  const failed = (error: unknown): void => {
    const isCut = closers.has(systemCode(error));
    fail(isCut ? closedInHandshake(where, error) : tlsError(error, where));
  };
  const closed = (): void => fail(closedInHandshake(where));
  socket.on("error", failed);
  socket.once("close", closed);
  if (keyLog !== undefined) socket.on("keylog", (line) => keyLog(line.toString("latin1").trimEnd()));
  socket.once("secureConnect", () => {
    socket.off("error", failed);
    socket.off("close", closed);
    const remote = endpoint(raw.remoteAddress, raw.remotePort);
    const result = settled(socket, policy, psk, { role: "server", host, remote });
    if (isStackError(result)) {
      socket.on("error", () => undefined);
      socket.destroy();
      fail(result);
    } else {
      up(socket, result);
    }
  });
}

/** Node's codes for a connection that went away. */
const closers: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

function channel(socket: net.Socket, raw: net.Socket, options: DialOptions, result?: Settled): Channel {
  const { security, handshake } = result ?? {};
  const local = endpoint(raw.localAddress, raw.localPort);
  const remote = endpoint(raw.remoteAddress, raw.remotePort);
  const facts: ChannelFacts =
    security === undefined ? { protocol: "tcp", local, remote } : { protocol: "tls", local, remote, security };
  const isKeyless = security !== undefined && security.peer.kind !== "psk";
  const awaitsVerdict = isKeyless && (security.version === "TLSv1.3" || (options.tls?.certificates.length ?? 0) > 0);
  return new SocketChannel(
    socket,
    facts,
    { ...defaultLimits, ...options.limits },
    {
      awaitsVerdict,
      tap: options.tap,
      handshake,
    },
  );
}

function late(where: string, isConnecting: boolean, timeoutMs: number): TransportError {
  const words = isConnecting ? "no answer" : "connected, but the TLS handshake was not done";
  return new TransportError("transport/timeout", `${where}: ${words} within ${timeoutMs} ms`, {
    facts: { where, timeoutMs, phase: isConnecting ? "connect" : "handshake" },
  });
}
