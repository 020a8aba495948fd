import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { UsageError } from "@cipsec/wire";
import { seededRandom, type Random } from "./fuzz/random.ts";
import { killDevice, measurePace } from "./kill/device-kills.ts";
import { countFound, type Round } from "./kill/round.ts";
import { killTool, measureTool } from "./kill/tool-kills.ts";

/** How long a campaign is, and from which seed its moments are drawn. */
export interface CampaignOptions {
  /** Rounds in which the device dies. */
  readonly rounds: number;
  /** Rounds in which the tool dies. */
  readonly toolRounds: number;
  readonly seed: number;
  /** Loopback address of the device. */
  readonly address: string;
  readonly tell: (text: string) => void;
}

/** What a campaign found. */
export interface CampaignResult {
  readonly deviceRounds: readonly Round[];
  readonly toolRounds: readonly Round[];
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
  seed,
  address,
  tell,
}: CampaignOptions): Promise<CampaignResult> {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-kill-"));
  const random = seededRandom(seed);
  const each = async (
    count: number,
    kind: string,
    round: (at: string, random: Random) => Promise<Round>,
  ): Promise<Round[]> => {
    const done: Round[] = [];
    for (let i = 1; i <= count; i += 1) {
      const at = join(folder, `${kind}-${i}`);
      const one = await round(at, random.fork(`${kind}-${i}`));
      done.push(one);
      await rm(at, { recursive: true, force: true });
      tell(
        `${kind} ${i}/${count}: ${one.what}: ${one.found}${one.faults.length > 0 ? ` FAULT ${one.faults.join("; ")}` : ""}`,
      );
    }
    return done;
  };
  try {
    let pace = await measurePace(join(folder, "pace"), address);
    tell(`a commissioning takes ${Math.round(pace.commissionMs)} ms, a start ${Math.round(pace.startMs)} ms`);
    // The machine's load changes; moments are drawn over what a commissioning took last.
    const deviceRounds = await each(rounds, "device", async (at, moment) => {
      const round = await killDevice(at, address, pace, moment);
      pace = { ...pace, commissionMs: round.undisturbedMs ?? pace.commissionMs };
      return round;
    });
    const toolMs = toolRounds === 0 ? 0 : await measureTool(join(folder, "tool-pace"), address);
    const tools = await each(toolRounds, "tool", (at, moment) => killTool(at, address, toolMs, moment));
    const faults = [...deviceRounds, ...tools].flatMap((round) =>
      round.faults.map((fault) => `${round.what}: ${fault}`),
    );
    return { deviceRounds, toolRounds: tools, faults };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "100" },
      "tool-rounds": { type: "string", default: "20" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      address: { type: "string", default: "127.28.77.1" },
    },
  });
  const result = await runCampaign({
    rounds: wholeNumber("rounds", values.rounds),
    toolRounds: wholeNumber("tool-rounds", values["tool-rounds"]),
    seed: wholeNumber("seed", values.seed),
    address: values.address,
    tell: (text) => console.error(text),
  });
  for (const [title, rounds] of [
    ["device killed and restarted, states then", result.deviceRounds],
    ["tool killed, states of the device right then", result.toolRounds],
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
