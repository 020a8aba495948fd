import { ByteQueue } from "./byte-queue.ts";
import { cipherSuite, suiteName } from "./cipher-suites.ts";
import type { CipherSuite } from "./cipher-suites.ts";
import type { SecretSource } from "./key-log.ts";
import { readClientHello, readServerHello } from "./tls-hello.ts";
import type { ClientHello, ServerHello } from "./tls-hello.ts";
import { keysFromMaster, keysFromTrafficSecret, nextTrafficSecret } from "./tls-keys.ts";
import { alertName, versionName } from "./tls-names.ts";
import { ContentType, RecordReader, RecordSplitter } from "./tls-records.ts";
import type { RecordState, TlsRecord } from "./tls-records.ts";

/** A direction of the TCP connection; which one is the TLS client shows in the handshake. */
export type Direction = 0 | 1;

/** Something learned about a TLS connection. */
export type TlsInfo =
  | { readonly fact: "client-hello"; readonly suites: readonly string[]; readonly serverName: string | undefined }
  | {
      readonly fact: "negotiated";
      /** `TLSv1.2`, `TLSv1.3` or `DTLSv1.2`. */
      readonly version: string;
      /** IANA name. */
      readonly suite: string;
      readonly suiteId: number;
      readonly encryptThenMac: boolean;
      /** Whether the key log opens this session. */
      readonly keys: "found" | "missing";
    }
  /** Known once the client's side of the handshake is through. */
  | { readonly fact: "client-certificate"; readonly requested: boolean; readonly sent: boolean }
  | {
      readonly fact: "alert";
      readonly level: "warning" | "fatal";
      readonly alert: string;
      readonly encrypted: boolean;
    };

/** What octets of a TLS connection gave, in order. `from` is the direction whose records they are. */
export type TlsEvent = { readonly from: Direction } & (
  | { readonly kind: "data"; readonly bytes: Uint8Array; readonly authenticated: boolean }
  | { readonly kind: "tls-info"; readonly info: TlsInfo }
  | { readonly kind: "notice" | "error"; readonly message: string }
);

/** Certificate chains fit; a longer handshake message is damage or an attack. */
const maxHandshakeMessage = 256 * 1024;

/** Octets that a client may send protected before the capture shows the ServerHello. */
const maxHeld = 256 * 1024;

/**
 * Follows a TLS connection from its two byte streams and gives its application data. The handshake is read in clear,
 * secrets come from a key log. TLS 1.2 and 1.3; each record is verified, one that fails becomes an `error` and the
 * following ones are still read. A push may also give events of the other direction, whose records waited for it.
 *
 * @see RFC 5246, RFC 7366, RFC 8446
 */
export class TlsDecoder {
  readonly #secrets: SecretSource;
  readonly #halves: readonly [Half, Half] = [half(), half()];
  #client: Direction | undefined;
  #clientHello: ClientHello | undefined;
  #negotiated: Negotiated | undefined;
  #retried = false;
  #certificateRequested = false;
  #certificateSent = false;

  constructor(secrets: SecretSource) {
    this.#secrets = secrets;
  }

