import { join } from "node:path";
import { startLab, type Lab, type LabDevice } from "../../packages/lab/src/lab.ts";
import { mixedPlant, type PlannedDevice } from "../../packages/lab/src/plant.ts";
import { setTimeout as sleep } from "node:timers/promises";
import {
  connect,
  identify,
  parseTarget,
  securityReport,
  cipStateName,
  etherNetIpStateName,
  type SecurityOptions,
} from "@cipsec/originator";
import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { BugError } from "@cipsec/wire";

/** One virtual device in a process of its own, at factory default. */
export interface Victim extends AsyncDisposable {
  readonly name: string;
  readonly address: string;
  readonly serial: number;
  readonly device: LabDevice;
}

type Description = PlannedDevice["description"];

/** Both security states, in words. */
export interface States {
  readonly cip: string;
  readonly ethernetIp: string;
}

/** Starts a modern device that has never run before; `change` says what is different from the lab's. */
export async function freshVictim(
  folder: string,
  address: string,
  change: (planned: Description) => Promise<Description> = (planned) => Promise.resolve(planned),
): Promise<Victim> {
  const [planned] = mixedPlant(1);
  if (planned === undefined) throw new BugError("bug/unreachable", "a plant of one has no device");
  const description = await change({ ...planned.description, address });
  const lab: Lab = await startLab({ dataDir: join(folder, "lab"), devices: [{ ...planned, description }] });
  const [device] = lab.devices;
  if (device === undefined) throw new BugError("bug/unreachable", "the plant lost its device");
  return {
    name: description.name,
    address,
    serial: description.identity.serialNumber,
    device,
    [Symbol.asyncDispose]: () => lab.close(),
  };
}

/** Cuts its power once more, so long after it began to start. */
export async function killWhileStarting({ device }: Victim, afterMs: number): Promise<void> {
  // The start fails where the kill was quicker: that is what it is for.
  const started = device.restart().catch(() => undefined);
  await sleep(afterMs);
  await device.kill();
  await started;
}

/** States as the device tells anybody, by ListIdentity. */
export async function announcedStates(address: string): Promise<States | undefined> {
  const reply = await identify(address, { timeoutMs: 2000 });
  const report = securityReport(reply?.security);
  return report === null ? undefined : { cip: report.cipState, ethernetIp: report.ethernetIpState };
}

/** States as the device tells over TLS; who it is counts only where `security` says so. */
export async function readStates(address: string, security: SecurityOptions): Promise<States> {
  await using session = await connect(parseTarget(`eips://${address}`), { security, reconnect: false });
  return {
    cip: cipStateName(await session.object(CipSecurity, 1).get("state")),
    ethernetIp: etherNetIpStateName(await session.object(EtherNetIpSecurity, 1).get("state")),
  };
}

/** What is wrong with states that a device must not be found in after its power came back; nothing when they are fine. */
export function wrongStates({ cip, ethernetIp }: States): string | undefined {
  const isFactory = cip === "factory-default" && ethernetIp === "factory-default";
  const isConfigured = cip === "configured" && ethernetIp === "configured";
  if (isFactory || isConfigured || cip === "incomplete") return undefined;
  return `it says ${cip} / ${ethernetIp}`;
}
