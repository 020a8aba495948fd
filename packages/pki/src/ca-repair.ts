import { rowOf, type IndexRow, type LiveIndex } from "./ca-index.ts";
import type { Ledger } from "./ca-ledger.ts";
import { readTierCertificate, readUnlisted } from "./ca-store.ts";

/** Makes a damaged index whole again: what its unreadable lines said is put back from the kept copies. Only under the lock. */
export async function repairLedger(folder: string, ledger: Ledger): Promise<void> {
  if (!ledger.damaged) return;
  const rows = await lostRows(folder, ledger.index);
  await ledger.repair(rows.map((row) => ({ op: "issued", row })));
}

/** What unreadable lines alone knew, as the kept copies say it; the profile of such a certificate shows in its usage. */
async function lostRows(folder: string, { rows, tiers, change }: LiveIndex): Promise<readonly IndexRow[]> {
  const numbers = [tiers.issuing, ...(change === undefined ? [] : [change.other.issuing])];
  const issuers = await Promise.all(
    numbers.map(async (number) => ({ number, certificate: await readTierCertificate(folder, "issuing", number) })),
  );
  return (await readUnlisted(folder, rows)).map((certificate) => {
    const { authorityKeyId } = certificate.constraints;
    const by = issuers.find((issuer) => issuer.certificate.constraints.subjectKeyId === authorityKeyId)?.number;
    if (certificate.facts.isCa) return rowOf(certificate, "issuing-ca", Math.max(tiers.root, change?.other.root ?? 0));
    return rowOf(certificate, certificate.facts.extendedKeyUsage?.length === 1 ? "tool" : "device", by);
  });
}
