import type { AuthorityCertificates } from "./ca-tiers.ts";

/** What was read from a device, as far as a change of authority touches it. */
export interface RehearsedDevice {
  /** Address or name. */
  readonly name: string;
  /** SHA-256 of the authorities that it trusts. */
  readonly anchors: readonly string[];
  /** The certificate it shows; nothing where it has none of this plant's authority. */
  readonly certificate: { readonly by: "old" | "new"; readonly notBefore: Date; readonly notAfter: Date } | undefined;
  /** Whether it refuses expired certificates. */
  readonly checksExpiration: boolean;
  /** It fetches certificate and authorities by itself, at two thirds of the lifetime. */
  readonly renewsItself: boolean;
}

/** When the steps of a change are taken. */
export interface RehearsalPlan {
  readonly kind: "root" | "issuing";
  readonly switchAt: Date;
  readonly withdrawAt: Date;
}

/** One device loses peers. */
export interface RehearsedLoss {
  readonly device: string;
  readonly when: Date;
  readonly loses: readonly string[];
  readonly why: string;
  readonly fix: string;
}

/**
 * Says which device would refuse which peer, and when, if a change of authority took its course and nothing were done beyond what
 * is done already. Pure: facts in, table out. An empty table means that the change can take its course.
 *
 * @param authorities Those in service; before the change is begun there is no new one yet, and nobody trusts it.
 */
export function rehearseRollover(
  devices: readonly RehearsedDevice[],
  authorities: AuthorityCertificates,
  plan: RehearsalPlan,
): readonly RehearsedLoss[] {
  const trust = trustOf(authorities, plan.kind);
  const ends = { link: trust.oldRootEnds, ...plan };
  const verifiers = devices.map((device) => verifierOf(device, trust));
  const losses = new Map<string, { readonly loss: Omit<RehearsedLoss, "loses">; readonly loses: string[] }>();
  for (const verifier of verifiers) {
    for (const peer of devices) {
      if (peer.name === verifier.name || peer.certificate === undefined) continue;
      const found = lossOf(verifier, { ...peer, certificate: peer.certificate }, ends);
      if (found === undefined) continue;
      const key = `${verifier.name} ${found.when.getTime()} ${found.why}`;
      const known = losses.get(key) ?? { loss: { device: verifier.name, ...found }, loses: [] };
      known.loses.push(peer.name);
      losses.set(key, known);
    }
  }
  return [...losses.values()]
    .map(({ loss, loses }) => ({ ...loss, loses }))
    .sort((a, b) => a.when.getTime() - b.when.getTime() || a.device.localeCompare(b.device));
}

/** When a device with the pull model renews: two thirds of the lifetime. */
export function renewsAt({ notBefore, notAfter }: { readonly notBefore: Date; readonly notAfter: Date }): Date {
  return new Date(notBefore.getTime() + ((notAfter.getTime() - notBefore.getTime()) * 2) / 3);
}

interface Trust {
  readonly old: ReadonlySet<string>;
  readonly next: ReadonlySet<string>;
  /** Leads to the new authority as well: the old root by its link, or the root that stays. */
  readonly bridge: string;
  readonly oldRootEnds: Date | undefined;
}

function trustOf({ root, issuing, change, other }: AuthorityCertificates, kind: RehearsalPlan["kind"]): Trust {
  const pair = { root, issuing };
  const [old, next] = change?.phase === "switched" ? [other ?? pair, pair] : [pair, other];
  const shas = (all: readonly (typeof root | undefined)[]): ReadonlySet<string> =>
    new Set(all.flatMap((one) => (one === undefined ? [] : [one.facts.sha256])));
  return {
    old: shas([old.root, old.issuing]),
    // A root that stays leads to both.
    next: shas(kind === "issuing" ? [old.root, next?.issuing] : [next?.root, next?.issuing]),
    bridge: old.root.facts.sha256,
    oldRootEnds: kind === "root" ? old.root.facts.notAfter : undefined,
  };
}

interface Verifier {
  readonly name: string;
  readonly checksExpiration: boolean;
  readonly trustsOld: boolean;
  /** From when on it trusts the new authority itself: long ago, at a renewal, or never. */
  readonly trustsNewFrom: number;
  readonly hasBridge: boolean;
}

function verifierOf(
  { name, anchors, certificate, checksExpiration, renewsItself }: RehearsedDevice,
  trust: Trust,
): Verifier {
  const has = (set: ReadonlySet<string>): boolean => anchors.some((sha256) => set.has(sha256));
  const renewal =
    renewsItself && certificate !== undefined ? renewsAt(certificate).getTime() : Number.POSITIVE_INFINITY;
  return {
    name,
    checksExpiration,
    trustsOld: has(trust.old),
    trustsNewFrom: has(trust.next) ? Number.NEGATIVE_INFINITY : renewal,
    hasBridge: anchors.includes(trust.bridge),
  };
}

type Loss = Omit<RehearsedLoss, "device" | "loses">;

/** The first thing that ends the trust of one in the other; nothing where nothing does, or where there was no trust. */
function lossOf(
  verifier: Verifier,
  peer: RehearsedDevice & { readonly certificate: NonNullable<RehearsedDevice["certificate"]> },
  { link, switchAt, withdrawAt }: RehearsalPlan & { readonly link: Date | undefined },
): Loss | undefined {
  const { certificate, renewsItself } = peer;
  const { trustsOld, trustsNewFrom, hasBridge, checksExpiration } = verifier;
  const isNew = certificate.by === "new";
  if (!(isNew ? trustsNewFrom < Number.POSITIVE_INFINITY || hasBridge : trustsOld)) return undefined;
  const never = Number.POSITIVE_INFINITY;
  const renewal = renewsItself ? Math.max(renewsAt(certificate).getTime(), switchAt.getTime()) : never;
  const reissued = isNew ? Number.NEGATIVE_INFINITY : renewal;
  const candidates: (Loss | undefined)[] = [
    checksExpiration && !renewsItself
      ? { when: certificate.notAfter, why: "their certificates end", fix: "Reissue: cipsec commission TARGET." }
      : undefined,
    // Those who do not know the new authority by then are not made to forget the old one: that would lock them up.
    reissued > withdrawAt.getTime() && trustsNewFrom <= withdrawAt.getTime()
      ? {
          when: withdrawAt,
          why: "their certificates are of the authority that is withdrawn",
          fix: "Reissue them before: cipsec commission TARGET.",
        }
      : undefined,
    reissued < never && trustsNewFrom > Math.max(reissued, switchAt.getTime())
      ? unknownNew({ hasBridge, link, checksExpiration, from: new Date(Math.max(reissued, switchAt.getTime())) })
      : undefined,
  ];
  return candidates.filter((one) => one !== undefined).sort((a, b) => a.when.getTime() - b.when.getTime())[0];
}

/** The verifier does not trust the new authority: the old root's link serves it as long as that lives. */
function unknownNew({
  hasBridge,
  link,
  checksExpiration,
  from,
}: {
  readonly hasBridge: boolean;
  readonly link: Date | undefined;
  readonly checksExpiration: boolean;
  readonly from: Date;
}): Loss | undefined {
  const fix = "Bring it the new authority: cipsec ca rollover --deliver TARGET.";
  if (!hasBridge) return { when: from, why: "it does not know the new authority", fix };
  if (link === undefined || !checksExpiration) return undefined;
  return { when: link, why: "it knows the new authority only by the old root, which ends", fix };
}
