/** What an alert of the peer most likely means, and what a person can do. */
export interface AlertMeaning {
  /** The IETF's name. */
  readonly name: string;
  readonly cause: string;
  readonly fix: string;
}

/** The alert with this number; unknown numbers get a name that says so. */
export function alertMeaning(number: number): AlertMeaning {
  return alerts[number] ?? { name: `alert ${number}`, cause: "no further reason is known", fix: compareBoth };
}

/** Numbers of the alerts whose meaning is known. */
export function knownAlerts(): readonly number[] {
  return Object.keys(alerts).map(Number);
}

/**
 * The alert that tells a peer why its certificate was refused, from the code of the verdict.
 *
 * @see RFC 5246, 7.2.2
 */
export function alertForVerdict(code: string): number {
  return byVerdict[code] ?? Alert.badCertificate;
}

/** Numbers of the alerts that are named in code. */
export const Alert = {
  badCertificate: 42,
  unsupportedCertificate: 43,
  certificateRevoked: 44,
  certificateExpired: 45,
  certificateUnknown: 46,
  unknownCa: 48,
  accessDenied: 49,
} as const;

const byVerdict: Readonly<Record<string, number>> = {
  "trust/expired": Alert.certificateExpired,
  "trust/not-yet-valid": Alert.certificateExpired,
  "trust/revoked": Alert.certificateRevoked,
  "trust/unknown-authority": Alert.unknownCa,
  "trust/self-signed": Alert.unknownCa,
  "trust/not-a-ca": Alert.unknownCa,
  "trust/usage": Alert.unsupportedCertificate,
  "trust/weak": Alert.unsupportedCertificate,
  "trust/name": Alert.certificateUnknown,
  "trust/crl-stale": Alert.certificateUnknown,
  "trust/crl-missing": Alert.certificateUnknown,
  "trust/not-pinned": Alert.accessDenied,
};

const compareBoth = "Compare suites, certificates and trust on both sides.";
const ourCertificate = "Enrol this side with an authority that the other side trusts, and check its dates.";

/** @see RFC 5246, 7.2; RFC 8446, 6; RFC 4279, 2 */
const alerts: Readonly<Record<number, AlertMeaning>> = {
  10: { name: "unexpected_message", cause: "it did not expect this message", fix: "Check that the port speaks TLS." },
  20: {
    name: "bad_record_mac",
    cause: "keys differ: most likely the pre-shared key is wrong",
    fix: "Set the same key.",
  },
  22: { name: "record_overflow", cause: "a record is too long", fix: "Check that the port speaks TLS." },
  40: {
    name: "handshake_failure",
    cause: "it shares no cipher suite, curve or key type with us, or it wants a certificate and got none",
    fix: "Compare the allowed cipher suites of both sides, and give this side a certificate if it has none.",
  },
  41: { name: "no_certificate", cause: "it wants a certificate and got none", fix: ourCertificate },
  42: { name: "bad_certificate", cause: "it does not accept our certificate", fix: ourCertificate },
  43: {
    name: "unsupported_certificate",
    cause: "our certificate has the wrong usage or key type for it",
    fix: "Use a certificate with the profile that the other side asks for (server or client use).",
  },
  44: { name: "certificate_revoked", cause: "our certificate is revoked", fix: "Enrol this side again." },
  45: {
    name: "certificate_expired",
    cause: "our certificate is not valid on its date",
    fix: "Renew the certificate, or correct the clock that is wrong.",
  },
  46: { name: "certificate_unknown", cause: "it could not accept our certificate", fix: ourCertificate },
  47: { name: "illegal_parameter", cause: "a field was out of range or inconsistent", fix: compareBoth },
  48: { name: "unknown_ca", cause: "it does not trust the authority of our certificate", fix: ourCertificate },
  49: {
    name: "access_denied",
    cause: "our certificate is valid but not let in",
    fix: "Add this identity to the trusted identities of the other side.",
  },
  50: { name: "decode_error", cause: "it could not read a message", fix: "Check that the port speaks TLS." },
  51: {
    name: "decrypt_error",
    cause: "a signature or key check failed: most likely the pre-shared key or a private key is wrong",
    fix: "Set the same pre-shared key on both sides; check that certificate and key belong together.",
  },
  70: {
    name: "protocol_version",
    cause: "it shares no TLS version with us",
    fix: "Allow TLS 1.2 or 1.3 on both sides.",
  },
  71: {
    name: "insufficient_security",
    cause: "it asks for stronger cipher suites",
    fix: "Allow stronger cipher suites on this side.",
  },
  80: { name: "internal_error", cause: "it has a fault of its own", fix: "Look at the log of the other side." },
  86: { name: "inappropriate_fallback", cause: "the TLS version was lowered on the way", fix: compareBoth },
  90: { name: "user_canceled", cause: "it was told to stop", fix: "Try again." },
  100: { name: "no_renegotiation", cause: "it does not renegotiate", fix: "Open a new connection." },
  112: {
    name: "unrecognized_name",
    cause: "it does not serve this host name",
    fix: "Use its address or another name.",
  },
  115: {
    name: "unknown_psk_identity",
    cause: "it does not know our pre-shared key's identity",
    fix: "Set identity and key on the other side, or use an identity that it has.",
  },
  116: { name: "certificate_required", cause: "it wants a certificate and got none", fix: ourCertificate },
};
