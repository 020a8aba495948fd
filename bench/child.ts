import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

/** A process of a benchmark that serves until it is stopped. */
export interface Server {
  /** Sends a message and gives the next that comes back. */
  ask(question: object): Promise<unknown>;
  stop(): void;
}

/** Starts `file` of this folder, gives it its order and waits until it listens. */
export async function startServer(file: string, order: object): Promise<Server> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    execArgv: ["--conditions=@cipsec/source", "--no-warnings"],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const ask = (question: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const ended = (code: number | null): void => reject(new Error(`${file} ended with ${code}`));
      child.once("exit", ended);
      child.once("message", (answer: unknown) => {
        child.off("exit", ended);
        resolve(answer);
      });
      child.send(question);
    });
  await ask(order);
  return { ask, stop: () => void child.kill("SIGKILL") };
}
