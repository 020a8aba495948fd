import { keyUsageFlags, type Certificate } from "./certificate.ts";
import { samePublicKey } from "./keys.ts";
import { usageIds } from "./make-certificate.ts";
import { canonicalIp } from "./names.ts";
import { paths, weakSignature } from "./path.ts";
import { checkRevocation } from "./revocation.ts";
import { defaultStrength, keyFacts, keyWeakness } from "./strength.ts";
import { refusalError, refuse, type ChainQuestion, type GoodChain, type Refusal, type Verdict } from "./verdict.ts";

/**
 * Judges a peer's certificate: pure, bounded, and quick enough for every handshake (what it learns about a pair of
 * parsed certificates is kept with them). The first path that passes every check wins; otherwise the reason of the
 * best path is given, checked in this order: chain and signatures, restrictions, strength, days, revocation, usage,
 * name, trusted identities, key.
 *
 * @see IEC 62443-4-2 CR 1.9; RFC 5280 6
 */
export function verifyChain(question: ChainQuestion): Verdict {
  const candidates = paths(question.leaf, question.chain ?? [], question.anchors);
  let refusal: Refusal | undefined;
  for (;;) {
    const next = candidates.next();
    if (next.done === true) return refusal ?? next.value;
    const verdict = judge(next.value, question);
    if (verdict.ok) return verdict;
    refusal ??= verdict;
  }
}

/**
 * Like {@link verifyChain}, for callers that stop at a refusal.
 *
 * @throws {TrustError} with the code of the refusal
 */
export function requireTrusted(question: ChainQuestion): GoodChain {
  const verdict = verifyChain(question);
  if (!verdict.ok) throw refusalError(verdict);
  return verdict;
}

function judge(path: readonly Certificate[], question: ChainQuestion): Verdict {
  const refusal = checkExtensions(path) ?? checkStrength(path, question) ?? checkDays(path, question);
  if (refusal !== undefined) return refusal;
  const revocation = checkRevocation(path, question);
  if (typeof revocation === "object") return revocation;
  const late = checkUsage(path, question) ?? checkName(question) ?? checkPinned(question) ?? checkKey(question);
  if (late !== undefined) return late;
  const { time, checkExpiration = true, expectedNames, pinned = [] } = question;
  return {
    ok: true,
    chain: path,
    checked: {
      expiration: checkExpiration && time !== undefined,
      revocation,
      name: expectedNames !== undefined,
      pinned: pinned.length > 0,
    },
  };
}

function checkExtensions(path: readonly Certificate[]): Refusal | undefined {
  for (const certificate of path) {
    const [extension] = certificate.constraints.unsupported;
    if (extension !== undefined)
      return refuse("trust/extension", certificate, `has extension ${extension}, which is not understood`, {
        extension,
      });
  }
  return undefined;
}

function checkStrength(
  path: readonly Certificate[],
  { minimumStrength = defaultStrength, leaf }: ChainQuestion,
): Refusal | undefined {
  for (const [index, certificate] of path.entries()) {
    const weakness = keyWeakness(keyFacts(certificate.publicKey), minimumStrength);
    if (weakness !== undefined) return refuse("trust/weak", certificate, `is too weak: ${weakness}`);
    // An anchor is trusted because it is listed, not for its signature.
    const isAnchor = index === path.length - 1 && certificate !== leaf;
    const weak = isAnchor ? undefined : weakSignature(certificate);
    if (weak !== undefined) return weak;
  }
  return undefined;
}

function checkDays(path: readonly Certificate[], { time, checkExpiration = true }: ChainQuestion): Refusal | undefined {
  if (time === undefined || !checkExpiration) return undefined;
  for (const certificate of path) {
    const { notBefore, notAfter } = certificate.facts;
    const at = time.toISOString();
    if (time > notAfter)
      return refuse("trust/expired", certificate, `expired on ${notAfter.toISOString()}; it is ${at}`, {
        notAfter: notAfter.toISOString(),
        time: at,
      });
    if (time < notBefore)
      return refuse("trust/not-yet-valid", certificate, `is valid from ${notBefore.toISOString()}; it is ${at}`, {
        notBefore: notBefore.toISOString(),
        time: at,
      });
  }
  return undefined;
}

