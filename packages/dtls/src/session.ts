import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { concat, Reader, u16, u32, vector8 } from "./presentation.ts";
import { cipherSuite } from "./suites.ts";

/** What both ends keep of a handshake to skip most of the next one. Secret: it holds the master secret. */
export interface SessionState {
  readonly suite: number;
  readonly master: Uint8Array;
  /** The client's identity where it proved a pre-shared key. */
  readonly pskIdentity: Uint8Array | undefined;
  /** The peer's certificates; none where it showed none. */
  readonly peerChain: readonly Uint8Array[];
  /** The name that the client asked for: a session is taken up under the same one only. @see RFC 6066 3 */
  readonly serverName: string | undefined;
}

/** A session that a client may take up again. Opaque: it prints nothing of what it holds. */
export class ClientSession {
  readonly #state: SessionState;
  readonly #sessionId: Uint8Array;
  readonly #ticket: Uint8Array | undefined;

  constructor(state: SessionState, sessionId: Uint8Array, ticket: Uint8Array | undefined) {
    this.#state = state;
    this.#sessionId = sessionId;
    this.#ticket = ticket;
  }

  /** For the handshake only. */
  static open(session: ClientSession): { state: SessionState; sessionId: Uint8Array; ticket: Uint8Array | undefined } {
    return { state: session.#state, sessionId: session.#sessionId, ticket: session.#ticket };
  }
}

/** How long a session may be taken up again, milliseconds. */
const sessionLifeMs = 3_600_000;

/** Sessions with client certificates kept at once; the oldest goes first. */
const maxSessions = 1024;

const none = new Uint8Array(0);

interface Kept {
  readonly state: SessionState;
  readonly until: number;
}

/**
 * A server's sessions. A client without certificate gets a ticket that holds everything, so that the server keeps
 * nothing. A client's certificates would make the ticket larger than a datagram: such sessions are kept here by id, so
 * that its chain can be judged anew each time.
 *
 * @see RFC 5077; RFC 5246 7.3; RFC 7627 5.3
 */
export class ServerSessions {
  #key = randomBytes(32);
  #previousKey = randomBytes(32);
  #keySince: number | undefined;
  readonly #kept = new Map<string, Kept>();

  /** Lifetime that tickets announce, seconds. */
  readonly lifetimeSeconds = sessionLifeMs / 1000;

  /** Forgets every session and ticket: credentials or trust have changed. */
  reset(): void {
    this.#key = randomBytes(32);
    this.#previousKey = randomBytes(32);
    this.#kept.clear();
  }

  keep(id: Uint8Array, state: SessionState, now: number): void {
    if (this.#kept.size >= maxSessions) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    this.#kept.set(Buffer.from(id).toString("hex"), { state, until: now + sessionLifeMs });
  }

  find(id: Uint8Array, now: number): SessionState | undefined {
    const name = Buffer.from(id).toString("hex");
    const kept = this.#kept.get(name);
    if (kept !== undefined && kept.until <= now) this.#kept.delete(name);
    return kept === undefined || kept.until <= now ? undefined : kept.state;
  }

  ticketFor({ suite, master, pskIdentity, serverName }: SessionState, now: number): Uint8Array {
    this.#rotate(now);
    const iv = randomBytes(12);
    const cipher = createCipheriv("aes-256-gcm", this.#key, iv);
    const until = Math.ceil((now + sessionLifeMs) / 1000);
    const names = concat(vector8(pskIdentity ?? none), vector8(new TextEncoder().encode(serverName)));
    const plain = concat(u32(until), u16(suite), master, names);
    return concat(iv, cipher.update(plain), cipher.final(), cipher.getAuthTag());
  }

  /** The session of a ticket, or `undefined` for one that is not ours, changed or too old. */
  openTicket(ticket: Uint8Array, now: number): SessionState | undefined {
    this.#rotate(now);
    const plain = decrypt(this.#key, ticket) ?? decrypt(this.#previousKey, ticket);
    if (plain === undefined) return undefined;
    const reader = new Reader(plain, "ticket");
    const until = reader.u32("until");
    const suite = reader.u16("suite");
    const master = reader.octets(48, "master").slice();
    const identity = reader.vector(1, "identity").slice();
    const name = new TextDecoder().decode(reader.vector(1, "server name"));
    if (until * 1000 <= now) return undefined;
    // An identity may be empty, and is one all the same; a name may not.
    const pskIdentity = cipherSuite(suite)?.authentication === "psk" ? identity : undefined;
    return { suite, master, pskIdentity, peerChain: [], serverName: name === "" ? undefined : name };
  }

  #rotate(now: number): void {
    this.#keySince ??= now;
    if (now - this.#keySince < sessionLifeMs) return;
    this.#previousKey = this.#key;
    this.#key = randomBytes(32);
    this.#keySince = now;
  }
}

function decrypt(key: Uint8Array, ticket: Uint8Array): Uint8Array | undefined {
  if (ticket.length < 12 + 16) return undefined;
  try {
    const decipher = createDecipheriv("aes-256-gcm", key, ticket.subarray(0, 12), { authTagLength: 16 });
    decipher.setAuthTag(ticket.subarray(ticket.length - 16));
    return concat(decipher.update(ticket.subarray(12, ticket.length - 16)), decipher.final());
  } catch {
    return undefined;
  }
}
