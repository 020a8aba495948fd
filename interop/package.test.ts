import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("..", import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
}

const manifests: readonly Manifest[] = await Promise.all((await packageFolders()).map((folder) => manifestOf(folder)));
const libraries = manifests.map(({ name }) => name).filter((name) => name.startsWith("@cipsec/"));

/** What a stranger gets: the tarballs, installed where nothing of the checkout can be found. */
describe("the published packages", () => {
  let folder: string;
  let installed: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "cipsec-package-"));
    const tarballs = join(folder, "tarballs");
    installed = join(folder, "installed");
    await mkdir(tarballs);
    await mkdir(installed);
    await run(process.execPath, ["tools/scripts.mjs", "build"], root);
    await run("npm", ["pack", "--workspaces", "--ignore-scripts", "--pack-destination", tarballs], root);
    await writeFile(join(installed, "package.json"), JSON.stringify(consumer(tarballs)));
    await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"], installed);
  }, 240_000);

  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test.each(manifests)("$name carries its build, types, maps and licence, and no sources", async ({ name }) => {
    const files = await readdir(join(installed, "node_modules", name), { recursive: true });
    expect(files).toEqual(expect.arrayContaining(["LICENSE", "package.json", "dist/index.js", "dist/index.js.map"]));
    expect(files).toEqual(expect.arrayContaining(["dist/index.d.ts", "dist/index.d.ts.map"]));
    expect(files.filter((file) => /^(src|test)\b|tsbuildinfo/.test(file))).toEqual([]);
  });

  test.each(libraries)("import of %s offers names", async (name) => {
    const script = `console.log(JSON.stringify(Object.keys(await import(${JSON.stringify(name)}))))`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", script], installed);
    expect(JSON.parse(stdout)).not.toEqual([]);
  });

  test("cipsec --version", async () => {
    const command = manifests.find(({ name }) => name === "cipsec");
    const { stdout } = await run(process.execPath, ["node_modules/.bin/cipsec", "--version"], installed);
    expect(stdout.trim()).toBe(command?.version);
  });
});

/**
 * The manifest of a project that installs every tarball. The overrides make npm take our packages from the tarballs also
 * where one of them names another: the registry is asked for other people's packages only.
 */
function consumer(tarballs: string) {
  const file = ({ name, version }: Manifest) => `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
  const dependencies = manifests.map((each) => [each.name, `file:${join(tarballs, file(each))}`]);
  const overrides = manifests.map(({ name }) => [name, `$${name}`]);
  const fields = { dependencies: Object.fromEntries(dependencies), overrides: Object.fromEntries(overrides) };
  return { private: true, type: "module", ...fields };
}

/** Runs a program to its end, two minutes at most; when it fails, the error shows all that it printed. */
async function run(command: string, args: readonly string[], cwd: string) {
  // Without the settings that an outer npm run passes down; they belong to the checkout.
  const outer = /^npm_(?!config_(cache|registry))/i;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !outer.test(name)));
  try {
    return await exec(command, args, { cwd, env: { ...env, NODE_OPTIONS: "" }, maxBuffer: 1 << 24, timeout: 120_000 });
  } catch (error) {
    const printed = error instanceof Error && "stdout" in error && typeof error.stdout === "string" ? error.stdout : "";
    throw new Error(`${command} ${args.join(" ")} failed:\n${printed}`, { cause: error });
  }
}

async function packageFolders(): Promise<readonly string[]> {
  const groups = await Promise.all(
    ["packages", "apps"].map(async (group) =>
      (await readdir(join(root, group))).map((name) => join(root, group, name)),
    ),
  );
  return groups.flat();
}

async function manifestOf(folder: string): Promise<Manifest> {
  const manifest: Manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  return manifest;
}
