import type { Command } from "commander";
import { compare } from "@cipsec/assess";
import { UsageError } from "@cipsec/wire";
import { finishedRun } from "../assessment.ts";
import { showComparison } from "../assessment-output.ts";
import { optionsOfRun } from "../assessment-run.ts";
import { addCommand, addNotes, argument, type Shell } from "../command.ts";
import { ExitCode } from "../exit-codes.ts";
import { assessEndpoint } from "./assess-endpoint.ts";
import { assessHost } from "./assess-host.ts";

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
      const disruptive = options["disruptive"] === true;
      if (plan.disruptive && !disruptive)
        throw new UsageError("usage/argument", `run ${id} had checks that change what is assessed`, {
          fix: "Say --disruptive again, outside production.",
        });
      const again = optionsOfRun(plan, { ...options, disruptive: plan.disruptive });
      const assessing = plan.kind === "host" ? assessHost : assessEndpoint;
      const now = await assessing(context, again, { attestations: plan.attestations });
      const comparison = compare(before, now);
      context.output.document(comparison);
      showComparison(context.output, comparison);
      return comparison.verdicts.length + comparison.observations.length === 0 ? ExitCode.ok : ExitCode.doesNotHold;
    },
  )
    .argument("<run>", "a finished run of the data folder")
    .option("--disruptive", "allow the checks that change the subject, as the run had them");
  addNotes(command, {
    json:
      "{before, now, caveats: [text], verdicts: [{requirement, title, before, now, isRegression, reason}], " +
      "observations: [{check, observation, before, now, observed}], onlyBefore: [check], onlyNow: [check], regressions}",
    examples: [
      ["cipsec assess replay 20261121-101502-3f9a2c", "the same checks again; exits with 1 when anything differs"],
    ],
  });
}
