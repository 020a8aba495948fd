import { timingSafeEqual } from "node:crypto";
import { macLength } from "../key-schedule.ts";
import type { DirectionKeys } from "../key-schedule.ts";
import { concat } from "../presentation.ts";
import type { Bulk } from "../suites.ts";
import { blockLength, padded, paddedLength } from "./cbc-etm.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalDataWriter, beginRecord, headerLength } from "./header.ts";
import type { RecordHeader } from "./header.ts";
import type { Primitives } from "./primitives.ts";
import { randomOctets } from "./random-octets.ts";

const none = new Uint8Array(0);

type MacOf = (header: RecordHeader, content: Uint8Array) => Uint8Array;
type Cbc = Extract<Bulk, { kind: "cbc" }>;

/**
 * CBC as TLS 1.2 had it before Encrypt-then-MAC: only for peers that the caller knows to be old.
 *
 * The MAC is computed whatever the padding says, over as many hash blocks for each padding, the outcome is decided once
 * and told to nobody. Code in a language with a collector cannot promise equal times to the nanosecond; this is why the
 * caller has to allow it.
 *
 * @see RFC 5246 6.2.3.2; "Lucky Thirteen", AlFardan and Paterson
 */
export function cbcMteCipher(bulk: Cbc, keys: DirectionKeys, primitives: Primitives): RecordCipher {
  const cipher = primitives.cbc(bulk.cipher, keys.key);
  const mac = primitives.hmac(bulk.mac, keys.mac);
  const additionalData = additionalDataWriter();
  const macOf: MacOf = (header, content) => mac.sign(additionalData(header, content.length), content);
  const tagLength = macLength[bulk.mac];
  return {
    overhead: blockLength + blockLength + tagLength,
    accelerated: primitives.accelerated,
    sealedLength: (contentLength) => blockLength + paddedLength(contentLength + tagLength),
    seal(header, content) {
      const tag = macOf(header, content);
      const blocks = padded(concat(content, tag));
      const record = beginRecord(header, blockLength + blocks.length);
      const start = headerLength + header.cid.length;
      const iv = randomOctets(blockLength);
      record.set(iv, start);
      cipher.encrypt(iv, blocks, record, start + blockLength);
      return record;
    },
    open(header, body) {
      const encrypted = body.length - blockLength;
      if (encrypted < paddedLength(tagLength) || encrypted % blockLength !== 0) return undefined;
      const blocks = cipher.decrypt(body.subarray(0, blockLength), body.subarray(blockLength));
      const { good, padding } = judgePadding(blocks, tagLength);
      const length = blocks.length - tagLength - 1 - padding;
      const content = blocks.subarray(0, length);
      const tag = macOf(header, content);
      const front = additionalData(header, 0).length;
      mac.sign(fill(bulk, front, content.length, blocks.length - tagLength - 1), none);
      const same = timingSafeEqual(tag, blocks.subarray(length, length + tagLength));
      return (Number(same) & good) === 1 ? content : undefined;
    },
    dispose() {
      cipher.dispose();
      mac.dispose();
    },
  };
}

/** Looks at 256 octets whatever the padding says; bad padding counts as none (RFC 5246 6.2.3.2). */
function judgePadding(blocks: Buffer, tagLength: number): { good: number; padding: number } {
  const last = blocks.readUInt8(blocks.length - 1);
  const room = blocks.length - tagLength - 1;
  let difference = Number(last > room);
  const looked = Math.min(256, blocks.length);
  for (let i = 1; i <= looked; i++) {
    const counts = (i - 1 - last - 1) >> 31;
    difference |= counts & (blocks.readUInt8(blocks.length - i) ^ last);
  }
  const bad = Number(difference !== 0);
  return { good: 1 - bad, padding: last * (1 - bad) };
}

/**
 * Octets that take as many hash blocks more as the longest content of this record would have taken.
 *
 * @param front Octets that the MAC covers before the content: a connection id makes them more.
 */
function fill(bulk: Cbc, front: number, length: number, most: number): Uint8Array {
  const block = bulk.mac === "sha384" ? 128 : 64;
  const blocks = (octets: number): number => Math.ceil((front + octets + 1 + block / 8) / block);
  return new Uint8Array((blocks(most) - blocks(length)) * block);
}
