import type { Command } from "commander";
import {
  createRun,
  finishRun,
  hostChecks,
  makeRedactor,
  newRunId,
  openHost,
  openRun,
  runChecks,
  runPath,
  signingKey,
  type Assessment,
  type HostSubject,
  type RunFolder,
} from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { assessFolder, attestationsOf, levelOf, operatorOf, toolFacts, typeOf, type Options } from "../assessment.ts";
import { addCommand, addNotes, textOption, type Context, type Shell } from "../command.ts";
import { addAssessOptions, tellAssessment } from "./assess-endpoint.ts";

/** Words of the command line that a repetition needs. */
const kept = ["ssh", "second", "through", "loginSamples", "only"] as const;

/** `assess host`: gathers evidence on a Linux host and judges it. */
export function addAssessHost(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "host",
    "assess a Linux host, this one or one that SSH reaches: a verdict with evidence for every requirement",
    async (context, options, args) => {
      const [named] = args;
      const chosen = { ...options, ...(named === undefined ? {} : { ssh: named }) };
      if (options["local"] === true && textOption(chosen, "ssh") !== undefined)
        throw new UsageError("usage/argument", "--local and an SSH destination exclude each other", {
          fix: "Leave one of them out.",
        });
      return await tellAssessment(context, options, await assessHost(context, chosen));
    },
  )
    .argument("[destination]", "user@host, ssh://user@host:port or a Host of your SSH configuration")
    .option("--ssh <destination>", "the same, as an option")
    .option("--local", "this machine (default)")
    .option("--second <destination>", "a second unit of the same product, to compare identities")
    .option(
      "--through <words>",
      "words before each command, to reach into a container: 'nsenter --all --target=4711 --'",
    )
    .option("--login-samples <n>", "tries of each kind when logins are timed (default: 200)");
  addAssessOptions(command, "host");
  addNotes(command, {
    json: "as for assess endpoint",
    examples: [
      ["cipsec assess host", "assesses this machine at SL 2, as root; exits with 1 while anything is open"],
      ["cipsec assess host plc@192.0.2.9 --type embedded", "over SSH, with the keys and known hosts that ssh uses"],
      ["cipsec assess host --only C-1.1,C-1.11", "logins and lock-out alone"],
    ],
  });
}

/** Assesses a host: a new run, or the rest of one that was cut off. */
async function assessHost(context: Context, options: Options): Promise<Assessment> {
  const { folder, runs } = assessFolder(context);
  const resumed = textOption(options, "resume");
  const earlier = resumed === undefined ? undefined : await openRun(runPath(runs, resumed));
  const disruptive = earlier?.plan.disruptive ?? options["disruptive"] === true;
  const other = textOption(options, "second");
  await using second =
    other === undefined ? undefined : await openHost({ ssh: other, disruptive, signal: context.signal });
  const ssh = textOption(options, "ssh");
  const samples = samplesOf(textOption(options, "loginSamples"));
  const through = textOption(options, "through")?.split(/\s+/).filter(Boolean);
  await using subject = await openHost({
    disruptive,
    signal: context.signal,
    ...(ssh === undefined ? {} : { ssh }),
    ...(second === undefined ? {} : { second }),
    ...(through === undefined ? {} : { through }),
    ...(samples === undefined ? {} : { loginSamples: samples }),
  });
  const run = earlier ?? (await newRun(context, options, subject));
  if (run.plan.subject.component !== subject.facts.component)
    throw new UsageError(
      "usage/state",
      `run ${run.plan.id} is of ${run.plan.subject.component}; this is ${subject.facts.component}`,
      { fix: "Resume it on the host that it was begun on." },
    );
  context.output.notice(
    `run ${run.plan.id}: ${run.plan.checks.length} checks of ${run.plan.subject.component}; --resume goes on with it if it is cut off`,
  );
  await runChecks(run, hostChecks, subject, {
    redactor: makeRedactor(),
    progress: ({ check, title, number, of, remainingMs }) =>
      context.output.progress(`${number}/${of} ${check} ${title} (about ${Math.ceil(remainingMs / 1000)} s left)`),
  });
  return await finishRun(run, await signingKey(folder), new Date());
}

async function newRun(context: Context, options: Options, subject: HostSubject): Promise<RunFolder> {
  const now = new Date();
  const only = textOption(options, "only")?.split(",");
  const unknown = only?.find((id) => !hostChecks.some((check) => check.id === id));
  if (unknown !== undefined)
    throw new UsageError("usage/argument", `--only: there is no check ${unknown}`, {
      fix: `The checks are ${hostChecks.map(({ id }) => id).join(", ")}.`,
    });
  const checks = hostChecks.filter(({ id }) => only === undefined || only.includes(id));
  const words = kept.flatMap((name) => {
    const word = textOption(options, name);
    return word === undefined ? [] : [[name, word]];
  });
  return await createRun(assessFolder(context).runs, {
    id: newRunId(now),
    kind: "host",
    subject: subject.facts,
    level: levelOf(options),
    type: typeOf(options, "host"),
    disruptive: subject.disruptive,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: toolFacts(),
    operator: operatorOf(options),
    options: Object.fromEntries(words),
    attestations: await attestationsOf(options),
  });
}

/** More tries of each kind than this take a day. */
const maxSamples = 10_000;

function samplesOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const samples = Number(text);
  if (Number.isInteger(samples) && samples >= 0 && samples <= maxSamples) return samples;
  throw new UsageError("usage/argument", `--login-samples: '${text}' is no number of tries`, {
    fix: `Use 0 to ${maxSamples}; 20 is the least that says anything.`,
  });
}
