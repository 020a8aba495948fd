import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { commission, parseTarget, type CommissionPlan, type SecurityOptions } from "@cipsec/originator";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  assess,
  createRun,
  endpointChecks,
  evidenceStore,
  newRunId,
  openEndpoint,
  runChecks,
  type Assessment,
  type EndpointSubject,
  type VerdictWord,
} from "../src/index.ts";
import { commissionInto, goodPlan, makePlant, startDevice, type Plant } from "./plant.ts";

let plant: Plant;
const devices: Target[] = [];

beforeAll(async () => {
  plant = await makePlant();
});

afterAll(async () => {
  await Promise.all(devices.map(async (device) => await device[Symbol.asyncDispose]()));
  await plant[Symbol.asyncDispose]();
});

/** Sends hundreds of messages, and is not affected by the settings that are varied here. */
const slow = new Set(["B-3.7", "B-3.8"]);

async function subjectAt(address: string, security: SecurityOptions, disruptive = false): Promise<EndpointSubject> {
  return await openEndpoint({
    target: { host: address },
    security,
    authority: join(plant.folder, "ca"),
    disruptive,
    timeoutMs: 10_000,
    signal: new AbortController().signal,
  });
}

async function assessed(subject: EndpointSubject, wanted: (id: string) => boolean): Promise<Assessment> {
  const checks = endpointChecks.filter(({ id }) => wanted(id));
  const now = new Date();
  const plan = {
    id: newRunId(now),
    kind: "endpoint" as const,
    subject: subject.facts,
    level: 2 as const,
    type: "embedded" as const,
    disruptive: subject.disruptive,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: { name: "cipsec", version: "0", runtime: "", crypto: "", system: "" },
    operator: "test",
    options: {},
    attestations: [],
  };
  const run = await createRun(join(plant.folder, "runs"), plan);
  return assess(plan, await runChecks(run, checks, subject), new Date().toISOString());
}

/** The protocol's part where a requirement is split: the product's is for its maker to show. */
function partsOf({ verdicts }: Assessment): Readonly<Record<string, VerdictWord>> {
  return Object.fromEntries(
    verdicts
      .filter(({ checks }) => checks.length > 0)
      .map(({ requirement, parts, verdict }) => [
        requirement,
        parts.find(({ part }) => part === "protocol")?.verdict ?? verdict,
      ]),
  );
}

/** What a well commissioned device comes to; each row below changes some of it, and nothing else. */
const good: Readonly<Record<string, VerdictWord>> = {
  "CR 1.2": "met",
  "CR 1.8": "inconclusive",
  "CR 1.9": "inconclusive",
  "CR 1.14": "not-applicable",
  "CR 2.6": "inconclusive",
  "CR 3.1": "met",
  "CR 3.1 RE(1)": "met",
  "CR 4.1": "met",
  "CR 4.3": "met",
  "CR 7.1": "inconclusive",
  "CR 7.2": "inconclusive",
  "CR 7.6": "inconclusive",
  "CR 7.7": "met",
  "CR 7.8": "partial",
};

const rows: readonly { name: string; plan: Partial<CommissionPlan>; changes: Readonly<Record<string, VerdictWord>> }[] =
  [
    { name: "nothing switched off", plan: {}, changes: {} },
    {
      name: "clients are not verified",
      plan: { verifyClient: false },
      changes: { "CR 1.2": "not-met", "CR 1.9": "not-met", "CR 3.1 RE(1)": "not-met", "CR 7.6": "not-met" },
    },
    { name: "expiry is not checked", plan: { checkExpiration: false }, changes: { "CR 1.9": "not-met" } },
    {
      name: "a NULL suite is allowed",
      plan: { suites: [0xc02b, 0xc02c, 0xc006] },
      changes: { "CR 4.1": "not-met", "CR 4.3": "not-met", "CR 7.6": "not-met" },
    },
    {
      name: "plain ports are open",
      plan: { closePlaintext: false },
      changes: { "CR 3.1 RE(1)": "not-met", "CR 4.1": "not-met", "CR 7.6": "not-met" },
    },
  ];

describe("a device with one protection switched off changes exactly the verdicts that rest on it", () => {
  test.each(rows.map((row, at) => ({ ...row, address: `127.38.1.${at + 1}` })))(
    "$name",
    async ({ address, plan, changes }) => {
      devices.push(await startDevice(plant.folder, address));
      await commissionInto(plant, address, plan);
      const assessment = await assessed(await subjectAt(address, plant.security), (id) => !slow.has(id));
      expect(partsOf(assessment)).toEqual({ ...good, ...changes });
      for (const { evidence, verdict } of assessment.verdicts)
        if (verdict === "met") expect(evidence.length).toBeGreaterThan(0);
    },
  );
});

