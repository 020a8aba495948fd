import { join } from "node:path";
import { makePrivateFolder, writeFileAtomic } from "@cipsec/pki";
import { readDescription, type DeviceDescription, type SecurityDescription } from "@cipsec/target";
import { DeviceProcess } from "./process.ts";
import type { DeviceKind, PlannedDevice } from "./plant.ts";
import { openFactory, type Birth, type Factory } from "./vendor.ts";

/** A virtual device as it runs. */
export interface LabDevice {
  readonly kind: DeviceKind;
  readonly description: DeviceDescription;
  /** Cuts its power: the process is killed at once. Other devices of the same process die with it. */
  kill(): Promise<void>;
  /** Starts it again from what it had saved. */
  restart(): Promise<void>;
}

/** How a lab runs. */
export interface LabOptions {
  /** Folder for the vendor authority and each device's description and state. */
  readonly dataDir: string;
  readonly devices: readonly PlannedDevice[];
  /** Devices that share a process; 1 gives each its own, so that its power can be cut alone. */
  readonly devicesPerProcess?: number;
  readonly now?: () => Date;
}

/** A running virtual plant. */
export interface Lab extends AsyncDisposable {
  readonly devices: readonly LabDevice[];
  /** PEM of the virtual vendor's root: who trusts it knows the devices in their box. */
  readonly vendorRootPem: string;
  /** Stops every device and resolves when their processes are gone. */
  close(): Promise<void>;
}

/**
 * Starts a virtual plant: real targets on loopback addresses, each with its own saved state below `dataDir`.
 *
 * @throws the error of the first device that does not start; the others are stopped then.
 */
export async function startLab({
  dataDir,
  devices,
  devicesPerProcess = 1,
  now = () => new Date(),
}: LabOptions): Promise<Lab> {
  await makePrivateFolder(dataDir);
  const factory = await openFactory(dataDir, now);
  const described: { kind: DeviceKind; description: DeviceDescription; stateDir: string }[] = [];
  for (const { kind, description, birth = "genuine" } of devices) {
    const folder = join(dataDir, "devices", description.name);
    await makePrivateFolder(folder);
    const security = await factorySecurity(factory, folder, description, birth);
    const whole = readDescription({ ...description, security });
    await writeFileAtomic(join(folder, "device.json"), `${JSON.stringify(whole, undefined, 2)}\n`);
    described.push({ kind, description: whole, stateDir: join(folder, "state") });
  }
  const groups: { process: DeviceProcess; members: typeof described }[] = [];
  for (let i = 0; i < described.length; i += devicesPerProcess) {
    const members = described.slice(i, i + devicesPerProcess);
    groups.push({ process: new DeviceProcess(members), members });
  }
  const close = async (): Promise<void> => {
    await Promise.all(groups.map(({ process }) => process[Symbol.asyncDispose]()));
  };
  try {
    await Promise.all(groups.map(({ process }) => process.start()));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    devices: groups.flatMap(({ process, members }) =>
      members.map(({ kind, description }) => ({
        kind,
        description,
        kill: () => process.kill(),
        restart: () => process.start(),
      })),
    ),
    vendorRootPem: String(factory.vendor.export({ what: "anchors", as: "pem" })),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What a device has from the factory: its own default certificate, or one that the lab's vendor signs. */
async function factorySecurity(
  factory: Factory,
  folder: string,
  { security, identity }: PlannedDevice["description"],
  birth: Birth,
): Promise<SecurityDescription | null> {
  if (security === null) return null;
  const defaultCertificate = security.defaultCertificate ?? (await factory.equip(folder, identity, birth));
  return { ...security, defaultCertificate };
}
