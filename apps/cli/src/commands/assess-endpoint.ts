import type { Command } from "commander";
import {
  compare,
  createRun,
  endpointChecks,
  finishRun,
  jsonReport,
  makeRedactor,
  newRunId,
  openEndpoint,
  openRun,
  readAssessment,
  reported,
  runChecks,
  runPath,
  signingKey,
  verdictText,
  type Assessment,
  type Comparison,
  type ComponentType,
  type RunFolder,
  type SecurityLevel,
} from "@cipsec/assess";
import { parseTarget, type SecurityOptions } from "@cipsec/originator";
import { hasUpstream } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import {
  assessFolder,
  attestationsOf,
  finishedRun,
  levelOf,
  operatorOf,
  toolFacts,
  typeOf,
  type Options,
} from "../assessment.ts";
import { addCommand, addNotes, argument, targetHelp, textOption, type Context, type Shell } from "../command.ts";
import { addCredentials, securityOf } from "../credentials.ts";
import { readInput } from "../data-folder.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Output } from "../output.ts";

/** Words of the command line that a repetition needs. Secrets are in files; their names are no secrets. */
const kept = [
  "cert",
  "key",
  "ca",
  "crl",
  "pskIdentity",
  "pskFile",
  "serverName",
  "insecureAcceptAny",
  "authority",
  "second",
  "ports",
  "only",
] as const;

/** Adds the options that every kind of assessment has. */
export function addAssessOptions(command: Command, type: ComponentType): Command {
  return command
    .option("--level <n>", "target security level, 1 to 4 (default: 2)")
    .option("--type <type>", `embedded, software, host or network (default: ${type})`)
    .option("--disruptive", "also run checks that change settings or flood; outside production only")
    .option("--only <checks>", "run these checks only, by id, with commas; all else stays open")
    .option("--attestations <file>", "statements of people where no machine can judge, JSON")
    .option("--operator <name>", "who runs this (default: the account's name)")
    .option("--resume <run>", "go on with a run that was cut off")
    .option("--compare <run>", "tell what differs from an earlier run, and what got worse");
}

/** `assess endpoint`: gathers evidence at a device and judges it. */
export function addAssessEndpoint(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "endpoint",
    "assess a device: a verdict with evidence for every requirement",
    async (context, options, args) => {
      const target = argument(args, 0, "TARGET");
      const assessment = await assessEndpoint(context, options, target);
      return await tellAssessment(context, options, assessment);
    },
  ).argument("<target>", targetHelp);
  addAssessOptions(command, "embedded")
    .option(
      "--authority <dir>",
      "authority that the device trusts, to make good and bad certificates with (default: that of the data folder)",
    )
    .option("--second <target>", "a second unit of the same product, to compare identities")
    .option("--ports <list>", "further TCP ports to look at, with commas");
  addCredentials(command, true);
  addNotes(command, {
    json:
      "{run, subject: {address, component, facts}, level, type, results: [{requirement, verdict, notApplicable?, reason, parts, checks, " +
      "evidence: [{file, sha256}], userAction?}], levelByFr: {1…7}, counts, comparison?}",
    examples: [
      [
        "cipsec assess endpoint 192.0.2.7",
        "assesses a device of the plant at SL 2; exits with 1 while anything is open",
      ],
      ["cipsec assess endpoint 192.0.2.7 --disruptive --level 3", "in a laboratory: with checks that change and flood"],
      ["cipsec assess endpoint 192.0.2.7 --compare 20261121-101502-3f9a2c", "after an update: what got worse?"],
    ],
  });
}

/** `assess replay`: does a run again, and tells what differs. */
export function addAssessReplay(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "replay",
    "repeat a run in the same way and show what differs",
    async (context, options, args) => {
      const id = argument(args, 0, "RUN");
      const { assessment: before } = await finishedRun(context, id);
      const { plan } = before;
      if (plan.kind !== "endpoint")
        throw new UsageError("usage/argument", `run ${id} is of a host`, {
          fix: "Repeat it with 'cipsec assess host'.",
        });
      const again = {
        ...plan.options,
        ...options,
        level: String(plan.level),
        type: plan.type,
        disruptive: plan.disruptive && options["disruptive"] === true,
        insecureAcceptAny: plan.options["insecureAcceptAny"] === "true",
      };
      if (plan.disruptive && options["disruptive"] !== true)
        throw new UsageError("usage/argument", `run ${id} had checks that change the device`, {
          fix: "Say --disruptive again, outside production.",
        });
      const now = await assessEndpoint(
        context,
        again,
        plan.options["target"] ?? plan.subject.address,
        plan.attestations,
      );
      const comparison = compare(before, now);
      context.output.document(comparison);
      showComparison(context.output, comparison);
      return comparison.verdicts.length + comparison.observations.length === 0 ? ExitCode.ok : ExitCode.doesNotHold;
    },
  )
    .argument("<run>", "a finished run of the data folder")
    .option("--disruptive", "allow the checks that change the device, as the run had them");
  addNotes(command, {
    json:
      "{before, now, caveats: [text], verdicts: [{requirement, before, now, isRegression, reason}], " +
      "observations: [{check, observation, before, now}], regressions}",
    examples: [
      ["cipsec assess replay 20261121-101502-3f9a2c", "the same checks again; exits with 1 when anything differs"],
    ],
  });
}

