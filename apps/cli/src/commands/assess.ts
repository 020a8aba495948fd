import type { Command } from "commander";
import {
  catalogueSources,
  foundationalRequirements,
  listRuns,
  openRun,
  paperOpinion,
  partsOfId,
  runPath,
  selectRequirements,
  typesOf,
  type FoundationalRequirement,
  type Verification,
} from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { assessFolder, levelOf, typeOf, verified, type Options } from "../assessment.ts";
import { addCommand, addNotes, argument, textOption, type Shell } from "../command.ts";
import { ExitCode, told } from "../exit-codes.ts";
import { addAssessAll } from "./assess-all.ts";
import { addAssessEndpoint } from "./assess-endpoint.ts";
import { addAssessHost } from "./assess-host.ts";
import { addAssessReplay } from "./assess-replay.ts";
import { addAssessCompare, addAssessShow } from "./assess-show.ts";

/** `assess`: IEC 62443-4-2, with evidence. */
export function addAssess(program: Command, shell: Shell): void {
  const assess = program.command("assess").description("IEC 62443-4-2: verdicts with evidence, for devices and hosts");
  addAssessEndpoint(assess, shell);
  addAssessHost(assess, shell);
  addAssessAll(assess, shell);
  addAssessShow(assess, shell);
  addAssessCompare(assess, shell);
  addAssessReplay(assess, shell);
  addVerify(assess, shell);
  addList(assess, shell);
  addCatalogue(assess, shell);
}

function addVerify(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "verify",
    "check a run's folder against its signed manifest; any change is found",
    async (context, options, args) => {
      const id = argument(args, 0, "RUN");
      const signer = textOption(options, "signer");
      const result = await verified(context, id, signer === undefined ? [] : [signer.toLowerCase()]);
      context.output.document({ run: id, ...result });
      for (const [what, files] of changes(result)) for (const file of files) context.output.say(`${what}: ${file}`);
      context.output.say(
        result.holds
          ? `Run ${id} is as it was when it was finished: ${result.files} files, signed by ${result.signer ?? ""}.`
          : `Run ${id} does not hold: ${signatureWords[result.signature]}.`,
      );
      return result.holds ? ExitCode.ok : ExitCode.doesNotHold;
    },
  )
    .argument("<run>", "a finished run of the data folder")
    .option("--signer <sha256>", "also believe the key with this fingerprint, of another installation");
  addNotes(command, {
    json: '{run, holds, files, changed: [path], missing, added, signature: "good" | "bad" | "missing" | "unknown", signer}',
    examples: [
      ["cipsec assess verify 20261121-101502-3f9a2c", "exits with 1 when a file was changed, taken away or added"],
    ],
  });
}

const signatureWords = {
  good: "files differ from the manifest, whose signature is good",
  bad: "the manifest was changed: its signature is wrong",
  missing: "the signature is missing",
  unknown: "it is signed by a key that this installation does not know (--signer)",
} as const;

function changes({ changed, missing, added }: Verification): readonly (readonly [string, readonly string[]])[] {
  return [
    ["changed", changed],
    ["missing", missing],
    ["added", added],
  ];
}

function addList(assess: Command, shell: Shell): void {
  const command = addCommand(assess, shell, "list", "the runs of the data folder", async (context) => {
    const { runs } = assessFolder(context);
    const found = [];
    for (const id of await listRuns(runs)) {
      try {
        found.push(await facts(runPath(runs, id)));
      } catch (error) {
        // A damaged run must not hide the others.
        context.output.notice(`${id}: ${told(error).message}`);
      }
    }
    context.output.document({ runs: found });
    context.output.table(
      ["run", "component", "address", "target", "state"],
      found.map((one) => [
        one.run,
        one.component,
        one.address,
        `SL ${one.level}`,
        one.finished ? "finished" : `cut off after ${one.checks.done} of ${one.checks.of} checks`,
      ]),
    );
  });
  addNotes(command, {
    json: "{runs: [{run, kind, component, address, level, type, startedAt, finished, checks: {done, of}}]}",
    examples: [["cipsec assess list", "names the runs, oldest first"]],
  });
}

/** What the list says of a run. */
async function facts(path: string) {
  const run = await openRun(path);
  const { id, kind, subject, level, type, startedAt, checks } = run.plan;
  return {
    run: id,
    kind,
    component: subject.component,
    address: subject.address,
    level,
    type,
    startedAt,
    finished: await run.isFinished(),
    checks: { done: (await run.records()).length, of: checks.length },
  };
}

function addCatalogue(assess: Command, shell: Shell): void {
  const command = addCommand(
    assess,
    shell,
    "catalogue",
    "the requirements, in our own words, with levels, types and what sources say",
    async (context, options) => {
      const type = textOption(options, "type") === undefined ? undefined : typeOf(options, "embedded");
      const level = textOption(options, "level") === undefined ? undefined : levelOf(options);
      const entries = selectRequirements({ fr: frOf(options), level, type });
      context.output.document({
        entries: entries.map((entry) => ({
          ...entry,
          fr: partsOfId(entry.id).fr,
          componentTypes: typesOf(entry),
          paper: paperOpinion(entry, type ?? "embedded"),
        })),
        sources: catalogueSources,
      });
      context.output.table(
        ["requirement", "title", "from SL", "types", "ODVA paper", "Linux platform"],
        entries.map((entry) => [
          entry.id,
          entry.title,
          entry.firstLevel === null ? "placeholder" : String(entry.firstLevel),
          typesOf(entry).join(" "),
          paperOpinion(entry, type ?? "embedded").verdict,
          entry.cipLinux.verdict ?? "",
        ]),
      );
      context.output.notice(
        "Own paraphrases and facts; compare with a licensed copy of IEC 62443-4-2 before a claim is made.",
      );
    },
  )
    .option("--fr <n>", "one foundational requirement, 1 to 7")
    .option("--level <n>", "entries that are required at this level")
    .option("--type <type>", "entries with a rule for embedded, software, host or network components");
  addNotes(command, {
    json:
      "{entries: [{id, title, summary, fr, firstLevel: 1…4 | null, componentTypes, odva: {body?, table?, how?, note?}, " +
      "cipLinux: {verdict?, …}, paper: {verdict, from?, notes}}], sources}",
    examples: [["cipsec assess catalogue --type embedded --level 2", "what an embedded device must meet at SL 2"]],
  });
}

function frOf(options: Options): FoundationalRequirement | undefined {
  const text = textOption(options, "fr");
  if (text === undefined) return undefined;
  const fr = foundationalRequirements.find((one) => String(one) === text);
  if (fr !== undefined) return fr;
  throw new UsageError("usage/argument", `--fr: '${text}' is no foundational requirement`, { fix: "Use 1 to 7." });
}
