import { entryOf, type CaOptions } from "./ca.ts";
import type { LiveIndex } from "./ca-index.ts";
import { openLedger } from "./ca-ledger.ts";
import { readLinks, readTierCertificate } from "./ca-store.ts";
import type { Certificate } from "./certificate.ts";
import { isCompromise } from "./crl-entry.ts";
import { TrustError, UsageError } from "./errors.ts";

/** A root that was withdrawn. A device that was away all the while may know no other. */
export interface RetiredRoot {
  readonly root: Certificate;
  /** The last issuing authority below it. */
  readonly issuing: Certificate;
  /** The roots after it up to the one in service, newest first, each certified by the one before: the way from there to this root. */
  readonly links: readonly Certificate[];
  /** Why nobody is to be believed by it any more; nothing where devices can still be brought over. */
  readonly refusal: "expired" | "compromised" | undefined;
}

/**
 * The roots that were withdrawn in this folder, newest first.
 *
 * @throws {UsageError} `usage/ca-missing`; {@link StateError} `state/corrupt`
 * @see RFC 4210 4.4
 */
export async function retiredRoots(folder: string, { now }: CaOptions): Promise<readonly RetiredRoot[]> {
  const index = await indexOf(folder);
  const all = await issuingAuthorities(folder, index);
  const retired: RetiredRoot[] = [];
  const links: Certificate[] = [];
  for (let number = index.tiers.root - 1; number > 0; number--) {
    const root = await readTierCertificate(folder, "root", number);
    const [, newWithOld] = await readLinks(folder, number + 1);
    const issuing = all.findLast(({ constraints }) => constraints.authorityKeyId === root.constraints.subjectKeyId);
    // Without both there is no way from here to older ones either.
    if (newWithOld === undefined || issuing === undefined) break;
    links.push(newWithOld);
    // Withdrawn is only who is not trusted beside the new one any more.
    if (number === index.change?.other.root) continue;
    const isOver = root.facts.notAfter <= now() || newWithOld.facts.notAfter <= now();
    const refusal = isLost(index, issuing) ? "compromised" : isOver ? "expired" : undefined;
    retired.push({ root, issuing, links: [...links], refusal });
  }
  return retired;
}

/**
 * Where a device stands by the certificate that it shows, as this authority remembers it: revocation lists of an authority that was
 * withdrawn are made no more.
 *
 * @param sha256 Fingerprint of the certificate.
 * @returns Whether the authority that issues now issued it.
 * @throws {TrustError} `trust/unknown-authority` for a certificate that was not issued here; `trust/revoked` where it was revoked, or
 *   the key that signed it may be known to others
 */
export async function isOfIssuer(folder: string, sha256: string, { now }: CaOptions): Promise<boolean> {
  const index = await indexOf(folder);
  const found = [...index.rows.values()].find((row) => row.sha256 === sha256);
  if (found === undefined)
    throw new TrustError(
      "trust/unknown-authority",
      "the device's certificate was not issued by this plant's authority",
      {
        facts: { sha256 },
      },
    );
  const { subject, serial, revoked, by = 1 } = entryOf(found, now());
  if (revoked !== undefined)
    throw new TrustError("trust/revoked", `certificate '${subject}' was revoked on ${revoked.at} (${revoked.reason})`, {
      facts: { subject, serial, reason: revoked.reason },
    });
  const issuer = (await issuingAuthorities(folder, index))[by - 1];
  if (issuer === undefined || isLost(index, issuer))
    throw new TrustError(
      "trust/revoked",
      `certificate '${subject}' was issued with a key that may be known to others`,
      {
        facts: { subject, serial },
        fix: "Reset the device at the device itself, and commission it anew.",
      },
    );
  return by === index.tiers.issuing;
}

/** By number, from 1: all that were ever in service. */
async function issuingAuthorities(folder: string, { tiers, change }: LiveIndex): Promise<readonly Certificate[]> {
  const last = Math.max(tiers.issuing, change?.other.issuing ?? 0);
  return await Promise.all(
    Array.from({ length: last }, async (_, n) => await readTierCertificate(folder, "issuing", n + 1)),
  );
}

function isLost({ rows }: LiveIndex, { facts }: Certificate): boolean {
  const reason = rows.get(facts.serialHex)?.revoked?.reason;
  return reason !== undefined && isCompromise(reason);
}

async function indexOf(folder: string): Promise<LiveIndex> {
  const ledger = await openLedger(folder);
  if (ledger !== undefined) return ledger.index;
  throw new UsageError("usage/ca-missing", `'${folder}' holds no certificate authority`, { facts: { folder } });
}
