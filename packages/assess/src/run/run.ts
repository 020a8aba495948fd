import { systemClock, type Clock } from "@cipsec/transport";
import { isStackError, UsageError } from "@cipsec/wire";
import type { Check, Findings, Subject } from "../check.ts";
import { makeRecorder } from "../evidence/recorder.ts";
import { makeRedactor, type Redactor } from "../evidence/redaction.ts";
import type { CheckRecord } from "../judge/check-result.ts";
import { needs } from "../need.ts";
import type { RunFolder } from "./run-folder.ts";
import { makeTurns, type Turns } from "./turns.ts";

/** What a run tells while it works. */
export interface RunProgress {
  /** A check begins. */
  readonly check: string;
  readonly title: string;
  readonly number: number;
  readonly of: number;
  /** A rough estimate of the rest, this check included: what the checks say, by the pace of those that are done. */
  readonly remainingMs: number;
}

/** How checks are run. */
export interface RunOptions {
  readonly clock?: Clock;
  /** Knows the secrets of the caller, so that they are in no evidence. */
  readonly redactor?: Redactor;
  readonly progress?: (progress: RunProgress) => void;
  /** Told what the check does now, in a few words, as often as it says. */
  readonly doing?: (what: string) => void;
  /** What other runs of this process are kept apart from checks that need quiet by. */
  readonly turns?: Turns;
}

/** What is shared by the checks of a run. */
type Means = Required<Pick<RunOptions, "clock" | "redactor" | "doing" | "turns">>;

/**
 * Runs every check of the plan that is not done yet, one after the other: they share a subject, and one must not disturb another.
 * What an earlier attempt had changed is put back first. When the subject's signal is aborted, or the process dies, what is done
 * stays done: call it again with the same folder. A subject that keeps what it read when it was opened is to be opened after
 * {@link putBackChanges}, or a check takes what another had changed for what it must leave behind.
 *
 * @throws what the signal was aborted with; {@link UsageError} `usage/state` when the checks are not those of the plan.
 */
export async function runChecks<S extends Subject>(
  folder: RunFolder,
  checks: readonly Check<S>[],
  subject: S,
  options: RunOptions = {},
): Promise<readonly CheckRecord[]> {
  const { clock = systemClock, redactor = makeRedactor(), doing = () => undefined, turns = makeTurns() } = options;
  const planned = folder.plan.checks.map((wanted) => {
    const check = checks.find(({ id, version }) => id === wanted.id && version === wanted.version);
    if (check !== undefined) return check;
    throw new UsageError(
      "usage/state",
      `the run was begun with ${wanted.id} version ${wanted.version}, which is not here`,
      {
        fix: "Resume it with the version of cipsec that began it, or start a new run.",
      },
    );
  });
  const done = new Set((await folder.records()).map(({ id }) => id));
  await putBackChanges(folder, planned, subject, redactor);
  const pace = { spentMs: 0, estimatedMs: 0 };
  for (const [at, check] of planned.entries()) {
    if (done.has(check.id)) continue;
    subject.signal.throwIfAborted();
    const rest = planned.slice(at).filter(({ id }) => !done.has(id));
    const remainingMs = estimate(rest, subject) * paceOf(pace);
    options.progress?.({ check: check.id, title: check.title, number: at + 1, of: planned.length, remainingMs });
    const record = await runOne(folder, check, subject, { clock, redactor, doing, turns });
    subject.signal.throwIfAborted();
    // The words of an answer may quote what was sent.
    await folder.writeRecord(check.id, redactor.text(`${JSON.stringify(record, undefined, 1)}\n`).text);
    if (record.notRun === undefined) {
      pace.spentMs += record.durationMs;
      pace.estimatedMs += check.estimateMs;
    }
  }
  return await folder.records();
}

/**
 * Puts back on the subject what checks had changed when they were cut off. Harmless when there is nothing to put back.
 *
 * @returns Ids of the checks whose change was put back.
 * @throws what the subject answers when it cannot be put back; it is tried again when the run is resumed.
 */
export async function putBackChanges<S extends Subject>(
  folder: RunFolder,
  checks: readonly Check<S>[],
  subject: S,
  redactor: Redactor = makeRedactor(),
): Promise<readonly string[]> {
  const back: string[] = [];
  for (const check of checks) {
    const saved = await folder.pending(check.id);
    if (saved === undefined || check.restore === undefined) continue;
    const recorder = makeRecorder({ store: folder.store, check: `${check.id}-restore`, redactor });
    await check.restore(subject, saved.value, recorder);
    await folder.writePending(check.id, undefined);
    back.push(check.id);
  }
  return back;
}

/** What the checks expect to take, without those that will not be run. */
function estimate<S extends Subject>(checks: readonly Check<S>[], subject: S): number {
  return checks
    .filter(({ needs }) => needs.every((need) => subject.lacks(need) === undefined))
    .reduce((sum, { estimateMs }) => sum + estimateMs, 0);
}

/** One slow or quick check at the beginning must not make minutes of seconds. */
const paceLimits = { least: 0.2, most: 5, knownAfterMs: 5000 } as const;

/** How much longer checks take here than they say, once enough of them are done to tell. */
function paceOf({ spentMs, estimatedMs }: { readonly spentMs: number; readonly estimatedMs: number }): number {
  if (estimatedMs < paceLimits.knownAfterMs) return 1;
  return Math.min(paceLimits.most, Math.max(paceLimits.least, spentMs / estimatedMs));
}

async function runOne<S extends Subject>(
  folder: RunFolder,
  check: Check<S>,
  subject: S,
  { clock, redactor, doing, turns }: Means,
): Promise<CheckRecord> {
  const { id, version, title, requirements, part, method, crossReferences, needsQuiet = false } = check;
  const lack = lackOf(check, subject);
  // Who is not run needs no quiet either.
  const isAlone = needsQuiet && lack === undefined;
  if (isAlone) doing("waits until nothing else runs");
  const giveBack = await turns.take(isAlone, subject.signal);
  if (isAlone) doing("begins");
  const startedAt = isoNow(clock);
  const start = clock.now();
  const recorder = makeRecorder({
    store: folder.store,
    check: id,
    clock,
    redactor,
    doing,
    journal: async (saved) => await folder.writePending(id, saved),
  });
  const outcome = lack === undefined ? await attempt(async () => await check.run(subject, recorder)) : { notRun: lack };
  giveBack();
  return {
    id,
    version,
    title,
    requirements,
    part,
    method,
    ...(crossReferences === undefined ? {} : { crossReferences }),
    ...outcome,
    evidence: recorder.recorded,
    startedAt,
    finishedAt: isoNow(clock),
    durationMs: Math.round(clock.now() - start),
  };
}

/** Why a check is not run; nothing where it is. */
function lackOf<S extends Subject>(check: Check<S>, subject: S): string | undefined {
  for (const need of check.needs) {
    const lack = subject.lacks(need);
    if (lack !== undefined) return `${needs[need]}${lack === "" ? "" : ` (${lack})`}`;
  }
  return undefined;
}

/** What came of a check: findings, or why there are none. An error ends the check and not the run. */
async function attempt(
  run: () => Promise<Findings>,
): Promise<{ readonly findings: Findings } | { readonly notRun: string }> {
  try {
    return { findings: await run() };
  } catch (error) {
    if (isStackError(error)) return { notRun: `it could not be finished: ${error.code}: ${error.message}` };
    return { notRun: `it failed by a fault of its own: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The wall clock in ISO 8601. A machine without one says so by the year 1970. */
export function isoNow(clock: Clock): string {
  return new Date(clock.wallNow() ?? 0).toISOString();
}
