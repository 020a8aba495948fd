import {
  Service,
  SymbolListRequest,
  TagService,
  decode,
  encode,
  symbolList,
  type Request,
  type SymbolEntry,
} from "@cipsec/wire";
import { describe, expect, test } from "vitest";
import { tags, type Requester, type TagValue } from "../../src/index.ts";
import { templates } from "../../src/tags/template.ts";
import { FakeController, type FakeTag, type FakeTemplate } from "./fake-controller.ts";

const dint = { structured: false, dimensions: 0, system: false, code: 0xc4, bit: 0 };
const sint = { ...dint, code: 0xc2 };
const bool = { ...dint, code: 0xc1 };

const text: FakeTemplate = {
  instance: 0xfce,
  handle: 0x0fce,
  size: 88,
  definition: {
    name: "STRING",
    members: [
      { name: "LEN", info: 0, type: dint, offset: 0 },
      { name: "DATA", info: 82, type: { ...sint, dimensions: 1 }, offset: 4 },
    ],
  },
};
const motor: FakeTemplate = {
  instance: 0x100,
  handle: 0xbeef,
  size: 104,
  definition: {
    name: "Motor",
    tail: "nEBECEDE",
    members: [
      { name: "ZZZZZZZZZZMotor0", info: 0, type: sint, offset: 0 },
      { name: "On", info: 0, type: bool, offset: 0 },
      { name: "Fault", info: 1, type: bool, offset: 0 },
      { name: "Speeds", info: 3, type: { ...dint, dimensions: 1 }, offset: 4 },
      { name: "Label", info: 0, type: { ...dint, structured: true, code: 0xfce }, offset: 16 },
    ],
  },
};

function plant(): readonly FakeTag[] {
  return [
    { name: "Speed", code: 0xc4, unit: 4, octets: Uint8Array.of(0xd2, 4, 0, 0) },
    {
      name: "Big",
      code: 0xc3,
      unit: 2,
      octets: Uint8Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? (i / 2) % 256 : 0)),
    },
    { name: "Motor", template: 0x100, unit: 104, octets: new Uint8Array(2 * 104) },
    { name: "Level", code: 0xca, unit: 4, octets: Uint8Array.of(0, 0, 0xc0, 0x3f) },
    { name: "Count", code: 0xc5, unit: 8, octets: new Uint8Array(8).fill(0xff) },
    { name: "Step", program: "Program:Main", code: 0xc3, unit: 2, octets: Uint8Array.of(7, 0) },
    { name: "Running", program: "Program:Main", code: 0xc1, unit: 1, octets: Uint8Array.of(0xff) },
  ];
}

function controller(room = 500) {
  return new FakeController(plant(), [motor, text], room);
}

async function valueOf(device: FakeController, name: string): Promise<unknown> {
  const [result] = await tags(device).read([name]);
  return result !== undefined && "value" in result ? result.value : result?.error;
}

test.each<{ name: string; value: TagValue; typeName: string }>([
  { name: "Speed", value: 1234, typeName: "DINT" },
  { name: "speed.1", value: true, typeName: "BOOL" },
  { name: "Speed.0", value: false, typeName: "BOOL" },
  { name: "Level", value: 1.5, typeName: "REAL" },
  { name: "Count", value: -1n, typeName: "LINT" },
  { name: "Big[3]", value: 3, typeName: "INT" },
  { name: "Big[3]{2}", value: [3, 4], typeName: "INT[2]" },
  { name: "Program:Main.Step", value: 7, typeName: "INT" },
  { name: "Program:Main.Running", value: true, typeName: "BOOL" },
  { name: "Motor[1]", value: { On: false, Fault: false, Speeds: [0, 0, 0], Label: "" }, typeName: "Motor" },
])("reads $name", async ({ name, value, typeName }) => {
  expect(await tags(controller()).read([name])).toEqual([{ name, typeName, value }]);
});

test("many tags go in packets, one that is missing has its error, a long one comes in fragments", async () => {
  const device = controller();
  const names = [
    "Speed",
    "Nothing",
    "Big{1000}",
    "Program:Main.Step",
    ...Array.from({ length: 60 }, (_, i) => `Big[${i}]`),
  ];
  const results = await tags(device).read(names);
  expect(results).toHaveLength(64);
  expect(results[0]).toMatchObject({ value: 1234 });
  expect(results[1]).toMatchObject({ error: { code: "cip/status", facts: { status: 5 } } });
  expect(results[2]).toMatchObject({ typeName: "INT[1000]" });
  const [, , big] = results;
  expect(big !== undefined && "value" in big ? big.value : undefined).toEqual(
    Array.from({ length: 1000 }, (_, i) => i % 256),
  );
  expect(results.slice(4).map((result) => ("value" in result ? result.value : "error"))).toEqual([...Array(60).keys()]);
  const packets = device.requests.filter(({ service }) => service === Service.multipleServicePacket);
  expect(packets.length).toBeLessThan(6);
  for (const { data } of device.requests) expect(data.length).toBeLessThanOrEqual(500);
});

