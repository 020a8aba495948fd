import type { KeyObject, webcrypto } from "node:crypto";
import { UsageError } from "./errors.ts";
import type { KeyPair } from "./keys.ts";
import { keyFacts } from "./strength.ts";

/** A key pair in the form that the X.509 library signs with. */
export interface SigningKeys {
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
}

type Algorithm =
  | { readonly name: "ECDSA"; readonly namedCurve: string; readonly hash: string }
  | { readonly name: "RSASSA-PKCS1-v1_5"; readonly hash: string };

const curves: Readonly<Record<number, { readonly namedCurve: string; readonly hash: string }>> = {
  256: { namedCurve: "P-256", hash: "SHA-256" },
  384: { namedCurve: "P-384", hash: "SHA-384" },
  521: { namedCurve: "P-521", hash: "SHA-512" },
};

/**
 * The algorithm that a key signs with: a hash as strong as its curve, SHA-256 for RSA.
 *
 * @throws {UsageError} `usage/key`
 */
export function signingAlgorithm(key: KeyObject): Algorithm {
  const { type, bits } = keyFacts(key);
  if (type === "rsa") return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const curve = curves[bits];
  if (type !== "ecdsa" || curve === undefined)
    throw new UsageError("usage/key", "a key of this type or curve cannot sign certificates");
  return { name: "ECDSA", ...curve };
}

/** The private half of a key for the X.509 library; it cannot be exported from there. */
export function signingKey(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(signingAlgorithm(key), false, ["sign"]);
}

/** Both halves of a pair for the X.509 library. */
export function cryptoKeyPair({ privateKey, publicKey }: KeyPair): SigningKeys {
  return {
    privateKey: signingKey(privateKey),
    publicKey: publicKey.toCryptoKey(signingAlgorithm(publicKey), true, ["verify"]),
  };
}