/** What each end of TLS does with its key: sign, agree, or (servers of old suites) decrypt. RFC 5280 4.2.1.3. */
const neededKeyUsage = {
  server: keyUsageFlags.digitalSignature | keyUsageFlags.keyEncipherment | keyUsageFlags.keyAgreement,
  client: keyUsageFlags.digitalSignature | keyUsageFlags.keyAgreement,
} as const;

function checkUsage(path: readonly Certificate[], { leaf, purpose }: ChainQuestion): Refusal | undefined {
  if (purpose === "any") return undefined;
  // An authority that is limited to other uses cannot issue for this one.
  for (const certificate of path) {
    const usages = certificate.facts.extendedKeyUsage;
    if (usages !== undefined && !usages.includes(usageIds[purpose]) && !usages.includes(usageIds.any)) {
      return refuse("trust/usage", certificate, `is not for a TLS ${purpose} (extended key usage)`, { purpose });
    }
  }
  const { keyUsage } = leaf.constraints;
  if (keyUsage !== undefined && (keyUsage & neededKeyUsage[purpose]) === 0) {
    return refuse("trust/usage", leaf, `may not sign or agree on keys, as a TLS ${purpose} does (key usage)`, {
      purpose,
    });
  }
  return undefined;
}

/** An address first, then a host name; the common name never (RFC 6125, RFC 9525). */
function checkName({ leaf, expectedNames }: ChainQuestion): Refusal | undefined {
  if (expectedNames === undefined) return undefined;
  const { ip, dns } = expectedNames;
  if (ip !== undefined && matchesIp(leaf, ip)) return undefined;
  if (dns !== undefined && matchesDns(leaf, dns)) return undefined;
  const expected = [ip, dns].filter((name) => name !== undefined).join(" or ");
  const has = [...leaf.facts.san.ip, ...leaf.facts.san.dns].join(", ").slice(0, 200);
  return refuse(
    "trust/name",
    leaf,
    `is not for ${expected === "" ? "any expected name" : expected}; it has ${has === "" ? "no address or host name" : has}`,
    { expected, has },
  );
}

/** Both implementations have to find the name. */
function matchesIp({ facts, x509 }: Certificate, text: string): boolean {
  const ip = canonicalIp(text);
  return ip !== undefined && facts.san.ip.includes(ip) && x509.checkIP(ip) !== undefined;
}

function matchesDns({ facts, x509 }: Certificate, text: string): boolean {
  const host = text.toLowerCase();
  // A wildcard stands for exactly one label.
  const wild = host.replace(/^[^.]+/, "*");
  if (!facts.san.dns.includes(host) && !(host.split(".").length > 2 && facts.san.dns.includes(wild))) return false;
  return x509.checkHost(host, { subject: "never", partialWildcards: false }) !== undefined;
}

function checkPinned({ leaf, pinned = [] }: ChainQuestion): Refusal | undefined {
  if (pinned.length === 0) return undefined;
  const listed = pinned.some(
    (pin) => (typeof pin === "string" ? pin.replaceAll(":", "").toLowerCase() : pin.facts.sha256) === leaf.facts.sha256,
  );
  return listed
    ? undefined
    : refuse("trust/not-pinned", leaf, `is not one of the ${pinned.length} trusted identities`, {
        pinned: pinned.length,
      });
}

function checkKey({ leaf, publicKey }: ChainQuestion): Refusal | undefined {
  if (publicKey === undefined || samePublicKey(publicKey, leaf.publicKey)) return undefined;
  return refuse("trust/key-mismatch", leaf, "belongs to another key than the one it is to be used with");
}
