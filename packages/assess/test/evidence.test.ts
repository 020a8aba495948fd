import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { evidenceStore, makeRecorder, makeRedactor } from "../src/index.ts";

let folder: string;
beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), "assess-"))));
afterEach(async () => await rm(folder, { recursive: true, force: true }));

describe("the store", () => {
  test("keeps octets once, under their hash, and tells when they changed", async () => {
    const store = evidenceStore(folder);
    const hash = await store.put(Buffer.from("abc"));
    expect(hash).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(await store.put(Buffer.from("abc"))).toBe(hash);
    expect(await store.list()).toEqual([hash]);
    expect(Buffer.from(await store.get(hash)).toString()).toBe("abc");
    await writeFile(join(folder, "ba", hash), "abd");
    await expect(store.get(hash)).rejects.toMatchObject({ code: "state/corrupt" });
    await store.remove(hash);
    await expect(store.get(hash)).rejects.toMatchObject({ code: "state/corrupt" });
    await expect(store.get("../../etc/passwd")).rejects.toMatchObject({ code: "state/corrupt" });
  });
});

describe("a recorder", () => {
  test("takes secrets out before anything is stored", async () => {
    const store = evidenceStore(folder);
    const recorder = makeRecorder({ store, check: "X-1" });
    recorder.secret("hunter2-hunter2");
    const key = Buffer.from("00112233445566778899aabbccddeeff", "hex");
    recorder.secret(key);
    const refs = [
      await recorder.exchange("one", {
        sent: "the password hunter2-hunter2",
        request: key,
        answer: "refused",
        decoded: { b64: key.toString("base64") },
      }),
      await recorder.command("two", {
        argv: ["cat"],
        exit: 0,
        stdout: "-----BEGIN PRIVATE KEY-----\nabcdef\n-----END PRIVATE KEY-----",
        stderr: "root:$y$j9T$abcdefghijkl$xyzxyzxyz:1",
      }),
      await recorder.capture("three", Buffer.concat([Buffer.from("before"), key, Buffer.from("after")])),
    ];
    expect(refs.map(({ name, redacted }) => [name, redacted])).toEqual([
      ["X-1/one.json", true],
      ["X-1/two.json", true],
      ["X-1/three.pcapng", true],
    ]);
    const stored = await Promise.all(
      refs.map(async ({ sha256 }) => await readFile(join(folder, sha256.slice(0, 2), sha256), "latin1")),
    );
    for (const text of stored)
      for (const secret of [
        "hunter2",
        "aabbccddeeff",
        "abcdef\\n",
        "xyzxyz",
        key.toString("latin1"),
        key.toString("base64").slice(2, 18),
      ])
        expect(text).not.toContain(secret);
    expect(stored[2]).toBe(`before${"X".repeat(16)}after`);
  });

  test("refuses a name twice, and names that are paths", async () => {
    const recorder = makeRecorder({ store: evidenceStore(folder), check: "X-1" });
    await recorder.file("a.txt", "a");
    await expect(recorder.file("a.txt", "b")).rejects.toMatchObject({ code: "usage/state" });
    await expect(recorder.file("../a.txt", "b")).rejects.toMatchObject({ code: "usage/argument" });
    expect(recorder.recorded).toHaveLength(1);
  });
});

test("a secret is found in Base64 wherever it starts", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 12, maxLength: 40 }),
      fc.uint8Array({ maxLength: 7 }),
      fc.uint8Array({ maxLength: 7 }),
      (secret, before, after) => {
        const redactor = makeRedactor();
        redactor.add(secret);
        for (const form of ["base64", "hex"] as const)
          expect(redactor.text(Buffer.concat([before, secret, after]).toString(form)).redacted).toBe(true);
      },
    ),
  );
});
