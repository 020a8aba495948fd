import { run } from "./program.ts";

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
// A reader that has seen enough (`| head`) is no error.
process.stdout.on("error", () => process.exit(0));

await run(process.argv.slice(2), {
  streams: { out: process.stdout, err: process.stderr },
  environment: process.env,
  signal: stop.signal,
  exit: (code) => {
    process.exitCode = code;
  },
});
