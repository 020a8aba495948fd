import type { EngineOutput } from "./engine-contract.ts";
import type { Peer, Peers, Remote } from "./peers.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Associations that one datagram from an unknown address is tried on: each try costs an attempt to open it. */
const maxTries = 4;

/** Datagrams from unknown addresses that are tried in a second. */
const triesPerSecond = 100;

/** Until a new address is proved it is sent at most this often what came from there, as with QUIC (RFC 9000 8). */
const amplification = 3;

/** A new address is taken as proved after so many records newer than all before, over so long. */
const provedAfter = 32;
const provedAfterMs = 1000;

/**
 * Decides whether a peer goes on from another address. Only a record that is authentic and newer than all before may move
 * it: an old record sent again from elsewhere moves nothing. Somebody who holds a genuine record back and sends it from a
 * forged address can redirect what follows until the next genuine record; what is sent there meanwhile is bounded.
 *
 * @see RFC 9146 6
 */
export class MoveGuard {
  readonly #policy: "connection-id" | "authenticated" | "never";
  readonly #peers: Peers;
  readonly #bucket = new TokenBucket(triesPerSecond);

  constructor(policy: "connection-id" | "authenticated" | "never", peers: Peers) {
    this.#policy = policy;
    this.#peers = peers;
  }

  /** Associations that a datagram without connection id from an unknown address may belong to. */
  candidates({ address }: Remote, now: number): readonly Peer[] {
    if (this.#policy !== "authenticated") return [];
    const sameHost = [...this.#peers.ofHost(address)];
    const found = sameHost.length > 0 || this.#peers.open > maxTries ? sameHost : [...this.#peers.all()];
    const usable = found.filter(
      ({ engine, cid }) => engine.state === "open" && (cid.length === 0 || !usesCid(engine.facts)),
    );
    if (usable.length === 0 || usable.length > maxTries || !this.#bucket.take(now)) return [];
    return usable;
  }

  /** Moves the peer where what came allows it. @returns Whether it moved. */
  moved(peer: Peer, { authentic, newest }: EngineOutput, octets: number, remote: Remote, now: number): boolean {
    if (this.#policy === "never" || authentic === 0 || !newest || peer.engine.state !== "open") return false;
    if (!this.#peers.move(peer, remote)) return false;
    // Back where it was proved to be: whoever moved it for a moment, by a record held back, shall not slow it down after that.
    const isBack = peer.home.address === remote.address && peer.home.port === remote.port;
    peer.credit = isBack ? undefined : amplification * octets;
    peer.seenThere = 1;
    peer.movedAt = now;
    return true;
  }

  /** Something came from the address that the peer has. */
  stayed(peer: Peer, { authentic, newest }: EngineOutput, octets: number, now: number): void {
    if (peer.credit === undefined || authentic === 0) return;
    peer.credit += amplification * octets;
    if (newest) peer.seenThere++;
    if (peer.seenThere < provedAfter || now < peer.movedAt + provedAfterMs) return;
    peer.credit = undefined;
    peer.home = peer.remote;
  }

  /** Whether so many octets may go to the peer now; counts them. */
  allows(peer: Peer, octets: number): boolean {
    if (peer.credit === undefined) return true;
    if (peer.credit < octets) return false;
    peer.credit -= octets;
    return true;
  }
}

function usesCid(facts: Peer["engine"]["facts"]): boolean {
  return (facts?.connectionIdLength.toUs ?? 0) > 0;
}
