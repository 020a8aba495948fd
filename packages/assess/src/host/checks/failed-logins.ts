import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { newPassword, openAccounts, type AccountBench } from "../accounts.ts";
import { openPaths, type LoginPath } from "../login.ts";
import { lockoutPolicy } from "../parse/lockout.ts";
import { readPam } from "../read-pam.ts";
import type { HostSubject } from "../subject.ts";

/** More wrong tries than this before a lock are as good as none. */
const maxDeny = 20;

/** How long the lock lasts in the private copy when its end is tried, s: the set time is often longer than a check should take. */
const shortUnlockS = 4;

/** Longer than the tries take, so that only the administrator's reset can have ended the lock. */
const longUnlockS = 600;

/** C-1.11: after the set number of wrong tries an account is locked on every way in, and opens again after the set time. */
export const failedLogins: Check<HostSubject> = {
  id: "C-1.11",
  version: "1.0",
  title: "Wrong logins are counted, lock the account, and the lock ends as set",
  requirements: ["CR 1.11"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.11_1", "TC_CR1.11_2", "TC_CR1.11_3"],
  needs: ["root"],
  estimateMs: 90_000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    const pam = await readPam(bench);
    const conf = await bench.see("faillock-conf", ["sh", "-c", "cat /etc/security/faillock.conf 2>/dev/null; true"]);
    const { paths, door, limits } = await openPaths(bench);
    await using _door = door;
    const evidence = [...pam.evidence, ...conf.evidence];
    const service = { su: "su", console: "login", ssh: "sshd" } as const;
    const policies = paths.map((path) => ({
      path,
      policy: lockoutPolicy(pam.stack(service[path.name], "auth"), conf.stdout),
    }));
    const observations: Observation[] = policies.map(({ path, policy }) =>
      capability({
        name: `lock-out setting on ${path.name}`,
        expected: `pam_faillock with deny of 1 to ${maxDeny}`,
        observed:
          policy === undefined
            ? "no module that counts"
            : `deny ${policy.deny}, unlock after ${policy.unlockS} s, root ${policy.locksRoot ? "too" : "not"}`,
        holds: policy !== undefined && policy.deny > 0 && policy.deny <= maxDeny,
        evidence,
      }),
    );
    const deny = Math.max(...policies.map(({ policy }) => policy?.deny ?? 0));
    const tries = deny > 0 && deny <= maxDeny ? deny : maxDeny / 4;
    for (const path of paths) observations.push(...(await locks(bench, path, paths, tries)));
    if (deny > 0) observations.push(...(await ends(bench, paths, tries)));
    return {
      observations,
      howMet: `After ${deny} wrong tries an account is locked on every way in; the lock ends by itself or by an administrator.`,
      conditions: policies.flatMap(({ path, policy }) =>
        policy === undefined ? [] : [`${path.name}: deny ${policy.deny}, unlock ${policy.unlockS} s`],
      ),
      limits: [
        ...limits,
        `the end of the lock was tried with ${shortUnlockS} s in a private copy of the host's policies`,
      ],
      userAction: "Keep the lock-out of the platform; other kinds of authenticators need their own.",
    };
  },
};

async function shorten(bench: AccountBench): Promise<void> {
  await bench.runner.run(["tee", "--append", "/etc/security/faillock.conf"], {
    input: `\nunlock_time = ${shortUnlockS}\n`,
  });
  const edit = "s/(pam_faillock\\.so.*)[[:space:]]unlock_time=[a-z0-9]+/\\1/";
  await bench.see("shorten-lock", ["sh", "-c", 'sed -i -E "$1" /etc/pam.d/*', "sh", edit]);
}

async function reset(bench: AccountBench): Promise<void> {
  if (await bench.subject.has("faillock"))
    await bench.see("reset", ["faillock", "--user", bench.first.name, "--reset"]);
}

/** Lines of a tally before the tries: the account's name and the heads of the columns. */
const headLines = 2;

/** Wrong tries on one path, then the right password on every path. */
async function locks(
  bench: AccountBench,
  path: LoginPath,
  all: readonly LoginPath[],
  tries: number,
): Promise<readonly Observation[]> {
  const { first } = bench;
  await reset(bench);
  const before = await path.attempt(bench, `${path.name}-before`, first.name, first.password);
  await reset(bench);
  for (let at = 1; at <= tries; at++)
    await path.attempt(bench, `${path.name}-wrong-${at}`, first.name, newPassword(bench.recorder));
  const counted = (await bench.subject.has("faillock"))
    ? await bench.see(`${path.name}-tally`, ["faillock", "--user", first.name])
    : undefined;
  const lines = Math.max(0, (counted?.stdout.trim().split("\n").length ?? 0) - headLines);
  return [
    control({
      name: `right password before any wrong one on ${path.name}`,
      expected: "logged in",
      observed: before.isIn ? "logged in" : before.words,
      holds: before.isIn,
      evidence: before.evidence,
    }),
    ...(await Promise.all(
      all.map(async (other) =>
        negative({
          name: `right password on ${other.name} after ${tries} wrong ones on ${path.name}`,
          expected: "refused: the account is locked",
          ...(await repeated(async (run) => {
            const result = await other.attempt(
              bench,
              `${path.name}-locked-${other.name}-${run}`,
              first.name,
              first.password,
            );
            return { holds: !result.isIn, observed: result.isIn ? "logged in" : "refused", evidence: result.evidence };
          })),
        }),
      ),
    )),
    capability({
      name: `wrong tries on ${path.name} are counted`,
      expected: "each is in the tally",
      observed: counted === undefined ? "the host has no tally" : `${lines} of ${tries}`,
      holds: counted === undefined ? undefined : lines >= tries,
      otherwise: "partial",
      evidence: counted?.evidence ?? [],
    }),
  ];
}

/** The lock of one account leaves others alone, ends by itself, and by an administrator. */
async function ends(bench: AccountBench, paths: readonly LoginPath[], deny: number): Promise<readonly Observation[]> {
  const path = paths.find(({ name }) => name === "console");
  if (path === undefined) return [];
  const { first, second, recorder } = bench;
  const other = await path.attempt(bench, "another-user", second.name, second.password);
  await shorten(bench);
  await new Promise<void>((resolve) => void recorder.clock.after((shortUnlockS + 2) * 1000, resolve, true));
  const later = await path.attempt(bench, "after-the-time", first.name, first.password);
  await bench.runner.run(["tee", "--append", "/etc/security/faillock.conf"], {
    input: `\nunlock_time = ${longUnlockS}\n`,
  });
  for (let at = 1; at <= deny; at++) await path.attempt(bench, `again-wrong-${at}`, first.name, newPassword(recorder));
  await reset(bench);
  const after = await path.attempt(bench, "after-reset", first.name, first.password);
  const said = (name: string, expected: string, result: typeof other): Observation =>
    capability({
      name,
      expected,
      observed: result.isIn ? "logged in" : result.words,
      holds: result.isIn,
      evidence: result.evidence,
    });
  return [
    said("another user while one is locked", "logged in", other),
    said("right password after the time of the lock", "logged in", later),
    said("right password after an administrator's reset", "logged in", after),
  ];
}
