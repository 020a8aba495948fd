import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  flawedSigner,
  flaws,
  initCa,
  strangerIdentity,
  verifyChain,
  type Flaw,
  type FlawedSigner,
} from "../src/index.ts";

let folder: string;
let signer: FlawedSigner;
const now = new Date();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-flawed-"));
  await initCa(folder, { name: "plant", now: () => now });
  signer = await flawedSigner(folder);
});
afterAll(async () => await rm(folder, { recursive: true, force: true }));

/** The verdict of our own verification; `wrong-key` shows in the handshake alone. */
const codes: Readonly<Record<Flaw, string>> = {
  none: "good",
  expired: "trust/expired",
  future: "trust/not-yet-valid",
  "bad-signature": "trust/bad-signature",
  "wrong-usage": "trust/usage",
  "wrong-key": "good",
  "weak-key": "trust/weak",
  "self-signed": "trust/self-signed",
};

test.each(Object.keys(flaws) as Flaw[])("%s is what it says, and nothing else is wrong", async (flaw) => {
  const { chain } = await signer.make(flaw, now);
  const [leaf, ...rest] = chain;
  const verdict = verifyChain({ leaf: leaf!, chain: rest, anchors: [signer.root], time: now, purpose: "client" });
  expect(verdict.ok ? "good" : verdict.code).toBe(codes[flaw]);
});

test("a stranger's chain is sound but for who vouches", async () => {
  const { chain } = await strangerIdentity(now);
  const [leaf, root] = chain;
  expect(verifyChain({ leaf: leaf!, chain: [], anchors: [root!], time: now, purpose: "client" }).ok).toBe(true);
  expect(verifyChain({ leaf: leaf!, chain: [root!], anchors: [signer.root], time: now, purpose: "client" }).ok).toBe(
    false,
  );
});
