import type { Command } from "commander";
import {
  compare,
  eachApart,
  endpointChecks,
  hostChecks,
  jsonReport,
  keepSeries,
  makeTurns,
  newRunId,
  openRun,
  parseSeriesFile,
  readAssessment,
  readSeries,
  runPath,
  thisMachine,
  writeSeries,
  type Assessment,
  type Comparison,
  type Series,
  type SeriesEntry,
} from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { assessFolder, type Options } from "../assessment.ts";
import { countText, isAllMet, showComparison } from "../assessment-output.ts";
import type { AssessExtras } from "../assessment-run.ts";
import { addCommand, addNotes, argument, textOption, wholeNumber, type Context, type Shell } from "../command.ts";
import { addCredentials } from "../credentials.ts";
import { readInput } from "../data-folder.ts";
import { ExitCode, exitCodeOf, told } from "../exit-codes.ts";
import { makeHeartbeat } from "../heartbeat.ts";
import { placesOf } from "../subject-places.ts";
import { addScopeOptions, assessEndpoint } from "./assess-endpoint.ts";
import { assessHost } from "./assess-host.ts";

/** What became of one subject in this call. */
interface Outcome {
  readonly entry: SeriesEntry;
  readonly assessment?: Assessment;
  /** Exit code that its failure calls for. */
  readonly code?: number;
}

/** More would take each other's time: one process does the work of them all. */
const mostAtOnce = 32;

/** `assess all`: the devices and hosts of a plan file, one after the other or some at once. */
export function addAssessAll(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "all",
    "assess every device and host that a plan file names, each in a run of its own",
    async (context, options, args) => {
      const resume = textOption(options, "resume");
      const series =
        resume === undefined
          ? await newSeries(context, options, argument(args, 0, "PLAN"))
          : await readSeries(seriesFolder(context), resume);
      const other = textOption(options, "compare");
      const before = other === undefined ? undefined : await readSeries(seriesFolder(context), other);
      const outcomes = await assessAll(context, series, Number(options["atOnce"]));
      const comparisons = before === undefined ? undefined : await compareAll(context, before, outcomes);
      context.output.document({
        series: series.id,
        runs: outcomes.flatMap(({ assessment }) => (assessment === undefined ? [] : [jsonReport(assessment)])),
        failures: outcomes.flatMap(({ entry: { kind, target, failure } }) =>
          failure === undefined ? [] : [{ kind, target, ...failure }],
        ),
        ...(comparisons === undefined ? {} : { comparisons }),
      });
      show(context, series.id, outcomes, comparisons);
      const failed = outcomes.find(({ code }) => code !== undefined);
      if (failed?.code !== undefined) return failed.code;
      const holds =
        comparisons === undefined
          ? outcomes.every(({ assessment }) => assessment !== undefined && isAllMet(assessment))
          : comparisons.every(({ regressions }) => regressions === 0);
      return holds ? ExitCode.ok : ExitCode.doesNotHold;
    },
  ).argument(
    "[plan]",
    'JSON: {"endpoints": ["192.0.2.7", {"target": "192.0.2.8", "level": 3, "pskIdentity": "cell4", "pskFile": "cell4.hex"}], "hosts": ["local", "plc@192.0.2.9"]}; not needed with --resume',
  );
  addScopeOptions(command, "embedded; hosts: host")
    .option("--resume <series>", "go on with a series that was cut off: what is done stays, what failed is tried again")
    .option("--compare <series>", "tell what differs from an earlier series, subject by subject, and what got worse")
    .option(
      "--at-once <n>",
      "subjects that are assessed at once; never two at one address, and nothing beside a check that needs quiet",
      (text: string) => wholeNumber(text, 1, mostAtOnce),
      1,
    );
  addCredentials(command, true);
  addNotes(command, {
    json: "{series, runs: [as for assess endpoint], failures: [{kind, target, code, message}], comparisons?: [as for assess replay]}",
    examples: [
      ["cipsec assess all plant.json", "one run for each subject; one that does not answer is named at the end"],
      [
        "cipsec assess all --resume 20261121-101502-3f9a2c",
        "the rest, after Ctrl-C, a crash, or a device that was off",
      ],
      ["cipsec assess all plant.json --at-once 8", "a large plant, eight devices at a time"],
      ["cipsec assess all plant.json --compare 20261121-101502-3f9a2c", "after an update: what got worse, and where?"],
    ],
  });
}

