import type { AeadName, CbcName, MacName } from "../suites.ts";

/** An AEAD with its key. */
export interface Aead {
  /** Writes ciphertext and tag into `record`, from `at` on. */
  encrypt(nonce: Uint8Array, data: Uint8Array, content: Uint8Array, record: Buffer, at: number): void;
  /** The content of ciphertext and tag; `undefined` where the tag is wrong, and then nothing of the content is seen. */
  decrypt(nonce: Uint8Array, data: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
  dispose(): void;
}

/** A block cipher in CBC mode with its key. It takes whole blocks, and adds no padding. */
export interface BlockCipher {
  /** Writes the blocks, encrypted, into `record`, from `at` on. */
  encrypt(iv: Uint8Array, blocks: Uint8Array, record: Buffer, at: number): void;
  decrypt(iv: Uint8Array, blocks: Uint8Array): Buffer;
  dispose(): void;
}

/** HMAC with its key. */
export interface Mac {
  /** The tag over both, one behind the other. */
  sign(data: Uint8Array, content: Uint8Array): Uint8Array;
  dispose(): void;
}

/**
 * What protections are made of. Two can be had: `node:crypto`, which sets up every record anew, and the same OpenSSL
 * called directly, which keeps what it has set up. Both give the same octets.
 *
 * Keys are copied: the caller may wipe them. After `dispose` none of them may be used.
 */
export interface Primitives {
  readonly accelerated: boolean;
  aead(cipher: AeadName, key: Uint8Array, tagLength: 8 | 16): Aead;
  cbc(cipher: CbcName, key: Uint8Array): BlockCipher;
  hmac(hash: MacName, key: Uint8Array): Mac;
}

/** What can be asked for by name. */
export type PrimitiveName = AeadName | CbcName | MacName;
