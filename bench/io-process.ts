import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Scanner, assemblyPath, type IoStatistics } from "@cipsec/originator";
import { readDescription, startTarget } from "@cipsec/target";
import { startFlow } from "./io-flow.ts";
import {
  dataOctets,
  deviceAddress,
  ownersPerDevice,
  type ConnectionFigures,
  type DeviceOrder,
  type FlowOrder,
  type ProcessFigures,
  type ScannerOrder,
} from "./io-traffic.ts";

/*
 * One process of `io.ts`: it gets its order and answers when its traffic runs, begins to count with the second message and
 * answers the third with its figures.
 */

/** What a party counts, and how it tells. */
export interface Party {
  begin(): void;
  figures(seconds: number): readonly ConnectionFigures[];
}

process.once("message", (order: DeviceOrder | ScannerOrder | FlowOrder) => void play(order));
process.on("disconnect", () => process.exit(0));

async function play(order: DeviceOrder | ScannerOrder | FlowOrder): Promise<void> {
  const party = await started(order);
  process.once("message", () => {
    party.begin();
    const began = performance.now();
    const cpu = process.cpuUsage();
    process.once("message", () => {
      const ms = performance.now() - began;
      const { user, system } = process.cpuUsage(cpu);
      const answer: ProcessFigures = {
        cpuPercent: (user + system) / 10 / ms,
        connections: party.figures(ms / 1000),
      };
      process.send?.(answer);
    });
    process.send?.("counting");
  });
  process.send?.("ready");
}

function started(order: DeviceOrder | ScannerOrder | FlowOrder): Promise<Party> {
  if (order.role === "devices") return startDevices(order);
  return order.role === "scanner" ? startScanner(order) : startFlow(order);
}

async function startDevices({ network, connections }: DeviceOrder): Promise<Party> {
  for (let first = 0; first < connections; first += ownersPerDevice) {
    const folder = await mkdtemp(join(tmpdir(), "cipsec-bench-io-"));
    const outputs = Array.from({ length: Math.min(ownersPerDevice, connections - first) }, (_, i) => 200 + i);
    const description = readDescription({
      name: "bench",
      identity: {
        vendorId: 0xffff,
        productCode: 7,
        revision: { major: 1, minor: 2 },
        serialNumber: 0xcafe + first,
        productName: "Bench",
      },
      address: deviceAddress(network, first),
      security: null,
      assemblies: [
        { instance: 100, kind: "input", size: dataOctets },
        ...outputs.map((instance) => ({ instance, kind: "output", size: dataOctets })),
      ],
      connections: outputs.map((consume) => ({
        name: `owner of ${consume}`,
        type: "exclusive-owner",
        consume,
        produce: 100,
      })),
    });
    await startTarget({ stateDir: folder, description });
    await rm(folder, { recursive: true, force: true });
  }
  return { begin: () => undefined, figures: () => [] };
}

async function startScanner({ address, network, connections, rpiMicros }: ScannerOrder): Promise<Party> {
  const scanner = new Scanner({ connect: { localAddress: address } });
  const kept = Array.from({ length: connections }, (_, i) =>
    scanner.add({
      name: `connection ${i}`,
      target: { scheme: "eip", host: deviceAddress(network, i) },
      request: {
        oToT: { rpiMicros, size: dataOctets },
        tToO: { rpiMicros, size: dataOctets },
        timeoutMultiplier: 7,
        path: assemblyPath({ oToT: 200 + (i % ownersPerDevice), tToO: 100 }),
      },
    }),
  );
  const now = (): readonly (IoStatistics | undefined)[] => kept.map((one) => one.statistics().current);
  for (let waits = 0; now().some((one) => (one?.received ?? 0) === 0); waits += 1) {
    if (waits === 400)
      throw new Error(`not all run: ${kept.find(({ reason }) => reason)?.reason?.message ?? "no reason"}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  let before = now();
  return {
    begin: () => {
      for (const one of kept) one.restartIntervals();
      before = now();
    },
    figures: (seconds) =>
      now().flatMap((one, i) => {
        const was = before[i];
        if (one === undefined || was === undefined) return [];
        const { p1, p50, p99, p999 } = one.intervalMicros;
        return [
          {
            sentPerSecond: (one.sent - was.sent) / seconds,
            receivedPerSecond: (one.received - was.received) / seconds,
            lost: one.lost - was.lost,
            late: one.late - was.late,
            p1,
            p50,
            p99,
            p999,
          },
        ];
      }),
  };
}
