import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tenYears } from "../ten-years/story.ts";

test("three devices come through ten years: renewals, both changes of authority, revocations, a week without a server", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-ten-years-test-"));
  const told: string[] = [];
  try {
    const { faults, figures } = await tenYears({
      devices: 3,
      folder,
      network: "127.32.31",
      dayTakesMs: 0,
      lookEvery: 365,
      deliverEvery: 365,
      tell: ({ day, what }) => told.push(`${day} ${what}`),
    });
    expect(faults).toEqual([]);
    expect(told.at(-1)).toBe("3650 ten years are over");
    expect(figures).toMatchObject({
      devices: 3,
      // Each of two renews seven times, the revoked one three times.
      "of these renewals": 17,
      "sessions ended by devices": expect.stringContaining("revocation 2"),
      "I/O connections lost without reason": 0,
    });
    expect(told.find((what) => what.includes("root: the old one is withdrawn"))).toMatch(/^2600 /);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 300_000);
