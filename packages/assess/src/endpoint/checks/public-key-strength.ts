import { flaws, strangerIdentity, type Flaw, type FlawedIdentity } from "@cipsec/pki";
import type { SecurityOptions } from "@cipsec/originator";
import type { Check } from "../../check.ts";
import type { Recorder } from "../../evidence/recorder.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { servesDtls, withoutCertificates } from "../allowed.ts";
import { mustRefuseUnchecked, unchecked } from "../unchecked-identity.ts";
import type { EndpointSubject } from "../subject.ts";
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

/** A TLS library refuses to present these itself; our own DTLS presents what it is given. */
const dtlsOnly: ReadonlySet<Flaw> = new Set(["wrong-key", "weak-key"]);

const notPresented = {
  observed: "not tried: it can be presented over DTLS only, which the device does not serve",
  holds: undefined,
} as const;

/** Without a clock a device cannot judge these. */
const timed: ReadonlySet<Flaw> = new Set(["expired", "future"]);

/** B-1.9: certificates with one flaw each, against one made in the same way without a flaw. */
export const publicKeyStrength: Check<EndpointSubject> = {
  id: "B-1.9",
  version: "1.1",
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
    const { signer, posture } = subject;
    const now = new Date(subject.clock.wallNow() ?? 0);
    const hasDtls = servesDtls(subject);
    const as = (certificate: SecurityOptions["certificate"]): SecurityOptions => ({
      acceptAny: true,
      ...(certificate === undefined ? {} : { certificate }),
    });
    const limits: string[] = [];
    const observations: Observation[] = [];
    const good = await signer?.make("none", now);
    for (const over of hasDtls ? (["tls", "dtls"] as const) : (["tls"] as const))
      observations.push(
        control({
          name: `certificate without a flaw over ${over}`,
          expected: "let in",
          ...mustAccept(await tryIn(subject, recorder, `good-${over}`, { sent: flaws.none, security: as(good), over })),
        }),
      );
    for (const { flaw, part } of cases) {
      const over = dtlsOnly.has(flaw) ? "dtls" : "tls";
      if (over === "dtls" && !hasDtls) {
        observations.push(negative({ name: `${part}: ${flaw}`, expected: `refused: ${flaws[flaw]}`, ...notPresented }));
        continue;
      }
      const identity = await signer?.make(flaw, now);
      const tried = await repeated(async (run) => {
        if (over === "dtls" && identity !== undefined)
          return await mustRefuseUnchecked(subject, recorder, `${flaw}-${run}`, flaws[flaw], unchecked(identity));
        return mustRefuse(
          await tryIn(subject, recorder, `${flaw}-${run}`, { sent: flaws[flaw], security: as(identity), over }),
        );
      });
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
    observations.push(...(await missingIntermediate(subject, recorder, now, limits)));
    const stranger = await strangerIdentity(now);
    observations.push(
      negative({
        name: "b chain: unknown authority",
        expected: "refused",
        ...(await repeated(async (run) =>
          mustRefuse(
            await tryIn(subject, recorder, `unknown-${run}`, {
              sent: "a chain to an unknown authority",
              security: as(stranger),
            }),
          ),
        )),
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
  },
};

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
