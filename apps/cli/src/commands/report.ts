import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { makeReport, reportFormats, type Assessment, type ReportFormat } from "@cipsec/assess";
import { writeFileAtomic } from "@cipsec/pki";
import { UsageError } from "@cipsec/wire";
import { finishedRun } from "../assessment.ts";
import { addCommand, addNotes, textOption, type Shell } from "../command.ts";
import type { Output } from "../output.ts";

/** Every form of a report. */
export const allFormats = ["html", "pdf", "md", "json", "oscal", "sarif", "junit"] as const satisfies ReportFormat[];

/** `report`: finished runs as documents. */
export function addReport(program: Command, shell: Shell): void {
  const command = addCommand(
    program,
    shell,
    "report",
    "write finished assessments as documents",
    async (context, options, args) => {
      const formats = formatsOf(textOption(options, "format") ?? "html,md,json");
      const out = textOption(options, "out") ?? ".";
      await mkdir(out, { recursive: true });
      const files: { run: string; format: string; file: string }[] = [];
      for (const run of args) {
        const { assessment, verification } = await finishedRun(context, run);
        if (!verification.holds)
          throw new UsageError("usage/state", `run ${run} is not as it was when it was finished`, {
            fix: `See 'cipsec assess verify ${run}'; no report is made of altered records.`,
          });
        for (const format of formats) {
          const file = join(out, `assessment-${run}.${reportFormats[format]}`);
          await writeReport(context.output, assessment, format, file);
          files.push({ run, format, file });
        }
      }
      context.output.document({ files });
      for (const { file } of files) context.output.say(file);
    },
  )
    .argument("<run...>", "finished runs of the data folder")
    .option("--format <list>", "html, pdf, md, oscal, json, sarif, junit; several with commas", "html,md,json")
    .option("--out <dir>", "folder to write into", ".");
  addNotes(command, {
    json: "{files: [{run, format, file}]}",
    examples: [
      [
        "cipsec report 20261121-101502-3f9a2c --format html,pdf --out reports",
        "for people; PDF needs the machine's Chromium",
      ],
      ["cipsec report 20261121-101502-3f9a2c --format oscal,sarif,junit", "for other tools and pipelines"],
    ],
  });
}

/** Writes one form of a report. @throws {UsageError} `usage/state` for PDF on a machine without a browser. */
export async function writeReport(
  output: Output,
  assessment: Assessment,
  format: ReportFormat,
  file: string,
): Promise<void> {
  output.progress(`writing ${file}`);
  await writeFileAtomic(file, await makeReport(assessment, format), { mode: 0o644 });
}

function formatsOf(text: string): readonly ReportFormat[] {
  const known = Object.keys(reportFormats);
  return text.split(",").map((word) => {
    const format = allFormats.find((one) => one === word);
    if (format !== undefined) return format;
    throw new UsageError("usage/argument", `--format: '${word}' is no form of a report`, {
      fix: `Use ${known.join(", ")}.`,
    });
  });
}
