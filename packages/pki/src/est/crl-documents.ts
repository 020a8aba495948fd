import type { CertificateAuthority } from "../ca.ts";
import type { Certificate } from "../certificate.ts";
import { crlToPem, type Crl } from "../crl.ts";
import { crlOf, publishedCrls, type PublishOptions } from "../crl-publish.ts";
import type { Documents } from "./documents.ts";

/** A device that asks again at once gets the same. */
const keptMs = 10_000;

/**
 * The revocation lists of an authority at the paths of distribution points: `/crl/issuing-N.crl` and `/crl/root-N.crl` in DER, where N is
 * the number of the authority's key, and all of them as PEM at `/crl/plant.pem`. They are made when they are asked for and due.
 *
 * @see RFC 5280 4.2.1.13; RFC 2585 4.2
 */
export function crlDocuments(ca: CertificateAuthority, options: PublishOptions): Documents {
  let kept: { readonly lists: readonly Crl[]; readonly at: number } | undefined;
  const lists = async (): Promise<readonly Crl[]> => {
    const at = options.now().getTime();
    if (kept === undefined || at - kept.at > keptMs || at < kept.at)
      kept = { lists: (await publishedCrls(ca, options)).lists, at };
    return kept.lists;
  };
  return async (path) => {
    const [, tier, number] = /^\/crl\/(issuing|root)-(\d{1,6})\.crl$/.exec(path) ?? [];
    if (path === "/crl/plant.pem") return { type: "application/x-pem-file", body: crlToPem(await lists()) };
    if (tier === undefined) return undefined;
    const all = await lists();
    const issuer = issuerOf(ca, tier, Number(number));
    const crl = issuer === undefined ? undefined : crlOf(all, issuer);
    return crl === undefined ? undefined : { type: "application/pkix-crl", body: crl.der };
  };
}

function issuerOf({ inService }: CertificateAuthority, tier: string, number: number): Certificate | undefined {
  const { tiers, change, root, issuing, other } = inService;
  const own = tier === "root" ? { number: tiers.root, issuer: root } : { number: tiers.issuing, issuer: issuing };
  if (own.number === number) return own.issuer;
  const beside = tier === "root" ? change?.other.root : change?.other.issuing;
  return beside === number ? (tier === "root" ? other?.root : other?.issuing) : undefined;
}
