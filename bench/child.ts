import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A process of a benchmark that serves until it is stopped. */
export interface Server {
  stop(): void;
}

/** Starts `file` of this folder, gives it its order and waits until it listens. */
export async function startServer(file: string, order: object): Promise<Server> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    execArgv: ["--conditions=@cipsec/source", "--no-warnings"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  await new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve());
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)));
    child.send(order);
  });
  return { stop: () => void child.kill("SIGKILL") };
}
