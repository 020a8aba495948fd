import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { readCapture, type CaptureEvent } from "@cipsec/capture";
import { EtherNetIpSecurity, FileEncoding } from "@cipsec/objects";
import { commission, parseTarget } from "@cipsec/originator";
import { toPem } from "@cipsec/pki";
import type { Target } from "@cipsec/target";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endpointChecks, evidenceStore, makeRecorder, type Assessment } from "../src/index.ts";
import { bring, configure } from "../src/endpoint/configuration.ts";
import {
  assessed,
  commissionInto,
  goodPlan,
  inputs,
  makePlant,
  outputs,
  partsOf,
  startDevice,
  subjectAt,
  type Plant,
} from "./plant.ts";

let plant: Plant;
const devices: Target[] = [];
const address = "127.37.1.11";

beforeAll(async () => {
  plant = await makePlant();
  devices.push(await startDevice(plant.folder, address));
  await commissionInto(plant, address);
});

afterAll(async () => {
  await Promise.all(devices.map(async (device) => await device[Symbol.asyncDispose]()));
  await plant[Symbol.asyncDispose]();
});

async function evidenceOf({ plan }: Assessment): Promise<readonly Buffer[]> {
  const store = evidenceStore(join(plant.folder, "runs", plan.id, "evidence"));
  return await Promise.all((await store.list()).map(async (hash) => Buffer.from(await store.get(hash))));
}

test("a device without CIP Security meets nothing that rests on it, and its outputs have a fault state", async () => {
  const legacy = "127.37.1.20";
  devices.push(await startDevice(plant.folder, legacy, { security: null }));
  const slow = ["B-2.6", "E-7.1R1", "B-3.8", "B-3.7"];
  const subject = await subjectAt(plant, legacy, { disruptive: true, io: outputs, ioBeside: [inputs] });
  const assessment = await assessed(plant, subject, (id) => !slow.includes(id), 4);
  expect(assessment.records.flatMap(({ notRun }) => notRun ?? [])).toEqual([]);
  expect(partsOf(assessment)).toMatchObject({
    "CR 1.2": "not-met",
    "CR 1.9": "not-met",
    "CR 3.1": "not-met",
    "CR 3.3": "not-met",
    "CR 3.4": "not-met",
    "CR 3.6": "met",
    "EDR 3.12": "not-met",
    "EDR 3.13": "not-met",
    "CR 4.1": "not-met",
    "CR 4.3": "not-met",
    "CR 7.4": "not-met",
    "CR 1.14": "not-applicable",
  });
  const limits = assessment.records.find(({ id }) => id === "B-2.7")?.findings?.observations ?? [];
  expect(limits.filter(({ name, holds }) => name.includes("I/O") && holds === true)).toHaveLength(5);
});

test("what changes a device, or needs what was not given, is not run", async () => {
  const assessment = await assessed(
    plant,
    await subjectAt(plant, address),
    (id) => ["E-7.1", "B-2.7", "E-3.6", "E-7.4", "B-3.13"].includes(id),
    4,
  );
  for (const { notRun } of assessment.records) expect(notRun).toMatch(/--disruptive|--eds/);
});

test("captures of TLS and DTLS open by the keys in them, and nothing secret is in the evidence", async () => {
  const assessment = await assessed(plant, await subjectAt(plant, address), (id) => id === "B-1.2");
  const evidence = await evidenceOf(assessment);
  for (const octets of evidence) expect(octets.toString("latin1")).not.toMatch(/PRIVATE KEY/);
  const captures = evidence.filter((octets) => octets.readUInt32LE(0) === 0x0a0d0d0a);
  const events: CaptureEvent[] = captures.flatMap((octets) => [...readCapture(octets)]);
  for (const transport of ["tls", "dtls"])
    expect(events.some((one) => one.transport === transport && one.bytes.length > 0)).toBe(true);
});

