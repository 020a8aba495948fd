import { expect, test } from "vitest";
import { countFound } from "../kill/round.ts";
import { wrongStates } from "../kill/device.ts";
import { runCampaign } from "../kill-campaign.ts";

test(
  "devices and tools that die in a commissioning leave nothing that a further one does not mend",
  { timeout: 600_000 },
  async () => {
    const told: string[] = [];
    const { deviceRounds, toolRounds, pullRounds, faults } = await runCampaign({
      rounds: 5,
      toolRounds: 2,
      pullRounds: 2,
      seed: 2,
      address: "127.28.30.1",
      tell: (text) => void told.push(text),
    });
    expect(faults, told.join("\n")).toEqual([]);
    expect([deviceRounds.length, toolRounds.length, pullRounds.length]).toEqual([5, 2, 2]);
  },
);

test("states that a device must not be found in", () => {
  expect(wrongStates({ cip: "factory-default", ethernetIp: "factory-default" })).toBeUndefined();
  expect(wrongStates({ cip: "incomplete", ethernetIp: "configured" })).toBeUndefined();
  expect(wrongStates({ cip: "configured", ethernetIp: "configured" })).toBeUndefined();
  expect(wrongStates({ cip: "in-progress", ethernetIp: "configured" })).toMatch(/in-progress/);
  expect(wrongStates({ cip: "factory-default", ethernetIp: "configured" })).toMatch(/factory-default/);
  expect(wrongStates({ cip: "configured", ethernetIp: "factory-default" })).toMatch(/configured/);
});

test("what was found, most frequent first", () => {
  const round = (found: string) => ({ what: "", found, faults: [] });
  expect(countFound([round("a"), round("b"), round("b")])).toEqual([
    ["b", 2],
    ["a", 1],
  ]);
});
