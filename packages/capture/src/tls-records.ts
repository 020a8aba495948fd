import { ByteQueue } from "./byte-queue.ts";
import type { Bulk, MacName } from "./cipher-suites.ts";
import { openRecord, readUnverified } from "./protection.ts";
import type { DirectionKeys, OpenedRecord } from "./protection.ts";

/** Content types of the record layer. */
export const ContentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

/** A record as it stands on the wire. */
export interface TlsRecord {
  readonly type: number;
  readonly version: number;
  readonly body: Uint8Array;
}

/** How the records of one direction are read at present. */
export type RecordState =
  | { readonly state: "clear" }
  | { readonly state: "tls12"; readonly bulk: Bulk; readonly keys: DirectionKeys; readonly encryptThenMac: boolean }
  | {
      readonly state: "tls13";
      readonly bulk: Bulk;
      readonly keys: DirectionKeys;
      readonly secret: Uint8Array;
      readonly stage: "handshake" | "application";
    }
  /** A NULL suite whose key is not known: readable, not verifiable. */
  | { readonly state: "unverified"; readonly mac: MacName }
  /** The keys are not known: records are counted off, not read. */
  | { readonly state: "opaque" };

/** What a record holds once its protection is off. */
export type RecordContent =
  | { readonly opened: true; readonly type: number; readonly plain: Uint8Array; readonly authenticated: boolean }
  | { readonly opened: false; readonly reason: string };

/** The longest record: 2^14 octets and what any protection adds (RFC 5246, 6.2.3). */
const maxBody = 16_384 + 2048;

const contentTypes: ReadonlySet<number> = new Set([...Object.values(ContentType), 24]);

/** Tells whether octets can be the start of a TLS record; three decide. */
export function looksLikeTls(bytes: Uint8Array): boolean {
  const [type = 0, major = 0, minor = 0xff] = bytes;
  return type >= 0x14 && type <= 0x17 && major === 3 && minor <= 4;
}

/** Cuts a stream into records. Holds at most one record that is not complete. */
export class RecordSplitter {
  readonly #queue = new ByteQueue();

  push(bytes: Uint8Array): void {
    this.#queue.push(bytes);
  }

  /** The next whole record; `undefined` until more octets come; the reason when the stream holds no TLS records. */
  next(): TlsRecord | { readonly damaged: string } | undefined {
    if (this.#queue.length < 5) return undefined;
    const [type = 0, major = 0, minor = 0, high = 0, low = 0] = this.#queue.peek(5);
    const length = (high << 8) | low;
    if (!contentTypes.has(type) || major !== 3 || length > maxBody) {
      this.#queue.clear();
      return { damaged: `no TLS record starts with type ${type}, version ${major}.${minor}, length ${length}` };
    }
    if (this.#queue.length < 5 + length) return undefined;
    this.#queue.take(5);
    return { type, version: (major << 8) | minor, body: this.#queue.take(length) };
  }
}

/** One direction's record protection: its state and the sequence number that goes with it. */
export class RecordReader {
  #state: RecordState = { state: "clear" };
  #sequence = 0n;

  get state(): RecordState {
    return this.#state;
  }

  /** Records read under the present state. */
  get sequence(): bigint {
    return this.#sequence;
  }

  /** Changes the protection; sequence numbers start again. */
  change(state: RecordState): void {
    this.#state = state;
    this.#sequence = 0n;
  }

  /** Takes the protection off a record. A record that does not verify still counts, as it did for its sender. */
  read(record: TlsRecord): RecordContent {
    const state = this.#state;
    switch (state.state) {
      case "clear":
        return { opened: true, type: record.type, plain: record.body, authenticated: false };
      case "opaque":
        return { opened: false, reason: "its key is not known" };
      case "unverified":
        return typed(record.type, readUnverified(state.mac, record.body));
      case "tls12": {
        const sequence = this.#sequence++;
        const additional = (length: number): Uint8Array => additionalData(sequence, record, length);
        const { bulk, keys, encryptThenMac } = state;
        return typed(
          record.type,
          openRecord(bulk, keys, { encryptThenMac, nonce: "explicit" }, { sequence, body: record.body, additional }),
        );
      }
      case "tls13": {
        const sequence = this.#sequence++;
        const header = Uint8Array.of(
          record.type,
          record.version >> 8,
          record.version & 0xff,
          record.body.length >> 8,
          record.body.length & 0xff,
        );
        const options = { encryptThenMac: false, nonce: "implicit" } as const;
        return inner(
          openRecord(state.bulk, state.keys, options, { sequence, body: record.body, additional: () => header }),
        );
      }
    }
  }

  /** Takes back the counting of the last record, which was not meant for the present keys (rejected early data). */
  discount(): void {
    this.#sequence--;
  }
}

function typed(type: number, result: OpenedRecord): RecordContent {
  return result.opened ? { ...result, type } : result;
}

/** TLS 1.3: the true type is the last octet that is not zero (RFC 8446, 5.4). */
function inner(result: OpenedRecord): RecordContent {
  if (!result.opened) return result;
  let end = result.plain.length - 1;
  while (end >= 0 && result.plain[end] === 0) end--;
  const type = result.plain[end];
  if (type === undefined) return { opened: false, reason: "the record holds padding only" };
  return { opened: true, type, plain: result.plain.subarray(0, end), authenticated: result.authenticated };
}

/** Sequence number, type, version, length (RFC 5246, 6.2.3.1). */
function additionalData(sequence: bigint, { type, version }: TlsRecord, length: number): Uint8Array {
  const out = new Uint8Array(13);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, sequence, false);
  view.setUint8(8, type);
  view.setUint16(9, version, false);
  view.setUint16(11, length, false);
  return out;
}
