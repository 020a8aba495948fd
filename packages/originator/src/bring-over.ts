import type { Certificate, Crl } from "@cipsec/pki";
import { deliverTrust, type TrustDelivery } from "./deliver.ts";
import { reissueCertificate, type ReissueOptions } from "./reissue.ts";
import type { Session } from "./session.ts";

/** What a device is brought to that was away while one authority followed another. */
export interface BringOverOptions extends Pick<ReissueOptions, "issue" | "signal"> {
  /** The authorities in service. */
  readonly authorities: readonly Certificate[];
  readonly crls: readonly Crl[];
  /** Says of an authority that it is to be trusted no more. */
  readonly drop: NonNullable<TrustDelivery["drop"]>;
  /** Our own chain, by which the device has to let us in from before to after. */
  readonly own: readonly Certificate[];
  /** The certificate that it shows is one of the new authority: an earlier attempt came that far. */
  readonly isReissued: boolean;
}

/** What was done. */
export interface BringOverResult {
  /** `already`: it had all of it, and was not touched. */
  readonly outcome: "brought-over" | "already";
  /** Its new certificate, where it has got one now. */
  readonly certificate: Certificate | undefined;
}

/**
 * Takes a device through all steps of a change of authority in one session: it trusts the new one beside the old one, has new keys
 * and a certificate of it, and then forgets the old one. After each step it lets us in, so that what was interrupted is begun again.
 *
 * @throws as {@link deliverTrust} and {@link reissueCertificate}
 */
export async function bringOver(session: Session, options: BringOverOptions): Promise<BringOverResult> {
  const { authorities: add, crls, drop, own, issue, isReissued, signal } = options;
  const how = { own, label: "late", ...(signal === undefined ? {} : { signal }) };
  const learnt = await deliverTrust(session, { add, crls }, how);
  const [certificate] = isReissued ? [] : await reissueCertificate(session, { ...how, issue });
  const forgot = await deliverTrust(session, { add, drop }, how);
  const isDone = certificate === undefined && [learnt, forgot].every(({ outcome }) => outcome === "already");
  return { outcome: isDone ? "already" : "brought-over", certificate };
}
