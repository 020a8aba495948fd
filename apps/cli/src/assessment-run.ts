import {
  createRun,
  finishRun,
  newRunId,
  openRun,
  putBackChanges,
  runChecks,
  runPath,
  signingKey,
  type Assessment,
  type Attestation,
  type Check,
  type ComponentType,
  type Redactor,
  type RunFolder,
  type RunPlan,
  type Subject,
  type Turns,
} from "@cipsec/assess";
import { isStackError, UsageError } from "@cipsec/wire";
import { assessFolder, attestationsOf, levelOf, operatorOf, toolFacts, typeOf, type Options } from "./assessment.ts";
import { textOption, type Context } from "./command.ts";
import { pause } from "./data-folder.ts";
import { durationText, makeHeartbeat, type Heartbeat } from "./heartbeat.ts";
import type { Output } from "./output.ts";

/** A subject of an assessment, as its package opens it. */
interface Assessed extends Subject, Partial<AsyncDisposable> {
  readonly facts: RunPlan["subject"];
}

/** What differs between kinds of assessments. */
export interface Kind<S extends Assessed> {
  readonly kind: RunPlan["kind"];
  readonly checks: readonly Check<S>[];
  /** Type of component unless something else was asked for. */
  readonly type: ComponentType;
  /** Words of the command line that a repetition needs. Secrets are in files; their names are no secrets. */
  readonly kept: readonly string[];
  /** The command that does it, for people who are to go on with it. */
  readonly command: string;
  readonly redactor: Redactor;
  /** Reaches the subject; done again to put things back after Ctrl-C. */
  open(disruptive: boolean, signal: AbortSignal): Promise<S>;
}

/** What a caller of several assessments adds. */
export interface AssessExtras {
  /** Statements of people, in place of those of `--attestations`. */
  readonly attestations?: readonly Attestation[];
  /** Told as soon as the run is on disk. */
  readonly begun?: (run: string) => Promise<void>;
  /** Goes on with this run. */
  readonly resume?: string;
  /** Who is assessed, where there are several: stands before each line of progress. */
  readonly subject?: string;
  /** Where several are assessed at once, what keeps them apart, and what tells of them all. */
  readonly turns?: Turns;
  readonly heartbeat?: Heartbeat;
}

/** How long putting things back may take after Ctrl-C. A second Ctrl-C ends it at once. */
const putBackMs = 20_000;

/**
 * Assesses one subject: a new run, or the rest of one that was cut off.
 *
 * @throws {UsageError} `usage/interrupted` on Ctrl-C, after what had been changed on the subject was put back.
 */
export async function assessSubject<S extends Assessed>(
  context: Context,
  options: Options,
  kind: Kind<S>,
  extras: AssessExtras = {},
): Promise<Assessment> {
  const { folder } = assessFolder(context);
  const { turns, heartbeat = makeHeartbeat(context.output) } = extras;
  const output = extras.subject === undefined ? context.output : namedOutput(context.output, extras.subject);
  const earlier = extras.resume === undefined ? undefined : await resumable(context, extras.resume, kind.kind);
  const disruptive = earlier?.plan.disruptive ?? options["disruptive"] === true;
  const checks = earlier === undefined ? wantedChecks(options, kind) : kind.checks;
  // It is as much as a check: nothing for a time when another needs quiet.
  const giveBack = await turns?.take(false, context.signal);
  const subject = await openRestored({ ...context, output }, kind, disruptive, earlier).finally(giveBack);
  using watch = heartbeat.watch(extras.subject ?? "");
  try {
    const run = earlier ?? (await newRun(context, options, kind, checks, subject.facts, disruptive, extras));
    const { id, subject: begunAt } = run.plan;
    if (begunAt.component !== subject.facts.component)
      throw new UsageError("usage/state", `run ${id} is of ${begunAt.component}; this is ${subject.facts.component}`, {
        fix: "Resume it at the component that it was begun at.",
      });
    await extras.begun?.(id);
    output.notice(
      `run ${id}: ${run.plan.checks.length} checks of ${begunAt.component}; --resume ${id} goes on with it if it is cut off`,
    );
    try {
      await runChecks(run, kind.checks, subject, {
        redactor: kind.redactor,
        ...(turns === undefined ? {} : { turns }),
        progress: (now) => {
          const { check, title, number, of, remainingMs } = now;
          output.progress(`${number}/${of} ${check} ${title} (about ${durationText(remainingMs)} left)`);
          watch.begins(now);
        },
        doing: (what) => watch.doing(what),
      });
    } catch (error) {
      if (!context.signal.aborted) throw error;
      throw await interruption(output, run, kind, disruptive, error);
    }
    return await finishRun(run, await signingKey(folder), new Date());
  } finally {
    await subject[Symbol.asyncDispose]?.();
  }
}

/** Output whose notices and progress say whom they are about. */
function namedOutput(output: Output, subject: string): Output {
  return {
    ...output,
    notice: (text) => output.notice(`${subject}: ${text}`),
    progress: (text) => output.progress(`${subject}: ${text}`),
  };
}

/** How often, and for how long in all, putting back is tried: a device closes the session of who died by a timer of its own. */
const retry = { everyMs: 3000, times: 10 } as const;

