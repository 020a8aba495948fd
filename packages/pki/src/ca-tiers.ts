import type { KeyObject } from "node:crypto";
import type { LiveIndex, TierChange, Tiers } from "./ca-index.ts";
import { readLinks, readTierCertificate, readTierKey } from "./ca-store.ts";
import type { Certificate } from "./certificate.ts";
import { TrustError } from "./errors.ts";
import { samePublicKey } from "./keys.ts";

/** A root with the issuing authority below it. */
export interface TierPair {
  readonly root: Certificate;
  readonly issuing: Certificate;
}

/** The authorities of a plant at one time: those that issue, and during a change the others beside them. */
export interface AuthorityCertificates extends TierPair {
  /** Numbers of the keys that issue. */
  readonly tiers: Tiers;
  readonly change: TierChange | undefined;
  /** While a change is prepared the new pair, then the old one. */
  readonly other: TierPair | undefined;
  /** During a change of root, the old root's key certified by the new root (`OldWithNew`). */
  readonly oldWithNew: Certificate | undefined;
  /** During a change of root, the new root's key certified by the old root (`NewWithOld`). */
  readonly newWithOld: Certificate | undefined;
}

/** The authorities with the key that issues. */
export interface OpenTiers extends AuthorityCertificates {
  readonly issuingKey: KeyObject;
}

/**
 * Reads the authorities that an index names.
 *
 * @throws {StateError} `state/corrupt`; {@link UsageError} `usage/key`; {@link TrustError} `trust/key-mismatch`
 */
export async function openTiers(
  folder: string,
  { tiers, change }: LiveIndex,
  passphrase: string | undefined,
): Promise<OpenTiers> {
  const [own, other] = await Promise.all([
    readPair(folder, tiers),
    change === undefined ? undefined : readPair(folder, change.other),
  ]);
  const issuingKey = await readTierKey(folder, "issuing", tiers.issuing, passphrase);
  if (!samePublicKey(issuingKey, own.issuing.publicKey)) {
    throw new TrustError("trust/key-mismatch", `the issuing key in '${folder}' does not belong to its certificate`, {
      facts: { folder },
    });
  }
  const [oldWithNew, newWithOld] =
    change?.kind === "root" ? await readLinks(folder, Math.max(tiers.root, change.other.root)) : [];
  return { ...own, tiers, change, other, oldWithNew, newWithOld, issuingKey };
}

/** What a tool or a device of the plant has to trust now: the roots and issuing authorities in service. */
export function anchorsOf({ root, issuing, other }: AuthorityCertificates): readonly Certificate[] {
  return unique([root, issuing, ...(other === undefined ? [] : [other.root, other.issuing])]);
}

/** What goes with an issued certificate, from its issuer up; who knows only the old root finds the way from the new one by its link. */
export function chainAbove({ issuing, change, newWithOld }: AuthorityCertificates): readonly Certificate[] {
  return change?.phase === "switched" && newWithOld !== undefined ? [issuing, newWithOld] : [issuing];
}

/** What a device keeps as the authority of its certificate: the chain to send, then what it trusts. */
export function bundleOf(authorities: AuthorityCertificates): readonly Certificate[] {
  return unique([...chainAbove(authorities), ...anchorsOf(authorities)]);
}

/** What an EST server answers `cacerts` with. @see RFC 7030 4.1.3 */
export function publishedOf(authorities: AuthorityCertificates): readonly Certificate[] {
  const { oldWithNew, newWithOld } = authorities;
  return [
    ...anchorsOf(authorities),
    ...(oldWithNew === undefined ? [] : [oldWithNew]),
    ...(newWithOld === undefined ? [] : [newWithOld]),
  ];
}

async function readPair(folder: string, { root, issuing }: Tiers): Promise<TierPair> {
  const [rootCertificate, issuingCertificate] = await Promise.all([
    readTierCertificate(folder, "root", root),
    readTierCertificate(folder, "issuing", issuing),
  ]);
  return { root: rootCertificate, issuing: issuingCertificate };
}

function unique(all: readonly Certificate[]): readonly Certificate[] {
  return all.filter(({ facts }, at) => all.findIndex((other) => other.facts.sha256 === facts.sha256) === at);
}
