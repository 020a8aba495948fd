import { createCipheriv, createDecipheriv, createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { macLength } from "../key-schedule.ts";
import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalData, beginRecord, headerLength } from "./header.ts";
import { randomOctets } from "./random-octets.ts";

/** Octets of an AES block, and of the vector that each record begins with. */
export const blockLength = 16;

/**
 * CBC with Encrypt-then-MAC: the MAC is checked before anything is decrypted, so padding can be no oracle.
 *
 * @see RFC 7366 3; RFC 5246 6.2.3.2
 */
export function cbcEtmCipher(bulk: Extract<Bulk, { kind: "cbc" }>, keys: DirectionKeys): RecordCipher {
  const secret = createSecretKey(keys.key);
  const macSecret = createSecretKey(keys.mac);
  const tagLength = macLength[bulk.mac];
  return {
    overhead: blockLength + blockLength + tagLength,
    sealedLength: (contentLength) => blockLength + paddedLength(contentLength) + tagLength,
    seal(header, content) {
      const encrypted = blockLength + paddedLength(content.length);
      const record = beginRecord(header, encrypted + tagLength);
      const start = headerLength + header.cid.length;
      const iv = randomOctets(blockLength);
      const cipher = createCipheriv(bulk.cipher, secret, iv).setAutoPadding(false);
      record.set(iv, start);
      record.set(cipher.update(padded(content)), start + blockLength);
      const covered = record.subarray(start, start + encrypted);
      record.set(
        createHmac(bulk.mac, macSecret).update(additionalData(header, encrypted)).update(covered).digest(),
        start + encrypted,
      );
      return record;
    },
    open(header, body) {
      const encrypted = body.length - tagLength;
      if (encrypted < 2 * blockLength || encrypted % blockLength !== 0) return undefined;
      const covered = body.subarray(0, encrypted);
      const tag = createHmac(bulk.mac, macSecret).update(additionalData(header, encrypted)).update(covered).digest();
      if (!timingSafeEqual(tag, body.subarray(encrypted))) return undefined;
      const decipher = createDecipheriv(bulk.cipher, secret, body.subarray(0, blockLength)).setAutoPadding(false);
      const content = decipher.update(body.subarray(blockLength, encrypted));
      const padding = content[content.length - 1] ?? 0;
      const length = content.length - padding - 1;
      if (length < 0) return undefined;
      for (let i = length; i < content.length; i++) if (content[i] !== padding) return undefined;
      return content.subarray(0, length);
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
