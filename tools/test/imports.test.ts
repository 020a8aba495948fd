import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** What each package may import of ours; CONTRIBUTING.md explains the table, `.oxlintrc.json` enforces it. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  objects: ["wire"],
  dtls: [],
  pki: [],
  auth: [],
  events: [],
  capture: ["wire", "dtls"],
  transport: ["wire", "dtls", "pki"],
  target: ["wire", "objects", "dtls", "pki", "auth", "events", "transport"],
  originator: ["wire", "objects", "dtls", "pki", "auth", "events", "transport"],
  gateway: ["wire", "objects", "dtls", "pki", "auth", "events", "transport", "target", "originator"],
  policy: ["wire", "objects", "dtls", "pki", "auth", "events", "transport", "originator", "capture"],
  assess: ["wire", "objects", "dtls", "pki", "auth", "events", "transport", "originator", "capture", "policy"],
  // Everything above it: the table's own rule for the virtual plant.
  lab: "wire objects dtls pki auth events capture transport target originator gateway policy assess".split(" "),
};
const packages = Object.keys(mayImport);
const withoutNode = ["wire", "objects"];
const withSockets = ["transport", "lab"];

interface Fixture {
  readonly file: string;
  readonly text: string;
  readonly refused: boolean;
}

const direction = packages.flatMap((from) =>
  packages.map((to): Fixture => ({
    file: `packages/${from}/src/imports-${to}.ts`,
    text: `import { a } from "@cipsec/${to}";\nexport const b = a;\n`,
    refused: !mayImport[from]!.includes(to),
  })),
);

/** Statements tried in every package; `refusedIn` tells where lint must stop them. */
const statements: readonly {
  readonly name: string;
  readonly text: string;
  readonly refusedIn: (p: string) => boolean;
}[] = [
  {
    name: "relative-to-another-package",
    text: `export { a } from "../../other/src/a.ts";`,
    refusedIn: () => true,
  },
  { name: "relative-to-a-build", text: `export { a } from "../dist/a.js";`, refusedIn: () => true },
  { name: "relative-inside", text: `export { a } from "./a.ts";`, refusedIn: () => false },
  { name: "own-index", text: `export { a } from "./index.ts";`, refusedIn: () => true },
  { name: "deep", text: `export { a } from "@cipsec/objects/src/a.ts";`, refusedIn: () => true },
  { name: "the-command", text: `export { a } from "cipsec";`, refusedIn: () => true },
  {
    name: "dynamic",
    text: `export const a = await import("@cipsec/nothing");`,
    refusedIn: () => true,
  },
  {
    name: "type-only",
    text: `export type { A } from "@cipsec/nothing";`,
    refusedIn: () => true,
  },
  ...["net", "dgram", "tls", "timers/promises"].map((module) => ({
    name: `node-${module.replace("/", "-")}`,
    text: `export * as a from "node:${module}";`,
    refusedIn: (p: string) => !withSockets.includes(p),
  })),
  {
    name: "node-net-address-forms",
    text: `import { isIP } from "node:net";\nexport const a = isIP;`,
    refusedIn: (p) => withoutNode.includes(p),
  },
  {
    name: "node-net-namespace",
    text: `import * as net from "node:net";\nexport const a = net.isIP;`,
    refusedIn: (p) => !withSockets.includes(p),
  },
  {
    name: "node-crypto",
    text: `export { createHash } from "node:crypto";`,
    refusedIn: (p) => withoutNode.includes(p),
  },
  { name: "node-without-prefix", text: `import { a } from "path";\nexport const b = a;`, refusedIn: () => true },
  { name: "npm", text: `export { a } from "commander";`, refusedIn: (p) => withoutNode.includes(p) },
  { name: "npm-scoped", text: `export { a } from "@peculiar/x509";`, refusedIn: (p) => withoutNode.includes(p) },
  ...["Date.now()", "performance.now()", "setTimeout(f, 1)", "setInterval(f, 1)", "globalThis.setTimeout(f, 1)"].map(
    (call, i) => ({
      name: `clock-${i}`,
      text: `const f = (): void => undefined;\nf();\nexport const a = ${call};`,
      refusedIn: (p: string) => !withSockets.includes(p),
    }),
  ),
  { name: "cast", text: `export const a = (b: unknown) => b as string;`, refusedIn: () => true },
  { name: "const-assertion", text: `export const a = { b: 1 } as const;`, refusedIn: () => false },
  { name: "console", text: `console.log("a");\nexport const a = 1;`, refusedIn: () => true },
];

const fixtures: readonly Fixture[] = [
  ...direction,
  ...packages.flatMap((p) =>
    statements.map(({ name, text, refusedIn }) => ({
      file: `packages/${p}/src/${name}.ts`,
      text: `${text}\n`,
      refused: refusedIn(p),
    })),
  ),
];

describe("lint holds the package table", () => {
  const folder = mkdtempSync(join(tmpdir(), "cipsec-lint-"));
  let refused: ReadonlySet<string>;

  beforeAll(() => {
    copyFileSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"));
    for (const { file, text } of fixtures) {
      mkdirSync(join(folder, dirname(file)), { recursive: true });
      writeFileSync(join(folder, file), text);
    }
    const oxlint = join(root, "node_modules/oxlint/bin/oxlint");
    // Typed rules need a whole project; none of the rules tried here is one.
    const config = JSON.parse(readFileSync(join(folder, ".oxlintrc.json"), "utf8"));
    writeFileSync(
      join(folder, ".oxlintrc.json"),
      JSON.stringify({ ...config, options: { ...config.options, typeAware: false } }),
    );
    const { stdout } = spawnSync(process.execPath, [oxlint, "-f", "unix"], {
      cwd: folder,
      encoding: "utf8",
      maxBuffer: 1 << 26,
    });
    refused = new Set(stdout.split("\n").flatMap((line) => /^(packages\/[^:]+):\d+:/.exec(line)?.[1] ?? []));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test.each(packages)("%s", (p) => {
    const mine = fixtures.filter(({ file }) => file.startsWith(`packages/${p}/`));
    const outcome = (isRefused: (fixture: Fixture) => boolean) =>
      mine.map((fixture) => `${fixture.file}: ${isRefused(fixture) ? "refused" : "allowed"}`);
    expect(outcome(({ file }) => refused.has(file))).toEqual(outcome((fixture) => fixture.refused));
  });
});

/** What lint has no rule for; matched on the text of every source. */
const textRules = [
  { name: "a bare Error, which carries no code and no fix", pattern: /\bthrow new (Type|Range)?Error\(/ },
  { name: "the clock, outside transport", pattern: /\bnew Date\(\)/, except: /^packages\/(transport|lab)\// },
  { name: "export *, which hides what a package offers", pattern: /^export \* from/m },
  {
    name: "an enum or namespace, which types alone cannot erase",
    pattern: /^\s*(export )?(const )?(enum|namespace) \w/m,
  },
];

describe("sources", () => {
  const files = readdirSync(join(root, "packages"), { recursive: true, encoding: "utf8" })
    .filter((file) => /^[^/]+\/src\/.*\.ts$/.test(file))
    .map((file) => `packages/${file}`);

  test("are found", () => expect(files.length).toBeGreaterThan(5));

  test("belong to packages of the table", () => {
    const known = files.map((file) => file.split("/")[1]!).filter((name) => !packages.includes(name));
    expect(known).toEqual([]);
  });

  test.each(textRules)("hold no $name", ({ pattern, except }) => {
    const bad = files.filter((file) => !except?.test(file) && pattern.test(readFileSync(join(root, file), "utf8")));
    expect(bad).toEqual([]);
  });
});
