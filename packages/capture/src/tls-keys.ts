import { createHmac } from "node:crypto";
import type { Bulk, PrfHash } from "./cipher-suites.ts";
import { keySizes } from "./protection.ts";
import type { DirectionKeys } from "./protection.ts";

/** Keys of both directions. Secret. */
export interface SessionKeys {
  readonly client: DirectionKeys;
  readonly server: DirectionKeys;
}

/**
 * Record keys of a (D)TLS 1.2 session from its master secret.
 *
 * @see RFC 5246, 6.3
 */
export function keysFromMaster(
  bulk: Bulk,
  master: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): SessionKeys {
  const sizes = keySizes(bulk);
  const needed = 2 * (sizes.macKey + sizes.key + sizes.iv);
  const block = prf(bulk.prf, master, "key expansion", concat([serverRandom, clientRandom]), needed);
  let at = 0;
  const next = (octets: number): Uint8Array => block.subarray(at, (at += octets));
  const [clientMac, serverMac] = [next(sizes.macKey), next(sizes.macKey)];
  const [clientKey, serverKey] = [next(sizes.key), next(sizes.key)];
  const [clientIv, serverIv] = [next(sizes.iv), next(sizes.iv)];
  return {
    client: { macKey: clientMac, key: clientKey, iv: clientIv },
    server: { macKey: serverMac, key: serverKey, iv: serverIv },
  };
}

/**
 * Record keys of one direction of TLS 1.3 from its traffic secret.
 *
 * @see RFC 8446, 7.3
 */
export function keysFromTrafficSecret(bulk: Bulk, secret: Uint8Array): DirectionKeys {
  return {
    macKey: new Uint8Array(0),
    key: expandLabel(bulk.prf, secret, "key", keySizes(bulk).key),
    iv: expandLabel(bulk.prf, secret, "iv", 12),
  };
}

/**
 * The traffic secret after a KeyUpdate.
 *
 * @see RFC 8446, 7.2
 */
export function nextTrafficSecret(hash: PrfHash, secret: Uint8Array): Uint8Array {
  return expandLabel(hash, secret, "traffic upd", secret.length);
}

/** TLS 1.2's pseudorandom function (RFC 5246, 5). */
function prf(hash: PrfHash, secret: Uint8Array, label: string, seed: Uint8Array, octets: number): Uint8Array {
  const labelled = concat([ascii(label), seed]);
  const parts: Uint8Array[] = [];
  let chained = hmac(hash, secret, labelled);
  for (let have = 0; have < octets;) {
    const part = hmac(hash, secret, concat([chained, labelled]));
    parts.push(part);
    have += part.length;
    chained = hmac(hash, secret, chained);
  }
  return concat(parts).subarray(0, octets);
}

/** HKDF-Expand-Label with an empty context; one or two blocks are all that TLS asks for. */
function expandLabel(hash: PrfHash, secret: Uint8Array, label: string, octets: number): Uint8Array {
  const name = ascii(`tls13 ${label}`);
  const info = concat([Uint8Array.of(octets >> 8, octets & 0xff, name.length), name, Uint8Array.of(0)]);
  const parts: Uint8Array[] = [];
  let last: Uint8Array = new Uint8Array(0);
  for (let have = 0, count = 1; have < octets; count++) {
    last = hmac(hash, secret, concat([last, info, Uint8Array.of(count)]));
    parts.push(last);
    have += last.length;
  }
  return concat(parts).subarray(0, octets);
}

function hmac(hash: PrfHash, key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac(hash, key).update(data).digest();
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
