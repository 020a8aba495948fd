import {
  createRun,
  endpointChecks,
  finishRun,
  newRunId,
  openEndpoint,
  runChecks,
  signingKey,
  type Assessment,
  type ToolFacts,
} from "@cipsec/assess";
import type { SecurityOptions } from "@cipsec/originator";
import { join } from "node:path";
import type { LabDevice } from "../lab.ts";
import type { DemoTelling } from "./stage.ts";

/** How a device of the demonstration is assessed. */
export interface DemoAssessing {
  /** Folder of assessments: the key that signs runs is kept in it, and `runs`. */
  readonly folder: string;
  readonly tool: ToolFacts;
  readonly operator: string;
}

/** What the demonstration says of the assessment: the run itself has all of it. */
export interface DemoAssessment extends Pick<Assessment, "levelByFr" | "counts"> {
  readonly address: string;
  readonly run: string;
  readonly level: number;
}

/** What is needed to get into the device, and to make certificates that it trusts. */
interface Access {
  readonly security: SecurityOptions;
  readonly authority: string;
  readonly signal: AbortSignal;
  readonly telling: DemoTelling;
}

/** A check that takes longer than this for an answer has met a device that does not answer. */
const timeoutMs = 5000;

/** Assesses a commissioned device at SL 2, without the checks that change something, and seals the run. */
export async function assessDevice(
  { description: { address } }: LabDevice,
  { folder, tool, operator }: DemoAssessing,
  { security, authority, signal, telling }: Access,
): Promise<Assessment> {
  const subject = await openEndpoint({
    target: { host: address },
    security,
    authority,
    disruptive: false,
    timeoutMs,
    signal,
  });
  const now = new Date();
  const run = await createRun(join(folder, "runs"), {
    id: newRunId(now),
    kind: "endpoint",
    subject: subject.facts,
    level: 2,
    type: "embedded",
    disruptive: false,
    checks: endpointChecks.map(({ id, version }) => ({ id, version })),
    startedAt: now.toISOString(),
    tool,
    operator,
    options: { target: address },
    attestations: [],
  });
  await runChecks(run, endpointChecks, subject, {
    progress: ({ number, of, check, title, remainingMs }) =>
      telling.progress(
        `${address}: ${check} ${title} (${number}/${of}, about ${Math.max(1, Math.round(remainingMs / 1000))} s left)`,
      ),
  });
  return await finishRun(run, await signingKey(folder), new Date());
}

/** The assessment in a few numbers. */
export function summaryOf({ plan, levelByFr, counts }: Assessment): DemoAssessment {
  return { address: plan.subject.address, run: plan.id, level: plan.level, levelByFr, counts };
}
