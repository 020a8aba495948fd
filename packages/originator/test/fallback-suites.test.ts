import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkPlan, commission, connect, readPosture, type CommissionPlan } from "../src/index.ts";
import { certificatePlan, makePlant, startDevice, type Plant } from "./real-target.ts";

const address = "127.28.15.1";
let plant: Plant;
let device: AsyncDisposable;

beforeAll(async () => {
  plant = await makePlant();
  device = await startDevice({ address, stateDir: join(plant.folder, "old"), security: { generation: "cbc-psk" } });
});
afterAll(async () => {
  await device[Symbol.asyncDispose]();
  await plant[Symbol.asyncDispose]();
});

async function commissionWith(
  fallbackSuites: CommissionPlan["fallbackSuites"],
): Promise<readonly string[] | undefined> {
  const plan = { ...certificatePlan, ...(fallbackSuites === undefined ? {} : { fallbackSuites }) };
  const { security } = plant;
  await commission(
    { host: address },
    { plan, security, acceptAny: true, issue: (csr, context) => plant.issue(csr, context) },
  );
  await using session = await connect({ host: address }, { security });
  return (await readPosture(session)).suites?.allowed;
}

test("a device that lacks a suite of a plan without fallbacks refuses it", async () => {
  await expect(commissionWith(undefined)).rejects.toMatchObject({ code: "cip/status", device: "untouched" });
});

test("a device that has nothing of any list is told apart, with what it has", async () => {
  await expect(commissionWith([[0xcca9]])).rejects.toMatchObject({
    code: "usage/state",
    device: "untouched",
    message: expect.stringContaining("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"),
  });
});

test("the first list of which the device has any is set, as far as the device has it", async () => {
  expect(await commissionWith([[0xcca9], [0xcca9, 0xc023], [0xc024]])).toEqual([
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
  ]);
});

test.each([{ list: [] }, { list: [0xc037] }])(
  "a fallback that cannot work is refused beforehand: $list",
  ({ list }) => {
    expect(() => checkPlan({ ...certificatePlan, fallbackSuites: [list] }, "certificate")).toThrow(/'suites' needs/);
  },
);
