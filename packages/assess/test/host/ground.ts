import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@cipsec/transport";
import { evidenceStore } from "../../src/evidence/store.ts";
import { makeRecorder } from "../../src/evidence/recorder.ts";
import { hostChecks } from "../../src/host/checks.ts";
import { launchHere } from "../../src/host/launch.ts";
import { openPrivateView } from "../../src/host/private-view.ts";
import { makeRunner } from "../../src/host/runner.ts";
import { openHost, type HostOptions } from "../../src/host/subject.ts";
import { judgeCheck, type CheckOutcome, type CheckRecord } from "../../src/judge/check-result.ts";

const signal = new AbortController().signal;

/** Logins without the delays after wrong passwords: tests need not wait for them. */
export const quick = `
sed -i -E 's/pam_unix\\.so( nullok)?/pam_unix.so nodelay\\1/' /etc/pam.d/common-auth
sed -i -E '/pam_faildelay/d' /etc/pam.d/login
sed -i -E 's/^(FAIL_DELAY|LOGIN_RETRIES).*//' /etc/login.defs
echo 'FAIL_DELAY 0' >>/etc/login.defs
`;

/** Whether this machine lets us change mounts: as root outside of most containers. */
export async function canMount(): Promise<boolean> {
  const { exit } = await makeRunner(launchHere, [], { clock: systemClock, signal }).run(["unshare", "--mount", "true"]);
  return exit === 0;
}

/** A Debian host made from this machine's files, with faults or hardening by a script; only its own view of `/etc` is changed. */
export async function hostWith(script: string, options: Partial<HostOptions> = {}) {
  const view = await openPrivateView(makeRunner(launchHere, [], { clock: systemClock, signal }));
  const made = await view.run(["sh", "-e", "-c", script]);
  if (made.exit !== 0) throw new Error(made.stderr);
  const subject = await openHost({ disruptive: false, signal, loginSamples: 5, ...options, through: view.words });
  return { subject, [Symbol.asyncDispose]: async () => await view[Symbol.asyncDispose]() };
}

/** Runs one check and judges it for its first requirement, or another. */
export async function outcomeOf(
  subject: Awaited<ReturnType<typeof openHost>>,
  id: string,
  requirement?: CheckRecord["requirements"][number],
) {
  const check = hostChecks.find((one) => one.id === id);
  if (check === undefined) throw new Error(`no check ${id}`);
  const folder = await mkdtemp(join(tmpdir(), "assess-host-"));
  try {
    const recorder = makeRecorder({ store: evidenceStore(folder), check: id });
    const findings = await check.run(subject, recorder);
    const stored = await Promise.all(
      recorder.recorded.map(async ({ sha256 }) => await evidenceStore(folder).get(sha256)),
    );
    const record: CheckRecord = {
      ...check,
      findings,
      evidence: recorder.recorded,
      startedAt: "",
      finishedAt: "",
      durationMs: 0,
    };
    const outcome: CheckOutcome = judgeCheck(record, requirement ?? check.requirements[0] ?? "CR 1.1").outcome;
    const bad = findings.observations.filter(({ holds }) => holds !== true).map(({ name }) => name);
    return { outcome, findings, bad, stored: Buffer.concat(stored).toString("utf8") };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Hash of the files that account tests would change. */
export async function accountFiles(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of [
    "passwd",
    "shadow",
    "group",
    "gshadow",
    "subuid",
    "subgid",
    "login.defs",
    "pam.d/common-auth",
    "pam.d/common-password",
  ])
    hash.update(await readFile(join("/etc", file)).catch(() => "none"));
  return hash.digest("hex");
}