test("a device without CIP Security meets nothing that rests on it", async () => {
  const address = "127.38.1.20";
  devices.push(await startDevice(plant.folder, address, null));
  const assessment = await assessed(await subjectAt(address, plant.security), (id) => !slow.has(id));
  expect(partsOf(assessment)).toMatchObject({
    "CR 1.2": "not-met",
    "CR 3.1": "not-met",
    "CR 4.1": "not-met",
    "CR 4.3": "not-met",
    "CR 1.14": "not-applicable",
  });
});

test("hundreds of malformed messages and reused handles are refused, and no secret is in the evidence", async () => {
  const [address] = ["127.38.1.1"];
  const subject = await subjectAt(address, plant.security);
  const assessment = await assessed(subject, (id) => slow.has(id));
  expect(partsOf(assessment)).toEqual({ "CR 3.5": "met", "CR 3.7": "partial", "CR 3.8": "met" });
  const store = evidenceStore(join(plant.folder, "runs", assessment.plan.id, "evidence"));
  for (const hash of await store.list())
    expect(Buffer.from(await store.get(hash)).toString("latin1")).not.toMatch(/PRIVATE KEY/);
});

test("what changes a device is not run without leave, and puts back what it changed with it", async () => {
  const address = "127.38.1.1";
  const calm = await assessed(await subjectAt(address, plant.security), (id) => id === "E-7.1");
  expect(calm.records[0]?.notRun).toContain("--disruptive");
  const flooded = await assessed(await subjectAt(address, plant.security, true), (id) => id === "E-7.1");
  expect(partsOf(flooded)).toEqual({ "CR 7.1": "partial", "CR 7.2": "partial" });
});

test("a revoked certificate is refused, and the list of before is put back", async () => {
  const address = "127.38.1.1";
  const subject = await subjectAt(address, plant.security, true);
  const settings = subject.facts.facts["settingsSha256"];
  const assessment = await assessed(subject, (id) => id === "B-1.9" || id === "B-1.9c");
  expect(assessment.records.map(({ notRun }) => notRun)).toEqual([undefined, undefined]);
  expect(
    assessment.records.flatMap(({ findings }) => findings?.observations ?? []).filter(({ holds }) => holds !== true),
  ).toEqual([]);
  expect(partsOf(assessment)).toEqual({ "CR 1.9": "met" });
  expect((await subjectAt(address, plant.security)).facts.facts["settingsSha256"]).toBe(settings);
});

test("a device enrols by push, refuses a foreign certificate, and is left as it was", async () => {
  const address = "127.38.1.1";
  const subject = await subjectAt(address, plant.security, true);
  const settings = subject.facts.facts["settingsSha256"];
  const assessment = await assessed(subject, (id) => id === "B-1.8");
  expect(assessment.records.map(({ notRun }) => notRun)).toEqual([undefined]);
  expect(assessment.records[0]?.findings?.observations.filter(({ holds }) => holds !== true)).toEqual([]);
  expect(partsOf(assessment)).toEqual({ "CR 1.8": "met" });
  expect((await subjectAt(address, plant.security)).facts.facts["settingsSha256"]).toBe(settings);
});

test("a device that is secured by a pre-shared key is judged by it, and the key is in no evidence", async () => {
  const address = "127.38.1.21";
  devices.push(await startDevice(plant.folder, address, { generation: "cbc-psk" }));
  const psk = { identity: Buffer.from("cell4"), key: randomBytes(32) };
  await commission(parseTarget(address), {
    plan: { ...goodPlan, suites: [0xc037], psks: [psk] },
    security: { psk },
    acceptAny: true,
  });
  const assessment = await assessed(await subjectAt(address, { psk }), (id) =>
    ["B-1.2", "B-1.9", "B-1.14"].includes(id),
  );
  expect(partsOf(assessment)).toEqual({ "CR 1.2": "met", "CR 1.9": "not-applicable", "CR 1.14": "met" });
  const store = evidenceStore(join(plant.folder, "runs", assessment.plan.id, "evidence"));
  for (const hash of await store.list()) {
    const octets = Buffer.from(await store.get(hash));
    expect([octets.includes(psk.key), octets.includes(psk.key.toString("hex"))]).toEqual([false, false]);
  }
});

test("where nothing answers, there is no assessment", async () => {
  await expect(subjectAt("127.38.1.99", plant.security)).rejects.toMatchObject({ code: "transport/refused" });
});
