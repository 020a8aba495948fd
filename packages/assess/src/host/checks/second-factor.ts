import type { Check } from "../../check.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { openAccounts } from "../accounts.ts";
import { openPaths } from "../login.ts";
import { moduleOf } from "../parse/pam.ts";
import { readPam } from "../read-pam.ts";
import type { HostSubject } from "../subject.ts";

/** Modules that ask for something that one has or is. */
const factorModules = [
  "pam_google_authenticator",
  "pam_oath",
  "pam_u2f",
  "pam_yubico",
  "pam_pkcs11",
  "pam_p11",
  "pam_duo",
  "pam_radius_auth",
  "pam_fprintd",
];

/** C-1.1R2: a password alone does not let anybody in. */
export const secondFactor: Check<HostSubject> = {
  id: "C-1.1R2",
  version: "1.0",
  title: "Two factors are asked for on every way in",
  requirements: ["CR 1.1 RE(2)"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.1-RE2"],
  needs: ["root"],
  estimateMs: 15_000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    const { stack, evidence } = await readPam(bench);
    const { paths, door, limits } = await openPaths(bench);
    await using _door = door;
    const observations: Observation[] = [];
    for (const path of paths) {
      const module = moduleOf(
        stack(path.name === "console" ? "login" : path.name === "ssh" ? "sshd" : "su", "auth"),
        ...factorModules,
      );
      const asked = module !== undefined;
      const tries = [];
      // Tried once where nothing asks for more: that it lets in is certain then.
      for (let run = 1; run <= (asked ? 3 : 1); run++)
        tries.push(
          await path.attempt(bench, `${path.name}-password-only-${run}`, bench.first.name, bench.first.password),
        );
      const isIn = tries.some((one) => one.isIn);
      observations.push(
        control({
          name: `${path.name} can be tried`,
          expected: "asks for a secret",
          observed: tries.every(({ wasAsked }) => wasAsked) ? "asked" : "did not ask",
          holds: tries.every(({ wasAsked }) => wasAsked),
        }),
        negative({
          name: `right password and nothing else on ${path.name}`,
          expected: "refused",
          observed: isIn ? "logged in" : "refused",
          holds: !isIn,
          runs: tries.length,
          agrees: new Set(tries.map((one) => one.isIn)).size === 1,
          evidence: tries.flatMap((one) => one.evidence),
        }),
        capability({
          name: `second factor on ${path.name}`,
          expected: "a module that asks for one, without `nullok`",
          observed: module === undefined ? "none" : `${module.module} ${module.args.join(" ")}`.trim(),
          holds: asked && !module.args.includes("nullok"),
          evidence,
        }),
      );
      if (asked)
        observations.push(
          capability({
            name: `password and code on ${path.name}`,
            expected: "logged in, once for each code",
            observed: "not tried: the accounts of this check have no second factor",
            holds: undefined,
          }),
        );
    }
    return {
      observations,
      howMet: "PAM asks for a second factor on every way in.",
      limits,
      deviation: "A password is enough on at least one way in.",
      userAction: "Add a second factor where SL 3 is the goal; weigh risk, usability, cost, law and integration.",
    };
  },
};
