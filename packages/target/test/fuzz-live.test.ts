import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { Findings } from "../../../tools/fuzz/findings.ts";
import { runDecoders } from "../../../tools/fuzz/run-decoders.ts";
import { runLive } from "../../../tools/fuzz/run-live.ts";

// A good part of a minute where others work beside it.
vi.setConfig({ testTimeout: 240_000 });

const folder = mkdtempSync(join(tmpdir(), "cipsec-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("20,000 mutated inputs to every decoder: each is refused in order or read", async () => {
  const findings = new Findings(folder);
  const report = await runDecoders(2026, 20_000, findings);
  expect(findings.all).toEqual([]);
  expect(report.accepted).toBeGreaterThan(report.inputs / 10);
  expect(report.refused).toBeGreaterThan(report.inputs / 10);
});

test("10,000 hostile inputs over TCP, TLS and UDP: the device goes on answering rightly", async () => {
  const findings = new Findings(folder);
  const report = await runLive({ seed: 2026, inputs: 10_000, findings, address: "127.26.1.1" });
  expect(findings.all).toEqual([]);
  expect(Object.keys(report.byAttack).length).toBe(6);
  expect(Math.min(...Object.values(report.byAttack))).toBeGreaterThan(0);
  expect(report.latencyMs.during.count).toBeGreaterThan(20);
});
