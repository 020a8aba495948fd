import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { openUdp } from "@cipsec/transport";
import {
  CipSecurityItem,
  Command,
  Cpf,
  Encapsulation,
  ItemType,
  ListIdentityItem,
  WireError,
  decode,
  encode,
  frame,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { discover, identify, identifyTcp, readIdentityReply, type DiscoveredDevice } from "../src/index.ts";
import { net } from "./addresses.ts";
import { fakeDevice } from "./fake-device.ts";
import { startDevice } from "./real-target.ts";

const identity = encode(ListIdentityItem, {
  protocolVersion: 1,
  socket: { family: 2, port: 44818, address: 0 },
  vendorId: 0x1234,
  deviceType: 0x2b,
  productCode: 7,
  revision: { major: 1, minor: 2 },
  status: 0,
  serialNumber: 0xcafe,
  productName: "Fake",
  state: 3,
});
const security = encode(CipSecurityItem, {
  profiles: 2,
  cipSecurityState: 2,
  ethernetIpSecurityState: 2,
  ianaPortState: 0x0a,
  profilesConfigured: 2,
});

function reply(items: readonly { type: number; data: Uint8Array }[], context = new Uint8Array(8)): Uint8Array {
  return frame(Command.listIdentity, { context, data: encode(Cpf, items) });
}

describe("a ListIdentity reply", () => {
  const whole = reply([
    { type: ItemType.listIdentity, data: identity },
    { type: ItemType.cipSecurity, data: security },
  ]);

  test("is read with its security item", () => {
    expect(readIdentityReply(whole)).toMatchObject({
      identity: { productName: "Fake", serialNumber: 0xcafe },
      security: { profiles: 2, cipState: 2, ports: 0x0a },
    });
  });

  test("whose length and count leave out item 0x0086 is read with it", () => {
    const bad = whole.slice();
    const view = new DataView(bad.buffer);
    view.setUint16(2, view.getUint16(2, true) - security.length - 4, true);
    expect(() => decode(Encapsulation, bad)).toThrow(expect.objectContaining({ code: "wire/trailing" }));
    expect(readIdentityReply(bad)).toMatchObject({ identity: { productName: "Fake" }, security: { cipState: 2 } });
    view.setUint16(24, 1, true);
    expect(readIdentityReply(bad)).toMatchObject({ security: { cipState: 2 } });
  });

  test("of OpENer's CIP Security branch, which leaves item 0x0086 out of its length, is read whole", () => {
    // Captured from OpENer over UDP: 49 octets claimed, 60 sent.
    const hex =
      "63003100000000000000000041424344454647480000000002000c002b0001000002af120a6300020000000000000000" +
      "01000c00e9fd0203000015cd5b07094f70454e6572205043008600070002000000030200";
    expect(readIdentityReply(Uint8Array.from(Buffer.from(hex, "hex")))).toMatchObject({
      identity: { productName: "OpENer PC", vendorId: 1, serialNumber: 123456789 },
      security: { profiles: 2, cipState: 0, ethernetIpState: 0, ports: 3, profilesConfigured: 2 },
    });
  });

  test.each([
    { name: "item 0x0086 of five octets", data: security.subarray(0, 5), found: true },
    { name: "item 0x0086 of three octets", data: security.subarray(0, 3), found: false },
  ])("with $name keeps its identity", ({ data, found }) => {
    const read = readIdentityReply(
      reply([
        { type: ItemType.listIdentity, data: identity },
        { type: ItemType.cipSecurity, data },
      ]),
    );
    expect(read?.identity.productName).toBe("Fake");
    expect(read?.security !== undefined).toBe(found);
  });

  test("cut anywhere, or noise, is refused or read", () => {
    fc.assert(
      fc.property(fc.nat(whole.length), fc.uint8Array({ maxLength: 60 }), (cut, noise) => {
        try {
          readIdentityReply(Uint8Array.from([...whole.subarray(0, cut), ...noise]));
        } catch (error) {
          if (!(error instanceof WireError)) throw error;
        }
      }),
    );
  });
});

describe("discover", () => {
  test("finds real devices once each, by sweep, with their ports and state", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cipsec-discovery-"));
    await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
    await using __ = await startDevice({ address: `${net}.81`, stateDir: join(folder, "1") });
    await using ___ = await startDevice({ address: `${net}.82`, stateDir: join(folder, "2"), security: null });
    await using ____ = await startDevice({
      address: `${net}.83`,
      stateDir: join(folder, "3"),
      ports: { eipUdp: null },
    });
    await using _____ = await startDevice({
      address: `${net}.85`,
      stateDir: join(folder, "5"),
      ports: { eipUdp: null, eip: null },
    });
    const seen: DiscoveredDevice[] = [];
    const steps: number[] = [];
    const result = await discover({
      ranges: [`${net}.80/29`, `${net}.81`],
      listenMs: 800,
      timeoutMs: 3000,
      found: (device) => seen.push(device),
      progress: ({ asked }) => steps.push(asked),
    });
    expect(result.devices.map(({ address }) => address)).toEqual([`${net}.81`, `${net}.82`, `${net}.83`]);
    expect(result.secureOnly).toEqual([`${net}.85`]);
    expect(seen).toHaveLength(3);
    expect(result.scanned).toBe(6);
    expect(Math.max(...steps)).toBe(6);
    expect(result.devices[0]).toMatchObject({
      ports: { eip: true, eips: true, eipUdp: true },
      identity: { vendorId: 0x1234, revision: "1.2", serial: "0000cafe", name: "Under test", state: 3 },
      security: { cipState: "factory-default", ethernetIpState: "factory-default", securePortsOnly: false },
    });
    expect(result.devices[1]).toMatchObject({
      security: null,
      ports: { eip: true, eips: false, eipUdp: true, eipd: false },
    });
  });

  test("hears answers to its own broadcast, and no others", async () => {
    const folder = await mkdtemp(join(tmpdir(), "cipsec-discovery-"));
    await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
    // Loopback has no broadcast; a unicast address takes its place.
    await using __ = await startDevice({ address: `${net}.89`, stateDir: folder });
    const result = await discover({
      broadcast: [{ address: `${net}.90`, to: `${net}.89` }],
      listenMs: 1000,
      attempts: 1,
    });
    expect(result.devices.map(({ address }) => address)).toEqual([`${net}.89`]);
  });

  test("does not believe an answer to another's question", async () => {
    await using _ = await openUdp({
      address: `${net}.91`,
      port: 44818,
      receive: () => undefined,
    });
    await using liar = await openUdp({
      address: `${net}.92`,
      port: 44818,
      receive: (_bytes, remote) =>
        liar.send(reply([{ type: ItemType.listIdentity, data: identity }], new Uint8Array(8).fill(9)), remote),
    });
    const result = await discover({ ranges: [`${net}.91-92`], listenMs: 200, timeoutMs: 200 });
    expect(result.devices).toEqual([]);
    expect(await identify(`${net}.92`, { timeoutMs: 200 })).toBeUndefined();
  });

  test("keeps to its rate", async () => {
    const times: number[] = [];
    await using _ = await openUdp({ address: `${net}.107`, port: 44999, receive: () => times.push(performance.now()) });
    const started = performance.now();
    await discover({
      ranges: [`${net}.101-140`],
      port: 44999,
      ratePerSecond: 100,
      attempts: 1,
      listenMs: 100,
      tcpFallback: false,
    });
    expect(performance.now() - started).toBeGreaterThan(350);
    await expect.poll(() => times).toHaveLength(1);
  });

  test("stops when told to", async () => {
    const controller = new AbortController();
    const running = discover({ ranges: [`${net}.0/24`], ratePerSecond: 50, signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await expect(running).rejects.toThrow("enough");
  });

  test("TCP: a device that answers ListIdentity with a refusal, noise or nothing is not found", async () => {
    for (const answer of [
      () => [frame(Command.listIdentity, { status: 1 })],
      () => [new Uint8Array(100).fill(0xff)],
      () => undefined,
      () => "hang-up" as const,
    ]) {
      await using fake = await fakeDevice(`${net}.93`, answer);
      expect(await identifyTcp(`${net}.93`, { port: fake.port, timeoutMs: 150 })).toBeUndefined();
    }
  });
});
