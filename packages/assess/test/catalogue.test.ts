import { describe, expect, test } from "vitest";
import {
  catalogue,
  componentTypes,
  normaliseRequirementId,
  partsOfId,
  requirementOf,
  securityLevels,
  selectRequirements,
  typesOf,
} from "../src/index.ts";

describe("the catalogue agrees with the counts of its sources", () => {
  test("137 entries, 15 of them placeholders, no id twice", () => {
    expect(catalogue).toHaveLength(137);
    expect(catalogue.filter(({ firstLevel }) => firstLevel === null)).toHaveLength(15);
    expect(new Set(catalogue.map(({ id }) => id)).size).toBe(137);
  });

  test.each([
    { fr: 1, entries: 26, placeholders: 2, levels: [10, 6, 7, 1] },
    { fr: 2, entries: 35, placeholders: 3, levels: [12, 11, 6, 3] },
    { fr: 3, entries: 48, placeholders: 6, levels: [16, 20, 4, 2] },
    { fr: 4, entries: 5, placeholders: 0, levels: [2, 1, 2, 0] },
    { fr: 5, entries: 9, placeholders: 3, levels: [3, 1, 2, 0] },
    { fr: 6, entries: 3, placeholders: 0, levels: [1, 1, 1, 0] },
    { fr: 7, entries: 11, placeholders: 1, levels: [6, 3, 1, 0] },
  ])("FR $fr: $entries entries, first at levels $levels", ({ fr, entries, placeholders, levels }) => {
    const mine = catalogue.filter(({ id }) => partsOfId(id).fr === fr);
    expect(mine).toHaveLength(entries);
    expect(mine.filter(({ firstLevel }) => firstLevel === null)).toHaveLength(placeholders);
    expect(securityLevels.map((level) => mine.filter(({ firstLevel }) => firstLevel === level).length)).toEqual(levels);
  });

  test.each([
    { type: "embedded", applicable: [36, 61, 77, 83] },
    { type: "software", applicable: [34, 53, 67, 73] },
    { type: "host", applicable: [36, 62, 78, 84] },
    { type: "network", applicable: [40, 67, 86, 92] },
  ] as const)("$type: $applicable entries apply at SL 1 to 4", ({ type, applicable }) => {
    expect(securityLevels.map((level) => selectRequirements({ type, level }).length)).toEqual(applicable);
  });

  test("the paper's body has 77 verdicts and its table 74, none of them different", () => {
    const body = catalogue.flatMap(({ odva }) => odva.body ?? []);
    const table = catalogue.flatMap(({ odva }) => odva.table ?? []);
    const count = (list: readonly string[], word: string): number => list.filter((one) => one === word).length;
    expect([count(body, "met"), count(body, "partial"), count(body, "out-of-scope")]).toEqual([30, 3, 44]);
    expect([count(table, "met"), count(table, "partial"), count(table, "out-of-scope")]).toEqual([29, 3, 42]);
    for (const { odva } of catalogue) if (odva.table !== undefined) expect(odva.table).toBe(odva.body);
    expect(body.length - table.length).toBe(3);
  });

  test("the Linux platform's verdicts are kept apart from the paper's", () => {
    const linux = catalogue.flatMap(({ cipLinux }) => cipLinux.verdict ?? []);
    expect(linux.filter((word) => word === "met")).toHaveLength(14);
    expect(linux.filter((word) => word === "not-applicable")).toHaveLength(20);
  });
});

test("a filter by requirement, level and type", () => {
  expect(selectRequirements({ fr: 4, level: 1, type: "embedded" }).map(({ id }) => id)).toEqual(["CR 4.1", "CR 4.3"]);
  expect(selectRequirements()).toHaveLength(137);
  for (const entry of catalogue) expect(typesOf(entry).every((type) => componentTypes.includes(type))).toBe(true);
});

test.each([
  ["CR 1.1 RE(1)", "CR 1.1 RE(1)"],
  ["CR 2.2 RE-4", "CR 2.2 RE(4)"],
  ["cr-1.1 re–1", "CR 1.1 RE(1)"],
  ["NDR-1.6", "NDR 1.6"],
  ["CR1.9RE1", "CR 1.9 RE(1)"],
  ["IEC 624434-2 CR 4.1", "CR 4.1"],
  ["IEC 62443-4-2: EDR 3.12", "EDR 3.12"],
])("reads %s as %s", (written, id) => expect(normaliseRequirementId(written)).toBe(id));

test.each(["CR 8.1", "XR 1.1", "CR 1", "", "CR 1.1 RE(12)", "CR 1.1".padEnd(100)])("refuses '%s'", (text) => {
  expect(() => normaliseRequirementId(text)).toThrow(expect.objectContaining({ code: "usage/argument" }));
});

test("a number that the standard does not have is refused", () => {
  expect(() => requirementOf("CR 2.2 RE(4)")).toThrow(expect.objectContaining({ code: "usage/argument" }));
  expect(() => requirementOf("NDR 5.1")).toThrow(expect.objectContaining({ code: "usage/argument" }));
  expect(requirementOf("cr 4.1").title).toBe("Information confidentiality");
});
