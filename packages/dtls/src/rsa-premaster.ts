import { constants, privateDecrypt, publicEncrypt } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { masterLength } from "./key-schedule.ts";

/** Encrypts a premaster secret to the server's key. @see RFC 5246 7.4.7.1 */
export function encryptPremaster(key: KeyObject, premaster: Uint8Array): Uint8Array {
  return publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, premaster);
}

/**
 * Decrypts a premaster secret, or hands back `fallback`: which of the two is decided without a branch, and nobody is told,
 * so that a peer cannot learn from our answers what a message decrypts to (Bleichenbacher). The padding is looked at
 * here because libraries differ in what they tell about it.
 *
 * @param fallback Random octets, drawn before this call.
 * @see RFC 5246 7.4.7.1
 */
export function decryptPremaster(
  key: KeyObject,
  encrypted: Uint8Array,
  version: number,
  fallback: Uint8Array,
): Uint8Array {
  const block = Buffer.from(rawDecrypt(key, encrypted));
  const start = block.length - masterLength;
  let bad = block.readUInt16BE(0) ^ 2;
  for (const octet of block.subarray(2, start - 1)) bad |= Number(octet === 0);
  bad |= block.readUInt8(start - 1);
  bad |= block.readUInt16BE(start) ^ version;
  const mask = ((bad - 1) >> 31) & 0xff;
  return Uint8Array.from(fallback, (octet, i) => (octet & ~mask) | (block.readUInt8(start + i) & mask));
}

/** A ciphertext that is no number below the modulus is public knowledge: a block of zeros stands for it. */
function rawDecrypt(key: KeyObject, encrypted: Uint8Array): Uint8Array {
  const length = Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 2048) / 8);
  try {
    // The block comes back in full length, whatever zeros it begins with.
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, encrypted);
  } catch {
    return new Uint8Array(length);
  }
}
