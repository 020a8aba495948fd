import type { Association } from "./association.ts";
import type { Verdict, VerifyRequest } from "./credentials.ts";
import { DtlsError } from "./errors.ts";
import type { Remote } from "./peers.ts";
import type { ClientOptions, CommonOptions } from "./settings.ts";

/** Judges the peer's certificates: now, or later by a promise. */
export type Verify = (request: VerifyRequest, remote: Remote) => Verdict | Promise<Verdict>;

/** Bounds of an endpoint. Each has a default; none can be switched off. */
export interface Limits {
  /** Open associations at once; 4,096. */
  readonly associations: number;
  /** Handshakes at once; 256. */
  readonly handshakes: number;
  /** Associations and handshakes of one host at once; 64. */
  readonly perHost: number;
  /**
   * Handshakes begun in a second, as server; 500. Each costs about two milliseconds of work. Half of them are kept from a host that had
   * a quarter in the same second.
   */
  readonly handshakesPerSecond: number;
}

/** What may be changed while the endpoint runs; it counts for handshakes that begin later. */
export interface LiveOptions extends Omit<CommonOptions, "connectionId"> {
  /** As server: whether clients show a certificate. */
  readonly clientAuth?: "none" | "request" | "require";
  readonly authorities?: readonly Uint8Array[];
  /** Without it every certificate is refused. */
  readonly verify?: Verify;
}

/** What an endpoint is told when it is made. */
export interface EndpointOptions extends LiveOptions {
  /** Local address, `0.0.0.0` unless given. An IPv6 address makes an IPv6 socket. */
  readonly address?: string;
  /** Local port; any free one unless given. */
  readonly port?: number;
  readonly limits?: Partial<Limits>;
  /** Octets of the connection ids that peers are asked to send: 0 to 32, 6 unless given. 0 asks for none. */
  readonly connectionIdLength?: number;
  /** Whether clients may take sessions up again; true unless given. */
  readonly resumption?: boolean;
  /**
   * When a peer may go on from another address: with a connection id; also without, by a record that only it can make;
   * or never. `authenticated` unless given.
   */
  readonly addressChange?: "connection-id" | "authenticated" | "never";
  /** Makes the endpoint a server. Called with each association that a peer opened. */
  readonly onAssociation?: (association: Association) => void;
  /**
   * Handshakes of peers that failed, as server; as client, `connect` rejects. Also peers that a limit turned away (`dtls/limit`,
   * `facts.limit` names it), up to ten a second.
   */
  readonly onRefusal?: (error: DtlsError, remote: Remote) => void;
  /** Datagrams that are no DTLS, for a port that is shared with another protocol. */
  readonly onForeign?: (datagram: Uint8Array, remote: Remote) => void;
  /** Lines for a key log, where `keyLog` is set. Secret. */
  readonly onKeyLog?: (line: string) => void;
}

/** What a new association is told; what is left out is as the endpoint has it. */
export interface ConnectOptions extends Omit<ClientOptions, "connectionId"> {
  /** Numeric; names are not looked up. */
  readonly address: string;
  readonly port: number;
  readonly verify?: Verify;
  /** Ends the handshake. */
  readonly signal?: AbortSignal;
}

const defaultLimits: Limits = { associations: 4096, handshakes: 256, perHost: 64, handshakesPerSecond: 500 };

/** Limits with nothing left open. @throws {DtlsError} `usage/argument` for one that is no positive number. */
export function settleLimits(given: Partial<Limits> = {}): Limits {
  const limits: Limits = { ...defaultLimits, ...given };
  for (const [name, value] of Object.entries(limits)) {
    if (!(Number(value) > 0)) {
      throw new DtlsError("usage/argument", `limits.${name} is ${String(value)}, it has to be above 0`, {
        facts: { name },
      });
    }
  }
  return limits;
}

/** The answer where nobody was asked to judge: certificates are never taken on trust. */
export const refuseAll: Verify = () => ({
  accepted: false,
  reason: "no 'verify' was given, so no certificate is accepted",
  alert: "unknown_ca",
});
