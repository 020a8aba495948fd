import type { Check } from "../../check.ts";
import { capability, control, negative, repeated, type Observation } from "../../observation.ts";
import { newPassword, openAccounts, setPassword, type AccountBench } from "../accounts.ts";
import { passwordPolicy, type PasswordPolicy } from "../parse/password-policy.ts";
import { changePassword } from "../password-change.ts";
import { readPam } from "../read-pam.ts";
import type { HostSubject } from "../subject.ts";

/** Sixteen characters of all classes without a word in them; passwords of other shapes are cut from it. */
const body = "xQ7!vR2#kW9$hZ4%";

/** C-1.7: passwords that are too weak for the policy are refused when a user chooses them, and the boundary follows the setting. */
export const passwordStrength: Check<HostSubject> = {
  id: "C-1.7",
  version: "1.0",
  title: "Weak passwords are refused, and the boundary follows the setting",
  requirements: ["CR 1.7", "CR 1.7 RE(1)", "CR 1.7 RE(2)"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.7_1", "TC_CR1.7-RE1_1"],
  needs: ["root"],
  estimateMs: 90_000,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    const pam = await readPam(bench);
    const quality = await bench.see("pwquality", [
      "sh",
      "-c",
      "cat /etc/security/pwquality.conf /etc/security/pwquality.conf.d/*.conf 2>/dev/null; true",
    ]);
    const defs = await bench.see("login-defs", ["cat", "/etc/login.defs"]);
    const policy = passwordPolicy(pam.stack("passwd", "password"), quality.stdout, defs.stdout);
    const evidence = [...pam.evidence, ...quality.evidence, ...(await written(bench, policy))];
    const observations: Observation[] = [
      capability({
        name: "a module judges new passwords",
        expected: "pam_pwquality, pam_passwdqc or pam_cracklib in the stack of passwd",
        observed: policy.module ?? `none but pam_unix (at least ${policy.minLength} characters)`,
        holds: policy.module !== undefined,
        otherwise: "partial",
        requirements: ["CR 1.7"],
        evidence,
      }),
      capability({
        name: "root is bound by the rule too",
        expected: "enforce_for_root",
        observed: policy.bindsRoot ? "bound" : "not bound",
        holds: policy.bindsRoot,
        otherwise: "partial",
        requirements: ["CR 1.7"],
        evidence,
      }),
      ...(await weak(bench, policy.minLength, "")),
    ];
    const longer = Math.max(policy.minLength + 4, 14);
    const settable = await setMinimum(bench, policy, longer);
    if (settable) observations.push(...(await boundary(bench, longer, ` (minimum set to ${longer})`)));
    observations.push(
      capability({
        name: "the minimum can be set",
        expected: "by a setting",
        observed: settable ? "set" : "no setting was found",
        holds: settable,
        otherwise: "partial",
        requirements: ["CR 1.7"],
      }),
      ...(await reuse(bench, policy)),
      ...(await lifetime(bench, policy)),
    );
    return {
      observations,
      howMet: `${policy.module ?? "pam_unix"} refuses weak passwords when a user changes the own one with passwd; at least ${policy.minLength} characters.`,
      conditions: [
        `minimum length ${policy.minLength}, classes ${policy.minClasses ?? "not counted"}`,
        "tried in a private copy of the host's policies",
      ],
      userAction: "Adjust the password policy to business and compliance needs.",
    };
  },
};

async function written(bench: AccountBench, policy: PasswordPolicy) {
  return [await bench.recorder.settings("policy", policy)];
}

/** Passwords that must be refused, each three times, and one that must not. */
async function weak(bench: AccountBench, minLength: number, when: string): Promise<readonly Observation[]> {
  const length = Math.max(minLength, 8);
  const bad: Readonly<Record<string, string>> = {
    "lower case only": "xqvrkwhzjtpm".repeat(3).slice(0, length),
    "lower and upper case only": "xQvRkWhZjTpM".repeat(3).slice(0, length),
    "lower, upper and digits only": "xQ7vR2kW9hZ4".repeat(3).slice(0, length),
    "the user's name": bench.first.name,
    "a word of the dictionary": "Password1!",
  };
  const observations: Observation[] = [];
  for (const [what, secret] of Object.entries(bad)) {
    const grave = what !== "lower, upper and digits only" && what !== "lower and upper case only";
    observations.push(
      negative({
        name: `${what}${when}`,
        expected: "refused",
        otherwise: grave ? "fail" : "partial",
        requirements: ["CR 1.7"],
        ...(await refuses(bench, secret, what)),
      }),
    );
  }
  return [...(await boundary(bench, minLength, when)), ...observations];
}

/** One character less than the minimum must be refused; a good one must be taken. */
async function boundary(bench: AccountBench, minLength: number, when: string): Promise<readonly Observation[]> {
  const short = (body + body).slice(0, Math.max(1, minLength - 1));
  const good = newPassword(bench.recorder);
  const change = await changePassword(bench, "good-password", bench.first, good);
  await setPassword(bench, bench.first);
  return [
    control({
      name: `a good password${when}`,
      expected: "taken",
      observed: change.isChanged ? "changed" : change.words,
      holds: change.isChanged,
      requirements: ["CR 1.7"],
      evidence: change.evidence,
    }),
    negative({
      name: `one character less than the minimum${when}`,
      expected: "refused",
      requirements: ["CR 1.7"],
      ...(await refuses(bench, short, "short")),
    }),
  ];
}

