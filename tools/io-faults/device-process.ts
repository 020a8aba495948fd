import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescription, startTarget } from "@cipsec/target";
import { answering } from "./answering.ts";
import {
  connections,
  faultOctets,
  firstOutput,
  inputInstance,
  monotonicMs,
  type DeviceState,
  type Start,
} from "./messages.ts";

/*
 * The device: its input counts up, its outputs must count up too, and when an owner is gone take the octets of their fault state.
 */

const countEveryMs = 5;

answering(async ({ addresses }: Start) => {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-io-faults-"));
  const outputs = Array.from({ length: connections }, (_, i) => firstOutput + i);
  const target = await startTarget({
    stateDir: folder,
    description: readDescription({
      name: "fault target",
      identity: {
        vendorId: 0xffff,
        productCode: 7,
        revision: { major: 1, minor: 1 },
        serialNumber: 0xfa17,
        productName: "Fault target",
      },
      address: addresses.device,
      security: null,
      assemblies: [
        { instance: inputInstance, kind: "input", size: 4 },
        ...outputs.map((instance) => ({ instance, kind: "output", size: 4, faultState: { hex: faultOctets } })),
      ],
      connections: outputs.map((consume) => ({
        name: `owner of ${consume}`,
        type: "exclusive-owner",
        consume,
        produce: inputInstance,
      })),
    }),
  });
  await rm(folder, { recursive: true, force: true });
  const timeouts: { instance: number; atMs: number; octets: string }[] = [];
  const counts = { backwards: 0, outputs: 0 };
  for (const instance of outputs) {
    let last = 0;
    target.assemblies.onOutput(instance, (data, state) => {
      const octets = Buffer.from(data);
      if (state === "timeout") timeouts.push({ instance, atMs: monotonicMs(), octets: octets.toString("hex") });
      if (state !== "run") return;
      counts.outputs += 1;
      const value = octets.readUInt32LE(0);
      if (value < last) counts.backwards += 1;
      last = value;
    });
  }
  let count = 0;
  setInterval(() => {
    count += 1;
    const data = Buffer.alloc(4);
    data.writeUInt32LE(count);
    target.assemblies.setInput(inputInstance, data);
  }, countEveryMs);
  return (): DeviceState => ({
    connections: target.io.connections,
    timeouts: timeouts.slice(-2 * connections),
    ...counts,
    stale: target.io.dropped.stale,
  });
});
