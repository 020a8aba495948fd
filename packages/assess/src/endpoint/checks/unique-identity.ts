import { connect, readPosture } from "@cipsec/originator";
import type { Check } from "../../check.ts";
import { capability, control } from "../../observation.ts";
import { allowedSuites, knownSuites, whoKnowsSuites } from "../allowed.ts";
import type { EndpointSubject } from "../subject.ts";
import { sessionOptions } from "../way.ts";
import { withoutSecurity } from "../without-security.ts";

/** B-1.2R1: the identity belongs to this unit alone. */
export const uniqueIdentity: Check<EndpointSubject> = {
  id: "B-1.2R1",
  version: "1.0",
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
    const own = subject.posture?.deviceCertificate ?? undefined;
    const other = subject.second === undefined ? undefined : await certificateOf(subject);
    const evidence = [await recorder.settings("identity", { suites, own, other })];
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
          observed:
            own === undefined || other === undefined
              ? "there is no second unit to compare with (--second)"
              : `${own.sha256} here, ${other} there`,
          holds: own === undefined || other === undefined ? undefined : own.sha256 !== other,
          evidence,
        }),
      ],
      howMet: "One certificate for each unit, and no key that several share.",
    };
  },
};

async function certificateOf(subject: EndpointSubject): Promise<string | undefined> {
  const { second, security } = subject;
  if (second === undefined || security === undefined) return undefined;
  await using session = await connect({ ...second, scheme: "eips" }, { ...sessionOptions(subject), security });
  return (await readPosture(session)).deviceCertificate?.sha256;
}
