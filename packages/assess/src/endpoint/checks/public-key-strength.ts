import { flaws, makeKeyPair, strangerIdentity, type Flaw, type FlawedIdentity, type FlawedSigner } from "@cipsec/pki";
import type { SecurityOptions } from "@cipsec/originator";
import type { Check, Findings } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation, type Try } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { servesDtls, withoutCertificates } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import { restoreIdentities, withoutList } from "../trusted-identities.ts";
import { presentUnchecked, presentUncheckedOverDtls, unchecked } from "../unchecked-identity.ts";
import { withoutSecurity } from "../without-security.ts";

/** Which of the six cases of the requirement a flaw belongs to, and which settings it depends on. */
const cases: readonly { readonly flaw: Exclude<Flaw, "none">; readonly part: string }[] = [
  { flaw: "bad-signature", part: "a signature" },
  { flaw: "self-signed", part: "b chain" },
  { flaw: "wrong-key", part: "d key possession" },
  { flaw: "weak-key", part: "f algorithms" },
  { flaw: "expired", part: "validity" },
  { flaw: "future", part: "validity" },
  { flaw: "wrong-usage", part: "usage" },
];

/** A TLS library refuses to present these itself; our own handshakes present what they are given. */
const unpresentable: ReadonlySet<Flaw> = new Set(["wrong-key", "weak-key"]);

/** What a device with a list of its peers refuses whether it has a flaw or not. */
const unlisted = {
  observed:
    "not told: the device lets in listed certificates alone (attribute 12); with --disruptive the list is lifted for the time",
  holds: undefined,
} as const;

/** Without a clock a device cannot judge these. */
const timed: ReadonlySet<Flaw> = new Set(["expired", "future"]);

/** B-1.9: certificates with one flaw each, against one made in the same way without a flaw. */
export const publicKeyStrength: Check<EndpointSubject> = {
  id: "B-1.9",
  version: "1.4",
  title: "Certificates with one flaw each are refused",
  requirements: ["CR 1.9"],
  part: "protocol",
  method: "test",
  crossReferences: ["TC_CR1.9_1", "TC_CR1.9_2", "TC_CR1.9_3", "TC_CR1.9_4", "TC_CR1.9_5", "TC_CR1.9_6"],
  needs: ["credentials", "trusted-authority"],
  estimateMs: 15_000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject) ?? (await withoutCertificates(subject));
    if (without !== undefined) return without;
    const { signer, disruptive, posture } = subject;
    if (signer === undefined) return { observations: [] };
    const condition = "the device accepts listed peers alone (EtherNet/IP Security attribute 12)";
    if (posture === undefined || posture.trustedIdentities.length === 0)
      return await tryFlaws(subject, signer, recorder);
    if (!disruptive) return { observations: await tryListed(subject, recorder), conditions: [condition] };
    const found = await withoutList(subject, recorder, async () => await tryFlaws(subject, signer, recorder));
    return { ...found, conditions: [...(found.conditions ?? []), `${condition}; the list was lifted for the time`] };
  },
  restore: restoreIdentities,
};

const as = (certificate: FlawedIdentity): SecurityOptions => ({ acceptAny: true, certificate });

async function tryFlaws(subject: EndpointSubject, signer: FlawedSigner, recorder: Recorder): Promise<Findings> {
  const { posture } = subject;
  const now = new Date(subject.clock.wallNow() ?? 0);
  const hasDtls = servesDtls(subject);
  const limits: string[] = [];
  const observations: Observation[] = [];
  const good = await signer.make("none", now);
  for (const over of hasDtls ? (["tls", "dtls"] as const) : (["tls"] as const))
    observations.push(
      control({
        name: `certificate without a flaw over ${over}`,
        expected: "let in",
        ...mustAccept(await tryIn(subject, recorder, `good-${over}`, { sent: flaws.none, security: as(good), over })),
      }),
    );
  const byOurs = await presentUnchecked(subject, recorder, "good-unchecked", flaws.none, unchecked(good));
  for (const { flaw, part } of cases) {
    const identity = await signer.make(flaw, now);
    const attempt = async (name: string): Promise<Try> => {
      if (!unpresentable.has(flaw))
        return mustRefuse(await tryIn(subject, recorder, name, { sent: flaws[flaw], security: as(identity) }));
      return byOurs.result === "accepted"
        ? mustRefuse(await presentUnchecked(subject, recorder, name, flaws[flaw], unchecked(identity)))
        : { holds: undefined, observed: `not tried: by our own handshake a good one is not let in: ${byOurs.words}` };
    };
    const tried = await repeated(async (run) => await attempt(`${flaw}-${run}`));
    const setting =
      timed.has(flaw) && posture?.checkExpiration === false ? "; expiry is not checked (attribute 11)" : "";
    observations.push(
      negative({
        name: `${part}: ${flaw}`,
        expected: `refused: ${flaws[flaw]}`,
        ...tried,
        observed: `${tried.observed}${setting}`,
      }),
    );
  }
  if (hasDtls) observations.push(await wrongKeyOverDtls(subject, recorder, good, await signer.make("wrong-key", now)));
  observations.push(...(await missingIntermediate(subject, recorder, now, limits)));
  const stranger = await strangerIdentity(now);
  observations.push(
    negative({
      name: "b chain: unknown authority",
      expected: "refused",
      ...(await repeated(async (run) => {
        const attempt = { sent: "a chain to an unknown authority", security: as(stranger) };
        return mustRefuse(await tryIn(subject, recorder, `unknown-${run}`, attempt));
      })),
    }),
  );
  // A device that lets nobody in any more has refused none of them for a flaw.
  for (const over of hasDtls ? (["tls", "dtls"] as const) : (["tls"] as const))
    observations.push(
      control({
        name: `certificate without a flaw over ${over}, afterwards`,
        expected: "let in",
        ...mustAccept(
          await tryIn(subject, recorder, `good-${over}-after`, { sent: flaws.none, security: as(good), over }),
        ),
      }),
    );
  const lists = posture?.crl ?? [];
  observations.push(
    capability({
      name: "c revocation: list",
      expected: "a revocation list is installed",
      observed:
        lists.length === 0
          ? "none: nothing that was revoked can be refused"
          : lists.map(({ issuer, revoked }) => `${issuer}: ${revoked} revoked`).join("; "),
      holds: lists.length > 0,
      otherwise: "partial",
    }),
  );
  if (lists.length > 0) limits.push("a revoked certificate was not presented: its private key is with its holder");
  if (hasDtls) limits.push("over DTLS no weak key was presented, and no flaw but a key that is not the certificate's");
  limits.push("identity mapping (case e): accounts are not assessed yet");
  return {
    observations,
    howMet:
      "Each certificate that a caller presents is judged by signature, chain, validity, usage, strength and possession of its key.",
    conditions: [
      "expiry is checked (EtherNet/IP Security attribute 11)",
      "a current revocation list is installed (attribute 8)",
    ],
    limits,
    userAction: "Keep the device's revocation list current, and its clock set.",
  };
}

