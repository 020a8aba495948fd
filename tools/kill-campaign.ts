import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { UsageError } from "@cipsec/wire";
import { seededRandom, type Random } from "./fuzz/random.ts";
import { killDevice, measurePace } from "./kill/device-kills.ts";
import { countFound, type Round } from "./kill/round.ts";
import { killPulling, measurePull } from "./kill/pull-kills.ts";
import { startPullPlant } from "./kill/pull-plant.ts";
import { killTool, measureTool } from "./kill/tool-kills.ts";

/** How long a campaign is, and from which seed its moments are drawn. */
export interface CampaignOptions {
  /** Rounds in which the device dies. */
  readonly rounds: number;
  /** Rounds in which the tool dies. */
  readonly toolRounds: number;
  /** Rounds in which a device dies that enrols by itself. */
  readonly pullRounds: number;
  /** Of those, devices at a time: they wait most of the time. */
  readonly atOnce?: number;
  readonly seed: number;
  /** Loopback address of the device; those of the other two kinds of rounds are 50 and 100 above, and more. */
  readonly address: string;
  readonly tell: (text: string) => void;
}

/** What a campaign found. */
export interface CampaignResult {
  readonly deviceRounds: readonly Round[];
  readonly toolRounds: readonly Round[];
  readonly pullRounds: readonly Round[];
  /** Faults of all rounds, each with its round. */
  readonly faults: readonly string[];
}

/**
 * Kills devices and tools (kill -9) at random moments of a commissioning, each round with a device from the factory, and
 * checks what is left: the device at rest in a state that it tells truly, and commissioned by one further try.
 */
export async function runCampaign({
  rounds,
  toolRounds,
  pullRounds,
  atOnce = 4,
  seed,
  address,
  tell,
}: CampaignOptions): Promise<CampaignResult> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-kill-"));
  const random = seededRandom(seed);
  const each = async (
    count: number,
    kind: string,
    round: (at: string, random: Random, lane: number) => Promise<Round>,
    lanes = 1,
  ): Promise<Round[]> => {
    const done: Round[] = [];
    let begun = 0;
    const inLane = async (lane: number): Promise<void> => {
      while (begun < count) {
        begun += 1;
        const i = begun;
        const at = join(folder, `${kind}-${i}`);
        const one = await round(at, random.fork(`${kind}-${i}`), lane);
        done.push(one);
        await rm(at, { recursive: true, force: true });
        tell(
          `${kind} ${i}/${count}: ${one.what}: ${one.found}${one.faults.length > 0 ? ` FAULT ${one.faults.join("; ")}` : ""}`,
        );
      }
    };
    await Promise.all(Array.from({ length: lanes }, (_, lane) => inLane(lane)));
    return done;
  };
  try {
    // Each kind at addresses of its own: all of them wait, for processes, timers and each other.
    const [deviceRounds, tools, pulls] = await Promise.all([
      rounds === 0 ? [] : deviceCampaign(),
      toolRounds === 0 ? [] : toolCampaign(neighbour(address, 50)),
      pullRounds === 0 ? [] : pullCampaign(),
    ]);
    const faults = [...deviceRounds, ...tools, ...pulls].flatMap((round) =>
      round.faults.map((fault) => `${round.what}: ${fault}`),
    );
    return { deviceRounds, toolRounds: tools, pullRounds: pulls, faults };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }

  async function deviceCampaign(): Promise<Round[]> {
    let pace = await measurePace(join(folder, "pace"), address);
    tell(`a commissioning takes ${Math.round(pace.commissionMs)} ms, a start ${Math.round(pace.startMs)} ms`);
    // The machine's load changes; moments are drawn over what a commissioning took last.
    return await each(rounds, "device", async (at, moment) => {
      const round = await killDevice(at, address, pace, moment);
      pace = { ...pace, commissionMs: round.undisturbedMs ?? pace.commissionMs };
      return round;
    });
  }

  async function toolCampaign(where: string): Promise<Round[]> {
    const wholeMs = await measureTool(join(folder, "tool-pace"), where);
    return await each(toolRounds, "tool", (at, moment) => killTool(at, where, wholeMs, moment));
  }

  async function pullCampaign(): Promise<Round[]> {
    const place = join(folder, "pull");
    await using plant = await startPullPlant(place, neighbour(address, 100));
    let pace = await measurePull(join(place, "pace"), neighbour(address, 101), plant);
    tell(`an enrolment takes ${Math.round(pace.enrolMs)} ms, a renewal ${Math.round(pace.renewMs)} ms`);
    return await each(
      pullRounds,
      "pull",
      async (at, moment, lane) => {
        const round = await killPulling(at, neighbour(address, 101 + lane), plant, pace, moment);
        ({ pace } = round);
        return round;
      },
      Math.min(atOnce, pullRounds),
    );
  }
}

/** The address that many above this one. */
function neighbour(address: string, above: number): string {
  const parts = address.split(".");
  return [...parts.slice(0, 3), (Number(parts[3]) + above) % 255].join(".");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "100" },
      "tool-rounds": { type: "string", default: "20" },
      "pull-rounds": { type: "string", default: "20" },
      "at-once": { type: "string", default: "4" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      address: { type: "string", default: "127.28.77.1" },
    },
  });
  const result = await runCampaign({
    rounds: wholeNumber("rounds", values.rounds),
    toolRounds: wholeNumber("tool-rounds", values["tool-rounds"]),
    pullRounds: wholeNumber("pull-rounds", values["pull-rounds"]),
    atOnce: wholeNumber("at-once", values["at-once"]),
    seed: wholeNumber("seed", values.seed),
    address: values.address,
    tell: (text) => console.error(text),
  });
  for (const [title, rounds] of [
    ["device killed and restarted, states then", result.deviceRounds],
    ["tool killed, states of the device right then", result.toolRounds],
    ["device killed in its enrolment and in its renewal, found then", result.pullRounds],
  ] as const) {
    console.log(`\n${rounds.length} rounds: ${title}`);
    for (const [found, count] of countFound(rounds)) console.log(`${String(count).padStart(5)}  ${found}`);
  }
  console.log(`\n${result.faults.length} faults; the moments were drawn from seed ${values.seed}`);
  for (const fault of result.faults) console.log(`- ${fault}`);
  if (result.faults.length > 0) process.exitCode = 1;
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError("usage/argument", `--${name}: '${text}' is not a whole number`, { fix: "Write digits alone." });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
