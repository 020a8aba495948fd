import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FromDevice, ToDevice } from "./device-process.ts";

/** Memory of a process in MiB, after a collection. */
export interface Memory {
  readonly rssMib: number;
  readonly heapMib: number;
}

/** Devices in a process of their own, so that their memory and their death can be seen from outside. */
export interface DeviceProcess {
  /** Ports that are open now, device by device; none of a process that has ended. */
  ports(): Promise<readonly OpenPortNumbers[]>;
  memory(): Promise<Memory>;
  /** Events of all devices so far, by name. */
  events(): Promise<Readonly<Record<string, number>>>;
  /** Why the process ended without being asked to; `undefined` while it runs. */
  readonly death: string | undefined;
  stop(): Promise<void>;
}

/** What a device listens on. */
export interface OpenPortNumbers {
  readonly eip?: number;
  readonly eipUdp?: number;
  readonly eips?: number;
}

/** A question that stays unanswered so long means that the process hangs. */
const answerMs = 60_000;

/**
 * Starts devices, one for each address, all in one process.
 *
 * @param changed Entries of the description that differ from an ordinary modern device.
 */
export async function startDevices(
  addresses: readonly string[],
  changed: Readonly<Record<string, unknown>> = {},
): Promise<DeviceProcess> {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-devices-"));
  const child = fork(fileURLToPath(new URL("device-process.ts", import.meta.url)), [], {
    execArgv: ["--conditions=@cipsec/source", "--no-warnings", "--expose-gc"],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  const errors: Buffer[] = [];
  child.stderr?.on("data", (bytes: Buffer) => errors.push(bytes));
  let death: string | undefined;
  const gone = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      death = `ended with ${signal ?? code}: ${Buffer.concat(errors).toString().trim().slice(-2000)}`;
      resolve();
    });
  });
  const devices = addresses.map((address, i) => ({
    folder: join(folder, `${i}`),
    description: describe(address, i, changed),
  }));
  await ask(child, { type: "start", devices });
  return {
    ports: async () =>
      death === undefined ? ((await ask(child, { type: "ports" }).catch(() => undefined))?.ports ?? []) : [],
    memory: async () => (await ask(child, { type: "memory" })).memory ?? { rssMib: 0, heapMib: 0 },
    events: async () => (await ask(child, { type: "events" })).events ?? {},
    get death() {
      return death;
    },
    async stop() {
      if (death === undefined) child.kill("SIGKILL");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What every device of these processes is; its product name says which one. */
export function productName(i: number): string {
  return `Device under test ${i}`;
}

function describe(address: string, i: number, changed: Readonly<Record<string, unknown>>): unknown {
  return {
    name: `device-${i}`,
    identity: {
      vendorId: 0xffff,
      productCode: 7,
      revision: { major: 1, minor: 1 },
      serialNumber: 0x1000 + i,
      productName: productName(i),
    },
    address,
    assemblies: [
      { instance: 100, kind: "input", size: 32 },
      { instance: 101, kind: "output", size: 32 },
    ],
    ...changed,
  };
}

async function ask(child: ChildProcess, message: ToDevice): Promise<FromDevice> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(() => reject(new Error(`no answer to ${message.type}`))), answerMs);
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      child.off("message", onMessage);
      child.off("exit", onExit);
      act();
    };
    const onMessage = (answer: FromDevice): void => {
      if (answer.type === "failed") settle(() => reject(new Error(answer.error)));
      else if (answer.type === message.type) settle(() => resolve(answer));
    };
    const onExit = (): void => settle(() => reject(new Error("the device process ended")));
    child.on("message", onMessage);
    child.on("exit", onExit);
    if (child.connected) child.send(message);
    else onExit();
  });
}
