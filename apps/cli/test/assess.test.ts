import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { edsOf, readDescription, type Target } from "@cipsec/target";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Process } from "./processes.ts";
import { cipsec, descriptionOf, document, startDevice, startServer, temporaryFolder, type Ran } from "./support.ts";

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
  expect(document(await cipsec(["assess", "list", "--json"], { data }))).toMatchObject({
    runs: [{ run: told.run, finished: true, checks: { done: 3, of: 3 } }],
  });
  const shown = await cipsec(["assess", "show", told.run, "CR", "3.1", "RE(1)"], { data });
  expect(shown.out).toMatch(/Met\n(.*\n)*\nB-3\.1R1 .*\n(.*\n)* {2}as expected.*\n +expected .*\n +observed /);
  const [, file = ""] = /^B-3\.1R1\/\S+ +(\S+)$/m.exec(shown.out) ?? [];
  expect(readFileSync(join(data, "assess", "runs", told.run, "evidence", file), "utf8")).toContain('"sent"');
  expect((await cipsec(["assess", "show", told.run, "CR 9.9"], { data })).code).toBe(2);

  const replay = await cipsec(["assess", "replay", told.run, "--json"], { data });
  expect([replay.code, document(replay)]).toEqual([
    0,
    expect.objectContaining({ verdicts: [], observations: [], caveats: [] }),
  ]);

  const compared = await cipsec(
    ["assess", "endpoint", address, "--only", "E-7.8,B-1.14", "--compare", told.run, "--json"],
    { data },
  );
  // What was met is open now: the check that showed it was left out.
  expect([compared.code, document(compared)]).toEqual([
    1,
    expect.objectContaining({
      comparison: expect.objectContaining({
        regressions: 1,
        onlyBefore: ["B-3.1R1"],
        verdicts: [expect.objectContaining({ requirement: "CR 3.1 RE(1)", before: "met", isRegression: true })],
      }),
    }),
  ]);
  const backwards = await cipsec(["assess", "compare", toldOf(compared).run, told.run], { data });
  expect(backwards).toMatchObject({
    code: 0,
    out: expect.stringMatching(/Better than before\n(.*\n)+CR 3\.1 RE\(1\)/),
  });

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
  expect(cut.err).toMatch(
    new RegExp(`nothing is left changed\nfix: +Go on with: cipsec assess endpoint --resume ${run}`),
  );
  expect((await cipsec(["assess", "verify", run], { data })).code).toBe(2);
  expect((await cipsec(["assess", "list"], { data })).out).toMatch(new RegExp(`${run}.* cut off after 1 of 3 checks`));
  expect(await cipsec(["assess", "host", "--resume", run], { data })).toMatchObject({
    code: 2,
    err: expect.stringContaining("is of a device"),
  });
  // The target, and all else, is that of the run.
  const resumed = await cipsec(["assess", "endpoint", "--resume", run, "--json"], { data });
  expect(toldOf(resumed).run).toBe(run);
  expect(resumed.err).not.toContain("1/3");
  expect((await cipsec(["assess", "verify", run], { data })).code).toBe(0);
  expect(await cipsec(["assess", "endpoint", "--resume", run], { data })).toMatchObject({
    code: 2,
    err: expect.stringContaining("is finished"),
  });
});

