import { createHash, X509Certificate, type KeyObject } from "node:crypto";
import {
  readAlgorithm,
  readElement,
  readElements,
  readOnly,
  readPositive,
  readSigned,
  readTime,
  Tag,
  type DerElement,
} from "./der.ts";
import { parsing, UsageError } from "./errors.ts";
import { printable, subjectOf, type AlternativeNames, type Subject } from "./names.ts";
import { readCertificateExtensions } from "./extensions.ts";
import { readBlocks, writePem, type PemBlock } from "./pem.ts";
import { readPkcs7 } from "./pkcs7.ts";
import { keyFacts, signatureName, type KeyType } from "./strength.ts";
import { Name } from "./x509.ts";

/** What a person or a policy wants to know about a certificate; flat text, safe to show and to log. */
export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** Lower-case hex, without leading zero octets. */
  readonly serialHex: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Fingerprint of the DER octets, lower-case hex. */
  readonly sha256: string;
  /** Issuer and subject are the same, and the certificate's own key made the signature. */
  readonly selfSigned: boolean;
  /** May issue certificates: basicConstraints says so, and keyUsage, when present, has keyCertSign. */
  readonly isCa: boolean;
  readonly keyType: KeyType | "other";
  /** 0 for a curve that is not known here. */
  readonly keyBits: number;
  readonly signatureAlgorithm: string;
  readonly san: AlternativeNames;
  /** Dotted identifiers; nothing when the extension is absent, which allows every use. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  /** Where the issuer's revocation list stands, as the certificate says. */
  readonly crlUrls: readonly string[];
}

/** What chain building needs beside the facts. */
export interface CertificateConstraints {
  readonly pathLength: number | undefined;
  /** Flags of {@link keyUsageFlags}; nothing when the extension is absent, which allows every use. */
  readonly keyUsage: number | undefined;
  readonly subjectKeyId: string | undefined;
  readonly authorityKeyId: string | undefined;
  /** The issuer field names the subject, whoever signed. */
  readonly selfIssued: boolean;
  /** The names as encoded, in hex: what certificates and revocation lists are matched by. */
  readonly subjectHex: string;
  readonly issuerHex: string;
  /** Dotted identifiers of restrictions that chain verdicts cannot honour. */
  readonly unsupported: readonly string[];
}

/** A parsed certificate. Immutable; verdicts about the same object are cached. */
export interface Certificate {
  readonly der: Uint8Array;
  /** OpenSSL's view of the same octets. */
  readonly x509: X509Certificate;
  readonly publicKey: KeyObject;
  readonly facts: CertificateFacts;
  readonly constraints: CertificateConstraints;
  /** Dotted identifier of the signature algorithm. */
  readonly signatureOid: string;
}

/** Bits of the keyUsage extension (RFC 5280 4.2.1.3), first bit lowest. */
export const keyUsageFlags = {
  digitalSignature: 1,
  keyEncipherment: 4,
  keyAgreement: 16,
  keyCertSign: 32,
  cRLSign: 64,
} as const;

/** A device certificate has about 700 octets; this leaves room for long names and RSA of 4096 bits. */
export const maxCertificateOctets = 16 * 1024;

/** What a File Object instance or a handshake may carry. */
export const maxBundleOctets = 64 * 1024;

/** Chains have two to four members; trust lists of a plant a handful. */
export const maxBundleCertificates = 16;

/**
 * Parses exactly one certificate from DER, PEM, base64 or certs-only PKCS#7.
 *
 * @throws {UsageError} `usage/certificate`
 */
export function parseCertificate(input: Uint8Array | string): Certificate {
  const [certificate, ...more] = parseCertificates(input);
  if (certificate === undefined || more.length > 0) {
    throw new UsageError(
      "usage/certificate",
      `the certificate file holds ${more.length + 1} certificates, one is expected`,
    );
  }
  return certificate;
}

/**
 * Parses one or more certificates, in the order of the file: PEM (also several blocks, also PKCS7 armour), DER, certs-only
 * PKCS#7, or the base64 of either.
 *
 * @throws {UsageError} `usage/certificate` also when there is none, or more than {@link maxBundleCertificates}.
 */
export function parseCertificates(input: Uint8Array | string): readonly Certificate[] {
  return parsing("usage/certificate", "certificates", () => {
    const ders = readBlocks(input, maxBundleOctets).flatMap(certificatesIn);
    if (ders.length === 0) throw new UsageError("usage/certificate", "there is no certificate in it");
    if (ders.length > maxBundleCertificates) {
      throw new UsageError(
        "usage/certificate",
        `${ders.length} certificates are more than the ${maxBundleCertificates} allowed`,
      );
    }
    return ders.map(certificateFromDer);
  });
}

/** PEM of one certificate, or of several in the given order, as `node:tls` takes chains and trust lists. */
export function toPem(certificates: Certificate | readonly Certificate[]): string {
  const list = "der" in certificates ? [certificates] : certificates;
  return list.map(({ der }) => writePem("CERTIFICATE", der)).join("");
}

/** The parts of a certificate's subject, for requests that repeat them. */
export function certificateSubject({ der }: Certificate): Subject {
  return subjectOf(new Name(Uint8Array.from(readFields(der).subject.raw)));
}

/** Recently parsed certificates by fingerprint: the peers of a plant come back, handshake after handshake. */
const cache = new Map<string, Certificate>();
const maxCached = 256;

