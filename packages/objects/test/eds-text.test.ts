import { UsageError } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { edsLimits, parseEds, writeEds, type EdsValue } from "../src/index.ts";
import { sample } from "./eds-sample.ts";

/** The values of the one entry of a section of no known name. */
function valuesOf(fields: string): readonly EdsValue[] {
  const eds = parseEds(`[X]\nK = ${fields};\n`);
  return eds.sections[0]!.entries[0]!.fields.map(({ value }) => value);
}

/** Problems that are not about missing sections. */
function problemsOf(text: string): readonly string[] {
  return parseEds(text)
    .problems.filter(({ message }) => !message.startsWith("There is no section"))
    .map(({ line, column, severity, message }) => `${line}:${column} ${severity} ${message}`);
}

describe("fields", () => {
  test.each([
    { raw: "", value: { kind: "empty" } },
    { raw: "12", value: { kind: "number", value: 12 } },
    { raw: "+12", value: { kind: "number", value: 12 } },
    { raw: "-12", value: { kind: "number", value: -12 } },
    { raw: "0x4a", value: { kind: "number", value: 74 } },
    { raw: "0XFFFFFFFFFFFFFFFF", value: { kind: "number", value: 0xffffffffffffffffn } },
    { raw: "0b101", value: { kind: "number", value: 5 } },
    { raw: ".004", value: { kind: "number", value: 0.004 } },
    { raw: "-1.5e3", value: { kind: "number", value: -1500 } },
    { raw: "1".repeat(80), value: { kind: "word", value: "1".repeat(80) } },
    { raw: "0xZZ", value: { kind: "word", value: "0xZZ" } },
    { raw: "12-31-2026", value: { kind: "date", year: 2026, month: 12, day: 31 } },
    { raw: "1-2-99", value: { kind: "date", year: 1999, month: 1, day: 2 } },
    { raw: "1-2-07", value: { kind: "date", year: 2007, month: 1, day: 2 } },
    { raw: "02-29-2023", value: { kind: "word", value: "02-29-2023" } },
    { raw: "13-01-2023", value: { kind: "word", value: "13-01-2023" } },
    { raw: "00-01-2023", value: { kind: "word", value: "00-01-2023" } },
    { raw: "01-00-2023", value: { kind: "word", value: "01-00-2023" } },
    { raw: "23:59:59", value: { kind: "time", hours: 23, minutes: 59, seconds: 59 } },
    { raw: "24:00:00", value: { kind: "word", value: "24:00:00" } },
    { raw: "23:60:00", value: { kind: "word", value: "23:60:00" } },
    { raw: "23:00:60", value: { kind: "word", value: "23:00:60" } },
    { raw: "Param12", value: { kind: "reference", to: "Param", number: 12 } },
    { raw: "ProxyAssemExa3", value: { kind: "reference", to: "ProxyAssemExa", number: 3 } },
    { raw: "EtherNetIP", value: { kind: "word", value: "EtherNetIP" } },
    { raw: "20 04\t24", value: { kind: "word", value: "20 04 24" } },
    { raw: '"a" $ note; "x"\n "b"', value: { kind: "text", value: "ab" } },
    { raw: String.raw`"\"q\" \\ \n \x41 \q C:\dir"`, value: { kind: "text", value: '"q" \\ \n A \\q C:\\dir' } },
    { raw: '"a;b,c$d=[e]{f}"', value: { kind: "text", value: "a;b,c$d=[e]{f}" } },
  ])("reads $raw", ({ raw, value }) => expect(valuesOf(raw)).toEqual([value]));

  test("groups hold fields, to any number and eight deep", () => {
    const [group] = valuesOf("{1, {2}}");
    expect(group).toMatchObject({
      kind: "group",
      fields: [{ value: { value: 1 } }, { value: { kind: "group", fields: [{ value: { value: 2 } }] } }],
    });
    expect(valuesOf("{{{{{{{{1}}}}}}}}")).toHaveLength(1);
  });

  test("empty fields count, also the last", () => {
    expect(valuesOf("1,,").map(({ kind }) => kind)).toEqual(["number", "empty", "empty"]);
  });

  test("lines end in LF, CR LF or CR", () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const eds = parseEds(["[X] $ note", "A = 1; $ note", "  B = 2;", ""].join(end));
      expect(eds.sections[0]!.entries.map(({ key, line, column }) => [key, line, column])).toEqual([
        ["A", 2, 1],
        ["B", 3, 3],
      ]);
    }
  });
});

