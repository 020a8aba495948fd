import { readFileSync } from "node:fs";
import { Parameter, allClasses, parseEds } from "@cipsec/objects";
import { Service, Status } from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { edsOf } from "../src/eds.ts";
import { request } from "./support/device.ts";
import { runDevice, type RunningDevice, type TargetSession } from "./support/target-session.ts";

/*
 * A device with one of everything that a device without CIP Security can have: which objects and attributes are there. The security
 * objects have tests of their own.
 */

let device: RunningDevice;
let session: TargetSession;

beforeAll(async () => {
  device = await runDevice("127.33.5.1", {
    assemblies: [
      { instance: 100, kind: "input", size: 4 },
      { instance: 150, kind: "output", size: 4 },
    ],
    parameters: [{ name: "Speed", type: "UINT", assembly: 150 }],
    tags: [{ name: "Count", type: "DINT" }],
  });
  session = await device.session();
});

afterAll(async () => {
  await device[Symbol.asyncDispose]();
});

/** An instance of each class that is there; of the others 1. */
const instanceOf = (classId: number): number => (classId === 0x04 ? 150 : 1);

const read = async (classId: number, attribute: number): Promise<number> =>
  (await session.request(request(Service.getAttributeSingle, [classId, instanceOf(classId), attribute]))).status;

test("docs/device-objects.md lists the attributes that are not there, with the reason", async () => {
  const page = readFileSync(new URL("../../../docs/device-objects.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/^\| (0x[0-9A-F]+) +\| [^|]+\| (\d+) +\| `(\w+)` +\| [^|]{10,}\|$/gm)].map(
    ([, classId, id, name]) => `${Number(classId)}/${id} ${name}`,
  );
  const absent: string[] = [];
  for (const { classId, attributes } of allClasses) {
    for (const [name, { id }] of Object.entries(attributes)) {
      const status = await read(classId, id);
      if (status === Status.attributeNotSupported) absent.push(`${classId}/${id} ${name}`);
    }
  }
  // What the host's system does not tell is absent on some hosts only.
  const byHost = ["246/8", "246/9", "246/12", "246/13", "246/14", "246/15", "246/4", "246/5"];
  expect(absent.filter((name) => !byHost.some((one) => name.startsWith(`${one} `))).toSorted()).toEqual(
    listed.toSorted(),
  );
});

describe("the EDS of the device", () => {
  test("lists attributes that the device has", async () => {
    const created = { date: { year: 2026, month: 11, day: 21 }, time: { hours: 0, minutes: 0, seconds: 0 } };
    const eds = parseEds(edsOf(device.target.description, { vendorName: "Example", created }), { strict: true });
    expect(eds.problems).toEqual([]);
    const missing: string[] = [];
    for (const { classId, instanceAttributes } of eds.classes)
      for (const id of instanceAttributes) if ((await read(classId, id)) !== 0) missing.push(`${classId}/${id}`);
    expect(missing).toEqual([]);
    expect(eds.classes.map(({ classId }) => classId)).toContain(Parameter.classId);
  });
});
