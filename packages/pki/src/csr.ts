import { createPublicKey, type KeyObject } from "node:crypto";
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator, provider } from "./x509.ts";
import { readSigned } from "./der.ts";
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
}

/** What to ask a certificate for. */
export interface RequestWish {
  readonly subject: Subject;
  readonly san?: AlternativeNamesInput;
  readonly privateKey: KeyObject;
}

/** A request has about 500 octets. */
export const maxRequestOctets = 16 * 1024;

const subjectAltName = "2.5.29.17";

/**
 * Makes a PKCS#10 request, as Create_CSR answers with.
 *
 * @throws {UsageError} `usage/argument` for a part of the subject or a name that cannot be encoded.
 * @see CIP Vol 8, 5-5.7.1; RFC 2986
 */
export async function createCsr({ subject, san = {}, privateKey }: RequestWish): Promise<CertificateRequest> {
  const keys = cryptoKeyPair(keyPairOf(privateKey));
  const name = makeName(subject);
  const extensions = alternativeNamesExtension(checkAlternativeNames(san));
  const made = await Pkcs10CertificateRequestGenerator.create(
    { name, extensions, keys, signingAlgorithm: signingAlgorithm(privateKey) },
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
    };
  });
}