describe("what a check had changed on the device is put back", () => {
  const attributes = ["TcpIpInterface/1/encapsulationInactivityTimeout", "EtherNetIpSecurity/1/dtlsTimeout"] as const;
  /** Of sessions, and of DTLS. */
  const timeouts = async (): Promise<readonly unknown[]> => {
    const told = document(await cipsec(["get", address, ...attributes, "--json"], { data })) as Record<string, unknown>;
    return attributes.map((name) => told[name]);
  };
  const changing = ["assess", "endpoint", address, "--disruptive", "--only", "B-2.6"];
  const isChanged = async (): Promise<void> => {
    while ((await timeouts())[0] !== 5) await sleep(50);
  };

  test("at once, on Ctrl-C", async () => {
    const before = await timeouts();
    const stop = new AbortController();
    const cut = cipsec(changing, { data, signal: stop.signal });
    await isChanged();
    stop.abort(new Error("Ctrl-C"));
    expect(await cut).toMatchObject({ code: 130, err: expect.stringContaining("what B-2.6 had changed was put back") });
    expect(await timeouts()).toEqual(before);
  });

  test("by --resume, after kill -9", async () => {
    const before = await timeouts();
    await using killed = new Process(changing, data);
    await killed.says(/^run (\S+):/m, "err");
    await isChanged();
    killed.child.kill("SIGKILL");
    await killed.end();
    expect(await timeouts()).toEqual([5, 5]);
    const [, run = ""] = /^run (\S+):/m.exec(killed.err) ?? [];
    const stop = new AbortController();
    const resumed = await cipsec(["assess", "endpoint", "--resume", run], {
      data,
      signal: stop.signal,
      onProgress: (text) => {
        // The check is about to begin anew: what it had changed must be back by now.
        if (text.startsWith("1/1")) stop.abort(new Error("Ctrl-C"));
      },
    });
    expect([resumed.code, await timeouts()]).toEqual([130, before]);
    expect(resumed.err).toContain("nothing is left changed");
  });
});

test("the EDS says which I/O connections are opened up to their limit, and how many there are", async () => {
  const eds = join(folder.path, "device.eds");
  const created = { date: { year: 2026, month: 1, day: 1 }, time: { hours: 0, minutes: 0, seconds: 0 } };
  const description = readDescription(descriptionOf("modern", address, "modern"));
  writeFileSync(eds, edsOf(description, { vendorName: "Nobody", created }), "latin1");
  const ran = await cipsec(["assess", "endpoint", address, "--disruptive", "--only", "B-2.7", "--eds", eds, "--json"], {
    data,
  });
  const { out } = await cipsec(["assess", "show", toldOf(ran).run, "CR 7.2"], { data });
  expect(out).toContain("128 were opened; then cip/status");
  expect(out).toContain("no more than the 256 that the EDS declares");
  expect(out).toContain("no more than the 32 that the EDS declares");
});

test("a resumed run reads the device after things are put back: what was changed is not taken for what was there", async () => {
  const stop = new AbortController();
  const cut = await cipsec(["assess", "endpoint", address, "--disruptive", "--only", "B-7.7c"], {
    data,
    signal: stop.signal,
    onProgress: (text) => {
      if (text.startsWith("1/1")) stop.abort(new Error("Ctrl-C"));
    },
  });
  const [, run = ""] = /^run (\S+):/m.exec(cut.err) ?? [];
  // As kill -9 leaves it in the middle of the check: it was announced, and the plaintext port is open.
  const pending = join(data, "assess", "runs", run, "pending");
  mkdirSync(pending, { recursive: true });
  const before = [{ port: 44_818, protocol: "tcp", open: false }];
  writeFileSync(join(pending, "B-7.7c.json"), JSON.stringify({ ports: before }));
  const open = JSON.stringify([{ port: 44_818, protocol: 6, open: true }]);
  expect((await cipsec(["call", address, "TcpIpInterface/1", "setPortAdminState", open], { data })).code).toBe(0);
  const isOpen = async (): Promise<boolean> =>
    (await cipsec(["get", `eip://${address}`, "Identity/1/serialNumber"], { data })).code === 0;
  expect(await isOpen()).toBe(true);
  const resumed = await cipsec(["assess", "endpoint", "--resume", run], { data });
  expect(resumed.err).toContain("what B-7.7c had changed was put back");
  expect(resumed.out).toContain(`Run ${run}`);
  expect(await isOpen()).toBe(false);
});