/** As over TLS: where by our own handshake a good certificate is not let in, that another one is refused shows nothing. */
async function wrongKeyOverDtls(
  subject: EndpointSubject,
  recorder: Recorder,
  good: FlawedIdentity,
  identity: FlawedIdentity,
): Promise<Observation> {
  const sent = flaws["wrong-key"];
  const byOurs = await presentUncheckedOverDtls(subject, recorder, "good-unchecked-dtls", flaws.none, unchecked(good));
  const attempt = async (run: number): Promise<Try> =>
    byOurs.result === "accepted"
      ? mustRefuse(
          await presentUncheckedOverDtls(subject, recorder, `wrong-key-dtls-${run}`, sent, unchecked(identity)),
        )
      : { holds: undefined, observed: `not tried: by our own handshake a good one is not let in: ${byOurs.words}` };
  return negative({
    name: "d key possession: wrong-key over dtls",
    expected: `refused: ${sent}`,
    ...(await repeated(attempt)),
  });
}

/** At a device that lets in who is listed, and nobody is listed for us: the trusted caller's own certificate, with his key and another. */
async function tryListed(subject: EndpointSubject, recorder: Recorder): Promise<readonly Observation[]> {
  const { security = {} } = subject;
  const { certificate } = security;
  const other = cases
    .filter(({ flaw }) => flaw !== "wrong-key")
    .map(({ flaw, part }) => negative({ name: `${part}: ${flaw}`, expected: `refused: ${flaws[flaw]}`, ...unlisted }));
  if (certificate === undefined) return other;
  const { privateKey } = await makeKeyPair();
  const own = unchecked(certificate);
  return [
    control({
      name: "a certificate that is listed",
      expected: "let in",
      ...mustAccept(await presentUnchecked(subject, recorder, "listed", "the trusted caller's certificate", own)),
    }),
    negative({
      name: "d key possession: wrong-key",
      expected: `refused: ${flaws["wrong-key"]}`,
      ...(await repeated(async (run) => {
        const sent = "the trusted caller's certificate, signed with another key";
        return mustRefuse(
          await presentUnchecked(subject, recorder, `wrong-key-${run}`, sent, { ...own, key: privateKey }),
        );
      })),
    }),
    ...other,
  ];
}

/** A certificate below an authority that only the chain brings along: with it, and without. */
async function missingIntermediate(
  subject: EndpointSubject,
  recorder: Recorder,
  now: Date,
  limits: string[],
): Promise<readonly Observation[]> {
  const { posture, signer } = subject;
  const trustsRoot = posture?.trustedAuthorities.some(({ sha256 }) => sha256 === signer?.root.facts.sha256) ?? false;
  const below = trustsRoot ? await signer?.makeBelow(now) : undefined;
  if (below === undefined) {
    limits.push(
      trustsRoot
        ? "a missing intermediate was not tried: the root's key is not at hand"
        : "a missing intermediate was not tried: the device trusts the issuing authority itself",
    );
    return [];
  }
  const attempt = async (name: string, sent: string, certificate: FlawedIdentity) =>
    await tryIn(subject, recorder, name, { sent, security: { acceptAny: true, certificate } });
  return [
    control({
      name: "b chain: with its intermediate",
      expected: "let in",
      ...mustAccept(await attempt("below-whole", "a chain of three, root left out", below.whole)),
    }),
    negative({
      name: "b chain: without its intermediate",
      expected: "refused",
      ...(await repeated(async (run) =>
        mustRefuse(await attempt(`below-alone-${run}`, "the same leaf alone", below.leafAlone)),
      )),
    }),
  ];
}
