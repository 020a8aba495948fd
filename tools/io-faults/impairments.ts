import { setTimeout as sleep } from "node:timers/promises";
import { connections, type Impairment, type ScannerState } from "./messages.ts";
import type { Parties } from "./parties.ts";

/** A bad network under which connections must stay, and what their figures must then say. */
export interface Scenario {
  readonly name: string;
  readonly impairment: Impairment;
  /** What is wrong with the figures; shares are of the packets received and lost. */
  readonly judge?: (seen: Seen) => string | undefined;
}

/** What was counted while the network was bad, of all connections. */
export interface Seen {
  readonly received: number;
  readonly lost: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  /** Packets that the device dropped as old or doubled. */
  readonly stale: number;
}

export const scenarios: readonly Scenario[] = [
  {
    name: "clean",
    impairment: {},
    judge: ({ lost, duplicates, outOfOrder }) =>
      lost + duplicates + outOfOrder === 0 ? undefined : "a clean network lost, doubled or reordered",
  },
  { name: "1 % loss", impairment: { loss: 0.01 }, judge: (seen) => lossBetween(seen, 0.001, 0.03) },
  { name: "10 % loss", impairment: { loss: 0.1 }, judge: (seen) => lossBetween(seen, 0.06, 0.15) },
  { name: "20 ms delay", impairment: { delayMs: 20 } },
  {
    name: "a quarter reordered",
    impairment: { reorder: 0.25 },
    judge: ({ outOfOrder, stale }) => (outOfOrder > 0 && stale > 0 ? undefined : "nothing was seen to be out of order"),
  },
  {
    name: "a fifth doubled",
    impairment: { duplicate: 0.2 },
    judge: ({ duplicates, stale }) => (duplicates > 0 && stale > 0 ? undefined : "nothing was seen to be double"),
  },
  { name: "all at once", impairment: { loss: 0.05, delayMs: 20, reorder: 0.1, duplicate: 0.1 } },
];

/** Runs one scenario: no connection may end, data must not go back in time on either side, and the figures must be right. */
export async function impaired(
  parties: Parties,
  { impairment, judge }: Scenario,
  ms: number,
): Promise<{ readonly seen: Seen; readonly faults: readonly string[]; readonly lateness: readonly string[] }> {
  const [scannerBefore, deviceBefore] = [await parties.scanner(), await parties.device()];
  await parties.impair(impairment);
  await sleep(ms);
  const [scanner, device] = [await parties.scanner(), await parties.device()];
  await parties.impair({});
  const of = (key: "received" | "lost" | "duplicates" | "outOfOrder" | "timeouts"): number =>
    total(scanner, key) - total(scannerBefore, key);
  const seen: Seen = {
    received: of("received"),
    lost: of("lost"),
    duplicates: of("duplicates"),
    outOfOrder: of("outOfOrder"),
    stale: device.stale - deviceBefore.stale,
  };
  const [faults, lateness]: [string[], string[]] = [[], []];
  if (of("timeouts") > 0) lateness.push(`${of("timeouts")} connections ended at the scanner`);
  if (device.connections !== connections) lateness.push(`the device has ${device.connections} connections`);
  if (device.backwards > deviceBefore.backwards) faults.push("outputs went back in time");
  if (scanner.backwards > scannerBefore.backwards) faults.push("inputs went back in time");
  if (scanner.inputs === scannerBefore.inputs || device.outputs === deviceBefore.outputs) lateness.push("no data came");
  const wrong = judge?.(seen);
  if (wrong !== undefined) lateness.push(wrong);
  return { seen, faults, lateness };
}

function total(state: ScannerState, key: "received" | "lost" | "duplicates" | "outOfOrder" | "timeouts"): number {
  return state.connections.reduce((sum, one) => sum + one[key], 0);
}

function lossBetween({ received, lost }: Seen, least: number, most: number): string | undefined {
  const share = lost / Math.max(1, received + lost);
  return share >= least && share <= most ? undefined : `${(100 * share).toFixed(1)} % counted as lost`;
}
