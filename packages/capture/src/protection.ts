import { createDecipheriv, createHmac, timingSafeEqual } from "node:crypto";
import type { Bulk, MacName } from "./cipher-suites.ts";

/** Keys of one direction, as the key derivation gives them. Secret. */
export interface DirectionKeys {
  readonly macKey: Uint8Array;
  readonly key: Uint8Array;
  /** The implicit part of the nonce: 4 octets where the record carries the rest, else 12. Empty for CBC and NULL. */
  readonly iv: Uint8Array;
}

/** One protected record. */
export interface ProtectedRecord {
  /** Sequence number; for DTLS the epoch in the upper 16 of its 64 bits. */
  readonly sequence: bigint;
  /** Everything behind the record header. */
  readonly body: Uint8Array;
  /**
   * What the MAC or tag covers before the content: it differs between TLS 1.2, TLS 1.3, DTLS and connection ids.
   *
   * @param length Octets of content that follow: plaintext, or ciphertext under Encrypt-then-MAC.
   */
  readonly additional: (length: number) => Uint8Array;
}

/** What a record gave. `authenticated` is false only where a NULL suite was read without its key. */
export type OpenedRecord =
  | { readonly opened: true; readonly plain: Uint8Array; readonly authenticated: boolean }
  | { readonly opened: false; readonly reason: string };

/** Where the protocol version, not the suite, decides. */
export interface ProtectionOptions {
  /** The encrypt_then_mac extension was agreed; matters for CBC only. */
  readonly encryptThenMac: boolean;
  /** `explicit`: (D)TLS 1.2 GCM and CCM, eight octets of nonce in the record. `implicit`: ChaCha20 and all of 1.3. */
  readonly nonce: "explicit" | "implicit";
}

/** Octets of MAC key, cipher key and implicit IV that a suite's direction needs. */
export interface KeySizes {
  readonly macKey: number;
  readonly key: number;
  readonly iv: number;
}

/** Sizes for (D)TLS 1.2 key blocks. */
export function keySizes(bulk: Bulk): KeySizes {
  switch (bulk.mode) {
    case "null":
      return { macKey: macSizes[bulk.mac], key: 0, iv: 0 };
    case "cbc":
      return { macKey: macSizes[bulk.mac], key: bulk.keySize, iv: 0 };
    case "chacha20":
      return { macKey: 0, key: bulk.keySize, iv: 12 };
    default:
      return { macKey: 0, key: bulk.keySize, iv: 4 };
  }
}

/**
 * Opens one record: takes the protection off and verifies its MAC or tag. Never throws on the record's octets.
 * A decoder after the fact has no peer to leak timing to; that a bad pad and a bad MAC get different reasons is help.
 *
 * @see RFC 5246, 6.2.3; RFC 7366; RFC 5288; RFC 6655; RFC 7905; RFC 8446, 5.2
 */
export function openRecord(
  bulk: Bulk,
  keys: DirectionKeys,
  options: ProtectionOptions,
  record: ProtectedRecord,
): OpenedRecord {
  switch (bulk.mode) {
    case "null":
      return openMac(bulk.mac, keys.macKey, record.body, record);
    case "cbc":
      return options.encryptThenMac ? openEncryptThenMac(bulk, keys, record) : openMacThenEncrypt(bulk, keys, record);
    default:
      return openAead(bulk, keys, options.nonce, record);
  }
}

/** Reads a record of a NULL suite without its key: the content is in clear, its MAC is cut off unverified. */
export function readUnverified(mac: MacName, body: Uint8Array): OpenedRecord {
  const size = macSizes[mac];
  if (body.length < size) return refused(`the record has ${body.length} octets, its MAC alone ${size}`);
  return { opened: true, plain: body.subarray(0, body.length - size), authenticated: false };
}

const macSizes: Readonly<Record<MacName, number>> = { sha1: 20, sha256: 32, sha384: 48 };
const blockSize = 16;

type CbcBulk = Extract<Bulk, { mode: "cbc" }>;
type AeadBulk = Extract<Bulk, { mode: "gcm" | "ccm" | "chacha20" }>;

function openMac(
  mac: MacName,
  macKey: Uint8Array,
  protectedContent: Uint8Array,
  { sequence, additional }: ProtectedRecord,
): OpenedRecord {
  const length = protectedContent.length - macSizes[mac];
  if (length < 0) return refused(`the record has ${protectedContent.length} octets, its MAC alone ${macSizes[mac]}`);
  const plain = protectedContent.subarray(0, length);
  const expected = createHmac(mac, macKey).update(additional(length)).update(plain).digest();
  if (!timingSafeEqual(expected, protectedContent.subarray(length)))
    return refused(`the MAC of record ${sequence} does not match`);
  return { opened: true, plain, authenticated: true };
}

