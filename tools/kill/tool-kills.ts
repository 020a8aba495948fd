import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { openCa, parseCertificates, parsePrivateKey } from "@cipsec/pki";
import type { SecurityOptions } from "@cipsec/originator";
import { readFile } from "node:fs/promises";
import { BugError } from "@cipsec/wire";
import type { Random } from "../fuzz/random.ts";
import { faultsOfCommissioned } from "./commissioning.ts";
import { announcedStates, freshVictim, wrongStates, type States } from "./device.ts";
import type { Round } from "./round.ts";

const program = fileURLToPath(new URL("../../apps/cli/src/main.ts", import.meta.url));

/** A device's timer is ten seconds; a tool that died leaves nothing open longer. */
const timerMs = 11_000;

/** Milliseconds of an undisturbed `cipsec commission`, process start included, with a data folder that is new. */
export async function measureTool(folder: string, address: string): Promise<number> {
  await using victim = await freshVictim(folder, address);
  const began = performance.now();
  const { code, text } = await ended(startTool(join(folder, "data"), victim.address));
  if (code !== 0) throw new BugError("bug/unreachable", `cipsec commission does not work undisturbed: ${text}`);
  return performance.now() - began;
}

/**
 * Kills `cipsec commission` somewhere in its work, from the making of its authority on. The device must come to rest by its
 * own timer, a further `cipsec commission` must succeed from wherever it is, and the authority must stay usable.
 */
export async function killTool(folder: string, address: string, wholeMs: number, random: Random): Promise<Round> {
  const data = join(folder, "data");
  await using victim = await freshVictim(folder, address);
  const atMs = random.below(Math.ceil(wholeMs));
  const waits = random.oneIn(2);
  const tool = startTool(data, address);
  const end = ended(tool);
  await sleep(atMs);
  tool.kill("SIGKILL");
  await end;
  const faults: string[] = [];
  const killed = await announcedStates(address);
  if (waits) faults.push(...(await restFaults(address)));
  const again = await ended(startTool(data, address));
  if (again.code === 0) faults.push(...(await faultsOfCommissioned(victim, await trustOfData(data))));
  else faults.push(`a further cipsec commission exits ${again.code}: ${again.text}`);
  return {
    what: `tool killed at ${atMs} ms, then ${waits ? "rest awaited" : "commissioned at once"}`,
    found: `${killed?.cip} / ${killed?.ethernetIp}`,
    faults,
  };
}

/** Waits until no configuration session is open, as long as a device's timer may take. */
async function restFaults(address: string): Promise<readonly string[]> {
  const until = performance.now() + timerMs;
  let states: States | undefined;
  do {
    states = await announcedStates(address);
    const wrong = states === undefined ? "it does not answer" : wrongStates(states);
    if (wrong === undefined) return [];
    await sleep(200);
  } while (performance.now() < until);
  return [`${timerMs / 1000} s after its tool died the device is not at rest: ${JSON.stringify(states)}`];
}

function startTool(data: string, address: string): ReturnType<typeof spawn> {
  const words = ["commission", address, "--data", data, "--insecure-accept-any"];
  return spawn(process.execPath, ["--conditions=@cipsec/source", "--no-warnings", program, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function ended(child: ReturnType<typeof spawn>): Promise<{ code: number | null; text: string }> {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (bytes: Buffer) => (text += bytes.toString()));
  await once(child, "close");
  return { code: child.exitCode, text };
}

/** Who the command was: the tool's certificate in its data folder, and the authority it made. */
async function trustOfData(data: string): Promise<SecurityOptions> {
  const ca = await openCa(join(data, "ca"), { now: () => new Date(), pause: sleep });
  return {
    certificate: {
      chain: parseCertificates(await readFile(join(data, "tool", "certificate.pem"))),
      key: parsePrivateKey(await readFile(join(data, "tool", "key.pem"))),
    },
    anchors: [ca.root, ca.issuing],
  };
}
