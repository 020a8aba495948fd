import { keyUsageFlags, type Certificate } from "./certificate.ts";
import { crlFreshness, findRevoked, isCrlSignedBy, supersedes, type Crl } from "./crl.ts";
import { refuse, type ChainQuestion, type Refusal } from "./verdict.ts";

/**
 * Looks up every certificate below the anchor in the newest list that its issuer signed.
 *
 * @returns A refusal, or whether every one was found in a list that is fresh.
 * @see RFC 5280 6.3; IEC 62443-4-2 CR 1.9 c
 */
export function checkRevocation(path: readonly Certificate[], question: ChainQuestion): Refusal | boolean {
  let complete = true;
  for (const [index, certificate] of path.entries()) {
    const issuer = path[index + 1];
    if (issuer === undefined) break;
    const answer = checkOne(certificate, issuer, question);
    if (typeof answer === "object") return answer;
    complete &&= answer;
  }
  return complete;
}

function checkOne(
  certificate: Certificate,
  issuer: Certificate,
  { crls = [], revocation = {}, time }: ChainQuestion,
): Refusal | boolean {
  const { missing = "accept", stale = "refuse" } = revocation;
  const named = crls.filter((crl) => crl.issuerHex === issuer.constraints.subjectHex && !isOfOtherKey(crl, issuer));
  if (named.length === 0) {
    if (missing === "accept") return false;
    return refuse(
      "trust/crl-missing",
      certificate,
      `cannot be checked: no revocation list of '${issuer.facts.subject.slice(0, 200)}' is loaded`,
    );
  }
  const [newest] = named.filter((crl) => isGood(crl, issuer)).sort((a, b) => (supersedes(a, b) ? -1 : 1));
  if (newest === undefined) {
    return refuse(
      "trust/crl-signature",
      certificate,
      `cannot be checked: the revocation list in the name of '${issuer.facts.subject.slice(0, 200)}' was not signed by it`,
    );
  }
  const entry = findRevoked(newest, certificate.facts.serialHex);
  if (entry !== undefined) {
    const revokedAt = entry.revokedAt.toISOString();
    return refuse("trust/revoked", certificate, `was revoked on ${revokedAt} (${entry.reason})`, {
      revokedAt,
      reason: entry.reason,
    });
  }
  const freshness = time === undefined ? undefined : crlFreshness(newest, time);
  if (freshness === undefined || freshness === "fresh" || stale === "accept") return freshness === "fresh";
  const due = (freshness === "stale" ? newest.nextUpdate : newest.thisUpdate)?.toISOString() ?? "";
  return refuse(
    "trust/crl-stale",
    certificate,
    `cannot be checked: the revocation list ${freshness === "stale" ? `was good until ${due}` : `starts on ${due}`}`,
    { due },
  );
}

/** A list by an earlier or later key of the same authority says nothing about this one's certificates. */
function isOfOtherKey({ authorityKeyId }: Crl, { constraints }: Certificate): boolean {
  return (
    authorityKeyId !== undefined &&
    constraints.subjectKeyId !== undefined &&
    authorityKeyId !== constraints.subjectKeyId
  );
}

const good = new WeakMap<Crl, WeakMap<Certificate, boolean>>();

function isGood(crl: Crl, issuer: Certificate): boolean {
  const known = good.get(crl) ?? new WeakMap<Certificate, boolean>();
  good.set(crl, known);
  const maySign = ((issuer.constraints.keyUsage ?? keyUsageFlags.cRLSign) & keyUsageFlags.cRLSign) !== 0;
  const answer = known.get(issuer) ?? (maySign && isCrlSignedBy(crl, issuer));
  known.set(issuer, answer);
  return answer;
}
