import { isIP } from "node:net";
import { parseCertificate, refusalError, verifyChain } from "@cipsec/pki";
import type { Certificate, ChainQuestion } from "@cipsec/pki";
import { TrustError } from "@cipsec/wire";
import type { Clock } from "./clock.ts";
import { endpointText } from "./endpoint.ts";
import type { TlsPeer, TlsPolicy, Verdict } from "./tls-policy.ts";

/** What a peer's certificate is judged by: the trust attributes of EtherNet/IP Security, in parsed form. */
export interface VerifyOptions extends Pick<
  ChainQuestion,
  "anchors" | "crls" | "revocation" | "pinned" | "minimumStrength" | "checkExpiration"
> {
  /**
   * Whether the subject alternative name must fit. For a peer that was dialled by name it must have that name, by address
   * that address; for a peer that dialled us, the address that it came from.
   */
  readonly checkName: boolean;
  /** Without a trustworthy wall clock days and freshness of revocation lists are not judged. */
  readonly clock: Pick<Clock, "wallNow">;
  /**
   * Whether the clock's time is only known to have passed: it is that late or later. Then a certificate that begins later tells how
   * late it is, and what has ended before that has ended.
   */
  readonly isAtLeast?: () => boolean;
}

/**
 * A {@link TlsPolicy} `verify` on the chain verdicts of `@cipsec/pki`: anchors, restrictions, strength, days, revocation,
 * usage for the peer's role, name, and trusted identities. Refusals carry pki's `trust/…` codes, and `facts.where`.
 */
export function verifyWith(options: VerifyOptions): NonNullable<TlsPolicy["verify"]> {
  const { checkName, clock, isAtLeast = () => false, ...trust } = options;
  return (peer) => {
    const where = endpointText(peer.remote);
    const parsed = parse(peer, where);
    if ("ok" in parsed) return parsed;
    const wall = clock.wallNow();
    const [leaf, ...chain] = parsed.certificates;
    if (leaf === undefined) return refused(where, "showed no certificate");
    const verdict = verifyChain({
      ...trust,
      leaf,
      chain,
      time: wall === undefined ? undefined : isAtLeast() ? latest(wall, parsed.certificates) : new Date(wall),
      purpose: peer.role,
      ...(checkName && { expectedNames: expected(peer) }),
    });
    if (verdict.ok) return verdict;
    const { message, facts } = verdict;
    return {
      ok: false,
      error: refusalError({ ...verdict, message: `${where}: ${message}`, facts: { ...facts, where } }),
    };
  };
}

function latest(wall: number, certificates: readonly Certificate[]): Date {
  return new Date(Math.max(wall, ...certificates.map(({ facts }) => facts.notBefore.getTime())));
}

/** Whoever answers, for commissioning a device that has no certificate of the plant yet. The caller says so to people. */
export function acceptAnyone(): NonNullable<TlsPolicy["verify"]> {
  return () => ({ ok: true });
}

/**
 * A name that was dialled is not made good by the address it led to: who can turn a name to an address of their own would
 * then be let in with their own certificate.
 */
function expected({ host, remote }: TlsPeer): { readonly ip: string } | { readonly dns: string } {
  if (host === undefined) return { ip: remote.address };
  return isIP(host) === 0 ? { dns: host } : { ip: host };
}

function parse({ chain }: TlsPeer, where: string): { readonly certificates: readonly Certificate[] } | Verdict {
  try {
    return { certificates: chain.map((der) => parseCertificate(der)) };
  } catch (error) {
    return refused(where, "showed a certificate that cannot be read", error);
  }
}

function refused(where: string, words: string, cause?: unknown): Verdict {
  const message = `${where}: the other side ${words}`;
  return { ok: false, error: new TrustError("trust/refused", message, { cause, facts: { where } }) };
}
