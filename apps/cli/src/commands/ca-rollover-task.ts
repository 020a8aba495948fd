import type { BringOverOptions } from "@cipsec/originator";
import { parseCsr, toPem, type Certificate, type CertificateAuthority } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import type { Context } from "../command.ts";

/** A step of a change of authority, with what it works on. */
export interface Task {
  readonly context: Context;
  readonly options: Readonly<Record<string, unknown>>;
  readonly authority: CertificateAuthority;
  readonly targets: readonly string[];
}

/** @throws {UsageError} `usage/argument` */
export function needTargets({ targets }: Task): void {
  if (targets.length === 0)
    throw new UsageError("usage/argument", "which devices?", { fix: "Name them, or give --devices FILE." });
}

/** Issues a certificate for a device that has one: its own names stay, and the address that it was reached at is one. */
export function reissuing(authority: CertificateAuthority): BringOverOptions["issue"] {
  return async (csrPem, { host }) => {
    const csr = parseCsr(csrPem);
    const ip = [...new Set([host, ...csr.san.ip])];
    const issued = await authority.issue({ profile: "device", csr, san: { ...csr.san, ip } });
    return { certificatePem: toPem(issued.certificate), caChainPem: toPem(authority.bundle) };
  };
}

/** Tells the plant's authorities that issue no more from those that do, and from what is not of this plant. */
export async function retiredHere(authority: CertificateAuthority): Promise<(one: Certificate) => boolean> {
  const kept = new Set([authority.root, authority.issuing].map(({ facts }) => facts.sha256));
  const rows = await authority.list();
  const issuers = new Set(rows.filter(({ profile }) => profile === "issuing-ca").map(({ sha256 }) => sha256));
  return ({ facts, constraints }) =>
    !kept.has(facts.sha256) &&
    (issuers.has(facts.sha256) || constraints.subjectHex === authority.root.constraints.subjectHex);
}
