import { verifyWith, type TlsPolicy, type Verdict } from "@cipsec/transport";
import { TrustError } from "@cipsec/wire";
import type { Configuration } from "./configuration.ts";
import type { Inventory } from "./inventory.ts";
import type { WallClock } from "./wall-clock.ts";

/** What the policy rests on beside the configuration. */
export interface PolicyOptions {
  readonly inventory: Inventory;
  /** The time; nothing: days are not judged. */
  readonly wall: Pick<WallClock, "atLeast" | "isBehind"> | undefined;
  readonly availableSuites: readonly number[];
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
}

/**
 * TLS as an applied configuration says it: suites of attribute 4, certificates of 6, keys of 5, and for clients the checks of
 * 7, 8, 9, 11, 12 and 17. Nothing here accepts a client that a check did not let pass.
 *
 * @see CIP Vol 8, 5-4.4; reference cip-security.md 2.4
 */
export function tlsPolicyOf(configuration: Configuration, options: PolicyOptions): TlsPolicy {
  const { inventory, wall, availableSuites, maxVersion } = options;
  const { settings } = configuration;
  const anchors = settings.trustedAuthorities.flatMap((reference) => inventory.authorities(configuration, reference));
  const pinned = settings.trustedIdentities.flatMap((reference) => inventory.identities(configuration, reference));
  const lists = settings.certificateRevocationList.map(({ instance }) => inventory.crlsIn(configuration, instance));
  // A pin whose file is gone would otherwise turn "only these peers" into "every trusted peer".
  const isWhole = settings.trustedIdentities.length === pinned.length && lists.every((list) => list.length > 0);
  const verify = verifyWith({
    anchors,
    pinned,
    crls: lists.flat(),
    // Who does not check expiration has no use for the days of a list either.
    revocation: { stale: settings.checkExpiration ? "refuse" : "accept" },
    checkExpiration: settings.checkExpiration,
    checkName: settings.checkSubjectAlternativeName,
    clock: { wallNow: () => wall?.atLeast() },
    isAtLeast: () => wall?.isBehind() ?? false,
  });
  return {
    suites: settings.allowedCipherSuites.filter((id) => availableSuites.includes(id)),
    maxVersion,
    certificates: inventory
      .active(configuration)
      .map(({ chain, key }) => ({ chain: chain.map(({ der }) => der), key })),
    sendChain: settings.sendCertificateChain,
    psks: settings.preSharedKeys,
    verifyPeer: settings.verifyClientCertificate,
    verify: isWhole ? verify : () => unusable,
  };
}

/**
 * The latest moment that the applied configuration vouches for, milliseconds since 1970: what an authority has signed was not signed
 * in the future. The certificate that a device made for itself knows no more than its clock did.
 */
export function evidenceOf({ settings, ...rest }: Configuration, inventory: Inventory): number {
  const configuration = { ...rest, settings };
  const own = settings.activeDeviceCertificates.flatMap(({ instance }) =>
    (inventory.own(configuration, instance)?.chain ?? []).filter(({ facts }) => !facts.selfSigned),
  );
  const authorities = settings.trustedAuthorities.flatMap((reference) =>
    inventory.authorities(configuration, reference),
  );
  const lists = settings.certificateRevocationList.flatMap(({ instance }) => inventory.crlsIn(configuration, instance));
  return Math.max(
    0,
    ...[...own, ...authorities].map(({ facts }) => facts.notBefore.getTime()),
    ...lists.map(({ thisUpdate }) => thisUpdate.getTime()),
  );
}

const unusable: Verdict = {
  ok: false,
  error: new TrustError("trust/refused", "the trusted identities or revocation lists of this device cannot be read", {
    fix: "Load them again and apply the configuration.",
  }),
};
