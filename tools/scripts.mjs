// The npm scripts beside start and test: each sets up what is missing and runs its programs on the project's own Node.
import { copyFileSync, existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root, run, say } from "./process.mjs";
import { pinnedNode, setUp } from "./setup.mjs";

const source = ["--conditions=@cipsec/source", "--no-warnings"];
const vitest = "node_modules/vitest/vitest.mjs";

/** What `npm run check` runs, and `npm test` before its tests. */
export const checks = [
  { name: "types", args: ["node_modules/typescript/bin/tsc", "-p", "tsconfig.check.json"] },
  { name: "lint", args: ["node_modules/oxlint/bin/oxlint", "--type-aware", "--deny-warnings"] },
  { name: "format", args: ["node_modules/oxfmt/bin/oxfmt", "--check"] },
];

const scripts = {
  build: {
    steps: [{ name: "build", args: ["node_modules/typescript/bin/tsc", "-b", "tsconfig.build.json"] }],
    before: removeBuilds,
    after: copyLicence,
  },
  check: { steps: checks },
  "test:interop": { steps: [{ name: "interoperability", args: [vitest, "run", "interop"] }], withPeers: true },
  bench: { steps: [{ name: "benchmarks", args: [...source, "bench/main.ts"] }], withPeers: true },
  derive: { steps: [{ name: "derive", args: [...source, "tools/derive.ts"] }] },
  fuzz: { steps: [{ name: "fuzz", args: [...source, "tools/fuzz.ts"] }] },
  "kill-campaign": { steps: [{ name: "kill campaign", args: [...source, "tools/kill-campaign.ts"] }] },
  "io-faults": { steps: [{ name: "I/O faults", args: [...source, "tools/io-faults.ts"] }] },
  "host-campaign": { steps: [{ name: "host campaign", args: [...source, "tools/host-campaign.ts"] }] },
  "dtls-io-soak": { steps: [{ name: "soak of I/O over DTLS", args: [...source, "tools/dtls-io-soak.ts"] }] },
  "ten-years": { steps: [{ name: "ten years", args: [...source, "tools/ten-years.ts"] }] },
  assessments: { steps: [{ name: "assessments", args: [...source, "tools/assessments.ts"] }] },
  fix: {
    steps: [
      { name: "lint", args: ["node_modules/oxlint/bin/oxlint", "--type-aware", "--fix"] },
      { name: "format", args: ["node_modules/oxfmt/bin/oxfmt"] },
    ],
  },
};

/** Runs a step on the pinned Node, saying how long it took. */
export async function runStep({ name, args }, { node = pinnedNode } = {}) {
  const began = performance.now();
  const code = await run(node, args);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  say(code === 0 ? `${name}: passed in ${seconds} s` : `${name}: FAILED with exit code ${code} after ${seconds} s`);
  return code;
}

/** Starts from nothing, so that no tarball carries what a deleted source left behind. */
function removeBuilds() {
  for (const folder of packageFolders()) rmSync(join(folder, "dist"), { recursive: true, force: true });
}

/** Every tarball carries the licence; npm packs it from the package's own folder. */
function copyLicence() {
  for (const folder of packageFolders()) copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
}

function packageFolders() {
  const folders = ["packages", "apps"].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(root, group, name)),
  );
  return folders.filter((folder) => existsSync(join(folder, "package.json")));
}

async function main([name, ...rest]) {
  const script = scripts[name];
  if (!script) {
    say(`no script is named ${name ?? "(nothing)"}. Fix: use one of ${Object.keys(scripts).join(", ")}`);
    return 2;
  }
  await setUp({ withPeers: script.withPeers ?? false });
  script.before?.();
  let failed = 0;
  for (const step of script.steps) {
    // Options given after `--` belong to the script's last program.
    const args = step === script.steps.at(-1) ? [...step.args, ...rest] : step.args;
    failed ||= await runStep({ ...step, args });
  }
  if (failed === 0) script.after?.();
  return failed;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = await main(process.argv.slice(2));
