#!/usr/bin/env node
// Starts the command. In a checkout it runs the sources on the project's own Node; installed, it runs the build.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const sources = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const [major, minor] = process.versions.node.split(".").map(Number);
const newEnough = major > 22 || (major === 22 && minor >= 18);

if (!existsSync(sources)) {
  if (!newEnough) {
    console.error(
      `cipsec needs Node 22.18 or newer; this is ${process.version}. Fix: install a current Node, then run cipsec again.`,
    );
    process.exit(2);
  }
  await import(new URL("../dist/main.js", import.meta.url).href);
} else {
  // Sources use syntax that only a current Node runs unbuilt.
  const node = createRequire(import.meta.url).resolve("node/bin/node");
  const child = spawn(node, ["--conditions=@cipsec/source", "--no-warnings", sources, ...process.argv.slice(2)], {
    // By the channel the command notices when this process is killed.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : (code ?? 70)));
}
