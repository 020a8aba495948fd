import { join } from "node:path";
import {
  assess,
  createRun,
  endpointChecks,
  newRunId,
  openEndpoint,
  runChecks,
  type Assessment,
  type EndpointOptions,
} from "@cipsec/assess";
import type { Plant } from "./plant.ts";

/** What is assessed, and by whom; the rest is as every test has it. */
export type Wish = Pick<EndpointOptions, "target" | "security"> & Partial<EndpointOptions>;

/** An assessment at SL 2 with these checks, in a run of the plant's folder; nothing that disrupts. */
export async function assessedAt(
  { folder, authority }: Pick<Plant, "folder" | "authority">,
  wish: Wish,
  wanted: (id: string) => boolean,
): Promise<{ readonly assessment: Assessment; readonly runFolder: string }> {
  const checks = endpointChecks.filter(({ id }) => wanted(id));
  const subject = await openEndpoint({
    authority: authority.folder,
    disruptive: false,
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    ...wish,
  });
  const now = new Date();
  const plan = {
    id: newRunId(now),
    kind: "endpoint" as const,
    subject: subject.facts,
    level: 2 as const,
    type: "embedded" as const,
    disruptive: false,
    checks: checks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool: { name: "cipsec", version: "0", runtime: "Node.js", crypto: "OpenSSL", system: "Linux" },
    operator: "interoperability",
    options: {},
    attestations: [],
  };
  const run = await createRun(join(folder, "runs"), plan);
  const assessment = assess(plan, await runChecks(run, checks, subject), new Date().toISOString());
  return { assessment, runFolder: run.path };
}
