import { sign, type KeyObject } from "node:crypto";
import type { Certificate } from "./certificate.ts";
import { revocationReasons, type CrlEntry } from "./crl-entry.ts";
import { Tag, writeElement, writeOid } from "./der.ts";
import { extensionIds } from "./extensions.ts";
import { signingAlgorithm } from "./signing.ts";

/** What a revocation list is made of. */
export interface CrlContent {
  readonly issuer: Certificate;
  readonly issuerKey: KeyObject;
  /** Grows with every list of the issuer. */
  readonly number: number;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly entries: readonly CrlEntry[];
}

/**
 * Signs a revocation list of version 2. Written here, as the X.509 library's writer takes time with the square of the entries: 13 s of
 * processor time for 10,000.
 *
 * @see RFC 5280 5.1, 5.2.1, 5.2.3, 5.3.1
 */
export function writeCrl({ issuer, issuerKey, number, thisUpdate, nextUpdate, entries }: CrlContent): Uint8Array {
  const { algorithm, hash } = signatureOf(issuerKey);
  const keyId = issuer.constraints.subjectKeyId;
  const extensions = [
    ...(keyId === undefined
      ? []
      : [extension(extensionIds.authorityKeyId, sequence(writeElement(Tag.implicit0, Buffer.from(keyId, "hex"))))]),
    extension(extensionIds.crlNumber, integer(number.toString(16))),
  ];
  const toBeSigned = sequence(
    integer("01"),
    algorithm,
    Buffer.from(issuer.constraints.subjectHex, "hex"),
    time(thisUpdate),
    time(nextUpdate),
    // An empty list of entries must be left out.
    ...(entries.length === 0 ? [] : [sequence(Buffer.concat(entries.map(entry)))]),
    writeElement(Tag.context0, sequence(...extensions)),
  );
  const signature = sign(hash, toBeSigned, issuerKey);
  return sequence(toBeSigned, algorithm, writeElement(Tag.bitString, Uint8Array.of(0), signature));
}

function entry({ serialHex, revokedAt, reason }: CrlEntry): Uint8Array {
  const code = revocationReasons[reason];
  // That a reason is not known is said by leaving it out.
  const extensions =
    code === 0 ? [] : [sequence(extension(extensionIds.crlReason, writeElement(Tag.enumerated, Uint8Array.of(code))))];
  return sequence(integer(serialHex), time(revokedAt), ...extensions);
}

function signatureOf(key: KeyObject): { readonly algorithm: Uint8Array; readonly hash: string } {
  const { name, hash } = signingAlgorithm(key);
  const id = name === "ECDSA" ? ecdsaIds[hash] : undefined;
  if (id !== undefined) return { algorithm: sequence(writeOid(id)), hash };
  return { algorithm: sequence(writeOid("1.2.840.113549.1.1.11"), Uint8Array.of(5, 0)), hash };
}

const ecdsaIds: Readonly<Record<string, string>> = {
  "SHA-256": "1.2.840.10045.4.3.2",
  "SHA-384": "1.2.840.10045.4.3.3",
  "SHA-512": "1.2.840.10045.4.3.4",
};

function extension(id: string, value: Uint8Array): Uint8Array {
  return sequence(writeOid(id), writeElement(Tag.octetString, value));
}

function sequence(...parts: readonly Uint8Array[]): Uint8Array {
  return writeElement(Tag.sequence, ...parts);
}

/** A positive INTEGER: an octet of zero goes before one that would make it negative. */
function integer(hex: string): Uint8Array {
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  return (octets[0] ?? 0) > 0x7f
    ? writeElement(Tag.integer, Uint8Array.of(0), octets)
    : writeElement(Tag.integer, octets);
}

/** UTCTime up to 2049, then GeneralizedTime (RFC 5280 5.1.2.4). */
function time(date: Date): Uint8Array {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const isShort = date.getUTCFullYear() >= 1950 && date.getUTCFullYear() < 2050;
  return isShort
    ? writeElement(Tag.utcTime, Buffer.from(digits.slice(2)))
    : writeElement(Tag.generalizedTime, Buffer.from(digits));
}
