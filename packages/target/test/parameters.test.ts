import { Assembly, Parameter, ParameterClassDescriptor, connectionRequest, parseEds, type Eds } from "@cipsec/objects";
import {
  ForwardOpen,
  PACKED_EPATH,
  SHORT_STRING,
  Service,
  Status,
  USINT,
  UsageError,
  decode,
  encode,
} from "@cipsec/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDescription } from "../src/description.ts";
import { edsOf } from "../src/eds.ts";
import { identity, request } from "./support/device.ts";
import { toHex } from "./support/fakes.ts";
import { runDevice, type RunningDevice, type TargetSession } from "./support/target-session.ts";

const assemblies = [
  { instance: 100, kind: "input", size: 6, name: "in" },
  { instance: 150, kind: "output", size: 4, name: "out" },
  { instance: 151, kind: "configuration", size: 3, name: "settings" },
];
const choices = [
  { value: 0, text: "off" },
  { value: 2, text: "automatic" },
];
const parameters = [
  {
    name: "Speed",
    type: "UINT",
    units: "rpm",
    help: "Set point of the drive",
    default: 100,
    minimum: 10,
    maximum: 3000,
    decimals: 1,
    scaling: { multiplier: 3, divisor: 4, base: 1, offset: -40 },
  },
  { name: "Mode", type: "USINT", choices, default: 2 },
  { name: "Torque", type: "INT", assembly: 150, offset: 1, minimum: -500, maximum: 500 },
  { name: "Brake", type: "BOOL", assembly: 150, bit: 3 },
  { name: "Heat", type: "REAL", assembly: 100, offset: 2, monitored: true },
  { name: "Filter", type: "UINT", assembly: 151, offset: 1, default: 7 },
  { name: "Silence", type: "UINT", object: "TcpIpInterface/1/encapsulationInactivityTimeout", maximum: 3600 },
  { name: "Serial", type: "UDINT", object: "Identity/1/serialNumber" },
  { name: "Total", type: "ULINT", default: "18446744073709551615" },
];

const address = "127.33.1.1";
let device: RunningDevice;
let session: TargetSession;

beforeAll(async () => {
  device = await runDevice(address, { assemblies, parameters });
  session = await device.session();
});

afterAll(async () => {
  await device[Symbol.asyncDispose]();
});

const get = async (instance: number, attribute: number, from = session) => {
  const { status, data } = await from.request(request(Service.getAttributeSingle, [0x0f, instance, attribute]));
  return status === 0 ? toHex(data) : status;
};
const set = async (instance: number, hex: string, from = session) =>
  (await from.request(request(Service.setAttributeSingle, [0x0f, instance, 1], Buffer.from(hex, "hex")))).status;

