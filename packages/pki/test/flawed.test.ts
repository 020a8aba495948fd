import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  flawedSigner,
  flaws,
  initCa,
  makeKeyPair,
  strangerIdentity,
  verifyChain,
  type Flaw,
  type FlawedIdentity,
  type FlawedSigner,
} from "../src/index.ts";
import { temporaryFolder } from "./support.ts";

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

test("a device's key is certified as it is, or by a signature that is altered", async () => {
  const { publicKey } = await makeKeyPair();
  for (const isAltered of [false, true]) {
    const leaf = await signer.sign(publicKey, now, isAltered);
    const chain = [signer.issuing];
    const verdict = verifyChain({ leaf, chain, anchors: [signer.root], time: now, purpose: "server", publicKey });
    expect(verdict.ok ? "good" : verdict.code).toBe(isAltered ? "trust/bad-signature" : "good");
  }
});

test("a stranger's chain is sound but for who vouches", async () => {
  const { chain } = await strangerIdentity(now);
  const [leaf, root] = chain;
  expect(verifyChain({ leaf: leaf!, chain: [], anchors: [root!], time: now, purpose: "client" }).ok).toBe(true);
  expect(verifyChain({ leaf: leaf!, chain: [root!], anchors: [signer.root], time: now, purpose: "client" }).ok).toBe(
    false,
  );
});

test("an intermediate below the root, and none where the root's key is elsewhere", async () => {
  const below = await signer.makeBelow(now);
  const verdict = (chain: FlawedIdentity["chain"]): string => {
    const [leaf, ...rest] = chain;
    const found = verifyChain({ leaf: leaf!, chain: rest, anchors: [signer.root], time: now, purpose: "client" });
    return found.ok ? "good" : found.code;
  };
  expect(verdict(below?.whole.chain ?? [])).toBe("good");
  expect(verdict(below?.leafAlone.chain ?? [])).toBe("trust/unknown-authority");
  const other = await signer.makeOther(now);
  expect(verdict(other.identity.chain)).toBe("trust/unknown-authority");
  const offline = temporaryFolder();
  await cp(folder, offline, { recursive: true });
  await rm(join(offline, "root.key.pem"));
  expect(await (await flawedSigner(offline)).makeBelow(now)).toBeUndefined();
});

test("a list that revokes, and one that is overdue", async () => {
  const { chain } = await signer.make("none", now);
  const [leaf, ...rest] = chain;
  const verdict = async (number: number, isOutdated?: boolean): Promise<string> => {
    const crl = await signer.revoke([leaf!], number, now, isOutdated);
    const common = { leaf: leaf!, chain: rest, anchors: [signer.root], time: now, purpose: "client" } as const;
    const found = verifyChain({ ...common, crls: [crl] });
    return found.ok ? "good" : found.code;
  };
  expect(await verdict(7)).toBe("trust/revoked");
  expect(await verdict(8, true)).toMatch(/^trust\/(revoked|crl-stale)$/);
  const own = await signer.sign((await makeKeyPair("ecdsa-p256")).publicKey, now);
  expect(
    verifyChain({ leaf: own, chain: [signer.issuing], anchors: [signer.root], time: now, purpose: "server" }).ok,
  ).toBe(true);
});
