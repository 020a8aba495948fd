import type { Assessment } from "../run/assessment.ts";
import { htmlReport } from "./html.ts";
import { jsonReport } from "./json.ts";
import { markdownReport } from "./markdown.ts";
import { oscalReport } from "./oscal.ts";
import { pdfReport } from "./pdf.ts";
import { junitReport, sarifReport } from "./pipelines.ts";

/** Forms of a report, with the end of a file's name. */
export const reportFormats = {
  html: "html",
  pdf: "pdf",
  md: "md",
  json: "json",
  oscal: "oscal.json",
  sarif: "sarif.json",
  junit: "junit.xml",
} as const;

export type ReportFormat = keyof typeof reportFormats;

/** Writes a report in one form, always from the same model. @throws {UsageError} `usage/state` for PDF without a browser. */
export async function makeReport(assessment: Assessment, format: ReportFormat): Promise<string | Uint8Array> {
  switch (format) {
    case "html":
      return htmlReport(assessment);
    case "pdf":
      return await pdfReport(htmlReport(assessment));
    case "md":
      return markdownReport(assessment);
    case "json":
      return document(jsonReport(assessment));
    case "oscal":
      return document(oscalReport(assessment));
    case "sarif":
      return document(sarifReport(assessment));
    case "junit":
      return junitReport(assessment);
  }
}

function document(value: object): string {
  return `${JSON.stringify(value, undefined, 1)}\n`;
}
