import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isStackError } from "@cipsec/wire";
import type { Random } from "../fuzz/random.ts";
import { commissionVictim, faultsOfCommissioned, makePlant, trustOf, type Plant } from "./commissioning.ts";
import {
  announcedStates,
  freshVictim,
  killWhileStarting,
  readStates,
  wrongStates,
  type States,
  type Victim,
} from "./device.ts";
import type { Round } from "./round.ts";

/** Milliseconds that an undisturbed commissioning and a start take here; kills are spread over them. */
export interface Pace {
  readonly commissionMs: number;
  readonly startMs: number;
}

/** Measures an undisturbed commissioning and start; the campaign cannot begin where that does not work. */
export async function measurePace(folder: string, address: string): Promise<Pace> {
  const plant = await makePlant(join(folder, "plant"));
  await using victim = await freshVictim(folder, address);
  const began = performance.now();
  await commissionVictim(victim, plant);
  const commissionMs = performance.now() - began;
  await victim.device.kill();
  const restarted = performance.now();
  await victim.device.restart();
  return { commissionMs, startMs: performance.now() - restarted };
}

/**
 * Cuts the power of a device somewhere in its first commissioning, one time in four again while it starts, and says what was
 * found: the states it came back with, and everything that must not be.
 */
export async function killDevice(folder: string, address: string, pace: Pace, random: Random): Promise<Round> {
  const plant = await makePlant(join(folder, "plant"));
  await using victim = await freshVictim(folder, address);
  // A little beyond the measured time, so that the very end is hit as well.
  const atMs = random.below(Math.ceil(pace.commissionMs * 1.05));
  const began = performance.now();
  const work = commissionVictim(victim, plant).then(
    () => ({ done: true as const, tookMs: performance.now() - began }),
    (error: unknown) => ({ done: false as const, error }),
  );
  const early = await Promise.race([work, sleep(atMs).then(() => undefined)]);
  await victim.device.kill();
  const outcome = await work;
  const faults: string[] = [];
  if (!outcome.done && !(isStackError(outcome.error) && !outcome.error.code.startsWith("bug/")))
    faults.push(`the commissioning failed with something else than an error of the stack: ${String(outcome.error)}`);
  const again = random.oneIn(4) ? random.below(Math.ceil(pace.startMs)) : undefined;
  if (again !== undefined) await killWhileStarting(victim, again);
  await victim.device.restart();
  const states = await statesOf(victim, plant, faults);
  const wrong = wrongStates(states);
  if (wrong !== undefined) faults.push(`after the restart ${wrong}`);
  if (outcome.done && states.cip !== "configured")
    faults.push(`the commissioning had succeeded, but after the restart it says ${states.cip}`);
  const beganAgain = performance.now();
  let undisturbedMs = outcome.done ? outcome.tookMs : undefined;
  await commissionVictim(victim, plant).then(
    async () => {
      if (states.cip === "factory-default") undisturbedMs = performance.now() - beganAgain;
      faults.push(...(await faultsOfCommissioned(victim, trustOf(plant))));
    },
    (error: unknown) => void faults.push(`a further commissioning failed: ${String(error)}`),
  );
  const when = early?.done === true ? "after the end" : `at ${atMs} ms`;
  return {
    what: `device killed ${when}${again === undefined ? "" : ` and ${again} ms into its start`}`,
    found: `${states.cip} / ${states.ethernetIp}`,
    faults,
    ...(undisturbedMs === undefined ? {} : { undisturbedMs }),
  };
}

/** States by ListIdentity and over TLS, which must agree. Before its commissioning nobody can vouch for a device. */
async function statesOf({ address }: Victim, plant: Plant, faults: string[]): Promise<States> {
  const announced = await announcedStates(address);
  const told = await readStates(address, { ...trustOf(plant), acceptAny: announced?.cip !== "configured" });
  if (JSON.stringify(announced) !== JSON.stringify(told))
    faults.push(`ListIdentity says ${JSON.stringify(announced)}, TLS ${JSON.stringify(told)}`);
  return told;
}
