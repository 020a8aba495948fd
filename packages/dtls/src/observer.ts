import { alertName, readAlert } from "./alert.ts";
import { DtlsError } from "./errors.ts";
import { Reassembly } from "./flight/reassembly.ts";
import { readClientHello } from "./handshake/client-hello.ts";
import type { ClientHello } from "./handshake/client-hello.ts";
import { extensionTypes, readConnectionId, readServerName } from "./handshake/extensions.ts";
import { handshakeTypes, readFragments } from "./handshake/message.ts";
import type { HandshakeMessage } from "./handshake/message.ts";
import { readServerHello } from "./handshake/server-hello.ts";
import { macLength, trafficKeys } from "./key-schedule.ts";
import { recordCipher } from "./record/cipher.ts";
import { contentTypes, dtls12, readRecords } from "./record/header.ts";
import type { RawRecord } from "./record/header.ts";
import { RecordLayer } from "./record/layer.ts";
import { cipherSuite } from "./suites.ts";
import type { CipherSuite } from "./suites.ts";

/** One of the two ends; which of them is the client shows in the handshake. */
export type ObservedEnd = 0 | 1;

/** What a datagram of a recorded association showed. */
export type ObservedEvent =
  | { readonly kind: "client-hello"; readonly suites: readonly number[]; readonly serverName: string | undefined }
  | {
      readonly kind: "negotiated";
      readonly suite: number;
      readonly encryptThenMac: boolean;
      /** `unsupported`: the suite or version is none of this package's. */
      readonly keys: "found" | "missing" | "unsupported";
    }
  | { readonly kind: "alert"; readonly fatal: boolean; readonly alert: string; readonly encrypted: boolean }
  /** A payload. `authenticated` is false where a NULL suite was read without its key. */
  | { readonly kind: "data"; readonly payload: Uint8Array; readonly authenticated: boolean }
  /** A record that stays closed. `replayed` was opened before; what is `unauthentic` is not the peer's, or another key's. */
  | { readonly kind: "closed"; readonly reason: "no-key" | "replayed" | "unauthentic" | "malformed" };

/** A session's records in both directions, by who sent them. */
interface Session {
  readonly suite: CipherSuite | undefined;
  readonly client: ObservedEnd;
  readonly serverRandom: Uint8Array;
  /** Missing without the secret. */
  readonly layers: { readonly client: RecordLayer; readonly server: RecordLayer } | undefined;
}

interface Content {
  readonly type: number;
  readonly content: Uint8Array;
}

/** Records that may hold a payload; of the others nobody misses the content. */
const carriers: ReadonlySet<number> = new Set([contentTypes.applicationData, contentTypes.connectionId]);

const noCid = new Uint8Array(0);

/**
 * Reads a recorded association: datagrams of both ends in, payloads out, with the secret of a key log. It has no peer, sends
 * nothing, and never throws for what a datagram holds. Memory is bounded: two sessions, and one hello being put together for
 * each end.
 */
export class Observer {
  readonly #secret: (clientRandom: Uint8Array) => Uint8Array | undefined;
  readonly #hellos: [Reassembly | undefined, Reassembly | undefined] = [undefined, undefined];
  readonly #numbers: [number, number] = [-1, -1];
  #clientHello: ClientHello | undefined;
  #client: ObservedEnd = 0;
  #cids: [Uint8Array, Uint8Array] = [noCid, noCid];
  /** Newest first: until a new handshake is complete, the old session goes on. */
  #sessions: readonly Session[] = [];

  /** @param secret The master secret of a session, by the 32 octets of its client's random. */
  constructor(secret: (clientRandom: Uint8Array) => Uint8Array | undefined) {
    this.#secret = secret;
  }

  /** The connection id that records to this end carry; empty for none. */
  cidTo(end: ObservedEnd): Uint8Array {
    return this.#cids[end];
  }

