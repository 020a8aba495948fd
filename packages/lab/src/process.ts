import { fork, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DeviceDescription } from "@cipsec/target";
import { StateError, TransportError, UsageError } from "@cipsec/wire";
import type { FromDevice, ToDevice } from "./messages.ts";

/** A process that runs one device or several, and can be killed and started again. */
export class DeviceProcess implements AsyncDisposable {
  readonly #devices: readonly { readonly description: DeviceDescription; readonly stateDir: string }[];
  #child: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();

  constructor(devices: readonly { readonly description: DeviceDescription; readonly stateDir: string }[]) {
    this.#devices = devices.map(({ description, stateDir }) => ({ description, stateDir }));
  }

  /** Starts the process and resolves when all its devices listen. @throws the error that the process reports. */
  async start(): Promise<void> {
    await this.#gone;
    const isSource = import.meta.filename.endsWith(".ts");
    const child = fork(
      fileURLToPath(new URL(isSource ? "./device-process.ts" : "./device-process.js", import.meta.url)),
      {
        execArgv: isSource ? ["--conditions=@cipsec/source", "--no-warnings"] : [],
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      },
    );
    this.#child = child;
    this.#gone = new Promise((resolve) => child.once("exit", () => resolve()));
    const message: ToDevice = { type: "start", devices: this.#devices };
    child.send(message);
    await listening(child);
  }

  /** Kills the process as a power cut would: no code of it runs any more. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#gone;
  }

  /** Asks the process to stop and resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.connected) child.send({ type: "stop" } satisfies ToDevice);
    const force = setTimeout(() => child?.kill("SIGKILL"), 5000);
    await this.#gone;
    clearTimeout(force);
  }
}

function listening(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("message", (message: FromDevice) => {
      if (message.type === "listening") resolve();
      else reject(reported(message.code, message.message));
    });
    child.once("exit", (code, signal) =>
      reject(
        new TransportError(
          "transport/closed",
          `a device process ended before it listened (${signal ?? `code ${code}`})`,
        ),
      ),
    );
  });
}

/** The error of the process, as one of ours. */
function reported(code: string, message: string): Error {
  if (code.startsWith("usage/")) return new UsageError("usage/file", message);
  if (code.startsWith("state/")) return new StateError("state/corrupt", message);
  return new TransportError("transport/address", message);
}
