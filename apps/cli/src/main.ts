import { UsageError } from "@cipsec/wire";
import { ExitCode } from "./exit-codes.ts";
import { run } from "./program.ts";

const stop = new AbortController();

/** A terminal sends Ctrl-C to every process of the command, so it may come twice for one press; later it means "now". */
const pressMs = 1000;
let interruptedAt = 0;

function interrupt(): void {
  const now = performance.now();
  if (!stop.signal.aborted) {
    interruptedAt = now;
    stop.abort(new UsageError("usage/interrupted", "interrupted"));
  } else if (now - interruptedAt > pressMs) process.exit(ExitCode.interrupted);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
// In a checkout another process starts this one; when that is killed, this one stops too.
process.on("disconnect", interrupt);
process.channel?.unref();

// A reader that has seen enough (`| head`) is no error; a full disk is one.
process.stdout.on("error", (error) => {
  const isClosed = "code" in error && error.code === "EPIPE";
  if (!isClosed) process.stderr.write(`error: cannot write the output: ${error.message}\n`);
  process.exit(isClosed ? ExitCode.ok : ExitCode.usage);
});
process.stderr.on("error", () => process.exit(ExitCode.usage));

let isDone = false;
process.on("exit", () => {
  if (isDone || process.exitCode !== undefined) return;
  process.stderr.write("error: the command ended without a result. This is a fault in cipsec: please report it.\n");
  process.exitCode = ExitCode.bug;
});

void run(process.argv.slice(2), {
  streams: { out: process.stdout, err: process.stderr },
  environment: process.env,
  signal: stop.signal,
  exit: (code) => {
    isDone = true;
    process.exitCode = code;
  },
});
