import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  absence,
  capability,
  control,
  isFulfilled,
  judge,
  judgeCheck,
  levelsReached,
  negative,
  requirementOf,
  judgeRequirement,
  repeated,
  parseAttestations,
  catalogue,
  type Attestation,
  type CheckRecord,
  type Observation,
  type Question,
  type RequirementId,
} from "../src/index.ts";

const good = { expected: "as it should", observed: "so it was", holds: true };
const bad = { expected: "refused", observed: "accepted", holds: false };
const unknown = { expected: "refused", observed: "no answer", holds: undefined };
const works = control({ name: "control", ...good });

function record(requirements: readonly RequirementId[], observations?: readonly Observation[]): CheckRecord {
  return {
    id: "X-1",
    version: "1.0",
    title: "a check",
    requirements,
    part: "whole",
    method: "test",
    evidence: [],
    startedAt: "2026-01-01T00:00:00.000Z",
    finishedAt: "2026-01-01T00:00:01.000Z",
    durationMs: 1000,
    ...(observations === undefined ? { notRun: "it needs a thing" } : { findings: { observations } }),
  };
}

const question: Question = {
  level: 2,
  type: "embedded",
  component: "1/2 rev 3.4",
  attestations: [],
  now: new Date("2026-11-21T00:00:00Z"),
};

describe("a check", () => {
  test.each<[string, readonly Observation[] | undefined, string]>([
    ["was not run", undefined, "inconclusive"],
    ["observed nothing", [], "inconclusive"],
    ["all as expected", [works, negative({ name: "n", ...good }), capability({ name: "c", ...good })], "pass"],
    [
      "the control failed, and so did a negative",
      [control({ name: "control", ...bad }), negative({ name: "n", ...bad })],
      "inconclusive",
    ],
    [
      "the control could not be told",
      [control({ name: "control", ...unknown }), negative({ name: "n", ...good })],
      "inconclusive",
    ],
    ["negatives without a control", [negative({ name: "n", ...good })], "inconclusive"],
    ["a bad input was accepted", [works, negative({ name: "n", ...bad }), negative({ name: "m", ...unknown })], "fail"],
    ["a needed thing is missing", [capability({ name: "c", ...bad })], "fail"],
    ["tries disagree", [works, negative({ name: "n", ...bad, agrees: false, runs: 3 })], "inconclusive"],
    ["one could not be told", [works, negative({ name: "n", ...unknown })], "inconclusive"],
    ["a lesser thing is missing", [works, capability({ name: "c", ...bad, otherwise: "partial" })], "partial"],
    [
      "a lesser thing is missing, one unknown",
      [works, capability({ name: "c", ...bad, otherwise: "partial" }), negative({ name: "n", ...unknown })],
      "inconclusive",
    ],
    ["the function is absent", [works, absence({ name: "a", ...good })], "absent"],
    ["it is not shown to be absent", [absence({ name: "a", ...bad })], "inconclusive"],
    ["it exists, and works", [works, absence({ name: "a", ...bad }), capability({ name: "c", ...good })], "pass"],
  ])("%s: %#", (_name, observations, outcome) => {
    expect(judgeCheck(record(["CR 1.2"], observations), "CR 1.2").outcome).toBe(outcome);
  });

  test("an observation may speak about some of its check's requirements only", () => {
    const both = record(
      ["CR 1.2", "CR 4.3"],
      [works, negative({ name: "n", ...bad, requirements: ["CR 4.3"] }), capability({ name: "c", ...good })],
    );
    expect(judgeCheck(both, "CR 1.2").outcome).toBe("pass");
    expect(judgeCheck(both, "CR 4.3").outcome).toBe("fail");
  });

  test("tries that agree count as one, tries that do not as nothing", async () => {
    const tries = [true, true, false];
    expect(await repeated(async (run) => ({ holds: tries[run - 1], observed: `try ${run}` }))).toMatchObject({
      agrees: false,
      holds: undefined,
      runs: 3,
    });
    expect(await repeated(async () => ({ holds: false, observed: "same" }))).toMatchObject({
      agrees: true,
      holds: false,
      observed: "same",
    });
  });
});