test.each(["B-1.9p", "B-3.13", "B-7.7c", "E-3.3", "B-2.4"])(
  "what %s has announced can be put back twice, and the device is as it was",
  async (id) => {
    const check = endpointChecks.find((one) => one.id === id);
    const subject = await subjectAt(plant, address, { disruptive: true });
    const saved: unknown[] = [];
    const store = evidenceStore(join(plant.folder, "again"));
    const journal = async (one: { readonly value: unknown } | undefined): Promise<void> => {
      if (one !== undefined) saved.push(one.value);
    };
    await check?.run(subject, makeRecorder({ store, check: `${id}-run`, journal }));
    expect(saved).toHaveLength(1);
    await check?.restore?.(subject, saved[0], makeRecorder({ store, check: `${id}-again` }));
    await check?.restore?.(subject, { nothing: "of ours" }, makeRecorder({ store, check: `${id}-third` }));
    const now = await subjectAt(plant, address);
    expect(now.facts.facts["settingsSha256"]).toBe(subject.facts.facts["settingsSha256"]);
  },
);

test("a device that is secured by a pre-shared key is judged by it, and the key is in no evidence", async () => {
  const by = "127.37.1.21";
  devices.push(await startDevice(plant.folder, by, { security: { generation: "cbc-psk" } }));
  const psk = { identity: Buffer.from("cell4"), key: randomBytes(32) };
  await commission(parseTarget(by), {
    plan: { ...goodPlan, suites: [0xc037], psks: [psk] },
    security: { psk },
    acceptAny: true,
  });
  const subject = await subjectAt(plant, by, { security: { psk } });
  const assessment = await assessed(plant, subject, (id) => ["B-1.2", "B-1.9", "B-1.14"].includes(id));
  expect(partsOf(assessment)).toEqual({ "CR 1.2": "met", "CR 1.9": "not-applicable", "CR 1.14": "met" });
  for (const octets of await evidenceOf(assessment))
    expect([octets.includes(psk.key), octets.includes(psk.key.toString("hex"))]).toEqual([false, false]);
});

test("where peers are listed, whose key it is shows at once, and the other flaws while the list is lifted", async () => {
  const listing = "127.37.1.22";
  devices.push(await startDevice(plant.folder, listing));
  await commissionInto(plant, listing);
  const [own] = plant.security.certificate?.chain ?? [];
  if (own === undefined) throw new Error("a tool without a certificate");
  {
    await using session = await (await subjectAt(plant, listing)).open();
    await configure(session, async () => {
      const path = await bring(session, "listed", FileEncoding.pemCertificate, toPem(own));
      await session.object(EtherNetIpSecurity, 1).set("trustedIdentities", [path]);
    });
  }
  const heldBy = async (disruptive: boolean): Promise<Readonly<Record<string, boolean | undefined>>> => {
    const subject = await subjectAt(plant, listing, { disruptive });
    expect(subject.posture?.trustedIdentities).toMatchObject([{ sha256: own.facts.sha256 }]);
    const { records } = await assessed(plant, subject, (id) => id === "B-1.9");
    const observations = records.flatMap(({ findings }) => findings?.observations ?? []);
    return Object.fromEntries(observations.map(({ name, holds }) => [name, holds]));
  };
  expect(await heldBy(false)).toMatchObject({
    "a certificate that is listed": true,
    "d key possession: wrong-key": true,
    "f algorithms: weak-key": undefined,
    "validity: expired": undefined,
  });
  const lifted = await heldBy(true);
  expect(lifted).toMatchObject({ "certificate without a flaw over tls": true, "f algorithms: weak-key": true });
  expect(Object.values(lifted).filter((holds) => holds !== true)).toEqual([]);
  expect((await subjectAt(plant, listing)).posture?.trustedIdentities).toHaveLength(1);
});

test("a port that is shared with TLS is closed when it takes nothing plain", async () => {
  const shared = "127.37.1.23";
  devices.push(await startDevice(plant.folder, shared, { security: { samePort: true } }));
  await commissionInto(plant, shared);
  const subject = await subjectAt(plant, shared, { disruptive: true });
  const { records } = await assessed(plant, subject, (id) => ["B-7.7", "B-7.7c", "E-7.4"].includes(id));
  const observations = records.flatMap(({ findings }) => findings?.observations ?? []);
  const held = new Map(observations.map(({ name, holds }) => [name, holds]));
  expect(held.get("undeclared open ports")).toBe(true);
  expect(held.get("44818/tcp, closed")).toBe(true);
  expect(held.get("a restart")).toBe(true);
  // DTLS goes on where plain I/O is closed.
  expect(held.get("2222/udp, closed")).toBeUndefined();
  expect([...held.values()]).not.toContain(false);
});

test("where nothing answers, there is no assessment", async () => {
  await expect(subjectAt(plant, "127.37.1.99")).rejects.toMatchObject({ code: "transport/refused" });
});
