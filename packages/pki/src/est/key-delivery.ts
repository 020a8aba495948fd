import type { KeyObject } from "node:crypto";
import type { Certificate } from "../certificate.ts";
import type { CertificateRequest } from "../csr.ts";
import { UsageError } from "../errors.ts";
import { sealKey, type EnvelopeRecipient, type EnvelopeSigner } from "../key-envelope.ts";
import { keyFacts } from "../strength.ts";
import { writeBody } from "./encoding.ts";
import { media } from "./http.ts";
import type { Part } from "./multipart.ts";

/** How private keys that the server made go to their owners. */
export interface KeyDelivery {
  /** Vouches for sealed keys: the server's own certificate will do. */
  readonly signer: EnvelopeSigner;
  /** Shared AES keys by the identifier that a request names. */
  readonly sharedKey?: (id: Uint8Array) => KeyObject | undefined;
  /** Keys that only TLS protects; default true, as the standard has it. */
  readonly plain?: boolean;
}

/**
 * How the key for a request is to be sent.
 *
 * @throws {UsageError} `usage/csr` when it is asked for in a way that cannot be served: never silently without encryption.
 * @see RFC 7030 4.4.1, 4.4.2
 */
export function keyParts(
  delivery: KeyDelivery | undefined,
  request: CertificateRequest,
  shown: Certificate | undefined,
): (key: KeyObject) => Part {
  const { signer, sharedKey, plain = true } = delivery ?? {};
  const { decryptKey } = request;
  if (decryptKey === undefined || signer === undefined) {
    if (!plain) throw new UsageError("usage/csr", "this server sends keys encrypted only: name a key to encrypt for");
    return (key) => ({ type: media.key, body: writeBody(key.export({ type: "pkcs8", format: "der" })) });
  }
  const recipient = recipientFor(decryptKey, sharedKey, shown);
  return (key) => ({ type: media.sealedKey, body: writeBody(sealKey(key, recipient, signer)) });
}

function recipientFor(
  { kind, id }: NonNullable<CertificateRequest["decryptKey"]>,
  sharedKey: KeyDelivery["sharedKey"],
  shown: Certificate | undefined,
): EnvelopeRecipient {
  if (kind === "symmetric") {
    const key = sharedKey?.(id);
    if (key === undefined) throw new UsageError("usage/csr", "the shared key that the request names is not known here");
    return { kind: "shared", id, key };
  }
  const isShown = shown?.constraints.subjectKeyId === Buffer.from(id).toString("hex");
  if (shown === undefined || !isShown || keyFacts(shown.publicKey).type === "other")
    throw new UsageError("usage/csr", "the request names another key than that of the client certificate");
  return { kind: "certificate", certificate: shown };
}
