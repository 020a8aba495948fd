import { join } from "node:path";
import { commission, parseTarget, type SecurityOptions } from "@cipsec/originator";
import { openUdp } from "@cipsec/transport";
import { afterAll, beforeAll, expect, test } from "vitest";
import { anchorsOf, makeAuthority, makeCaller, signer } from "../src/demo/authority.ts";
import { isClosed, proveIo } from "../src/demo/io-proof.ts";
import { openRelay } from "../src/demo/relay.ts";
import { startLab, type Lab } from "../src/index.ts";
import { plannedAt, temporaryFolder } from "./support.ts";

/** One device that is commissioned, and one from the factory, whose plain ports are open. */
const [secured, open] = ["127.38.21.1", "127.38.21.2"] as const;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let lab: Lab;
let trusted: SecurityOptions;

beforeAll(async () => {
  folder = await temporaryFolder();
  lab = await startLab({ dataDir: join(folder.path, "lab"), devices: plannedAt([secured, open]) });
  const plant = await makeAuthority(join(folder.path, "plant"), "Plant");
  trusted = { certificate: await makeCaller(plant, "tool"), anchors: anchorsOf(plant) };
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

test("holds for a device that is secured", async () => {
  const proof = await proveIo(lab.devices[0]!.description, trusted);
  expect(proof).toMatchObject({ name: "io-protected", holds: true });
  expect(proof.observed).toMatch(/^\d+ forgeries changed nothing, UDP 2222 closed; DTLS ECDHE_ECDSA/u);
});

test("does not hold for a device whose plain port is open, nor for one that does not let us in", async () => {
  const { description } = lab.devices[1]!;
  expect(await proveIo(description, { acceptAny: true })).toMatchObject({
    holds: false,
    observed: "plain UDP 2222 is open",
  });
  expect(await proveIo(description, trusted)).toMatchObject({
    holds: false,
    observed: expect.stringMatching(/certificate|authority/u),
  });
});

test("knows an open UDP port from a closed one", async () => {
  await using socket = await openUdp({ address: "127.38.21.9", port: 0, receive: () => undefined });
  expect(await isClosed(socket.local)).toBe(false);
  await socket.close();
  expect(await isClosed(socket.local)).toBe(true);
});

test("a relay passes, notes, holds back, and sends from where the other end expects it", async () => {
  const heard: { readonly bytes: number[]; readonly port: number }[] = [];
  const until = (count: number) => expect.poll(() => heard.length, { timeout: 3000 }).toBe(count);
  const receive = (bytes: Uint8Array, from: { readonly port: number }): void => {
    heard.push({ bytes: [...bytes], port: from.port });
  };
  await using device = await openUdp({ address: "127.38.21.8", port: 0, receive });
  await using relay = await openRelay(device.local);
  await using tool = await openUdp({ address: "127.0.0.1", port: 0, receive });
  tool.send(Uint8Array.of(1), relay.local);
  await until(1);
  device.send(Uint8Array.of(2), { address: "127.0.0.1", port: heard[0]!.port });
  await until(2);
  expect(heard).toEqual([
    { bytes: [1], port: expect.any(Number) },
    { bytes: [2], port: relay.local.port },
  ]);
  expect(relay.take()).toEqual({ toDevice: [Uint8Array.of(1)], toTool: [Uint8Array.of(2)] });
  relay.hold();
  tool.send(Uint8Array.of(3), relay.local);
  await expect.poll(() => relay.take().toDevice, { timeout: 3000 }).toEqual([Uint8Array.of(3)]);
  expect(heard).toHaveLength(2);
  relay.send("toDevice", Uint8Array.of(4));
  await until(3);
  expect(heard[2]).toEqual({ bytes: [4], port: heard[0]!.port });
});
