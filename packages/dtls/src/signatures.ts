import { constants, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";

/** A way to sign: hash, algorithm, kind of key. */
export interface SignatureScheme {
  readonly id: number;
  readonly name: string;
  readonly key: "ec" | "rsa" | "ed25519";
  /** `null` where the algorithm brings its own. */
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  readonly pss: boolean;
}

/**
 * Every scheme spoken, best first. None uses a hash below SHA-256, whatever a peer offers or a library would allow.
 *
 * @see RFC 8446 4.2.3; RFC 8422 5.1.3
 */
export const signatureSchemes: readonly SignatureScheme[] = [
  { id: 0x0403, name: "ecdsa_sha256", key: "ec", hash: "sha256", pss: false },
  { id: 0x0503, name: "ecdsa_sha384", key: "ec", hash: "sha384", pss: false },
  { id: 0x0603, name: "ecdsa_sha512", key: "ec", hash: "sha512", pss: false },
  { id: 0x0807, name: "ed25519", key: "ed25519", hash: null, pss: false },
  { id: 0x0804, name: "rsa_pss_rsae_sha256", key: "rsa", hash: "sha256", pss: true },
  { id: 0x0805, name: "rsa_pss_rsae_sha384", key: "rsa", hash: "sha384", pss: true },
  { id: 0x0806, name: "rsa_pss_rsae_sha512", key: "rsa", hash: "sha512", pss: true },
  { id: 0x0401, name: "rsa_pkcs1_sha256", key: "rsa", hash: "sha256", pss: false },
  { id: 0x0501, name: "rsa_pkcs1_sha384", key: "rsa", hash: "sha384", pss: false },
  { id: 0x0601, name: "rsa_pkcs1_sha512", key: "rsa", hash: "sha512", pss: false },
];

/** The scheme with this number, or `undefined` for one that is not spoken. */
export function signatureScheme(id: number): SignatureScheme | undefined {
  return signatureSchemes.find((scheme) => scheme.id === id);
}

/** The least RSA modulus that is accepted, bits. */
export const leastRsaBits = 2048;

/** What a key is good for: its kind where it is strong enough, or why it is refused. */
export function judgeKey(key: KeyObject): { readonly kind: SignatureScheme["key"] } | { readonly refused: string } {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ec") {
    const curve = details?.namedCurve ?? "unknown";
    if (curve === "prime256v1" || curve === "secp384r1" || curve === "secp521r1") return { kind: "ec" };
    return { refused: `curve ${curve} is not P-256, P-384 or P-521` };
  }
  if (type === "rsa") {
    const bits = details?.modulusLength ?? 0;
    return bits >= leastRsaBits ? { kind: "rsa" } : { refused: `RSA with ${bits} bits, ${leastRsaBits} are the least` };
  }
  if (type === "ed25519") return { kind: "ed25519" };
  return { refused: `keys of type ${type ?? "unknown"} are not used` };
}

/** The first scheme of `offered` that this key can sign with, among those allowed here. */
export function chooseScheme(
  key: KeyObject,
  offered: readonly number[],
  allowed: readonly number[],
): SignatureScheme | undefined {
  const judged = judgeKey(key);
  if ("refused" in judged) return undefined;
  return signatureSchemes.find(
    ({ id, key: kind }) => kind === judged.kind && offered.includes(id) && allowed.includes(id),
  );
}

/** Signs as the scheme says. ECDSA signatures are DER. */
export function signWith(scheme: SignatureScheme, key: KeyObject, data: Uint8Array): Uint8Array {
  return sign(scheme.hash, data, { key, ...padding(scheme) });
}

/** Tells whether the signature is the key's. A key of the wrong kind, or too weak, signs nothing. */
export function verifyWith(scheme: SignatureScheme, key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  const judged = judgeKey(key);
  if ("refused" in judged || judged.kind !== scheme.key) return false;
  return verify(scheme.hash, data, { key, ...padding(scheme) }, signature);
}

function padding({ key, pss }: SignatureScheme): { padding?: number; saltLength?: number } {
  if (key !== "rsa") return {};
  if (!pss) return { padding: constants.RSA_PKCS1_PADDING };
  return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
}