/** `assess all`: the devices of a plan file, one after the other. */
export function addAssessAll(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "all",
    "assess every device that a plan file names",
    async (context, options, args) => {
      const wanted = parsePlanFile(await readInput(argument(args, 0, "PLAN")));
      const done: Assessment[] = [];
      for (const { target, level, type } of wanted)
        done.push(
          await assessEndpoint(
            context,
            { ...options, ...(level === undefined ? {} : { level }), ...(type === undefined ? {} : { type }) },
            target,
          ),
        );
      context.output.document({ runs: done.map((one) => jsonReport(one)) });
      for (const one of done) showAssessment(context.output, one);
      return done.every(isAllMet) ? ExitCode.ok : ExitCode.doesNotHold;
    },
  ).argument("<plan>", 'JSON: {"endpoints": ["192.0.2.7", {"target": "192.0.2.8", "level": 3, "type": "embedded"}]}');
  addAssessOptions(command, "embedded");
  addCredentials(command, true);
  addNotes(command, {
    json: "{runs: [as for assess endpoint]}",
    examples: [["cipsec assess all plant.json", "one run for each device; a device that does not answer ends it"]],
  });
}

/** Assesses one device: a new run, or the rest of one that was cut off. */
async function assessEndpoint(
  context: Context,
  options: Options,
  target: string,
  attestations?: Assessment["plan"]["attestations"],
): Promise<Assessment> {
  const { folder, runs } = assessFolder(context);
  const resumed = textOption(options, "resume");
  const earlier = resumed === undefined ? undefined : await openRun(runPath(runs, resumed));
  const security = quietly(await securityOf(context, options));
  const disruptive = earlier?.plan.disruptive ?? options["disruptive"] === true;
  const authority = authorityOf(context, options);
  const second = textOption(options, "second");
  const subject = await openEndpoint({
    target: parseTarget(target),
    disruptive,
    timeoutMs: context.timeoutMs,
    signal: context.signal,
    ports: portsOf(textOption(options, "ports")),
    ...(security === undefined ? {} : { security }),
    ...(authority === undefined ? {} : { authority }),
    ...(second === undefined ? {} : { second: parseTarget(second) }),
  });
  const redactor = makeRedactor();
  if (security?.psk !== undefined) redactor.add(security.psk.key);
  const run = earlier ?? (await newRun(context, options, target, subject.facts, attestations));
  if (run.plan.subject.component !== subject.facts.component)
    throw new UsageError(
      "usage/state",
      `run ${run.plan.id} is of ${run.plan.subject.component}; ${target} is ${subject.facts.component}`,
      {
        fix: "Resume it at the device that it was begun at.",
      },
    );
  context.output.notice(
    `run ${run.plan.id}: ${run.plan.checks.length} checks of ${run.plan.subject.component}; --resume goes on with it if it is cut off`,
  );
  await runChecks(run, endpointChecks, subject, {
    redactor,
    progress: ({ check, title, number, of, remainingMs }) =>
      context.output.progress(`${number}/${of} ${check} ${title} (about ${Math.ceil(remainingMs / 1000)} s left)`),
  });
  return await finishRun(run, await signingKey(folder), new Date());
}

async function newRun(
  context: Context,
  options: Options,
  target: string,
  subject: Assessment["plan"]["subject"],
  attestations: Assessment["plan"]["attestations"] | undefined,
): Promise<RunFolder> {
  const now = new Date();
  const level: SecurityLevel = levelOf(options);
  const only = textOption(options, "only")?.split(",");
  const checks = endpointChecks.filter(({ id }) => only === undefined || only.includes(id));
  const unknown = only?.find((id) => !endpointChecks.some((check) => check.id === id));
  if (unknown !== undefined)
    throw new UsageError("usage/argument", `--only: there is no check ${unknown}`, {
      fix: `The checks are ${endpointChecks.map(({ id }) => id).join(", ")}.`,
    });
  const words = kept.flatMap((name) => {
    const word = options[name];
    return typeof word === "string" || typeof word === "boolean" ? [[name, String(word)]] : [];
  });
  return await createRun(assessFolder(context).runs, {
    id: newRunId(now),
    kind: "endpoint",
    subject,
    level,
    type: typeOf(options, "embedded"),
    disruptive: options["disruptive"] === true,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: toolFacts(),
    operator: operatorOf(options),
    options: { ...Object.fromEntries(words), target },
    attestations: attestations ?? (await attestationsOf(options)),
  });
}

