import { createCipheriv, createDecipheriv, createHmac, createSecretKey } from "node:crypto";
import type { CipherCCMTypes, CipherGCMTypes, KeyObject } from "node:crypto";
import type { AeadName } from "../suites.ts";
import type { Primitives } from "./primitives.ts";

/** What `node:crypto` offers: always there. Each record pays for a cipher object of its own. */
export const nodePrimitives: Primitives = {
  accelerated: false,
  aead(cipher, key, tagLength) {
    const secret = createSecretKey(key);
    return {
      encrypt(nonce, data, content, record, at) {
        const encryption = encryptor(cipher, secret, nonce, tagLength);
        setAad(encryption, cipher, data, content.length);
        record.set(encryption.update(content), at);
        encryption.final();
        record.set(encryption.getAuthTag(), at + content.length);
      },
      decrypt(nonce, data, sealed) {
        const length = sealed.length - tagLength;
        if (length < 0) return undefined;
        try {
          const decryption = decryptor(cipher, secret, nonce, tagLength);
          decryption.setAuthTag(sealed.subarray(length));
          setAad(decryption, cipher, data, length);
          const content = decryption.update(sealed.subarray(0, length));
          decryption.final();
          return content;
        } catch {
          return undefined;
        }
      },
      dispose: () => undefined,
    };
  },
  cbc(cipher, key) {
    const secret = createSecretKey(key);
    return {
      encrypt(iv, blocks, record, at) {
        record.set(createCipheriv(cipher, secret, iv).setAutoPadding(false).update(blocks), at);
      },
      decrypt: (iv, blocks) => createDecipheriv(cipher, secret, iv).setAutoPadding(false).update(blocks),
      dispose: () => undefined,
    };
  },
  hmac(hash, key) {
    const secret = createSecretKey(key);
    return {
      sign: (data, content) => createHmac(hash, secret).update(data).update(content).digest(),
      dispose: () => undefined,
    };
  },
};

interface AadSetter {
  setAAD(data: Uint8Array, options?: { plaintextLength: number }): unknown;
}

/** CCM wants to know the length of the content first. */
function setAad(cipher: AadSetter, name: AeadName, data: Uint8Array, plaintextLength: number): void {
  if (isCcm(name)) cipher.setAAD(data, { plaintextLength });
  else cipher.setAAD(data);
}

function encryptor(cipher: AeadName, key: KeyObject, nonce: Uint8Array, authTagLength: number) {
  if (isCcm(cipher)) return createCipheriv(cipher, key, nonce, { authTagLength });
  if (isGcm(cipher)) return createCipheriv(cipher, key, nonce);
  return createCipheriv(cipher, key, nonce, { authTagLength });
}

function decryptor(cipher: AeadName, key: KeyObject, nonce: Uint8Array, authTagLength: number) {
  if (isCcm(cipher)) return createDecipheriv(cipher, key, nonce, { authTagLength });
  if (isGcm(cipher)) return createDecipheriv(cipher, key, nonce, { authTagLength });
  return createDecipheriv(cipher, key, nonce, { authTagLength });
}

function isCcm(name: string): name is CipherCCMTypes {
  return name.endsWith("-ccm");
}

function isGcm(name: string): name is CipherGCMTypes {
  return name.endsWith("-gcm");
}
