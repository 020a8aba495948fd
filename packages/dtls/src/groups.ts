import { createECDH, createPublicKey, diffieHellman, generateKeyPairSync } from "node:crypto";
import { alerts } from "./alert.ts";
import { DtlsError } from "./errors.ts";

/** A group that ephemeral keys are made in. */
export interface Group {
  readonly id: number;
  readonly name: string;
  /** A key pair for one handshake. */
  generate(): EphemeralKey;
}

/** Our half of a key agreement, used once. */
export interface EphemeralKey {
  readonly point: Uint8Array;
  /** @throws {DtlsError} `dtls/handshake`, alert `illegal_parameter`, when the peer's point is not of the group. */
  agree(peerPoint: Uint8Array): Uint8Array;
}

/** Every group spoken, best first. @see RFC 8422 5.1.1 */
export const groups: readonly Group[] = [
  { id: 29, name: "X25519", generate: generateX25519 },
  { id: 23, name: "P-256", generate: () => generatePrime("prime256v1", 65) },
  { id: 24, name: "P-384", generate: () => generatePrime("secp384r1", 97) },
];

/** The group with this number, or `undefined` for one that is not spoken. */
export function groupOf(id: number): Group | undefined {
  return groups.find((group) => group.id === id);
}

/** Numbers of the curves that certificates' keys may be on, by OpenSSL's names. */
export const certificateCurves: ReadonlyMap<string, number> = new Map([
  ["prime256v1", 23],
  ["secp384r1", 24],
  ["secp521r1", 25],
]);

function generatePrime(curve: string, pointLength: number): EphemeralKey {
  const key = createECDH(curve);
  const point = key.generateKeys();
  return {
    point,
    agree(peer) {
      if (peer.length !== pointLength || peer[0] !== 4) throw badPoint(curve);
      try {
        return key.computeSecret(peer);
      } catch (cause) {
        throw badPoint(curve, cause);
      }
    },
  };
}

/** SubjectPublicKeyInfo of X25519 up to the key itself: Node 22 has no way for raw octets. @see RFC 8410 4 */
const x25519Prefix = Buffer.from("302a300506032b656e032100", "hex");

function generateX25519(): EphemeralKey {
  const { privateKey, publicKey } = generateKeyPairSync("x25519");
  return {
    point: new Uint8Array(publicKey.export({ type: "spki", format: "der" }).subarray(x25519Prefix.length)),
    agree(peer) {
      if (peer.length !== 32) throw badPoint("X25519");
      try {
        const key = Buffer.concat([x25519Prefix, peer]);
        return diffieHellman({ privateKey, publicKey: createPublicKey({ key, type: "spki", format: "der" }) });
      } catch (cause) {
        // OpenSSL refuses points whose secret would be zero, as RFC 8422 5.11 demands.
        throw badPoint("X25519", cause);
      }
    },
  };
}

function badPoint(name: string, cause?: unknown): DtlsError {
  return new DtlsError("dtls/handshake", `the peer's key exchange point is not on ${name}`, {
    alert: alerts.illegal_parameter,
    cause,
    facts: { group: name },
  });
}
