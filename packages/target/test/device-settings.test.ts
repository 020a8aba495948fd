import { Identity, IdentityStatus, TcpIpInterface, TcpIpStatus } from "@cipsec/objects";
import { STRINGI, Service, Status, decode, encode, type Codec } from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ioStatus } from "../src/objects/identity.ts";
import { request } from "./support/device.ts";
import { toHex } from "./support/fakes.ts";
import { runDevice, type RunningDevice, type TargetSession } from "./support/target-session.ts";

let device: RunningDevice;
let session: TargetSession;

beforeAll(async () => {
  device = await runDevice("127.33.4.1", {
    assemblies: [{ instance: 100, kind: "input", size: 4 }],
    parameters: [{ name: "P", type: "UINT" }],
  });
  session = await device.session();
});

afterAll(async () => {
  await device[Symbol.asyncDispose]();
});

type Path = readonly [number, number, number];

const get = async (path: Path): Promise<string> =>
  toHex((await session.request(request(Service.getAttributeSingle, path))).data);
const set = async (path: Path, octets: Uint8Array): Promise<number> =>
  (await session.request(request(Service.setAttributeSingle, path, octets))).status;
const read = async <T>(classId: number, { id, type }: { readonly id: number; readonly type: Codec<T> }): Promise<T> =>
  decode(type, Buffer.from(await get([classId, 1, id]), "hex"));

let restarts = 0;
async function reset(type: number): Promise<void> {
  expect((await session.request(request(0x05, [1, 1], Uint8Array.of(type)))).status).toBe(0);
  restarts += 1;
  const seen = () => device.events.filter((name) => name === "restart").length;
  await expect.poll(seen, { timeout: 20_000 }).toBe(restarts);
  session = await device.session();
}

const status: Path = [0xf5, 1, 1];
const ttl: Path = [0xf5, 1, 8];
const groups: Path = [0xf5, 1, 9];
const dscpUrgent: Path = [0x48, 1, 4];
const assignedName: Path = [1, 1, 15];
const parameter: Path = [0x0f, 1, 1];

const ownGroups = encode(TcpIpInterface.attributes.multicastConfiguration.type, {
  allocation: 1,
  reserved: 0,
  count: 4,
  start: "239.1.2.3",
});
const press = encode(STRINGI, [{ language: "eng", stringType: 0xda, characterSet: 4, text: "press 7" }]);

describe("TCP/IP Interface, attributes 8 and 9", () => {
  test.each([
    { name: "no hops", path: ttl, octets: [0] },
    { name: "an unknown way of allocation", path: groups, octets: [2, 0, 4, 0, 3, 2, 1, 239] },
    { name: "a reserved octet", path: groups, octets: [1, 1, 4, 0, 3, 2, 1, 239] },
    { name: "addresses that are not multicast", path: groups, octets: [1, 0, 4, 0, 3, 2, 168, 192] },
    { name: "addresses that routers keep", path: groups, octets: [1, 0, 1, 0, 5, 0, 0, 224] },
    { name: "beyond the last address", path: groups, octets: [1, 0, 2, 0, 255, 255, 255, 239] },
    { name: "no addresses", path: groups, octets: [1, 0, 0, 0, 3, 2, 1, 239] },
    { name: "too many", path: groups, octets: [1, 0, 1, 4, 3, 2, 1, 239] },
  ])("refuse $name", async ({ path, octets }) => {
    expect(await set(path, Uint8Array.from(octets))).toBe(Status.invalidAttributeValue);
    expect(await read(0xf5, TcpIpInterface.attributes.status)).toBe(TcpIpStatus.configured);
  });

  test("are pending until the next start, and what is set back to what it was is not", async () => {
    expect(await set(ttl, Uint8Array.of(9))).toBe(0);
    const pending = TcpIpStatus.configured | TcpIpStatus.multicastPending;
    expect(await read(0xf5, TcpIpInterface.attributes.status)).toBe(pending);
    expect(await set(ttl, Uint8Array.of(1))).toBe(0);
    expect(await read(0xf5, TcpIpInterface.attributes.status)).toBe(TcpIpStatus.configured);
  });
});

describe("what outlasts which reset, ethernet-ip.md 7.1", () => {
  const everything = async () => ({
    ttl: await get(ttl),
    groups: await get(groups),
    dscp: await get(dscpUrgent),
    name: await get(assignedName),
    parameter: await get(parameter),
    status: await get(status),
  });
  let factory: Awaited<ReturnType<typeof everything>>;
  const changed = {
    ttl: "09",
    groups: toHex(ownGroups),
    dscp: "22",
    name: toHex(press),
    parameter: "0700",
    status: "01000000",
  };

  beforeAll(async () => {
    factory = await everything();
  });

  const change = async (): Promise<void> => {
    expect(await set(ttl, Uint8Array.of(9))).toBe(0);
    expect(await set(groups, ownGroups)).toBe(0);
    expect(await set(dscpUrgent, Uint8Array.of(0x22))).toBe(0);
    expect(await set(assignedName, press)).toBe(0);
    expect(await set(parameter, Uint8Array.of(7, 0))).toBe(0);
  };

  test("type 0, as by power: all", async () => {
    const before = await read(1, Identity.attributes.configurationConsistency);
    await change();
    expect(await read(1, Identity.attributes.configurationConsistency)).not.toBe(before);
    await reset(0);
    expect(await everything()).toEqual(changed);
  });

  test("type 2: settings of the network", async () => {
    await reset(2);
    expect(await everything()).toEqual({ ...changed, name: factory.name, parameter: factory.parameter });
  });

  test("type 1: nothing", async () => {
    await change();
    await reset(1);
    expect(await everything()).toEqual(factory);
  });

  test("type 3 is refused, and nothing restarts", async () => {
    const reply = await session.request(request(0x05, [1, 1], Uint8Array.of(3)));
    expect(reply.status).toBe(Status.invalidParameter);
    expect((await session.request(request(0x0e, [1, 1, 1]))).status).toBe(0);
  });
});

test("a text of users has a bound", async () => {
  const long = encode(STRINGI, [{ language: "eng", stringType: 0xd0, characterSet: 4, text: "x".repeat(1100) }]);
  expect(await set(assignedName, long)).toBe(Status.tooMuchData);
});

test.each([
  { name: "a sound state", generation: "current", status: 0x30 },
  { name: "the first start", generation: "none", status: 0x30 },
  {
    name: "a damaged state, the one before it in use",
    generation: "previous",
    status: 0x40 | IdentityStatus.minorRecoverableFault,
  },
] as const)("Identity status of $name", ({ generation, status }) => {
  expect(ioStatus({ connections: [], hasFaulted: false }, generation)).toBe(status);
});

test("a device with CIP Security has the same attributes", async () => {
  await using secure = await runDevice("127.33.4.2", {
    security: {},
    assemblies: [{ instance: 100, kind: "input", size: 4 }],
  });
  const peer = await secure.session();
  expect((await peer.request(request(Service.setAttributeSingle, ttl, Uint8Array.of(5)))).status).toBe(0);
  expect(toHex((await peer.request(request(Service.getAttributeSingle, ttl))).data)).toBe("05");
  const { type } = TcpIpInterface.attributes.status;
  const pending = await peer.request(request(Service.getAttributeSingle, status));
  expect(decode(type, pending.data) & TcpIpStatus.multicastPending).not.toBe(0);
});
