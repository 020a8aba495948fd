import { DtlsError } from "../errors.ts";
import type { RecordCipher } from "./cipher.ts";
import { beginRecord, contentTypes, dtls12, headerLength } from "./header.ts";
import type { RawRecord } from "./header.ts";
import { ReplayWindow } from "./replay.ts";

/** The highest sequence number. @see RFC 6347 4.1 */
export const lastSequence = 2 ** 48 - 1;

/** Why a record was dropped; each is counted. */
export const dropReasons = [
  "malformed",
  "unauthentic",
  "replayed",
  "wrong-epoch",
  "plaintext",
  "unexpected",
  "overflow",
] as const;

/** One of {@link dropReasons}. */
export type DropReason = (typeof dropReasons)[number];

/** What came out of a record. */
export type Opened =
  | { readonly type: number; readonly content: Uint8Array; readonly epoch: number; readonly newest: boolean }
  | { readonly dropped: DropReason };

/** Content of a record, octets. @see RFC 5246 6.2.1 */
const maxContent = 16_384;

const empty = new Uint8Array(0);

/**
 * The records of one association. There are two epochs: 0 is plain, 1 is protected. Renegotiation, which would make a
 * third, is never done.
 */
export class RecordLayer {
  #writeCipher: RecordCipher | undefined;
  #readCipher: RecordCipher | undefined;
  readonly #nextSeq: [number, number] = [0, 0];
  readonly #window = new ReplayWindow();
  #peerCid: Uint8Array = empty;
  #ourCid: Uint8Array = empty;
  readonly #maxRecords: number;

  /** @param maxRecords How many records one side protects with one set of keys; at most 2^48. */
  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords;
  }

  /** Where a server begins: with the number of the hello that it answers (RFC 6347 4.2.1). */
  startAt(seq: number): void {
    this.#nextSeq[0] = seq;
  }

  protect(write: RecordCipher, peerCid: Uint8Array): void {
    this.#writeCipher = write;
    this.#peerCid = peerCid;
  }

  unprotect(read: RecordCipher, ourCid: Uint8Array): void {
    this.#readCipher = read;
    this.#ourCid = ourCid;
  }

  /** Wipes the keys: from here on nothing is written or read under them. */
  dispose(): void {
    this.#writeCipher?.dispose();
    this.#readCipher?.dispose();
    this.#writeCipher = undefined;
    this.#readCipher = undefined;
  }

  /** Whether OpenSSL protects the records directly, without `node:crypto`. */
  get accelerated(): boolean {
    return this.#writeCipher?.accelerated ?? false;
  }

  /** Tells whether records of epoch 1 can be read. */
  get reads(): boolean {
    return this.#readCipher !== undefined;
  }

  /** Protected records written so far. */
  get written(): number {
    return this.#nextSeq[1];
  }

  /** Tells whether the epoch has a sequence number left. */
  hasNumber(epoch: 0 | 1): boolean {
    return this.#nextSeq[epoch] <= lastSequence && (epoch === 0 || this.#nextSeq[1] < this.#maxRecords);
  }

  /** The most octets that a record adds to its content: header, connection id, protection. */
  overhead(epoch: 0 | 1): number {
    if (epoch === 0 || this.#writeCipher === undefined) return headerLength;
    const cid = this.#peerCid.length === 0 ? 0 : this.#peerCid.length + 1;
    return headerLength + cid + this.#writeCipher.overhead;
  }

  /** The octets of a record of epoch 1 around content of this length. */
  sealedLength(contentLength: number): number {
    if (this.#writeCipher === undefined) return headerLength + contentLength;
    const cid = this.#peerCid.length;
    return headerLength + cid + this.#writeCipher.sealedLength(contentLength + (cid > 0 ? 1 : 0));
  }

  /**
   * Makes a record.
   *
   * @throws {DtlsError} `dtls/limit` when the epoch has no sequence number left: a number never comes twice.
   */
  seal(type: number, content: Uint8Array, epoch: 0 | 1): Uint8Array {
    const seq = this.#nextSeq[epoch];
    const cipher = this.#writeCipher;
    if (!this.hasNumber(epoch)) {
      throw new DtlsError("dtls/limit", `no sequence number is left after ${seq} records`, { facts: { records: seq } });
    }
    this.#nextSeq[epoch] = seq + 1;
    if (epoch === 0) {
      const record = beginRecord({ type, version: dtls12, epoch, seq, cid: empty }, content.length);
      record.set(content, headerLength);
      return record;
    }
    if (cipher === undefined)
      throw new DtlsError("bug/unreachable", "a protected record was asked for before its keys");
    if (this.#peerCid.length === 0) return cipher.seal({ type, version: dtls12, epoch, seq, cid: empty }, content);
    const inner = Buffer.allocUnsafe(content.length + 1);
    inner.set(content);
    inner[content.length] = type;
    return cipher.seal({ type: contentTypes.connectionId, version: dtls12, epoch, seq, cid: this.#peerCid }, inner);
  }

  /** Opens a record. A record of epoch 1 changes the state only after it has proved to be the peer's. */
  open({ header, body }: RawRecord): Opened {
    const { epoch, seq, type } = header;
    if (epoch === 0) {
      if (type === contentTypes.connectionId) return { dropped: "malformed" };
      return { type, content: body, epoch, newest: false };
    }
    if (epoch !== 1 || this.#readCipher === undefined) return { dropped: "wrong-epoch" };
    // A peer that agreed to send the id may not leave it out, nor send one that was not agreed (RFC 9146 3).
    if ((type === contentTypes.connectionId) !== this.#ourCid.length > 0) return { dropped: "malformed" };
    if (header.version !== dtls12) return { dropped: "malformed" };
    if (!this.#window.expects(seq)) return { dropped: "replayed" };
    const content = this.#readCipher.open(header, body);
    if (content === undefined) return { dropped: "unauthentic" };
    const newest = seq > this.#window.newest;
    this.#window.accept(seq);
    if (type !== contentTypes.connectionId)
      return content.length > maxContent ? { dropped: "malformed" } : { type, content, epoch, newest };
    let end = content.length - 1;
    while (end >= 0 && content[end] === 0) end--;
    if (end < 0 || end > maxContent) return { dropped: "malformed" };
    return { type: content[end] ?? 0, content: content.subarray(0, end), epoch, newest };
  }
}
