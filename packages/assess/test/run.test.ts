import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@cipsec/transport";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  capability,
  compare,
  control,
  createRun,
  finishRun,
  keyFingerprint,
  listRuns,
  newRunId,
  openRun,
  readAssessment,
  runChecks,
  runPath,
  signingKey,
  verifyRun,
  type Check,
  type RunFolder,
  type RunPlan,
  type Subject,
} from "../src/index.ts";

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "assess-run-"))));
afterEach(async () => await rm(folder, { recursive: true, force: true }));

const subject: Subject = { lacks: () => undefined, signal: new AbortController().signal };

function check(id: string, run: Check["run"], more: Partial<Check> = {}): Check {
  return {
    id,
    version: "1.0",
    title: id,
    requirements: ["CR 7.8"],
    part: "whole",
    method: "test",
    needs: [],
    estimateMs: 10,
    run,
    ...more,
  };
}

const passing = (id: string): Check =>
  check(id, async (_subject, recorder) => {
    const evidence = [await recorder.exchange("ask", { sent: "a question", answer: "an answer" })];
    return {
      observations: [
        control({ name: "c", expected: "e", observed: "o", holds: true, evidence }),
        capability({ name: "works", expected: "e", observed: "o", holds: true, evidence }),
      ],
    };
  });

function plan(checks: readonly Check[], now = new Date()): RunPlan {
  return {
    id: newRunId(now),
    kind: "endpoint",
    subject: { address: "192.0.2.1", component: "1 drive 2.1", facts: { serial: "00000001" } },
    level: 2,
    type: "embedded",
    disruptive: false,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: { name: "cipsec", version: "0", runtime: "r", crypto: "c", system: "s" },
    operator: "lab",
    options: {},
    attestations: [],
  };
}

async function finished(checks: readonly Check[]): Promise<RunFolder> {
  const run = await createRun(join(folder, "runs"), plan(checks));
  await runChecks(run, checks, subject);
  await finishRun(run, await signingKey(folder), new Date());
  return run;
}

describe("a finished run", () => {
  test("verifies, and any change is found and named", async () => {
    const run = await finished([passing("X-1"), passing("X-2")]);
    const trusted = [keyFingerprint(await signingKey(folder))];
    expect(await verifyRun(run.path, trusted)).toMatchObject({
      holds: true,
      signature: "good",
      changed: [],
      missing: [],
      added: [],
    });
    expect(await verifyRun(run.path, [])).toMatchObject({ holds: false, signature: "unknown" });

    const files = (await readdir(run.path, { recursive: true, withFileTypes: true }))
      .filter((one) => one.isFile())
      .map((one) => join(one.parentPath, one.name));
    expect(files.length).toBeGreaterThan(7);
    for (const file of files) {
      const whole = await readFile(file);
      const flipped = Buffer.from(whole);
      const at = Math.floor(whole.length / 2);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
      await writeFile(file, flipped);
      // A manifest that is no JSON any more is refused outright; everything else is a verification that does not hold.
      const flip = await verifyRun(run.path, trusted).catch(() => ({ holds: false }));
      expect([file, flip.holds]).toEqual([file, false]);
      await unlink(file);
      const gone = await verifyRun(run.path, trusted).catch(() => ({ holds: false }));
      expect([file, gone.holds]).toEqual([file, false]);
      await writeFile(file, whole);
    }
    await writeFile(join(run.path, "evidence", "more.txt"), "planted");
    expect(await verifyRun(run.path, trusted)).toMatchObject({ holds: false, added: ["evidence/more.txt"] });
    await unlink(join(run.path, "evidence", "more.txt"));
    expect((await verifyRun(run.path, trusted)).holds).toBe(true);
  });

  test("is read back with the same verdicts", async () => {
    const run = await finished([passing("X-1")]);
    const again = await readAssessment(await openRun(run.path));
    expect(again.verdicts.find(({ requirement }) => requirement === "CR 7.8")).toMatchObject({ verdict: "met" });
    const stored: unknown = JSON.parse(await readFile(join(run.path, "assessment.json"), "utf8"));
    expect(stored).toMatchObject({ verdicts: JSON.parse(JSON.stringify(again.verdicts)), levelByFr: again.levelByFr });
    expect(await listRuns(join(folder, "runs"))).toEqual([run.plan.id]);
  });
});

test("the estimate of the rest goes by the pace of what is done, without checks that cannot be run", async () => {
  const clock = { ...systemClock, at: 0, now: () => clock.at };
  const slow = (id: string, more: Partial<Check> = {}): Check =>
    check(
      id,
      async () => {
        clock.at += 20_000;
        return { observations: [] };
      },
      { estimateMs: 10_000, ...more },
    );
  const checks = [slow("X-1"), slow("X-2"), slow("X-3", { needs: ["disruptive"] }), slow("X-4")];
  const lacks: Subject["lacks"] = (need) => (need === "disruptive" ? "" : undefined);
  const told: number[] = [];
  await runChecks(
    await createRun(join(folder, "runs"), plan(checks)),
    checks,
    { ...subject, lacks },
    {
      clock,
      progress: ({ remainingMs }) => told.push(remainingMs),
    },
  );
  expect(told).toEqual([30_000, 40_000, 20_000, 20_000]);
});

