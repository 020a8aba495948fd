import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isStackError } from "@cipsec/wire";
import { bomb, countOf, depthOf, encodeTree, mutateTree, parseTree, resigned } from "./der.ts";
import { told, type Findings } from "./findings.ts";
import { mutate } from "./mutate.ts";
import { pkiTargets, type PkiTarget } from "./pki.ts";
import { seededRandom, type Random } from "./random.ts";
import { heapMib } from "./run-decoders.ts";

/** What a campaign over certificates, requests, lists and enrolment came to. */
export interface PkiReport {
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  readonly seconds: number;
  /** Processor time of the slowest single input, milliseconds. */
  readonly slowestMs: number;
  readonly slowest: string;
  readonly byTarget: Readonly<Record<string, number>>;
  /** Heap after collection, MiB, when a tenth was done and at the end; and the most that the process ever took. */
  readonly heapMib: { readonly early: number; readonly end: number };
  readonly peakRssMib: number;
}

/** Processor time that one input may cost: at most 64 KiB, and a collection may fall into it. */
const maxInputMs = 1000;

/** Heap that may be gained after the first tenth. */
const maxGrowthMib = 16;

/** Largest bomb: above what any of the parsers takes. */
const maxBombOctets = 64 * 1024;

/** Layers of a tree that is still mutated. */
const maxDepth = 200;

/** And its elements. */
const maxElements = 10_000;

/** Gives every target mutated inputs: octets, trees that are signed anew, and bombs. */
export async function runPki(seed: number, inputs: number, findings: Findings): Promise<PkiReport> {
  const random = seededRandom(seed).fork("pki");
  const folder = mkdtempSync(join(tmpdir(), "cipsec-fuzz-pki-"));
  try {
    const targets = await pkiTargets(join(folder, "ca"), random.fork("targets"));
    const turns = targets.flatMap((target) => Array.from({ length: target.share }, () => target));
    const counts = { accepted: 0, refused: 0 };
    const byTarget: Record<string, number> = {};
    const slow = { ms: 0, name: "" };
    let early = heapMib();
    const began = performance.now();
    for (let i = 0; i < inputs; i += 1) {
      const target = random.pick(turns);
      const bytes = inputFor(random, target);
      const started = process.cpuUsage();
      const problem = await tryPki(target, bytes);
      const { user, system } = process.cpuUsage(started);
      const ms = (user + system) / 1000;
      counts[problem === undefined ? "accepted" : "refused"] += 1;
      byTarget[target.name] = (byTarget[target.name] ?? 0) + 1;
      if (ms > slow.ms) [slow.ms, slow.name] = [ms, target.name];
      const what =
        (problem === "" ? undefined : problem) ?? (ms > maxInputMs ? `took ${Math.round(ms)} ms` : undefined);
      if (what !== undefined)
        findings.add({ where: `pki ${target.name}`, what, seed, inputs: [Buffer.from(bytes).toString("hex")] });
      if (i === Math.floor(inputs / 10)) early = heapMib();
    }
    const seconds = (performance.now() - began) / 1000;
    const end = heapMib();
    if (end - early > maxGrowthMib)
      findings.add({ where: "pki", what: `heap grew from ${early} to ${end} MiB`, seed, inputs: [] });
    const peakRssMib = Math.round(process.resourceUsage().maxRSS / 1024);
    return {
      inputs,
      ...counts,
      seconds,
      slowestMs: slow.ms,
      slowest: slow.name,
      byTarget,
      heapMib: { early, end },
      peakRssMib,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Gives one target one input: nothing where it is taken, an empty text where it is refused as it should be, else what is wrong. */
export async function tryPki(target: PkiTarget, bytes: Uint8Array): Promise<string | undefined> {
  try {
    await target.run(bytes);
    return undefined;
  } catch (error) {
    return isStackError(error) && !error.code.startsWith("bug/") ? "" : told(error);
  }
}

/**
 * Gives inputs of a finding again. Keys are made anew, so what depends on a signature may end otherwise.
 *
 * @returns What is still wrong.
 */
export async function replayPki(name: string, seed: number, inputs: readonly Uint8Array[]): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-fuzz-pki-"));
  try {
    const targets = await pkiTargets(join(folder, "ca"), seededRandom(seed).fork("pki").fork("targets"));
    const target = targets.find((one) => one.name === name);
    const problems: string[] = [];
    if (target === undefined) return [`no part is named ${name} now`];
    for (const bytes of inputs) {
      const problem = await tryPki(target, bytes);
      if (problem !== undefined && problem !== "") problems.push(problem);
    }
    return problems;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function inputFor(random: Random, { seeds, signer }: PkiTarget): Uint8Array {
  if (random.oneIn(100)) return bomb(random, random.oneIn(20) ? maxBombOctets : 1 + random.below(2000));
  const seed = random.pick(seeds);
  const tree = random.oneIn(4) ? undefined : parseTree(seed);
  if (tree === undefined) return mutate(random, seed, seeds);
  const others = seeds.flatMap((other) => parseTree(other) ?? []);
  let changed = mutateTree(random, tree, others);
  // Parts that are put into themselves double: deeper than this nothing new is reached.
  while (random.oneIn(3) && depthOf(changed) < maxDepth && countOf(changed) < maxElements)
    changed = mutateTree(random, changed, others);
  const der = encodeTree(changed);
  return signer === undefined || random.oneIn(10) ? der : resigned(der, signer);
}