/** Tells what a run came to, and compares it where that was asked for. */
export async function tellAssessment(context: Context, options: Options, assessment: Assessment): Promise<number> {
  const other = textOption(options, "compare");
  const before =
    other === undefined ? undefined : await readAssessment(await openRun(runPath(assessFolder(context).runs, other)));
  const comparison = before === undefined ? undefined : compare(before, assessment);
  context.output.document(jsonReport(assessment, comparison));
  showAssessment(context.output, assessment);
  if (comparison !== undefined) showComparison(context.output, comparison);
  return isAllMet(assessment) ? ExitCode.ok : ExitCode.doesNotHold;
}

/** Whether nothing that applies at the target is open, partial or not met. */
function isAllMet({ counts }: Assessment): boolean {
  return counts.partial + counts["not-met"] + counts.inconclusive + counts["out-of-scope"] === 0;
}

/** Longest reason in a table; the report has it whole. */
const maxReason = 110;

/** Verdicts as a table, the level vector, and where the run lies. */
export function showAssessment(output: Output, { plan, verdicts, levelByFr, counts }: Assessment): void {
  output.say(`${plan.subject.component}, ${plan.type}, target SL ${plan.level}`);
  output.table(
    ["requirement", "verdict", "why"],
    reported(verdicts).map((one) => [
      one.requirement,
      verdictText(one),
      one.reason.length > maxReason ? `${one.reason.slice(0, maxReason - 1)}…` : one.reason,
    ]),
  );
  const vector = Object.entries(levelByFr).map(([fr, level]) => `FR ${fr}: ${level}`);
  output.say(`Level reached: ${vector.join(", ")}`);
  output.say(
    `${counts.met} met, ${counts.partial} partial, ${counts["not-met"]} not met, ${counts.inconclusive + counts["out-of-scope"]} open. Run ${plan.id}; 'cipsec report ${plan.id}' writes it.`,
  );
}

function showComparison(
  output: Output,
  { before, now, caveats, verdicts, observations, regressions }: Comparison,
): void {
  for (const caveat of caveats) output.notice(`not quite comparable: ${caveat}`);
  if (verdicts.length > 0)
    output.table(
      ["requirement", "before", "now", ""],
      verdicts.map((one) => [one.requirement, one.before, one.now, one.isRegression ? "worse" : ""]),
    );
  if (observations.length > 0)
    output.table(
      ["check", "observation", "before", "now"],
      observations.map((one) => [one.check, one.observation, one.before ?? "none", one.now ?? "none"]),
    );
  const same = verdicts.length + observations.length === 0;
  output.say(
    same
      ? `Runs ${before} and ${now} agree.`
      : `${verdicts.length} verdicts differ between ${before} and ${now}; ${regressions} got worse.`,
  );
}

/** Says once of each certificate that only `--insecure-accept-any` let in; an assessment connects a hundred times. */
function quietly(security: SecurityOptions | undefined): SecurityOptions | undefined {
  const { announce } = security ?? {};
  if (security === undefined || announce === undefined) return security;
  const told = new Set<string>();
  return {
    ...security,
    announce: (accepted) => {
      if (!told.has(accepted.sha256)) announce(accepted);
      told.add(accepted.sha256);
    },
  };
}

/** The authority's folder: what was named, or the data folder's own, unless that is one above. */
function authorityOf(context: Context, options: Options): string | undefined {
  const named = textOption(options, "authority");
  if (named !== undefined) return named;
  const own = context.data.file("ca");
  return context.data.hasCa() && !hasUpstream(own) ? own : undefined;
}

function portsOf(text: string | undefined): readonly number[] {
  if (text === undefined) return [];
  return text.split(",").map((word) => {
    const port = Number(word);
    if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
    throw new UsageError("usage/argument", `--ports: '${word}' is no port`, {
      fix: "Write numbers with commas between.",
    });
  });
}

/** Devices that one plan file may name; each takes half a minute. */
const maxEndpoints = 1000;

interface PlannedEndpoint {
  readonly target: string;
  readonly level?: string;
  readonly type?: string;
}

function parsePlanFile(content: Uint8Array): readonly PlannedEndpoint[] {
  const refuse = (words: string): UsageError =>
    new UsageError("usage/file", `the plan file ${words}`, {
      fix: 'Write {"endpoints": ["192.0.2.7"]}; see docs/assess.md.',
    });
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(content).toString("utf8"));
  } catch {
    throw refuse("is not JSON");
  }
  const named = typeof value === "object" && value !== null && "endpoints" in value ? value.endpoints : undefined;
  if (!Array.isArray(named) || named.length === 0 || named.length > maxEndpoints)
    throw refuse(`must have a list 'endpoints' of 1 to ${maxEndpoints} devices`);
  return named.map((one: unknown, at) => {
    if (typeof one === "string") return { target: one };
    const fields = new Map<string, unknown>(typeof one === "object" && one !== null ? Object.entries(one) : []);
    const target = fields.get("target");
    if (typeof target !== "string") throw refuse(`has no target in entry ${at + 1}`);
    const text = (name: string): Record<string, string> =>
      fields.has(name) ? { [name]: String(fields.get(name)) } : {};
    return { target, ...text("level"), ...text("type") };
  });
}
