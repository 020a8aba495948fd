import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic-file.ts";
import type { CertificateAuthority } from "./ca.ts";
import { isSignedByTier, type IndexRow } from "./ca-index.ts";
import { hasTierKey, type Tier } from "./ca-store.ts";
import type { AuthorityCertificates } from "./ca-tiers.ts";
import type { Certificate } from "./certificate.ts";
import { crlToPem, isCrlSignedBy, parseCrls, type Crl } from "./crl.ts";
import { crlFileName } from "./crl-place.ts";
import { hasUpstream } from "./est/upstream.ts";
import { dayMs } from "./make-certificate.ts";

/** How revocation lists follow each other. */
export interface PublishOptions {
  readonly now: () => Date;
  /** Days from a list to its next update; default 7. */
  readonly days?: number;
  /** Days before its next update that the next list is made, so that both are good while it is handed out; default half of `days`. */
  readonly overlapDays?: number;
  /** Make new ones in any case. */
  readonly fresh?: boolean;
}

/** The revocation lists in force, and whether they were made just now. */
export interface PublishedCrls {
  readonly lists: readonly Crl[];
  readonly made: boolean;
}

/** The lists in force as files for a web server. */
export interface CrlFiles {
  readonly lists: readonly Crl[];
  /** Each under the name that the addresses in certificates end with. */
  readonly files: readonly { readonly name: string; readonly crl: Crl }[];
}

const file = "crls.pem";

/** A root signs little; its list is on hand for longer. */
const rootDays = 90;

/**
 * The revocation lists of an authority that are in force: those that were made last, or new ones where something was revoked since, an
 * authority came or went, or their next update is near. So all who ask on one day get the same.
 *
 * @throws {StateError} and what {@link CertificateAuthority.crls} throws
 */
export async function publishedCrls(ca: CertificateAuthority, options: PublishOptions): Promise<PublishedCrls> {
  const { now, days = 7, overlapDays = days / 2, fresh = false } = options;
  if (hasUpstream(ca.folder)) return { lists: await ca.crls(), made: false };
  const rows = await ca.list();
  const kept = await readKept(join(ca.folder, file));
  const until = now().getTime() + overlapDays * dayMs;
  const isFresh = kept.every(
    ({ thisUpdate, nextUpdate }) => thisUpdate <= now() && (nextUpdate?.getTime() ?? 0) > until,
  );
  if (!fresh && kept.length > 0 && isFresh && isComplete(kept, ca, rows)) return { lists: kept, made: false };
  const lists = await ca.crls(days);
  await writeFileAtomic(join(ca.folder, file), crlToPem(lists), { mode: 0o644 });
  return { lists, made: true };
}

/**
 * The lists in force by name. Where certificates name places for lists, there is one of every root in service, too, which devices are
 * not given: whether or not it has revoked anything, who looks there has to find it.
 *
 * @throws as {@link publishedCrls}
 * @see RFC 5280 4.2.1.13
 */
export async function crlFiles(ca: CertificateAuthority, options: PublishOptions): Promise<CrlFiles> {
  const { lists } = await publishedCrls(ca, options);
  const files = new Map<string, Crl>();
  for (const { tier, number, issuer } of placesOf(ca.inService)) {
    const crl = crlOf(lists, issuer) ?? (tier === "root" ? await rootList(ca, number, issuer, options) : undefined);
    if (crl !== undefined) files.set(crlFileName(tier, number), crl);
  }
  return {
    lists: [...new Set([...lists, ...files.values()])],
    files: [...files].map(([name, crl]) => ({ name, crl })),
  };
}

/** The list in force of one authority. */
export function crlOf(lists: readonly Crl[], issuer: Certificate): Crl | undefined {
  return lists.find((crl) => isCrlSignedBy(crl, issuer));
}

/** One list for each authority that has to have one, and in each what was revoked. */
function isComplete(kept: readonly Crl[], { inService }: CertificateAuthority, rows: readonly IndexRow[]): boolean {
  const { tiers, change, issuing, other, root } = inService;
  const revokedBy = (tier: "root" | "issuing", number: number): number =>
    rows.filter((row) => row.revoked !== undefined && isSignedByTier(row, tier, number)).length;
  const byRoot = revokedBy("root", tiers.root);
  const wanted = [
    { issuer: issuing, revoked: revokedBy("issuing", tiers.issuing) },
    ...(other === undefined || change === undefined
      ? []
      : [{ issuer: other.issuing, revoked: revokedBy("issuing", change.other.issuing) }]),
    ...(byRoot === 0 ? [] : [{ issuer: root, revoked: byRoot }]),
  ];
  return (
    kept.length === wanted.length &&
    wanted.every(({ issuer, revoked }) => crlOf(kept, issuer)?.entries.size === revoked)
  );
}

interface Place {
  readonly tier: Tier;
  readonly number: number;
  readonly issuer: Certificate;
}

function placesOf({ tiers, change, root, issuing, other }: AuthorityCertificates): readonly Place[] {
  const own: Place[] = [
    { tier: "issuing", number: tiers.issuing, issuer: issuing },
    { tier: "root", number: tiers.root, issuer: root },
  ];
  if (change === undefined || other === undefined) return own;
  return [
    ...own,
    { tier: "issuing", number: change.other.issuing, issuer: other.issuing },
    { tier: "root", number: change.other.root, issuer: other.root },
  ];
}

/** The list of a root that no device has to be given; nothing where nobody looks for one, or its key is elsewhere. */
async function rootList(
  ca: CertificateAuthority,
  number: number,
  issuer: Certificate,
  { now }: PublishOptions,
): Promise<Crl | undefined> {
  if (!isLookedFor(ca) || !hasTierKey(ca.folder, "root", number)) return undefined;
  const path = join(ca.folder, `crl-root-${number}.pem`);
  const revoked = (await ca.list()).filter((row) => row.revoked !== undefined && isSignedByTier(row, "root", number));
  const until = now().getTime() + (rootDays / 2) * dayMs;
  const kept = crlOf(await readKept(path), issuer);
  const isGood =
    kept?.entries.size === revoked.length && kept.thisUpdate <= now() && (kept.nextUpdate?.getTime() ?? 0) > until;
  if (isGood) return kept;
  const made = await ca.rootCrl(rootDays, number);
  await writeFileAtomic(path, crlToPem(made), { mode: 0o644 });
  return made;
}

/** Certificates name places for lists: from now on, or those of the issuing authorities did when they were made. */
function isLookedFor({ crlBase, inService: { issuing, other } }: CertificateAuthority): boolean {
  return crlBase !== undefined || [issuing, other?.issuing].some((one) => (one?.facts.crlUrls.length ?? 0) > 0);
}

async function readKept(path: string): Promise<readonly Crl[]> {
  const text = await readFile(path).catch(() => undefined);
  if (text === undefined) return [];
  try {
    return parseCrls(text);
  } catch {
    // Lists are made anew at any time.
    return [];
  }
}
