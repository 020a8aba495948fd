import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseDescription, readDescription } from "../src/description.ts";
import { TagTable } from "../src/tags/table.ts";

const least = {
  name: "line-1",
  identity: { vendorId: 1, productCode: 1, revision: { major: 1, minor: 1 }, serialNumber: 1, productName: "Line" },
};

const member = { name: "M", type: "DINT" };
const struct = { name: "S", members: [member] };
const tag = { name: "T", type: "DINT" };

test("a device without the entries has no tags", () => {
  expect(readDescription(least)).not.toHaveProperty("tags");
  expect(readDescription({ ...least, tags: [] }).tags?.tags).toEqual([]);
});

test.each([
  { name: "the longest names", tags: [{ ...tag, name: "A".repeat(40), program: "_".repeat(40) }] },
  { name: "the same name in two programs", tags: [tag, { ...tag, program: "A" }, { ...tag, program: "B" }] },
  { name: "three dimensions", tags: [{ ...tag, dimensions: [2, 3, 4] }] },
  {
    name: "a structure of structures",
    structs: [struct, { name: "U", members: [{ name: "M", type: "S", elements: 9 }] }],
  },
  {
    name: "text of a structure of the same make",
    structs: [
      {
        name: "Text",
        members: [
          { name: "LEN", type: "DINT" },
          { name: "DATA", type: "SINT", elements: 20 },
        ],
      },
    ],
    tags: [{ name: "T", type: "Text", value: "x".repeat(20) }],
  },
])("takes $name", ({ name: _, ...more }) => {
  expect(() => readDescription({ ...least, ...more })).not.toThrow();
});

describe("refuses, and says which entry", () => {
  test.each([
    { where: "tags", more: { tags: {} } },
    { where: "tags", more: { tags: Array.from({ length: 10_001 }, () => tag) } },
    { where: "tags[0]", more: { tags: ["T"] } },
    { where: "tags[0].name", more: { tags: [{ type: "DINT" }] } },
    { where: "tags[0].name", more: { tags: [{ ...tag, name: "1st" }] } },
    { where: "tags[0].name", more: { tags: [{ ...tag, name: "a.b" }] } },
    { where: "tags[0].name", more: { tags: [{ ...tag, name: "A".repeat(41) }] } },
    { where: "tags[1].name", more: { tags: [tag, { ...tag, name: "t" }] } },
    {
      where: "tags[1].name",
      more: {
        tags: [
          { ...tag, program: "a" },
          { ...tag, program: "A" },
        ],
      },
    },
    { where: "tags[0].type", more: { tags: [{ name: "T" }] } },
    { where: "tags[0].type", more: { tags: [{ name: "T", type: "Motor" }] } },
    { where: "tags[0].dimensions", more: { tags: [{ ...tag, dimensions: [1, 1, 1, 1] }] } },
    { where: "tags[0].dimensions[1]", more: { tags: [{ ...tag, dimensions: [1, 0] }] } },
    { where: "tags[0]", more: { tags: [{ ...tag, dimensions: [1_000_000, 1_000_000] }] } },
    { where: "tags", more: { tags: [1, 2].map((i) => ({ name: `T${i}`, type: "LINT", dimensions: [1_000_000, 2] })) } },
    { where: "tags[0].program", more: { tags: [{ ...tag, program: "Program:A" }] } },
    { where: "tags[0].access", more: { tags: [{ ...tag, access: "read" }] } },
    { where: "tags[0].value", more: { tags: [{ ...tag, value: 2 ** 31 }] } },
    { where: "tags[0].value", more: { tags: [{ ...tag, value: "1" }] } },
    { where: "tags[0].value", more: { tags: [{ ...tag, dimensions: [2], value: [1] }] } },
    { where: "tags[0].size", more: { tags: [{ ...tag, size: 4 }] } },
    { where: "structs[0].name", more: { structs: [{ ...struct, name: "STRING" }] } },
    { where: "structs[1].name", more: { structs: [struct, struct] } },
    { where: "structs[0].members", more: { structs: [{ name: "S", members: [] }] } },
    { where: "structs[0].members[0].type", more: { structs: [{ name: "S", members: [{ name: "M", type: "S" }] }] } },
    {
      where: "structs[0].members[0].elements",
      more: { structs: [{ name: "S", members: [{ ...member, elements: 0 }] }] },
    },
    {
      where: "structs[0].members[1].name",
      more: { structs: [{ name: "S", members: [member, { ...member, name: "m" }] }] },
    },
    {
      where: "structs[1].members[0]",
      more: {
        structs: [
          { name: "S", members: [{ ...member, elements: 65_535 }] },
          { name: "U", members: [{ name: "M", type: "S", elements: 65_535 }] },
        ],
      },
    },
  ])("$where: $more", ({ where, more }) => {
    expect(() => readDescription({ ...least, ...more })).toThrow(
      expect.objectContaining({ code: "usage/file", facts: { where: `device.${where}` } }),
    );
  });
});

test("the example is read as the page shows it", () => {
  const docs = new URL("../../../docs/", import.meta.url);
  const example = readFileSync(new URL("examples/tags.json", docs), "utf8");
  const page = readFileSync(new URL("device-description.md", docs), "utf8");
  expect(page).toContain(example.trim());
  const { tags } = parseDescription(example);
  const table = new TagTable(tags ?? { structs: [], tags: [] });
  expect(table.get("Temperatures[1,0]")).toBe(23);
  expect(table.get("Total")).toBe(9_007_199_254_740_993n);
  expect(table.get("Line1.Motors[0].Running")).toBe(true);
  expect(table.get("Program:Main.Speed")).toBe(0);
});
