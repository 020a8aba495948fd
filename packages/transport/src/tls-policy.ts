import type { KeyObject } from "node:crypto";
import type { PreSharedKey, StackErrorShape } from "@cipsec/wire";
import type { Endpoint } from "./channel.ts";

/** A certificate to present, with its key. */
export interface TlsCertificate {
  /** DER, leaf first; whether more than the leaf is sent is the policy's `sendChain`. */
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
}

/** What a peer has shown, for a verdict on it. */
export interface TlsPeer {
  /** DER, leaf first, as far as the peer sent a path; never empty where a policy is asked for its verdict. */
  readonly chain: readonly Uint8Array[];
  /** The role of the peer: a `client` dialled us, a `server` was dialled. */
  readonly role: "client" | "server";
  /** The host that was dialled, as it was given. */
  readonly host?: string;
  readonly remote: Endpoint;
}

/** What a handshake rested on, kept with its channel so that the peer can be judged again. It holds keys and is no fact for logs. */
export interface Handshake {
  /** The policy that it began with. */
  readonly policy: TlsPolicy;
  /** What the peer has shown; the chain is empty where that was no certificate. */
  readonly peer: TlsPeer;
}

/** Whether a peer is let in. The error is of the stack's shape, such as `trust/expired`; its code chooses the alert. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly error: StackErrorShape };

/**
 * How one end does TLS, the same shape for both ends. A policy is immutable: a change is a new object, and what OpenSSL
 * derives from a policy is kept as long as the object lives, so hand out the same object while nothing changes.
 */
export interface TlsPolicy {
  /** IANA numbers, best first, as in EtherNet/IP Security attribute 4. Suites that OpenSSL lacks are passed over. */
  readonly suites: readonly number[];
  /** TLS 1.2 unless said otherwise; 1.2 is always the minimum. TLS 1.3 also needs its suites in the list. */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  /** One for each key type; the negotiated suite chooses. */
  readonly certificates: readonly TlsCertificate[];
  /** Send the whole chain rather than the leaf. */
  readonly sendChain: boolean;
  /** Keys are used in the role that their usage names, and only when the list has a pre-shared key suite. */
  readonly psks: readonly PreSharedKey[];
  /** As the end that was dialled: ask for a certificate, refuse without one. A dialler always judges the other end. */
  readonly verifyPeer: boolean;
  /** Judges the peer's certificate before any octet of it is delivered. Without it every certificate is refused. */
  readonly verify?: (peer: TlsPeer) => Verdict;
}
