import { createDtlsEndpoint } from "@cipsec/dtls";
import type { DtlsError } from "@cipsec/dtls";
import type { Socket } from "node:dgram";
import type { Acceleration, EndpointOptions, Remote, VerifyRequest, Verdict } from "@cipsec/dtls";
import { BugError, isStackError } from "@cipsec/wire";
import type { StackErrorShape } from "@cipsec/wire";
import type { Channel, ChannelFacts } from "./channel.ts";
import { DtlsChannel } from "./dtls-channel.ts";
import { dtlsError } from "./dtls-errors.ts";
import { openDtlsPort } from "./dtls-port.ts";
import type { DtlsPort } from "./dtls-port.ts";
import { closedSettings, dtlsSettings, dtlsVerdict } from "./dtls-settings.ts";
import type { DtlsSettings } from "./dtls-settings.ts";
import { endpointText } from "./endpoint.ts";
import { defaultLimits } from "./limits.ts";
import type { ChannelLimits } from "./limits.ts";
import type { Listener, RefusedEvent } from "./listen.ts";
import type { Tap } from "./socket-channel.ts";
import type { TlsPolicy } from "./tls-policy.ts";

/** Where to listen for DTLS, and by which rules. */
export interface DtlsListenOptions {
  /** Numeric. */
  readonly address: string;
  /** 0 chooses a free one. */
  readonly port: number;
  /** Read for every new handshake, so that a change applies to new associations only. */
  readonly tls: () => TlsPolicy;
  /** Gets each association once it is up, as a datagram channel. Must set a receiver. */
  readonly accept: (channel: Channel) => void;
  /** Of the limits, those on connections and handshakes count here. */
  readonly limits?: Partial<ChannelLimits>;
  readonly onRefused?: (event: RefusedEvent) => void;
  /** Gets lines in the form of SSLKEYLOGFILE: secrets of every association, for debugging only. */
  readonly keyLog?: (line: string) => void;
  /** Seconds of silence after which an association ends, 0 never; read for every new handshake. Never unless given. */
  readonly idleTimeoutS?: () => number;
  /** Code point of what carries no other, such as handshakes and explicit messages, where it can be marked. */
  readonly dscp?: number;
  /**
   * Calls into OpenSSL and the C library by the optional package `koffi`: `auto`, which is the default, where they can be had;
   * `required` makes it an error where OpenSSL's cannot; `off` makes none.
   */
  readonly acceleration?: Acceleration;
  /** Datagrams that are no DTLS, on a port that is shared with another protocol. */
  readonly foreign?: (bytes: Uint8Array, remote: { readonly address: string; readonly port: number }) => void;
  readonly tap?: Tap;
}

/** DTLS on a socket that another protocol has: as for a listener, but for what the socket itself settles. */
export type DtlsShareOptions = Omit<DtlsListenOptions, "address" | "port" | "foreign">;

/** A listener whose socket also carries what is not DTLS. */
export interface DtlsListener extends Listener {
  /** Datagrams that belong to no association, or were altered, doubled or otherwise not the peer's: they changed nothing. */
  readonly dropped: number;
  /** Sends a datagram as it is, for a port that is shared with another protocol. */
  sendPlain(bytes: Uint8Array, remote: { readonly address: string; readonly port: number }): void;
}

/**
 * Opens a DTLS listener. A peer keeps the address that it proved itself from: an association does not move, nothing is
 * resumed, and each handshake is judged anew, as over TLS.
 *
 * @throws {TransportError} `transport/address` when the address cannot be bound.
 */
export async function listenDtls(options: DtlsListenOptions): Promise<DtlsListener> {
  const { address, port, dscp, acceleration } = options;
  const marking = dscp === undefined ? {} : { dscp };
  const native = acceleration !== "off";
  return start(options, { datagrams: await openDtlsPort({ address, port }, "listen", { ...marking, native }) });
}

/** A socket that another protocol has too: `dgram`'s own, or one that can mark. */
export type SharedSocket = { readonly socket: Socket } | { readonly datagrams: DtlsPort };

/**
 * Listens for DTLS on a bound socket that is another protocol's too: the first octet tells them apart, and what is no DTLS goes to
 * `foreign`. The socket has to be closed after the listener.
 */
export async function shareDtls(
  shared: SharedSocket,
  options: DtlsShareOptions & Required<Pick<DtlsListenOptions, "foreign">>,
): Promise<DtlsListener> {
  const { address, port } = "socket" in shared ? shared.socket.address() : shared.datagrams.local;
  return start({ ...options, address, port }, shared);
}

