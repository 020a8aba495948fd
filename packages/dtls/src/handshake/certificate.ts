import { Reader, vector24 } from "../presentation.ts";

/** Deeper chains than plants have; each certificate costs a parse. */
const maxChain = 10;

/** @returns DER certificates, the peer's own first; none where the peer has none. @see RFC 5246 7.4.2 */
export function readCertificate(body: Uint8Array): readonly Uint8Array[] {
  const reader = new Reader(body, "Certificate");
  const list = new Reader(reader.vector(3, "list"), "Certificate");
  reader.end();
  const chain: Uint8Array[] = [];
  while (list.remaining > 0) {
    if (chain.length === maxChain) throw list.refuse("list", `more than ${maxChain} certificates`);
    // A copy: the chain outlives the handshake's buffer.
    chain.push(list.vector(3, "certificate", 1).slice());
  }
  return chain;
}

export function writeCertificate(chain: readonly Uint8Array[]): Uint8Array {
  return vector24(...chain.map((certificate) => vector24(certificate)));
}
