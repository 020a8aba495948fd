import { parseArgs } from "node:util";
import { readCorpus } from "./fuzz/corpus.ts";
import { allDecoders } from "./fuzz/decoders.ts";
import { runDtls, type DtlsReport } from "./fuzz/dtls.ts";
import { Findings, readFound } from "./fuzz/findings.ts";
import { replayLive } from "./fuzz/replay.ts";
import { exposeCollector, runDecoders, tryDecoder, type DecoderReport } from "./fuzz/run-decoders.ts";
import { replayPki, runPki, type PkiReport } from "./fuzz/run-pki.ts";
import { runLive, type LiveReport } from "./fuzz/run-live.ts";
import { seededRandom } from "./fuzz/random.ts";

const usage = `npm run fuzz -- [--seed N] [--inputs N] [--only decoders|live|dtls|pki] [--json] [--out FOLDER]
npm run fuzz -- --replay FILE

Gives mutated octets to every decoder, to a running device over TCP, TLS and UDP, to DTLS, and to certificates and enrolment. Same seed, same inputs.
Exit code 1 when something was found; each finding is saved for --replay.`;

/** Of all inputs, this part goes to the running device. */
const liveShare = 0.4;

/** And this part to sessions and handshakes of DTLS. */
const dtlsShare = 0.2;

/** And this part to certificates, requests, revocation lists and both ends of EST. */
const pkiShare = 0.1;

/** What a run came to, as `--json` prints it. */
export interface FuzzReport {
  readonly seed: number;
  readonly inputs: number;
  readonly decoders?: DecoderReport;
  readonly live?: LiveReport;
  readonly dtls?: DtlsReport;
  readonly pki?: PkiReport;
  readonly findings: number;
  readonly files: readonly string[];
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      inputs: { type: "string", default: "100000" },
      only: { type: "string" },
      json: { type: "boolean", default: false },
      out: { type: "string", default: "out/fuzz" },
      replay: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [seed, inputs] = [Number(values.seed), Number(values.inputs)];
  const isUsable = Number.isInteger(seed) && Number.isInteger(inputs) && inputs > 0;
  const isKnown = values.only === undefined || ["decoders", "live", "dtls", "pki"].includes(values.only);
  if (values.help || !isUsable || !isKnown) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  exposeCollector();
  if (values.replay !== undefined) return replay(values.replay);
  const findings = new Findings(values.out);
  const share = (name: string, part: number): number =>
    values.only === undefined ? Math.round(inputs * part) : values.only === name ? inputs : 0;
  const [live, protectedOnes] = [share("live", liveShare), share("dtls", dtlsShare)];
  const certified = share("pki", pkiShare);
  const rest = inputs - live - protectedOnes - certified;
  const decoders = rest > 0 ? await runDecoders(seed, rest, findings) : undefined;
  const dtls = protectedOnes > 0 ? runDtls(seed, protectedOnes, findings) : undefined;
  const pki = certified > 0 ? await runPki(seed, certified, findings) : undefined;
  const device = live > 0 ? await runLive({ seed, inputs: live, findings }) : undefined;
  const report: FuzzReport = {
    seed,
    inputs: (decoders?.inputs ?? 0) + (device?.inputs ?? 0) + (dtls?.inputs ?? 0) + (pki?.inputs ?? 0),
    ...(decoders === undefined ? {} : { decoders }),
    ...(device === undefined ? {} : { live: device }),
    ...(dtls === undefined ? {} : { dtls }),
    ...(pki === undefined ? {} : { pki }),
    findings: findings.count,
    files: findings.all.map(({ file }) => file),
  };
  console.log(values.json ? JSON.stringify(report, null, 2) : text(report, findings));
  return findings.count === 0 ? 0 : 1;
}