async function refuses(bench: AccountBench, secret: string, what: string) {
  // The account's name is no secret, and stands in all other evidence.
  if (secret !== bench.first.name) bench.recorder.secret(secret);
  return await repeated(async () => {
    const change = await changePassword(bench, what.replaceAll(/\W+/g, "-"), bench.first, secret);
    if (change.isChanged) await takeBack(bench);
    return { holds: !change.isChanged, observed: change.isChanged ? "taken" : "refused", evidence: change.evidence };
  });
}

/** The first password again, and no memory of the one that was taken: the next try is refused for its weakness or not at all. */
async function takeBack(bench: AccountBench): Promise<void> {
  await setPassword(bench, bench.first);
  await bench.runner.run(["sh", "-c", "if [ -f /etc/security/opasswd ]; then : >/etc/security/opasswd; fi"]);
}

/** Raises the minimum in the private copy, where the policy has it. */
async function setMinimum(bench: AccountBench, policy: PasswordPolicy, minLength: number): Promise<boolean> {
  if (policy.module === "pam_pwquality") {
    const file = "/etc/security/pwquality.conf";
    await bench.runner.run(["tee", "--append", file], { input: `\nminlen = ${minLength}\n` });
    const edit = "s/(pam_pwquality\\.so.*)[[:space:]]minlen=[0-9]+/\\1/";
    await bench.see("set-minimum", ["sed", "-i", "-E", edit, "/etc/pam.d/common-password", "/etc/pam.d/passwd"]);
    return true;
  }
  if (policy.module !== undefined) return false;
  const edit = `/pam_unix\\.so/{s/[[:space:]]minlen=[0-9]+//;s/(pam_unix\\.so)/\\1 minlen=${minLength}/}`;
  const seen = await bench.see("set-minimum", ["sed", "-i", "-E", edit, "/etc/pam.d/common-password"]);
  return seen.exit === 0;
}

/** CR 1.7 RE(1): earlier passwords are not taken again. */
async function reuse(bench: AccountBench, { remembers }: PasswordPolicy): Promise<readonly Observation[]> {
  const setting = capability({
    name: "earlier passwords are remembered",
    expected: "pam_pwhistory with remember of 1 or more",
    observed: remembers === undefined ? "not remembered" : `${remembers}`,
    holds: remembers !== undefined && remembers > 0,
    requirements: ["CR 1.7 RE(1)"],
  });
  if (remembers === undefined || remembers < 1) return [setting];
  const next = { ...bench.first, password: newPassword(bench.recorder) };
  const away = await changePassword(bench, "change-away", bench.first, next.password);
  const back = await changePassword(bench, "change-back", next, bench.first.password);
  await setPassword(bench, bench.first);
  return [
    setting,
    control({
      name: "a new password after another",
      expected: "taken",
      observed: away.words,
      holds: away.isChanged,
      requirements: ["CR 1.7 RE(1)"],
      evidence: away.evidence,
    }),
    negative({
      name: "the password before the last",
      expected: "refused",
      observed: back.isChanged ? "taken" : back.words,
      holds: !back.isChanged,
      requirements: ["CR 1.7 RE(1)"],
      evidence: back.evidence,
    }),
  ];
}

/** Longest time that a password may live, in days; a bound for the setting, as 99999 stands for never. */
const neverDays = 3650;

/** Lifetimes: RE(1) speaks of people, RE(2) of all users. */
async function lifetime(bench: AccountBench, { maxDays }: PasswordPolicy): Promise<readonly Observation[]> {
  const isLimited = maxDays !== undefined && maxDays > 0 && maxDays < neverDays;
  await bench.see("expire", ["chage", "--lastday", "2000-01-01", "--maxdays", "30", bench.first.name]);
  const talked = await bench.talk(
    "expired-login",
    ["su", bench.first.name],
    [{ until: /assword: ?$/, send: bench.first.password }],
    {
      as: bench.second.name,
      timeoutMs: 15_000,
      endAt: /current password|new password|cipsec-in|failure/i,
    },
  );
  const isAsked = /expired|change/i.test(talked.transcript) && !talked.transcript.includes("cipsec-in");
  return [
    capability({
      name: "an expired password",
      expected: "must be changed at the next login",
      observed: isAsked ? "a change is asked for" : "logged in",
      holds: isAsked,
      requirements: ["CR 1.7 RE(1)", "CR 1.7 RE(2)"],
      evidence: talked.evidence,
    }),
    capability({
      name: "lifetime of new passwords",
      expected: "limited by PASS_MAX_DAYS",
      observed: maxDays === undefined ? "not set" : `${maxDays} days`,
      holds: isLimited,
      requirements: ["CR 1.7 RE(1)", "CR 1.7 RE(2)"],
    }),
  ];
}
