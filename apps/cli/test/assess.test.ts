import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cipsec, document, startDevice, temporaryFolder, type Ran } from "./support.ts";

const folder = temporaryFolder();
const data = join(folder.path, "data");
const address = "127.38.12.1";
let device: Target;

beforeAll(async () => {
  device = await startDevice(folder.path, "modern", address);
  expect((await cipsec(["commission", address, "--insecure-accept-any"], { data })).code).toBe(0);
});

afterAll(async () => {
  await device.stop();
  folder.remove();
});

interface Told {
  readonly run: string;
  readonly results: readonly {
    readonly requirement: string;
    readonly verdict: string;
    readonly evidence: readonly { readonly file: string; readonly sha256: string }[];
  }[];
  readonly levelByFr: Readonly<Record<string, number>>;
}

const toldOf = (ran: Ran): Told => document(ran) as Told;
const verdictOf = ({ results }: Told, id: string): string | undefined =>
  results.find(({ requirement }) => requirement === id)?.verdict;
const few = ["--only", "E-7.8,B-1.14,B-3.1R1"];

test("an assessment, its verification, its repetition and its reports", async () => {
  const first = await cipsec(["assess", "endpoint", address, ...few, "--json"], { data });
  expect(first.code).toBe(1);
  const told = toldOf(first);
  expect(told.results).toHaveLength(137);
  expect([
    verdictOf(told, "CR 3.1 RE(1)"),
    verdictOf(told, "CR 1.14"),
    verdictOf(told, "CR 1.1"),
    verdictOf(told, "CR 7.1"),
  ]).toEqual(["met", "not-applicable", "inconclusive", "out-of-scope"]);
  expect(first.err).toContain("1/3 E-7.8");

  const verify = await cipsec(["assess", "verify", told.run, "--json"], { data });
  expect([verify.code, document(verify)]).toEqual([0, expect.objectContaining({ holds: true, signature: "good" })]);
  expect(document(await cipsec(["assess", "list", "--json"], { data }))).toMatchObject({ runs: [{ run: told.run }] });

  const replay = await cipsec(["assess", "replay", told.run, "--json"], { data });
  expect([replay.code, document(replay)]).toEqual([
    0,
    expect.objectContaining({ verdicts: [], observations: [], caveats: [] }),
  ]);

  const out = join(folder.path, "out");
  const report = await cipsec(
    ["report", told.run, "--format", "html,md,json,oscal,sarif,junit", "--out", out, "--json"],
    { data },
  );
  expect(report.code).toBe(0);
  expect(readdirSync(out)).toHaveLength(6);
  expect(readFileSync(join(out, `assessment-${told.run}.md`), "utf8")).toContain(
    "CR 3.1 RE(1) Communication authentication [Met]",
  );

  const run = join(data, "assess", "runs", told.run);
  const record = join(run, "checks", "E-7.8.json");
  writeFileSync(record, readFileSync(record, "utf8").replace('"partial"', '"fail"   '));
  const altered = await cipsec(["assess", "verify", told.run, "--json"], { data });
  expect([altered.code, document(altered)]).toEqual([
    1,
    expect.objectContaining({ holds: false, changed: ["checks/E-7.8.json"] }),
  ]);
  expect((await cipsec(["report", told.run, "--out", out], { data })).code).toBe(2);
});

test("a run that is interrupted is resumed", async () => {
  const stop = new AbortController();
  const cut = await cipsec(["assess", "endpoint", address, ...few], {
    data,
    signal: stop.signal,
    onProgress: (text) => {
      if (text.includes("2/3")) stop.abort(new Error("Ctrl-C"));
    },
  });
  expect(cut.code).toBe(130);
  const [, run = ""] = /^run (\S+):/m.exec(cut.err) ?? [];
  expect((await cipsec(["assess", "verify", run], { data })).code).toBe(2);
  const resumed = await cipsec(["assess", "endpoint", address, "--resume", run, "--json"], { data });
  expect(toldOf(resumed).run).toBe(run);
  expect(resumed.err).not.toContain("1/3");
  expect((await cipsec(["assess", "verify", run], { data })).code).toBe(0);
});

describe("wrong words are told", () => {
  test.each([
    [["assess", "endpoint", address, "--level", "5"], "--level"],
    [["assess", "endpoint", address, "--type", "toaster"], "--type"],
    [["assess", "endpoint", address, "--only", "B-0"], "no check B-0"],
    [["assess", "verify", "../x"], "not the name of a run"],
    [["assess", "verify", "20260101-000000-000000"], "there is no run"],
    [["assess", "catalogue", "--fr", "8"], "--fr"],
    [["report", "20260101-000000-000000", "--format", "docx"], "--format"],
  ])("%j", async (words, said) => {
    expect(await cipsec(words, { data })).toMatchObject({ code: 2, err: expect.stringContaining(said) });
  });

  test("an address where nothing answers", async () => {
    expect((await cipsec(["assess", "endpoint", "127.38.12.99"], { data })).code).toBe(3);
  });
});

test("the catalogue is printed and filtered", async () => {
  const all = document(await cipsec(["assess", "catalogue", "--json"])) as { entries: readonly { id: string }[] };
  expect(all.entries).toHaveLength(137);
  const some = document(
    await cipsec(["assess", "catalogue", "--json", "--type", "embedded", "--level", "1", "--fr", "4"]),
  ) as typeof all;
  expect(some.entries.map(({ id }) => id)).toEqual(["CR 4.1", "CR 4.3"]);
  expect((await cipsec(["assess", "catalogue", "--fr", "6"])).out).toContain("Continuous monitoring");
});
