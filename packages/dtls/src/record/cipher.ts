import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import { primitivesFor } from "./acceleration.ts";
import type { Acceleration } from "./acceleration.ts";
import { aeadCipher } from "./aead.ts";
import { cbcEtmCipher } from "./cbc-etm.ts";
import { cbcMteCipher } from "./cbc-mte.ts";
import type { RecordHeader } from "./header.ts";
import { nullHmacCipher } from "./null-hmac.ts";
import type { PrimitiveName } from "./primitives.ts";

/** Protects the records of one direction with one set of keys. */
export interface RecordCipher {
  /** The most octets that protection adds to content of any length, without the record header. */
  readonly overhead: number;
  /** Whether OpenSSL is called directly; else `node:crypto` is used. */
  readonly accelerated: boolean;
  /** The octets that content of this length has after protection. */
  sealedLength(contentLength: number): number;
  /** The whole record, header included. Each header is used once, ever: a nonce comes from it. */
  seal(header: RecordHeader, content: Uint8Array): Uint8Array;
  /** The content, or `undefined` when the record is not what the peer sent. Says nothing about why, and never throws. */
  open(header: RecordHeader, body: Uint8Array): Uint8Array | undefined;
  /** Wipes the keys. It must not be used afterwards. */
  dispose(): void;
}

/** What the handshake settled about protection beside the suite. */
export interface ProtectionChoice {
  readonly encryptThenMac: boolean;
  /** `auto` unless given. */
  readonly acceleration?: Acceleration;
}

/**
 * The protection of one direction. The keys are copied: the caller may wipe `key` and `mac`.
 *
 * @throws {DtlsError} `usage/state` where acceleration is required and cannot be had.
 */
export function recordCipher(
  bulk: Bulk,
  keys: DirectionKeys,
  { encryptThenMac, acceleration = "auto" }: ProtectionChoice,
): RecordCipher {
  const primitives = primitivesFor(acceleration, namesOf(bulk));
  switch (bulk.kind) {
    case "aead":
      return aeadCipher(bulk, keys, primitives);
    case "cbc":
      return encryptThenMac ? cbcEtmCipher(bulk, keys, primitives) : cbcMteCipher(bulk, keys, primitives);
    case "null":
      return nullHmacCipher(bulk, keys, primitives);
  }
}

function namesOf(bulk: Bulk): readonly PrimitiveName[] {
  switch (bulk.kind) {
    case "aead":
      return [bulk.cipher];
    case "cbc":
      return [bulk.cipher, bulk.mac];
    case "null":
      return [bulk.mac];
  }
}
