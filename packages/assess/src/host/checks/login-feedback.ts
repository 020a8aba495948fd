import type { Check } from "../../check.ts";
import { capability, control, type Observation } from "../../observation.ts";
import {
  forgetFailures,
  makeAccount,
  newPassword,
  openAccounts,
  withoutDelays,
  type AccountBench,
} from "../accounts.ts";
import { localPaths, openPaths, type LoginPath, type LoginResult } from "../login.ts";
import { readPam } from "../read-pam.ts";
import { compareSamples, median } from "../statistics.ts";
import type { HostSubject } from "../subject.ts";

/** Below this many tries of a kind an interval means nothing. */
const fewestSamples = 20;

/** C-1.10: what is typed is not shown, and neither words nor time tell why a login was refused. */
export const loginFeedback: Check<HostSubject> = {
  id: "C-1.10",
  version: "1.0",
  title: "Logins show no secret and do not tell why they refuse",
  requirements: ["CR 1.10"],
  part: "whole",
  method: "test",
  crossReferences: ["TC_CR1.10"],
  needs: ["root"],
  estimateMs: 300_000,
  needsQuiet: true,
  async run(subject, recorder) {
    await using bench = await openAccounts(subject, recorder);
    const pam = await readPam(bench);
    const { paths, door, limits } = await openPaths(bench);
    await using _door = door;
    const locked = await makeAccount(bench, "iec_t3");
    await bench.see("lock", ["usermod", "--lock", locked.name]);
    const wrong = newPassword(recorder);
    const observations: Observation[] = [];
    for (const path of paths) {
      const { first } = bench;
      await forgetFailures(bench, first.name);
      const right = await path.attempt(bench, `${path.name}-right`, first.name, first.password);
      const refused: readonly LoginResult[] = await Promise.all(
        // Who uses su is logged in already and can list the users: su may say that one is unknown.
        [first.name, ...(path.name === "su" ? [] : ["iec_nobody"]), locked.name].map(
          async (user) =>
            await path.attempt(bench, `${path.name}-refused`, user, user === locked.name ? locked.password : wrong),
        ),
      );
      const words = [...new Set(refused.map((one) => one.words))];
      const shows = [right, ...refused].some(({ showsSecret }) => showsSecret);
      const evidence = [right, ...refused].flatMap((one) => one.evidence);
      observations.push(
        control({
          name: `right password on ${path.name}`,
          expected: "logged in",
          observed: right.isIn ? "logged in" : right.words,
          holds: right.isIn,
          evidence,
        }),
        capability({
          name: `the secret while it is typed on ${path.name}`,
          expected: "not shown",
          observed: shows ? "shown" : "not shown",
          holds: !shows,
          evidence,
        }),
        capability({
          name: `words of refusals on ${path.name}`,
          expected: "the same for a wrong password, an unknown and a locked user",
          observed: words.join(" / "),
          holds: words.length === 1,
          evidence,
        }),
      );
    }
    const delays = paths.map(({ name }) => {
      const stack = pam.stack(name === "console" ? "login" : name === "ssh" ? "sshd" : "su", "auth");
      const declared = stack.filter(
        ({ module, args }) =>
          module === "pam_faildelay" ||
          (module === "pam_faillock" && args.includes("authfail") && !args.includes("nodelay")) ||
          (module === "pam_unix" && !args.includes("nodelay")),
      );
      return `${name}: ${declared.map(({ module }) => module).join(", ") || "none"}`;
    });
    observations.push(
      ...(await timed(
        bench,
        localPaths.find(({ name }) => name === "console"),
        locked.name,
        wrong,
      )),
    );
    return {
      observations,
      howMet:
        "Secrets are not echoed; a refusal reads and takes the same for a wrong password, an unknown and a locked user.",
      conditions: [
        `delays after a refusal, which were taken out to measure: ${delays.join("; ")}`,
        `${subject.loginSamples} tries of each kind in random order, limit ${subject.loginLimitMs} ms`,
      ],
      limits: [
        ...limits,
        "times were measured on the console's login; a success also opens a session and starts a shell",
      ],
      userAction: "Show the same for login methods of your own.",
    };
  },
};

/** C.3: times from typing the secret to the first visible answer, without the delays that are there on purpose. */
async function timed(
  bench: AccountBench,
  path: LoginPath | undefined,
  lockedName: string,
  wrong: string,
): Promise<readonly Observation[]> {
  const { subject, first, recorder } = bench;
  const { loginSamples, loginLimitMs } = subject;
  if (path === undefined) return [];
  if (!subject.isLocal || loginSamples < fewestSamples)
    return [
      capability({
        name: "times of logins",
        expected: `within ${loginLimitMs} ms of each other`,
        observed: subject.isLocal
          ? `${loginSamples} tries of each kind are too few`
          : "measured over a network they would tell nothing: run it on the host",
        holds: undefined,
      }),
    ];
  await withoutDelays(bench);
  const kinds = {
    "right password": { user: first.name, secret: first.password },
    "wrong password": { user: first.name, secret: wrong },
    "unknown user": { user: "iec_nobody", secret: wrong },
    "locked user": { user: lockedName, secret: wrong },
  };
  const samples = new Map<string, number[]>(Object.keys(kinds).map((kind) => [kind, []]));
  const warmUp = Math.min(20, loginSamples);
  for (let round = -warmUp; round < loginSamples; round++) {
    recorder.doing(round < 0 ? "warms logins up" : `times logins, round ${round + 1} of ${loginSamples}`);
    for (const [kind, { user, secret }] of shuffled(Object.entries(kinds))) {
      // Too many for the evidence: their times are kept together.
      const ms = await measure(bench, path, user, secret);
      if (round >= 0 && ms !== undefined) samples.get(kind)?.push(ms);
      if (round < 0) break;
    }
  }
  const evidence = [
    await recorder.timing("logins", {
      what: "from the secret to the first answer",
      unit: "ms",
      samples: Object.fromEntries(samples),
    }),
  ];
  const of = (kind: string): readonly number[] => samples.get(kind) ?? [];
  const compare = (name: string, a: string, b: string, otherwise: "fail" | "partial"): Observation => {
    const { difference, low, high, p } = compareSamples(of(a), of(b));
    const isEqual = low >= -loginLimitMs && high <= loginLimitMs;
    const isOutside = low > loginLimitMs || high < -loginLimitMs;
    return capability({
      name,
      expected: `within ${loginLimitMs} ms`,
      observed: `${median(of(a)).toFixed(1)} and ${median(of(b)).toFixed(1)} ms: ${difference.toFixed(2)} ms (95 %: ${low.toFixed(2)} to ${high.toFixed(2)}, p ${p.toFixed(3)})`,
      holds: isEqual ? true : isOutside ? false : undefined,
      otherwise,
      runs: of(a).length,
      evidence,
    });
  };
  return [
    compare("unknown user against wrong password", "unknown user", "wrong password", "fail"),
    compare("locked user against wrong password", "locked user", "wrong password", "partial"),
    compare("right against wrong password", "right password", "wrong password", "partial"),
  ];
}

async function measure(
  bench: AccountBench,
  path: LoginPath,
  user: string,
  secret: string,
): Promise<number | undefined> {
  await forgetFailures(bench, user);
  const silent = { ...bench, talk: bench.talkUnrecorded };
  const { replyMs } = await path.attempt(silent, "timed", user, secret);
  return replyMs[0];
}

/** In another order each time, so that what warms up or slows down meets all alike. */
function shuffled<T>(list: readonly T[]): readonly T[] {
  return list
    .map((one) => ({ one, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}
