import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import {
  absence,
  assess,
  capability,
  catalogue,
  control,
  countsByFr,
  makeReport,
  mappingRows,
  negative,
  paperOpinion,
  reported,
  requirementOf,
  type Assessment,
  type CheckRecord,
  type MappingRow,
  type RequirementId,
  type RunPlan,
} from "../src/index.ts";

const good = { expected: "as it should", observed: "so it was", holds: true };
const works = control({ name: "control", ...good });
/** What a hostile device may call itself. */
const nasty = `<script>alert("1")</script> & ]]> \u0001 "x" | [a](b)`;

function record(id: string, requirements: readonly RequirementId[], rest: CheckRecord["findings"]): CheckRecord {
  return {
    id,
    version: "1.0",
    title: "a check",
    requirements,
    part: "whole",
    method: "test",
    evidence: [{ name: `${id}/one.json`, sha256: "a".repeat(64), kind: "exchange", octets: 3, redacted: false }],
    startedAt: "2026-01-01T00:00:00.000Z",
    finishedAt: "2026-01-01T00:00:01.000Z",
    durationMs: 1000,
    ...(rest === undefined ? { notRun: "it needs a thing" } : { findings: rest }),
  };
}

const plan: RunPlan = {
  id: "20260101-000000-abcdef",
  kind: "endpoint",
  subject: {
    address: "192.0.2.1",
    component: `1/2 ${nasty} 2.1`,
    facts: { product: nasty, serial: "0001", empty: "" },
  },
  level: 2,
  type: "embedded",
  disruptive: false,
  checks: [],
  startedAt: "2026-01-01T00:00:00.000Z",
  tool: { name: "cipsec", version: "0.1.0", runtime: "Node", crypto: "OpenSSL", system: "Linux" },
  operator: "lab-1",
  options: {},
  attestations: [],
};

const assessment: Assessment = assess(
  plan,
  [
    record("X-1", ["CR 1.2", "CR 7.7"], {
      observations: [works, negative({ name: "n", ...good })],
      howMet: "by mutual TLS",
      conditions: ["a setting is on"],
      userAction: "set it",
    }),
    record("X-2", ["CR 7.8"], {
      observations: [
        works,
        capability({ name: nasty, expected: "e", observed: nasty, holds: false, otherwise: "partial" }),
      ],
    }),
    record("X-3", ["CR 3.1"], {
      observations: [works, negative({ name: "n", expected: "refused", observed: "accepted", holds: false })],
    }),
    record("X-4", ["CR 1.14"], { observations: [works, absence({ name: "none", ...good })] }),
    record("X-5", ["CR 7.6"], undefined),
  ],
  "2026-01-01T00:01:00.000Z",
);

const text = async (format: "html" | "md" | "json" | "oscal" | "sarif" | "junit"): Promise<string> =>
  String(await makeReport(assessment, format));

