import { createCipheriv, createDecipheriv, createSecretKey } from "node:crypto";
import type { CipherCCMTypes, CipherGCMTypes, KeyObject } from "node:crypto";
import type { DirectionKeys } from "../key-schedule.ts";
import type { Bulk } from "../suites.ts";
import type { RecordCipher } from "./cipher.ts";
import { additionalData, beginRecord, headerLength, writeNumber } from "./header.ts";
import type { RecordHeader } from "./header.ts";

type Aead = Extract<Bulk, { kind: "aead" }>;

/** GCM and CCM send eight octets of the nonce with each record; ChaCha20 derives all of it. */
const explicitLength = 8;

/**
 * AEAD protection. The explicit nonce of GCM and CCM is epoch and sequence number, so no nonce can come twice.
 *
 * @see RFC 5288 3; RFC 6655 3; RFC 7905 2
 */
export function aeadCipher(bulk: Aead, { key, iv }: DirectionKeys): RecordCipher {
  const secret = createSecretKey(key);
  const explicit = bulk.cipher === "chacha20-poly1305" ? 0 : explicitLength;
  const nonceOf = explicit === 0 ? xorNonce : prefixNonce;
  const { tagLength } = bulk;
  const overhead = explicit + tagLength;

  return {
    overhead,
    sealedLength: (contentLength) => contentLength + overhead,
    seal(header, content) {
      const record = beginRecord(header, content.length + overhead);
      const nonce = nonceOf(iv, header);
      const start = headerLength + header.cid.length;
      const cipher = encryptor(bulk, secret, nonce);
      setAad(cipher, bulk, additionalData(header, content.length), content.length);
      if (explicit > 0) record.set(nonce.subarray(iv.length), start);
      record.set(cipher.update(content), start + explicit);
      cipher.final();
      record.set(cipher.getAuthTag(), record.length - tagLength);
      return record;
    },
    open(header, body) {
      const length = body.length - overhead;
      if (length < 0) return undefined;
      const nonce = nonceOf(iv, header);
      // The nonce that was sent counts: some stacks count it apart from the record's number.
      if (explicit > 0) nonce.set(body.subarray(0, explicit), iv.length);
      try {
        const cipher = decryptor(bulk, secret, nonce);
        cipher.setAuthTag(body.subarray(body.length - tagLength));
        setAad(cipher, bulk, additionalData(header, length), length);
        const content = cipher.update(body.subarray(explicit, explicit + length));
        cipher.final();
        return content;
      } catch {
        return undefined;
      }
    },
  };
}

interface AadSetter {
  setAAD(data: Uint8Array, options?: { plaintextLength: number }): unknown;
}

/** CCM wants to know the length of the content first. */
function setAad(cipher: AadSetter, { cipher: name }: Aead, data: Uint8Array, plaintextLength: number): void {
  if (isCcm(name)) cipher.setAAD(data, { plaintextLength });
  else cipher.setAAD(data);
}

function encryptor({ cipher, tagLength }: Aead, key: KeyObject, nonce: Uint8Array) {
  if (isCcm(cipher)) return createCipheriv(cipher, key, nonce, { authTagLength: tagLength });
  if (isGcm(cipher)) return createCipheriv(cipher, key, nonce);
  return createCipheriv(cipher, key, nonce, { authTagLength: tagLength });
}

function decryptor({ cipher, tagLength }: Aead, key: KeyObject, nonce: Uint8Array) {
  if (isCcm(cipher)) return createDecipheriv(cipher, key, nonce, { authTagLength: tagLength });
  if (isGcm(cipher)) return createDecipheriv(cipher, key, nonce, { authTagLength: tagLength });
  return createDecipheriv(cipher, key, nonce, { authTagLength: tagLength });
}

function isCcm(name: string): name is CipherCCMTypes {
  return name.endsWith("-ccm");
}

function isGcm(name: string): name is CipherGCMTypes {
  return name.endsWith("-gcm");
}

function prefixNonce(iv: Uint8Array, { epoch, seq }: RecordHeader): Buffer {
  const nonce = Buffer.allocUnsafe(iv.length + explicitLength);
  nonce.set(iv);
  writeNumber(nonce, epoch, seq, iv.length);
  return nonce;
}

function xorNonce(iv: Uint8Array, { epoch, seq }: RecordHeader): Buffer {
  const nonce = Buffer.alloc(iv.length);
  writeNumber(nonce, epoch, seq, iv.length - 8);
  for (const [i, octet] of iv.entries()) nonce.writeUInt8(nonce.readUInt8(i) ^ octet, i);
  return nonce;
}
