import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { BugError } from "@cipsec/wire";
import type { DeviceState, Impairment, Memory, Question, RelayState, ScannerState, Stall, Start } from "./messages.ts";
import type { Network } from "./network.ts";

/** The three processes of a run. */
export interface Parties {
  readonly impair: (impairment: Impairment) => Promise<void>;
  readonly relay: () => Promise<RelayState>;
  readonly device: () => Promise<DeviceState>;
  readonly scanner: () => Promise<ScannerState>;
  readonly memory: () => Promise<{ readonly device: Memory; readonly scanner: Memory }>;
  /** The longest that the machine held one of them up since this was asked last, milliseconds. */
  readonly stalledMs: () => Promise<number>;
  readonly stop: () => void;
}

/** Starts device, relay and scanner, each where the network has it. */
export async function startParties(network: Network, seed: number): Promise<Parties> {
  const started: Party[] = [];
  const stop = (): void => {
    for (const party of started) party.stop();
  };
  const add = async (role: "device" | "relay" | "scanner"): Promise<Party> => {
    const party = startParty(role, network.within[role]);
    started.push(party);
    await party.ask({ addresses: network.addresses, seed });
    return party;
  };
  try {
    const [device, relay, scanner] = [await add("device"), await add("relay"), await add("scanner")];
    return {
      impair: async (impairment) => void (await relay.ask({ ask: "impair", impairment })),
      relay: async () => (await relay.ask({ ask: "state" })) as RelayState,
      device: async () => (await device.ask({ ask: "state" })) as DeviceState,
      scanner: async () => (await scanner.ask({ ask: "state" })) as ScannerState,
      memory: async () => ({
        device: (await device.ask({ ask: "memory" })) as Memory,
        scanner: (await scanner.ask({ ask: "memory" })) as Memory,
      }),
      stalledMs: async () => {
        const all = await Promise.all(started.map((party) => party.ask({ ask: "stall" })));
        return Math.max(...all.map((one) => (one as Stall).stalledMs));
      },
      stop,
    };
  } catch (error) {
    stop();
    throw error;
  }
}

interface Party {
  ask(question: Start | Question): Promise<unknown>;
  stop(): void;
}

function startParty(role: string, within: readonly string[]): Party {
  const file = fileURLToPath(new URL(`${role}-process.ts`, import.meta.url));
  const node = [process.execPath, "--conditions=@cipsec/source", "--no-warnings", "--expose-gc", file];
  const [command = "", ...args] = [...within, ...node];
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  let queue: Promise<unknown> = Promise.resolve();
  const one = (question: Start | Question): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const ended = (): void => reject(new BugError("bug/unreachable", `the ${role} process ended`));
      if (!child.connected) return ended();
      child.once("exit", ended);
      child.once("message", (answer: unknown) => {
        child.off("exit", ended);
        resolve(answer);
      });
      child.send(question);
    });
  return {
    ask: (question) => (queue = queue.then(() => one(question))),
    stop: () => void child.kill("SIGKILL"),
  };
}

/** Asks until what comes satisfies `check`; the last answer, and whether it did in time. */
export async function until<T>(
  ask: () => Promise<T>,
  check: (value: T) => boolean,
  timeoutMs: number,
): Promise<{ readonly value: T; readonly isMet: boolean }> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (check(value)) return { value, isMet: true };
    if (performance.now() > end) return { value, isMet: false };
    await sleep(10);
  }
}
