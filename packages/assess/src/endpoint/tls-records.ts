import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import { openRecord, type Bulk, type DirectionKeys } from "@cipsec/capture";
import { alertMeaning, type Channel, type Clock } from "@cipsec/transport";
import { u16 } from "./client-hello.ts";

/** How records of one direction are protected: AES with GCM or CBC, which every device has one of. */
export interface Protection {
  readonly bulk: Extract<Bulk, { mode: "gcm" | "cbc" }>;
  readonly keys: DirectionKeys;
  readonly encryptThenMac: boolean;
}

/** A record without its header and protection. */
export interface TlsRecord {
  readonly type: number;
  readonly body: Buffer;
}

/** Why nothing more is heard of the other side. */
export interface Ended {
  readonly ended: "alert" | "closed" | "silence" | "other";
  readonly words: string;
}

/** Records of TLS 1.2 on a stream: in clear, until a direction is protected. */
export interface TlsRecords {
  send(type: number, body: Uint8Array): void;
  /** The next record; an alert, whatever its level, is an end. */
  next(waitMs: number): Promise<TlsRecord | Ended>;
  /** Protects one direction from now on. */
  protect(way: "out" | "in", protection: Protection): void;
}

/** @see RFC 5246 6.2.1 */
export const contentType = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

const [headerLength, tls12] = [5, 0x0303];

/** 2^14 octets of content, and what protection may add. @see RFC 5246 6.2.3 */
const maxBody = 16_384 + 2048;

/** More than this is no answer to what is asked here. */
const maxWaiting = 256 * 1024;

/** Makes records of a stream. */
export function tlsRecords(channel: Channel, clock: Clock): TlsRecords {
  let waiting = Buffer.alloc(0);
  let isClosed = false;
  let wake: () => void = () => undefined;
  let out: Direction | undefined;
  let into: Direction | undefined;
  channel.receive((octets) => {
    waiting = Buffer.concat([waiting, octets]);
    if (waiting.length > maxWaiting) channel.destroy();
    wake();
  });
  void channel.closed.then(() => {
    isClosed = true;
    wake();
  });

  const take = (): TlsRecord | Ended | undefined => {
    if (waiting.length < headerLength) return undefined;
    const [type = 0] = waiting;
    const length = waiting.readUInt16BE(3);
    if (type < contentType.changeCipherSpec || type > contentType.applicationData || length > maxBody)
      return { ended: "other", words: `an answer that is not TLS: ${waiting.subarray(0, 16).toString("hex")}` };
    if (waiting.length < headerLength + length) return undefined;
    const body = waiting.subarray(headerLength, headerLength + length);
    waiting = waiting.subarray(headerLength + length);
    const plain = into === undefined ? body : open(into, type, body);
    if (plain === undefined) return { ended: "other", words: "a record that cannot be opened" };
    if (type !== contentType.alert) return { type, body: plain };
    return { ended: "alert", words: `alert ${plain[1]} ${alertMeaning(plain[1] ?? 0).name}` };
  };
  return {
    send(type, body) {
      const content = out === undefined ? Buffer.from(body) : seal(out, type, body);
      channel.send(Buffer.concat([Buffer.from([type]), u16(tls12), u16(content.length), content]));
    },
    async next(waitMs) {
      const until = clock.now() + waitMs;
      for (;;) {
        const record = take();
        if (record !== undefined) return record;
        if (isClosed) return { ended: "closed", words: "the connection was closed without an alert" };
        const left = until - clock.now();
        if (left <= 0) return { ended: "silence", words: `no answer within ${waitMs} ms` };
        await new Promise<void>((resolve) => {
          const cancel = clock.after(left, resolve, true);
          wake = () => {
            cancel();
            resolve();
          };
        });
      }
    },
    protect(way, protection) {
      if (way === "out") out = { ...protection, sequence: 0n };
      else into = { ...protection, sequence: 0n };
    },
  };
}

interface Direction extends Protection {
  sequence: bigint;
}

/** What MAC and tag cover before the content. @see RFC 5246 6.2.3.1, 6.2.3.3 */
function additionalData(sequence: bigint, type: number, length: number): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigUInt64BE(sequence);
  return Buffer.concat([number, Buffer.from([type]), u16(tls12), u16(length)]);
}

function open(direction: Direction, type: number, body: Uint8Array): Buffer | undefined {
  const sequence = direction.sequence++;
  const opened = openRecord(
    direction.bulk,
    direction.keys,
    { encryptThenMac: direction.encryptThenMac, nonce: "explicit" },
    { sequence, body, additional: (length) => additionalData(sequence, type, length) },
  );
  return opened.opened ? Buffer.from(opened.plain) : undefined;
}

function seal(direction: Direction, type: number, content: Uint8Array): Buffer {
  const { bulk, keys, encryptThenMac } = direction;
  const sequence = direction.sequence++;
  const additional = (length: number): Buffer => additionalData(sequence, type, length);
  if (bulk.mode === "gcm") {
    const nonce = additional(0).subarray(0, 8);
    const cipher = createCipheriv(bulk.cipher, keys.key, Buffer.concat([keys.iv, nonce]));
    cipher.setAAD(additional(content.length));
    return Buffer.concat([nonce, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  }
  const mac = (octets: Uint8Array): Buffer =>
    createHmac(bulk.mac, keys.macKey).update(additional(octets.length)).update(octets).digest();
  if (!encryptThenMac) return encryptCbc(bulk.cipher, keys.key, Buffer.concat([content, mac(content)]));
  const encrypted = encryptCbc(bulk.cipher, keys.key, content);
  return Buffer.concat([encrypted, mac(encrypted)]);
}

const blockLength = 16;

/** The initialisation vector, then the content with its padding. @see RFC 5246 6.2.3.2 */
function encryptCbc(name: "aes-128-cbc" | "aes-256-cbc", key: Uint8Array, content: Uint8Array): Buffer {
  const iv = randomBytes(blockLength);
  const padding = blockLength - (content.length % blockLength);
  const cipher = createCipheriv(name, key, iv).setAutoPadding(false);
  return Buffer.concat([iv, cipher.update(content), cipher.update(Buffer.alloc(padding, padding - 1)), cipher.final()]);
}
