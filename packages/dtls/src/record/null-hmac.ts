import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { macLength } from "../key-schedule.ts";
import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalData, beginRecord, headerLength } from "./header.ts";

/**
 * Integrity only: the content travels readable, with an HMAC behind it. Whether a peer says that it encrypts first
 * changes nothing, because there is nothing to encrypt.
 *
 * @see RFC 5246 6.2.3.1
 */
export function nullHmacCipher({ mac }: Extract<Bulk, { kind: "null" }>, keys: DirectionKeys): RecordCipher {
  const secret = createSecretKey(keys.mac);
  const tagLength = macLength[mac];
  return {
    overhead: tagLength,
    sealedLength: (contentLength) => contentLength + tagLength,
    seal(header, content) {
      const record = beginRecord(header, content.length + tagLength);
      const tag = createHmac(mac, secret).update(additionalData(header, content.length)).update(content).digest();
      record.set(content, headerLength + header.cid.length);
      record.set(tag, record.length - tagLength);
      return record;
    },
    open(header, body) {
      const length = body.length - tagLength;
      if (length < 0) return undefined;
      const content = body.subarray(0, length);
      const tag = createHmac(mac, secret).update(additionalData(header, length)).update(content).digest();
      return timingSafeEqual(tag, body.subarray(length)) ? content : undefined;
    },
  };
}
