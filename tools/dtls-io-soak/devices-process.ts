import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescription, startTarget, type Target } from "@cipsec/target";
import { answering, dataOctets, deviceAddress, firstOutput, inputInstance, type DevicesFigures } from "./messages.ts";

/*
 * All devices of a run: as they leave the factory, with the ports of TLS, DTLS and discovery, and no plain ones.
 */

answering("devices", async ({ devices }) => {
  const folder = await mkdtemp(join(tmpdir(), "cipsec-dtls-soak-"));
  process.once("exit", () => void rm(folder, { recursive: true, force: true }));
  const outputs = Array.from({ length: devices.connectionsEach }, (_, i) => firstOutput + i);
  const targets: Target[] = [];
  let timeouts = 0;
  for (let i = 0; i < devices.count; i += 1) {
    const description = readDescription({
      name: `device ${i}`,
      identity: {
        vendorId: 0xffff,
        productCode: 7,
        revision: { major: 1, minor: 1 },
        serialNumber: 0x50a0_0000 + i,
        productName: "Soak",
      },
      address: deviceAddress(devices, i),
      ports: { eip: null, io: null },
      security: {},
      assemblies: [
        { instance: inputInstance, kind: "input", size: dataOctets },
        ...outputs.map((instance) => ({ instance, kind: "output", size: dataOctets })),
      ],
      connections: outputs.map((consume) => ({
        name: `owner of ${consume}`,
        type: "exclusive-owner",
        consume,
        produce: inputInstance,
      })),
    });
    const target = await startTarget({ stateDir: join(folder, String(i)), description });
    for (const instance of outputs)
      target.assemblies.onOutput(instance, (_, state) => void (state === "timeout" && (timeouts += 1)));
    targets.push(target);
  }
  const sum = (of: (target: Target) => number): number => targets.reduce((all, target) => all + of(target), 0);
  let dropped = 0;
  return {
    begin() {
      timeouts = 0;
      dropped = sum(({ dtls }) => dtls.dropped);
    },
    figures: (): Omit<DevicesFigures, "cpuPercent" | "residentMib" | "stalledMs"> => ({
      connections: sum(({ io }) => io.connections),
      associations: sum(({ dtls }) => dtls.associations),
      timeouts,
      dropped: sum(({ dtls }) => dtls.dropped) - dropped,
    }),
  };
});
