import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { cipsec, document, temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const data = join(folder.path, "data");
afterAll(() => folder.remove());

test("this machine is assessed, and the run holds", async () => {
  const ran = await cipsec(["assess", "host", "--only", "C-1.14,C-7.3", "--json"], { data });
  expect(ran.code).toBe(1);
  expect(ran.err).toContain("1/2 C-1.14");
  const told = document(ran) as { run: string; results: readonly { requirement: string; verdict: string }[] };
  expect(told.results).toHaveLength(137);
  // Nobody has tried to restore a backup: that must never be met.
  expect(told.results.find(({ requirement }) => requirement === "CR 7.3")?.verdict).toBe("inconclusive");
  const verify = await cipsec(["assess", "verify", told.run, "--json"], { data });
  expect([verify.code, document(verify)]).toEqual([0, expect.objectContaining({ holds: true })]);
  const replay = await cipsec(["assess", "replay", told.run, "--json"], { data });
  expect([replay.code, document(replay)]).toEqual([
    0,
    expect.objectContaining({ before: told.run, verdicts: [], observations: [], onlyNow: [] }),
  ]);
  expect(replay.err).toContain("1/2 C-1.14");
});

test.each([
  { name: "an unknown check", words: ["--only", "C-9.9"], says: "no check C-9.9" },
  { name: "an option in place of a destination", words: ["--ssh", "-oProxyCommand=id"], says: "no SSH destination" },
  { name: "two places at once", words: ["--local", "--ssh", "a@b"], says: "exclude each other" },
  { name: "no number of tries", words: ["--login-samples", "many"], says: "no number of tries" },
])("refuses $name", async ({ words, says }) => {
  const ran = await cipsec(["assess", "host", ...words], { data });
  expect(ran.code).toBe(2);
  expect(ran.err).toContain(says);
});
