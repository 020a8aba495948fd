import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { makePrivateFolder, writeFileAtomic } from "@cipsec/pki";
import { StateError, UsageError } from "@cipsec/wire";
import { evidenceStore, type EvidenceStore } from "../evidence/store.ts";
import type { CheckRecord } from "../judge/check-result.ts";
import { isCheckRecord } from "./check-file.ts";
import { isSealed, parseJson } from "./manifest.ts";
import { isRunPlan, type RunPlan } from "./plan.ts";

/** A run on disk: its plan, its evidence, one file for each check that is done, and what must still be put back. */
export interface RunFolder {
  readonly path: string;
  readonly plan: RunPlan;
  readonly store: EvidenceStore;
  /** Whether it was judged and sealed. */
  isFinished(): Promise<boolean>;
  /** Records of the checks that are done. */
  records(): Promise<readonly CheckRecord[]>;
  /** @param text JSON of a {@link CheckRecord}, secrets taken out. */
  writeRecord(id: string, text: string): Promise<void>;
  /** What a check had changed and not put back, `undefined` where there is nothing. */
  pending(check: string): Promise<{ readonly value: unknown } | undefined>;
  writePending(check: string, saved: { readonly value: unknown } | undefined): Promise<void>;
}

/** `20261121-101502-3f9a2c`: sorts by time, and two runs of one second differ. */
const idForm = /^\d{8}-\d{6}-[0-9a-f]{6}$/;

/** Check ids become file names. */
const checkForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$/;

/** A name for a new run. */
export function newRunId(now: Date): string {
  const [date = "", time = ""] = now.toISOString().split("T");
  return `${date.replaceAll("-", "")}-${time.slice(0, 8).replaceAll(":", "")}-${randomBytes(3).toString("hex")}`;
}

/** The folder of a run below the folder of all runs. @throws {UsageError} `usage/argument` for what is no run's name. */
export function runPath(runs: string, id: string): string {
  if (!idForm.test(id))
    throw new UsageError("usage/argument", `'${id.slice(0, 60)}' is not the name of a run`, {
      fix: "Runs are named like 20261121-101502-3f9a2c; 'cipsec assess list' names them.",
    });
  return join(runs, id);
}

/** Names of the runs, oldest first. */
export async function listRuns(runs: string): Promise<readonly string[]> {
  return (await readdir(runs).catch(() => [])).filter((name) => idForm.test(name)).sort();
}

/** Makes the folder of a new run; the plan is on disk when this returns. */
export async function createRun(runs: string, plan: RunPlan): Promise<RunFolder> {
  const path = runPath(runs, plan.id);
  await makePrivateFolder(path);
  await writeFileAtomic(join(path, "plan.json"), `${JSON.stringify(plan, undefined, 1)}\n`);
  return openFolder(path, plan);
}

/**
 * Opens a run that exists, finished or cut off.
 *
 * @throws {UsageError} `usage/file` when there is none; {@link StateError} `state/corrupt` when its plan is damaged.
 */
export async function openRun(path: string): Promise<RunFolder> {
  const text = await readFile(join(path, "plan.json"), "utf8").catch(() => undefined);
  if (text === undefined)
    throw new UsageError("usage/file", `there is no run in '${path}'`, { fix: "'cipsec assess list' names the runs." });
  const plan = parseJson(text);
  if (!isRunPlan(plan)) throw new StateError("state/corrupt", `the plan of the run in '${path}' is damaged`);
  return openFolder(path, plan);
}

function openFolder(path: string, plan: RunPlan): RunFolder {
  const checks = join(path, "checks");
  const pending = join(path, "pending");
  return {
    path,
    plan,
    store: evidenceStore(join(path, "evidence")),
    isFinished: async () => await isSealed(path),
    async records() {
      const found: CheckRecord[] = [];
      for (const { id } of plan.checks) {
        const text = await readFile(fileOf(checks, id), "utf8").catch(() => undefined);
        if (text === undefined) continue;
        const record = parseJson(text);
        if (!isCheckRecord(record))
          throw new StateError("state/corrupt", `the record of check ${id} in '${path}' is damaged`);
        found.push(record);
      }
      return found;
    },
    async writeRecord(id, text) {
      await mkdir(checks, { recursive: true, mode: 0o700 });
      await writeFileAtomic(fileOf(checks, id), text);
    },
    async pending(check) {
      const text = await readFile(fileOf(pending, check), "utf8").catch(() => undefined);
      return text === undefined ? undefined : { value: parseJson(text) };
    },
    async writePending(check, saved) {
      if (saved === undefined) {
        await rm(fileOf(pending, check), { force: true });
        return;
      }
      await mkdir(pending, { recursive: true, mode: 0o700 });
      await writeFileAtomic(fileOf(pending, check), JSON.stringify(saved.value));
    },
  };
}

function fileOf(folder: string, check: string): string {
  if (!checkForm.test(check)) throw new UsageError("usage/argument", `'${check}' cannot be the id of a check`);
  return join(folder, `${check}.json`);
}