  /** Takes the next octets of a direction. */
  push(direction: Direction, bytes: Uint8Array): readonly TlsEvent[] {
    const events: TlsEvent[] = [];
    const { splitter } = this.#halves[direction];
    if (this.#halves[direction].lost) return events;
    splitter.push(bytes);
    for (let record = splitter.next(); record !== undefined; record = splitter.next()) {
      if ("damaged" in record) {
        this.#lose(direction, record.damaged, events);
        break;
      }
      if (this.#mustWait(direction, record)) this.#hold(direction, record, events);
      else this.#record(direction, record, events);
      if (this.#halves[direction].lost) break;
    }
    return events;
  }

  /** The capture lacks octets of this direction: where the next record starts, and its number, are lost with them. */
  gap(direction: Direction, octets: number): readonly TlsEvent[] {
    const events: TlsEvent[] = [];
    if (!this.#halves[direction].lost) this.#lose(direction, `${octets} octets are not in the capture`, events);
    return events;
  }

  #lose(direction: Direction, reason: string, events: TlsEvent[]): void {
    this.#halves[direction].lost = true;
    events.push({ from: direction, kind: "error", message: `TLS: ${reason}; the rest of this direction stays closed` });
  }

  /** Protected records of a client may stand in the capture before the ServerHello that they answer. */
  #mustWait(direction: Direction, { type }: TlsRecord): boolean {
    if (direction !== this.#client || this.#negotiated !== undefined) return false;
    return (
      this.#halves[direction].waiting.length > 0 ||
      type === ContentType.changeCipherSpec ||
      type === ContentType.applicationData
    );
  }

  #hold(direction: Direction, record: TlsRecord, events: TlsEvent[]): void {
    const half = this.#halves[direction];
    half.waiting.push(record);
    half.waitingOctets += record.body.length + 5;
    if (half.waitingOctets <= maxHeld) return;
    half.waiting = [];
    this.#lose(direction, `no ServerHello after ${maxHeld} octets of protected records`, events);
  }

  #record(direction: Direction, record: TlsRecord, events: TlsEvent[]): void {
    const half = this.#halves[direction];
    const { reader } = half;
    const tls13 = reader.state.state === "tls13";
    if (record.type === ContentType.changeCipherSpec) {
      // In TLS 1.3 it means nothing and is sent for middleboxes only.
      if (this.#negotiated?.version !== 0x0304) this.#changeCipherSpec(direction, events);
      return;
    }
    if (reader.state.state === "opaque") return;
    if (reader.state.state === "clear" && record.type === ContentType.applicationData) {
      reader.change({ state: "opaque" });
      events.push({
        from: direction,
        kind: "error",
        message: "TLS: the handshake is not in the capture; this direction stays closed",
      });
      return;
    }
    // Before its first protected record a TLS 1.3 peer may still send an alert, or a second hello, in clear.
    const clear = reader.state.state === "clear" || (tls13 && record.type !== ContentType.applicationData);
    const content = clear
      ? { opened: true as const, type: record.type, plain: record.body, authenticated: false }
      : reader.read(record);
    if (!content.opened) {
      this.#unopened(direction, content.reason, events);
    } else if (content.type === ContentType.applicationData) {
      if (content.plain.length > 0)
        events.push({ from: direction, kind: "data", bytes: content.plain, authenticated: content.authenticated });
    } else if (content.type === ContentType.alert) {
      readAlert(direction, content.plain, !clear, events);
    } else if (content.type === ContentType.handshake) {
      this.#handshake(direction, content.plain, events);
    }
  }

  #unopened(direction: Direction, reason: string, events: TlsEvent[]): void {
    const { reader } = this.#halves[direction];
    const { state } = reader;
    const mayBeEarly = state.state === "tls13" && state.stage === "handshake" && reader.sequence === 1n;
    if (mayBeEarly && direction === this.#client && this.#clientHello?.offersEarlyData === true) {
      reader.discount();
      events.push({ from: direction, kind: "notice", message: "TLS: a record of early data (0-RTT) was passed over" });
      return;
    }
    events.push({ from: direction, kind: "error", message: `TLS: a record does not open: ${reason}` });
  }

  #changeCipherSpec(direction: Direction, events: TlsEvent[]): void {
    const { reader } = this.#halves[direction];
    const side = direction === this.#client ? "client" : "server";
    if (this.#negotiated === undefined) {
      // For middleboxes only, behind a HelloRetryRequest (RFC 8446, D.4).
      if (this.#retried) return;
      if (reader.state.state !== "opaque")
        events.push({
          from: direction,
          kind: "error",
          message: "TLS: the handshake is not in the capture; this direction stays closed",
        });
      reader.change({ state: "opaque" });
      return;
    }
    reader.change(this.#negotiated.next[side]);
    if (side === "client") events.push({ from: direction, kind: "tls-info", info: this.#clientCertificate() });
  }

  #handshake(direction: Direction, plain: Uint8Array, events: TlsEvent[]): void {
    const { messages } = this.#halves[direction];
    messages.push(plain);
    while (messages.length >= 4) {
      const [type = 0, high = 0, middle = 0, low = 0] = messages.peek(4);
      const length = (high << 16) | (middle << 8) | low;
      if (length > maxHandshakeMessage) {
        this.#lose(
          direction,
          `a handshake message of ${length} octets is above the bound of ${maxHandshakeMessage}`,
          events,
        );
        return;
      }
      if (messages.length < 4 + length) return;
      messages.take(4);
      this.#message(direction, type, messages.take(length), events);
    }
  }

  #message(direction: Direction, type: number, body: Uint8Array, events: TlsEvent[]): void {
    const fromClient = direction === this.#client;
    if (type === MessageType.clientHello) this.#onClientHello(direction, body, events);
    else if (type === MessageType.serverHello) this.#onServerHello(direction, body, events);
    else if (type === MessageType.certificateRequest && !fromClient) this.#certificateRequested = true;
    else if (type === MessageType.certificate && fromClient) this.#certificateSent = !this.#isEmptyCertificate(body);
    else if (type === MessageType.finished) this.#onFinished(direction, events);
    else if (type === MessageType.keyUpdate) this.#onKeyUpdate(direction);
  }

  #onClientHello(direction: Direction, body: Uint8Array, events: TlsEvent[]): void {
    const hello = readClientHello(body);
    if (hello === undefined) {
      this.#lose(direction, "the ClientHello is malformed", events);
      return;
    }
    const again = this.#clientHello?.random.every((octet, index) => octet === hello.random[index]) ?? false;
    this.#client = direction;
    this.#clientHello = hello;
    this.#certificateRequested = false;
    this.#certificateSent = false;
    // The second hello after a HelloRetryRequest tells nothing new.
    if (again) return;
    events.push({
      from: direction,
      kind: "tls-info",
      info: { fact: "client-hello", suites: hello.suites.map(suiteName), serverName: hello.serverName },
    });
  }

