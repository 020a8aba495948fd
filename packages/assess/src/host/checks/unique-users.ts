import type { Check } from "../../check.ts";
import { capability, control, negative, repeated } from "../../observation.ts";
import { loggedIn, makeAccount, openAccounts } from "../accounts.ts";
import { makeBench } from "../bench.ts";
import { localPaths } from "../login.ts";
import { duplicates, parseGroup, parsePasswd } from "../parse/accounts.ts";
import type { HostSubject } from "../subject.ts";

/** What the kernel says where no login number was set. */
const noLoginUid = "4294967295";

/** C-1.1R1: no two users share a name or a number, none can be made that do, and what they do is told apart. */
export const uniqueUsers: Check<HostSubject> = {
  id: "C-1.1R1",
  version: "1.0",
  title: "Every user is a different one",
  requirements: ["CR 1.1 RE(1)", "CR 1.4"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.1-RE1_1", "TC_CR1.4_1"],
  needs: ["root"],
  estimateMs: 5000,
  async run(subject, recorder) {
    const host = makeBench(subject, recorder);
    const accounts = await host.see("accounts", ["getent", "passwd"]);
    const groups = await host.see("groups", ["getent", "group"]);
    const users = parsePasswd(accounts.stdout);
    const all = parseGroup(groups.stdout);
    const twice = {
      "user numbers": duplicates(users.map(({ uid }) => String(uid))),
      "user names": duplicates(users.map(({ name }) => name)),
      "group numbers": duplicates(all.map(({ gid }) => String(gid))),
      "group names": duplicates(all.map(({ name }) => name)),
    };
    await using bench = await openAccounts(subject, recorder);
    const uid = (await bench.see("id", ["id", "-u", bench.first.name])).stdout.trim();
    const other = await makeAccount(bench, "iec_t3");
    const refusedTo = async (name: string, argv: readonly string[]) =>
      await repeated(async (run) => {
        const seen = await bench.see(`${name}-${run}`, argv);
        return {
          holds: seen.exit !== 0,
          observed: seen.exit === 0 ? "done" : seen.stderr.trim().slice(0, 120),
          evidence: seen.evidence,
        };
      });
    const logins = await Promise.all(
      [bench.first, bench.second].map(async ({ name, password }) => {
        const path = localPaths.find((one) => one.name === "console") ?? localPaths[0];
        const result = await path?.attempt(bench, `login-${name}`, name, password);
        const [, seenUid, loginUid] = loggedIn.exec(result?.transcript ?? "") ?? [];
        return { seenUid, loginUid, evidence: result?.evidence ?? [] };
      }),
    );
    const loginUids = logins.map(({ loginUid }) => loginUid ?? noLoginUid);
    const areTold = logins.every(({ seenUid, loginUid }) => seenUid === loginUid) && new Set(loginUids).size === 2;
    return {
      observations: [
        ...Object.entries(twice).map(([what, found]) =>
          capability({
            name: `${what} that come twice`,
            expected: "none",
            observed: found.length === 0 ? "none" : found.join(", "),
            holds: found.length === 0,
            ...(what.startsWith("group") ? { requirements: ["CR 1.4"] as const } : {}),
            evidence: what.startsWith("group") ? groups.evidence : accounts.evidence,
          }),
        ),
        control({
          name: "a new user",
          expected: "gets a number of its own",
          observed: `${bench.first.name} ${uid}, ${other.name} another`,
          holds: /^\d+$/.test(uid),
        }),
        negative({
          name: "a new user with another's number",
          expected: "refused",
          ...(await refusedTo("useradd-same-number", ["useradd", "--uid", uid, "iec_t4"])),
        }),
        negative({
          name: "renaming a user to another's name",
          expected: "refused",
          ...(await refusedTo("usermod-same-name", ["usermod", "--login", bench.first.name, other.name])),
        }),
        capability({
          name: "what two users do is told apart",
          expected: "the kernel's login numbers are theirs and differ",
          observed: areTold ? "they differ" : `login numbers ${loginUids.join(" and ")}`,
          holds:
            loginUids.includes(noLoginUid) || logins.some(({ seenUid }) => seenUid === undefined) ? undefined : areTold,
          otherwise: "partial",
          requirements: ["CR 1.1 RE(1)"],
          evidence: logins.flatMap(({ evidence }) => evidence),
        }),
      ],
      howMet:
        "The system's own tools give every user and group a number and a name of its own and refuse one that is taken.",
      limits: [
        "numbers shared on purpose (`useradd --non-unique`) can be set by an administrator",
        "CR 1.4 rests on the same evidence",
      ],
      userAction: "Use adduser, or another method that makes unique numbers; share no accounts.",
    };
  },
};
