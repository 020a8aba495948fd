import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import { aeadCipher } from "./aead.ts";
import { cbcEtmCipher } from "./cbc-etm.ts";
import { cbcMteCipher } from "./cbc-mte.ts";
import type { RecordHeader } from "./header.ts";
import { nullHmacCipher } from "./null-hmac.ts";

/**
 * Protects the records of one direction with one set of keys. This is the seam behind which an accelerator can stand:
 * it needs no more than these members.
 */
export interface RecordCipher {
  /** The most octets that protection adds to content of any length, without the record header. */
  readonly overhead: number;
  /** The octets that content of this length has after protection. */
  sealedLength(contentLength: number): number;
  /** The whole record, header included. Each header is used once, ever: a nonce comes from it. */
  seal(header: RecordHeader, content: Uint8Array): Uint8Array;
  /** The content, or `undefined` when the record is not what the peer sent. Says nothing about why, and never throws. */
  open(header: RecordHeader, body: Uint8Array): Uint8Array | undefined;
}

/** What the handshake settled about protection beside the suite. */
export interface ProtectionChoice {
  readonly encryptThenMac: boolean;
}

/** The protection of one direction. */
export function recordCipher(bulk: Bulk, keys: DirectionKeys, { encryptThenMac }: ProtectionChoice): RecordCipher {
  switch (bulk.kind) {
    case "aead":
      return aeadCipher(bulk, keys);
    case "cbc":
      return encryptThenMac ? cbcEtmCipher(bulk, keys) : cbcMteCipher(bulk, keys);
    case "null":
      return nullHmacCipher(bulk, keys);
  }
}
