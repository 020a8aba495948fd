import type { KeyObject } from "node:crypto";
import { rm, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import type { CheckRecord } from "../judge/check-result.ts";
import { judge } from "../judge/judge.ts";
import { countVerdicts, levelsReached, type LevelVector, type VerdictCounts } from "../judge/level.ts";
import type { Verdict } from "../judge/verdict.ts";
import { isText, shape } from "./guards.ts";
import { parseJson, sealRun } from "./manifest.ts";
import type { RunPlan } from "./plan.ts";
import type { RunFolder } from "./run-folder.ts";

/** A finished run: the model that every report is made from. */
export interface Assessment {
  readonly plan: RunPlan;
  /** ISO 8601, UTC; verdicts hold as of then. */
  readonly finishedAt: string;
  readonly records: readonly CheckRecord[];
  readonly verdicts: readonly Verdict[];
  readonly levelByFr: LevelVector;
  /** Of the entries that apply at the target level. */
  readonly counts: VerdictCounts;
}

/** Judges a plan's records as of a time. Pure: what is on disk can be judged again and must give the same. */
export function assess(plan: RunPlan, records: readonly CheckRecord[], finishedAt: string): Assessment {
  const verdicts = judge(records, {
    level: plan.level,
    type: plan.type,
    component: plan.subject.component,
    attestations: plan.attestations,
    now: new Date(finishedAt),
  });
  const levelByFr = levelsReached(verdicts);
  return { plan, finishedAt, records, verdicts, levelByFr, counts: countVerdicts(verdicts) };
}

/**
 * Judges a run whose checks are all done, removes evidence that an interrupted attempt left behind, and seals the folder.
 *
 * @throws {UsageError} `usage/state` when checks are missing.
 */
export async function finishRun(folder: RunFolder, key: KeyObject, now: Date): Promise<Assessment> {
  const records = await folder.records();
  const missing = folder.plan.checks.filter(({ id }) => !records.some((record) => record.id === id));
  if (missing.length > 0)
    throw new UsageError("usage/state", `the run is not done: ${missing.map(({ id }) => id).join(", ")} are missing`, {
      fix: "Resume it with --resume.",
    });
  const named = new Set(records.flatMap(({ evidence }) => evidence.map(({ sha256 }) => sha256)));
  for (const sha256 of await folder.store.list()) if (!named.has(sha256)) await folder.store.remove(sha256);
  await rm(join(folder.path, "pending"), { recursive: true, force: true });
  const assessment = assess(folder.plan, records, now.toISOString());
  const { finishedAt, verdicts, levelByFr, counts } = assessment;
  const text = `${JSON.stringify({ run: folder.plan.id, finishedAt, levelByFr, counts, verdicts }, undefined, 1)}\n`;
  await writeFileAtomic(join(folder.path, "assessment.json"), text);
  await sealRun(folder.path, folder.plan.id, key, now);
  return assessment;
}

/**
 * Reads a finished run and judges its records again, as of when it was finished.
 *
 * @throws {UsageError} `usage/state` for a run that is not finished.
 */
export async function readAssessment(folder: RunFolder): Promise<Assessment> {
  const text = await readFile(join(folder.path, "assessment.json"), "utf8").catch(() => undefined);
  const stored = text === undefined ? undefined : parseJson(text);
  if (!shape<{ finishedAt: string }>({ finishedAt: isText })(stored))
    throw new UsageError("usage/state", `run ${folder.plan.id} was not finished`, { fix: "Resume it with --resume." });
  return assess(folder.plan, await folder.records(), stored.finishedAt);
}
