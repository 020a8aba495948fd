import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import { makeKeyPair, samePublicKey } from "@cipsec/pki";
import { expect, test } from "vitest";
import { openStore } from "../src/store.ts";
import { startDevice, temporaryFolder } from "./security-device.ts";

test("sections are replaced together, and the others stay", async () => {
  const folder = temporaryFolder();
  const store = await openStore(folder);
  expect(store.generation).toBe("none");
  expect(store.read("a")).toBeUndefined();
  await store.write({ a: 1, b: { c: [true] } });
  await store.write({ a: 2 });
  expect(store.read("toString")).toBeUndefined();
  const again = await openStore(folder);
  expect([again.read("a"), again.read("b"), again.generation]).toEqual([2, { c: [true] }, "current"]);
});

test("a damaged document gives way to the one before it; two damaged ones say so", async () => {
  const folder = temporaryFolder();
  const store = await openStore(folder);
  await store.write({ a: 1 });
  await store.write({ a: 2 });
  const path = join(folder, "state");
  writeFileSync(path, readFileSync(path, "utf8").replace('"a":2', '"a":3'));
  const again = await openStore(folder);
  expect([again.read("a"), again.generation]).toEqual([1, "previous"]);
  writeFileSync(`${path}.previous`, "");
  await expect(openStore(folder)).rejects.toMatchObject({
    code: "state/corrupt",
    fix: expect.stringContaining("reset"),
  });
});

test("a section that was written by nobody of ours is refused by name", async () => {
  const folder = temporaryFolder();
  const store = await openStore(folder);
  for (const [security, field] of [
    [[], "security"],
    [{ cipState: 9 }, "cipState"],
    [{ cipState: 0, ethernetIpState: 0, profilesConfigured: 0, settings: 7 }, "settings"],
  ] as const) {
    await store.write({ security });
    await expect(startDevice(folder)).rejects.toMatchObject({ code: "state/corrupt", facts: { field } });
  }
});

test("keys that no generation names are deleted; a named one that is missing is told", async () => {
  const folder = temporaryFolder();
  const store = await openStore(folder);
  const { privateKey } = await makeKeyPair();
  const [old, kept, orphan] = [
    await store.saveKey(privateKey),
    await store.saveKey(privateKey),
    await store.saveKey(privateKey),
  ];
  await store.write({ key: old });
  await store.write({ key: kept });
  writeFileSync(join(folder, "keys", "half.pem.tmp"), "");
  writeFileSync(join(folder, "state.1-ab.tmp"), "");
  const again = await openStore(folder);
  expect(readdirSync(join(folder, "keys")).toSorted()).toEqual([`${old}.pem`, `${kept}.pem`].toSorted());
  expect(existsSync(join(folder, "state.1-ab.tmp"))).toBe(false);
  expect(samePublicKey(await again.loadKey(kept), privateKey)).toBe(true);
  await expect(again.loadKey(orphan)).rejects.toMatchObject({ code: "state/corrupt" });
  await expect(again.loadKey("../state")).rejects.toMatchObject({ code: "state/corrupt" });
  await again.forgetPrevious();
  expect(readdirSync(join(folder, "keys"))).toEqual([`${kept}.pem`]);
});

test("a write that fails leaves the document as it was", async () => {
  const folder = temporaryFolder();
  const store = await openStore(folder);
  await store.write({ a: 1 });
  rmSync(folder, { recursive: true });
  await expect(store.write({ a: 2 })).rejects.toMatchObject({ code: "state/write" });
  await expect(store.saveKey((await makeKeyPair()).privateKey)).rejects.toMatchObject({ code: "state/write" });
  expect(store.read("a")).toBe(1);
});

test("power cut at any instant: the device comes back with one whole configuration", async () => {
  const folder = temporaryFolder();
  const seen = new Set<number>();
  for (let round = 0; round < 12; round += 1) {
    const child = spawn(
      process.execPath,
      ["--conditions=@cipsec/source", join(import.meta.dirname, "apply-for-ever.ts"), folder],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    await once(child.stdout, "data");
    await new Promise((resolve) => setTimeout(resolve, 3 + ((round * 37) % 60)));
    child.kill("SIGKILL");
    await once(child, "exit");
    const device = await startDevice(folder);
    const names = await device.ask(0x5f, 2, 0x0e, undefined, 1);
    const name = Buffer.from(names.data.subarray(1)).toString();
    // What one Apply_Config wrote belongs together: the number is in the timeout, the name and the port.
    const count = device.security.dtlsTimeoutS();
    expect(name).toBe(`certificate ${count}`);
    expect(device.security.ports().eip).toBe(count % 2 === 0);
    expect(device.security.facts().ethernetIpState).toBe(2);
    expect(device.security.tlsPolicy().psks).toHaveLength(1);
    // Two generations of one key each, the default certificate's, and nothing left over.
    expect(readdirSync(join(folder, "keys")).length).toBeLessThanOrEqual(3);
    seen.add(count);
  }
  expect(seen.size).toBeGreaterThan(3);
}, 300_000);
