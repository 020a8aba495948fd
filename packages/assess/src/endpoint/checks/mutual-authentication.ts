import { strangerIdentity } from "@cipsec/pki";
import type { SecurityOptions } from "@cipsec/originator";
import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { mustAccept, mustRefuse, tryIn } from "../attempt.ts";
import { allowedSuites, knownSuites, servesDtls } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** B-1.2: both ends prove who they are before anything is exchanged, over TLS and over DTLS. */
export const mutualAuthentication: Check<EndpointSubject> = {
  id: "B-1.2",
  version: "1.1",
  title: "Device and caller prove themselves to each other",
  requirements: ["CR 1.2"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 6000,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const security = subject.security ?? {};
    const now = new Date(subject.clock.wallNow() ?? 0);
    const stranger = await strangerIdentity(now);
    const suites = await allowedSuites(subject);
    const bare: SecurityOptions = { acceptAny: true };
    const observations: Observation[] = [];
    for (const over of servesDtls(subject) ? (["tls", "dtls"] as const) : (["tls"] as const)) {
      const let_in = mustAccept(
        await tryIn(subject, recorder, `${over}-trusted`, { sent: "the trusted caller's credentials", security, over }),
      );
      observations.push(
        control({ name: `trusted caller over ${over}`, expected: "let in", ...let_in }),
        negative({
          name: `no certificate over ${over}`,
          expected: "refused",
          ...(await repeated(async (run) =>
            mustRefuse(
              await tryIn(subject, recorder, `${over}-none-${run}`, { sent: "no certificate", security: bare, over }),
            ),
          )),
        }),
        negative({
          name: `unknown authority over ${over}`,
          expected: "refused",
          ...(await repeated(async (run) =>
            mustRefuse(
              await tryIn(subject, recorder, `${over}-stranger-${run}`, {
                sent: "a certificate of an unknown authority",
                security: { ...bare, certificate: stranger },
                over,
              }),
            ),
          )),
        }),
        // A device that lets nobody in any more, whoever it is, has refused none of them for what they are.
        control({
          name: `trusted caller over ${over}, afterwards`,
          expected: "let in",
          ...mustAccept(
            await tryIn(subject, recorder, `${over}-trusted-after`, {
              sent: "the trusted caller's credentials once more",
              security,
              over,
            }),
          ),
        }),
      );
    }
    const usesCertificates = knownSuites(suites).some(({ auth }) => auth !== "psk");
    const verifies = subject.posture?.verifyClient ?? undefined;
    if (usesCertificates)
      observations.push(
        capability({
          name: "client verification",
          expected: "on (EtherNet/IP Security attribute 9)",
          observed: words(verifies),
          holds: verifies,
        }),
      );
    const peer = subject.posture?.channel.peer;
    observations.push(
      capability({
        name: "the device proves itself",
        expected: "by a certificate that the plant trusts, or by the pre-shared key",
        observed:
          peer === null || peer === undefined
            ? "nothing was shown"
            : `${peer.kind} ${peer.name}${peer.verified ? "" : ", not verified here"}`,
        holds: peer?.verified === true ? true : undefined,
      }),
    );
    return {
      observations,
      howMet:
        "Mutual authentication by TLS and DTLS: the device refuses callers without a certificate or key that it trusts, and shows one of its own.",
      conditions: usesCertificates
        ? ["client verification (EtherNet/IP Security attribute 9) is on"]
        : ["pre-shared keys are known to their holders only"],
      limits: servesDtls(subject) ? [] : ["DTLS: the device does not serve it"],
    };
  },
};

function words(value: boolean | undefined): string {
  return value === undefined ? "could not be read" : value ? "on" : "off";
}