async function start(options: DtlsListenOptions, shared: SharedSocket): Promise<DtlsListener> {
  const { address, port, accept, onRefused, tap, foreign } = options;
  const { keyLog } = options;
  const marks = "datagrams" in shared && shared.datagrams.marks;
  const limits = { ...defaultLimits, ...options.limits };
  const channels = new Set<DtlsChannel>();
  const current = new Current(options);
  try {
    const endpoint = await createDtlsEndpoint(
      endpointOptions(options, limits, current, {
        onAssociation(association) {
          const channel = new DtlsChannel(association, endpoint.local, { role: "client", marks, tap });
          channels.add(channel);
          void channel.closed.then(() => channels.delete(channel));
          try {
            accept(channel);
          } catch (error) {
            const words = `${endpointText(channel.facts.remote)}: taking the association failed`;
            channel.destroy(isStackError(error) ? error : new BugError("bug/unreachable", words, { cause: error }));
          }
        },
        onRefusal(failure, remote) {
          const error = current.takeReason(remote) ?? dtlsError(failure, endpointText(remote));
          const reason = reasonOf(failure) ?? (error.code === "transport/timeout" ? "timeout" : "handshake");
          onRefused?.({ local: endpoint.local, remote, protocol: "dtls", reason, error });
        },
        ...shared,
        ...(foreign !== undefined && { onForeign: foreign }),
        ...(keyLog !== undefined && { keyLog: true, onKeyLog: keyLog }),
      }),
    );
    const close = async (): Promise<void> => endpoint.close();
    return {
      address,
      port: endpoint.local.port,
      get connections() {
        return endpoint.statistics.open + endpoint.statistics.handshakes;
      },
      get dropped() {
        const { strangers, associations } = endpoint.statistics;
        return Object.values(associations.dropped).reduce((sum, count) => sum + count, strangers);
      },
      close,
      closeChannels(filter?: (facts: ChannelFacts) => boolean) {
        for (const channel of channels) if (filter?.(channel.facts) ?? true) void channel.close();
      },
      sendPlain: (bytes, remote) => endpoint.sendPlain(bytes, remote),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    throw dtlsError(error, endpointText({ address, port }));
  }
}

/** The limit that turned a peer away, by the names that TCP listeners have for them. */
function reasonOf({ code, facts }: DtlsError): RefusedEvent["reason"] | undefined {
  if (code !== "dtls/limit") return undefined;
  if (facts["limit"] === "associations") return "connections";
  return facts["limit"] === "perHost" ? "address" : "handshakes";
}

function endpointOptions(
  { address, port, acceleration }: DtlsListenOptions,
  { maxConnections, maxPerAddress, maxHandshakes, handshakeTimeoutMs }: ChannelLimits,
  current: Current,
  handlers: Partial<EndpointOptions>,
): EndpointOptions {
  return {
    address,
    port,
    limits: { associations: maxConnections, perHost: maxPerAddress, handshakes: maxHandshakes },
    handshakeTimeoutMs,
    connectionIdLength: 0,
    addressChange: "never",
    resumption: false,
    ...(acceleration !== undefined && { acceleration }),
    ...handlers,
    // The endpoint copies its options when a handshake begins: what is read then is the policy of that moment.
    get suites() {
      return current.settings.suites;
    },
    get credentials() {
      return current.settings.credentials;
    },
    get clientAuth() {
      return current.settings.clientAuth;
    },
    get idleTimeoutMs() {
      return current.idleTimeoutMs;
    },
    get verify() {
      return current.verifier();
    },
  };
}

/** The policy as it is now, and why it last refused somebody. */
class Current {
  readonly #options: DtlsListenOptions;
  #refused: { readonly remote: Remote; readonly error: StackErrorShape } | undefined;

  constructor(options: DtlsListenOptions) {
    this.#options = options;
  }

  /** Without a policy that can be used nobody gets in; a socket's handler is no place to throw. */
  get settings(): DtlsSettings {
    const policy = this.#policy();
    try {
      return policy === undefined ? closedSettings : dtlsSettings(policy, "server");
    } catch {
      return closedSettings;
    }
  }

  get idleTimeoutMs(): number {
    return Math.max(0, Math.trunc((this.#options.idleTimeoutS?.() ?? 0) * 1000));
  }

  /** Judges by the policy that the handshake began with. */
  verifier(): (request: VerifyRequest, remote: Remote) => Verdict {
    const policy = this.#policy();
    return (request, remote) =>
      policy === undefined
        ? { accepted: false, reason: "no policy can be used", alert: "internal_error" }
        : dtlsVerdict(policy, request, { remote }, (error) => {
            this.#refused = { remote, error };
          });
  }

  /** The verdict that the handshake of this peer has just ended with. */
  takeReason({ address, port }: Remote): StackErrorShape | undefined {
    const refused = this.#refused;
    this.#refused = undefined;
    return refused?.remote.address === address && refused.remote.port === port ? refused.error : undefined;
  }

  #policy(): TlsPolicy | undefined {
    try {
      return this.#options.tls();
    } catch {
      return undefined;
    }
  }
}
