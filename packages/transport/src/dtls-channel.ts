import { DtlsError } from "@cipsec/dtls";
import type { Association, Ending, Remote } from "@cipsec/dtls";
import { BugError, cipherSuiteText, isStackError } from "@cipsec/wire";
import { X509Certificate } from "node:crypto";
import type { Channel, ChannelFacts, CloseReason, Endpoint, PeerIdentity } from "./channel.ts";
import { dtlsError } from "./dtls-errors.ts";
import { policyOf } from "./dtls-settings.ts";
import { endpointText } from "./endpoint.ts";
import type { Tap } from "./socket-channel.ts";
import { certificatePeer } from "./tls-facts.ts";
import type { Handshake, TlsPeer } from "./tls-policy.ts";
import { pskIdentityText } from "./tls-psk.ts";

/** What a channel is told of its endpoint. */
interface DtlsChannelOptions {
  readonly marks: boolean;
  readonly tap: Tap | undefined;
  /** The peer's, and the host that was dialled. */
  readonly role: TlsPeer["role"];
  readonly host?: string;
  /** Called once when the association has ended, before `closed` settles. */
  readonly released?: () => Promise<void>;
}

/** An open association as a channel: one message is one datagram, which may be lost, doubled or overtaken. */
export class DtlsChannel implements Channel {
  readonly kind = "datagram";
  readonly facts: ChannelFacts;
  readonly handshake: Handshake;
  readonly closed: Promise<CloseReason>;
  readonly maxMessage: number;
  readonly marks: boolean;
  readonly queued = 0;
  readonly #association: Association;
  readonly #tap: Tap | undefined;
  #error: Error | undefined;

  constructor(association: Association, local: Endpoint, { role, host, marks, tap, released }: DtlsChannelOptions) {
    this.#association = association;
    this.marks = marks;
    this.#tap = tap;
    this.maxMessage = association.facts.maxPayload;
    this.facts = channelFacts(association, local);
    const { peer } = association.facts;
    const chain = peer.kind === "certificate" ? peer.chain : [];
    const { remote } = this.facts;
    const shown: TlsPeer = { role, remote, chain, ...(host !== undefined && { host }) };
    this.handshake = { policy: policyOf(association), peer: shown };
    this.closed = this.#ended(released);
  }

  /** Sends one datagram; never throws. One that is too long for the path is dropped, as the network would. */
  send(bytes: Uint8Array, dscp?: number): void {
    if (!this.#association.open || bytes.length > this.maxMessage) return;
    try {
      this.#association.send(bytes, dscp);
      this.#tap?.("out", bytes, this.facts);
    } catch (error) {
      // The sequence numbers are used up: the association has ended itself, and `closed` says so.
      if (!(error instanceof DtlsError)) throw error;
    }
  }

  receive(receiver: (bytes: Uint8Array) => void): void {
    this.#association.onMessage = (payload) => {
      if (!this.#association.open) return;
      // No Buffer, whose slice() would share what the caller means to copy.
      const bytes = new Uint8Array(payload.buffer, payload.byteOffset, payload.length);
      try {
        this.#tap?.("in", bytes, this.facts);
        receiver(bytes);
      } catch (error) {
        const words = `${endpointText(this.facts.remote)}: a receiver failed`;
        this.destroy(isStackError(error) ? error : new BugError("bug/unreachable", words, { cause: error }));
      }
    };
  }

  async close(): Promise<void> {
    await this.#association.close();
    await this.closed;
  }

  destroy(error?: Error): void {
    if (!this.#association.open) return;
    this.#error ??= error;
    void this.#association.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #ended(released: (() => Promise<void>) | undefined): Promise<CloseReason> {
    const ending = await this.#association.closed;
    await released?.();
    return this.#reason(ending);
  }

  #reason({ error }: Ending): CloseReason {
    if (this.#error !== undefined) return { clean: false, error: this.#error };
    if (error === undefined) return { clean: true };
    return { clean: false, error: dtlsError(error, endpointText(this.facts.remote)) };
  }
}

function channelFacts({ facts, remote }: Association, local: Endpoint): ChannelFacts {
  const { suite, encrypts, accelerated } = facts;
  const suiteName = cipherSuiteText(suite);
  return {
    protocol: "dtls",
    local,
    remote: place(remote),
    security: { version: "DTLSv1.2", suite, suiteName, encrypts, peer: peerIdentity(facts), accelerated },
  };
}

function place({ address, port }: Remote): Endpoint {
  return { address, port };
}

function peerIdentity({ peer }: Association["facts"]): PeerIdentity {
  if (peer.kind === "anonymous") return peer;
  if (peer.kind === "psk") return { kind: "psk", identity: pskIdentityText(peer.identity) ?? "" };
  const [leaf] = peer.chain;
  return certificatePeer(leaf === undefined ? undefined : new X509Certificate(leaf));
}
