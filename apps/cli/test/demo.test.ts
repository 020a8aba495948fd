import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { Process, survivors } from "./processes.ts";
import { cipsec, descriptionOf, temporaryFolder } from "./support.ts";

/*
 * One device: the whole plant is what `npm start` runs. The addresses of the demonstration and of its EST server are the
 * command's own, so all their tests stand here, one after the other.
 */

// Each starts several processes, and waits as long as devices do.
vi.setConfig({ testTimeout: 240_000 });

const folder = temporaryFolder();
const data = join(folder.path, "data");
const out = join(folder.path, "out");
afterAll(() => folder.remove());

const proofNames = [
  "trusted-accepted",
  "plain-refused",
  "no-certificate-refused",
  "stranger-refused",
  "integrity-only-refused",
  "io-protected",
  "revoked-refused",
  "power-cut-survived",
];

test("takes a device from the factory to proven, for people; an output folder that is there keeps its rights", async () => {
  mkdirSync(out, { mode: 0o755 });
  const keyLog = join(folder.path, "keys.log");
  await using demo = new Process(["demo", "--devices", "1", "--out", out, "--keylog", keyLog], data);
  expect(await demo.end()).toBe(0);
  for (const name of proofNames) expect(demo.out).toMatch(new RegExp(`127\\.10\\.0\\.1 +${name} +holds`));
  expect(demo.out).toContain("Everything holds.");
  // It ends with an assessment that the commands of the same data folder read.
  const [, run = ""] = /cipsec assess show (\S+) CR 1\.2/.exec(demo.out) ?? [];
  expect((await cipsec(["assess", "verify", run], { data })).code).toBe(0);
  expect((await cipsec(["assess", "show", run, "CR 1.2"], { data })).out).toMatch(/^CR 1\.2 .*: Met\n/);
  const summary: unknown = JSON.parse(readFileSync(join(out, "plant.json"), "utf8"));
  expect(summary).toMatchObject({ assessment: { address: "127.10.0.1", run, level: 2, counts: { "not-met": 0 } } });
  expect(readdirSync(out)).toEqual(
    expect.arrayContaining(
      ["html", "json", "junit.xml", "md", "oscal.json", "sarif.json"].map((end) => `assessment.${end}`),
    ),
  );
  expect(Math.max(...demo.out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(140);
  expect(statSync(out).mode & 0o777).toBe(0o755);
  const secrets = readFileSync(keyLog, "latin1").trim().split("\n");
  for (const line of secrets) expect(line).toMatch(/^[A-Z_\d]+ [\da-f]{64} [\da-f]{64,96}$/u);
  expect(secrets.filter((line) => line.startsWith("CLIENT_RANDOM")).length).toBeGreaterThan(2);
  expect(statSync(keyLog).mode & 0o077).toBe(0);
});

test("runs a second time on what the first left; --json prints what plant.json holds, and nothing else", async () => {
  await using demo = new Process(["demo", "--devices", "1", "--out", out, "--no-assess", "--json"], data);
  expect(await demo.end()).toBe(0);
  const result: unknown = JSON.parse(demo.out);
  expect(JSON.parse(readFileSync(join(out, "plant.json"), "utf8"))).toEqual(result);
  expect(result).toEqual({
    devices: [
      {
        address: "127.10.0.1",
        before: expect.objectContaining({ security: expect.objectContaining({ cipState: "factory-default" }) }),
        after: expect.objectContaining({
          security: expect.objectContaining({ cipState: "configured" }),
          findings: expect.any(Array),
        }),
        proofs: expect.any(Array),
      },
    ],
    holds: true,
    elapsedMs: expect.any(Number),
  });
  expect(demo.out).toMatch(/^.*\n$/);
  for (const name of proofNames) expect(demo.out).toContain(`"name":"${name}","expected":"`);
  expect(demo.out).not.toContain("PRIVATE");
});

test("--pull: devices configure themselves with no tool; one waits for approval, counterfeits are refused", async () => {
  await using demo = new Process(["demo", "--pull", "--devices", "4", "--out", out, "--json"], data);
  expect(await demo.end()).toBe(0);
  const access = ["trusted-accepted", "plain-refused", "no-certificate-refused", "stranger-refused"];
  const shown = [
    ["pulled-without-tool", ...access],
    ["waits-for-approval", ...access],
  ];
  const proof = (name: string, observed: RegExp) => ({
    name,
    expected: expect.any(String),
    observed: expect.stringMatching(observed),
    holds: true,
  });
  const result: unknown = JSON.parse(demo.out);
  const before = expect.objectContaining({ security: expect.objectContaining({ cipState: "factory-default" }) });
  const after = expect.objectContaining({
    security: expect.objectContaining({ ethernetIpState: "pull-completed", securePortsOnly: true }),
    deviceCertificate: expect.objectContaining({ issuer: expect.stringContaining("Demo Plant") }),
    findings: [],
  });
  expect(result).toEqual({
    devices: [
      ...shown.map((names, i) => ({
        address: `127.10.0.${i + 1}`,
        before,
        after,
        proofs: expect.arrayContaining(names.map((name) => expect.objectContaining({ name, holds: true }))),
      })),
      {
        address: "127.10.0.3",
        before,
        after: before,
        proofs: [proof("counterfeit-refused", /serial number is '80100003' .* but '00100003'.*state 0, status 4/)],
      },
      {
        address: "127.10.0.4",
        before,
        after: before,
        proofs: [proof("counterfeit-refused", /trust\/unknown-authority.*state 0, status 4/)],
      },
    ],
    holds: true,
    elapsedMs: expect.any(Number),
  });
});

test.each(["Discovering the plant", "5/15"])(
  "Ctrl-C while it says '%s' ends it with 130 and leaves no process",
  async (moment) => {
    await using demo = new Process(["demo", "--devices", "1", "--out", join(folder.path, "never")], data);
    await demo.says(moment, moment.includes("/") ? "err" : "out");
    const below = demo.descendants();
    expect(below).toHaveLength(1);
    demo.child.kill("SIGINT");
    expect(await demo.end()).toBe(130);
    expect(demo.err).toContain("interrupted");
    expect(await survivors(below)).toEqual([]);
  },
);

test("lab --est: an EST server for the plant's authority, which has to be there", async () => {
  const own = join(folder.path, "est");
  const plant = join(folder.path, "plant.json");
  const devices = [descriptionOf("d1", "127.28.14.4", "modern"), descriptionOf("d2", "127.28.14.5", "legacy")];
  writeFileSync(plant, JSON.stringify(devices));
  await using early = new Process(["lab", plant, "--est", "--json"], own);
  expect([await early.end(), JSON.parse(early.out)]).toMatchObject([2, { error: { fix: /cipsec ca init/ } }]);
  expect((await cipsec(["ca", "init", "--name", "Hall 3"], { data: own })).code).toBe(0);
  await using lab = new Process(["lab", plant, "--est", "--json"], own);
  await lab.says(/(.+\n){3}/);
  const served: unknown = JSON.parse(lab.out.trimEnd().split("\n").at(-1) ?? "");
  const url = "https://127.10.255.1:8443";
  expect(served).toEqual({ listening: true, est: url, sha256: expect.stringMatching(/^[\da-f]{64}$/) });
  const [told] = [...lab.out.matchAll(/"sha256":"(\w+)"/g)].map(([, sha256 = ""]) => sha256);
  const asked = ["est", "cacerts", url, "--fingerprint", told ?? "", "--json"];
  expect((await cipsec(asked, { data: join(folder.path, "device") })).code).toBe(0);
  lab.child.kill("SIGINT");
  expect(await lab.end()).toBe(0);
});