describe("the object over a session", () => {
  test("a full instance, attribute by attribute", async () => {
    const expected = {
      value: "6400",
      linkPathSize: "06",
      linkPath: "200f24013001",
      descriptor: "0400",
      dataType: "c7",
      dataSize: "02",
      name: toHex(encode(SHORT_STRING, "Speed")),
      units: "0372706d",
      help: toHex(encode(SHORT_STRING, "Set point of the drive")),
      minimum: "0a00",
      maximum: "b80b",
      defaultValue: "6400",
      scalingMultiplier: "0300",
      scalingDivisor: "0400",
      scalingBase: "0100",
      scalingOffset: "d8ff",
      multiplierLink: "0000",
      divisorLink: "0000",
      baseLink: "0000",
      offsetLink: "0000",
      decimals: "01",
    };
    const read: Record<string, unknown> = {};
    for (const [name, { id }] of Object.entries(Parameter.attributes)) read[name] = await get(1, id);
    expect(read).toEqual(expected);
    const all = await session.request(request(Service.getAttributesAll, [0x0f, 1]));
    expect(toHex(all.data)).toBe(Object.values(expected).join(""));
  });

  test("the class tells how many, that all attributes are there, and the configuration assembly", async () => {
    const { fullAttributes, instances, saved } = ParameterClassDescriptor;
    const all = await session.request(request(Service.getAttributesAll, [0x0f, 0]));
    const descriptor = (instances | fullAttributes | saved).toString(16).padStart(2, "0");
    expect(toHex(all.data)).toBe(`0100 0900 ${descriptor}00 9700 00`.replaceAll(" ", ""));
  });

  test.each([
    { name: "enumerated", instance: 2, descriptor: "0200" },
    { name: "read-only and monitored, as it is an input", instance: 5, descriptor: "3000" },
    { name: "read-only, as its attribute is", instance: 8, descriptor: "1000" },
  ])("descriptor: $name", async ({ instance, descriptor }) => {
    expect(await get(instance, 4)).toBe(descriptor);
  });

  test.each([
    { name: "below the minimum", instance: 1, hex: "0900", status: Status.invalidAttributeValue },
    { name: "above the maximum", instance: 1, hex: "b90b", status: Status.invalidAttributeValue },
    { name: "a value without a name", instance: 2, hex: "01", status: Status.invalidAttributeValue },
    { name: "too short", instance: 1, hex: "64", status: Status.notEnoughData },
    { name: "too long", instance: 1, hex: "640000", status: Status.tooMuchData },
    { name: "an input", instance: 5, hex: "00000000", status: Status.attributeNotSettable },
    { name: "an attribute that cannot be set", instance: 8, hex: "01000000", status: Status.attributeNotSettable },
    { name: "what its object refuses by the bounds", instance: 7, hex: "110e", status: Status.invalidAttributeValue },
    { name: "no such parameter", instance: 10, hex: "00", status: Status.pathDestinationUnknown },
  ])("refuses to be set: $name", async ({ instance, hex, status }) => {
    const before = await get(instance, 1);
    expect(await set(instance, hex)).toBe(status);
    expect(await get(instance, 1)).toEqual(before);
  });

  test("Get_Enum_String names a value", async () => {
    const ask = (instance: number, value: number) =>
      session.request(request(0x4b, [0x0f, instance], encode(USINT, value)));
    expect(decode(SHORT_STRING, (await ask(2, 2)).data)).toBe("automatic");
    expect((await ask(2, 1)).status).toBe(Status.invalidParameter);
    expect((await ask(1, 1)).status).toBe(Status.serviceNotSupported);
  });

  test("parts of assemblies are the assembly's own octets, both ways", async () => {
    const octets = async () => toHex((await session.request(request(0x0e, [4, 150, 3]))).data);
    const told: string[] = [];
    device.target.assemblies.onOutput(150, (data, state) => told.push(`${state} ${toHex(data)}`));
    expect(await set(3, "0cfe")).toBe(0);
    expect(await set(4, "01")).toBe(0);
    expect(await octets()).toBe("080cfe00");
    expect(told).toEqual(["set 000cfe00", "set 080cfe00"]);
    await session.request(request(0x10, [4, 150, 3], Uint8Array.of(0xf7, 1, 0, 9)));
    expect([await get(3, 1), await get(4, 1)]).toEqual(["0100", "00"]);
    device.target.assemblies.setInput(100, Uint8Array.of(0, 0, 0, 0, 0x80, 0x3f));
    expect(device.target.parameters?.get("Heat")).toBe(1);
    expect(await get(6, 1)).toBe("0700");
  });

  test("an assembly tells its members, and what is between them", async () => {
    const { memberList, numberOfMembers } = Assembly.attributes;
    const list = async (instance: number) => {
      const { data } = await session.request(request(0x0e, [4, instance, memberList.id]));
      return decode(memberList.type, data).map(({ bits, path }) => [bits, toHex(encode(PACKED_EPATH, path))]);
    };
    expect(await list(150)).toEqual([
      [3, ""],
      [1, "200f24043001"],
      [4, ""],
      [16, "200f24033001"],
      [8, ""],
    ]);
    expect(await list(151)).toEqual([
      [8, ""],
      [16, "200f24063001"],
    ]);
    const { data } = await session.request(request(0x0e, [4, 150, numberOfMembers.id]));
    expect(toHex(data)).toBe("0500");
  });

  test("attributes of objects are the object's own", async () => {
    expect([await get(7, 3), await get(7, 1)]).toEqual(["20f52401300d", "7800"]);
    expect(await set(7, "3c00")).toBe(0);
    expect(toHex((await session.request(request(0x0e, [0xf5, 1, 13]))).data)).toBe("3c00");
    expect(await get(8, 1)).toBe("04030201");
  });
});

