import { createHmac } from "node:crypto";
import { concat } from "./presentation.ts";
import type { Bulk, CipherSuite } from "./suites.ts";

/** Secrets that protect one direction of an association. */
export interface DirectionKeys {
  /** Empty for AEAD suites. */
  readonly mac: Uint8Array;
  /** Empty for NULL suites. */
  readonly key: Uint8Array;
  /** The implicit part of the nonce; empty but for AEAD suites. */
  readonly iv: Uint8Array;
}

/** Both directions. */
export interface TrafficKeys {
  readonly client: DirectionKeys;
  readonly server: DirectionKeys;
}

/** The pseudorandom function of TLS 1.2. @see RFC 5246 5 */
export function prf(
  hash: "sha256" | "sha384",
  secret: Uint8Array,
  label: string,
  seed: Uint8Array,
  length: number,
): Uint8Array {
  const start = concat(new TextEncoder().encode(label), seed);
  const out = new Uint8Array(length);
  let a: Uint8Array = start;
  for (let at = 0; at < length;) {
    a = createHmac(hash, secret).update(a).digest();
    const block = createHmac(hash, secret).update(a).update(start).digest();
    out.set(block.subarray(0, length - at), at);
    at += block.length;
  }
  return out;
}

/** Octets of the master secret. */
export const masterLength = 48;

/** The master secret from the two randoms. @see RFC 5246 8.1 */
export function masterSecret(
  hash: "sha256" | "sha384",
  premaster: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): Uint8Array {
  return prf(hash, premaster, "master secret", concat(clientRandom, serverRandom), masterLength);
}

/** The master secret bound to the whole handshake so far. @see RFC 7627 4 */
export function extendedMasterSecret(
  hash: "sha256" | "sha384",
  premaster: Uint8Array,
  sessionHash: Uint8Array,
): Uint8Array {
  return prf(hash, premaster, "extended master secret", sessionHash, masterLength);
}

/** Splits the key block into the keys of both directions. @see RFC 5246 6.3 */
export function trafficKeys(
  suite: CipherSuite,
  master: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array,
): TrafficKeys {
  const { mac, key, iv } = keyLengths(suite.bulk);
  const block = prf(suite.prf, master, "key expansion", concat(serverRandom, clientRandom), 2 * (mac + key + iv));
  let at = 0;
  const take = (length: number): Uint8Array => block.slice(at, (at += length));
  const macs = [take(mac), take(mac)] as const;
  const keys = [take(key), take(key)] as const;
  const ivs = [take(iv), take(iv)] as const;
  block.fill(0);
  return {
    client: { mac: macs[0], key: keys[0], iv: ivs[0] },
    server: { mac: macs[1], key: keys[1], iv: ivs[1] },
  };
}

/** The twelve octets of Finished. @see RFC 5246 7.4.9 */
export function verifyData(
  suite: CipherSuite,
  master: Uint8Array,
  sender: "client" | "server",
  transcriptHash: Uint8Array,
): Uint8Array {
  return prf(suite.prf, master, `${sender} finished`, transcriptHash, 12);
}

/** A line of a key log, as capture tools read it. Secret: whoever holds it reads the association. */
export function keyLogLine(clientRandom: Uint8Array, master: Uint8Array): string {
  return `CLIENT_RANDOM ${Buffer.from(clientRandom).toString("hex")} ${Buffer.from(master).toString("hex")}`;
}

/** Octets of each secret. The implicit nonce has 4 octets in GCM and CCM (RFC 5288 3), 12 in ChaCha20 (RFC 7905 2). */
function keyLengths(bulk: Bulk): { mac: number; key: number; iv: number } {
  switch (bulk.kind) {
    case "aead":
      return { mac: 0, key: bulk.keyLength, iv: bulk.cipher === "chacha20-poly1305" ? 12 : 4 };
    case "cbc":
      return { mac: macLength[bulk.mac], key: bulk.keyLength, iv: 0 };
    case "null":
      return { mac: macLength[bulk.mac], key: 0, iv: 0 };
  }
}

/** Octets of an HMAC tag, which are also those of its key. */
export const macLength = { sha1: 20, sha256: 32, sha384: 48 } as const;