  /** Takes a datagram that this end sent. Nothing comes of octets that are no DTLS. */
  take(from: ObservedEnd, datagram: Uint8Array): readonly ObservedEvent[] {
    const events: ObservedEvent[] = [];
    for (const record of readRecords(datagram, this.#cids[from === 0 ? 1 : 0].length)) {
      if (record.header.epoch === 0) this.#plain(from, record, events);
      else this.#protected(from, record, events);
    }
    return events;
  }

  #plain(from: ObservedEnd, { header, body }: RawRecord, events: ObservedEvent[]): void {
    if (header.type === contentTypes.alert) alerted(body, false, events);
    if (header.type !== contentTypes.handshake) return;
    try {
      for (const fragment of readFragments(body)) {
        if (fragment.type !== handshakeTypes.clientHello && fragment.type !== handshakeTypes.serverHello) continue;
        let hello = this.#hellos[from];
        if (hello === undefined || this.#numbers[from] !== fragment.seq) hello = new Reassembly(fragment.seq);
        this.#hellos[from] = hello;
        this.#numbers[from] = fragment.seq;
        hello.accept(fragment);
        const message = hello.next();
        if (message === undefined) continue;
        this.#hellos[from] = undefined;
        this.#hello(from, message, events);
      }
    } catch (error) {
      if (!(error instanceof DtlsError)) throw error;
      events.push({ kind: "closed", reason: "malformed" });
    }
  }

  #hello(from: ObservedEnd, { type, body }: HandshakeMessage, events: ObservedEvent[]): void {
    if (type === handshakeTypes.serverHello) return this.#serverHello(from, body, events);
    const hello = readClientHello(body);
    // The same hello comes again with a cookie, and when it was lost.
    const isRepeated = sameOctets(hello.random, this.#clientHello?.random);
    this.#clientHello = hello;
    this.#client = from;
    if (isRepeated) return;
    const { suites, extensions } = hello;
    events.push({
      kind: "client-hello",
      suites,
      serverName: readServerName(extensions.get(extensionTypes.serverName)),
    });
  }

  #serverHello(from: ObservedEnd, body: Uint8Array, events: ObservedEvent[]): void {
    const { version, random, suite: id, extensions } = readServerHello(body);
    const client = from === 0 ? 1 : 0;
    const hello = this.#client === client ? this.#clientHello : undefined;
    // A repeated flight begins nothing: what has been read stays read.
    if (hello === undefined || this.#sessions.some((session) => sameOctets(random, session.serverRandom))) return;
    const suite = version === dtls12 ? cipherSuite(id) : undefined;
    const encryptThenMac = extensions.has(extensionTypes.encryptThenMac);
    const wants = {
      client: readConnectionId(hello.extensions.get(extensionTypes.connectionId)),
      server: readConnectionId(extensions.get(extensionTypes.connectionId)),
    };
    const agreed = wants.client !== undefined && wants.server !== undefined;
    const toClient = (agreed ? wants.client : undefined) ?? noCid;
    const toServer = (agreed ? wants.server : undefined) ?? noCid;
    this.#cids = client === 0 ? [toClient, toServer] : [toServer, toClient];
    const master = suite === undefined ? undefined : this.#secret(hello.random);
    const keys = suite === undefined ? "unsupported" : master === undefined ? "missing" : "found";
    let layers: Session["layers"];
    if (suite !== undefined && master !== undefined) {
      const traffic = trafficKeys(suite, master, hello.random, random);
      layers = { client: new RecordLayer(2 ** 48), server: new RecordLayer(2 ** 48) };
      layers.client.unprotect(recordCipher(suite.bulk, traffic.client, { encryptThenMac }), toServer);
      layers.server.unprotect(recordCipher(suite.bulk, traffic.server, { encryptThenMac }), toClient);
    }
    this.#sessions = [{ suite, client, serverRandom: random, layers }, ...this.#sessions.slice(0, 1)];
    events.push({ kind: "negotiated", suite: id, encryptThenMac, keys });
  }

  #protected(from: ObservedEnd, record: RawRecord, events: ObservedEvent[]): void {
    let reason: "no-key" | "replayed" | "unauthentic" = "no-key";
    for (const session of this.#sessions) {
      const layer = from === session.client ? session.layers?.client : session.layers?.server;
      if (layer === undefined) continue;
      const opened = layer.open(record);
      if (!("dropped" in opened)) return content(opened, true, events);
      reason = opened.dropped === "replayed" ? "replayed" : "unauthentic";
    }
    const unverified = this.#sessions[0]?.layers === undefined ? readable(record, this.#sessions[0]?.suite) : undefined;
    if (unverified !== undefined) content(unverified, false, events);
    else if (carriers.has(record.header.type)) events.push({ kind: "closed", reason });
  }
}

function content(opened: Content, authenticated: boolean, events: ObservedEvent[]): void {
  if (opened.type === contentTypes.applicationData)
    events.push({ kind: "data", payload: opened.content, authenticated });
  else if (opened.type === contentTypes.alert) alerted(opened.content, true, events);
}

/** The content of a record that is integrity only, its MAC cut off unverified. */
function readable({ header, body }: RawRecord, suite: CipherSuite | undefined): Content | undefined {
  if (suite?.bulk.kind !== "null" || body.length < macLength[suite.bulk.mac]) return undefined;
  const inner = body.subarray(0, body.length - macLength[suite.bulk.mac]);
  if (header.type !== contentTypes.connectionId) return { type: header.type, content: inner };
  let end = inner.length - 1;
  while (end >= 0 && inner[end] === 0) end--;
  return end < 0 ? undefined : { type: inner[end] ?? 0, content: inner.subarray(0, end) };
}

function alerted(body: Uint8Array, encrypted: boolean, events: ObservedEvent[]): void {
  const alert = readAlert(body);
  if (alert === undefined) return;
  events.push({ kind: "alert", fatal: alert.fatal, alert: alertName(alert.description), encrypted });
}

function sameOctets(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && a.length === b.length && a.every((octet, i) => octet === b[i]);
}
