import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writePcapng } from "@cipsec/capture";
import { Command, frame } from "@cipsec/wire";
import { afterAll, describe, expect, test, vi } from "vitest";
import { conversation } from "../../../packages/capture/test/frames.ts";
import { Process, survivors } from "./processes.ts";
import { descriptionOf, temporaryFolder } from "./support.ts";

// Each starts several processes.
vi.setConfig({ testTimeout: 120_000 });

const folder = temporaryFolder();
const data = join(folder.path, "data");
afterAll(() => folder.remove());

const addresses = ["127.28.14.1", "127.28.14.2"];
const plant = join(folder.path, "plant.json");
writeFileSync(
  plant,
  JSON.stringify(addresses.map((address, i) => descriptionOf(`d${i + 1}`, address, i === 0 ? "modern" : "legacy"))),
);
const drive = join(folder.path, "drive.json");
writeFileSync(drive, JSON.stringify(descriptionOf("drive", "127.28.14.3", "modern")));

describe("lab", () => {
  test("one JSON line for each device in the file's order; Ctrl-C ends it with 0 and leaves no process", async () => {
    await using lab = new Process(["lab", plant, "--json", "--per-process", "1"], data);
    await lab.says(/(.+\n){2}/);
    const lines = lab.out
      .trimEnd()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(lines).toEqual([
      {
        listening: true,
        name: "d1",
        kind: "modern",
        address: addresses[0],
        ports: expect.objectContaining({ eip: 44_818, eipUdp: 44_818, eips: 2221 }),
      },
      expect.objectContaining({ name: "d2", kind: "legacy", address: addresses[1] }),
    ]);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    const below = lab.descendants();
    expect(below).toHaveLength(2);
    lab.child.kill("SIGINT");
    expect(await lab.end()).toBe(0);
    expect(await survivors(below)).toEqual([]);
  });

  test("killed at once, as a power cut would: its devices stop by themselves", async () => {
    await using lab = new Process(["lab", plant], data);
    await lab.says("The plant runs.");
    const below = lab.descendants();
    expect(below.length).toBeGreaterThan(0);
    lab.child.kill("SIGKILL");
    await lab.end();
    expect(await survivors(below)).toEqual([]);
  });

  test("an address that is taken is told in words, and nothing stays", async () => {
    await using first = new Process(["lab", plant], data);
    await first.says("The plant runs.");
    await using second = new Process(["lab", plant, "--json"], join(folder.path, "other"));
    expect(await second.end()).toBe(3);
    expect(JSON.parse(second.out)).toMatchObject({ error: { code: "transport/address" } });
    first.child.kill("SIGTERM");
    expect(await first.end()).toBe(0);
  });
});

describe("as a shell starts it in a checkout", () => {
  test("Ctrl-C reaches the command, its exit code comes back", async () => {
    await using target = new Process(["target", drive, "--json"], data, "bin");
    await target.says("\n");
    expect(JSON.parse(target.out)).toMatchObject({ listening: true, name: "drive", ports: { eips: 2221 } });
    target.child.kill("SIGINT");
    expect(await target.end()).toBe(0);
    await using wrong = new Process(["frobnicate"], data, "bin");
    expect(await wrong.end()).toBe(2);
  });

  test("when it is killed, the command behind it stops too", async () => {
    await using target = new Process(["target", drive], data, "bin");
    await target.says("listens at");
    const below = target.descendants();
    expect(below).toHaveLength(1);
    target.child.kill("SIGKILL");
    expect(await survivors(below)).toEqual([]);
  });
});

test("a signal ends a device with 0: that is how it ends", async () => {
  await using target = new Process(["target", drive], data);
  await target.says("listens at");
  target.child.kill("SIGTERM");
  expect(await target.end()).toBe(0);
});

test("an interrupted sweep ends long before its time, with 130 and the error document", async () => {
  await using sweep = new Process(["discover", "127.28.0.0/16", "--json"], data);
  await sweep.says("asked", "err");
  // 65,536 addresses take minutes.
  const began = performance.now();
  sweep.child.kill("SIGINT");
  expect(await sweep.end()).toBe(130);
  expect(performance.now() - began).toBeLessThan(20_000);
  expect(JSON.parse(sweep.out)).toMatchObject({ error: { code: "usage/interrupted" } });
});

test("an interrupted commissioning tells what state the device is in", async () => {
  await using target = new Process(["target", drive], data);
  await target.says("listens at");
  await using tool = new Process(["commission", "127.28.14.3", "--insecure-accept-any", "--json"], data);
  await tool.says("5/16", "err");
  tool.child.kill("SIGINT");
  expect(await tool.end()).toBe(130);
  expect(JSON.parse(tool.out)).toMatchObject({
    error: { code: "usage/interrupted", facts: { device: "untouched" }, message: expect.stringContaining("as it was") },
  });
});

test("a reader that has seen enough is no error", () => {
  const file = join(folder.path, "long.pcapng");
  const ask = { from: 0, bytes: frame(Command.listServices, { session: 0 }) } as const;
  const frames = conversation(
    Array.from({ length: 20_000 }, () => ask),
    1400,
    [50_000, 44_818],
  );
  writeFileSync(file, writePcapng({ linkType: 1, frames: frames.map((bytes) => ({ timeNanos: 0n, bytes })) }));
  const bin = fileURLToPath(new URL("../bin/cipsec.mjs", import.meta.url));
  const { stdout, stderr } = spawnSync(
    "bash",
    ["-c", `'${process.execPath}' '${bin}' decode '${file}' --json | head -n 1; echo "codes \${PIPESTATUS[*]}"`],
    { encoding: "utf8" },
  );
  expect(stdout.split("\n")[0]).toMatch(/^\{"n":3,/);
  expect({ codes: stdout.split("\n")[1], stderr }).toEqual({ codes: "codes 0 0", stderr: "" });
});

test("no state file of a device can be read by others", () => {
  expect(statSync(join(data, "devices")).mode & 0o077).toBe(0);
  expect(readFileSync(plant, "utf8")).not.toContain("PRIVATE");
});
