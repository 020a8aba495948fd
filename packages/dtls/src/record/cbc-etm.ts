import { timingSafeEqual } from "node:crypto";
import { macLength } from "../key-schedule.ts";
import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalDataWriter, beginRecord, headerLength } from "./header.ts";
import type { Primitives } from "./primitives.ts";
import { randomOctets } from "./random-octets.ts";

/** Octets of an AES block, and of the vector that each record begins with. */
export const blockLength = 16;

/**
 * CBC with Encrypt-then-MAC: the MAC is checked before anything is decrypted, so padding can be no oracle.
 *
 * @see RFC 7366 3; RFC 5246 6.2.3.2
 */
export function cbcEtmCipher(
  bulk: Extract<Bulk, { kind: "cbc" }>,
  keys: DirectionKeys,
  primitives: Primitives,
): RecordCipher {
  const cipher = primitives.cbc(bulk.cipher, keys.key);
  const mac = primitives.hmac(bulk.mac, keys.mac);
  const additionalData = additionalDataWriter();
  const tagLength = macLength[bulk.mac];
  return {
    overhead: blockLength + blockLength + tagLength,
    accelerated: primitives.accelerated,
    sealedLength: (contentLength) => blockLength + paddedLength(contentLength) + tagLength,
    seal(header, content) {
      const encrypted = blockLength + paddedLength(content.length);
      const record = beginRecord(header, encrypted + tagLength);
      const start = headerLength + header.cid.length;
      const iv = randomOctets(blockLength);
      record.set(iv, start);
      cipher.encrypt(iv, padded(content), record, start + blockLength);
      const covered = record.subarray(start, start + encrypted);
      record.set(mac.sign(additionalData(header, encrypted), covered), start + encrypted);
      return record;
    },
    open(header, body) {
      const encrypted = body.length - tagLength;
      if (encrypted < 2 * blockLength || encrypted % blockLength !== 0) return undefined;
      const covered = body.subarray(0, encrypted);
      const tag = mac.sign(additionalData(header, encrypted), covered);
      if (!timingSafeEqual(tag, body.subarray(encrypted))) return undefined;
      const content = cipher.decrypt(body.subarray(0, blockLength), body.subarray(blockLength, encrypted));
      const padding = content[content.length - 1] ?? 0;
      const length = content.length - padding - 1;
      if (length < 0) return undefined;
      for (let i = length; i < content.length; i++) if (content[i] !== padding) return undefined;
      return content.subarray(0, length);
    },
    dispose() {
      cipher.dispose();
      mac.dispose();
    },
  };
}

/** The content with the least padding that fills whole blocks. */
export function padded(content: Uint8Array): Buffer {
  const blocks = Buffer.allocUnsafe(paddedLength(content.length));
  blocks.set(content);
  blocks.fill(blocks.length - content.length - 1, content.length);
  return blocks;
}

/** Octets of content and padding: at least one octet says how much padding there is. */
export function paddedLength(contentLength: number): number {
  return contentLength + blockLength - (contentLength % blockLength);
}
