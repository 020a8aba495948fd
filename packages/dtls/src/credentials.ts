import { X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { AlertName } from "./alert.ts";
import { DtlsError } from "./errors.ts";
import { judgeKey } from "./signatures.ts";

/** A certificate with its key. */
export interface CertificateCredential {
  /** DER, our own first, then those above it as far as the peer needs them. */
  readonly chain: readonly Uint8Array[];
  /** The private key of the first; it never leaves the key object. */
  readonly key: KeyObject;
}

/** A pre-shared key with the name that the peer finds it by. */
export interface PskCredential {
  readonly identity: Uint8Array;
  readonly key: Uint8Array;
}

/** What this side proves itself with, and how it finds the peers' pre-shared keys. */
export interface Credentials {
  /** One for each kind of key, or for several server names; the first that fits is used. */
  readonly certificates?: readonly CertificateCredential[];
  /** As client: the one key to offer. */
  readonly psk?: PskCredential;
  /** As server: the key of an identity, or `undefined` for an unknown one. */
  readonly findPsk?: (identity: Uint8Array) => Uint8Array | undefined;
}

/** What the caller is asked to judge. */
export interface VerifyRequest {
  /** DER, the peer's own first. Its signature in the handshake is checked by this package, all else by the caller. */
  readonly chain: readonly Uint8Array[];
  /** The peer's part. */
  readonly peer: "client" | "server";
  /** The name that the client asked for. */
  readonly serverName: string | undefined;
  /** True when an earlier session is taken up again: the chain was proved then. */
  readonly resumed: boolean;
}

/** The caller's verdict: accepted, or why not and which alert says so. */
export type Verdict =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly reason: string; readonly alert?: AlertName };

/**
 * A certificate with its key from PEM or DER.
 *
 * @param certificates PEM text with one or more certificates, or DER octets, our own first.
 * @throws {DtlsError} `usage/argument` when a certificate cannot be read, or the key is not that of the first.
 */
export function certificateCredential(
  certificates: string | readonly Uint8Array[],
  key: KeyObject,
): CertificateCredential {
  const chain = typeof certificates === "string" ? fromPem(certificates) : certificates;
  const [first] = chain;
  if (first === undefined) throw new DtlsError("usage/argument", "no certificate is in the text");
  try {
    if (!new X509Certificate(first).checkPrivateKey(key)) {
      throw new DtlsError("usage/argument", "the private key is not that of the first certificate");
    }
  } catch (cause) {
    if (cause instanceof DtlsError) throw cause;
    throw new DtlsError("usage/argument", "the first certificate cannot be read", { cause });
  }
  const judged = judgeKey(key);
  if ("refused" in judged) throw new DtlsError("usage/argument", `the private key is too weak: ${judged.refused}`);
  return { chain, key };
}

/** The public key of a certificate, or `undefined` where the octets are no certificate. */
export function publicKeyOf(certificate: Uint8Array): KeyObject | undefined {
  try {
    return new X509Certificate(certificate).publicKey;
  } catch {
    return undefined;
  }
}

/** The key of an identity, as server. An empty key proves nothing, so it counts as none. */
export function pskOf({ findPsk }: Credentials, identity: Uint8Array): Uint8Array | undefined {
  const key = findPsk?.(identity);
  return key?.length === 0 ? undefined : key;
}

/** Those for this name first; without a name, or where none fits, all in the caller's order. */
export function orderByName(
  certificates: readonly CertificateCredential[],
  serverName: string | undefined,
): readonly CertificateCredential[] {
  if (serverName === undefined || certificates.length < 2) return certificates;
  const fits = ({ chain: [first] }: CertificateCredential): boolean =>
    first !== undefined && new X509Certificate(first).checkHost(serverName) !== undefined;
  return [...certificates.filter(fits), ...certificates.filter((credential) => !fits(credential))];
}

function fromPem(text: string): readonly Uint8Array[] {
  const blocks = text.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g);
  return Array.from(blocks, ([, body = ""]) => new Uint8Array(Buffer.from(body, "base64")));
}