function openMacThenEncrypt(bulk: CbcBulk, keys: DirectionKeys, record: ProtectedRecord): OpenedRecord {
  const padded = decryptCbc(bulk, keys.key, record.body);
  if (padded === undefined)
    return refused(`${record.body.length} octets are no initialisation vector and whole blocks`);
  const content = withoutPadding(padded);
  if (content === undefined) return refused(`the padding of record ${record.sequence} is wrong`);
  return openMac(bulk.mac, keys.macKey, content, record);
}

function openEncryptThenMac(bulk: CbcBulk, keys: DirectionKeys, record: ProtectedRecord): OpenedRecord {
  const verified = openMac(bulk.mac, keys.macKey, record.body, record);
  if (!verified.opened) return verified;
  const padded = decryptCbc(bulk, keys.key, verified.plain);
  if (padded === undefined)
    return refused(`${verified.plain.length} octets are no initialisation vector and whole blocks`);
  const plain = withoutPadding(padded);
  return plain === undefined ? refused(`the padding of record ${record.sequence} is wrong`) : { ...verified, plain };
}

function decryptCbc(bulk: CbcBulk, key: Uint8Array, body: Uint8Array): Uint8Array | undefined {
  if (body.length < 2 * blockSize || body.length % blockSize !== 0) return undefined;
  const decipher = createDecipheriv(bulk.cipher, key, body.subarray(0, blockSize)).setAutoPadding(false);
  return octets(decipher.update(body.subarray(blockSize)));
}

function withoutPadding(padded: Uint8Array): Uint8Array | undefined {
  const length = padded.at(-1);
  if (length === undefined || length + 1 > padded.length) return undefined;
  const content = padded.length - length - 1;
  return padded.subarray(content).every((octet) => octet === length) ? padded.subarray(0, content) : undefined;
}

function openAead(
  bulk: AeadBulk,
  keys: DirectionKeys,
  form: "explicit" | "implicit",
  record: ProtectedRecord,
): OpenedRecord {
  const explicit = form === "explicit" && bulk.mode !== "chacha20" ? 8 : 0;
  const { body } = record;
  const length = body.length - explicit - bulk.tagSize;
  if (length < 0)
    return refused(`the record has ${body.length} octets, its nonce and tag alone ${explicit + bulk.tagSize}`);
  const nonce = explicit > 0 ? joined(keys.iv, body.subarray(0, explicit)) : mixedNonce(keys.iv, record.sequence);
  const content = body.subarray(explicit, explicit + length);
  const plain = decryptAead(
    bulk,
    keys.key,
    nonce,
    record.additional(length),
    content,
    body.subarray(explicit + length),
  );
  return plain === undefined
    ? refused(`the authentication tag of record ${record.sequence} does not match`)
    : { opened: true, plain, authenticated: true };
}

/** @returns `undefined` when the tag does not verify. */
function decryptAead(
  bulk: AeadBulk,
  key: Uint8Array,
  nonce: Uint8Array,
  additional: Uint8Array,
  content: Uint8Array,
  tag: Uint8Array,
): Uint8Array | undefined {
  const options = { authTagLength: bulk.tagSize };
  // Each mode has its own overload; CCM also needs the length in advance.
  const decipher =
    bulk.mode === "gcm"
      ? createDecipheriv(bulk.cipher, key, nonce, options)
      : bulk.mode === "ccm"
        ? createDecipheriv(bulk.cipher, key, nonce, options)
        : createDecipheriv(bulk.cipher, key, nonce, options);
  decipher.setAuthTag(tag);
  decipher.setAAD(additional, { plaintextLength: content.length });
  try {
    const first = decipher.update(content);
    const last = decipher.final();
    return joined(first, last);
  } catch {
    // OpenSSL says no more than that it failed, and a wrong tag is all that can fail here.
    return undefined;
  }
}

/** The sequence number, padded to the left, over the implicit IV. */
function mixedNonce(iv: Uint8Array, sequence: bigint): Uint8Array {
  const nonce = iv.slice();
  for (let index = 0; index < 8; index++) {
    const at = nonce.length - 1 - index;
    nonce[at] = (nonce[at] ?? 0) ^ Number((sequence >> BigInt(8 * index)) & 0xffn);
  }
  return nonce;
}

function refused(reason: string): OpenedRecord {
  return { opened: false, reason };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a, 0);
  out.set(b, a.length);
  return out;
}

function octets(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}
