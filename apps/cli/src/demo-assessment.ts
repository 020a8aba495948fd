import { join } from "node:path";
import { reportFormats, type Assessment } from "@cipsec/assess";
import type { DemoAssessing } from "@cipsec/lab";
import { isStackError } from "@cipsec/wire";
import { assessFolder, operatorOf, toolFacts } from "./assessment.ts";
import { countText, levelText } from "./assessment-output.ts";
import type { Context } from "./command.ts";
import { allFormats, writeReport } from "./commands/report.ts";

/** Where the demonstration's assessment lies, and who made it: beside those of `cipsec assess`, so that its commands read it. */
export function demoAssessing(context: Context): DemoAssessing {
  return { folder: assessFolder(context).folder, tool: toolFacts(), operator: operatorOf({}) };
}

/**
 * Writes the demonstration's assessment in every form and tells what came of it. A machine without a browser gets no PDF, and is
 * told so.
 */
export async function writeDemoAssessment({ output }: Context, assessment: Assessment, out: string): Promise<void> {
  const written: string[] = [];
  for (const format of allFormats) {
    const name = `assessment.${reportFormats[format]}`;
    try {
      await writeReport(output, assessment, format, join(out, name));
      written.push(name);
    } catch (error) {
      if (!isStackError(error)) throw error;
      output.notice(`${name} was not written: ${error.message}. ${error.fix}`);
    }
  }
  const { plan } = assessment;
  const [first, ...others] = written;
  output.say(`\n${plan.subject.component} at SL ${plan.level}: ${countText(assessment)}.`);
  output.say(`Level reached: ${levelText(assessment)}. The report says who must answer what is open.`);
  if (first !== undefined) output.say(`Report: ${join(out, first)}`);
  output.say(`Beside it: ${others.join(", ")}`);
  output.say(`Evidence of a verdict: cipsec assess show ${plan.id} CR 1.2`);
}