  #onServerHello(direction: Direction, body: Uint8Array, events: TlsEvent[]): void {
    const hello = readServerHello(body);
    if (hello === undefined) {
      this.#lose(direction, "the ServerHello is malformed", events);
      return;
    }
    if (hello.retry) {
      this.#retried = true;
      return;
    }
    const client = direction === 0 ? 1 : 0;
    this.#client = client;
    this.#negotiated = this.#negotiate(hello);
    const { keys, version, next } = this.#negotiated;
    events.push({
      from: direction,
      kind: "tls-info",
      info: {
        fact: "negotiated",
        version: versionName(version),
        suite: suiteName(hello.suite),
        suiteId: hello.suite,
        encryptThenMac: hello.encryptThenMac,
        keys,
      },
    });
    if (this.#negotiated.message !== undefined)
      events.push({ from: direction, kind: "notice", message: this.#negotiated.message });
    if (version === 0x0304) {
      this.#halves[client].reader.change(next.client);
      this.#halves[direction].reader.change(next.server);
    }
    const { waiting } = this.#halves[client];
    this.#halves[client].waiting = [];
    for (const record of waiting) this.#record(client, record, events);
  }

  /** Decides how both directions are read from here on, by version, suite and what the key log has. */
  #negotiate(hello: ServerHello): Negotiated {
    const { version } = hello;
    const opaque = (message: string): Negotiated => ({
      version,
      keys: "missing",
      message,
      next: { client: { state: "opaque" }, server: { state: "opaque" } },
    });
    const suite = cipherSuite(hello.suite);
    const random = this.#clientHello?.random;
    if (version !== 0x0303 && version !== 0x0304)
      return opaque(`TLS: ${versionName(version)} is not decoded, only TLSv1.2 and TLSv1.3 are`);
    if (suite === undefined || isTls13(suite.id) !== (version === 0x0304))
      return opaque(`TLS: suite ${suiteName(hello.suite)} is not decoded under ${versionName(version)}`);
    if (random === undefined) return opaque("TLS: the ClientHello is not in the capture; the session stays closed");
    const next = version === 0x0304 ? this.#states13(suite, random) : this.#states12(suite, random, hello);
    if (next !== undefined) return { version, keys: "found", message: undefined, next };
    if (suite.bulk.mode !== "null") return opaque("TLS: the key log has no secret of this session; it stays closed");
    const state = { state: "unverified", mac: suite.bulk.mac } as const;
    const message = `TLS: the key log has no secret of this session; ${suite.name} leaves it readable, unverified`;
    return { version, keys: "missing", message, next: { client: state, server: state } };
  }

  #states12(
    { bulk }: CipherSuite,
    random: Uint8Array,
    { random: serverRandom, encryptThenMac }: ServerHello,
  ): SideStates | undefined {
    const master = this.#secrets.secret("CLIENT_RANDOM", random);
    if (master === undefined) return undefined;
    const { client, server } = keysFromMaster(bulk, master, random, serverRandom);
    const state = { state: "tls12", bulk, encryptThenMac } as const;
    return { client: { ...state, keys: client }, server: { ...state, keys: server } };
  }

