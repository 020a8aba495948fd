import { createHash } from "node:crypto";
import { told } from "../judge/check-result.ts";
import type { Verdict } from "../judge/verdict.ts";
import type { Assessment } from "../run/assessment.ts";
import { reported, verdictText } from "./words.ts";

/** The edition of the model that is written. */
const oscalVersion = "1.0.6";

/** Names the properties of our own. */
const ns = "urn:cipsec:iec62443";

/**
 * OSCAL assessment results. A verdict other than met is `not-satisfied` there, and stands as it is in a property; what is not
 * applicable is no reviewed control, and is named in the remarks.
 *
 * @see NIST OSCAL, assessment-results model
 */
export function oscalReport(assessment: Assessment): object {
  const { plan, finishedAt, verdicts, records } = assessment;
  const id = (name: string): string => nameUuid(`${plan.id}/${name}`);
  const judged = reported(verdicts).filter(({ verdict }) => verdict !== "not-applicable");
  const left = verdicts.filter(({ verdict }) => verdict === "not-applicable");
  const component = id("component");
  const observations = records.map((record) => ({
    uuid: id(`check/${record.id}`),
    title: `${record.id} ${record.title}`,
    description:
      (record.findings?.observations ?? []).map(told).join("\n") || (record.notRun ?? "nothing was observed"),
    methods: [record.method.toUpperCase()],
    types: ["finding"],
    subjects: [{ "subject-uuid": component, type: "component" }],
    ...(record.evidence.length === 0
      ? {}
      : {
          "relevant-evidence": record.evidence.map(({ name, sha256, kind }) => ({
            href: `#${id("evidence")}`,
            description: `${name} (${kind})`,
            props: [{ name: "sha256", ns, value: sha256 }],
          })),
        }),
    collected: record.startedAt,
  }));
  return {
    "assessment-results": {
      uuid: id("assessment-results"),
      metadata: {
        title: `IEC 62443-4-2 assessment of ${plan.subject.component}`,
        "last-modified": finishedAt,
        version: plan.id,
        "oscal-version": oscalVersion,
        parties: [{ uuid: id("operator"), type: "organization", name: plan.operator }],
      },
      "import-ap": { href: `#${id("plan")}` },
      results: [
        {
          uuid: id("result"),
          title: `Run ${plan.id}`,
          description: `Component type ${plan.type}, target SL ${plan.level}.`,
          start: plan.startedAt,
          end: finishedAt,
          "local-definitions": {
            components: [
              {
                uuid: component,
                type: "hardware",
                title: plan.subject.component,
                description: `At ${plan.subject.address}.`,
                ...propsOf(Object.entries(plan.subject.facts)),
                status: { state: "operational" },
              },
            ],
          },
          "reviewed-controls": {
            "control-selections": [
              {
                description: "Entries that apply to the type at the target level.",
                "include-controls": judged.map(({ requirement }) => ({ "control-id": controlId(requirement) })),
              },
            ],
            ...(left.length === 0
              ? {}
              : {
                  remarks: `Not applicable: ${left.map((one) => `${one.requirement} (${verdictText(one)})`).join("; ")}.`,
                }),
          },
          ...(observations.length === 0 ? {} : { observations }),
          findings: judged.map((verdict) => finding(verdict, id)),
        },
      ],
      "back-matter": {
        resources: [
          { uuid: id("plan"), title: "Assessment plan", description: "plan.json in the folder of the run" },
          {
            uuid: id("evidence"),
            title: "Evidence",
            description: "the folder evidence of the run; files are named by their SHA-256",
          },
        ],
      },
    },
  };
}

function finding(verdict: Verdict, id: (name: string) => string): object {
  const { requirement, title, checks, reason } = verdict;
  return {
    uuid: id(`finding/${requirement}`),
    title: `${requirement} ${title}`,
    description: reason,
    props: [{ name: "verdict", ns, value: verdict.verdict }],
    target: {
      type: "objective-id",
      "target-id": controlId(requirement),
      status: { state: verdict.verdict === "met" ? "satisfied" : "not-satisfied" },
    },
    ...(checks.length === 0
      ? {}
      : { "related-observations": checks.map((check) => ({ "observation-uuid": id(`check/${check.id}`) })) }),
  };
}

function propsOf(pairs: readonly (readonly [string, string])[]): object {
  const props = pairs
    .filter(([, value]) => value.trim() !== "")
    .map(([name, value]) => ({ name, ns, value: value.trim() }));
  return props.length === 0 ? {} : { props };
}

/** `CR 1.1 RE(1)` as a token: `cr-1.1_re-1`. */
function controlId(requirement: string): string {
  return requirement.toLowerCase().replace(" re(", "_re-").replace(")", "").replace(" ", "-");
}

/** A UUID of version 5: the same run gives the same document. @see RFC 9562, 5.5 */
function nameUuid(name: string): string {
  const hash = createHash("sha1").update("cipsec-assessment").update(name).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x50, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}
