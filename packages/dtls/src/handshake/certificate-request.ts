import { concat, Reader, u8, vector16, vector8 } from "../presentation.ts";
import { writeNumbers } from "./extensions.ts";

/** What a server wants from a client's certificate. */
export interface CertificateRequest {
  /** ClientCertificateType: 1 RSA, 64 ECDSA (also Ed25519). */
  readonly types: readonly number[];
  readonly signatureSchemes: readonly number[];
  /** DER names of authorities; none means any. */
  readonly authorities: readonly Uint8Array[];
}

/** A server in a plant names a handful. */
const maxAuthorities = 256;

/** @see RFC 5246 7.4.4 */
export function readCertificateRequest(body: Uint8Array): CertificateRequest {
  const reader = new Reader(body, "CertificateRequest");
  const types = [...reader.vector(1, "certificate types", 1)];
  const signatureSchemes = reader.u16s(2, "signature algorithms");
  const list = new Reader(reader.vector(2, "authorities"), "CertificateRequest");
  reader.end();
  const authorities: Uint8Array[] = [];
  while (list.remaining > 0) {
    if (authorities.length === maxAuthorities) throw list.refuse("authorities", `more than ${maxAuthorities}`);
    authorities.push(list.vector(2, "authority", 1));
  }
  return { types, signatureSchemes, authorities };
}

export function writeCertificateRequest({ types, signatureSchemes, authorities }: CertificateRequest): Uint8Array {
  return concat(
    vector8(...types.map(u8)),
    writeNumbers(signatureSchemes),
    vector16(...authorities.map((authority) => vector16(authority))),
  );
}