describe("a requirement", () => {
  const verdictOf = (id: RequirementId, records: readonly CheckRecord[], given: Partial<Question> = {}) =>
    judgeRequirement(requirementOf(id), records, { ...question, ...given });
  const pass = [works, negative({ name: "n", ...good })];
  const statement: Attestation = {
    requirement: "CR 4.3",
    part: "product",
    verdict: "met",
    statement: "keys lie in a secure element",
    by: "A. Maker",
    role: "product security",
    at: "2026-06-01",
    validUntil: "2027-05-31",
    component: question.component,
  };

  test.each([
    ["CR 1.6", {}, "placeholder"],
    ["NDR 1.6", {}, "type"],
    ["CR 2.7", {}, "above-target"],
  ] as const)("%s is left out as %s %s", (id, given, why) => {
    expect(verdictOf(id, [], given)).toMatchObject({ verdict: "not-applicable", notApplicable: why });
  });

  test("what applies and was not answered is open, whatever it is", () => {
    for (const type of ["embedded", "software", "host", "network"] as const)
      for (const verdict of judge([], { ...question, type, level: 4 }))
        if (verdict.notApplicable === undefined) {
          expect(["inconclusive", "out-of-scope"]).toContain(verdict.verdict);
          expect(verdict.reason).not.toBe("");
        }
    expect(Object.values(levelsReached(judge([], { ...question, level: 4 })))).toEqual([0, 0, 0, 0, 0, 0, 0]);
  });

  test("a split requirement is as bad as its worse part", () => {
    const protocol = { ...record(["CR 4.3"], pass), part: "protocol" as const };
    expect(verdictOf("CR 4.3", [protocol]).verdict).toBe("out-of-scope");
    expect(verdictOf("CR 4.3", [protocol], { attestations: [statement] })).toMatchObject({
      verdict: "met",
      providedBy: "attestation",
      validUntil: "2027-05-31",
    });
    const product = { ...record(["CR 4.3"], [capability({ name: "c", ...bad })]), part: "product" as const };
    expect(verdictOf("CR 4.3", [protocol, product], { attestations: [statement] }).verdict).toBe("not-met");
  });

  test.each([
    ["ran out", { validUntil: "2026-11-20" }],
    ["is for another revision", { component: "1/2 rev 3.5" }],
    ["is dated in the future", { at: "2026-12-01" }],
  ])("a statement that %s does not count", (_name, change) => {
    const protocol = { ...record(["CR 4.3"], pass), part: "protocol" as const };
    expect(verdictOf("CR 4.3", [protocol], { attestations: [{ ...statement, ...change }] }).verdict).toBe(
      "inconclusive",
    );
  });

  const asked = capability({ name: "inside", ...unknown, askedOf: "the maker" });
  test.each<[string, readonly Observation[], Partial<Attestation>, string]>([
    ["all else is well", [...pass, asked], {}, "met"],
    ["nothing else is asked", [works, asked], {}, "met"],
    [
      "a lesser thing is missing",
      [...pass, asked, capability({ name: "c", ...bad, otherwise: "partial" })],
      {},
      "partial",
    ],
    ["the person says that it is not", [...pass, asked], { verdict: "not-met" }, "not-met"],
    ["the statement ran out", [...pass, asked], { validUntil: "2026-11-20" }, "inconclusive"],
    ["a check failed", [works, asked, negative({ name: "n", ...bad })], {}, "not-met"],
    ["another try could tell the rest", [works, asked, negative({ name: "n", ...unknown })], {}, "inconclusive"],
    ["the control failed", [control({ name: "control", ...bad }), asked], {}, "inconclusive"],
  ])("what no exchange can show may be stated by a person; where %s", (_name, observations, change, verdict) => {
    const given = { ...statement, requirement: "CR 2.6", part: "whole", ...change } as const;
    const records = [record(["CR 2.6"], observations)];
    expect(verdictOf("CR 2.6", records, { attestations: [given] }).verdict).toBe(verdict);
    expect(verdictOf("CR 2.6", records).verdict).not.toBe("met");
  });

  test("what the paper met under a condition is met under it", () => {
    const told = (observation: Observation) =>
      verdictOf("CR 1.2 RE(1)", [record(["CR 1.2 RE(1)"], [works, observation])], { level: 3 });
    expect(told(capability({ name: "c", ...good })).conditions).toEqual([
      "no suite for pre-shared keys is allowed (EtherNet/IP Security attribute 4)",
    ]);
    expect(told(capability({ name: "c", ...bad })).conditions).toEqual([]);
  });

  test("a function that is proven absent is not applicable, unless another check contradicts", () => {
    const absent = record(["CR 1.14"], [works, absence({ name: "no pre-shared key suite", ...good })]);
    expect(verdictOf("CR 1.14", [absent])).toMatchObject({
      verdict: "not-applicable",
      notApplicable: "function-absent",
    });
    const used = { ...record(["CR 1.14"], [capability({ name: "c", ...bad })]), id: "X-2" };
    expect(verdictOf("CR 1.14", [absent, used]).verdict).toBe("not-met");
  });
});

