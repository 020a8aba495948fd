import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deviceSubjects, startPlant } from "./assessments/plant.ts";
import { devicePage, hostPage, indexPage, paperPage, type Page } from "./assessments/pages.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "docs", "assessments");

/**
 * Assesses three commissioned lab devices, and this machine where it may, by the commands that an assessor uses, and writes what came
 * of it to docs/assessments. Nothing of this machine but verdicts is written.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { "no-host": { type: "boolean" }, keep: { type: "string" } } });
  const work = values.keep ?? (await mkdtemp(join(tmpdir(), "cipsec-assessments-")));
  const pages: Page[] = [];
  try {
    await using plant = await startPlant(work);
    for (const subject of deviceSubjects) {
      console.log(`assessing ${subject.title}`);
      const assessment = await plant.assess(subject.words);
      pages.push(devicePage(subject, assessment));
      if (subject.file === "modern.md") pages.push(paperPage(assessment));
    }
    if (values["no-host"] !== true) {
      console.log("assessing this machine: some minutes");
      pages.push(hostPage(await plant.assess(["host", "--login-samples", "20"])));
    }
  } finally {
    if (values.keep === undefined) await rm(work, { recursive: true, force: true });
  }
  await mkdir(folder, { recursive: true });
  for (const { file, text } of [...pages, indexPage(pages)]) await writeFile(join(folder, file), text);
  spawnSync(process.execPath, [join(root, "node_modules/oxfmt/bin/oxfmt"), folder], { stdio: "inherit" });
  console.log(`written to docs/assessments: ${pages.map(({ file }) => file).join(", ")}`);
}

await main();
