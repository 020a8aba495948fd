import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, type Server } from "./child.ts";
import { buildFloor } from "./io-floor.ts";
import type { ConnectionFigures, DeviceOrder, FlowOrder, IoLoad, ProcessFigures, ScannerOrder } from "./io-traffic.ts";
import { spread, type Benchmark, type BenchmarkOptions, type Row, type Spread } from "./measure.ts";

const network = "127.35.16";
const scannerAddress = "127.35.17.1";
const flows = ["127.35.18.1", "127.35.18.2"] as const;

const shortMs = 5000;
const fullMs = 60_000;

/** Milliseconds and connections. */
const allLoads = "1x1 2x1 2x16 2x128 5x1 5x16 5x128 10x1 10x16 10x128".split(" ");

/**
 * I/O at an interval: what comes when, and what it costs, beside bare sockets paced by the runtime's timers, and beside what the
 * machine gives a C program, where it has a compiler.
 */
export const io: Benchmark = {
  name: "io",
  about:
    "class 1 I/O by interval and connections, device and scanner apart, against bare sockets with setTimeout and in C",
  async run({ isFull = false, cases = allLoads }: BenchmarkOptions = {}) {
    const rows: Row[] = [];
    await using floor = await buildFloor();
    for (const text of cases) {
      const load = loadOf(text);
      const ms = isFull ? fullMs : shortMs;
      const common = { connections: load.connections, rpiMicros: load.rpiMicros };
      const devices: DeviceOrder = { role: "devices", network, ...common };
      const scanner: ScannerOrder = { role: "scanner", address: scannerAddress, network, ...common };
      const start = (order: DeviceOrder | ScannerOrder | FlowOrder) => () => startServer("io-process.ts", order);
      const ours = await measure([start(devices), start(scanner)], ms);
      const [a, b] = flows;
      const flow = (address: string, peer: string) => start({ role: "flow", address, peer, ...common });
      const bare = await measure([flow(a, b), flow(b, a)], ms);
      rows.push(...rowsOf(load, ours, bare, "bare sockets"));
      if (floor === undefined) continue;
      const least = await measure([() => floor.start(a, b, load), () => floor.start(b, a, load)], ms);
      rows.push(...rowsOf(load, ours, least, "C"));
    }
    return rows;
  },
};

interface Measured {
  readonly connections: readonly ConnectionFigures[];
  readonly cpuPercent: readonly number[];
  readonly load: number;
}

/** Runs two processes; the figures are those of the second, which receives. */
async function measure(starts: readonly (() => Promise<Server>)[], ms: number): Promise<Measured> {
  const servers: Server[] = [];
  try {
    for (const start of starts) servers.push(await start());
    await sleep(500);
    for (const server of servers) await server.ask({});
    await sleep(ms);
    const figures: ProcessFigures[] = [];
    for (const server of servers) figures.push((await server.ask({})) as ProcessFigures);
    return {
      connections: figures.at(-1)?.connections ?? [],
      cpuPercent: figures.map(({ cpuPercent }) => cpuPercent),
      load: loadavg()[0] ?? 0,
    };
  } finally {
    for (const server of servers) server.stop();
  }
}

function rowsOf(
  { rpiMicros, connections }: IoLoad,
  ours: Measured,
  reference: Measured,
  referenceName: string,
): readonly Row[] {
  const row = (name: string, unit: string, own: Spread, other: Spread): Row => ({
    name,
    unit,
    ours: own,
    reference: other,
    referenceName,
  });
  const at = `${rpiMicros / 1000} ms × ${connections}`;
  const each = (name: string, unit: string, of: (one: ConnectionFigures) => number): Row =>
    row(`${at}: ${name}`, unit, spread(ours.connections.map(of)), spread(reference.connections.map(of)));
  const sum = (name: string, of: (one: ConnectionFigures) => number): Row => {
    const total = (figures: Measured): Spread => spread([figures.connections.reduce((all, one) => all + of(one), 0)]);
    return row(`${at}: ${name}`, "packets", total(ours), total(reference));
  };
  const cpu = (name: string, i: number): Row =>
    row(`${at}: CPU ${name}`, "% core", spread([ours.cpuPercent[i] ?? 0]), spread([reference.cpuPercent[i] ?? 0]));
  return [
    each("sent", "a second", (one) => one.sentPerSecond),
    each("received", "a second", (one) => one.receivedPerSecond),
    each("interval p1", "µs", (one) => one.p1),
    each("interval p50", "µs", (one) => one.p50),
    each("interval p99", "µs", (one) => one.p99),
    each("interval p99.9", "µs", (one) => one.p999),
    sum("lost", (one) => one.lost),
    sum("late by half an interval", (one) => one.late),
    cpu("device", 0),
    cpu("scanner", 1),
    row(`${at}: load average`, "", spread([ours.load]), spread([reference.load])),
  ];
}

function loadOf(text: string): IoLoad {
  const [, ms, connections] = /^(\d{1,4})x(\d{1,3})$/.exec(text) ?? [];
  if (ms === undefined || connections === undefined) throw new RangeError(`--cases: '${text}' is not such as 10x128`);
  return { rpiMicros: Number(ms) * 1000, connections: Number(connections) };
}
