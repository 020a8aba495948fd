import type { Tier } from "./ca-store.ts";
import { UsageError } from "./errors.ts";
import { printable } from "./names.ts";
import { CRLDistributionPointsExtension } from "./x509.ts";

/** Every certificate carries it, and a handshake has several certificates. */
const maxAddress = 200;

/**
 * Checks the address below which a plant's revocation lists are found. It stands in certificates for as long as they live.
 *
 * @returns It in one spelling, without a slash at its end.
 * @throws {UsageError} `usage/argument` for anything but plain HTTP without user, query and fragment
 * @see RFC 5280 4.2.1.13, 8
 */
export function checkCrlBase(text: string): string {
  const url = /^[!-~]+$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:")
    throw refused(text, "who checks a certificate would first have to check that of this server", "http");
  if (url?.protocol !== "http:" || url.host === "") throw refused(text, "it is not an http address", "http");
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "")
    throw refused(text, "it has a user, a query or a fragment", "neither of them");
  const base = `${url.origin}${url.pathname}`.replace(/\/+$/, "");
  if (base.length > maxAddress) throw refused(text, `it is longer than ${maxAddress} characters`, "a shorter one");
  return base;
}

/** Name of the file of an authority's list. @param number Of its key pair. */
export function crlFileName(tier: Tier, number: number): string {
  return `${tier}-${number}.crl`;
}

/** Where the list of an authority stands, for the certificates that it signs; nothing where the plant has no such place. */
export function crlUrlOf(base: string | undefined, tier: Tier, number: number): { readonly crlUrl?: string } {
  return base === undefined ? {} : { crlUrl: `${base}/crl/${crlFileName(tier, number)}` };
}

/** The extension that names the place of a list, or none. @see RFC 5280 4.2.1.13 */
export function crlPlaceExtension(crlUrl: string | undefined): readonly CRLDistributionPointsExtension[] {
  return crlUrl === undefined ? [] : [new CRLDistributionPointsExtension([crlUrl], false)];
}

function refused(text: string, why: string, use: string): UsageError {
  return new UsageError("usage/argument", `'${printable(text, 64)}' is no place for revocation lists: ${why}`, {
    fix: `Give an address with ${use}, such as http://pki.plant.example.`,
  });
}