test("a controller without packets, or with replies that do not fit, is asked one by one", async () => {
  const device = controller();
  device.hasPackets = false;
  const results = await tags(device).read(["Speed", "Level", "Nothing"]);
  expect(results).toMatchObject([{ value: 1234 }, { value: 1.5 }, { error: { facts: { status: 5 } } }]);
});

describe("writes", () => {
  test.each<{ name: string; value: TagValue; read?: string; expected?: TagValue }>([
    { name: "Speed", value: -5 },
    { name: "Speed.4", value: false, read: "Speed", expected: 1234 & ~16 },
    { name: "Speed.0", value: true, read: "Speed", expected: 1235 },
    { name: "Count", value: "9007199254740993", expected: 9_007_199_254_740_993n },
    { name: "Big[10]", value: [1, 2, 3], read: "Big[10]{4}", expected: [1, 2, 3, 13] },
    { name: "Program:Main.Running", value: false },
    {
      name: "Motor[1]",
      value: { Fault: true, Label: "pump 7", Speeds: [1, 2] },
      expected: { On: false, Fault: true, Speeds: [1, 2, 0], Label: "pump 7" },
    },
  ])("$name", async ({ name, value, read = name, expected = value }) => {
    const device = controller();
    await tags(device).write(name, value);
    expect(await valueOf(device, read)).toEqual(expected);
  });

  test("what is long in fragments of whole elements", async () => {
    const device = controller(200);
    const values = Array.from({ length: 1000 }, (_, i) => i - 500);
    await tags(device, { maxOctets: 200 }).write("Big", values);
    expect(await valueOf(device, "Big{1000}")).toEqual(values);
    const services = new Set(device.requests.map(({ service }) => service));
    expect(services).toContain(TagService.writeTagFragmented);
  });

  test.each<{ name: string; value: TagValue; message: string }>([
    { name: "Speed", value: "fast", message: "a number is needed" },
    { name: "Speed.40", value: true, message: "no bit 40" },
    { name: "Level.1", value: 5, message: "true or false" },
    { name: "Motor[0]", value: { Off: true }, message: "'Off' is not a member of Motor" },
    { name: "Motor[0]", value: { Label: "x".repeat(83) }, message: "do not fit STRING of 82" },
    { name: "Motor[0]", value: { Speeds: [1, 2, 3, 4] }, message: "4 elements given, 3 are there" },
    { name: "Big", value: [], message: "empty list" },
    { name: "a b", value: 1, message: "not a tag's name" },
  ])("not $name = $value", async ({ name, value, message }) => {
    await expect(tags(controller()).write(name, value)).rejects.toMatchObject({
      code: "usage/argument",
      message: expect.stringContaining(message),
    });
  });

  test("not a value outside its type's range", async () => {
    await expect(tags(controller()).write("Big[0]", 70_000)).rejects.toMatchObject({ code: "wire/value" });
  });
});

test.each([false, true])("lists tags with types and scopes (old controller: %s)", async (isOld) => {
  const device = controller();
  device.refusesAccess = isOld;
  const list = await tags(device).list();
  expect(list.map(({ name, typeName, dimensions }) => [name, typeName, dimensions])).toEqual([
    ["Speed", "DINT", []],
    ["Big", "INT[1000]", [1000]],
    ["Motor", "Motor[2]", [2]],
    ["Level", "REAL", []],
    ["Count", "LINT", []],
    ["Program:Main.Step", "INT", []],
    ["Program:Main.Running", "BOOL", []],
  ]);
  const type = list[2]?.type;
  expect(type?.kind === "structure" ? type.members.map(({ name, hidden }) => [name, hidden]) : undefined).toEqual([
    ["ZZZZZZZZZZMotor0", true],
    ["On", false],
    ["Fault", false],
    ["Speeds", false],
    ["Label", false],
  ]);
});

