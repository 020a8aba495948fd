import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Findings } from "../fuzz/findings.ts";
import { runPki } from "../fuzz/run-pki.ts";

/** Another seed each time is for campaigns; here a failure has to come back. */
const seed = 1;

test("hostile certificates, requests, lists, bodies and chains: nothing but refusals", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-fuzz-test-"));
  try {
    const findings = new Findings(folder);
    const { byTarget, accepted, refused } = await runPki(seed, 600, findings);
    expect(findings.all).toEqual([]);
    expect(Object.keys(byTarget)).toHaveLength(10);
    expect(Math.min(accepted, refused)).toBeGreaterThan(100);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