/** Gives the inputs of a saved finding again. */
async function replay(file: string): Promise<number> {
  const found = readFound(file);
  const inputs = found.inputs.map((hex) => new Uint8Array(Buffer.from(hex, "hex")));
  console.log(`${found.where}: ${found.what}`);
  if (found.where === "dtls") {
    console.log(`a session has to be there first: npm run fuzz -- --only dtls --seed ${found.seed}`);
    return 2;
  }
  const [, ofPki] = /^pki (.*)$/u.exec(found.where) ?? [];
  if (ofPki !== undefined) {
    const problems = await replayPki(ofPki, found.seed, inputs);
    console.log(problems.join("\n") || "nothing found now");
    return problems.length === 0 ? 0 : 1;
  }
  const [, name] = /^decoder (.*)$/u.exec(found.where) ?? [];
  if (name === undefined) {
    const problem = await replayLive(inputs);
    console.log(problem ?? `${inputs.length} inputs again, one connection each: nothing found now`);
    return problem === undefined ? 0 : 1;
  }
  const decoders = await allDecoders(readCorpus(), seededRandom(found.seed));
  const decoder = decoders.find((each) => each.name === name);
  if (decoder === undefined) {
    console.log(`no decoder is named ${name} now`);
    return 2;
  }
  const problems = inputs.map((bytes) => tryDecoder(decoder, bytes).problem).filter((problem) => problem !== undefined);
  console.log(problems.join("\n") || "nothing found now");
  return problems.length === 0 ? 0 : 1;
}

function text({ seed, inputs, decoders, live, dtls, pki }: FuzzReport, findings: Findings): string {
  const lines = [`seed ${seed}: ${inputs} inputs`];
  if (decoders !== undefined) {
    const { accepted, refused, seconds, slowestMs, slowest, heapMib } = decoders;
    lines.push(
      `decoders   ${decoders.inputs} inputs to ${decoders.decoders} decoders in ${seconds.toFixed(1)} s: ${accepted} accepted, ${refused} refused`,
      `           slowest input ${slowestMs.toFixed(0)} ms (${slowest}); heap ${heapMib.early} MiB after a tenth, ${heapMib.end} MiB at the end`,
    );
  }
  if (live !== undefined) {
    const { latencyMs, memory } = live;
    const attacks = Object.entries(live.byAttack).map(([name, count]) => `${name} ${count}`);
    lines.push(
      `device     ${live.inputs} inputs in ${live.seconds.toFixed(1)} s: ${attacks.join(", ")}`,
      `           ${live.resets} restarts, ${live.closings} closed ports and ${live.reconnects} new sessions of the probe, all as allowed`,
    );
    for (const [when, { p50, p99, max, count }] of Object.entries(latencyMs))
      lines.push(
        `           good request ${when}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, max ${max.toFixed(1)} ms of ${count}`,
      );
    for (const [when, { rssMib, heapMib }] of Object.entries(memory))
      lines.push(`           memory ${when}: ${rssMib.toFixed(1)} MiB resident, ${heapMib.toFixed(1)} MiB heap`);
  }
  if (dtls !== undefined) {
    const { handshakes, opened, heapGrowthKib, refusalsPerCpuSecond } = dtls;
    lines.push(
      `dtls       ${dtls.inputs} datagrams in ${dtls.seconds.toFixed(1)} s: live sessions unchanged, ${handshakes} handshakes, ${opened} of them opened`,
      `           heap grown by ${heapGrowthKib} KiB; ${refusalsPerCpuSecond} hellos refused in a second of processor time`,
    );
  }
  if (pki !== undefined) {
    const { accepted, refused, slowestMs, slowest, heapMib, peakRssMib } = pki;
    lines.push(
      `pki        ${pki.inputs} inputs in ${pki.seconds.toFixed(1)} s: ${accepted} accepted, ${refused} refused`,
      `           slowest ${slowestMs.toFixed(0)} ms (${slowest}); heap ${heapMib.early} MiB after a tenth, ${heapMib.end} MiB at the end; at most ${peakRssMib} MiB resident`,
    );
  }
  lines.push(findings.count === 0 ? "nothing found" : `${findings.count} findings:`);
  for (const { where, what, file } of findings.all)
    lines.push(`  ${where}: ${what}\n    again with: npm run fuzz -- --replay ${file}`);
  return lines.join("\n");
}

process.exitCode = await main();
