import { dial, type DialOptions, type Tap } from "@cipsec/transport";
import { IanaPort, TransportError, UsageError } from "@cipsec/wire";
import { Port, formatTarget, type Scheme, type TargetAddress } from "./address.ts";
import { identify } from "./identify.ts";
import { isPortOpen } from "./probe.ts";
import { Session, type SessionOptions } from "./session.ts";
import { originatorTrust, type OriginatorTrust, type SecurityOptions } from "./trust.ts";

/** How to connect to a target. */
export interface ConnectOptions extends Omit<SessionOptions, "peer" | "trust"> {
  /** Needed for a secure channel. */
  readonly security?: SecurityOptions;
  /** Refuse a plain channel even where the device offers nothing else. Set it whenever credentials were asked for. */
  readonly requireSecure?: boolean;
  /** Milliseconds for connection and handshake; default 5000. */
  readonly connectTimeoutMs?: number;
  /** Address of ours to connect from. */
  readonly localAddress?: string;
  /** Gets lines in the form of SSLKEYLOGFILE. */
  readonly keyLog?: (line: string) => void;
  readonly tap?: Tap;
  readonly signal?: AbortSignal;
}

const defaultConnectTimeoutMs = 5000;

/** A port that answers at all does so at once; this bounds the wait for one that a firewall swallows. */
const probeTimeoutMs = 1000;

/**
 * Opens a session. Without a scheme the channel is secure where the device offers it: TCP 2221 accepts, or else its discovery
 * reply says so (then a blocked 2221 is an error, not a reason to go plain). `session.facts` tells the channel that was chosen.
 *
 * With `HOST:PORT` and no scheme, port 2221 is TLS and any other is plain, unless `requireSecure` asks for TLS there.
 *
 * @throws {TransportError} `transport/refused`, `unreachable`, `timeout`, `address`, `closed`
 * @throws {PeerError} `tls/alert`, `tls/handshake`, `encap/status`
 * @throws {UsageError} `usage/argument` for an `eipd://` target, or a secure one without {@link ConnectOptions.security}.
 * @throws {Error} `trust/…` when the device's certificate is refused.
 */
export async function connect(target: TargetAddress, options: ConnectOptions = {}): Promise<Session> {
  const scheme = await chooseScheme(target, options);
  const port = target.port ?? (scheme === "eips" ? Port.eips : Port.eip);
  const peer = formatTarget({ scheme, host: target.host, port });
  const trust = scheme === "eips" ? requireTrust(peer, options.security) : undefined;
  const dialOptions = dialling(target.host, port, options, trust);
  const sessionOptions: SessionOptions = { ...options, peer, ...(trust === undefined ? {} : { trust: trust.facts }) };
  const open = (signal?: AbortSignal) => dial(signal === undefined ? dialOptions : { ...dialOptions, signal });
  return Session.open(open, sessionOptions, options.signal);
}

/** Which channel a target is reached by: what its scheme says, else what the device offers. */
export async function chooseScheme(target: TargetAddress, options: ConnectOptions = {}): Promise<"eip" | "eips"> {
  const { requireSecure = false } = options;
  if (target.scheme === "eipd")
    throw new UsageError("usage/argument", `${formatTarget(target)}: explicit messages go over eips:// or eip://`, {
      fix: "Use eips:// for a secured session; DTLS carries I/O connections.",
    });
  if (target.scheme === "eip" && requireSecure) throw plainRefused(target, "its address says eip://");
  if (target.scheme !== undefined) return narrow(target.scheme);
  if (target.port !== undefined) return target.port === Port.eips || requireSecure ? "eips" : "eip";
  const timeoutMs = Math.min(probeTimeoutMs, options.connectTimeoutMs ?? defaultConnectTimeoutMs);
  if (requireSecure || (await isPortOpen(target.host, Port.eips, timeoutMs, options.signal))) return "eips";
  const identity = await identify(target.host, {
    timeoutMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const says = identity?.security?.ports ?? 0;
  if ((says & IanaPort.eips) !== 0)
    throw new TransportError(
      "transport/unreachable",
      `${target.host}: the device says that its secure port 2221 is open, but it does not accept connections`,
      { fix: "Look for a firewall between; eip:// connects without protection if you must." },
    );
  return "eip";
}

function narrow(scheme: Scheme): "eip" | "eips" {
  return scheme === "eips" ? "eips" : "eip";
}

function requireTrust(peer: string, security: SecurityOptions | undefined): OriginatorTrust {
  if (security !== undefined) return originatorTrust(security);
  throw new UsageError("usage/argument", `${peer}: a secure connection needs something to trust the device by`, {
    fix: "Give certificate and authority (--cert, --key, --ca) or a pre-shared key; eip:// connects without protection, and posture reads a device from the factory with --insecure-accept-any.",
  });
}

function dialling(
  host: string,
  port: number,
  options: ConnectOptions,
  trust: OriginatorTrust | undefined,
): DialOptions {
  const { localAddress, keyLog, tap, connectTimeoutMs = defaultConnectTimeoutMs } = options;
  return {
    protocol: trust === undefined ? "tcp" : "tls",
    host,
    port,
    timeoutMs: connectTimeoutMs,
    ...(trust === undefined ? {} : { tls: trust.policy }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(keyLog === undefined ? {} : { keyLog }),
    ...(tap === undefined ? {} : { tap }),
  };
}

function plainRefused(target: TargetAddress, why: string): UsageError {
  return new UsageError("usage/argument", `${formatTarget(target)}: a secure channel is demanded, but ${why}`, {
    fix: "Write eips:// or leave the scheme out.",
  });
}
