import { createHash, timingSafeEqual } from "node:crypto";
import { alerts } from "./alert.ts";
import type { AlertName } from "./alert.ts";
import type { VerifyRequest } from "./credentials.ts";
import { DtlsError } from "./errors.ts";
import type { Facts } from "./errors.ts";
import type { FlightItem } from "./flight/pack.ts";
import { handshakeTypes, writeMessage } from "./handshake/message.ts";
import type { HandshakeMessage } from "./handshake/message.ts";
import { extendedMasterSecret, masterSecret, trafficKeys, verifyData } from "./key-schedule.ts";
import { concat } from "./presentation.ts";
import { recordCipher } from "./record/cipher.ts";
import type { RecordLayer } from "./record/layer.ts";
import type { ClientSession } from "./session.ts";
import type { Settings } from "./settings.ts";
import type { CipherSuite } from "./suites.ts";

/** A state of the handshake: the messages that it takes, and what follows from one. */
export interface Step {
  readonly name: string;
  readonly takes: readonly number[];
  /** @throws {DtlsError} with `alert` when the message ends the handshake. */
  on(message: HandshakeMessage): Next;
}

/** What follows: another state, a question to the caller first, or the end. */
export type Next = Step | { readonly ask: VerifyRequest; readonly accepted: () => Next } | "done";

/** Who the peer proved to be. */
export type PeerProof =
  | { readonly kind: "certificate"; readonly chain: readonly Uint8Array[] }
  | { readonly kind: "psk"; readonly identity: Uint8Array }
  | { readonly kind: "anonymous" };

const none = new Uint8Array(0);

/**
 * What the states of one handshake share: the transcript, the secrets, and the flight being made. The engine sends the
 * flight and keeps the time.
 */
export class Exchange {
  readonly role: "client" | "server";
  readonly settings: Settings;
  readonly layer: RecordLayer;
  clientRandom: Uint8Array = none;
  serverRandom: Uint8Array = none;
  suite: CipherSuite | undefined;
  extendedMaster = false;
  encryptThenMac = false;
  resumed = false;
  serverName: string | undefined;
  group: number | undefined;
  signatureScheme: number | undefined;
  /** Agreed ids: in records to us, in records to the peer. Empty where there is none. */
  ourCid: Uint8Array = none;
  peerCid: Uint8Array = none;
  proof: PeerProof = { kind: "anonymous" };
  /** What a client may take up again later. */
  session: ClientSession | undefined;
  master: Uint8Array = none;
  /** The epoch of alerts: 1 once our own Finished is out. */
  writeEpoch: 0 | 1 = 0;
  #transcript: Uint8Array[] = [];
  #flight: FlightItem[] = [];
  #ready: { items: readonly FlightItem[]; waits: boolean } | undefined;
  #nextSeq: number;

  constructor(role: "client" | "server", settings: Settings, layer: RecordLayer, firstSeq: number) {
    this.role = role;
    this.settings = settings;
    this.layer = layer;
    this.#nextSeq = firstSeq;
  }

  /** Adds a received message to the transcript. */
  hear(message: HandshakeMessage): void {
    this.#transcript.push(writeMessage(message));
  }