  #states13(suite: CipherSuite, random: Uint8Array): SideStates | undefined {
    const client = this.#secrets.secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET", random);
    const server = this.#secrets.secret("SERVER_HANDSHAKE_TRAFFIC_SECRET", random);
    if (client === undefined || server === undefined) return undefined;
    return { client: state13(suite.bulk, client, "handshake"), server: state13(suite.bulk, server, "handshake") };
  }

  #onFinished(direction: Direction, events: TlsEvent[]): void {
    const { reader } = this.#halves[direction];
    const { state } = reader;
    if (state.state !== "tls13" || state.stage !== "handshake" || this.#clientHello === undefined) return;
    const fromClient = direction === this.#client;
    const secret = this.#secrets.secret(
      fromClient ? "CLIENT_TRAFFIC_SECRET_0" : "SERVER_TRAFFIC_SECRET_0",
      this.#clientHello.random,
    );
    if (fromClient) events.push({ from: direction, kind: "tls-info", info: this.#clientCertificate() });
    if (secret === undefined) {
      reader.change({ state: "opaque" });
      events.push({
        from: direction,
        kind: "notice",
        message: "TLS: the key log has the handshake's secrets but not those of the application data; it stays closed",
      });
      return;
    }
    reader.change(state13(state.bulk, secret, "application"));
  }

  #onKeyUpdate(direction: Direction): void {
    const { reader } = this.#halves[direction];
    const { state } = reader;
    if (state.state !== "tls13" || state.stage !== "application") return;
    reader.change(state13(state.bulk, nextTrafficSecret(state.bulk.prf, state.secret), "application"));
  }

  /** TLS 1.3 puts a context before the list (RFC 8446, 4.4.2). */
  #isEmptyCertificate(body: Uint8Array): boolean {
    const at = this.#negotiated?.version === 0x0304 ? 1 + (body[0] ?? 0) : 0;
    return body.subarray(at, at + 3).every((octet) => octet === 0);
  }

  #clientCertificate(): TlsInfo {
    return { fact: "client-certificate", requested: this.#certificateRequested, sent: this.#certificateSent };
  }
}

const MessageType = {
  clientHello: 1,
  serverHello: 2,
  certificate: 11,
  certificateRequest: 13,
  finished: 20,
  keyUpdate: 24,
} as const;

interface Half {
  readonly splitter: RecordSplitter;
  readonly reader: RecordReader;
  /** Handshake octets up to the end of the message under way. */
  readonly messages: ByteQueue;
  waiting: TlsRecord[];
  waitingOctets: number;
  lost: boolean;
}

interface SideStates {
  readonly client: RecordState;
  readonly server: RecordState;
}

interface Negotiated {
  readonly version: number;
  readonly keys: "found" | "missing";
  readonly message: string | undefined;
  /** States after the handshake's switch: at ChangeCipherSpec in TLS 1.2, at once in TLS 1.3. */
  readonly next: SideStates;
}

function half(): Half {
  return {
    splitter: new RecordSplitter(),
    reader: new RecordReader(),
    messages: new ByteQueue(),
    waiting: [],
    waitingOctets: 0,
    lost: false,
  };
}

function isTls13(suite: number): boolean {
  return suite >> 8 === 0x13;
}

function state13(bulk: CipherSuite["bulk"], secret: Uint8Array, stage: "handshake" | "application"): RecordState {
  return { state: "tls13", bulk, keys: keysFromTrafficSecret(bulk, secret), secret, stage };
}

function readAlert(direction: Direction, plain: Uint8Array, encrypted: boolean, events: TlsEvent[]): void {
  const [level, code] = plain;
  if (plain.length !== 2 || level === undefined || code === undefined) {
    events.push({ from: direction, kind: "error", message: `TLS: an alert of ${plain.length} octets instead of 2` });
    return;
  }
  events.push({
    from: direction,
    kind: "tls-info",
    info: { fact: "alert", level: level === 2 ? "fatal" : "warning", alert: alertName(code), encrypted },
  });
}