describe("all subjects of a plan", () => {
  const late = "127.38.12.2";
  const plan = join(folder.path, "plan.json");
  const onlyFew = ["--only", "E-7.8,C-1.14"];
  const runsOf = (ran: Ran): readonly string[] => (document(ran) as { runs: Told[] }).runs.map(({ run }) => run);

  test("one that does not answer is named, and tried again with the rest", async () => {
    writeFileSync(plan, JSON.stringify({ endpoints: [address, late], hosts: ["local"] }));
    const first = await cipsec(["assess", "all", plan, ...onlyFew, "--json"], { data });
    expect([first.code, document(first)]).toEqual([
      3,
      expect.objectContaining({ failures: [expect.objectContaining({ target: late, code: "transport/refused" })] }),
    ]);
    const { series } = document(first) as { series: string };
    await using _late = await startDevice(folder.path, "late", late, "legacy");
    const again = await cipsec(["assess", "all", "--resume", series, "--json"], { data });
    expect([again.code, document(again)]).toEqual([1, expect.objectContaining({ failures: [] })]);
    const [device, , host] = runsOf(again);
    expect(runsOf(first)).toEqual([device, host]);
    expect(again.err).not.toContain("1/3");

    const compared = await cipsec(["assess", "all", plan, ...onlyFew, "--compare", series], { data });
    expect(compared.code).toBe(0);
    expect(compared.out.match(/Runs \S+ and \S+ agree/g)).toHaveLength(3);
  });

  test("an interrupted series goes on where it stopped", async () => {
    writeFileSync(
      plan,
      JSON.stringify({
        endpoints: [
          { target: address, level: 1 },
          { target: address, only: "B-1.14" },
        ],
      }),
    );
    const stop = new AbortController();
    const cut = await cipsec(["assess", "all", plan, "--only", "E-7.8"], {
      data,
      signal: stop.signal,
      onProgress: (text) => {
        if (text.includes(": 1/1 B-1.14")) stop.abort(new Error("Ctrl-C"));
      },
    });
    expect(cut.code).toBe(130);
    const [, series = ""] = /fix: +Go on with: cipsec assess all --resume (\S+)/.exec(cut.err) ?? [];
    const begun = Array.from(cut.err.matchAll(/^\d\/2 \S+: run (\S+):/gm), ([, run]) => run);
    const whole = await cipsec(["assess", "all", "--resume", series, "--json"], { data });
    expect([whole.code, runsOf(whole)]).toEqual([1, begun]);
    expect((document(whole) as { runs: { level: number }[] }).runs.map(({ level }) => level)).toEqual([1, 2]);
  });

  test("several at once: who does not answer holds nobody up, and the order is that of the plan", async () => {
    const third = "127.38.12.3";
    writeFileSync(plan, JSON.stringify({ endpoints: [address, late, third] }));
    await using _third = await startDevice(folder.path, "third", third, "legacy");
    const silent = await startServer(late, 44_818, () => undefined);
    // One after the other, the third would wait for the second, which ends with the third's second check.
    let isLet = false;
    const words = ["--only", "E-7.8,B-1.14", "--at-once", "3", "--json"];
    const first = await cipsec(["assess", "all", plan, ...words, "--timeout", "600000"], {
      data,
      onProgress: (text) => {
        if (!text.startsWith(`3/3 ${third}: 2/2`)) return;
        isLet = true;
        void silent[Symbol.asyncDispose]();
      },
    });
    expect([isLet, first.code, document(first)]).toEqual([
      true,
      3,
      expect.objectContaining({ failures: [expect.objectContaining({ target: late })] }),
    ]);
    const { series } = document(first) as { series: string };
    await using _late = await startDevice(folder.path, "late", late, "legacy");
    const again = await cipsec(["assess", "all", "--resume", series, "--at-once", "3", "--json"], { data });
    expect([again.code, document(again)]).toEqual([1, expect.objectContaining({ failures: [] })]);
    const { runs } = document(again) as { runs: { subject: { address: string } }[] };
    expect(runs.map(({ subject }) => subject.address)).toEqual([address, late, third]);
    // What was done stays done.
    expect(runsOf(first)).toEqual([runsOf(again)[0], runsOf(again)[2]]);

    const anew = ["assess", "all", plan, "--only", "E-7.8,B-7.7,B-1.14", "--at-once", "3"];
    const stop = new AbortController();
    const seen = new Set<string>();
    const cut = await cipsec(anew, {
      data,
      signal: stop.signal,
      onProgress: (text) => {
        const [, subject] = /^(\d)\/3 \S+: 1\/3/.exec(text) ?? [];
        if (subject !== undefined && seen.add(subject).size === 3) stop.abort(new Error("Ctrl-C"));
      },
    });
    expect(cut).toMatchObject({ code: 130, err: expect.stringContaining("nothing is left changed") });
    const [, other = ""] = /fix: +Go on with: cipsec assess all --resume (\S+)/.exec(cut.err) ?? [];
    const begun = new Map(Array.from(cut.err.matchAll(/^(\d)\/3 \S+: run (\S+):/gm), ([, at, run]) => [at, run]));
    expect(begun.size).toBe(3);
    await using killed = new Process(["assess", "all", "--resume", other, "--at-once", "3"], data);
    await killed.says(/: 2\/3/, "err");
    killed.child.kill("SIGKILL");
    await killed.end();
    const whole = await cipsec(["assess", "all", "--resume", other, "--at-once", "3", "--json"], { data });
    expect([whole.code, runsOf(whole)]).toEqual([1, ["1", "2", "3"].map((at) => begun.get(at))]);
  });

  test("one address is never assessed twice at once, by whatever name", async () => {
    writeFileSync(
      plan,
      JSON.stringify({ endpoints: [address, `eips://${address}:2221`, { target: address, level: 1 }] }),
    );
    const ran = await cipsec(["assess", "all", plan, "--only", "E-7.8,B-1.14", "--at-once", "3"], { data });
    const order = Array.from(ran.err.matchAll(/^(\d)\/3 \S+: \d\/2/gm), ([, at]) => at);
    expect(order).toEqual(["1", "1", "2", "2", "3", "3"]);
    expect(await cipsec(["assess", "all", plan, "--at-once", "0"], { data })).toMatchObject({
      code: 2,
      err: expect.stringContaining("--at-once"),
    });
  });

  test.each([
    ["{", "is no JSON object"],
    [{ hosts: [] }, "it names 0"],
    [{ endpoints: [address], zones: [] }, "'zones'"],
    [{ endpoints: [{ target: address, password: "x" }] }, "'password' in endpoints[0]"],
    [{ endpoints: [{ level: 2 }] }, "endpoints[0].target"],
    [{ hosts: "local" }, "'hosts' is no list"],
  ])("refuses %j", async (content, said) => {
    writeFileSync(plan, typeof content === "string" ? content : JSON.stringify(content));
    expect(await cipsec(["assess", "all", plan], { data })).toMatchObject({
      code: 2,
      err: expect.stringContaining(said),
    });
  });

  test("refuses checks that none of the subjects has", async () => {
    writeFileSync(plan, JSON.stringify({ endpoints: [address], hosts: ["local"] }));
    for (const [only, said] of [
      ["C-1.14", "none of C-1.14 is a check of an endpoint"],
      ["X-1", "no check X-1"],
    ] as const)
      expect(await cipsec(["assess", "all", plan, "--only", only], { data })).toMatchObject({
        code: 2,
        err: expect.stringContaining(said),
      });
    expect((await cipsec(["assess", "all", "--resume", "20260101-000000-000000"], { data })).code).toBe(2);
  });
});

describe("wrong words are told", () => {
  test.each([
    [["assess", "endpoint", address, "--level", "5"], "--level"],
    [["assess", "endpoint", address, "--type", "toaster"], "--type"],
    [["assess", "endpoint", address, "--only", "B-0"], "no check B-0"],
    [["assess", "endpoint"], "TARGET is missing"],
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
