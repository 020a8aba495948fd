import { Qos } from "@cipsec/objects";
import { dial, type DialOptions, type Tap, type TlsPolicy } from "@cipsec/transport";
import { IanaPort, PeerError, TransportError, UsageError, cipherSuites } from "@cipsec/wire";
import { Port, formatTarget, type Scheme, type TargetAddress } from "./address.ts";
import { identify } from "./identify.ts";
import { isPortOpen } from "./probe.ts";
import { Session, type SessionOptions } from "./session.ts";
import { originatorTrust, type OriginatorTrust, type Protection, type SecurityOptions } from "./trust.ts";

/** How to connect to a target. */
export interface ConnectOptions extends Omit<SessionOptions, "peer" | "trust"> {
  /** Needed for a secure channel. */
  readonly security?: SecurityOptions;
  /**
   * In place of `security` for each channel that is dialled from then on: renewed credentials, newer revocation lists. The same object
   * while nothing has changed. The protection asked for stays that of `security`.
   */
  readonly securityNow?: () => SecurityOptions;
  /** Refuse a plain channel even where the device offers nothing else. Set it whenever credentials were asked for. */
  readonly requireSecure?: boolean;
  /**
   * With `eipd://`: asks for DTLS with StartDTLS first, and exchanges encapsulation frames inside. As it is done on UDP 44818, so by
   * default for that port.
   */
  readonly startDtls?: boolean;
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

const protocols = { eip: "tcp", eips: "tls", eipd: "dtls" } as const;

const tls13Suites: ReadonlySet<number> = new Set(
  cipherSuites.filter(({ version }) => version === "1.3").map(({ id }) => id),
);

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
 * `eipd://` is one DTLS association on UDP 2221: requests go as items 0x8003, and I/O connections opened on this session go over
 * the same association. So it is on port 2222 of a device that shares it. On port 44818 StartDTLS comes first, and requests and
 * class 3 connections go in encapsulation frames, without I/O. It is never chosen without being asked for.
 *
 * @throws {UsageError} `usage/argument` for a secure target without {@link ConnectOptions.security}.
 * @throws {Error} `trust/…` when the device's certificate is refused.
 */
export async function connect(target: TargetAddress, options: ConnectOptions = {}): Promise<Session> {
  const scheme = await chooseScheme(target, options);
  const port = target.port ?? (scheme === "eip" ? Port.eip : Port.eips);
  const peer = formatTarget({ scheme, host: target.host, port });
  const trustNow = scheme === "eip" ? undefined : latestTrust(peer, options);
  const startDtls = scheme === "eipd" && (options.startDtls ?? port === Port.eip);
  const sessionOptions: SessionOptions = {
    ...options,
    peer,
    carriesFrames: startDtls,
    ...siblings(),
    ...(trustNow === undefined
      ? {}
      : { trust: () => trustNow.last().facts(), identity: () => trustNow.options()?.certificate?.chain[0] }),
  };
  const open = (signal?: AbortSignal) => {
    const how = dialling({ scheme, host: target.host, port }, options, trustNow?.next());
    return dial({ ...how, startDtls, ...(signal === undefined ? {} : { signal }) });
  };
  try {
    return await Session.open(open, sessionOptions, options.signal);
  } catch (error) {
    throw explainProtection(error, peer, options.security);
  }

  /** Over DTLS a connection may ask for another protection than the session has; that takes another association. */
  function siblings(): Pick<SessionOptions, "openProtected"> {
    const security = options.security ?? options.securityNow?.();
    if (scheme !== "eipd" || startDtls || security === undefined) return {};
    return {
      openProtected: (protection, signal) => {
        const { signal: _, ...rest } = options;
        const protecting = { ...rest, security: { ...security, protection }, ...(signal && { signal }) };
        return connect({ scheme, host: target.host, port }, protecting);
      },
    };
  }
}

/** A device that allows no suite of the protection asked for says `handshake_failure`, which anything can mean. */
function explainProtection(error: unknown, peer: string, security: SecurityOptions | undefined): unknown {
  const protection = security?.protection;
  if (protection === undefined || !(error instanceof PeerError) || !isNoCommonSuite(error)) return error;
  const { asked, other, attribute } = explanations[protection];
  return new PeerError(error.code, `${peer}: the device allows no cipher suite that ${asked}, which was asked for`, {
    cause: error,
    facts: { ...error.facts, protection },
    fix: `Allow one (EtherNet/IP Security, attribute 4: ${attribute}), or ask for ${other}.`,
  });
}

function isNoCommonSuite({ code, facts }: PeerError): boolean {
  if (code === "tls/alert") return facts["alert"] === "handshake_failure";
  return code === "tls/handshake" && facts["reason"] === "no-common-suite";
}

const explanations = {
  encrypted: { asked: "encrypts", other: "integrity only", attribute: "such as C02B, C023 or, with a key, C037" },
  integrity: { asked: "is integrity only", other: "encryption", attribute: "C006 or, with a key, C03A" },
} as const satisfies Readonly<Record<Protection, unknown>>;

/** Which channel a target is reached by: what its scheme says, else what the device offers. */
export async function chooseScheme(target: TargetAddress, options: ConnectOptions = {}): Promise<Scheme> {
  const { requireSecure = false } = options;
  if (target.scheme === "eip" && requireSecure) throw plainRefused(target, "its address says eip://");
  if (target.scheme !== undefined) return target.scheme;
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

/** The trust of each channel in turn: another one only where {@link ConnectOptions.securityNow} has other options. */
function latestTrust(
  peer: string,
  { security, securityNow }: ConnectOptions,
): {
  readonly next: () => OriginatorTrust;
  readonly last: () => OriginatorTrust;
  readonly options: () => SecurityOptions | undefined;
} {
  const given = (): SecurityOptions | undefined => securityNow?.() ?? security;
  const { protection } = security ?? {};
  const made = (options: SecurityOptions | undefined): OriginatorTrust =>
    requireTrust(peer, options === undefined || protection === undefined ? options : { ...options, protection });
  let of = given();
  let last = made(of);
  return {
    last: () => last,
    options: () => of,
    next() {
      const now = given();
      if (now !== of) last = made(now);
      of = now;
      return last;
    },
  };
}

function requireTrust(peer: string, security: SecurityOptions | undefined): OriginatorTrust {
  if (security !== undefined) return originatorTrust(security);
  throw new UsageError("usage/argument", `${peer}: a secure connection needs something to trust the device by`, {
    fix: "Give certificate and authority (--cert, --key, --ca) or a pre-shared key; eip:// connects without protection, and posture reads a device from the factory with --insecure-accept-any.",
  });
}

function dialling(
  { scheme, host, port }: Required<TargetAddress>,
  options: ConnectOptions,
  trust: OriginatorTrust | undefined,
): DialOptions {
  const { localAddress, keyLog, tap, connectTimeoutMs = defaultConnectTimeoutMs } = options;
  return {
    protocol: protocols[scheme],
    host,
    port,
    timeoutMs: connectTimeoutMs,
    dscp: Qos.attributes.dscpExplicit.default,
    ...(trust === undefined ? {} : { tls: scheme === "eipd" ? dtlsPolicy(trust.policy) : trust.policy }),
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(keyLog === undefined ? {} : { keyLog }),
    ...(tap === undefined ? {} : { tap }),
  };
}

/** The same policy, without what TLS 1.3 alone has: DTLS is version 1.2. */
function dtlsPolicy(policy: TlsPolicy): TlsPolicy {
  const suites = policy.suites.filter((id) => !tls13Suites.has(id));
  return { ...policy, maxVersion: "TLSv1.2", suites };
}

function plainRefused(target: TargetAddress, why: string): UsageError {
  return new UsageError("usage/argument", `${formatTarget(target)}: a secure channel is demanded, but ${why}`, {
    fix: "Write eips:// or leave the scheme out.",
  });
}