/**
 * Opens a subject as it was before a cut-off run changed it: what is to be put back is put back, and the subject is read again, so
 * that no check takes what another had changed for what it must leave behind.
 */
async function openRestored<S extends Assessed>(
  context: Context,
  kind: Kind<S>,
  disruptive: boolean,
  earlier: RunFolder | undefined,
): Promise<S> {
  const subject = await kind.open(disruptive, context.signal);
  if (earlier === undefined) return subject;
  try {
    const restored = await putBack(context, earlier, kind, subject);
    if (restored.length === 0) return subject;
    context.output.notice(`what ${restored.join(", ")} had changed was put back`);
  } catch (error) {
    await subject[Symbol.asyncDispose]?.();
    throw error;
  }
  await subject[Symbol.asyncDispose]?.();
  return await kind.open(disruptive, context.signal);
}

/** Puts back what a run had changed; a device that is not ready for it is asked again. */
async function putBack<S extends Assessed>(
  { output, signal }: Pick<Context, "output" | "signal">,
  run: RunFolder,
  kind: Kind<S>,
  subject: S,
): Promise<readonly string[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await putBackChanges(run, kind.checks, subject, kind.redactor);
    } catch (error) {
      if (!isStackError(error) || error.code !== "cip/status" || tries === retry.times || signal.aborted) throw error;
      output.progress(`putting back what had been changed: ${error.message}; trying again`);
      await pause(retry.everyMs);
    }
  }
}

/** A run of this kind that can be gone on with. @throws {UsageError} `usage/state` for one that is finished or of another kind. */
async function resumable(context: Context, id: string, kind: RunPlan["kind"]): Promise<RunFolder> {
  const run = await openRun(runPath(assessFolder(context).runs, id));
  if (run.plan.kind !== kind)
    throw new UsageError("usage/argument", `run ${id} is of ${kind === "host" ? "a device" : "a host"}`, {
      fix: `Go on with it by 'cipsec assess ${run.plan.kind} --resume ${id}'.`,
    });
  if (await run.isFinished())
    throw new UsageError("usage/state", `run ${id} is finished: there is nothing to go on with`, {
      fix: `Repeat it with 'cipsec assess replay ${id}', or write it with 'cipsec report ${id}'.`,
    });
  return run;
}

/** What Ctrl-C is told as, after everything that was changed was put back, where that was possible. */
async function interruption<S extends Assessed>(
  output: Output,
  run: RunFolder,
  kind: Kind<S>,
  disruptive: boolean,
  cause: unknown,
): Promise<UsageError> {
  const { id } = run.plan;
  const fix = `Go on with: cipsec assess ${kind.command} --resume ${id}`;
  const changed: string[] = [];
  for (const check of run.plan.checks) if ((await run.pending(check.id)) !== undefined) changed.push(check.id);
  const of = (state: string): UsageError =>
    new UsageError("usage/interrupted", `interrupted; ${state}`, { fix, cause, facts: { run: id } });
  if (changed.length === 0) return of("nothing is left changed");
  try {
    const signal = AbortSignal.timeout(putBackMs);
    const subject = await kind.open(disruptive, signal);
    try {
      await putBack({ output, signal }, run, kind, subject);
    } finally {
      await subject[Symbol.asyncDispose]?.();
    }
    return of(`what ${changed.join(", ")} had changed was put back`);
  } catch (error) {
    const why = isStackError(error) ? error.message : String(error);
    return of(`what ${changed.join(", ")} had changed could NOT be put back (${why}); --resume does it first`);
  }
}

function wantedChecks<S extends Assessed>(options: Options, kind: Kind<S>): readonly Check<S>[] {
  const only = textOption(options, "only")?.split(",");
  const unknown = only?.find((id) => !kind.checks.some((check) => check.id === id));
  if (unknown !== undefined)
    throw new UsageError("usage/argument", `--only: there is no check ${unknown}`, {
      fix: `The checks are ${kind.checks.map(({ id }) => id).join(", ")}.`,
    });
  return kind.checks.filter(({ id }) => only === undefined || only.includes(id));
}

async function newRun<S extends Assessed>(
  context: Context,
  options: Options,
  kind: Kind<S>,
  checks: readonly Check<S>[],
  subject: RunPlan["subject"],
  disruptive: boolean,
  { attestations }: AssessExtras,
): Promise<RunFolder> {
  const now = new Date();
  const words = kind.kept.flatMap((name) => {
    const word = options[name];
    return typeof word === "string" || word === true ? [[name, String(word)]] : [];
  });
  return await createRun(assessFolder(context).runs, {
    id: newRunId(now),
    kind: kind.kind,
    subject,
    level: levelOf(options),
    type: typeOf(options, kind.type),
    disruptive,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: toolFacts(),
    operator: operatorOf(options),
    options: Object.fromEntries(words),
    attestations: attestations ?? (await attestationsOf(options)),
  });
}

/** The words of the command line that a run was begun with, as options again; what is given now goes before. */
export function optionsOfRun({ options, level, type, disruptive }: RunPlan, given: Options): Options {
  const flag = (name: string): Options => (options[name] === "true" ? { [name]: true } : {});
  return { ...options, ...flag("insecureAcceptAny"), level: String(level), type, disruptive, ...given };
}
