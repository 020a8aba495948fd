import { readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { expect, test } from "vitest";
import { askForExactWaits } from "../src/exact-waits.ts";

test.runIf(process.platform === "linux")("the thread that asks has its waits end at their time", () => {
  const slack = `/proc/${basename(readlinkSync("/proc/thread-self"))}/timerslack_ns`;
  writeFileSync(slack, "50000");
  askForExactWaits();
  expect(readFileSync(slack, "utf8").trim()).toBe("1");
});