function seriesFolder(context: Context): string {
  return context.data.file("assess", "series");
}

/** Words of the command line that are for all subjects. */
const shared = [
  "level",
  "type",
  "only",
  "attestations",
  "operator",
  "cert",
  "key",
  "ca",
  "crl",
  "pskIdentity",
  "pskFile",
  "serverName",
  "disruptive",
  "insecureAcceptAny",
] as const;

async function newSeries(context: Context, options: Options, file: string): Promise<Series> {
  const entries = parseSeriesFile(await readInput(file));
  const now = new Date();
  const words = shared.flatMap((name) => {
    const word = options[name];
    return typeof word === "string" || word === true ? [[name, String(word)]] : [];
  });
  const series: Series = {
    id: newRunId(now),
    startedAt: now.toISOString(),
    options: Object.fromEntries(words),
    entries,
  };
  for (const { kind, options: own } of entries) {
    const only = own["only"] ?? textOption(options, "only");
    if (only !== undefined) idsOf(kind, only);
  }
  await writeSeries(seriesFolder(context), series);
  return series;
}

/** Assesses every subject of a series that is not done yet, and keeps on disk how far it came. */
async function assessAll(context: Context, series: Series, atOnce: number): Promise<readonly Outcome[]> {
  const { output, signal } = context;
  const { length } = series.entries;
  output.notice(`series ${series.id}: ${length} subjects; --resume ${series.id} goes on with it if it is cut off`);
  const keeper = keepSeries(seriesFolder(context), series);
  const shared = { turns: makeTurns(), heartbeat: makeHeartbeat(output) };
  const outcomes = new Map<number, Outcome>();
  const cut: Cut[] = [];
  const assess = async (entry: SeriesEntry, at: number): Promise<void> => {
    const { failure: _failure, ...pending } = entry;
    const subject = `${at + 1}/${length} ${entry.target}`;
    // Each has a signal of its own: many listen to one meanwhile.
    const own = { ...context, signal: AbortSignal.any([signal]) };
    try {
      const done = await finishedAssessment(context, entry.run);
      if (done !== undefined) return void outcomes.set(at, { entry: pending, assessment: done });
      const assessment = await assessEntry(own, series, entry, {
        ...shared,
        subject,
        begun: async (run) => await keeper.keep(at, { ...pending, run }),
        ...(entry.run === undefined ? {} : { resume: entry.run }),
      });
      outcomes.set(at, { entry: keeper.entry(at) ?? entry, assessment });
    } catch (error) {
      if (signal.aborted) return void cut.push({ subject, error });
      const { code, message } = told(error);
      const failed = { ...(keeper.entry(at) ?? entry), failure: { code, message } };
      await keeper.keep(at, failed);
      output.notice(`${subject}: ${message}`);
      outcomes.set(at, { entry: failed, code: exitCodeOf(error) });
    }
  };
  const places = new Map<SeriesEntry, readonly string[]>();
  if (atOnce > 1) await Promise.all(series.entries.map(async (entry) => void places.set(entry, await placesOf(entry))));
  const apart = { width: atOnce, placesOf: (entry: SeriesEntry) => places.get(entry) ?? [], signal };
  await eachApart(series.entries, apart, assess);
  if (outcomes.size < length) throw interruption(series.id, cut);
  return series.entries.flatMap((_entry, at) => outcomes.get(at) ?? []);
}

/** A subject that was being assessed when all was interrupted. */
interface Cut {
  readonly subject: string;
  readonly error: unknown;
}

async function assessEntry(
  context: Context,
  series: Series,
  { kind, target, options: own }: SeriesEntry,
  extras: AssessExtras,
): Promise<Assessment> {
  const flag = (name: string): Options => (series.options[name] === "true" ? { [name]: true } : {});
  const only = own["only"] ?? series.options["only"];
  const words: Options = {
    ...series.options,
    ...flag("disruptive"),
    ...flag("insecureAcceptAny"),
    ...own,
    ...(only === undefined ? {} : { only: idsOf(kind, only) }),
  };
  if (kind === "endpoint") return await assessEndpoint(context, { ...words, target }, extras);
  // The type of component of all is that of the devices.
  const host = { ...words, type: own["type"] };
  return await assessHost(context, target === thisMachine ? host : { ...host, ssh: target }, extras);
}

