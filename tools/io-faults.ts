import { availableParallelism, loadavg } from "node:os";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { UsageError } from "@cipsec/wire";
import { impaired, scenarios } from "./io-faults/impairments.ts";
import { connections, rpiMs, type Memory } from "./io-faults/messages.ts";
import { loopbackNetwork, namespaceNetwork, type Network } from "./io-faults/network.ts";
import { allRun, heapBound, outage, wordsOf, type Outage } from "./io-faults/outages.ts";
import { startParties, until, type Parties } from "./io-faults/parties.ts";

/** How long a run is, and where. */
export interface FaultOptions {
  readonly network: Network;
  readonly seed: number;
  /** Of each bad network. */
  readonly scenarioMs: number;
  /** Length and number of long outages. */
  readonly outageMs: number;
  readonly outages: number;
  /** Short outages, over which nothing may leak. */
  readonly cycles: number;
  readonly tell: (text: string) => void;
}

/** Cycles before memory is first counted: code and buffers have then their usual size. */
const warmUpCycles = 10;

/** Tries on a machine that is busy. */
const maxTries = 5;

/**
 * Scanner and device over a network that loses, delays, reorders, doubles and breaks: connections must outlast what they are
 * made for, end when they should, and come back by themselves.
 *
 * @returns What was wrong; nothing where all held.
 */
export async function runFaults(options: FaultOptions): Promise<readonly string[]> {
  const { network, seed, scenarioMs, outageMs, outages, tell } = options;
  const found: string[] = [];
  const note = (what: string, text: string, faults: readonly string[]): void => {
    tell(`${what}: ${text}${faults.length === 0 ? "" : ` FAULT ${faults.join("; ")}`}`);
    found.push(...faults.map((fault) => `${what}: ${fault}`));
  };
  const parties = await startParties(network, seed);
  try {
    const up = await until(parties.scanner, allRun, 10_000);
    if (!up.isMet) return [`the connections do not open: ${wordsOf(up.value)}`];
    for (const scenario of scenarios) {
      const { seen, faults } = await undisturbed(parties, tell, () => impaired(parties, scenario, scenarioMs));
      const text = Object.entries(seen).map(([name, count]) => `${name} ${count}`);
      note(scenario.name, text.join(", "), faults);
    }
    const relayed = {
      down: () => parties.impair({ isDown: true }),
      up: () => parties.impair({}),
    };
    const { link } = network;
    const pulled = link === undefined ? relayed : { down: async () => link.down(), up: async () => link.up() };
    for (let i = 1; i <= outages; i += 1) {
      const one = await undisturbed(parties, tell, () => outage(parties, pulled, outageMs));
      note(`link down ${outageMs / 1000} s, ${i}/${outages}`, outageText([one]), one.faults);
    }
    await cycle(parties, options, relayed, note);
    return found;
  } finally {
    parties.stop();
  }
}

/**
 * Does `run`, and again where something was late while the machine did not keep up, up to {@link maxTries} times in all. Then what
 * was late is a fault too, unless the machine was too busy to tell.
 */
async function undisturbed<T extends { readonly faults: readonly string[]; readonly lateness: readonly string[] }>(
  parties: Parties,
  tell: (text: string) => void,
  run: () => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    await until(parties.scanner, allRun, 15_000);
    await parties.stalledMs();
    const result = await run();
    const stalledMs = await parties.stalledMs();
    const load = loadavg()[0] ?? 0;
    const isBusy = stalledMs >= rpiMs / 2 || load > availableParallelism();
    if (result.faults.length > 0 || !isBusy) return { ...result, faults: [...result.faults, ...result.lateness] };
    if (result.lateness.length === 0) return result;
    const why = `a process was held up for ${stalledMs.toFixed(0)} ms, load average ${load.toFixed(1)}`;
    tell(`${tries < maxTries ? "again" : "UNDECIDED"}, ${why}: ${result.lateness.join("; ")}`);
    if (tries === maxTries) return result;
  }
}

