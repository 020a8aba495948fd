import type { Certificate } from "./certificate.ts";
import type { TrustCode } from "./errors.ts";
import { isStrongSignature } from "./strength.ts";
import { refuse, type Refusal } from "./verdict.ts";

/** Leaf to anchor; real chains have two to four members. */
export const maxPathLength = 8;

/** Signatures that one question may cost: a peer chooses what intermediates it sends. */
const maxLinkChecks = 64;

/** Untrusted intermediates that are looked at; the rest is ignored. */
const maxUntrusted = 16;

/**
 * Every path from a leaf to an anchor whose names, authority and signatures are right, best first (anchors before
 * intermediates); returns why there is none, or no further one.
 *
 * @see RFC 5280 6.1; IEC 62443-4-2 CR 1.9 a and b
 */
export function* paths(
  leaf: Certificate,
  untrusted: readonly Certificate[],
  anchors: readonly Certificate[],
): Generator<readonly Certificate[], Refusal> {
  const search: Search = {
    pool: [...anchors, ...untrusted.slice(0, maxUntrusted)],
    anchors: new Set(anchors.map(fingerprint)),
    checks: 0,
    problems: [],
  };
  if (
    leaf.constraints.selfIssued &&
    !leaf.facts.selfSigned &&
    !anchors.some((anchor) => couldIssue(anchor, leaf)) &&
    couldIssue(leaf, leaf)
  ) {
    return refuse("trust/bad-signature", leaf, "names itself as issuer, but its key did not sign it");
  }
  // A leaf that is listed itself: self-signed, or an authority that is asked about.
  if (search.anchors.has(fingerprint(leaf)) && (leaf.facts.selfSigned || leaf.facts.isCa)) yield [leaf];
  yield* extend([leaf], search);
  return worst(search) ?? unknown(leaf, search.checks >= maxLinkChecks);
}

interface Search {
  readonly pool: readonly Certificate[];
  readonly anchors: ReadonlySet<string>;
  readonly problems: Refusal[];
  checks: number;
}

function* extend(path: readonly Certificate[], search: Search): Generator<readonly Certificate[], void> {
  const child = path.at(-1);
  if (child === undefined || path.length === maxPathLength) return;
  for (const issuer of search.pool) {
    if (search.checks >= maxLinkChecks) return;
    if (path.some((member) => fingerprint(member) === fingerprint(issuer)) || !couldIssue(issuer, child)) continue;
    search.checks++;
    const problem = linkProblem(path, child, issuer);
    if (problem !== undefined) {
      search.problems.push(problem);
      continue;
    }
    const longer = [...path, issuer];
    if (search.anchors.has(fingerprint(issuer))) yield longer;
    else yield* extend(longer, search);
  }
}

/** Names match, and key identifiers do not contradict them. */
function couldIssue(issuer: Certificate, child: Certificate): boolean {
  const { subjectKeyId } = issuer.constraints;
  const { authorityKeyId } = child.constraints;
  if (subjectKeyId !== undefined && authorityKeyId !== undefined && subjectKeyId !== authorityKeyId) return false;
  return issuer.constraints.subjectHex === child.constraints.issuerHex;
}

/** Refuses a certificate whose signature algorithm is not accepted. */
export function weakSignature(certificate: Certificate): Refusal | undefined {
  if (isStrongSignature(certificate.signatureOid)) return undefined;
  const { signatureAlgorithm } = certificate.facts;
  return refuse("trust/weak", certificate, `is signed with ${signatureAlgorithm}, which is not accepted`, {
    signatureAlgorithm,
  });
}

function linkProblem(path: readonly Certificate[], child: Certificate, issuer: Certificate): Refusal | undefined {
  const { facts, constraints } = issuer;
  // Whether such a signature can be checked at all depends on the OpenSSL of the runtime, so it is not tried.
  const weak = weakSignature(child);
  if (weak !== undefined) return weak;
  if (!facts.isCa) return refuse("trust/not-a-ca", issuer, "issued another one, but is not a certificate authority's");
  // Self-issued ones below the issuer, as in a change of key, do not count.
  const below = path.slice(1).filter((member) => !member.constraints.selfIssued).length;
  if (constraints.pathLength !== undefined && below > constraints.pathLength) {
    return refuse(
      "trust/not-a-ca",
      issuer,
      `allows ${constraints.pathLength} authorities below it, the chain has ${below}`,
      { allowed: constraints.pathLength, below },
    );
  }
  if (!isSignedBy(child, issuer))
    return refuse("trust/bad-signature", child, `was not signed by the key of '${facts.subject.slice(0, 200)}'`);
  if (!child.x509.checkIssued(issuer.x509))
    return refuse("trust/disagreement", child, "has an issuer that two implementations disagree about");
  return undefined;
}

const signedBy = new WeakMap<Certificate, WeakMap<Certificate, boolean>>();

function isSignedBy(child: Certificate, issuer: Certificate): boolean {
  const known = signedBy.get(child) ?? new WeakMap<Certificate, boolean>();
  signedBy.set(child, known);
  const answer = known.get(issuer) ?? child.x509.verify(issuer.publicKey);
  known.set(issuer, answer);
  return answer;
}

const gravest: readonly TrustCode[] = ["trust/bad-signature", "trust/not-a-ca", "trust/disagreement", "trust/weak"];

/** Of several dead ends, the one that says most. */
function worst({ problems }: Search): Refusal | undefined {
  return gravest
    .map((code) => problems.find((problem) => problem.code === code))
    .find((problem) => problem !== undefined);
}

function unknown(leaf: Certificate, gaveUp: boolean): Refusal {
  if (leaf.facts.selfSigned) return refuse("trust/self-signed", leaf, "is self-signed and not among the trusted ones");
  const issuer = leaf.facts.issuer.slice(0, 200);
  return refuse(
    "trust/unknown-authority",
    leaf,
    `was issued by '${issuer}', and no way from there to a trusted authority was ${gaveUp ? `found in ${maxLinkChecks} tries` : "found"}`,
    { issuer },
  );
}

function fingerprint({ facts }: Certificate): string {
  return facts.sha256;
}
