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
  /** Settles when a start that is under way has its process. */
  #forked: Promise<unknown> = Promise.resolve();

  constructor(devices: readonly { readonly description: DeviceDescription; readonly stateDir: string }[]) {
    this.#devices = devices.map(({ description, stateDir }) => ({ description, stateDir }));
  }

  /** Starts the process and resolves when all its devices listen. @throws the error that the process reports. */
  async start(): Promise<void> {
    const forking = this.#fork();
    this.#forked = forking;
    await listening(await forking);
  }

  /** Kills the process as a power cut would: no code of it runs any more. */
  async kill(): Promise<void> {
    await this.#forked;
    this.#child?.kill("SIGKILL");
    await this.#gone;
  }

  /** Asks the process to stop and resolves when it is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forked;
    const child = this.#child;
    if (child?.connected === true) child.send({ type: "stop" } satisfies ToDevice, () => undefined);
    const force = setTimeout(() => child?.kill("SIGKILL"), 5000);
    await this.#gone;
    clearTimeout(force);
  }

  async #fork(): Promise<ChildProcess> {
    await this.#gone;
    const isSource = import.meta.filename.endsWith(".ts");
    const child = fork(
      fileURLToPath(new URL(isSource ? "./device-process.ts" : "./device-process.js", import.meta.url)),
      {
        execArgv: isSource ? ["--conditions=@cipsec/source", "--no-warnings"] : [],
        // Whatever a device process prints must not stand between the results of ours.
        stdio: ["ignore", 2, 2, "ipc"],
      },
    );
    this.#child = child;
    this.#gone = new Promise((resolve) => child.once("exit", () => resolve()));
    const message: ToDevice = { type: "start", devices: this.#devices };
    // A process that is killed before it hears this is told by its exit.
    child.send(message, () => undefined);
    return child;
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
