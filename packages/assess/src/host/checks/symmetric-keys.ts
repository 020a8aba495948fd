import type { Check } from "../../check.ts";
import { absence, capability } from "../../observation.ts";
import { makeBench } from "../bench.ts";
import type { HostSubject } from "../subject.ts";

/** Places where Linux programs keep keys that two sides share. */
const places = [
  "/etc/wireguard",
  "/etc/ipsec.secrets",
  "/etc/ipsec.d",
  "/etc/swanctl",
  "/etc/strongswan",
  "/etc/wpa_supplicant",
  "/etc/NetworkManager/system-connections",
  "/etc/openvpn",
  "/etc/bind/rndc.key",
  "/etc/chrony/chrony.keys",
  "/etc/ntp.keys",
  "/etc/snmp",
  "/etc/stunnel",
  "/etc/munge",
];

/** C-1.14: shared keys lie where only root or their service reads them. */
export const sharedKeys: Check<HostSubject> = {
  id: "C-1.14",
  version: "1.0",
  title: "Symmetric keys on the host",
  requirements: ["CR 1.14"],
  part: "whole",
  method: "examine",
  needs: ["root"],
  estimateMs: 2000,
  async run(subject, recorder) {
    const bench = makeBench(subject, recorder);
    const listed = await bench.see("key-files", ["find", ...places, "-type", "f", "-printf", "%m %u %p\\n"]);
    // `find` complains of each place that is not there: that is what is asked.
    const files = listed.stdout.split("\n").filter((line) => /^\d+ \S+ \//.test(line));
    const holders = await bench.see("key-words", [
      "grep",
      "-rlsIE",
      "^[[:space:]]*(PresharedKey|PrivateKey|psk|wep_key[0-9]|PSKsecrets|rocommunity|secret)[[:space:]]*[= ]",
      ...places,
    ]);
    const withKeys = holders.stdout.split("\n").filter(Boolean);
    const keyFiles = files.filter(
      (line) => withKeys.some((path) => line.endsWith(` ${path}`)) || /\.keys?$|ipsec\.secrets$/.test(line),
    );
    const open = keyFiles.filter((line) => (Number.parseInt(line.split(" ")[0] ?? "0", 8) & 0o077) !== 0);
    const evidence = [...listed.evidence, ...holders.evidence];
    if (keyFiles.length === 0)
      return {
        observations: [
          absence({
            name: "no shared keys",
            expected: "none in the places where Linux programs keep them",
            observed: `none in ${files.length} files of ${places.length} places`,
            holds: listed.stdout !== "" || listed.exit === 0 || /No such file/.test(listed.stderr),
            evidence,
          }),
        ],
        limits: ["keys of the product's own programs were not looked for"],
        userAction: "Name the symmetric keys of the product, review them and show proof.",
      };
    return {
      observations: [
        capability({
          name: "shared keys that others can read",
          expected: "none",
          observed: open.length === 0 ? `none of ${keyFiles.length}` : open.join(", "),
          holds: open.length === 0,
          evidence,
        }),
        capability({
          name: "length, algorithm and rotation of the keys",
          expected: "128 bits and more, sound algorithms, changed as the policy says",
          observed: "the files do not say: a person must",
          holds: undefined,
          evidence,
        }),
      ],
      howMet: "Shared keys lie in files that only root or their service reads.",
      userAction: "Name the symmetric keys of the product, review them and show proof.",
    };
  },
};
