import type { Certificate } from "../certificate.ts";
import type { Crl } from "../crl.ts";
import { TrustError } from "../errors.ts";
import { refusalError, type ChainQuestion, type RevocationPolicy, type Verdict } from "../verdict.ts";
import { verifyChain } from "../verify.ts";
import { usageIds } from "../make-certificate.ts";
import { canonicalIp } from "../names.ts";

/** Whom an EST client trusts. Without any anchor it can only bootstrap. @see RFC 7030 3.6 */
export interface EstTrust {
  /** Authorities that came by EST, or were put in by hand: of the plant. They come first. */
  readonly explicit?: readonly Certificate[];
  /** Authorities that the maker built in, for the first contact only. */
  readonly implicit?: readonly Certificate[];
  readonly crls?: readonly Crl[];
  readonly revocation?: RevocationPolicy;
}

/** CA certificates of an answer, sorted by what they are for. */
export interface CaCerts {
  /** All of them, in the order of the answer. */
  readonly certificates: readonly Certificate[];
  /** What to trust from now on: self-signed authorities, or where there is none, those that no other one issued. */
  readonly anchors: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  /** Links of a change of root: a root's key certified by the other root (RFC 4210 4.4, RFC 7030 4.1.3). */
  readonly rollover: readonly Certificate[];
}

/**
 * Judges a server's chain: by the explicit anchors where there are any, otherwise by the implicit ones. The name must be
 * the one that was dialled; only a server that an explicit anchor names as its registrar may have another.
 *
 * @see RFC 7030 3.6.1, 3.6.2
 */
export function judgeServer(
  chain: readonly Certificate[],
  trust: EstTrust,
  { host, time }: { readonly host: string; readonly time: Date | undefined },
): Verdict | undefined {
  const [leaf, ...rest] = chain;
  if (leaf === undefined) return undefined;
  const { explicit = [], implicit = [], crls = [], revocation } = trust;
  const question: ChainQuestion = {
    leaf,
    chain: rest,
    anchors: explicit.length > 0 ? explicit : implicit,
    crls,
    ...(revocation === undefined ? {} : { revocation }),
    time,
    purpose: "server",
  };
  const ip = canonicalIp(host);
  const named = verifyChain({ ...question, expectedNames: ip === undefined ? { dns: host } : { ip } });
  const isRegistrar = leaf.facts.extendedKeyUsage?.includes(usageIds.registrar) === true;
  if (named.ok || named.code !== "trust/name" || explicit.length === 0 || !isRegistrar) return named;
  return verifyChain(question);
}

/** @throws {TrustError} of {@link judgeServer}'s refusal, or `trust/unknown-authority` where nothing was shown */
export function requireServer(verdict: Verdict | undefined, where: string): void {
  if (verdict?.ok === true) return;
  if (verdict === undefined) throw new TrustError("trust/unknown-authority", `${where} showed no certificate`);
  const { facts } = verdict;
  throw refusalError({ ...verdict, message: `${where}: ${verdict.message}`, facts: { ...facts, where } });
}

/** Sorts the certificates of a `cacerts` answer; those that are no authority's are left out. */
export function sortCaCerts(all: readonly Certificate[]): CaCerts {
  const unique = all.filter(({ facts }, at) => all.findIndex((other) => other.facts.sha256 === facts.sha256) === at);
  const certificates = unique.filter(({ facts }) => facts.isCa);
  const roots = certificates.filter(({ facts }) => facts.selfSigned);
  const isIssuedByOther = (one: Certificate): boolean =>
    certificates.some((other) => other !== one && other.constraints.subjectHex === one.constraints.issuerHex);
  const anchors = roots.length > 0 ? roots : certificates.filter((one) => !isIssuedByOther(one));
  const isLink = (one: Certificate): boolean =>
    !anchors.includes(one) && roots.some((root) => root.publicKey.equals(one.publicKey));
  return {
    certificates,
    anchors,
    rollover: certificates.filter(isLink),
    intermediates: certificates.filter((one) => !anchors.includes(one) && !isLink(one)),
  };
}

/**
 * The certificates to send with a leaf: those of a pool that lead from it upwards, without the self-signed one at the top.
 * The pool may be in any order and hold others.
 */
export function completeChain(leaf: Certificate, pool: readonly Certificate[]): readonly Certificate[] {
  const chain = [leaf];
  for (let child: Certificate | undefined = leaf; child !== undefined && chain.length < 8;) {
    const below: Certificate = child;
    child = pool.find(
      (one) =>
        one.facts.isCa &&
        !one.facts.selfSigned &&
        !chain.includes(one) &&
        one.constraints.subjectHex === below.constraints.issuerHex &&
        (below.constraints.authorityKeyId ?? one.constraints.subjectKeyId) === one.constraints.subjectKeyId,
    );
    if (child !== undefined) chain.push(child);
  }
  return chain;
}
