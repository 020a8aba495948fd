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
export { importOfflineCa, requestOfflineCa } from "./ca-offline.ts";
export { abandonRollover, beginRollover, leftToReissue, switchRollover, withdrawRollover } from "./ca-rollover.ts";
export type { RolloverOptions, WithdrawOptions } from "./ca-rollover.ts";
export { isOfIssuer, retiredRoots } from "./ca-retired.ts";
export type { RetiredRoot } from "./ca-retired.ts";
export type { OfflineCaOptions } from "./ca-offline.ts";
export type { IndexRow, Profile, TierChange } from "./ca-index.ts";
export type { AuthorityCertificates, TierPair } from "./ca-tiers.ts";
export { cmpClient, isCmpUrl } from "./cmp.ts";
export type { CmpClient, CmpClientOptions } from "./cmp.ts";
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
} from "./crl.ts";
export { revocationReasons } from "./crl-entry.ts";
export type { CrlEntry, RevocationReason } from "./crl-entry.ts";
export type { Crl } from "./crl.ts";
export { crlFiles, crlOf, publishedCrls } from "./crl-publish.ts";
export type { CrlFiles, PublishedCrls, PublishOptions } from "./crl-publish.ts";
export type { CrlContent } from "./crl-write.ts";
export { createCsr, maxRequestOctets, parseCsr } from "./csr.ts";
export type { CertificateRequest, DecryptKey, RequestWish } from "./csr.ts";
export { errorCodes, PeerError, PkiError, StateError, TransportError, TrustError, UsageError } from "./errors.ts";
export type {
  ErrorCode,
  ErrorOptionsWithFacts,
  Facts,
  PeerCode,
  StateCode,
  TransportCode,
  TrustCode,
  UsageCode,
} from "./errors.ts";
export type { CsrAttributes } from "./est/attributes.ts";
export { makePasswordRecord, readPasswordRecords } from "./est/auth.ts";
export type { DigestAlgorithm, Password, PasswordRecord } from "./est/auth.ts";
export { localAuthority } from "./est/authority.ts";
export type { EstAuthority, EstIssue, EstIssued } from "./est/authority.ts";
export type { CallerOptions } from "./est/callers.ts";
export { bootstrapEst, estClient } from "./est/client.ts";
export type { CsrBuilder, EnrolAnswer, EstClient, EstClientOptions, KeygenAnswer, Pending } from "./est/client.ts";
export { estServiceType, isHostName, isServiceType } from "./est/discovery.ts";
export type { FoundEst } from "./est/discovery.ts";
export { announceEst, browseEstByDns, browseEstByMdns, findEstByName } from "./est/dns-sd.ts";
export type { DnsOptions, EstAnnouncement, MdnsOptions } from "./est/dns-sd.ts";
export { readEstUrl } from "./est/http.ts";
export type { HttpAnswer, HttpRequest, Operation, TlsFacts } from "./est/http.ts";
export type { KeyDelivery } from "./est/key-delivery.ts";
export { defaultEstLimits } from "./est/limits.ts";
export type { EstLimits } from "./est/limits.ts";
export { decideEnrolment, identityOf } from "./est/policy.ts";
export type {
  Caller,
  CertifiedCaller,
  EnrolDecision,
  EnrolPolicy,
  EnrolQuestion,
  EnrolRule,
  NameSource,
  SubjectSource,
} from "./est/policy.ts";
export { approveHeld, denyHeld, openRegister } from "./est/register.ts";
export type { Enrolled, HeldRequest, Register } from "./est/register.ts";
export { retryDelayMs, untilIssued } from "./est/retry.ts";
export { readEnrolPolicy } from "./est/rules.ts";
export { makeEstService } from "./est/service.ts";
export type { Enrolment } from "./est/enrol.ts";
export type { EstEvent, EstService, EstServiceOptions } from "./est/service.ts";
export { crlDocuments } from "./est/crl-documents.ts";
export type { Documents, PublicDocument } from "./est/documents.ts";
export { dialEst, estPause } from "./est/dial.ts";
export type { EstConnection, EstDial, EstDialOptions } from "./est/dial.ts";
export { listenDocuments, listenEst } from "./est/listen.ts";
export type { DocumentListenOptions, EstListener, EstListenOptions } from "./est/listen.ts";
export type { TlsIdentity } from "./est/session.ts";
export { hasUpstream, importUpstreamCrl, initUpstreamCa, openUpstreamCa, upstreamAuthority } from "./est/upstream.ts";
export { readUpstream, upstreamClient } from "./est/upstream.ts";
export type { UpstreamCa, UpstreamClient, UpstreamOptions, UpstreamSettings } from "./est/upstream.ts";
export { completeChain, sortCaCerts } from "./est/trust.ts";
export type { CaCerts, EstTrust } from "./est/trust.ts";
export { openKey, sealKey } from "./key-envelope.ts";
export type { EnvelopeRecipient, EnvelopeSigner, OpenedKey } from "./key-envelope.ts";
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
export { flawedSigner, flaws, strangerIdentity } from "./flawed.ts";
export type { Flaw, FlawedIdentity, FlawedSigner } from "./flawed.ts";
export { acquireLock, withLock } from "./lock.ts";
export type { Lock, Pause } from "./lock.ts";
export { canonicalIp, checkAlternativeNames, isDnsName, maxAlternativeNames } from "./names.ts";
export type { AlternativeNames, AlternativeNamesInput, Subject } from "./names.ts";
export { pkcs7ToPem, readPkcs7, writePkcs7 } from "./pkcs7.ts";
export type { Pkcs7 } from "./pkcs7.ts";
export { clockDoubts, forecast } from "./forecast.ts";
export type { ForecastDevice, ForecastFacts, ForecastRow } from "./forecast.ts";
export { rehearseRollover, renewsAt } from "./rehearsal.ts";
export type { RehearsalPlan, RehearsedDevice, RehearsedLoss } from "./rehearsal.ts";
export { linkRoots } from "./rollover.ts";
export type { Rollover, RootPair } from "./rollover.ts";
export { selfSigned } from "./self-signed.ts";
export type { SelfSignedContent } from "./self-signed.ts";
export { defaultStrength, keyFacts } from "./strength.ts";
export type { KeyFacts, KeyType, Strength } from "./strength.ts";
export { refusalError } from "./verdict.ts";
export type { ChainQuestion, Checked, GoodChain, Purpose, Refusal, RevocationPolicy, Verdict } from "./verdict.ts";
export { requireTrusted, verifyChain } from "./verify.ts";