describe("reports are made from one model", () => {
  test("OSCAL is valid against NIST's schema, and says satisfied of what is met alone", async () => {
    const schema: unknown = JSON.parse(
      readFileSync(new URL("data/oscal_assessment-results_schema.json", import.meta.url), "utf8"),
    );
    const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema as object);
    const document = JSON.parse(await text("oscal"));
    expect([validate(document), validate.errors]).toEqual([true, null]);
    // The schema is in force: without what it asks for, it refuses.
    expect(validate({ "assessment-results": { ...document["assessment-results"], uuid: "no" } })).toBe(false);
    const [{ findings }] = document["assessment-results"].results;
    const satisfied = findings
      .filter((one: { target: { status: { state: string } } }) => one.target.status.state === "satisfied")
      .map((one: { target: { "target-id": string } }) => one.target["target-id"]);
    expect(satisfied).toEqual(["cr-1.2", "cr-7.7"]);
    expect(await text("oscal")).toBe(await text("oscal"));
  });

  test("JSON has the shape of the command's contract", async () => {
    const document = JSON.parse(await text("json"));
    expect(document).toMatchObject({ run: plan.id, level: 2, type: "embedded", levelByFr: { 1: 0, 7: 0 } });
    expect(document.results).toHaveLength(137);
    expect(document.results.find((one: { requirement: string }) => one.requirement === "CR 1.2")).toMatchObject({
      verdict: "met",
      checks: [{ id: "X-1" }],
      evidence: [{ file: "X-1/one.json", sha256: "a".repeat(64) }],
      userAction: "set it",
    });
  });

  test("Markdown has the sections of an assessor's document for every entry that applies", async () => {
    const report = await text("md");
    for (const heading of [
      "## Revision history",
      "### 2.1 ",
      "### 2.2 Test and evidence for ",
      "### 2.3 User action",
      "## References",
    ])
      expect(report).toContain(heading);
    expect(
      report.match(
        /^## \d+\. (CR|EDR) .* \[(Met|Partially met|Not met|Inconclusive|Out of scope of this evidence|Not applicable: function absent)\]$/gm,
      ),
    ).toHaveLength(61);
    expect(report).not.toContain("<script>");
  });

  test("HTML takes nothing from elsewhere, and lets nobody's words become markup", async () => {
    const report = await text("html");
    expect(report).not.toMatch(/<script|<link|src=|@import|url\(/i);
    expect(report.match(/<svg /g)).toHaveLength(4);
    expect(report).toContain("&lt;script&gt;");
  });

  test("HTML speaks once about every entry that applies and every check, and every link leads somewhere", async () => {
    const report = await text("html");
    const ids = Array.from(report.matchAll(/ id="([^"]+)"/g), ([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.filter((id) => id?.startsWith("r-"))).toHaveLength(61);
    expect(ids.filter((id) => id?.startsWith("c-"))).toEqual(["c-X-1", "c-X-2", "c-X-3", "c-X-4", "c-X-5"]);
    const links = Array.from(report.matchAll(/href="#([^"]+)"/g), ([, id]) => id);
    expect(links.filter((id) => !ids.includes(id))).toEqual([]);
    expect(links.length).toBeGreaterThan(61);
    expect(report).toContain("CR&nbsp;1.1");
  });

  test("the charts' numbers are those of the verdicts", async () => {
    const report = await text("html");
    const chart = (title: string): string =>
      new RegExp(`aria-label="${title}[^>]*>(.*?)</svg>`).exec(report)?.[1]?.replaceAll(/<[^>]*>/g, " ") ?? "";
    // CR 1.14 is left out of the pie: there is nothing to meet.
    expect(chart("Met, partial")).toContain(`${assessment.counts.met} of 60 met`);
    const { met, partial, inconclusive, "out-of-scope": out } = countsByFr(reported(assessment.verdicts))[7];
    expect([met, partial]).toEqual([1, 1]);
    expect(chart("Verdicts by foundational").replaceAll(/\s+/g, " ")).toContain(
      `FR 7 ${[met, partial, inconclusive, out].filter((count) => count > 0).join(" ")}`,
    );
    expect(chart("Level reached")).toMatch(/SL 0.*1\/\d+.*FR 7/);
  });

  test("a host's report leaves the paper on the protocol out", async () => {
    const host = { ...assessment, plan: { ...plan, kind: "host" as const } };
    for (const format of ["html", "md"] as const) {
      expect(String(await makeReport(host, format))).not.toMatch(/ODVA|The paper/);
      expect(await text(format)).toMatch(/ODVA/);
    }
  });

  test("SARIF and JUnit tell a pipeline what fails and what is open", async () => {
    const sarif = JSON.parse(await text("sarif"));
    const levels = Object.fromEntries(
      sarif.runs[0].results.map((one: { ruleId: string; level: string }) => [one.ruleId, one.level]),
    );
    expect(levels).toMatchObject({ "CR 3.1": "error", "CR 7.8": "warning", "CR 7.6": "note" });
    expect(levels).not.toHaveProperty("CR 1.2");
    const junit = await text("junit");
    expect(junit.match(/<testcase /g)).toHaveLength(61);
    expect(junit.match(/<failure /g)).toHaveLength(2);
    expect(junit).not.toContain("\u0001");
    expect(junit).not.toMatch(/<script/);
  });
});

