import { Scanner, assemblyPath, type ScanStatistics } from "@cipsec/originator";
import { answering, dataOctets, deviceAddress, firstOutput, inputInstance, type ScannerFigures } from "./messages.ts";

/*
 * The scanner: keeps all connections, each device's over one association.
 */

const maxEndings = 5;

answering("scanner", async ({ devices, address, connections, rpiMicros, timeoutMultiplier }) => {
  let endings: string[] = [];
  const scanner = new Scanner({
    onState: ({ name, state, reason }) => {
      if (state !== "waiting" || endings.length >= maxEndings) return;
      endings.push(`${name} after ${(performance.now() / 1000).toFixed(1)} s: ${reason?.message ?? "no reason"}`);
    },
    connect: {
      localAddress: address,
      security: { acceptAny: true },
      // A thousand handshakes at once wait for one another.
      connectTimeoutMs: 60_000,
      requestTimeoutMs: 30_000,
    },
  });
  const kept = Array.from({ length: connections }, (_, i) =>
    scanner.add({
      name: `connection ${i}`,
      target: { scheme: "eipd", host: deviceAddress(devices, Math.floor(i / devices.connectionsEach)) },
      output: new Uint8Array(dataOctets),
      request: {
        oToT: { rpiMicros, size: dataOctets },
        tToO: { rpiMicros, size: dataOctets },
        timeoutMultiplier,
        path: assemblyPath({ oToT: firstOutput + (i % devices.connectionsEach), tToO: inputInstance }),
      },
    }),
  );
  const now = (): readonly ScanStatistics[] => kept.map((one) => one.statistics());
  let before = now();
  return {
    begin() {
      endings = [];
      for (const one of kept) one.restartIntervals();
      before = now();
    },
    figures(): Omit<ScannerFigures, "cpuPercent" | "residentMib" | "stalledMs"> {
      const after = now();
      const grown = (of: (one: ScanStatistics) => number): number =>
        after.reduce((sum, one, i) => sum + of(one) - of(before[i] ?? one), 0);
      const intervals = after.flatMap(({ current }) => (current === undefined ? [] : [current.intervalMicros]));
      const p99 = intervals.map((one) => one.p99).toSorted((a, b) => a - b);
      return {
        running: after.filter(({ current }) => (current?.received ?? 0) > 0).length,
        ended: grown(({ timeouts }) => timeouts),
        sent: grown(({ total }) => total.sent),
        received: grown(({ total }) => total.received),
        lost: grown(({ total }) => total.lost),
        late: grown(({ total }) => total.late),
        leftOut: grown(({ current }) => current?.sendMissed ?? 0),
        p99Micros: p99[Math.floor(p99.length / 2)] ?? 0,
        maxMicros: intervals.reduce((most, { max }) => Math.max(most, max), 0),
        endings,
        reason: kept.find(({ reason }) => reason !== undefined)?.reason?.message,
      };
    },
  };
});
