import { startDevices } from "../tools/fuzz/device.ts";
import { spread, type Benchmark, type Row } from "./measure.ts";

const counts = [1, 50, 200];

/** How many processes of each size are measured. */
const rounds = 3;

/** Resident memory of a process with many idle devices, each with its own ports, keys and certificate. */
export const memory: Benchmark = {
  name: "memory",
  about: "resident memory of one process with N idle devices, after collection",
  async run() {
    const rows: Row[] = [];
    const measured = new Map<number, number[]>();
    for (let round = 0; round < rounds; round += 1) {
      for (const count of counts) measured.set(count, [...(measured.get(count) ?? []), await residentMib(count)]);
    }
    for (const [count, values] of measured)
      rows.push({ name: `${count} ${count === 1 ? "device" : "devices"}`, unit: "MiB", ours: spread(values) });
    const [least = 0, most = 0] = [counts.at(0), counts.at(-1)];
    const perDevice = (measured.get(most) ?? []).map(
      (many, round) => (many - (measured.get(least)?.[round] ?? 0)) / (most - least),
    );
    return [...rows, { name: "each further device", unit: "MiB", ours: spread(perDevice), bar: "< 2 MiB" }];
  },
};

async function residentMib(count: number): Promise<number> {
  const addresses = Array.from({ length: count }, (_, i) => `127.26.18.${i + 1}`);
  const devices = await startDevices(addresses);
  try {
    return (await devices.memory()).rssMib;
  } finally {
    await devices.stop();
  }
}