test("a level is reached only when everything below it is met", () => {
  const ids = catalogue.filter(({ id }) => id.startsWith("CR 7.")).map(({ id }) => id);
  const all = ids.map((id) => record([id], [works, capability({ name: "c", ...good })]));
  expect(levelsReached(judge(all, question))[7]).toBe(2);
  expect(levelsReached(judge(all, { ...question, level: 4 }))[7]).toBe(4);
  expect(
    levelsReached(
      judge(
        all.filter(({ requirements }) => requirements[0] !== "CR 7.8"),
        question,
      ),
    )[7],
  ).toBe(1);
  expect(
    levelsReached(
      judge(
        all.filter(({ requirements }) => requirements[0] !== "CR 7.1"),
        question,
      ),
    )[7],
  ).toBe(0);
});

test("taking a result away never makes a verdict fulfilled", () => {
  const observations = fc.array(
    fc.record({
      role: fc.constantFrom("control", "negative", "capability" as const),
      holds: fc.constantFrom(true, false, undefined),
      otherwise: fc.constantFrom("fail", "partial" as const),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(observations, fc.nat(), (list, which) => {
      const seen = list.map((one, at): Observation => ({
        ...one,
        name: `o${at}`,
        expected: "e",
        observed: "s",
        runs: 1,
        agrees: true,
        evidence: [],
      }));
      const now = judgeRequirement(requirementOf("CR 1.2"), [record(["CR 1.2"], seen)], question);
      const blind = seen.map((one, at) =>
        at === which % Math.max(1, seen.length) ? { ...one, holds: undefined } : one,
      );
      const then = judgeRequirement(requirementOf("CR 1.2"), [record(["CR 1.2"], blind)], question);
      if (seen.length > 0) expect(isFulfilled(then)).toBe(false);
      if (isFulfilled(now)) expect(seen.every(({ holds }) => holds === true)).toBe(true);
    }),
  );
});

describe("attestations from a file", () => {
  const one = {
    requirement: "edr 3.11",
    verdict: "met",
    statement: "sealed",
    by: "A",
    role: "maker",
    at: "2026-01-01",
    validUntil: "2026-12-31",
    component: "c",
  };
  test("are read, with ids in any spelling", () =>
    expect(parseAttestations([one])[0]).toMatchObject({ requirement: "EDR 3.11", part: "whole" }));
  test.each([
    ["no list", {}],
    ["an unknown requirement", [{ ...one, requirement: "CR 9.9" }]],
    ["a verdict that is no word", [{ ...one, verdict: "fine" }]],
    ["validity of more than a year", [{ ...one, validUntil: "2028-01-01" }]],
    ["no name", [{ ...one, by: " " }]],
    ["a part that it does not have", [{ ...one, part: "product" }]],
    ["no object", [null]],
  ])("refuses %s", (_name, value) =>
    expect(() => parseAttestations(value)).toThrow(expect.objectContaining({ fix: expect.any(String) })),
  );
});
