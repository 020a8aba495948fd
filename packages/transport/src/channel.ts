import type { Handshake } from "./tls-policy.ts";

/** One end of a connection. IPv6 addresses are written without brackets. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Who the other end has proven to be. Keys are never part of it. */
export type PeerIdentity =
  | { readonly kind: "certificate"; readonly subject: string; readonly sha256: string; readonly der: Uint8Array }
  | { readonly kind: "psk"; readonly identity: string }
  | { readonly kind: "anonymous" };

/** What protects a channel. */
export interface SecurityFacts {
  readonly version: "TLSv1.2" | "TLSv1.3" | "DTLSv1.2" | "DTLSv1.3";
  /** IANA number of the cipher suite, such as 0xC02B. */
  readonly suite: number;
  /** IANA name of the cipher suite. */
  readonly suiteName: string;
  /** False for integrity-only (NULL) suites. */
  readonly encrypts: boolean;
  readonly peer: PeerIdentity;
  /** Over DTLS: whether records go through direct calls into OpenSSL. */
  readonly accelerated?: boolean;
}

/** What is known of the way that messages come and go: the router's access decision rests on it. */
export interface ChannelFacts {
  readonly protocol: "tcp" | "tls" | "udp" | "dtls";
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly security?: SecurityFacts;
}

/** Why a channel ended. `clean` is an orderly close by either side. */
export interface CloseReason {
  readonly clean: boolean;
  /** The error that ended it, where one did: a `StackError`. */
  readonly error?: Error;
}

/**
 * A connection that carries octets both ways, whatever protects it. Stream channels (TCP, TLS) deliver chunks without
 * message borders; datagram channels (DTLS) deliver one message at a time.
 */
export interface Channel extends AsyncDisposable {
  readonly facts: ChannelFacts;
  readonly kind: "stream" | "datagram";
  /** Of a protected channel: what {@link judgeAgain} judges its peer by. */
  readonly handshake?: Handshake | undefined;
  /**
   * Queues octets. A channel whose peer does not take them in time, or whose queue passes its bound, ends itself.
   * Sending on a channel that has ended does nothing.
   *
   * @param dscp Code point of this message, on a datagram channel that {@link marks}; else the channel's own.
   */
  send(bytes: Uint8Array, dscp?: number): void;
  /** Whether each message can carry a code point of its own. */
  readonly marks?: boolean;
  /** Octets that one message may have, on a datagram channel; what is longer is not sent. */
  readonly maxMessage?: number;
  /** Octets queued and not yet given to the network. */
  readonly queued: number;
  /** Sets the one receiver; octets that came before are delivered to it first, in order. */
  receive(receiver: (bytes: Uint8Array) => void): void;
  /** Settles once when the channel has ended, for whatever reason; never rejects. */
  readonly closed: Promise<CloseReason>;
  /** Ends the channel in order (close_notify, FIN) and resolves when it has ended. */
  close(): Promise<void>;
  /** Ends the channel at once. */
  destroy(error?: Error): void;
}
