/*
 * Names for the numbers of the security objects. Source: CIP Vol 8, chapter 5; reference cip-security.md 1, 3 and 4.
 * A number that a table lacks is kept as a number and told as one.
 */

/** Bits of Security Profiles and Security Profiles Configured of CIP Security. Bits 6 and 7 have no public number and are not named. */
export const SecurityProfile = {
  integrity: 0x0001,
  confidentiality: 0x0002,
  authorization: 0x0004,
  userAuthentication: 0x0008,
  resourceConstrained: 0x0010,
  pullModel: 0x0020,
} as const;

const profileWords: readonly (readonly [mask: number, words: string])[] = [
  [SecurityProfile.integrity, "EtherNet/IP Integrity"],
  [SecurityProfile.confidentiality, "EtherNet/IP Confidentiality"],
  [SecurityProfile.authorization, "CIP Authorization"],
  [SecurityProfile.userAuthentication, "CIP User Authentication"],
  [SecurityProfile.resourceConstrained, "Resource-Constrained CIP Security"],
  [SecurityProfile.pullModel, "EtherNet/IP Pull Model"],
];

/** Words for each profile bit that is set, lowest first; a bit without a name is told by its number. */
export function securityProfileTexts(profiles: number): readonly string[] {
  const named = profileWords.filter(([mask]) => (profiles & mask) !== 0).map(([, words]) => words);
  const unnamed = [6, 7, 8, 9, 10, 11, 12, 13, 14, 15].filter((bit) => (profiles & (1 << bit)) !== 0);
  return [...named, ...unnamed.map((bit) => `profile bit ${bit}`)];
}

/** State of CIP Security (0x5D attribute 1). */
export const CipSecurityState = {
  factoryDefault: 0,
  inProgress: 1,
  configured: 2,
  incomplete: 3,
} as const;

/** State of EtherNet/IP Security (0x5E attribute 1). */
export const EtherNetIpSecurityState = {
  factoryDefault: 0,
  inProgress: 1,
  configured: 2,
  pullInProgress: 3,
  pullCompleted: 4,
  pullDisabled: 5,
} as const;

/** State of a Certificate Management instance (0x5F attribute 2). */
export const CertificateState = { nonexistent: 0, created: 1, configuring: 2, verified: 3, invalid: 4 } as const;

/** Status of one certificate in a Certificate Management instance (0x5F attributes 3 and 4). */
export const CertificateStatus = { notVerified: 0, verified: 1, invalid: 2 } as const;

/** Encoding of the certificates of a Certificate Management instance (0x5F attribute 5). */
export const CertificateEncoding = { pem: 0, pkcs7: 1 } as const;

/** Bits of the encodings that a device takes (0x5F class attribute 10): not the numbers of {@link CertificateEncoding}. */
export const CertificateEncodingFlag = { pem: 0x01, pkcs7: 0x02 } as const;

/** State of a File instance (0x37 attribute 1). */
export const FileState = {
  nonexistent: 0,
  empty: 1,
  loaded: 2,
  uploadInitiated: 3,
  downloadInitiated: 4,
  uploadInProgress: 5,
  downloadInProgress: 6,
  storing: 7,
} as const;

const cipSecurityStates = ["factory default", "configuration in progress", "configured", "incomplete configuration"];
const etherNetIpSecurityStates = [
  "factory default",
  "configuration in progress",
  "configured",
  "pull model in progress",
  "pull model completed",
  "pull model disabled",
];
const certificateStates = ["non-existent", "created", "configuring", "verified", "invalid"];
const certificateStatuses = ["not verified", "verified", "invalid"];
const fileStates = [
  "non-existent",
  "empty",
  "loaded",
  "upload initiated",
  "download initiated",
  "upload in progress",
  "download in progress",
  "storing",
];

/** Words for a state of CIP Security. */
export const cipSecurityStateText = (state: number): string => named(cipSecurityStates, state);

/** Words for a state of EtherNet/IP Security. */
export const etherNetIpSecurityStateText = (state: number): string => named(etherNetIpSecurityStates, state);

/** Words for a state of a Certificate Management instance. */
export const certificateStateText = (state: number): string => named(certificateStates, state);

/** Words for the status of one certificate. */
export const certificateStatusText = (status: number): string => named(certificateStatuses, status);

/** Words for a state of a File instance. */
export const fileStateText = (state: number): string => named(fileStates, state);

function named(words: readonly string[], state: number): string {
  return words[state] ?? `reserved state ${state}`;
}
