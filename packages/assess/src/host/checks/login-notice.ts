import type { Check } from "../../check.ts";
import { capability, type Observation } from "../../observation.ts";
import { openAccounts } from "../accounts.ts";
import { openSshDoor } from "../login.ts";
import type { HostSubject } from "../subject.ts";

/** Texts that distributions ship: they name the system and say nothing of its use. */
const shipped = /^(?:Debian GNU\/Linux|Ubuntu|Welcome to|\\S|Kernel)/i;

/** What a notice must not tell to somebody who is not logged in yet. */
const tellsTooMuch = /\b(?:password|passwd|passphrase)\s*[:=]|\\[rvms]|\b\d+\.\d+\.\d+/i;

/** C-1.12: before the login a notice of the use is shown, and tells no secrets. */
export const loginNotice: Check<HostSubject> = {
  id: "C-1.12",
  version: "1.0",
  title: "A notice is shown before the login",
  requirements: ["CR 1.12"],
  part: "whole",
  method: "test",
  needs: ["root"],
  estimateMs: 3000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    const observations: Observation[] = [];
    const notice = await bench.see("issue", ["cat", "/etc/issue"]);
    const text = notice.stdout.trim();
    observations.push(
      capability({
        name: "notice on the console",
        expected: "a text of the owner's in /etc/issue",
        observed: text === "" ? "none" : text.slice(0, 100),
        holds: isNotice(text),
        evidence: notice.evidence,
      }),
      capability({
        name: "what the console's notice tells",
        expected: "no passwords and no versions",
        observed: tellsTooMuch.test(text) ? "it does tell" : "none",
        holds: !tellsTooMuch.test(text),
        otherwise: /password\s*[:=]/i.test(text) ? "fail" : "partial",
        evidence: notice.evidence,
      }),
    );
    await using door = await openSshDoor(bench);
    if (door !== undefined) {
      const shown = await bench.see(
        "ssh-banner",
        door.client(["BatchMode=yes", "PreferredAuthentications=none"], bench.first.name),
      );
      const before = shown.stderr
        .split("\n")
        .filter((line) => line !== "" && !/permission denied|^(?:warning|pseudo-terminal)/i.test(line))
        .join(" ");
      observations.push(
        capability({
          name: "notice over SSH",
          expected: "shown before anything is asked",
          observed: before === "" ? `none (Banner ${door.settings.get("banner")?.[0] ?? "?"})` : before.slice(0, 100),
          holds: isNotice(before),
          evidence: shown.evidence,
        }),
      );
    }
    return {
      observations,
      howMet: "A notice is shown before the login; its text is a file that an administrator changes.",
      limits: door === undefined ? ["SSH: the host has no SSH server"] : [],
      deviation: "The text that the distribution ships is no notice of use.",
      userAction: "Provide a text that fits use, industry and region.",
    };
  },
};

/** Whether a text is more than what a distribution ships. */
export function isNotice(text: string): boolean {
  return text.length >= 20 && !shipped.test(text);
}