describe("a hostile controller is refused, not followed", () => {
  const good = motor.definition;
  const nested = (code: number) => ({ ...dint, structured: true, code });
  test.each<{ name: string; templates: readonly FakeTemplate[]; message: string }>([
    {
      name: "a structure that holds itself",
      templates: [
        { ...motor, definition: { ...good, members: [{ name: "A", info: 0, type: nested(0x100), offset: 0 }] } },
      ],
      message: "holds itself",
    },
    {
      name: "a member outside",
      templates: [{ ...motor, size: 8 }, text],
      message: "lies outside",
    },
    {
      name: "a structure of no octets",
      templates: [{ ...motor, size: 0, definition: { name: "E", members: [] } }],
      message: "cannot be read",
    },
    {
      name: "structures that multiply",
      templates: [0x100, 0x101, 0x102].map((instance) => ({
        instance,
        handle: instance,
        size: 4,
        definition: {
          name: "X",
          members: Array.from({ length: 200 }, (_, i) => ({
            name: `m${i}`,
            info: 0,
            type: instance === 0x102 ? sint : nested(instance + 1),
            offset: 0,
          })),
        },
      })),
      message: "cannot be read",
    },
  ])("$name", async ({ templates: hostile, message }) => {
    const device = new FakeController(plant(), hostile);
    await expect(tags(device).list()).rejects.toMatchObject({
      code: "cip/mismatch",
      message: expect.stringContaining(message),
    });
  });

  test("two structures that hold each other, asked for at once", async () => {
    const [a, b] = [0x100, 0x101].map((instance, i) => ({
      ...motor,
      instance,
      handle: instance,
      definition: { ...good, members: [{ name: "A", info: 0, type: nested(0x101 - i), offset: 0 }] },
    }));
    const structures = templates(new FakeController([], [a!, b!]));
    const both = await Promise.allSettled([0x100, 0x101].map((instance) => structures.load(instance)));
    expect(both).toMatchObject(Array.from({ length: 2 }, () => ({ reason: { code: "cip/mismatch" } })));
  });

  test("programs that have as many tags together as a controller may have, and one more", async () => {
    const page = 16_000;
    const entry = (instance: number, name: string): SymbolEntry => ({
      instance,
      name,
      symbolType: dint,
      dimensions: [0, 0, 0],
      externalAccess: 0,
    });
    const programs = ["A", "B"].map((name, i) => entry(i + 1, `Program:${name}`));
    let asked = 0;
    const endless: Requester = {
      request: ({ service, path, data }) => {
        const list = symbolList(decode(SymbolListRequest, data));
        const [first, , last] = path;
        const ok = { service, status: 0, extended: [] };
        if (first?.kind !== "symbol") return Promise.resolve({ ...ok, data: encode(list, programs) });
        asked += 1;
        const from = last?.kind === "instance" ? last.value : 0;
        const some = Array.from({ length: page }, (_, i) => entry(from + i, "T"));
        return Promise.resolve({ ...ok, status: from === 8 * page ? 0 : 6, data: encode(list, some) });
      },
    };
    await expect(tags(endless).list()).rejects.toMatchObject({
      code: "cip/mismatch",
      message: expect.stringContaining("Program:B"),
    });
    expect(asked).toBe(9 + 4);
  });

  test("fragments that never end", async () => {
    const device = controller();
    const answer = device.request.bind(device);
    const endless = {
      request: async (request: Request) => {
        const reply = await answer(request);
        const isRead = request.service === TagService.readTag || request.service === TagService.readTagFragmented;
        return isRead ? { ...reply, status: 0x06, data: reply.data.subarray(0, 2) } : reply;
      },
    };
    expect(await tags(endless).read(["Speed"])).toMatchObject([{ error: { code: "cip/mismatch" } }]);
  });
});

test.each([
  { name: "refuses", list: { status: 0x08, data: new Uint8Array(0) } },
  { name: "answers with something else", list: { status: 0, data: Uint8Array.of(1, 2, 3) } },
])("STRING of a controller that $name when asked for its tags", async ({ list }) => {
  const octets = new Uint8Array(88);
  octets.set([5, 0, 0, 0, ...Buffer.from("Hello")]);
  const device = new FakeController(
    [
      { name: "Name", template: 0xfce, unit: 88, octets },
      { name: "Own", template: 0x100, unit: 104, octets: new Uint8Array(104) },
    ],
    [motor, text],
  );
  const bare = {
    request: (request: Request) => {
      const isList = request.service === TagService.getInstanceAttributeList;
      return isList ? Promise.resolve({ service: request.service, extended: [], ...list }) : device.request(request);
    },
  };
  const controller = tags(bare);
  expect(await controller.read(["Name", "Own"])).toMatchObject([
    { typeName: "STRING", value: "Hello" },
    { error: { code: list.status === 0 ? "wire/truncated" : "cip/status" } },
  ]);
  await controller.write("Name", "Bye");
  expect(octets.subarray(0, 7)).toEqual(Uint8Array.of(3, 0, 0, 0, ...Buffer.from("Bye")));
});
