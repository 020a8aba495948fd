import { afterAll, beforeAll, expect, test } from "vitest";
import { commissionByPull } from "../src/index.ts";
import {
  issueToAll,
  makePullPlant,
  pullOptions,
  pushedClock,
  startPullDevice,
  type PullDeviceWish,
  type PullPlant,
} from "./pull-plant.ts";

/** Not those of other files of tests, which run beside this one. */
const net = `127.31.${process.pid % 256}`;

let plant: PullPlant;
let next = 1;

beforeAll(async () => {
  plant = await makePullPlant(`${net}.1`);
});
afterAll(() => plant[Symbol.asyncDispose]());

/** A device from its box at an address of its own. */
async function fromBox(wish: Partial<PullDeviceWish> = {}) {
  next += 1;
  const address = `${net}.${next}`;
  const clock = pushedClock();
  const target = await startPullDevice(plant, clock, { address, serialNumber: 0x100 + next, ...wish });
  const stop = async (): Promise<void> => await target.stop();
  return { address, at: { host: address }, clock, [Symbol.asyncDispose]: stop };
}

test("a device from its box: its vendor verified, watched, enrolled, proven with the plant's certificates", async () => {
  plant.policy = issueToAll;
  await using device = await fromBox({ serialNumber: 0xc0ffee });
  const options = pullOptions(plant, device.clock);
  const result = await commissionByPull(device.at, options);
  expect(result).toMatchObject({
    address: device.address,
    mode: "pull",
    start: "by-itself",
    before: { cipState: "factory-default", ethernetIpState: "factory-default" },
    after: { cipState: "factory-default", ethernetIpState: "pull-completed" },
    firstTrust: { kind: "accepted-any" },
    vendorIdentity: { verified: true, serialNumber: "00C0FFEE", reason: null },
    deviceCertificate: { selfSigned: false, issuer: expect.stringContaining("Plant") },
    channel: { protocol: "tls", peer: { verified: true } },
    posture: { verifyClient: true, pullModel: true },
  });
  expect(result.vendorIdentity.vendor).toContain("Vendor");
  expect(options.phases.at(0)).toBe("connect");
  expect(options.phases.at(-1)).toBe("prove");
  expect(options.phases).toContain("waiting");
});