describe("the paper's table, made again from a run", () => {
  const rows = mappingRows(assessment);
  const row = (id: RequirementId): MappingRow | undefined => rows.find(({ requirement }) => requirement === id);

  test("has every requirement that the paper judges, and the three that its table forgot", () => {
    expect(rows).toHaveLength(77);
    expect(rows.filter(({ inTable }) => inTable === undefined).map(({ requirement }) => requirement)).toEqual([
      "CR 1.14 RE(1)",
      "CR 3.3 RE(1)",
      "CR 7.6 RE(1)",
    ]);
  });

  test("explains every difference, and nothing else", () => {
    // Of what is no rule for the product, the paper itself says "out of scope".
    for (const { requirement, paper, protocol, why } of rows)
      expect([requirement, why === ""]).toEqual([requirement, paper === protocol && paper !== "not-applicable"]);
  });

  test.each([
    ["CR 1.2", "met", "met", ""],
    ["CR 2.4", "met", "out-of-scope", "No exchange with the product"],
    ["CR 3.1", "met", "not-met", "This product, not met: X-3"],
    ["CR 7.8", "out-of-scope", "partial", "this one was tried and is partially met: X-2"],
    ["CR 1.14", "met", "not-applicable", "no such function"],
    ["CR 1.1", "met", "inconclusive", "Not shown yet"],
    ["CR 1.5 RE(1)", "out-of-scope", "not-applicable", "Not judged"],
    ["CR 2.3", "no-rule", "not-applicable", "no rule for components"],
  ] as const)("%s: paper %s, measured %s", (id, paper, protocol, why) => {
    expect(row(id)).toMatchObject({ paper, protocol, why: expect.stringContaining(why) });
  });

  test("passes a placeholder's line on to the entry of the product's type", () => {
    expect(row("CR 3.12")?.judgedAs).toBe("EDR 3.12");
    expect(row("CR 1.6")?.judgedAs).toBe("CR 1.6");
  });
});

describe("the paper's verdicts, with its inconsistencies treated", () => {
  const of = (id: RequirementId, type: "embedded" | "network" = "embedded") => paperOpinion(requirementOf(id), type);
  test.each([
    ["CR 7.6 RE(1)", "met"],
    ["CR 2.3", "no-rule"],
    ["CR 1.6", "not-applicable"],
    ["EDR 3.12", "partial"],
    ["EDR 3.10 RE(1)", "not-evaluated"],
    ["CR 4.1", "partial"],
  ] as const)("%s: %s", (id, verdict) => expect(of(id).verdict).toBe(verdict));

  test("a verdict is passed on from the placeholder, and says so", () => {
    expect(of("EDR 3.12")).toMatchObject({ from: "CR 3.12" });
    expect(of("CR 1.6", "network").verdict).toBe("out-of-scope");
    expect(of("CR 1.2 RE(1)").notes.join()).toContain("pre-shared key");
  });

  test("at SL 2 the protocol answers 23 of 61 items of an embedded device", () => {
    const verdicts = catalogue
      .filter(({ id, firstLevel }) => firstLevel !== null && firstLevel <= 2 && /^(CR|EDR)/.test(id))
      .map((entry) => paperOpinion(entry, "embedded").verdict);
    const count = (word: string): number => verdicts.filter((verdict) => verdict === word).length;
    expect([verdicts.length, count("met"), count("partial"), count("out-of-scope"), count("not-evaluated")]).toEqual([
      61, 23, 3, 31, 4,
    ]);
  });
});
