import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isStackError } from "@cipsec/wire";
import { readCorpus } from "./corpus.ts";
import { allDecoders, type Decoder } from "./decoders.ts";
import { told, type Findings } from "./findings.ts";
import { mutate } from "./mutate.ts";
import { seededRandom } from "./random.ts";

/** What a campaign over the decoders came to. */
export interface DecoderReport {
  readonly decoders: number;
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  readonly seconds: number;
  /** Milliseconds of the slowest single input. */
  readonly slowestMs: number;
  readonly slowest: string;
  /** Heap after collection, MiB, when a tenth was done and at the end. */
  readonly heapMib: { readonly early: number; readonly end: number };
}

/** One input must not take longer: it is at most 8 KiB, and this is far above a pause of the garbage collector. */
const maxInputMs = 1000;

/** Heap that may be gained after the first tenth; a leak of 100 octets an input shows at a million. */
const maxGrowthMib = 16;

/** Gives every decoder mutated inputs. */
export async function runDecoders(seed: number, inputs: number, findings: Findings): Promise<DecoderReport> {
  const random = seededRandom(seed).fork("decoders");
  const corpus = readCorpus();
  const decoders = await allDecoders(corpus, random);
  const turns = decoders.flatMap((decoder) => Array.from({ length: decoder.share }, () => decoder));
  const counts = { accepted: 0, refused: 0 };
  let slowestMs = 0;
  let slowest = "";
  let early = heapMib();
  const began = performance.now();
  for (let i = 0; i < inputs; i += 1) {
    const decoder = random.pick(turns);
    const bytes = mutate(random, random.pick(decoder.seeds), decoder.seeds);
    const started = performance.now();
    const { accepted, problem } = tryDecoder(decoder, bytes);
    const ms = performance.now() - started;
    if (accepted) counts.accepted += 1;
    else counts.refused += 1;
    if (ms > slowestMs) [slowestMs, slowest] = [ms, decoder.name];
    const what = problem ?? (ms > maxInputMs ? `took ${Math.round(ms)} ms` : undefined);
    if (what !== undefined) findings.add({ where: `decoder ${decoder.name}`, what, seed, inputs: [hexText(bytes)] });
    if (i === Math.floor(inputs / 10)) early = heapMib();
  }
  const seconds = (performance.now() - began) / 1000;
  const end = heapMib();
  if (end - early > maxGrowthMib)
    findings.add({ where: "decoders", what: `heap grew from ${early} to ${end} MiB`, seed, inputs: [] });
  return { decoders: decoders.length, inputs, ...counts, seconds, slowestMs, slowest, heapMib: { early, end } };
}

/** Gives one decoder one input. */
export function tryDecoder(
  decoder: Decoder,
  bytes: Uint8Array,
): { readonly accepted: boolean; readonly problem?: string } {
  try {
    decoder.run(bytes);
    return { accepted: true };
  } catch (error) {
    if (isStackError(error) && !error.code.startsWith("bug/")) return { accepted: false };
    return { accepted: false, problem: told(error) };
  }
}

/** The heap in MiB, after a collection: without one the reading says nothing. */
export function heapMib(): number {
  exposeCollector();
  globalThis.gc?.();
  return Math.round((process.memoryUsage().heapUsed / 1024 / 1024) * 10) / 10;
}

function hexText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Lets memory be measured after a collection, without an option to Node. */
export function exposeCollector(): void {
  if (globalThis.gc !== undefined) return;
  setFlagsFromString("--expose-gc");
  globalThis.gc = runInNewContext("gc") as NodeJS.GCFunction;
}
