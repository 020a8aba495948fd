import { setTimeout as sleep } from "node:timers/promises";
import { connections, faultOctets, rpiMs, timeoutMs, type DeviceState, type ScannerState } from "./messages.ts";
import { until, type Parties } from "./parties.ts";

/** What one outage showed, milliseconds. */
export interface Outage {
  /** From the last datagram that reached the device to the fault state, of the slowest and fastest output. */
  readonly slowestFaultMs: number;
  readonly fastestFaultMs: number;
  /** From the end of the outage until all connections had inputs again. */
  readonly recoveryMs: number;
  readonly faults: readonly string[];
  /** What a machine that keeps up would have made better; may be its fault. */
  readonly lateness: readonly string[];
}

/** What runs between two processes takes a little: the relay notes a datagram before the device has it, a poll comes after. */
const earlyMs = 1;

const recoveryBoundMs = 15_000;

/** How many octets more a process may hold after a run of cycles; what a cycle leaked would be there as many times. */
export const heapBound = 2 * 1024 * 1024;

/** Whether all connections run and get packets. */
export function allRun({ connections: all }: ScannerState): boolean {
  return all.every(({ state, receivedNow }) => state === "running" && receivedNow > 2);
}

/**
 * One outage: everything between scanner and device stops, both must notice in time and the outputs take their fault state; then
 * all must come back by itself.
 *
 * @param atLeastMs How long the outage lasts; longer where they have not noticed yet.
 */
export async function outage(
  parties: Parties,
  { down, up }: { readonly down: () => Promise<void>; readonly up: () => Promise<void> },
  atLeastMs: number,
): Promise<Outage> {
  const [faults, lateness]: [string[], string[]] = [[], []];
  const before = new Set((await parties.device()).timeouts.map(({ atMs }) => atMs));
  const began = performance.now();
  await down();
  const fresh = ({ timeouts }: DeviceState) => timeouts.filter(({ atMs }) => !before.has(atMs));
  const noticed = await until(parties.device, (state) => fresh(state).length >= connections, timeoutMs + 2000);
  if (!noticed.isMet)
    lateness.push(`only ${fresh(noticed.value).length} of ${connections} outputs took their fault state`);
  if (noticed.value.connections > 0) lateness.push(`the device still has ${noticed.value.connections} connections`);
  const { lastToDeviceMs } = await parties.relay();
  const took = fresh(noticed.value).map(({ atMs }) => atMs - lastToDeviceMs);
  const [slowestFaultMs, fastestFaultMs] = [Math.max(0, ...took), Math.min(Infinity, ...took)];
  if (slowestFaultMs > timeoutMs + rpiMs)
    lateness.push(`an output took its fault state after ${slowestFaultMs.toFixed(1)} ms`);
  // The connections' last packets reach the device in one turn of the sender: at most an interval apart.
  if (fastestFaultMs < timeoutMs - rpiMs - earlyMs)
    lateness.push(`an output took its fault state after ${fastestFaultMs.toFixed(1)} ms already`);
  for (const { instance, octets } of fresh(noticed.value))
    if (octets !== faultOctets) faults.push(`output ${instance} is ${octets} in its fault state`);
  const stopped = await until(
    parties.scanner,
    ({ connections: all }) => all.every(({ state }) => state !== "running"),
    timeoutMs + 2000,
  );
  if (!stopped.isMet) lateness.push("the scanner did not notice");
  await sleep(Math.max(0, atLeastMs - (performance.now() - began)));
  const isUp = performance.now();
  await up();
  const recovered = await until(parties.scanner, allRun, recoveryBoundMs);
  if (!recovered.isMet) lateness.push(`not back after ${recoveryBoundMs} ms: ${wordsOf(recovered.value)}`);
  return { slowestFaultMs, fastestFaultMs, recoveryMs: performance.now() - isUp, faults, lateness };
}

/** States and reasons of connections that do not run. */
export function wordsOf({ connections: all }: ScannerState): string {
  return all.map(({ state, reason }) => (reason === undefined ? state : `${state} (${reason})`)).join(", ");
}