function certificateFromDer(der: Uint8Array): Certificate {
  if (der.length > maxCertificateOctets) {
    throw new UsageError(
      "usage/certificate",
      `a certificate of ${der.length} octets is more than the ${maxCertificateOctets} allowed`,
    );
  }
  const sha256 = createHash("sha256").update(der).digest("hex");
  const known = cache.get(sha256);
  const certificate =
    known ?? parsing("usage/certificate", "certificate", () => parseFresh(Uint8Array.from(der), sha256));
  cache.delete(sha256);
  cache.set(sha256, certificate);
  for (const oldest of cache.keys()) {
    if (cache.size <= maxCached) break;
    cache.delete(oldest);
  }
  return certificate;
}

function parseFresh(der: Uint8Array, sha256: string): Certificate {
  const signed = readSigned(der, "certificate");
  const x509 = new X509Certificate(der);
  const fields = readFields(der);
  if (readAlgorithm(fields.algorithm) !== signed.algorithm) throw bad("its two signature algorithms differ");
  const [notBefore, notAfter] = readElements(fields.validity.content, 2, "validity");
  if (notBefore === undefined || notAfter === undefined) throw bad("it does not say how long it is valid");
  const { ca, san, extendedKeyUsage, crlUrls, ...extensions } = readCertificateExtensions(fields.extensions);
  const selfIssued = Buffer.compare(fields.subject.raw, fields.issuer.raw) === 0;
  const publicKey = x509.publicKey;
  const { type, bits } = keyFacts(publicKey);
  const facts: CertificateFacts = {
    subject: nameText(x509.subject),
    issuer: nameText(x509.issuer),
    serialHex: readPositive(fields.serial.content, "serial number"),
    notBefore: readTime(notBefore, "notBefore"),
    notAfter: readTime(notAfter, "notAfter"),
    sha256,
    selfSigned: selfIssued && x509.verify(publicKey),
    isCa: ca && ((extensions.keyUsage ?? keyUsageFlags.keyCertSign) & keyUsageFlags.keyCertSign) !== 0,
    keyType: type,
    keyBits: bits,
    signatureAlgorithm: signatureName(signed.algorithm),
    san,
    extendedKeyUsage,
    crlUrls,
  };
  checkAgreement(facts, x509);
  const constraints = { ...extensions, selfIssued, subjectHex: hex(fields.subject), issuerHex: hex(fields.issuer) };
  return { der, x509, publicKey, facts, constraints, signatureOid: signed.algorithm };
}

interface Fields {
  readonly serial: DerElement;
  readonly algorithm: DerElement;
  readonly issuer: DerElement;
  readonly validity: DerElement;
  readonly subject: DerElement;
  readonly extensions: DerElement | undefined;
}

/** The fields of the signed part, in their order (RFC 5280 4.1). */
function readFields(der: Uint8Array): Fields {
  const all = readElements(
    readElement(readElement(der, "certificate").content, "certificate").content,
    10,
    "certificate",
  );
  // The version is left out by the oldest certificates, which have no extensions either.
  const [serial, algorithm, issuer, validity, subject, key, ...optional] =
    all[0]?.tag === Tag.context0 ? all.slice(1) : all;
  if (serial?.tag !== Tag.integer || !issuer || !validity || !subject || !key || !algorithm)
    throw bad("fields are missing");
  const wrapped = optional.find(({ tag }) => tag === Tag.context3);
  return {
    serial,
    algorithm,
    issuer,
    validity,
    subject,
    extensions: wrapped && readOnly(wrapped.content, Tag.sequence, "extensions"),
  };
}

/** Our reader and OpenSSL must see the same certificate: a difference is how one of them gets fooled. */
function checkAgreement(facts: CertificateFacts, x509: X509Certificate): void {
  const same =
    BigInt(`0x${facts.serialHex}`) === BigInt(`0x${x509.serialNumber}`) &&
    facts.notBefore.getTime() === Date.parse(x509.validFrom) &&
    facts.notAfter.getTime() === Date.parse(x509.validTo) &&
    facts.sha256 === x509.fingerprint256.replaceAll(":", "").toLowerCase() &&
    facts.isCa === x509.ca &&
    (facts.extendedKeyUsage ?? []).join() === (x509.keyUsage ?? []).join();
  if (!same) throw bad("two implementations read it differently");
}

function certificatesIn({ label, der }: PemBlock): readonly Uint8Array[] {
  if (label === "CERTIFICATE") return [der];
  if (label === "PKCS7" || label === "CMS") return readPkcs7(der).certificates;
  // Other blocks in a bundle (a key, a request) are not ours to read.
  if (label !== "") return [];
  const first = readElements(readElement(der, "certificate").content, 4, "certificate")[0];
  // A certificate starts with a sequence, PKCS#7 with the identifier of its content.
  return first?.tag === Tag.oid ? readPkcs7(der).certificates : [der];
}

/** OpenSSL gives one part a line, controls escaped. */
function nameText(lines: string | undefined): string {
  return printable((lines ?? "").replaceAll("\n", ", "), 500);
}

function hex({ raw }: DerElement): string {
  return Buffer.from(raw).toString("hex");
}

function bad(why: string): UsageError {
  return new UsageError("usage/certificate", `the certificate cannot be used: ${why}`);
}
