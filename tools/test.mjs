// `npm test`: sets up what is missing; then types, lint, format, all tests with their coverage gates, and the libraries'
// tests once more on the oldest Node that they support. With arguments (`npm test -- packages/wire`) only those tests.
// The last line sums the tests that really ran: `N passed, N failed, N skipped`.
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, say } from "./process.mjs";
import { checks, runStep } from "./scripts.mjs";
import { floorNode, pinnedNode, setUp } from "./setup.mjs";

/** Packages that others install and run on their own Node. */
const libraries = ["wire", "objects", "dtls", "pki", "capture", "transport", "target", "originator"];

/** Campaigns that kill, flood and mutate: what they look for does not depend on the Node, and they take minutes. */
const longOnes = [
  "**/fuzz-live.test.ts",
  "**/power-cut.test.ts",
  "**/store.test.ts",
  "**/captures.test.ts",
  "**/eds-text.test.ts",
];

/** They count what their process holds, so that no other file may have been in it. */
const countingOnes = ["packages/originator/test/error-replies.test.ts", "packages/target/test/public-bugs.test.ts"];

const chosen = process.argv.slice(2);
const inCi = Boolean(process.env.CI) && process.env.CI !== "false";

await setUp({ withPeers: true });

const total = { passed: 0, failed: 0, skipped: 0 };
if (chosen.length > 0) {
  await lane("tests", pinnedNode, chosen);
} else {
  for (const check of checks) if ((await runStep(check)) !== 0) total.failed += 1;
  await lane("tests", pinnedNode, ["--coverage"]);
  // Here the files of a worker share its modules, as loading them anew for each takes half of the work; above each stands alone.
  await lane("floor", floorNode, [
    "--no-isolate",
    ...libraries.map((name) => `packages/${name}/`),
    ...[...longOnes, ...countingOnes].map((glob) => `--exclude=${glob}`),
  ]);
  await lane("floor, alone", floorNode, countingOnes);
}

if (total.passed + total.failed + total.skipped === 0) {
  say(
    "no test ran, which counts as a failure. Fix: check the names given, or that vitest.config.ts includes the test files",
  );
  process.exitCode = 1;
}
if (total.failed > 0) process.exitCode = 1;
if (inCi && total.skipped > 0) {
  say(`CI is set, and there no test may be missing: ${total.skipped} skipped. Fix: see each case's reason above`);
  process.exitCode = 1;
}
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);

/** Runs vitest on one Node and adds its counts to the total. */
async function lane(name, node, args) {
  const report = join(root, ".setup", `vitest-${process.pid}.json`);
  mkdirSync(join(root, ".setup"), { recursive: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const code = await runStep(
    { name, args: ["node_modules/vitest/vitest.mjs", "run", ...reporters, ...args] },
    { node },
  );
  const counts = countsOf(report);
  rmSync(report, { force: true });
  // A failure outside any test (a threshold, a file that does not load, an unhandled rejection) still counts as one,
  // so that the closing line never says "0 failed" beside a failing exit code. The checks before are counted alike.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  for (const key of Object.keys(total)) total[key] += counts[key];
}

/** @returns What vitest's report says ran; a file that could not load counts as one failed test. */
function countsOf(report) {
  let results;
  try {
    results = JSON.parse(readFileSync(report, "utf8")).testResults;
  } catch {
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const tests = results.flatMap((file) => file.assertionResults);
  const count = (...states) => tests.filter((test) => states.includes(test.status)).length;
  const unloaded = results.filter(
    (file) => file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: count("passed"),
    failed: count("failed") + unloaded.length,
    skipped: count("skipped", "pending", "todo", "disabled"),
  };
}
