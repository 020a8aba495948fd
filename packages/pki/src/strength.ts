import { verify, type KeyObject } from "node:crypto";
import type { Signed } from "./der.ts";

/** The smallest keys that a chain may have, in bits. */
export interface Strength {
  readonly rsaBits: number;
  readonly ecBits: number;
}

/** IEC 62443-4-2 CR 1.9 case f and CR 4.3: what Debian's OpenSSL calls security level 2. */
export const defaultStrength: Strength = { rsaBits: 2048, ecBits: 256 };

/** The key types that the cipher suites of CIP Security know. */
export type KeyType = "ecdsa" | "rsa";

/** Type and size of a key; `other` is any type that no suite uses, and is never accepted. */
export interface KeyFacts {
  readonly type: KeyType | "other";
  readonly bits: number;
}

/** Other curves (secp256k1, brainpool, binary ones) count as weak: neither suites nor peers agree on them. */
const curveBits: Readonly<Record<string, number>> = { prime256v1: 256, secp384r1: 384, secp521r1: 521 };

/** Type and size of a public or private key. */
export function keyFacts(key: KeyObject): KeyFacts {
  const details = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "rsa":
      return { type: "rsa", bits: details.modulusLength ?? 0 };
    case "ec":
      return { type: "ecdsa", bits: curveBits[details.namedCurve ?? ""] ?? 0 };
    default:
      return { type: "other", bits: 0 };
  }
}

/** Says what is too weak about a key, or nothing. */
export function keyWeakness({ type, bits }: KeyFacts, { rsaBits, ecBits }: Strength): string | undefined {
  if (type === "other") return "its key is neither ECDSA nor RSA";
  const needed = type === "rsa" ? rsaBits : ecBits;
  if (bits >= needed) return undefined;
  return bits === 0
    ? "its key is on a curve that is not accepted"
    : `its ${type} key has ${bits} bits, ${needed} are needed`;
}

interface SignatureAlgorithm {
  readonly name: string;
  readonly type: KeyType;
  /** Absent when no longer collision-resistant: known by name only, so that a refusal can say what it saw. */
  readonly hash?: "sha256" | "sha384" | "sha512";
}

/** Signature algorithms by identifier (RFC 3279, 4055, 5758). */
export const signatureAlgorithms: Readonly<Record<string, SignatureAlgorithm>> = {
  "1.2.840.10045.4.3.2": { name: "ecdsa-with-SHA256", type: "ecdsa", hash: "sha256" },
  "1.2.840.10045.4.3.3": { name: "ecdsa-with-SHA384", type: "ecdsa", hash: "sha384" },
  "1.2.840.10045.4.3.4": { name: "ecdsa-with-SHA512", type: "ecdsa", hash: "sha512" },
  "1.2.840.113549.1.1.11": { name: "sha256WithRSAEncryption", type: "rsa", hash: "sha256" },
  "1.2.840.113549.1.1.12": { name: "sha384WithRSAEncryption", type: "rsa", hash: "sha384" },
  "1.2.840.113549.1.1.13": { name: "sha512WithRSAEncryption", type: "rsa", hash: "sha512" },
  "1.2.840.10045.4.1": { name: "ecdsa-with-SHA1", type: "ecdsa" },
  "1.2.840.113549.1.1.4": { name: "md5WithRSAEncryption", type: "rsa" },
  "1.2.840.113549.1.1.5": { name: "sha1WithRSAEncryption", type: "rsa" },
};

/** The usual name of a signature algorithm, or its identifier when it has none here. */
export function signatureName(algorithm: string): string {
  return signatureAlgorithms[algorithm]?.name ?? algorithm;
}

/** Tells whether a signature algorithm is one of the accepted ones (SHA-256 or stronger, ECDSA or RSA PKCS#1). */
export function isStrongSignature(algorithm: string): boolean {
  return signatureAlgorithms[algorithm]?.hash !== undefined;
}

/** Checks a signature made with an accepted algorithm by the owner of `key`; others are never good. */
export function verifySigned({ toBeSigned, algorithm, signature }: Signed, key: KeyObject): boolean {
  const known = signatureAlgorithms[algorithm];
  if (known?.hash === undefined || keyFacts(key).type !== known.type) return false;
  return verify(known.hash, toBeSigned, key, signature);
}
