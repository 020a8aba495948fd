import type { CertificateAuthority } from "../ca.ts";
import type { Certificate } from "../certificate.ts";
import type { CertificateRequest } from "../csr.ts";
import type { AlternativeNames, Subject } from "../names.ts";
import type { Profile } from "../ca-index.ts";
import { publishedOf } from "../ca-tiers.ts";

/** What an EST server has an authority sign. */
export interface EstIssue {
  readonly request: CertificateRequest;
  readonly profile: Exclude<Profile, "vendor-device">;
  readonly subject: Subject;
  readonly san: AlternativeNames;
  readonly days: number | undefined;
}

/** What came of it: a certificate with its chain, leaf first, or word to come again. */
export type EstIssued =
  | { readonly status: "issued"; readonly chain: readonly Certificate[] }
  | { readonly status: "pending"; readonly retryAfterS: number };

/** The authority behind an EST server: the plant's own, or one further up. */
export interface EstAuthority {
  /** Root first, then what stands below it, then certificates of a roll-over (RFC 7030 4.1.3). */
  caCertificates(): Promise<readonly Certificate[]>;
  issue(wish: EstIssue): Promise<EstIssued>;
  /** What the authority knows of a certificate that it issued. */
  isRevoked(serialHex: string): Promise<boolean>;
  /** Takes back a certificate that was replaced; does nothing where the authority cannot. */
  supersede(serialHex: string): Promise<void>;
}

/** The plant's own authority behind an EST server. */
export function localAuthority(
  ca: CertificateAuthority,
  { rollover = [] }: { readonly rollover?: readonly Certificate[] } = {},
): EstAuthority {
  return {
    async caCertificates() {
      await ca.refresh();
      return [...publishedOf(ca.inService), ...rollover];
    },
    async issue({ request, profile, subject, san, days }) {
      const { chain } = await ca.issue({
        profile,
        csr: request,
        subject,
        san,
        ...(days === undefined ? {} : { days }),
      });
      return { status: "issued", chain };
    },
    async isRevoked(serialHex) {
      return (await ca.find(serialHex))?.status === "revoked";
    },
    async supersede(serialHex) {
      await ca.revoke(serialHex, "superseded");
    },
  };
}