/**
 * Those of the checks with these ids that are for this kind of subject.
 *
 * @throws {UsageError} `usage/argument` when one is unknown, or none is for this kind.
 */
function idsOf(kind: SeriesEntry["kind"], only: string): string {
  const known = { endpoint: endpointChecks.map(({ id }) => id), host: hostChecks.map(({ id }) => id) };
  const ids = only.split(",");
  const unknown = ids.find((id) => !known.endpoint.includes(id) && !known.host.includes(id));
  const mine = ids.filter((id) => known[kind].includes(id));
  if (unknown === undefined && mine.length > 0) return mine.join(",");
  throw new UsageError(
    "usage/argument",
    unknown === undefined
      ? `--only: none of ${only} is a check of ${kind === "host" ? "a host" : "an endpoint"}`
      : `--only: there is no check ${unknown}`,
    { fix: `The checks are ${[...known.endpoint, ...known.host].join(", ")}.` },
  );
}

/** A run that is finished; nothing for one that is missing or cut off. */
async function finishedAssessment(context: Context, id: string | undefined): Promise<Assessment | undefined> {
  if (id === undefined) return undefined;
  const run = await openRun(runPath(assessFolder(context).runs, id));
  return (await run.isFinished()) ? await readAssessment(run) : undefined;
}

/** Names the subjects where they were not all left in the same state. */
function interruption(id: string, cut: readonly Cut[]): UsageError {
  const states = cut.map(({ subject, error }) => ({ subject, state: told(error).message }));
  const different = [...new Set(states.map(({ state }) => state))];
  const [one = "interrupted; nothing is left changed"] = different;
  const words = different.length > 1 ? states.map(({ subject, state }) => `${subject}: ${state}`).join("; ") : one;
  return new UsageError("usage/interrupted", words, {
    fix: `Go on with: cipsec assess all --resume ${id}`,
    facts: { series: id },
    cause: cut[0]?.error,
  });
}

/** Each subject beside the run of the same subject in an earlier series. */
async function compareAll(
  context: Context,
  before: Series,
  outcomes: readonly Outcome[],
): Promise<readonly Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const { entry, assessment } of outcomes) {
    if (assessment === undefined) continue;
    const same = before.entries.find(({ kind, target }) => kind === entry.kind && target === entry.target);
    const earlier = await finishedAssessment(context, same?.run);
    if (earlier === undefined) context.output.notice(`${entry.target}: series ${before.id} has no finished run of it`);
    else comparisons.push(compare(earlier, assessment));
  }
  return comparisons;
}

/** One line for each subject, then what differs from the earlier series. */
function show(
  { output }: Context,
  id: string,
  outcomes: readonly Outcome[],
  comparisons: readonly Comparison[] | undefined,
): void {
  output.table(
    ["subject", "component", "target", "levels FR 1 to 7", "verdicts", "run"],
    outcomes.map(({ entry, assessment }) =>
      assessment === undefined
        ? [entry.target, "-", "-", "-", `not assessed: ${entry.failure?.message ?? ""}`, entry.run ?? "-"]
        : [
            entry.target,
            assessment.plan.subject.component,
            `SL ${assessment.plan.level}`,
            Object.values(assessment.levelByFr).join(" "),
            countText(assessment),
            assessment.plan.id,
          ],
    ),
  );
  const failed = outcomes.filter(({ assessment }) => assessment === undefined).length;
  output.say("");
  output.say(
    failed === 0
      ? `Series ${id}: all ${outcomes.length} subjects are assessed. 'cipsec report RUN' writes a run.`
      : `Series ${id}: ${failed} of ${outcomes.length} subjects could not be assessed. 'cipsec assess all --resume ${id}' tries them again.`,
  );
  for (const comparison of comparisons ?? []) {
    output.say("");
    showComparison(output, comparison);
  }
}
