import type { CertificateAuthority } from "../ca.ts";
import { crlToPem } from "../crl.ts";
import { crlFiles, type CrlFiles, type PublishOptions } from "../crl-publish.ts";
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
  let kept: (CrlFiles & { readonly at: number }) | undefined;
  const look = async (): Promise<CrlFiles> => {
    const at = options.now().getTime();
    if (kept === undefined || at - kept.at > keptMs || at < kept.at) kept = { ...(await crlFiles(ca, options)), at };
    return kept;
  };
  return async (path) => {
    if (path === "/crl/plant.pem") return { type: "application/x-pem-file", body: crlToPem((await look()).lists) };
    const [, wanted] = /^\/crl\/((?:issuing|root)-\d{1,6}\.crl)$/.exec(path) ?? [];
    if (wanted === undefined) return undefined;
    const found = (await look()).files.find(({ name }) => name === wanted);
    return found === undefined ? undefined : { type: "application/pkix-crl", body: found.crl.der };
  };
}
