import { FileObject } from "@cipsec/objects";
import { keyType, type KeyType } from "@cipsec/pki";
import { PskUsage, Status, cipherSuite, type CipherSuite } from "@cipsec/wire";
import { refuse } from "../refusal.ts";
import type { Configuration } from "./configuration.ts";
import type { Inventory } from "./inventory.ts";

/** Extended status of a refused Apply_Config. The last one is this stack's own. @see reference cip-security.md 3.2 */
export const ApplyError = {
  pskMissing: 0x0001,
  certificateMissing: 0x0002,
  keyTypeUnfit: 0x0003,
  noActiveSuite: 0x0004,
  /** A trusted authority, revocation list or trusted identity leads to a file that is empty or holds something else. */
  referenceUnusable: 0x8001,
} as const;

/**
 * Refuses a configuration that no originator could use, or that would not enforce what it says.
 *
 * @throws {Refusal} 0xD0 with one of {@link ApplyError}.
 */
export function checkBeforeApply(configuration: Configuration, inventory: Inventory): void {
  const { settings } = configuration;
  const suites = settings.allowedCipherSuites.map((id) => cipherSuite(id)).filter((suite) => suite !== undefined);
  const pskSuites = suites.filter(({ auth }) => auth === "psk");
  const certificateSuites = suites.filter(({ auth }) => auth !== "psk");
  const hasPsk = settings.preSharedKeys.some(({ usage }) => usage !== PskUsage.client);
  const types = inventory.active(configuration).map(({ key }) => keyType(key));
  if (suites.length === 0) throw refused(ApplyError.noActiveSuite, "no cipher suite is allowed");
  if (certificateSuites.length === 0 && !hasPsk)
    throw refused(ApplyError.pskMissing, "only PSK suites are allowed, and there is no PSK");
  if (pskSuites.length === 0 && types.length === 0)
    throw refused(ApplyError.certificateMissing, "only certificate suites are allowed, and there is no certificate");
  if (certificateSuites.length > 0 && types.length > 0 && !certificateSuites.some((suite) => fits(suite, types)))
    throw refused(ApplyError.keyTypeUnfit, "no allowed certificate suite fits the type of a device key");
  if (types.length === 0 && !hasPsk) throw refused(ApplyError.noActiveSuite, "no allowed suite has a credential");
  checkReferences(configuration, inventory);
}

/** Whether a configuration allows NULL suites only. */
export function isIntegrityOnly({ settings }: Configuration): boolean {
  const suites = settings.allowedCipherSuites;
  return suites.length > 0 && suites.every((id) => cipherSuite(id)?.encrypts === false);
}

function checkReferences(configuration: Configuration, inventory: Inventory): void {
  const { trustedAuthorities, certificateRevocationList, trustedIdentities } = configuration.settings;
  const usable =
    trustedAuthorities.every((reference) => inventory.authorities(configuration, reference).length > 0) &&
    trustedIdentities.every((reference) => inventory.identities(configuration, reference).length > 0) &&
    certificateRevocationList.every(
      ({ classId, instance }) => classId === FileObject.classId && inventory.crlsIn(configuration, instance).length > 0,
    );
  if (!usable) throw refused(ApplyError.referenceUnusable, "an attribute leads to a file that cannot be used");
}

function fits({ auth }: CipherSuite, types: readonly KeyType[]): boolean {
  if (auth === "any") return true;
  return auth !== "psk" && types.includes(auth);
}

function refused(extended: number, reason: string): Error {
  return refuse(Status.objectSpecific, { extended: [extended], reason });
}