describe("what is wrong is reported where it is, and the rest is read", () => {
  test.each([
    { text: "[X]\nA = 1\nB = 2;", found: ["2:6 error The entry 'A' does not end in ';'."] },
    { text: "[X]\nA =\nB = 2;", found: ["2:4 error The entry 'A' does not end in ';'."] },
    { text: "[X]\nA = 1, 2\n[Y]\nB = 2;", found: ["2:9 error The entry 'A' does not end in ';'."] },
    { text: "[X]\nA = 1, 2", found: ["2:9 error The entry 'A' does not end in ';'."] },
    { text: "[X]\nA = 1 = 2;", found: ["2:7 error '=' stands where a value should be."] },
    { text: "[X]\nA = }1;", found: ["2:5 error '}' stands"] },
    {
      text: '[X]\nA = "open;\nB = 1;',
      found: ["2:5 error The text 'open;' has no closing quote", "2:11 error The entry 'A'"],
    },
    { text: '[X]\nA = "open\\', found: ["2:5 error The text 'open\\' has no", "2:11 error The entry 'A'"] },
    { text: '[X]\nA = "open\\\nB = 1;', found: ["2:5 error The text 'open\\' has no", "2:11 error The entry 'A'"] },
    { text: '[X]\nA = 1 "x";', found: [`2:5 error '1 "x"' mixes values of several kinds.`] },
    { text: "[X]\nA = {1} {2};", found: ["2:5 error '{1} {2}' mixes"] },
    { text: "[X]\nA = {1, 2;\nB = 3;", found: ["2:5 error This brace is not closed."] },
    { text: "[X]\nA = {1\nB = 3;", found: ["2:5 error This brace", "2:7 error The entry 'A'"] },
    { text: "[X\nA = 1;", found: ["1:1 error The section 'X' has no ']'."] },
    { text: "[X]\nnonsense here; A = 1;", found: ["2:1 error 'nonsense' is not an entry of a section."] },
    { text: "[X]\nnonsense\nA = 1;", found: ["2:1 error 'nonsense' is not"] },
    { text: "[X]\n; A = 1;", found: ["2:1 error ';' is not an entry"] },
    { text: "A = 1;\n[X]\nA = 1;", found: ["1:1 error 'A' is not an entry"] },
    {
      text: "[X]\nA = 1;\na = 2;\n[x]\nB = 3;",
      found: ["3:1 error [X] a is in line 2 already.", "4:1 warning The section [x] began in line 1."],
    },
    { text: "[X]\nA = \u20ac;", found: ["1:1 warning The text holds"] },
    { text: "\ufeff[X]\nA = \u00a01;", found: [] },
  ])("$text", ({ text, found }) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(found.length);
    for (const [i, problem] of [...found].toSorted().entries()) expect([...problems].toSorted()[i]).toContain(problem);
    expect(writeEds(parseEds(text))).toBe(text);
    expect(parseEds(text).sections.at(-1)!.entries.length).toBeGreaterThan(0);
  });

  test("a thousand problems are enough, a hundred thousand too many", () => {
    expect(parseEds(`[X]\n${"?;\n".repeat(2000)}`).problems).toHaveLength(1000);
    expect(() => parseEds(`[X]\n${"?;\n".repeat(100_001)}`)).toThrow(
      expect.objectContaining({ code: "usage/file", facts: { file: "EDS", line: 100_002, column: 1 } }),
    );
  });
});