describe("the application", () => {
  test("reads and sets what the network does, and is told of the network's writes", async () => {
    const table = device.target.parameters;
    const names: string[] = [];
    const end = table?.onWrite((name) => names.push(name));
    await table?.set("Speed", 250);
    expect(await get(1, 1)).toBe("fa00");
    expect(await set(1, "fb00")).toBe(0);
    end?.();
    expect(await set(1, "fc00")).toBe(0);
    expect(names).toEqual(["Speed"]);
    expect(table?.get("Speed")).toBe(252);
    expect(table?.get("Total")).toBe(2n ** 64n - 1n);
    expect(table?.get("Brake")).toBeTypeOf("boolean");
    expect(table?.names).toEqual(["Speed", "Mode", "Torque", "Brake", "Heat", "Filter", "Total"]);
  });

  test.each([
    { name: "Speed", value: 9 },
    { name: "Speed", value: 1.5 },
    { name: "Mode", value: 1 },
    { name: "Serial", value: 1 },
    { name: "Nobody", value: 1 },
  ])("cannot set $name to $value", async ({ name, value }) => {
    await expect(device.target.parameters?.set(name, value)).rejects.toThrow(UsageError);
  });

  test("settings outlast a restart, parts of assemblies start anew", async () => {
    expect(await set(2, "00")).toBe(0);
    expect(await set(6, "0900")).toBe(0);
    expect((await session.request(request(0x05, [1, 1], Uint8Array.of(0)))).status).toBe(0);
    await expect.poll(() => device.events.includes("restart"), { timeout: 20_000 }).toBe(true);
    const again = await device.session();
    expect([await get(2, 1, again), await get(6, 1, again)]).toEqual(["00", "0700"]);
    session = again;
  });
});

test("a stub has attributes 1 to 6 and leaves the rest to the EDS", async () => {
  await using stub = await runDevice("127.33.1.2", { assemblies, parameters, parameterDetail: "stub" });
  const peer = await stub.session();
  expect(await get(1, 6, peer)).toBe("02");
  expect(await get(1, 7, peer)).toBe(Status.attributeNotSupported);
  expect(toHex((await peer.request(request(Service.getAttributesAll, [0x0f, 1]))).data)).toBe(
    "640006200f240130010400c702",
  );
  expect(toHex((await peer.request(request(0x0e, [0x0f, 0, 8]))).data)).toBe("0900");
});

describe("the EDS of the same description", () => {
  const description = readDescription({ name: "d", identity, assemblies, parameters });
  const facts = {
    vendorName: "Example",
    created: { date: { year: 2026, month: 11, day: 21 }, time: { hours: 1, minutes: 2, seconds: 3 } },
  };
  const text = edsOf(description, facts);
  const eds: Eds = parseEds(text, { strict: true });

  test("reads back without a problem", () => {
    expect(eds.problems).toEqual([]);
    expect(eds.device).toMatchObject({ vendorId: identity.vendorId, productCode: identity.productCode });
  });

  test("says of each parameter what its instance says", async () => {
    for (const [i] of parameters.entries()) {
      const param = eds.params.get(i + 1);
      const { type } = description.parameters?.parameters[i] ?? {};
      const scalar = async (attribute: number): Promise<unknown> => {
        const value = await get(i + 1, attribute);
        const octets = Buffer.from(String(value), "hex");
        return type === undefined ? undefined : Number(decode(type.codec, octets));
      };
      const text = async (attribute: number): Promise<string> =>
        decode(SHORT_STRING, Buffer.from(String(await get(i + 1, attribute)), "hex"));
      const word = async (attribute: number): Promise<number> =>
        Buffer.from(String(await get(i + 1, attribute)), "hex").readUIntLE(0, attribute === 4 ? 2 : 1);
      expect({
        name: param?.name,
        units: param?.units,
        help: param?.help,
        descriptor: param?.descriptor,
        dataType: param?.dataType,
        dataSize: param?.dataSize,
        path: param?.path?.text.replaceAll(" ", "").toLowerCase(),
        minimum: Number(param?.minimum),
        maximum: Number(param?.maximum),
        default: Number(param?.default),
        decimals: param?.decimals,
      }).toEqual({
        name: await text(7),
        units: await text(8),
        help: await text(9),
        descriptor: await word(4),
        dataType: await word(5),
        dataSize: await word(6),
        path: await get(i + 1, 3),
        minimum: await scalar(10),
        maximum: await scalar(11),
        default: await scalar(12),
        decimals: await word(21),
      });
    }
    expect(eds.params.get(2)?.choices).toEqual(choices);
  });

  test("has the assemblies with their members, and connections that open right first time", async () => {
    expect(eds.assemblies.get("assem150")?.members.map(({ bits }) => bits)).toEqual([3, 1, 4, 16, 8]);
    expect(eds.assemblies.get("assem100")?.size).toBe(6);
    const { transport, oToTRpiMicros, oToT, tToORpiMicros, tToO, path } = connectionRequest(eds, 1, {
      tToO: { type: "pointToPoint" },
    });
    const open = {
      priorityTick: 10,
      timeoutTicks: 14,
      oToTConnectionId: 0,
      tToOConnectionId: 1,
      connectionSerial: 1,
      originatorVendor: 1,
      originatorSerial: 1,
      timeoutMultiplier: 1,
      transport,
      oToTRpiMicros,
      oToT,
      tToORpiMicros,
      tToO,
      path,
    };
    const reply = await session.request(request(0x54, [6, 1], encode(ForwardOpen, open)));
    expect(reply).toMatchObject({ status: 0, extended: [] });
  });

  test("an owned output is set by its owner alone, also as a parameter", async () => {
    expect(await set(3, "0100")).toBe(Status.objectStateConflict);
  });
});

