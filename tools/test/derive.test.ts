import { describe, expect, test } from "vitest";
import { derivations } from "../derivations.ts";
import { stale } from "../derive.ts";
import { errorsDoc } from "../errors-doc.ts";

describe("derived files", () => {
  test("are what the sources say; npm run derive writes them", () => {
    expect(stale().map(({ file }) => file)).toEqual([]);
  });

  test("are each derived once", () => {
    const files = derivations().map(({ file }) => file);
    expect(files.length).toBeGreaterThan(0);
    expect(new Set(files).size).toBe(files.length);
  });

  test("a file that differs or is missing is stale", () => {
    const wrong = [
      { file: "docs/errors.md", text: "something else" },
      { file: "docs/never-written.md", text: "" },
    ];
    expect(stale(wrong)).toEqual(wrong);
  });
});

test("errors page: a row each code, bars escaped", () => {
  const text = errorsDoc([{ heading: "H", intro: "I", codes: { "a/b": { cause: "one | two", fix: "three" } } }]);
  expect(text).toContain("## H\n\nI\n");
  expect(text).toContain("| `a/b` | one \\| two | three |\n");
});
