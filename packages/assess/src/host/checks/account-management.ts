import type { Check } from "../../check.ts";
import { capability, control, negative, type Observation } from "../../observation.ts";
import { newPassword, openAccounts, setPassword, withoutDelays } from "../accounts.ts";
import { mustBeRefused, mustLogIn, openPaths } from "../login.ts";
import type { HostSubject } from "../subject.ts";

/** C-1.3: accounts are added, changed, disabled, enabled and removed, and each step counts at the next login on every way in. */
export const accountManagement: Check<HostSubject> = {
  id: "C-1.3",
  version: "1.0",
  title: "Accounts are managed, and every change counts at the next login",
  requirements: ["CR 1.3"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.3_1", "TC_CR1.3_2", "TC_CR1.3_3"],
  needs: ["root"],
  estimateMs: 60_000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    await withoutDelays(bench);
    const { paths, door, limits } = await openPaths(bench);
    await using _door = door;
    const { first } = bench;
    const observations: Observation[] = [];
    const step = async (name: string, ...argv: readonly string[]): Promise<void> => {
      const seen = await bench.see(name.replaceAll(" ", "-"), argv);
      observations.push(
        control({
          name,
          expected: "done",
          observed: seen.exit === 0 ? "done" : seen.stderr.trim().slice(0, 150),
          holds: seen.exit === 0,
          evidence: seen.evidence,
        }),
      );
    };
    const letsIn = async (when: string, account = first): Promise<void> => {
      for (const path of paths)
        observations.push(
          control({
            name: `${when}: login on ${path.name}`,
            expected: "logged in",
            ...(await mustLogIn(bench, path, `${when.replaceAll(" ", "-")}-${path.name}`, account)),
          }),
        );
    };
    const refuses = async (when: string, secret = first.password): Promise<void> => {
      for (const path of paths)
        observations.push(
          negative({
            name: `${when}: login on ${path.name}`,
            expected: "refused",
            ...(await mustBeRefused(bench, path, `${when.replaceAll(" ", "-")}-${path.name}`, first.name, secret)),
          }),
        );
    };
    await letsIn("account added");
    const changed = { ...first, password: newPassword(recorder) };
    await setPassword(bench, changed);
    await refuses("old password after a change");
    await letsIn("new password", changed);
    await step("add to a group", "usermod", "--append", "--groups", bench.second.name, first.name);
    const groups = await bench.see("groups-after", ["id", "-nG", first.name]);
    observations.push(
      capability({
        name: "membership",
        expected: `in the group ${bench.second.name}`,
        observed: groups.stdout.trim(),
        holds: groups.stdout.trim().split(/\s+/).includes(bench.second.name),
        evidence: groups.evidence,
      }),
    );
    await step("disable", "usermod", "--expiredate", "1", first.name);
    await refuses("account disabled", changed.password);
    await step("enable", "usermod", "--expiredate", "", first.name);
    await letsIn("account enabled", changed);
    await step("lock the password", "usermod", "--lock", first.name);
    await refuses("password locked", changed.password);
    await step("remove", "userdel", "--force", "--remove", first.name);
    await refuses("account removed", changed.password);
    return {
      observations,
      howMet: "useradd, usermod, passwd and userdel manage accounts; each change counts at the next login.",
      conditions: ["tried in a private copy of the host's accounts"],
      limits: [
        ...limits,
        "sessions that run already go on when an account is disabled: end them with 'loginctl terminate-user'",
      ],
      userAction:
        "Add a directory client where the product is part of a bigger system; end running sessions when disabling an account.",
    };
  },
};
