import { readPosture } from "@cipsec/originator";
import type { Check } from "../../check.ts";
import { capability, control } from "../../observation.ts";
import { settingsHash, type EndpointSubject } from "../subject.ts";
import { withoutSecurity } from "../without-security.ts";

/** B-7.6 and B-7.6R1, without changing anything: the settings can be read whole, by a program, and are those of a secured device. */
export const settingsReport: Check<EndpointSubject> = {
  id: "B-7.6",
  version: "1.0",
  title: "Network and security settings are readable and as recommended",
  requirements: ["CR 7.6", "CR 7.6 RE(1)"],
  part: "whole",
  method: "examine",
  needs: ["credentials"],
  estimateMs: 1500,
  async run(subject, recorder) {
    const without = withoutSecurity(subject);
    if (without !== undefined) return without;
    if (subject.posture?.security === null)
      return {
        observations: [
          capability({
            name: "security settings",
            expected: "attributes of the CIP Security objects",
            observed: "the device has none of them: its channel is that of something in front of it",
            holds: false,
            otherwise: "partial",
          }),
        ],
      };
    await using session = await subject.open();
    const first = await readPosture(session);
    const second = await readPosture(session);
    const evidence = [await recorder.settings("settings", first), await recorder.settings("settings-again", second)];
    const unread = first.unread.map(({ what }) => what);
    const secrets = /PRIVATE KEY|"key":\s*"[0-9a-f]{8,}/i.test(JSON.stringify(first));
    const grave = first.findings.filter(({ severity }) => severity === "high");
    return {
      observations: [
        control({
          name: "settings read",
          expected: "over the secure channel",
          observed: `${first.channel.protocol}, ${first.ports.length} ports, ${first.suites?.allowed.length ?? 0} suites`,
          holds: true,
          evidence,
        }),
        capability({
          name: "every setting is read",
          expected: "none is withheld from the administrator",
          observed: unread.length === 0 ? "all were read" : `not ${unread.join(", ")}`,
          holds: unread.length === 0,
          otherwise: "partial",
          evidence,
        }),
        capability({
          name: "recommended settings",
          expected: "no grave finding",
          observed: grave.length === 0 ? "none" : grave.map(({ what }) => what).join(" "),
          holds: grave.length === 0,
          requirements: ["CR 7.6"],
          evidence,
        }),
        capability({
          name: "the report repeats itself",
          expected: "two readings are equal",
          observed: settingsHash(first) === settingsHash(second) ? "equal" : "they differ",
          holds: settingsHash(first) === settingsHash(second),
          requirements: ["CR 7.6 RE(1)"],
          evidence,
        }),
        capability({
          name: "secrets in the report",
          expected: "none",
          observed: secrets ? "there are" : "none",
          holds: !secrets,
          requirements: ["CR 7.6 RE(1)"],
          evidence,
        }),
      ],
      howMet:
        "All network and security settings are attributes of standard objects, read by one program into one report.",
      limits: ["settings were not changed by this check: see B-2.6 for one that takes effect"],
    };
  },
};
