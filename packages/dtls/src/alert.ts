/** Alert descriptions by name. @see RFC 5246 7.2; RFC 4279 2; RFC 6066 */
export const alerts = {
  close_notify: 0,
  unexpected_message: 10,
  bad_record_mac: 20,
  record_overflow: 22,
  handshake_failure: 40,
  bad_certificate: 42,
  unsupported_certificate: 43,
  certificate_revoked: 44,
  certificate_expired: 45,
  certificate_unknown: 46,
  illegal_parameter: 47,
  unknown_ca: 48,
  access_denied: 49,
  decode_error: 50,
  decrypt_error: 51,
  protocol_version: 70,
  insufficient_security: 71,
  internal_error: 80,
  user_canceled: 90,
  no_renegotiation: 100,
  unsupported_extension: 110,
  unrecognized_name: 112,
  unknown_psk_identity: 115,
  certificate_required: 116,
} as const;

/** The name of one alert of {@link alerts}. */
export type AlertName = keyof typeof alerts;

/** An alert as it stands in a record. */
export interface Alert {
  readonly fatal: boolean;
  readonly description: number;
}

const names = new Map<number, string>(Object.entries(alerts).map(([name, value]) => [value, name]));

/** The alert's name, or its number for one that the table lacks. */
export function alertName(description: number): string {
  return names.get(description) ?? `alert ${description}`;
}

/** The two octets of an alert. */
export function writeAlert({ fatal, description }: Alert): Uint8Array {
  return Uint8Array.of(fatal ? 2 : 1, description);
}

/** Reads an alert; `undefined` when the octets are none. */
export function readAlert(bytes: Uint8Array): Alert | undefined {
  const [level, description] = bytes;
  if (bytes.length !== 2 || description === undefined || (level !== 1 && level !== 2)) return undefined;
  return { fatal: level === 2, description };
}