describe("refuses in a description", () => {
  const refusal = (entry: object, more: object = {}) =>
    readDescription({ name: "d", identity, assemblies, parameters: [{ name: "P", type: "UINT", ...entry }], ...more });
  test.each([
    { name: "a type that is none", entry: { type: "STRING" }, where: "device.parameters[0].type" },
    { name: "a long name", entry: { name: "12345678901234567" }, where: "device.parameters[0].name" },
    { name: "a long unit", entry: { units: "12345" }, where: "device.parameters[0].units" },
    { name: "a default out of bounds", entry: { minimum: 5, default: 4 }, where: "device.parameters[0].default" },
    { name: "a default of another type", entry: { default: -1 }, where: "device.parameters[0].default" },
    { name: "bounds the wrong way round", entry: { minimum: 5, maximum: 4 }, where: "device.parameters[0].minimum" },
    { name: "no such assembly", entry: { assembly: 9 }, where: "device.parameters[0].assembly" },
    { name: "beyond its assembly", entry: { assembly: 150, offset: 3 }, where: "device.parameters[0].offset" },
    {
      name: "a type larger than its assembly",
      entry: { type: "LREAL", assembly: 150 },
      where: "device.parameters[0].assembly",
    },
    {
      name: "an input that could be set",
      entry: { assembly: 100, readOnly: false },
      where: "device.parameters[0].readOnly",
    },
    {
      name: "an assembly and an object",
      entry: { assembly: 150, object: "1/1/1" },
      where: "device.parameters[0].object",
    },
    {
      name: "an attribute of another type",
      entry: { object: "Identity/1/status" },
      where: "device.parameters[0].object",
    },
    { name: "an object that is none", entry: { object: "Nothing/1/1" }, where: "device.parameters[0].object" },
    { name: "names of a REAL's values", entry: { type: "REAL", choices }, where: "device.parameters[0].choices" },
    {
      name: "two names of one value",
      entry: { choices: [choices[0], choices[0]] },
      where: "device.parameters[0].choices",
    },
    { name: "an unknown entry", entry: { colour: 1 }, where: "device.parameters[0].colour" },
  ])("$name", ({ entry, where }) => {
    expect(() => refusal(entry)).toThrow(expect.objectContaining({ code: "usage/file", facts: { where } }));
  });

  test("two of one name, and two in one place", () => {
    const at = (name: string, offset: number) => ({ name, type: "UINT", assembly: 150, offset });
    const twice = { parameters: [at("A", 0), at("A", 2)] };
    expect(() => refusal({}, twice)).toThrow(expect.objectContaining({ facts: { where: "device.parameters" } }));
    const overlap = { parameters: [at("A", 1), at("B", 0)] };
    expect(() => refusal({}, overlap)).toThrow(
      expect.objectContaining({ facts: { where: "device.parameters[0].offset" } }),
    );
  });
});
