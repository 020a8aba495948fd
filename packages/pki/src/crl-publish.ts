import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "./atomic-file.ts";
import type { CertificateAuthority } from "./ca.ts";
import { isSignedByTier, type IndexRow } from "./ca-index.ts";
import type { Certificate } from "./certificate.ts";
import { crlToPem, isCrlSignedBy, parseCrls, type Crl } from "./crl.ts";
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

const file = "crls.pem";

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
  const kept = await readKept(ca.folder);
  const until = now().getTime() + overlapDays * dayMs;
  const isFresh = kept.every(
    ({ thisUpdate, nextUpdate }) => thisUpdate <= now() && (nextUpdate?.getTime() ?? 0) > until,
  );
  if (!fresh && kept.length > 0 && isFresh && isComplete(kept, ca, rows)) return { lists: kept, made: false };
  const lists = await ca.crls(days);
  await writeFileAtomic(join(ca.folder, file), crlToPem(lists), { mode: 0o644 });
  return { lists, made: true };
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

async function readKept(folder: string): Promise<readonly Crl[]> {
  const text = await readFile(join(folder, file)).catch(() => undefined);
  if (text === undefined) return [];
  try {
    return parseCrls(text);
  } catch {
    // Lists are made anew at any time.
    return [];
  }
}
