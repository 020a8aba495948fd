import { timingSafeEqual } from "node:crypto";
import { macLength } from "../key-schedule.ts";
import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalDataWriter, beginRecord, headerLength } from "./header.ts";
import type { Primitives } from "./primitives.ts";

/**
 * Integrity only: the content travels readable, with an HMAC behind it. Whether a peer says that it encrypts first
 * changes nothing, because there is nothing to encrypt.
 *
 * @see RFC 5246 6.2.3.1
 */
export function nullHmacCipher(
  bulk: Extract<Bulk, { kind: "null" }>,
  keys: DirectionKeys,
  primitives: Primitives,
): RecordCipher {
  const mac = primitives.hmac(bulk.mac, keys.mac);
  const additionalData = additionalDataWriter();
  const tagLength = macLength[bulk.mac];
  return {
    overhead: tagLength,
    accelerated: primitives.accelerated,
    sealedLength: (contentLength) => contentLength + tagLength,
    seal(header, content) {
      const record = beginRecord(header, content.length + tagLength);
      const tag = mac.sign(additionalData(header, content.length), content);
      record.set(content, headerLength + header.cid.length);
      record.set(tag, record.length - tagLength);
      return record;
    },
    open(header, body) {
      const length = body.length - tagLength;
      if (length < 0) return undefined;
      const content = body.subarray(0, length);
      const tag = mac.sign(additionalData(header, length), content);
      return timingSafeEqual(tag, body.subarray(length)) ? content : undefined;
    },
    dispose: () => mac.dispose(),
  };
}
