import type { Credentials } from "./credentials.ts";
import { DtlsError } from "./errors.ts";
import type { AssociationFacts } from "./facts.ts";
import type { Remote } from "./peers.ts";
import type { ClientSession } from "./session.ts";
import type { Statistics } from "./statistics.ts";

/** How an association ended. */
export interface Ending {
  /** `replaced`: the same peer opened a new one from the same address. */
  readonly by: "local" | "peer" | "error" | "idle" | "replaced";
  /** Why, unless one side simply closed it. */
  readonly error: DtlsError | undefined;
}

/** What an association needs of its endpoint. */
export interface AssociationHost {
  send(payload: Uint8Array, dscp: number | undefined): void;
  close(): void;
  remote(): Remote;
  readonly credentials: Credentials | undefined;
  readonly statistics: Statistics;
}

/** Payloads kept for a program that has not set `onMessage` yet. */
const maxWaiting = 64;

/** An open DTLS association: datagrams to and from one peer. */
export class Association {
  /** Settles when the association has ended; never rejects. */
  readonly closed: Promise<Ending>;
  readonly #host: AssociationHost;
  #facts: AssociationFacts | undefined;
  #session: ClientSession | undefined;
  #ending: Ending | undefined;
  #end: (ending: Ending) => void = () => undefined;
  #waiting: Uint8Array[] = [];
  #onMessage: ((payload: Uint8Array) => void) | undefined;

  constructor(host: AssociationHost) {
    this.#host = host;
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  /** What both ends agreed on, and whom the peer proved to be. */
  get facts(): AssociationFacts {
    if (this.#facts === undefined) throw new DtlsError("usage/state", "the association is not open yet");
    return this.#facts;
  }

  /** Where the peer is now; changes when it moves. */
  get remote(): Remote {
    return this.#host.remote();
  }

  /** As client: hand it to a later `connect` to skip most of the handshake. */
  get session(): ClientSession | undefined {
    return this.#session;
  }

  /** The very credentials that its handshake began with, so that a caller who changed them since can tell. */
  get credentials(): Credentials | undefined {
    return this.#host.credentials;
  }

  get open(): boolean {
    return this.#facts !== undefined && this.#ending === undefined;
  }

  get statistics(): Statistics {
    return this.#host.statistics;
  }

  /** Called with each payload; those that came before it is set follow at once, the oldest first. */
  get onMessage(): ((payload: Uint8Array) => void) | undefined {
    return this.#onMessage;
  }

  set onMessage(listener: ((payload: Uint8Array) => void) | undefined) {
    this.#onMessage = listener;
    if (listener === undefined) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const payload of waiting) listener(payload);
  }

  /**
   * Sends one payload as one datagram. As with UDP, it may be lost, doubled or overtaken on the way; the peer's replay
   * window drops the double.
   *
   * @param dscp Code point for the datagram, where the endpoint's port can mark (`datagrams`); `dgram` cannot.
   * @throws {DtlsError} `dtls/size` above `facts.maxPayload`; `dtls/closed` after the end.
   */
  send(payload: Uint8Array, dscp?: number): void {
    this.#host.send(payload, dscp);
  }

  /** Tells the peer, then ends. */
  async close(): Promise<void> {
    this.#host.close();
    await this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** For the endpoint. */
  static opened(association: Association, facts: AssociationFacts, session: ClientSession | undefined): void {
    association.#facts = facts;
    association.#session = session;
  }

  /** For the endpoint. */
  static deliver(association: Association, payload: Uint8Array): void {
    if (association.#onMessage !== undefined) association.#onMessage(payload);
    else if (association.#waiting.length < maxWaiting) association.#waiting.push(payload);
  }

  /** For the endpoint. */
  static ended(association: Association, ending: Ending): void {
    if (association.#ending !== undefined) return;
    association.#ending = ending;
    association.#end(ending);
  }
}
