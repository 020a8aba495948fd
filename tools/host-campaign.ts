import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { evidenceStore, hostChecks, judgeCheck, makeRecorder, openHost } from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { faults, hardening } from "./host-campaign/faults.ts";
import { startHost } from "./host-campaign/host.ts";
import { ensureRoot } from "./host-campaign/root.ts";

/** What is run, and where Debian's root lies. */
export interface HostCampaign {
  readonly root: string;
  /** Only faults whose name it fits. */
  readonly only: RegExp;
  readonly tell: (text: string) => void;
}

/** What the checks of a host said. */
interface Look {
  /** Outcome by check. */
  readonly outcomes: ReadonlyMap<string, string>;
  /** What did not hold, `CHECK: name`. */
  readonly bad: ReadonlySet<string>;
}

/** So few that times of logins are not judged: here nothing that depends on the machine's load may count. */
const loginSamples = 1;

/** What no number of samples takes the load out of. */
const timesOfTheMachine: ReadonlySet<string> = new Set(["C-1.8: time for an operation"]);

/**
 * Assesses a hardened Debian host of our own, then plants faults, one each in a fresh copy, and assesses again: each must be found,
 * and nothing else.
 *
 * @returns Faults of the assessor; nothing where all was as it should be.
 */
export async function runHostCampaign({ root, only, tell }: HostCampaign): Promise<readonly string[]> {
  await ensureRoot(root, tell);
  const sound = await lookAt(root, hardening);
  tell(`hardened: ${[...sound.outcomes].map(([id, outcome]) => `${id} ${outcome}`).join(", ")}`);
  tell(`  does not hold: ${[...sound.bad].join("; ")}`);
  const wrong: string[] = [];
  for (const fault of faults.filter(({ name }) => only.test(name))) {
    const began = performance.now();
    const seen = await lookAt(root, `${hardening}\n${fault.script}`);
    const found = [...seen.bad].filter((name) => !sound.bad.has(name) && !timesOfTheMachine.has(name));
    const missed = fault.finds.filter((name) => !found.includes(name)).map((name) => `${fault.name}: missed ${name}`);
    const invented = found.filter((name) => !fault.finds.includes(name)).map((name) => `${fault.name}: also ${name}`);
    const changed = [...seen.outcomes].filter(([id, outcome]) => sound.outcomes.get(id) !== outcome);
    tell(
      `${fault.name}: ${changed.map(([id, outcome]) => `${id} ${sound.outcomes.get(id)} to ${outcome}`).join(", ")} (${Math.round((performance.now() - began) / 1000)} s)`,
    );
    for (const fact of [...missed, ...invented]) tell(`  FAULT ${fact}`);
    wrong.push(...missed, ...invented);
  }
  return wrong;
}

async function lookAt(root: string, script: string): Promise<Look> {
  await using host = await startHost(root, script);
  const { signal } = new AbortController();
  await using subject = await openHost({ disruptive: false, signal, loginSamples, through: host.through });
  const folder = await mkdtemp(join(tmpdir(), "cipsec-host-"));
  const outcomes = new Map<string, string>();
  const bad = new Set<string>();
  try {
    for (const check of hostChecks) {
      if (check.needs.some((need) => subject.lacks(need) !== undefined)) continue;
      const recorder = makeRecorder({ store: evidenceStore(folder), check: check.id });
      const findings = await check.run(subject, recorder).catch((error: unknown) => {
        bad.add(`${check.id}: could not be run: ${error instanceof Error ? error.message : String(error)}`);
        return undefined;
      });
      if (findings === undefined) continue;
      const record = { ...check, findings, evidence: recorder.recorded, startedAt: "", finishedAt: "", durationMs: 0 };
      const [requirement] = check.requirements;
      if (requirement !== undefined) outcomes.set(check.id, judgeCheck(record, requirement).outcome);
      for (const { name, holds } of findings.observations) if (holds !== true) bad.add(`${check.id}: ${name}`);
    }
    return { outcomes, bad };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      root: { type: "string", default: join(tmpdir(), "cipsec-debian") },
      only: { type: "string", default: "" },
    },
  });
  if (process.getuid?.() !== 0) {
    throw new UsageError("usage/state", "hosts of our own need namespaces, mounts and other users", {
      fix: "Run it as root on a machine that you can spare.",
    });
  }
  const tell = (text: string): void => void process.stdout.write(`${text}\n`);
  const wrong = await runHostCampaign({ root: values.root, only: new RegExp(values.only), tell });
  tell(wrong.length === 0 ? "every fault was found, and nothing else" : `${wrong.length} wrong`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
