import type { Command } from "commander";
import { hostChecks, makeRedactor, openHost, type Assessment, type HostSubject } from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import type { Options } from "../assessment.ts";
import { tellAssessment } from "../assessment-output.ts";
import { assessSubject, type AssessExtras } from "../assessment-run.ts";
import { addCommand, addNotes, textOption, type Context, type Shell } from "../command.ts";
import { addAssessOptions, resumedOptions } from "./assess-endpoint.ts";

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
      const resume = textOption(options, "resume");
      const whole = await resumedOptions(context, chosen, resume);
      const assessment = await assessHost(context, whole, resume === undefined ? {} : { resume });
      return await tellAssessment(context, options, assessment);
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

/** Assesses the host that the option `ssh` names, or this machine. */
export async function assessHost(context: Context, options: Options, extras: AssessExtras = {}): Promise<Assessment> {
  const ssh = textOption(options, "ssh");
  const other = textOption(options, "second");
  const samples = samplesOf(textOption(options, "loginSamples"));
  const through = textOption(options, "through")?.split(/\s+/).filter(Boolean);
  await using second =
    other === undefined
      ? undefined
      : await openHost({ ssh: other, disruptive: options["disruptive"] === true, signal: context.signal });
  return await assessSubject<HostSubject>(
    context,
    options,
    {
      kind: "host",
      checks: hostChecks,
      type: "host",
      kept,
      command: "host",
      redactor: makeRedactor(),
      open: async (disruptive, signal) =>
        await openHost({
          disruptive,
          signal,
          ...(ssh === undefined ? {} : { ssh }),
          ...(second === undefined ? {} : { second }),
          ...(through === undefined ? {} : { through }),
          ...(samples === undefined ? {} : { loginSamples: samples }),
        }),
    },
    extras,
  );
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
