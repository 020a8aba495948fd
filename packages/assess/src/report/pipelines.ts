import { told } from "../judge/check-result.ts";
import type { Assessment } from "../run/assessment.ts";
import { reported, verdictText } from "./words.ts";

/** SARIF 2.1.0: one result for each requirement that is not met, partial or open. @see OASIS SARIF 2.1.0 */
export function sarifReport({ plan, verdicts }: Assessment): object {
  const open = reported(verdicts).filter(({ verdict }) => verdict !== "met" && verdict !== "not-applicable");
  const levels = {
    "not-met": "error",
    partial: "warning",
    inconclusive: "note",
    "out-of-scope": "none",
    met: "none",
    "not-applicable": "none",
  } as const;
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: plan.tool.name,
            semanticVersion: plan.tool.version,
            rules: open.map(({ requirement, title }) => ({
              id: requirement,
              name: title,
              shortDescription: { text: title },
            })),
          },
        },
        automationDetails: { id: `iec62443-4-2/${plan.id}` },
        results: open.map((one, at) => ({
          ruleId: one.requirement,
          ruleIndex: at,
          level: levels[one.verdict],
          kind: one.verdict === "not-met" || one.verdict === "partial" ? "fail" : "open",
          message: { text: `${verdictText(one)}: ${one.reason}` },
          locations: [
            {
              logicalLocations: [
                {
                  name: plan.subject.component,
                  fullyQualifiedName: `${plan.subject.address}/${plan.subject.component}`,
                  kind: "component",
                },
              ],
            },
          ],
          properties: {
            checks: one.checks.map(({ id }) => id),
            evidence: one.evidence.map(({ name, sha256 }) => ({ name, sha256 })),
          },
        })),
      },
    ],
  };
}

/** JUnit XML: one suite for each foundational requirement, one case for each entry; what is open is skipped, what is not met fails. */
export function junitReport({ plan, verdicts, records }: Assessment): string {
  const shown = reported(verdicts);
  const frs = [...new Set(shown.map(({ fr }) => fr))];
  const suites = frs.map((fr) => {
    const cases = shown.filter((one) => one.fr === fr);
    const failed = cases.filter(({ verdict }) => verdict === "not-met" || verdict === "partial").length;
    const skipped = cases.filter(({ verdict }) => verdict === "inconclusive" || verdict === "out-of-scope").length;
    const body = cases.map((one) => {
      const inside =
        one.verdict === "met" || one.verdict === "not-applicable"
          ? ""
          : one.verdict === "not-met" || one.verdict === "partial"
            ? `<failure message="${xml(verdictText(one))}">${xml(one.reason)}</failure>`
            : `<skipped message="${xml(`${verdictText(one)}: ${one.reason}`)}"/>`;
      const seen = records
        .filter(({ id }) => one.checks.some((check) => check.id === id))
        .flatMap(({ id, findings }) =>
          (findings?.observations ?? []).map((observation) => `${id} ${told(observation)}`),
        );
      const out = seen.length === 0 ? "" : `<system-out>${xml(seen.join("\n"))}</system-out>`;
      return `    <testcase classname="iec62443-4-2.fr${fr}" name="${xml(`${one.requirement} ${one.title}`)}">${inside}${out}</testcase>`;
    });
    return `  <testsuite name="FR ${fr}" tests="${cases.length}" failures="${failed}" skipped="${skipped}" timestamp="${plan.startedAt.slice(0, 19)}">\n${body.join("\n")}\n  </testsuite>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="${xml(`IEC 62443-4-2 ${plan.subject.component}`)}">\n${suites.join("\n")}\n</testsuites>\n`;
}

/** Text in XML 1.0, without the characters that it cannot hold. */
function xml(raw: string): string {
  // eslint-disable-next-line no-control-regex
  return raw
    .replaceAll(/[^\t\n\u0020-\ud7ff\ue000-\ufffd]/g, "?")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
