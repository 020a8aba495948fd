import { expect, test } from "vitest";
import { loopbackNetwork } from "../tools/io-faults/network.ts";
import { runFaults } from "../tools/io-faults.ts";

test(
  "I/O outlasts loss, delay, reordering and doubling, ends with the link, and comes back by itself",
  { timeout: 120_000 },
  async () => {
    const told: string[] = [];
    const found = await runFaults({
      network: loopbackNetwork("127.35.31"),
      seed: 3,
      scenarioMs: 1000,
      outageMs: 500,
      outages: 1,
      cycles: 10,
      tell: (text) => told.push(text),
    });
    expect(found, told.join("\n")).toEqual([]);
    expect(told.filter((line) => line.includes("lost"))).toHaveLength(7);
  },
);