describe("what is no EDS is refused with its place", () => {
  const many = (count: number, text: string): string => text.repeat(count);
  test.each([
    { name: "nothing", text: "", at: [1, 1], message: "there is no [Section]" },
    { name: "a page", text: "<html>\n</html>", at: [1, 1], message: "there is no [Section]" },
    { name: "octets", text: "[X]\0", at: [1, 1], message: "NUL" },
    {
      name: "a CANopen EDS",
      text: "[FileInfo]\nFileName=x\n[DeviceInfo]\nVendorName=y",
      at: [1, 1],
      message: "CANopen",
    },
    { name: "too long", text: many(edsLimits.characters + 1, " "), at: [1, 1], message: "longer" },
    { name: "too deep", text: `[X]\nA = ${many(9, "{")}`, at: [2, 13], message: "deeper than 8" },
    { name: "sections", text: many(edsLimits.sections + 1, "[X]\n"), at: [10_001, 1], message: "more sections" },
    {
      name: "entries",
      text: `[X]\n${many(edsLimits.entries + 1, "A=1;\n")}`,
      at: [100_002, 1],
      message: "more entries",
    },
    { name: "fields", text: `[X]\nA = ${many(edsLimits.fields + 1, ",")}`, at: [2, 1_000_005], message: "more fields" },
  ])("$name", ({ text, at, message }) => {
    let caught: unknown;
    try {
      parseEds(text, { name: "dir/\u001bdevice.eds" });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(UsageError);
    expect(caught).toMatchObject({
      code: "usage/file",
      facts: { line: at[0], column: at[1] },
      fix: expect.stringMatching(/./),
    });
    expect(String(caught)).toContain(message);
    expect(String(caught)).toContain(`dir/ device.eds, line ${at[0]}, column ${at[1]}`);
  });

  test("strict refuses the first error, not a warning", () => {
    expect(() => parseEds(`${sample}[X]\nA = 1`, { strict: true })).toThrow(
      expect.objectContaining({
        code: "usage/file",
        facts: { file: "EDS", line: sample.split("\n").length + 1, column: 6 },
      }),
    );
    expect(parseEds(`${sample}[Port]\n`, { strict: true }).problems).toMatchObject([{ severity: "warning" }]);
  });
});

describe("writing", () => {
  test("the sample comes back", () => expect(writeEds(parseEds(sample))).toBe(sample));

  test("changed entries are laid out anew between those that are not", () => {
    const eds = parseEds("[A]  $ one\n  X = 1 ;  $ two\n[B]\nY = 2;\n");
    const changed = {
      ...eds,
      sections: [
        ...eds.sections.map((section) =>
          section.name === "B"
            ? { ...section, entries: [{ key: "Y", fields: [{ raw: "3" }, { raw: '"z"', note: "last" }] }] }
            : section,
        ),
        {
          name: "C",
          entries: [
            { key: "Z", fields: [{ raw: "4" }] },
            { key: "N", fields: [{ raw: "5", note: "n" }] },
          ],
        },
      ],
    };
    expect(writeEds(changed)).toBe(
      [
        "[A]  $ one\n  X = 1 ;  $ two\n[B]",
        "        Y =",
        "                3,",
        '                "z";                    $ last',
        "",
        "[C]",
        "        Z = 4;",
        "        N =",
        "                5;                      $ n\n",
      ].join("\n"),
    );
    expect(writeEds({ sections: [] })).toBe("\n");
  });

  const blank = fc.constantFrom("", " ", "\n", "\r\n\t", ' $ note; [x] = "\n', "\r");
  const scalar = fc.oneof(
    fc.constantFrom("", "1", "0xFF", ".5", "Param1", "word", '"t"', '"a" "b"', '"\\" ; $"', "01-02-2003", "{}"),
    fc.string().map((text) => `"${text.replaceAll(/[\\"\r\n\0]/g, "")}"`),
  );
  const field = fc.letrec((tie) => ({
    value: fc.oneof({ depthSize: "small", maxDepth: 6 }, scalar, tie("group")),
    group: fc.array(tie("value"), { maxLength: 3 }).map((values) => `{${values.join(",")}}`),
  })).value;
  const spaced = (inner: fc.Arbitrary<unknown>): fc.Arbitrary<string> =>
    fc.tuple(blank, inner, blank).map(([before, text, after]) => `${before}${String(text)}${after}`);
  const entry = fc
    .tuple(
      fc.constantFrom("A", "Param1", "Assem1", "1_x"),
      blank,
      fc.array(spaced(field), { minLength: 1, maxLength: 5 }),
    )
    .map(([key, gap, fields]) => `${key}${gap}=${fields.join(",")};`);
  const section = fc
    .tuple(
      fc.constantFrom("[X]", "[Params]", "[Assembly]", "[Connection Manager]"),
      fc.array(spaced(entry), { maxLength: 4 }),
    )
    .map(([head, entries]) => `\n${head}${entries.join("")}`);
  const grammar = fc
    .tuple(blank, fc.array(section, { minLength: 1, maxLength: 4 }), blank)
    .map(([a, b, c]) => a + b.join("") + c);

  test("any text of the grammar comes back and has no syntax problem", () => {
    fc.assert(
      fc.property(grammar, (text) => {
        const eds = parseEds(text);
        expect(writeEds(eds)).toBe(text);
        expect(eds.problems.filter(({ message }) => /does not end|not an entry|brace|mixes/.test(message))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  const edits = fc.array(
    fc.record({
      at: fc.nat(sample.length),
      drop: fc.nat(20),
      put: fc.constantFrom("", ";", ",", '"', "{", "}", "[", "=", "$", "\n", "0xFFFFFFFF", "Param5", "\\"),
    }),
    { maxLength: 6 },
  );
  const damaged = edits.map((list) =>
    list.reduce((text, { at, drop, put }) => text.slice(0, at) + put + text.slice(at + drop), sample),
  );
  test("any text is refused or comes back", () => {
    const signs = fc
      .array(fc.constantFrom(...'[]=;,"{}$\n\r\\ aParam10x'), { maxLength: 60 })
      .map((list) => `[X]${list.join("")}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" }), signs, damaged), (text) => {
        try {
          expect(writeEds(parseEds(text))).toBe(text);
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });

  test.each(["[X]A=", "[X]\n=", "[X]\nA={", '[X]A="\\', "[X]\nA\n=", "[", "$", "[X]\nA=1\n", "[X]A=0x0", '[X]A="a" '])(
    "the work grows with the length of %j",
    (seed) => {
      const text = seed + seed.slice(-4).repeat(40_000);
      // Of this process: what others on the machine do takes no time here.
      const start = process.cpuUsage();
      try {
        parseEds(text);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
      }
      expect(process.cpuUsage(start).user / 1000).toBeLessThan(8_000);
    },
  );
});
