import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

/** Runs a program of one wait; what it awaits prints "done". */
function runAwaiting(wait: string): { readonly code: number | null; readonly out: string } {
  const clock = new URL("../src/clock.ts", import.meta.url).href;
  const program = `import { systemClock } from ${JSON.stringify(clock)};
    await new Promise((done) => void systemClock.after(50, done${wait}));
    console.log("done");`;
  const { status, stdout } = spawnSync(process.execPath, ["--no-warnings", "--input-type=module", "--eval", program], {
    encoding: "utf8",
  });
  return { code: status, out: stdout };
}

test("a wait that work goes on after keeps the process alive", () => {
  expect(runAwaiting(", true")).toEqual({ code: 0, out: "done\n" });
});

test("any other timer lets the process end", () => {
  // Node's code for a process that ends while something is still awaited.
  expect(runAwaiting("")).toEqual({ code: 13, out: "" });
});
