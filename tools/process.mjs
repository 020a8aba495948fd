// Runs other programs. Plain JavaScript: it works on the machine's own Node, before anything is installed.
import { spawn, spawnSync } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

/** The checkout; every command runs there. */
export const root = fileURLToPath(new URL("..", import.meta.url));

/** Prints one line about what the project's own tools are doing, apart from the output of what they run. */
export function say(line) {
  process.stderr.write(`cipsec: ${line}\n`);
}

/**
 * Runs a program in the checkout, its output visible, and passes on the signals that ask this process to end,
 * so that stopping the tool stops what it started.
 *
 * @param options.env Variables added to this process's own.
 * @param options.stdin "ignore" for programs that must never wait for a person.
 * @returns The exit code, 128 plus the signal's number when one ended it (as shells do), 127 when it could not start.
 */
export function run(command, args, { env = {}, stdin = "ignore" } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: [stdin, "inherit", "inherit"],
    });
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    const pass = (signal) => child.kill(signal);
    for (const signal of signals) process.on(signal, pass);
    const done = (code) => {
      for (const signal of signals) process.off(signal, pass);
      resolve(code);
    };
    child.on("error", (error) => {
      say(`cannot start ${command}: ${error.message}`);
      done(127);
    });
    child.on("exit", (code, signal) => done(signal ? 128 + constants.signals[signal] : code));
  });
}

/** Runs a short program silently; its standard output, or `undefined` when it is missing or fails. */
export function output(command, args) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  return result.status === 0 ? result.stdout : undefined;
}
