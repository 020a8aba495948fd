import { createPublicKey, type KeyObject } from "node:crypto";
import { Attribute, Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator, provider } from "./x509.ts";
import { readElement, readSigned, Tag, writeElement } from "./der.ts";
import { parsing, UsageError } from "./errors.ts";
import { keyPairOf } from "./keys.ts";
import {
  alternativeNamesExtension,
  checkAlternativeNames,
  makeName,
  printable,
  readAlternativeNames,
  subjectOf,
  type AlternativeNames,
  type AlternativeNamesInput,
  type Subject,
} from "./names.ts";
import { readBlocks, writePem } from "./pem.ts";
import { cryptoKeyPair, signingAlgorithm } from "./signing.ts";
import { verifySigned } from "./strength.ts";

/** A request whose signature proved that the sender holds the key. */
export interface CertificateRequest {
  readonly der: Uint8Array;
  readonly pem: string;
  readonly subject: Subject;
  /** The whole subject as one line, safe to show. */
  readonly subjectText: string;
  readonly san: AlternativeNames;
  readonly publicKey: KeyObject;
  /** The challengePassword attribute: EST links a request to its TLS session by it (RFC 7030 3.5). */
  readonly challengePassword: string | undefined;
  /** Names the key that a key made by the server is to be encrypted for (RFC 7030 4.4.1). */
  readonly decryptKey: DecryptKey | undefined;
}

/** The key that a private key made by the server is to be encrypted for: a shared one, or that of a certificate. */
export interface DecryptKey {
  readonly kind: "symmetric" | "asymmetric";
  /** The identifier of the shared key, or the subject key identifier of the certificate. */
  readonly id: Uint8Array;
}

/** What to ask a certificate for. */
export interface RequestWish {
  readonly subject: Subject;
  readonly san?: AlternativeNamesInput;
  readonly privateKey: KeyObject;
  /** Up to 255 characters. */
  readonly challengePassword?: string;
  readonly decryptKey?: DecryptKey;
}

/** A request has about 500 octets. */
export const maxRequestOctets = 16 * 1024;

const subjectAltName = "2.5.29.17";

/** Attributes of a request (RFC 2985 5.4.1, RFC 7030 4.4.1, RFC 4108 2.2.5). */
export const requestAttributeIds = {
  challengePassword: "1.2.840.113549.1.9.7",
  symmetric: "1.2.840.113549.1.9.16.2.37",
  asymmetric: "1.2.840.113549.1.9.16.2.54",
} as const;

/**
 * Makes a PKCS#10 request, as Create_CSR answers with.
 *
 * @throws {UsageError} `usage/argument` for a part of the subject or a name that cannot be encoded.
 * @see CIP Vol 8, 5-5.7.1; RFC 2986
 */
export async function createCsr({
  subject,
  san = {},
  privateKey,
  challengePassword,
  decryptKey,
}: RequestWish): Promise<CertificateRequest> {
  const keys = cryptoKeyPair(keyPairOf(privateKey));
  const name = makeName(subject);
  const extensions = alternativeNamesExtension(checkAlternativeNames(san));
  const made = await Pkcs10CertificateRequestGenerator.create(
    {
      name,
      extensions,
      keys,
      signingAlgorithm: signingAlgorithm(privateKey),
      attributes: [
        ...(challengePassword === undefined ? [] : [challengeAttribute(challengePassword)]),
        ...(decryptKey === undefined
          ? []
          : [attribute(requestAttributeIds[decryptKey.kind], writeElement(Tag.octetString, decryptKey.id))]),
      ],
    },
    provider,
  );
  return parseCsr(new Uint8Array(made.rawData));
}

/**
 * Parses a PKCS#10 request from PEM, DER or base64, and checks its signature.
 *
 * @throws {UsageError} `usage/csr`
 */
export function parseCsr(input: Uint8Array | string): CertificateRequest {
  return parsing("usage/csr", "certificate request", () => {
    const [block, ...more] = readBlocks(input, maxRequestOctets);
    if (
      block === undefined ||
      more.length > 0 ||
      !["", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].includes(block.label)
    ) {
      throw new UsageError("usage/csr", "the file is not one certificate request");
    }
    const der = Uint8Array.from(block.der);
    const signed = readSigned(der, "certificate request");
    const request = new Pkcs10CertificateRequest(der);
    const publicKey = createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: "der", type: "spki" });
    if (!verifySigned(signed, publicKey)) {
      throw new UsageError(
        "usage/csr",
        "the request's signature does not verify with its own key, or uses a weak algorithm",
      );
    }
    const names = request.getExtensions(subjectAltName);
    if (names.length > 1) throw new UsageError("usage/csr", "the request has two subject alternative name extensions");
    return {
      der,
      pem: writePem("CERTIFICATE REQUEST", der),
      subject: subjectOf(request.subjectName),
      subjectText: printable(request.subject, 500),
      san: names[0] === undefined ? { ip: [], dns: [], uri: [] } : readAlternativeNames(new Uint8Array(names[0].value)),
      publicKey,
      challengePassword: challengeOf(request),
      decryptKey: decryptKeyOf(request),
    };
  });
}

function attribute(id: string, value: Uint8Array): Attribute {
  return new Attribute(id, [Uint8Array.from(value).buffer]);
}

/** A PrintableString where it can be one, as DirectoryString prefers (RFC 2985 5.4.1). */
function challengeAttribute(text: string): Attribute {
  if (text.length === 0 || text.length > maxChallenge)
    throw new UsageError("usage/argument", `a challenge password has 1 to ${maxChallenge} characters`);
  const tag = /^[A-Za-z0-9 '()+,\-./:=?]*$/.test(text) ? Tag.printableString : Tag.utf8String;
  return attribute(requestAttributeIds.challengePassword, writeElement(tag, Buffer.from(text, "utf8")));
}

const maxChallenge = 255;

/** The one value of an attribute. */
function attributeValue(request: Pkcs10CertificateRequest, id: string): Uint8Array | undefined {
  const found = request.attributes.filter(({ type }) => type === id);
  if (found.length === 0) return undefined;
  const [value, ...more] = found.flatMap(({ values }) => values);
  if (found.length > 1 || value === undefined || more.length > 0)
    throw new UsageError("usage/csr", `the request's attribute ${id} does not have exactly one value`);
  return new Uint8Array(value);
}

function challengeOf(request: Pkcs10CertificateRequest): string | undefined {
  const value = attributeValue(request, requestAttributeIds.challengePassword);
  if (value === undefined) return undefined;
  const { tag, content } = readElement(value, "challenge password");
  const kinds: readonly number[] = [Tag.utf8String, Tag.printableString, Tag.teletexString, Tag.ia5String];
  // UTF-8 can take four octets for a character.
  if (!kinds.includes(tag) || content.length > 4 * maxChallenge)
    throw new UsageError("usage/csr", "the request's challenge password is malformed");
  return Buffer.from(content).toString("utf8");
}

function decryptKeyOf(request: Pkcs10CertificateRequest): DecryptKey | undefined {
  const found = (["asymmetric", "symmetric"] as const).flatMap((kind): readonly DecryptKey[] => {
    const value = attributeValue(request, requestAttributeIds[kind]);
    return value === undefined ? [] : [{ kind, id: readElement(value, "key identifier").content }];
  });
  if (found.length > 1 || found.some(({ id }) => id.length === 0 || id.length > 64))
    throw new UsageError("usage/csr", "the request names no usable key to encrypt the new key for");
  return found[0];
}
