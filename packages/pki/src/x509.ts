// The X.509 library needs decorator metadata to be there before it is loaded: this file is its only way in.
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { cryptoProvider } from "@peculiar/x509";

cryptoProvider.set(webcrypto);

/**
 * The cryptography that every certificate, request and list is made with: Node's own, named explicitly so that no
 * provider registered by another package in the process can take its place.
 */
export const provider = webcrypto;

export {
  Attribute,
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  CRLDistributionPointsExtension,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsagesExtension,
  Name,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
export type { JsonGeneralName } from "@peculiar/x509";
