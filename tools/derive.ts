import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { derivations, type Derivation } from "./derivations.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The derivations whose checked-in text differs from what the sources say now, or is missing. */
export function stale(all: readonly Derivation[] = derivations()): readonly Derivation[] {
  return all.filter(({ file, text }) => checkedIn(file) !== text);
}

function checkedIn(file: string): string | undefined {
  try {
    return readFileSync(join(root, file), "utf8");
  } catch {
    return undefined;
  }
}

/** `derive` writes what is stale; `derive --check` only names it and fails. */
function main(check: boolean): void {
  const outdated = stale();
  for (const { file, text } of outdated) {
    console.log(`${file}: ${check ? "differs from the sources" : "written"}`);
    if (check) continue;
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  if (outdated.length === 0) console.log("all derived files are current");
  if (check && outdated.length > 0) {
    console.log("Fix: run npm run derive and commit the files");
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main(process.argv.includes("--check"));