async function cycle(
  parties: Parties,
  { cycles, tell }: FaultOptions,
  cut: Parameters<typeof outage>[1],
  note: (what: string, text: string, faults: readonly string[]) => void,
): Promise<void> {
  if (cycles === 0) return;
  for (let i = 0; i < warmUpCycles; i += 1) await outage(parties, cut, 0);
  await until(parties.scanner, allRun, 10_000);
  const before = await parties.memory();
  const began = performance.now();
  const all: Outage[] = [];
  for (let i = 1; i <= cycles; i += 1) {
    const one = await undisturbed(parties, tell, () => outage(parties, cut, 0));
    all.push(one);
    if (one.faults.length > 0) note(`cycle ${i}`, outageText([one]), one.faults);
    else if (i % 100 === 0) tell(`cycle ${i}/${cycles}`);
  }
  const seconds = (performance.now() - began) / 1000;
  const after = await parties.memory();
  const leaks = (["device", "scanner"] as const).flatMap((who) => leaked(who, before[who], after[who]));
  const grown = (who: "device" | "scanner"): string =>
    `${who} heap ${mib(before[who].heapBytes)} to ${mib(after[who].heapBytes)} MiB`;
  const text = `${outageText(all)}; ${(seconds / cycles).toFixed(2)} s each; ${grown("device")}, ${grown("scanner")}`;
  note(`${cycles} cycles`, text, leaks);
}

/** Handles that a busy machine closes and opens just then do not count: what leaks in each cycle is there many times. */
function leaked(who: string, before: Memory, after: Memory): readonly string[] {
  const faults: string[] = [];
  const grown = after.heapBytes - before.heapBytes;
  if (grown > heapBound) faults.push(`the ${who}'s heap grew by ${mib(grown)} MiB`);
  for (const [kind, count] of Object.entries(after.handles)) {
    const was = before.handles[kind] ?? 0;
    if (count > was + connections) faults.push(`the ${who} has ${count} ${kind} where it had ${was}`);
  }
  return faults;
}

function outageText(all: readonly Outage[]): string {
  const fastest = Math.min(...all.map(({ fastestFaultMs }) => fastestFaultMs));
  const slowest = Math.max(...all.map(({ slowestFaultMs }) => slowestFaultMs));
  const back = all.map(({ recoveryMs }) => recoveryMs).toSorted((a, b) => a - b);
  const [median, most] = [back[Math.floor(back.length / 2)] ?? 0, back.at(-1) ?? 0];
  const ms = (value: number): string => value.toFixed(0);
  return `fault state after ${fastest.toFixed(1)} to ${slowest.toFixed(1)} ms, back after ${ms(median)} ms (${ms(most)} at most)`;
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cycles: { type: "string", default: "100" },
      outages: { type: "string", default: "3" },
      seconds: { type: "string", default: "10" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      loopback: { type: "boolean", default: false },
    },
  });
  const network =
    (values.loopback ? undefined : namespaceNetwork(`cipsec${process.pid}`)) ?? loopbackNetwork("127.35.30");
  process.once("exit", () => network.remove());
  // Children of a terminal get the signal too; whatever they do, what was made here goes.
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)
    process.once(signal, () => process.exit(code));
  console.error(
    network.kind === "namespaces"
      ? "scanner, relay and device in network namespaces of their own; the relay makes the faults, links are pulled"
      : "scanner, relay and device on loopback, without namespaces of their own; the relay makes all faults",
  );
  const faults = await runFaults({
    network,
    seed: wholeNumber("seed", values.seed),
    scenarioMs: 1000 * wholeNumber("seconds", values.seconds),
    outageMs: 5000,
    outages: wholeNumber("outages", values.outages),
    cycles: wholeNumber("cycles", values.cycles),
    tell: (text) => console.error(text),
  });
  console.log(
    `${faults.length} faults; draws from seed ${values.seed}; load average ${loadavg()[0]?.toFixed(1) ?? ""}`,
  );
  for (const fault of faults) console.log(`- ${fault}`);
  process.exit(faults.length > 0 ? 1 : 0);
}

function wholeNumber(name: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError("usage/argument", `--${name}: '${text}' is not a whole number`, { fix: "Write digits alone." });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
