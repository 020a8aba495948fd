import { connect, type TargetAddress } from "@cipsec/originator";
import { parseCertificate } from "@cipsec/pki";
import type { Check } from "../../check.ts";
import { capability, control } from "../../observation.ts";
import { sha256Of } from "../../evidence/store.ts";
import { allowedSuites, knownSuites, whoKnowsSuites } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import { sessionOptions } from "../way.ts";
import { withoutSecurity } from "../without-security.ts";

/** B-1.2R1: the identity belongs to this unit alone. */
export const uniqueIdentity: Check<EndpointSubject> = {
  id: "B-1.2R1",
  version: "1.1",
  title: "Each unit has an identity of its own",
  requirements: ["CR 1.2 RE(1)"],
  part: "whole",
  method: "test",
  needs: ["credentials"],
  estimateMs: 1500,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    const suites = await allowedSuites(subject);
    const psk = knownSuites(suites).filter(({ auth }) => auth === "psk");
    const [own, other] = subject.second === undefined ? [] : await shownByBoth(subject, subject.second);
    const told = (one: Shown | undefined) => one && { certificateSha256: one.certificate, keySha256: one.key };
    const evidence = [await recorder.settings("identity", { suites, own: told(own), other: told(other) })];
    return {
      observations: [
        control({
          name: "settings read",
          expected: "suites and certificate",
          observed: suites === undefined ? "the device has no list of suites" : `${suites.length} suites`,
          holds: true,
          evidence,
        }),
        capability({
          name: "no shared keys",
          expected: "no pre-shared key suite is allowed",
          observed:
            suites === undefined
              ? "the device has no list of suites"
              : psk.length === 0
                ? "none is"
                : psk.map(({ name }) => name).join(", "),
          holds: suites === undefined ? undefined : psk.length === 0,
          ...(suites === undefined ? { askedOf: whoKnowsSuites } : {}),
          evidence,
        }),
        capability({
          name: "another unit's certificate",
          expected: "a different certificate and key",
          observed: wordsOf(subject, own, other),
          holds:
            own === undefined || other === undefined
              ? undefined
              : own.certificate !== other.certificate && own.key !== other.key,
          evidence,
        }),
      ],
      howMet: "One certificate for each unit, and no key that several share.",
    };
  },
};

/** SHA-256 of a certificate, and of the public key in it. */
interface Shown {
  readonly certificate: string;
  readonly key: string;
}

/** What both units prove themselves by in a handshake: what they say of their certificates is not enough. */
async function shownByBoth(subject: EndpointSubject, second: TargetAddress): Promise<readonly (Shown | undefined)[]> {
  const { host, eips: port, security } = subject;
  const shown: (Shown | undefined)[] = [];
  for (const target of [{ host, port }, second]) {
    await using session = await connect(
      { ...target, scheme: "eips" },
      { ...sessionOptions(subject), ...(security === undefined ? {} : { security }) },
    );
    const peer = session.facts.security?.peer;
    if (peer?.kind === "certificate") {
      const key = parseCertificate(peer.der).publicKey.export({ type: "spki", format: "der" });
      shown.push({ certificate: peer.sha256, key: sha256Of(key) });
    } else shown.push(undefined);
  }
  return shown;
}

function wordsOf({ second }: EndpointSubject, own: Shown | undefined, other: Shown | undefined): string {
  if (second === undefined) return "there is no second unit to compare with (--second)";
  if (own === undefined || other === undefined) return "one of them showed no certificate";
  if (own.certificate === other.certificate) return `${own.certificate} here and there`;
  const certificates = `${own.certificate} here, ${other.certificate} there`;
  return own.key === other.key ? `one key under two certificates: ${certificates}` : certificates;
}
