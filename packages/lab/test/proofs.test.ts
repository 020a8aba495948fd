import net from "node:net";
import { join } from "node:path";
import { commission, parseTarget, type SecurityOptions } from "@cipsec/originator";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { anchorsOf, makeAuthority, makeCaller, makePsk, signer, type Caller } from "../src/demo/authority.ts";
import { proveAccepted, proveRefused, tryOut } from "../src/demo/proofs.ts";
import { startLab, type Lab } from "../src/index.ts";
import { plannedAt, temporaryFolder } from "./support.ts";

/** One device that is commissioned, and one from the factory, which lets anybody in. */
const [secured, open, silent] = ["127.28.21.1", "127.28.21.2", "127.28.21.3"] as const;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let lab: Lab;
let trusted: SecurityOptions;
let stranger: Caller;
let serials: readonly number[];

beforeAll(async () => {
  folder = await temporaryFolder();
  lab = await startLab({ dataDir: join(folder.path, "lab"), devices: plannedAt([secured, open]) });
  serials = lab.devices.map(({ description }) => description.identity.serialNumber);
  const plant = await makeAuthority(join(folder.path, "plant"), "Plant");
  trusted = { certificate: await makeCaller(plant, "tool"), anchors: anchorsOf(plant) };
  stranger = await makeCaller(await makeAuthority(join(folder.path, "other"), "Other"), "stranger");
  const plan = {
    label: "plant",
    suites: [0xc02b, 0xc02c],
    verifyClient: true,
    sendChain: true,
    checkExpiration: true,
    checkSan: false,
    dtlsTimeoutS: 12,
    closePlaintext: true,
  } as const;
  await commission(parseTarget(secured), { plan, security: trusted, acceptAny: true, issue: signer(plant) });
});

afterAll(async () => {
  await lab.close();
  await folder[Symbol.asyncDispose]();
});

const anybody: SecurityOptions = { acceptAny: true };
const [serialOf0, serialOf1] = [() => serials[0] ?? 0, () => serials[1] ?? 0];

describe("refusal", () => {
  test("holds for a device that refuses while the control is let in", async () => {
    const control = { security: trusted };
    for (const attempt of [
      { plain: true } as const,
      { security: anybody },
      { security: { ...anybody, certificate: stranger } },
      { security: { ...trusted, suites: [0xc006] } },
      { security: { psk: makePsk("nobody") } },
    ]) {
      const proof = await proveRefused("name", "expected", secured, attempt, control, serialOf0());
      expect(proof).toMatchObject({ name: "name", expected: "expected", holds: true });
      expect(proof.observed).toMatch(/^refused: /);
    }
  });

  test("fails for a device that lets everybody in", async () => {
    const control = { security: anybody };
    for (const attempt of [
      { plain: true } as const,
      { security: anybody },
      { security: { ...anybody, certificate: stranger } },
    ]) {
      const proof = await proveRefused("n", "e", open, attempt, control, serialOf1());
      expect(proof).toMatchObject({ holds: false, observed: expect.stringMatching(/^accepted /) });
    }
  });

  test("fails when the control is refused: then nothing is known", async () => {
    const control = { security: { ...anybody, certificate: stranger } };
    const proof = await proveRefused("n", "e", secured, { plain: true }, control, serialOf0());
    expect(proof).toMatchObject({ holds: false, observed: expect.stringMatching(/^the control failed: refused/) });
  });

  test("fails when the other end is silent: that is a fault, not a refusal", async () => {
    await using _ = await listenSilently(silent);
    const outcome = await tryOut(silent, { plain: true }, 1, 300);
    expect(outcome).toMatchObject({ accepted: false, code: "transport/timeout" });
  });

  test("fails when we were the ones who refused: our own trust proves nothing about the device", async () => {
    // The device would let the tool in; it is the tool that does not know the device's authority.
    const suspicious: SecurityOptions = { ...trusted, anchors: stranger.chain.slice(1) };
    const proof = await proveRefused("n", "e", secured, { security: suspicious }, { security: trusted }, serialOf0());
    expect(proof.holds).toBe(false);
  });
});

describe("acceptance", () => {
  test("holds for the trusted tool, and says by what", async () => {
    const proof = await proveAccepted("n", "e", secured, { security: trusted }, serialOf0());
    expect(proof).toMatchObject({ holds: true, observed: expect.stringMatching(/^accepted over TLSv1\.\d with TLS_/) });
  });

  test("fails for whom the device refuses, and where nothing listens", async () => {
    expect((await proveAccepted("n", "e", secured, { plain: true }, serialOf0())).holds).toBe(false);
    expect((await proveAccepted("n", "e", silent, { plain: true }, 1)).holds).toBe(false);
  });

  test("fails when another device answers", async () => {
    const proof = await proveAccepted("n", "e", open, { plain: true }, serialOf0());
    expect(proof).toMatchObject({ holds: false, observed: expect.stringContaining("another device answered") });
  });
});

async function listenSilently(address: string): Promise<AsyncDisposable> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => void sockets.push(socket));
  await new Promise<void>((listening) => void server.listen(44_818, address, listening));
  return {
    [Symbol.asyncDispose]: () =>
      new Promise((closed) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => closed());
      }),
  };
}
