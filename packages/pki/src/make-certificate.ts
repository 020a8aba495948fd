import { hash, randomBytes, type KeyObject } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsagesExtension,
  Name,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  provider,
  type Extension,
} from "./x509.ts";
import { keyUsageFlags, parseCertificate, type Certificate } from "./certificate.ts";
import { crlPlaceExtension } from "./crl-place.ts";
import { readElement, readElements } from "./der.ts";
import { UsageError } from "./errors.ts";
import {
  alternativeNamesExtension,
  checkAlternativeNames,
  makeName,
  type AlternativeNamesInput,
  type Subject,
} from "./names.ts";
import { signingAlgorithm, signingKey } from "./signing.ts";
import { keyFacts } from "./strength.ts";

/** What a certificate may be used for. */
export interface Usage {
  /** Present for authorities: how many authorities may follow below. */
  readonly pathLength?: number;
  readonly server: boolean;
  readonly client: boolean;
  /** May ask an authority for certificates of others (RFC 6402 2.10). */
  readonly registrar?: boolean;
}

/** Everything that goes into a certificate. */
export interface CertificateContent {
  readonly serialHex: string;
  readonly subject: Subject;
  readonly san: AlternativeNamesInput;
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly usage: Usage;
  /** Absent for self-signed ones. */
  readonly issuer?: Certificate;
  readonly issuerKey: KeyObject;
  /** Where the issuer's revocation list stands; in no self-signed one. */
  readonly crlUrl?: string;
}

/** TLS server and client authentication (RFC 5280 4.2.1.12). */
export const usageIds = {
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
  any: "2.5.29.37.0",
  /** id-kp-cmcRA: a registration authority, or an EST server that an authority names. */
  registrar: "1.3.6.1.5.5.7.3.28",
} as const;

/** Length of a day, for those who count validity in days. */
export const dayMs = 24 * 60 * 60 * 1000;

/** The clocks of a plant differ by seconds: a new certificate is valid from five minutes ago. */
const backdateMs = 5 * 60 * 1000;

/** A random serial number of 128 bits: positive, and never shorter, so that its length says nothing. */
export function randomSerial(): string {
  const octets = randomBytes(16);
  octets[0] = ((octets[0] ?? 0) & 0x7f) | 0x40;
  return octets.toString("hex");
}

/**
 * The days of a new certificate, in whole seconds as certificates count.
 *
 * @param issuer Bounds them: nothing outlives its issuer, or starts before it.
 */
export function validity(
  now: Date,
  days: number,
  issuer?: Certificate,
): { readonly notBefore: Date; readonly notAfter: Date } {
  const second = Math.floor(now.getTime() / 1000) * 1000;
  const from = issuer?.facts.notBefore.getTime() ?? Number.NEGATIVE_INFINITY;
  const until = issuer?.facts.notAfter.getTime() ?? Number.POSITIVE_INFINITY;
  return {
    notBefore: new Date(Math.max(second - backdateMs, from)),
    notAfter: new Date(Math.min(second + days * dayMs, until)),
  };
}

/** @throws {UsageError} `usage/argument` for days that no certificate or list has. */
export function checkDays(days: number): void {
  if (!Number.isInteger(days) || days < 1 || days > 36_500)
    throw new UsageError("usage/argument", `${days} days: give a whole number from 1 to 36500`, { facts: { days } });
}

/**
 * Signs a certificate with the extensions of RFC 5280 4.2 that its usage asks for.
 *
 * @throws {UsageError} `usage/argument` for a subject or name that cannot be encoded, `usage/key` for a key that cannot sign.
 */
export async function makeCertificate(content: CertificateContent): Promise<Certificate> {
  const { serialHex, subject, san, publicKey, notBefore, notAfter, usage, issuer, issuerKey, crlUrl } = content;
  const name = makeName(subject);
  const made = await X509CertificateGenerator.create(
    {
      serialNumber: serialHex,
      subject: name,
      issuer: issuer === undefined ? name : new Name(Buffer.from(issuer.constraints.subjectHex, "hex")),
      notBefore,
      notAfter,
      publicKey: spki(publicKey),
      signingKey: signingKey(issuerKey),
      signingAlgorithm: signingAlgorithm(issuerKey),
      extensions: [
        ...usageExtensions(usage, keyFacts(publicKey).type === "rsa"),
        new SubjectKeyIdentifierExtension(keyIdentifier(publicKey)),
        new AuthorityKeyIdentifierExtension(
          issuer?.constraints.subjectKeyId ?? keyIdentifier(issuer?.publicKey ?? publicKey),
        ),
        ...crlPlaceExtension(crlUrl),
        ...alternativeNamesExtension(checkAlternativeNames(san)),
      ],
    },
    provider,
  );
  return parseCertificate(new Uint8Array(made.rawData));
}

function usageExtensions({ pathLength, server, client, registrar = false }: Usage, isRsa: boolean): Extension[] {
  if (pathLength !== undefined) {
    return [
      new BasicConstraintsExtension(true, pathLength, true),
      new KeyUsagesExtension(keyUsageFlags.keyCertSign | keyUsageFlags.cRLSign, true),
    ];
  }
  // Suites with static RSA, which older devices need, encrypt a secret to the key.
  const flags = keyUsageFlags.digitalSignature | (isRsa ? keyUsageFlags.keyEncipherment : 0);
  const usages = [
    ...(server ? [usageIds.server] : []),
    ...(client ? [usageIds.client] : []),
    ...(registrar ? [usageIds.registrar] : []),
  ];
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(flags, true),
    new ExtendedKeyUsageExtension(usages),
  ];
}

/** RFC 7093 method 1: the first 160 bits of the key's SHA-256. */
function keyIdentifier(key: KeyObject): string {
  const [, bits] = readElements(readElement(new Uint8Array(spki(key)), "public key").content, 2, "public key");
  return hash("sha256", bits?.content.subarray(1) ?? new Uint8Array(), "hex").slice(0, 40);
}

function spki(key: KeyObject): ArrayBuffer {
  return Uint8Array.from(key.export({ type: "spki", format: "der" })).buffer;
}
