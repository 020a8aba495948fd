import { concat, Reader, vector16, vector8 } from "../presentation.ts";

/** The client's ephemeral key; with a pre-shared key also the identity of that. */
export interface ClientKeyExchange {
  readonly identity: Uint8Array | undefined;
  readonly point: Uint8Array;
}

/** The longest identity that is looked up: what one length octet of a ticket holds, and more than any product allows. */
const maxIdentity = 255;

/** @see RFC 8422 5.7; RFC 5489 2 */
export function readClientKeyExchange(body: Uint8Array, withIdentity: boolean): ClientKeyExchange {
  const reader = new Reader(body, "ClientKeyExchange");
  const identity = withIdentity ? reader.vector(2, "identity", 0, maxIdentity).slice() : undefined;
  const point = reader.vector(1, "point", 1);
  reader.end();
  return { identity, point };
}

export function writeClientKeyExchange({ identity, point }: ClientKeyExchange): Uint8Array {
  return concat(identity === undefined ? new Uint8Array(0) : vector16(identity), vector8(point));
}

/** The premaster secret under the server's RSA key. @see RFC 5246 7.4.7.1 */
export function readEncryptedPremaster(body: Uint8Array): Uint8Array {
  const reader = new Reader(body, "ClientKeyExchange");
  const encrypted = reader.vector(2, "encrypted premaster secret", 1);
  reader.end();
  return encrypted;
}

export function writeEncryptedPremaster(encrypted: Uint8Array): Uint8Array {
  return vector16(encrypted);
}
