import type { KeyKind, KeyType } from "@cipsec/pki";
import { cipherSuite } from "@cipsec/wire";
import type { Configuration } from "./configuration.ts";

/** What Create_CSR makes where the device's own kind of key would not do. */
const otherwise: Readonly<Record<KeyType, KeyKind>> = { ecdsa: "ecdsa-p256", rsa: "rsa-2048" };

/**
 * The kind of key that Create_CSR makes. The request has no field for it, so the suites tell that a tool has allowed before, in the
 * same session: it is the device's own kind, unless only certificates of the other type could be used with them. Suites that nobody
 * has touched say nothing: most tools set theirs after the request.
 *
 * @see docs/decisions/012-push-choices.md
 */
export function csrKeyKind({ settings }: Configuration, applied: Configuration, own: KeyKind): KeyKind {
  if (settings.allowedCipherSuites === applied.settings.allowedCipherSuites) return own;
  const ownType: KeyType = own.startsWith("rsa") ? "rsa" : "ecdsa";
  const otherType: KeyType = ownType === "rsa" ? "ecdsa" : "rsa";
  const auths = settings.allowedCipherSuites.map((id) => cipherSuite(id)?.auth);
  const isOtherOnly = auths.includes(otherType) && !auths.includes(ownType) && !auths.includes("any");
  return isOtherOnly ? otherwise[otherType] : own;
}