describe("a run that is cut off", () => {
  test("goes on where it stopped, after putting back what was changed", async () => {
    const told: string[] = [];
    let dies = true;
    const changing = check(
      "X-2",
      async (_subject, recorder) => {
        told.push("changed");
        await recorder.willChange({ value: 7 });
        // As by kill -9: nothing after this happens, and no record is written.
        if (dies) throw Object.assign(new Error("killed"), { name: "Killed" });
        await recorder.restored();
        return await passing("X-2").run(subject, recorder);
      },
      { restore: async (_subject, saved) => void told.push(`back to ${JSON.stringify(saved)}`) },
    );
    const first = passing("X-1");
    const stopped = new AbortController();
    const checks = [
      check("X-1", async (a, b) => (told.push("first"), await first.run(a, b))),
      changing,
      passing("X-3"),
    ];
    const run = await createRun(join(folder, "runs"), plan(checks));
    const cut: Check = {
      ...changing,
      run: async (a, b) => {
        try {
          return await changing.run(a, b);
        } finally {
          stopped.abort(new Error("cut off"));
        }
      },
    };
    await expect(runChecks(run, [checks[0]!, cut, checks[2]!], { ...subject, signal: stopped.signal })).rejects.toThrow(
      "cut off",
    );
    expect((await run.records()).map(({ id }) => id)).toEqual(["X-1"]);
    await expect(finishRun(run, await signingKey(folder), new Date())).rejects.toMatchObject({ code: "usage/state" });

    dies = false;
    const again = await openRun(run.path);
    await runChecks(again, checks, subject);
    expect(told).toEqual(["first", "changed", 'back to {"value":7}', "changed"]);
    await finishRun(again, await signingKey(folder), new Date());
    expect((await verifyRun(run.path, [keyFingerprint(await signingKey(folder))])).holds).toBe(true);
  });

  test("a check that throws, or lacks something, ends itself and not the run", async () => {
    const checks = [
      check("X-1", async () => {
        throw new RangeError("broken");
      }),
      check("X-2", async () => ({ observations: [] }), { needs: ["disruptive"] }),
      passing("X-3"),
    ];
    const run = await createRun(join(folder, "runs"), plan(checks));
    const records = await runChecks(run, checks, {
      ...subject,
      lacks: (need) => (need === "disruptive" ? "" : undefined),
    });
    expect(records.map(({ notRun }) => notRun)).toEqual([
      expect.stringContaining("broken"),
      expect.stringContaining("--disruptive"),
      undefined,
    ]);
  });

  test("refuses checks of another version, names that are paths, and damaged files", async () => {
    const run = await createRun(join(folder, "runs"), plan([passing("X-1")]));
    await expect(runChecks(run, [{ ...passing("X-1"), version: "2.0" }], subject)).rejects.toMatchObject({
      code: "usage/state",
    });
    expect(() => runPath(folder, "../x")).toThrow(expect.objectContaining({ code: "usage/argument" }));
    await runChecks(run, [passing("X-1")], subject);
    await writeFile(join(run.path, "checks", "X-1.json"), '{"id":"X-1"}');
    await expect(run.records()).rejects.toMatchObject({ code: "state/corrupt" });
    await writeFile(join(run.path, "plan.json"), "{}");
    await expect(openRun(run.path)).rejects.toMatchObject({ code: "state/corrupt" });
  });
});

test("two runs are compared by verdicts and by what was observed", async () => {
  const before = await readAssessment(await finished([passing("X-1")]));
  const failing = check("X-1", async () => ({
    observations: [capability({ name: "works", expected: "e", observed: "not", holds: false })],
  }));
  const now = await readAssessment(await finished([failing]));
  const { verdicts, observations, regressions } = compare(before, now);
  expect(verdicts).toEqual([
    {
      requirement: "CR 7.8",
      title: expect.any(String),
      before: "met",
      now: "not-met",
      isRegression: true,
      isProgress: false,
      reason: expect.any(String),
    },
  ]);
  expect(observations).toContainEqual({
    check: "X-1",
    observation: "works",
    before: "as expected",
    now: "not as expected",
    observed: "not",
  });
  expect(regressions).toBe(1);
  expect(compare(now, before)).toMatchObject({ regressions: 0, verdicts: [{ isRegression: false, isProgress: true }] });
  expect(compare(before, before)).toMatchObject({ verdicts: [], observations: [], regressions: 0 });
  // What one of them has not done differs in no observation, but it is told.
  const other = await readAssessment(await finished([passing("X-9")]));
  expect(compare(before, other)).toMatchObject({ observations: [], onlyBefore: ["X-1"], onlyNow: ["X-9"] });
});
