import type { Check } from "../../check.ts";
import { absence, capability } from "../../observation.ts";
import { makeBench } from "../bench.ts";
import type { HostSubject } from "../subject.ts";

/** C-1.6: a host without a radio has nothing that a wireless user could be let into. */
export const wireless: Check<HostSubject> = {
  id: "C-1.6",
  version: "1.0",
  title: "Wireless users",
  requirements: ["NDR 1.6", "NDR 1.6 RE(1)"],
  part: "whole",
  method: "examine",
  needs: ["root"],
  estimateMs: 1000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const radios = await bench.see("radios", [
      "find",
      "/sys/class/net/",
      "/sys/class/ieee80211/",
      "/sys/class/bluetooth/",
      "-mindepth",
      "1",
      "-maxdepth",
      "1",
    ]);
    const phys = await bench.see("wireless", [
      "sh",
      "-c",
      'for link in /sys/class/net/*; do if [ -d "$link/wireless" ] || [ -d "$link/phy80211" ]; then basename "$link"; fi; done',
    ]);
    const found = [
      ...phys.stdout.split("\n").filter(Boolean),
      ...radios.stdout.split("\n").filter((line) => /ieee80211|bluetooth/.test(line)),
    ];
    const evidence = [...radios.evidence, ...phys.evidence];
    return {
      observations: [
        absence({
          name: "no radio",
          expected: "no wireless interface, no Bluetooth",
          observed: found.length === 0 ? "none found" : found.join(", "),
          holds: found.length === 0,
          evidence,
        }),
        ...(found.length === 0
          ? []
          : [
              capability({
                name: "users of the radio",
                expected: "only those that an authentication server knows, each by name",
                observed: "not tried: it needs an access point and a RADIUS server for the test",
                holds: undefined,
              }),
            ]),
      ],
      howMet: "The host has no radio.",
      userAction: "Provide authentication server, client tools and roles where the product has a radio.",
    };
  },
};
