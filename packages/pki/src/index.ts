export { makePrivateFolder, previousOf, readChecked, writeChecked, writeFileAtomic } from "./atomic-file.ts";
export type { Checked as CheckedState, CheckedFormat, CheckedReader, WriteOptions } from "./atomic-file.ts";
export { initCa, openCa } from "./ca.ts";
export type {
  CaInitOptions,
  CaOptions,
  CertificateAuthority,
  ExportChoice,
  Issued,
  IssuedEntry,
  IssueRequest,
} from "./ca.ts";
export type { IndexRow, Profile } from "./ca-store.ts";
export {
  certificateSubject,
  maxBundleCertificates,
  maxBundleOctets,
  parseCertificate,
  parseCertificates,
  toPem,
} from "./certificate.ts";
export type { Certificate, CertificateConstraints, CertificateFacts } from "./certificate.ts";
export {
  createCrl,
  crlFreshness,
  crlToPem,
  findRevoked,
  isCrlSignedBy,
  maxCrlOctets,
  parseCrl,
  parseCrls,
  revocationReasons,
} from "./crl.ts";
export type { Crl, CrlContent, CrlEntry, RevocationReason } from "./crl.ts";
export { createCsr, maxRequestOctets, parseCsr } from "./csr.ts";
export type { CertificateRequest, RequestWish } from "./csr.ts";
export { errorCodes, PkiError, StateError, TrustError, UsageError } from "./errors.ts";
export type { ErrorCode, ErrorOptionsWithFacts, Facts, StateCode, TrustCode, UsageCode } from "./errors.ts";
export {
  keyPairOf,
  keyType,
  makeKeyPair,
  parsePrivateKey,
  privateKeyToPem,
  publicHalf,
  readKeyFile,
  samePublicKey,
  writeKeyFile,
} from "./keys.ts";
export type { KeyFileOptions, KeyKind, KeyPair } from "./keys.ts";
export { acquireLock, withLock } from "./lock.ts";
export type { Lock, Pause } from "./lock.ts";
export { canonicalIp, checkAlternativeNames, isDnsName, maxAlternativeNames } from "./names.ts";
export type { AlternativeNames, AlternativeNamesInput, Subject } from "./names.ts";
export { pkcs7ToPem, readPkcs7, writePkcs7 } from "./pkcs7.ts";
export type { Pkcs7 } from "./pkcs7.ts";
export { selfSigned } from "./self-signed.ts";
export type { SelfSignedContent } from "./self-signed.ts";
export { defaultStrength, keyFacts } from "./strength.ts";
export type { KeyFacts, KeyType, Strength } from "./strength.ts";
export { refusalError } from "./verdict.ts";
export type { ChainQuestion, Checked, GoodChain, Purpose, Refusal, RevocationPolicy, Verdict } from "./verdict.ts";
export { requireTrusted, verifyChain } from "./verify.ts";
