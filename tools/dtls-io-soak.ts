import { availableParallelism, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { UsageError } from "@cipsec/wire";
import { startServer, type Server } from "../bench/child.ts";
import type { Devices, DevicesFigures, LoadFigures, Order, Question, ScannerFigures } from "./dtls-io-soak/messages.ts";

/** So many connections at one interval. */
export interface SoakCase {
  readonly connections: number;
  readonly rpiMs: number;
}

/** How a case is run. */
export interface SoakOptions {
  readonly seconds: number;
  /** Connections over one association. */
  readonly connectionsEach: number;
  /** Each a second, all devices together. */
  readonly load: { readonly listIdentities: number; readonly smallDatagrams: number; readonly handshakes: number };
  readonly tell: (text: string) => void;
}

/** What came of a case. */
export interface SoakResult extends SoakCase {
  readonly seconds: number;
  readonly associations: number;
  readonly openMs: number;
  readonly scanner: ScannerFigures;
  readonly devices: DevicesFigures;
  readonly load: LoadFigures;
  /** Resident memory of scanner and devices when the counting began, MiB. */
  readonly residentBefore: { readonly scanner: number; readonly devices: number };
  readonly loadAverage: number;
  /** What must not be; empty where the case passed. */
  readonly faults: readonly string[];
}

const network = [127, 35, 40] as const;
const scannerAddress = "127.35.38.1";
const loadAddress = "127.35.39.1";

/** Time-out of a connection in intervals, by the multiplier 3: 32 of them. */
const timeoutMultiplier = 3;

/** Until all run: a handshake each device, and a Forward_Open each connection. */
const openWithinMs = 180_000;

/** Keeps a case's connections for its time, with other traffic beside them, and counts. */
export async function soak(one: SoakCase, { seconds, connectionsEach, load, tell }: SoakOptions): Promise<SoakResult> {
  const devices: Devices = { network, count: Math.ceil(one.connections / connectionsEach), connectionsEach };
  const started: Server[] = [];
  const start = async (file: string, order: Order): Promise<Server> => {
    const server = await startServer(new URL(`./dtls-io-soak/${file}`, import.meta.url).href, order);
    started.push(server);
    return server;
  };
  try {
    const plant = await start("devices-process.ts", { role: "devices", devices });
    tell(`${devices.count} devices are up`);
    const began = performance.now();
    const { connections, rpiMs } = one;
    const scanner = await start("scanner-process.ts", {
      role: "scanner",
      devices,
      address: scannerAddress,
      connections,
      rpiMicros: rpiMs * 1000,
      timeoutMultiplier,
    });
    const openMs = await allRunning(scanner, connections, began);
    tell(`${connections} connections run after ${(openMs / 1000).toFixed(1)} s`);
    const others = await start("load-process.ts", { role: "load", devices, address: loadAddress, ...load });
    await sleep(1000);
    const residentBefore = {
      scanner: (await figures<ScannerFigures>(scanner)).residentMib,
      devices: (await figures<DevicesFigures>(plant)).residentMib,
    };
    for (const server of started) await server.ask({ ask: "begin" } satisfies Question);
    const until = performance.now() + seconds * 1000;
    for (let left = seconds; left > 0; left = (until - performance.now()) / 1000) {
      await sleep(Math.min(left, 60) * 1000);
      const { running, ended, lost, late, residentMib } = await figures<ScannerFigures>(scanner);
      tell(
        `${Math.max(0, left - 60).toFixed(0)} s left: ${running} run, ${ended} ended, ${lost} lost, ${late} late, ${residentMib.toFixed(0)} MiB`,
      );
    }
    const result = {
      ...one,
      seconds,
      openMs,
      residentBefore,
      scanner: await figures<ScannerFigures>(scanner),
      devices: await figures<DevicesFigures>(plant),
      load: await figures<LoadFigures>(others),
      loadAverage: loadavg()[0] ?? 0,
    };
    return { ...result, associations: result.devices.associations, faults: faultsOf(result) };
  } finally {
    for (const server of started) server.stop();
  }
}

/** Missed intervals are counted, and no fault: what they say depends on the machine. */
function faultsOf({
  connections,
  rpiMs,
  scanner,
  devices,
}: Omit<SoakResult, "faults" | "associations">): readonly string[] {
  const stalledMs = Math.max(scanner.stalledMs, devices.stalledMs);
  const timeoutMs = rpiMs * 4 * 2 ** timeoutMultiplier;
  // Whoever is held up sends nothing meanwhile, and its peers time out as they should.
  const excuse =
    stalledMs < timeoutMs / 2 ? "" : ` (a process stood still for ${stalledMs.toFixed(0)} ms: the machine is too busy)`;
  const faults: readonly (readonly [number, string])[] = [
    [scanner.ended, `connections ended on the scanner's side: ${scanner.endings.join("; ")}`],
    [devices.timeouts, "outputs went into their fault state"],
    [connections - scanner.running, "connections do not run at the end"],
    [connections - devices.connections, "connections are missing on the devices' side"],
  ];
  return faults.flatMap(([count, what]) => (count === 0 ? [] : [`${count} ${what}${excuse}`]));
}

async function figures<T>(server: Server): Promise<T> {
  return (await server.ask({ ask: "figures" } satisfies Question)) as T;
}

async function allRunning(scanner: Server, connections: number, began: number): Promise<number> {
  for (;;) {
    const { running, reason } = await figures<ScannerFigures>(scanner);
    const ms = performance.now() - began;
    if (running === connections) return ms;
    if (ms > openWithinMs)
      throw new UsageError("usage/state", `${running} of ${connections} connections run: ${reason ?? "no reason"}`);
    await sleep(250);
  }
}

/** Results as a table for people. */
export function soakTable(results: readonly SoakResult[]): string {
  const rows: readonly (readonly [string, (result: SoakResult) => string])[] = [
    ["time", ({ seconds }) => `${seconds} s`],
    ["associations", ({ associations }) => String(associations)],
    ["all open after", ({ openMs }) => `${(openMs / 1000).toFixed(1)} s`],
    ["connections lost", ({ scanner, devices }) => String(Math.max(scanner.ended, devices.timeouts))],
    ["packets sent", ({ scanner }) => String(scanner.sent)],
    ["packets received", ({ scanner }) => String(scanner.received)],
    ["packets lost", ({ scanner }) => String(scanner.lost)],
    ["late by half an interval", ({ scanner }) => share(scanner.late, scanner.received)],
    ["turns left out by the scanner", ({ scanner }) => share(scanner.leftOut, scanner.sent)],
    ["interval p99, greatest", ({ scanner }) => `${ms(scanner.p99Micros)}, ${ms(scanner.maxMicros)} ms`],
    [
      "CPU scanner, devices",
      ({ scanner, devices }) => `${percent(scanner.cpuPercent)}, ${percent(devices.cpuPercent)}`,
    ],
    [
      "memory scanner",
      ({ residentBefore, scanner }) => `${mib(residentBefore.scanner)} to ${mib(scanner.residentMib)} MiB`,
    ],
    [
      "memory devices",
      ({ residentBefore, devices }) => `${mib(residentBefore.devices)} to ${mib(devices.residentMib)} MiB`,
    ],
    [
      "longest stall scanner, devices",
      ({ scanner, devices }) => `${mib(scanner.stalledMs)}, ${mib(devices.stalledMs)} ms`,
    ],
    ["ListIdentity answered", ({ load }) => `${load.listIdentities.answered}/${load.listIdentities.asked}`],
    ["TLS handshakes done", ({ load }) => `${load.handshakes.done}/${load.handshakes.begun}`],
    ["small datagrams", ({ load }) => String(load.smallDatagrams)],
    ["load average", ({ loadAverage }) => `${loadAverage.toFixed(1)} on ${availableParallelism()} cores`],
    ["faults", ({ faults }) => (faults.length === 0 ? "none" : faults.join("; "))],
  ];
  const head = ["", ...results.map(({ connections, rpiMs }) => `${connections} at ${rpiMs} ms`)];
  const lines = [head, ...rows.map(([name, of]) => [name, ...results.map(of)])];
  const widths = head.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function share(part: number, whole: number): string {
  return `${part} (${((100 * part) / Math.max(1, whole)).toFixed(3)} %)`;
}

function ms(micros: number): string {
  return (micros / 1000).toFixed(1);
}

function mib(value: number): string {
  return value.toFixed(0);
}

function percent(value: number): string {
  return `${value.toFixed(0)} %`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      cases: { type: "string", default: "128x10,1000x100" },
      seconds: { type: "string", default: "600" },
      "per-device": { type: "string", default: "16" },
      "list-identities": { type: "string", default: "20" },
      "small-datagrams": { type: "string", default: "200" },
      handshakes: { type: "string", default: "2" },
      json: { type: "boolean", default: false },
    },
  });
  const options: SoakOptions = {
    seconds: wholeNumber("seconds", values.seconds),
    connectionsEach: wholeNumber("per-device", values["per-device"]),
    load: {
      listIdentities: wholeNumber("list-identities", values["list-identities"]),
      smallDatagrams: wholeNumber("small-datagrams", values["small-datagrams"]),
      handshakes: wholeNumber("handshakes", values.handshakes),
    },
    tell: (text) => console.error(text),
  };
  const results: SoakResult[] = [];
  for (const text of values.cases.split(",")) {
    const [connections = "", rpiMs = ""] = text.split("x");
    console.error(`case ${text}`);
    results.push(
      await soak({ connections: wholeNumber("cases", connections), rpiMs: wholeNumber("cases", rpiMs) }, options),
    );
  }
  console.log(values.json ? JSON.stringify({ results }, null, 2) : soakTable(results));
  process.exit(results.some(({ faults }) => faults.length > 0) ? 1 : 0);
}

function wholeNumber(name: string, text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new UsageError("usage/argument", `--${name}: '${text}' is not a whole number above 0`, {
    fix: "Write digits alone; --cases takes CONNECTIONSxMILLISECONDS, such as 128x10,1000x100.",
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