  /** Adds a message to the flight and the transcript. */
  say(type: number, body: Uint8Array): void {
    const message: HandshakeMessage = { type, seq: this.#nextSeq++, body };
    this.#transcript.push(writeMessage(message));
    this.#flight.push({ kind: "message", epoch: type === handshakeTypes.finished ? 1 : 0, message });
  }

  /** Adds ChangeCipherSpec and our Finished. */
  sayFinished(): void {
    this.#flight.push({ kind: "change cipher spec" });
    this.say(handshakeTypes.finished, this.#verifyData(this.role));
    this.writeEpoch = 1;
  }

  /** Closes the flight. @param waits Whether the peer owes an answer. */
  endFlight(waits: boolean): void {
    this.#ready = { items: this.#flight, waits };
    this.#flight = [];
  }

  /** The flight that was closed last, once. */
  takeFlight(): { items: readonly FlightItem[]; waits: boolean } | undefined {
    const ready = this.#ready;
    this.#ready = undefined;
    return ready;
  }

  /** A hello that only asked for a cookie is not part of the transcript. @see RFC 6347 4.2.1 */
  forgetTranscript(): void {
    this.#transcript = [];
  }

  get transcript(): Uint8Array {
    return concat(...this.#transcript);
  }

  /** Checks the peer's Finished, then adds it to the transcript. */
  checkFinished(message: HandshakeMessage): void {
    const wanted = this.#verifyData(this.role === "client" ? "server" : "client");
    if (message.body.length !== wanted.length || !timingSafeEqual(message.body, wanted)) {
      throw fail("decrypt_error", "Finished does not fit what was said: somebody changed the handshake");
    }
    this.hear(message);
  }

  /** Derives the master secret; the transcript ends with ClientKeyExchange. */
  deriveMaster(premaster: Uint8Array): void {
    const { prf } = this.chosen;
    this.master = this.extendedMaster
      ? extendedMasterSecret(prf, premaster, createHash(prf).update(this.transcript).digest())
      : masterSecret(prf, premaster, this.clientRandom, this.serverRandom);
    premaster.fill(0);
  }

  /** Makes the keys of epoch 1, both directions. */
  installKeys(): void {
    const { bulk } = this.chosen;
    const keys = trafficKeys(this.chosen, this.master, this.clientRandom, this.serverRandom);
    const [own, peer] = this.role === "client" ? [keys.client, keys.server] : [keys.server, keys.client];
    const choice = { encryptThenMac: this.encryptThenMac, acceleration: this.settings.acceleration };
    this.layer.protect(recordCipher(bulk, own, choice), this.peerCid);
    this.layer.unprotect(recordCipher(bulk, peer, choice), this.ourCid);
    for (const { key, mac } of [own, peer]) {
      key.fill(0);
      mac.fill(0);
    }
  }

  /** The suite, once it is chosen. */
  get chosen(): CipherSuite {
    if (this.suite === undefined) throw new DtlsError("bug/unreachable", "no suite is chosen yet");
    return this.suite;
  }

  /** Forgets what only the handshake needed, and wipes the secret. */
  settleDown(): void {
    this.#transcript = [];
    this.master.fill(0);
    this.master = none;
  }

  #verifyData(sender: "client" | "server"): Uint8Array {
    const hash = createHash(this.chosen.prf).update(this.transcript).digest();
    return verifyData(this.chosen, this.master, sender, hash);
  }
}

/** The error that ends a handshake, with the alert that tells the peer. */
export function fail(alert: AlertName, message: string, facts: Facts = {}): DtlsError {
  const code = verifyAlerts.has(alert) ? "dtls/verify" : "dtls/handshake";
  return new DtlsError(code, message, { alert: alerts[alert], facts: { ...facts, alert } });
}

const verifyAlerts = new Set<AlertName>([
  "bad_certificate",
  "unsupported_certificate",
  "certificate_revoked",
  "certificate_expired",
  "certificate_unknown",
  "unknown_ca",
  "access_denied",
  "decrypt_error",
  "certificate_required",
  "unknown_psk_identity",
]);

/** Secret of a pre-shared key and a key agreement together; what was agreed is wiped. @see RFC 5489 2 */
export function pskPremaster(agreed: Uint8Array, psk: Uint8Array): Uint8Array {
  const premaster = new Uint8Array(4 + agreed.length + psk.length);
  const view = new DataView(premaster.buffer);
  view.setUint16(0, agreed.length);
  premaster.set(agreed, 2);
  view.setUint16(2 + agreed.length, psk.length);
  premaster.set(psk, 4 + agreed.length);
  agreed.fill(0);
  return premaster;
}
