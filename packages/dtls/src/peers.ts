import type { Association } from "./association.ts";
import type { Engine } from "./engine-contract.ts";

/** A UDP address. IPv6 addresses are as the system prints them. */
export interface Remote {
  readonly address: string;
  readonly port: number;
}

/** One association of an endpoint, open or on its way. */
export interface Peer {
  readonly engine: Engine;
  readonly role: "client" | "server";
  /** As server: the random of the hello that it answers, which tells a repeated hello from a new one. */
  readonly hello: Uint8Array | undefined;
  /** What the peer puts into its records; empty where it is not asked to. */
  readonly cid: Uint8Array;
  readonly association: Association;
  /** When its handshake began. */
  readonly since: number;
  remote: Remote;
  /** The address that was proved last: by the handshake, or after a move. */
  home: Remote;
  /** Octets that may still be sent to an address that the peer moved to; `undefined` for one that is proved. */
  credit: number | undefined;
  /** Newest records from the address moved to. */
  seenThere: number;
  movedAt: number;
}

/** What stands at one address: an open association, and a handshake that may replace it. */
export interface Place {
  open: Peer | undefined;
  pending: Peer | undefined;
}

/** Finds associations by address and by connection id, and counts them. */
export class Peers {
  /** By address, then by port: a name of both would be made anew for each datagram. */
  readonly #places = new Map<string, Map<number, Place>>();
  readonly #byCid = new Map<string, Peer>();
  readonly #byHost = new Map<string, Set<Peer>>();
  #open = 0;
  #pending = 0;

  get open(): number {
    return this.#open;
  }

  get pending(): number {
    return this.#pending;
  }

  at(remote: Remote): Place | undefined {
    return this.#places.get(remote.address)?.get(remote.port);
  }

  byCid(cid: Uint8Array): Peer | undefined {
    return this.#byCid.get(cidName(cid));
  }

  /** All of one host, whatever their ports. */
  ofHost(address: string): ReadonlySet<Peer> {
    return this.#byHost.get(address) ?? nobody;
  }

  *all(): Generator<Peer> {
    for (const { open, pending } of this.#everyPlace()) {
      if (open !== undefined) yield open;
      if (pending !== undefined) yield pending;
    }
  }

  /** The handshake as server that began first. */
  oldestHandshake(): Peer | undefined {
    let oldest: Peer | undefined;
    for (const { pending } of this.#everyPlace()) {
      if (pending?.role === "server" && (oldest === undefined || pending.since < oldest.since)) oldest = pending;
    }
    return oldest;
  }

  /** Puts a handshake at its address. The place of an earlier one must be free. */
  addPending(peer: Peer): void {
    const place = this.#placeFor(peer.remote);
    place.pending = peer;
    this.#pending++;
    if (peer.cid.length > 0) this.#byCid.set(cidName(peer.cid), peer);
    this.#joinHost(peer);
  }

  /** A handshake is done. @returns The open association that it replaces, which is taken out. */
  promote(peer: Peer): Peer | undefined {
    const place = this.#placeFor(peer.remote);
    const old = place.open;
    if (old !== undefined) this.remove(old);
    place.pending = undefined;
    this.#pending--;
    place.open = peer;
    this.#open++;
    return old;
  }

  /** Takes a peer out, wherever it stands. */
  remove(peer: Peer): void {
    const place = this.at(peer.remote);
    if (place === undefined) return;
    if (place.open === peer) {
      place.open = undefined;
      this.#open--;
    } else if (place.pending === peer) {
      place.pending = undefined;
      this.#pending--;
    } else return;
    this.#clear(peer.remote, place);
    if (peer.cid.length > 0) this.#byCid.delete(cidName(peer.cid));
    this.#leaveHost(peer);
  }

  /** An open association has a new address. @returns False where another is open there, and nothing changes. */
  move(peer: Peer, remote: Remote): boolean {
    const from = this.at(peer.remote);
    if (from?.open !== peer || this.at(remote)?.open !== undefined) return false;
    from.open = undefined;
    this.#clear(peer.remote, from);
    this.#leaveHost(peer);
    peer.remote = remote;
    this.#placeFor(remote).open = peer;
    this.#joinHost(peer);
    return true;
  }

  *#everyPlace(): Generator<Place> {
    for (const ports of this.#places.values()) yield* ports.values();
  }

  #placeFor({ address, port }: Remote): Place {
    const ports = this.#places.get(address) ?? new Map<number, Place>();
    const place = ports.get(port) ?? { open: undefined, pending: undefined };
    this.#places.set(address, ports.set(port, place));
    return place;
  }

  #clear({ address, port }: Remote, { open, pending }: Place): void {
    if (open !== undefined || pending !== undefined) return;
    const ports = this.#places.get(address);
    ports?.delete(port);
    if (ports?.size === 0) this.#places.delete(address);
  }

  #joinHost(peer: Peer): void {
    const { address } = peer.remote;
    const peers = this.#byHost.get(address);
    if (peers === undefined) this.#byHost.set(address, new Set([peer]));
    else peers.add(peer);
  }

  #leaveHost(peer: Peer): void {
    const { address } = peer.remote;
    const peers = this.#byHost.get(address);
    peers?.delete(peer);
    if (peers?.size === 0) this.#byHost.delete(address);
  }
}

const nobody: ReadonlySet<Peer> = new Set();

/** An address and port as one text. */
export function placeName({ address, port }: Remote): string {
  return `${address} ${port}`;
}

function cidName(cid: Uint8Array): string {
  return Buffer.from(cid.buffer, cid.byteOffset, cid.length).toString("latin1");
}
