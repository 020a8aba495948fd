/** Reasons for revocation and their numbers (RFC 5280 5.3.1). */
export const revocationReasons = {
  unspecified: 0,
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  removeFromCRL: 8,
  privilegeWithdrawn: 9,
  aACompromise: 10,
} as const;

/** One of the names of {@link revocationReasons}. */
export type RevocationReason = keyof typeof revocationReasons;

/** One revoked certificate. */
export interface CrlEntry {
  /** Lower-case hex, without leading zero octets. */
  readonly serialHex: string;
  readonly revokedAt: Date;
  readonly reason: RevocationReason;
}

/** Whether somebody else may have the key: what it signed before that may be believed as little as what it signs after. */
export function isCompromise(reason: RevocationReason): boolean {
  return reason === "keyCompromise" || reason === "cACompromise";
}
