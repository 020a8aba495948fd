import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makePrivateFolder, previousOf, readChecked, writeChecked, writeFileAtomic } from "../src/atomic-file.ts";
import { temporaryFolder } from "./support.ts";

const folder = temporaryFolder();
const file = (name: string): string => join(folder, name);
const format = { format: "test", version: 2 } as const;
const parse = (value: unknown): number => {
  if (typeof value !== "number") throw new TypeError("not a number");
  return value;
};
const read = async (name: string): Promise<unknown> => await readChecked(file(name), { ...format, parse });

test("writes whole files of the given mode and leaves nothing beside them", async () => {
  await writeFileAtomic(file("a"), "one");
  await writeFileAtomic(file("a"), Buffer.from("two"), { mode: 0o644 });
  expect(readFileSync(file("a"), "utf8")).toBe("two");
  expect(statSync(file("a")).mode & 0o777).toBe(0o644);
  await writeFileAtomic(file("b"), "x");
  expect(statSync(file("b")).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder).toSorted()).toEqual(["a", "b"]);
});

test("writers of one path take turns", async () => {
  await Promise.all(Array.from({ length: 20 }, async (_, n) => await writeChecked(file("turns"), format, n)));
  expect(await read("turns")).toEqual({ value: 19, generation: "current" });
  expect(readFileSync(previousOf(file("turns")), "utf8").endsWith("\n18\n")).toBe(true);
});

test("a write that fails says so, leaves the old content, and the next one works", async () => {
  mkdirSync(file("full"));
  await writeFileAtomic(join(file("full"), "x"), "old");
  // A folder in the way of the rename, as a full or read-only disk cannot be had here as any user.
  mkdirSync(file("taken"));
  await expect(writeFileAtomic(file("taken"), "new")).rejects.toMatchObject({
    code: "state/write",
    name: "StateError",
    facts: { path: file("taken") },
  });
  await expect(writeFileAtomic(join(folder, "no folder", "x"), "new")).rejects.toMatchObject({
    code: "state/write",
    message: expect.stringContaining("ENOENT"),
  });
  const both = [writeFileAtomic(file("taken"), "new"), writeFileAtomic(file("taken"), "new")];
  expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(readdirSync(folder).filter((name) => /tmp|old/.test(name))).toEqual([]);
});

test("folders are for their owner alone", async () => {
  mkdirSync(file("wide"), { mode: 0o755 });
  await makePrivateFolder(join(file("wide"), "in", "ner"));
  await makePrivateFolder(file("wide"));
  expect(statSync(file("wide")).mode & 0o777).toBe(0o700);
  expect(statSync(join(file("wide"), "in", "ner")).mode & 0o777).toBe(0o700);
  await expect(makePrivateFolder(join(file("a"), "x"))).rejects.toMatchObject({ code: "state/write" });
});

test("what was never written reads as nothing", async () => {
  expect(await read("never")).toBeUndefined();
});

test("a damaged generation falls back to the one before, and never pushes it out", async () => {
  const path = file("state");
  await writeChecked(path, format, 1);
  expect(existsSync(previousOf(path))).toBe(false);
  await writeChecked(path, format, 2);
  expect(await read("state")).toEqual({ value: 2, generation: "current" });
  const octets = readFileSync(path);
  octets[octets.length - 2] = 0x33;
  writeFileSync(path, octets);
  expect(await read("state")).toEqual({ value: 1, generation: "previous" });
  await writeChecked(path, format, 3);
  expect(await read("state")).toEqual({ value: 3, generation: "current" });
  expect(readFileSync(previousOf(path), "utf8").endsWith("\n1\n")).toBe(true);
});

test.each([
  { name: "damaged", text: "cipsec-state test 2 sha256=00\n1\n", why: "damaged" },
  { name: "cut", text: "", why: "damaged" },
])("no good generation: $name", async ({ name, text, why }) => {
  writeFileSync(file(name), text);
  writeFileSync(previousOf(file(name)), text);
  await expect(read(name)).rejects.toMatchObject({
    code: "state/corrupt",
    message: expect.stringContaining(`current: ${why}; previous: ${why}`),
  });
});

test("another format, a newer version and other content are refused", async () => {
  await writeChecked(file("other"), { format: "other", version: 2 }, 1);
  await expect(read("other")).rejects.toMatchObject({ code: "state/corrupt" });
  await writeChecked(file("newer"), { format: "test", version: 3 }, 1);
  await expect(read("newer")).rejects.toMatchObject({ message: expect.stringContaining("version 3 is newer") });
  await writeChecked(file("text"), format, "x");
  await expect(read("text")).rejects.toMatchObject({ message: expect.stringContaining("not understood") });
  await writeChecked(file("older"), { format: "test", version: 1 }, 7);
  expect(await read("older")).toEqual({ value: 7, generation: "current" });
});

test("a file that cannot be read is not taken for none", async () => {
  symlinkSync(file("loop"), file("loop"));
  await expect(read("loop")).rejects.toMatchObject({
    code: "state/corrupt",
    message: expect.stringContaining("ELOOP"),
  });
  chmodSync(folder, 0o700);
});
