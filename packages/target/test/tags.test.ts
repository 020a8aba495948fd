import { Service, Status, TagService, decode, encode, symbolList, template, EPATH, type Reply } from "@cipsec/wire";
import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { AccessQuestion } from "../src/access.ts";
import { readDescription } from "../src/description.ts";
import { Router } from "../src/router.ts";
import { hostTags } from "../src/tags/host.ts";
import { TagTable } from "../src/tags/table.ts";
import { requestContext } from "./support/device.ts";
import { hex, toHex } from "./support/fakes.ts";

const device = {
  name: "press-1",
  identity: {
    vendorId: 65_520,
    productCode: 1,
    revision: { major: 1, minor: 2 },
    serialNumber: 4711,
    productName: "Press",
  },
  structs: [
    {
      name: "Motor",
      members: [
        { name: "Running", type: "BOOL" },
        { name: "Fault", type: "BOOL" },
        { name: "Speed", type: "INT" },
        { name: "Torque", type: "REAL" },
        { name: "Steps", type: "SINT", elements: 3 },
        { name: "Bits", type: "BOOL", elements: 40 },
      ],
    },
    {
      name: "Line",
      members: [
        { name: "Total", type: "LINT" },
        { name: "Motors", type: "Motor", elements: 2 },
        { name: "Label", type: "STRING" },
      ],
    },
  ],
  tags: [
    { name: "Count", type: "DINT", value: 258 },
    { name: "Temps", type: "REAL", dimensions: [4], value: [1, 2, 3, 4] },
    { name: "Grid", type: "INT", dimensions: [2, 3, 4], value: Array.from({ length: 24 }, (_, i) => i) },
    { name: "Line1", type: "Line", value: { Total: "9007199254740993", Label: "press", Motors: [{}, { Speed: 7 }] } },
    { name: "Fixed", type: "UINT", value: 7, access: "read-only" },
    { name: "Hidden", type: "UINT", value: 7, access: "none" },
    { name: "Ready", type: "BOOL", value: true },
    { name: "Alarms", type: "BOOL", dimensions: [64], value: [true, false, true] },
    { name: "Big", type: "DINT", dimensions: [500] },
    { name: "Name", type: "STRING", value: "Hello" },
    { name: "Speed", type: "DINT", program: "Main", value: -5 },
    { name: "Count", type: "SINT", program: "Main", value: 1 },
  ],
} as const;

let table: TagTable;
let router: Router;
let questions: AccessQuestion[];
let denied: string | undefined;

beforeEach(() => {
  const { tags } = readDescription(device);
  if (tags === undefined) throw new RangeError("the description has tags");
  questions = [];
  denied = undefined;
  table = new TagTable(tags);
  router = new Router((question) => {
    questions.push(question);
    return denied !== undefined && question.symbol === denied ? Status.privilegeViolation : undefined;
  });
  hostTags(router, table, "Press");
});

/** A path as text: names are symbols, `[n]` members, `{…}` octets in hex. */
function path(text: string): Uint8Array {
  const parts = text.match(/\{[^}]*\}|\[\d+\]|[^{[.]+/g) ?? [];
  return new Uint8Array(
    parts.flatMap((part) => {
      if (part.startsWith("{")) return [...hex(part.slice(1, -1))];
      if (part.startsWith("[")) return [...encode(EPATH, [{ kind: "member", value: Number(part.slice(1, -1)) }])];
      return [...encode(EPATH, [{ kind: "symbol", name: part, form: "ansi" }])];
    }),
  );
}

async function ask(service: number, to: string, data: string, maxReply = 500): Promise<Reply> {
  const octets = path(to);
  return router.handleOctets(
    Uint8Array.of(service, octets.length / 2, ...octets, ...hex(data)),
    requestContext({ maxReply }),
  );
}

const read = (to: string, elements = 1, maxReply?: number): Promise<Reply> =>
  ask(TagService.readTag, to, word(elements), maxReply);

/** Little-endian hex. */
function word(value: number, octets = 2): string {
  return Array.from({ length: octets }, (_, i) => ((value >>> (8 * i)) & 0xff).toString(16).padStart(2, "0")).join("");
}

describe("Read_Tag", () => {
  test.each([
    { name: "an integer", to: "Count", data: "c400 02010000" },
    { name: "in another case", to: "cOUNT", data: "c400 02010000" },
    { name: "the first of an array", to: "Temps", data: "ca00 0000803f" },
    { name: "one element, 8-bit index", to: "Temps{2802}", data: "ca00 00004040" },
    { name: "one element, 16-bit index", to: "Temps{2900 0200}", data: "ca00 00004040" },
    { name: "one element, 32-bit index", to: "Temps{2a00 02000000}", data: "ca00 00004040" },
    { name: "several elements from one on", to: "Temps[2]", elements: 2, data: "ca00 00004040 00008040" },
    { name: "three dimensions", to: "Grid[1][2][3]", data: "c300 1700" },
    { name: "three dimensions, on from there", to: "Grid[0][2][2]", elements: 3, data: "c300 0a00 0b00 0c00" },
    { name: "a BOOL", to: "Ready", data: "c100 01" },
    { name: "a BOOL array, as DWORDs", to: "Alarms", elements: 2, data: "d300 05000000 00000000" },
    { name: "a member of 64 bits", to: "Line1.Total", data: "c500 0100000000002000" },
    { name: "a member of an element", to: "Line1.Motors[1].Speed", data: "c300 0700" },
    { name: "a bit of an integer, named by digits", to: "Count.8", data: "c100 01" },
    { name: "a bit of an integer, by the bit segment", to: "Count{3c03 0900}", data: "c100 00" },
    { name: "a tag of a program", to: "Program:Main.Speed", data: "c400 fbffffff" },
    { name: "a tag by instance", to: "{206b 2401}", data: "c400 02010000" },
    { name: "a tag by 16-bit instance, with index", to: "{206b 2500 0200 2803}", data: "ca00 00008040" },
    { name: "a tag by instance, with member", to: "{206b 2404}Motors[1].Speed", data: "c300 0700" },
    { name: "a tag of a program by instance", to: "Program:main{206b 2401}", data: "c400 fbffffff" },
    { name: "a read-only tag", to: "Fixed", data: "c700 0700" },
  ])("$name", async ({ to, elements, data }) => {
    const reply = await read(to, elements);
    expect(reply).toMatchObject({ service: 0x4c, status: 0, extended: [] });
    expect(toHex(reply.data)).toBe(data.replaceAll(" ", ""));
  });

  test("a STRING is a structure of handle 0x0FCE and 88 octets", async () => {
    const { data } = await read("Name");
    expect(toHex(data.subarray(0, 13))).toBe("a002ce0f0500000048656c6c6f");
    expect(data).toHaveLength(4 + 88);
  });

  test.each([
    { name: "an unknown tag", to: "Nothing", status: 0x04, extended: [0] },
    { name: "an unknown program", to: "Program:Other.Speed", status: 0x04, extended: [0] },
    { name: "a controller tag in a program", to: "Program:Main.Temps", status: 0x04, extended: [0] },
    { name: "a program without a tag", to: "Program:Main", status: 0x04, extended: [0] },
    { name: "an unknown instance", to: "{206b 2463}", status: 0x05, extended: [0] },
    { name: "instance 0", to: "{206b 2400}", status: 0x05, extended: [0] },
    { name: "an unknown member", to: "Line1.Weight", status: 0x04, extended: [0] },
    { name: "a member of an integer", to: "Count.Weight", status: 0x04, extended: [0] },
    { name: "a member of an array without an index", to: "Line1.Motors.Speed", status: 0x04, extended: [0] },
    { name: "a hidden member", to: "Line1.Motors[0].ZZZZZZZZZZMotor0", status: 0x04, extended: [0] },
    { name: "too few indices", to: "Grid[1][1]", status: 0x05, extended: [0] },
    { name: "too many indices", to: "Temps[1][1]", status: 0x05, extended: [0] },
    { name: "an index on a single value", to: "Count[0]", status: 0x05, extended: [0] },
    { name: "a bit beyond the integer", to: "Count.32", status: 0x05, extended: [0] },
    { name: "a bit of a REAL", to: "Temps[0].3", status: 0x04, extended: [0] },
    { name: "a bit of a bit", to: "Count.3.3", status: 0x04, extended: [0] },
    { name: "an attribute behind a tag", to: "Count{3001}", status: 0x04, extended: [0] },
    { name: "an index beyond the end", to: "Temps[4]", status: 0xff, extended: [0x2105] },
    { name: "an index beyond one dimension", to: "Grid[0][3][0]", status: 0xff, extended: [0x2105] },
    { name: "more elements than there are", to: "Temps[2]", elements: 3, status: 0xff, extended: [0x2105] },
    { name: "two of a single value", to: "Count", elements: 2, status: 0xff, extended: [0x2105] },
    { name: "no elements", to: "Count", elements: 0, status: 0x20, extended: [] },
    { name: "a tag that is not for the network", to: "Hidden", status: 0x0f, extended: [] },
    { name: "such a tag by its instance", to: "{206b 2406}", status: 0x0f, extended: [] },
  ])("refuses $name", async ({ to, elements, status, extended }) => {
    expect(await read(to, elements)).toMatchObject({ status, extended, data: new Uint8Array(0) });
  });

  test.each([
    { name: "no count", data: "", status: Status.notEnoughData },
    { name: "too much", data: "0100 00", status: Status.tooMuchData },
  ])("refuses request data: $name", async ({ data, status }) => {
    expect((await ask(TagService.readTag, "Count", data)).status).toBe(status);
  });

  test.each([
    { name: "elements", to: "Big", elements: 500, max: 103, length: 102 },
    { name: "octets of a structure by fours", to: "Line1", elements: 1, max: 107, length: 104 },
  ])("answers in part where the way back is short: whole $name", async ({ to, elements, max, length }) => {
    const reply = await read(to, elements, max);
    expect(reply.status).toBe(Status.partialTransfer);
    expect(reply.data).toHaveLength(length);
  });

  test("refuses where not one element fits", async () => {
    expect((await read("Line1.Total", 1, 9)).status).toBe(Status.replyDataTooLarge);
  });

  test("a service that no tag has is not supported, and neither is a path without tags elsewhere", async () => {
    expect((await ask(Service.getAttributeSingle, "Count", "")).status).toBe(Status.serviceNotSupported);
    expect((await read("{2063 2401}")).status).toBe(Status.pathDestinationUnknown);
    const bare = new Router(() => undefined);
    const octets = path("Count");
    const asked = Uint8Array.of(0x4c, octets.length / 2, ...octets, 1, 0);
    expect((await bare.handleOctets(asked, requestContext())).status).toBe(Status.pathSegmentError);
  });
});

describe("Read_Tag_Fragmented", () => {
  test("fragments are the whole", async () => {
    table.set(
      "Big",
      Array.from({ length: 500 }, (_, i) => i * 1000),
    );
    const parts: number[] = [];
    let status: number = Status.partialTransfer;
    while (status === Status.partialTransfer) {
      const reply = await ask(TagService.readTagFragmented, "Big", `f401 ${word(parts.length, 4)}`, 492);
      status = reply.status;
      expect(toHex(reply.data.subarray(0, 2))).toBe("c400");
      parts.push(...reply.data.subarray(2));
    }
    expect(status).toBe(0);
    expect(parts).toHaveLength(2000);
    expect(toHex(Uint8Array.from(parts.slice(-4)))).toBe(word(499_000, 4));
  });

  test("an offset at or behind the end is refused", async () => {
    for (const offset of [2000, 2001, 0xffff_ffff])
      expect(await ask(TagService.readTagFragmented, "Big", `f401 ${word(offset, 4)}`)).toMatchObject({
        status: 0xff,
        extended: [0x2104],
      });
  });
});

describe("Write_Tag", () => {
  test.each([
    { name: "an integer", to: "Count", data: "c400 0100 04030201", tag: "Count", value: 0x0102_0304 },
    { name: "an element", to: "Temps[1]", data: "ca00 0100 0000c03f", tag: "Temps", value: [1, 1.5, 3, 4] },
    { name: "several", to: "Temps[2]", data: "ca00 0200 0000c03f 0000c03f", tag: "Temps", value: [1, 2, 1.5, 1.5] },
    {
      name: "a BOOL member",
      to: "Line1.Motors[0].Fault",
      data: "c100 0100 ff",
      tag: "Line1.Motors[0].Fault",
      value: true,
    },
    { name: "a BOOL, kept as 0 or 1", to: "Ready", data: "c100 0100 00", tag: "Ready", value: false },
    { name: "a bit", to: "Count.0", data: "c100 0100 01", tag: "Count", value: 259 },
    { name: "in a program", to: "Program:Main.Speed", data: "c400 0100 01000000", tag: "Program:Main.Speed", value: 1 },
    { name: "by instance", to: "{206b 2401}", data: "c400 0100 01000000", tag: "Count", value: 1 },
  ])("$name", async ({ to, data, tag, value }) => {
    expect(await ask(TagService.writeTag, to, data)).toMatchObject({ status: 0, data: new Uint8Array(0) });
    expect(table.get(tag)).toEqual(value);
  });

  test.each([
    { service: TagService.writeTag, data: "c4000100f9ffffff 0a004d02206b2401c4000100f9ffffff", value: -7 },
    {
      service: TagService.readModifyWriteTag,
      data: "040001000000ffffffff 0a004e02206b2401040001000000ffffffff",
      value: 259,
    },
  ])("what follows in the message is passed over, as pycomm3 sends it: $service", async ({ service, data, value }) => {
    expect((await ask(service, "{206b 2401}", data)).status).toBe(0);
    expect(table.get("Count")).toBe(value);
  });

  test("a structure as it was read, by its handle", async () => {
    const { data } = await read("Line1");
    const next = Uint8Array.from(data);
    next[4] = 9;
    const request = `${toHex(next.subarray(0, 4))} 0100 ${toHex(next.subarray(4))}`;
    expect((await ask(TagService.writeTag, "Line1", request)).status).toBe(0);
    expect(table.get("Line1.Total")).toBe(9_007_199_254_740_992n + 9n);
    expect(table.get("Line1.Label")).toBe("press");
  });

  test.each([
    { name: "another type", to: "Count", data: "c300 0100 0100", status: 0xff, extended: [0x2107] },
    { name: "a structure of another handle", to: "Name", data: "a002 0100 0100 01", status: 0xff, extended: [0x2107] },
    { name: "a structure into an integer", to: "Count", data: "a002 ce0f 0100 01", status: 0xff, extended: [0x2107] },
    {
      name: "more elements than there are",
      to: "Temps[3]",
      data: "ca00 0200 00000000 00000000",
      status: 0xff,
      extended: [0x2105],
    },
    { name: "too little data", to: "Count", data: "c400 0100 0000", status: 0x13, extended: [] },
    { name: "no data", to: "Count", data: "c400 0100", status: 0x13, extended: [] },
    { name: "no elements", to: "Count", data: "c400 0000", status: 0x20, extended: [] },
    { name: "a read-only tag", to: "Fixed", data: "c700 0100 0000", status: 0x0f, extended: [] },
    { name: "a tag that is not for the network", to: "Hidden", data: "c700 0100 0000", status: 0x0f, extended: [] },
  ])("refuses $name, and nothing changes", async ({ to, data, status, extended }) => {
    const before = table.names.map((name) => table.get(name));
    expect(await ask(TagService.writeTag, to, data)).toMatchObject({ status, extended });
    expect(table.names.map((name) => table.get(name))).toEqual(before);
  });

  test("the application hears of writes, and of the last fragment", async () => {
    const heard: object[] = [];
    const end = table.onWrite((write) => heard.push(write));
    await ask(TagService.writeTag, "Program:main.speed", "c400 0100 01000000");
    await ask(TagService.writeTagFragmented, "Big", `c400 0200 00000000 01000000`);
    await ask(TagService.writeTagFragmented, "Big", `c400 0200 04000000 02000000`);
    await ask(TagService.writeTag, "Fixed", "c700 0100 0000");
    await read("Count");
    end();
    await ask(TagService.writeTag, "Count", "c400 0100 01000000");
    expect(heard).toEqual([
      { name: "Program:Main.Speed", isComplete: true },
      { name: "Big", isComplete: false },
      { name: "Big", isComplete: true },
    ]);
    expect([table.get("Big[0]"), table.get("Big[1]")]).toEqual([1, 2]);
  });

  test.each([
    { name: "an offset behind the end", data: "c400 0200 08000000 01000000", status: 0xff, extended: [0x2104] },
    { name: "a fragment that runs past the end", data: "c400 0200 04000000 0100000001", status: 0x15, extended: [] },
    { name: "an empty fragment", data: "c400 0200 04000000", status: 0x13, extended: [] },
  ])("a fragment is refused: $name", async ({ data, status, extended }) => {
    expect(await ask(TagService.writeTagFragmented, "Big", data)).toMatchObject({ status, extended });
  });
});

describe("Read_Modify_Write_Tag", () => {
  test.each([
    { name: "sets and clears bits", to: "Count", data: "0400 01000000 fffeffff", tag: "Count", value: 3 },
    {
      name: "on an element of a BOOL array",
      to: "Alarms[1]",
      data: "0400 80000000 ffffffff",
      tag: "Alarms[1]",
      value: 128,
    },
  ])("$name", async ({ to, data, tag, value }) => {
    expect((await ask(TagService.readModifyWriteTag, to, data)).status).toBe(0);
    expect(table.get(tag)).toBe(value);
  });

  test.each([
    { name: "masks of another size", to: "Count", data: "0200 0100 ffff", status: 0xff },
    { name: "a REAL", to: "Temps", data: "0400 01000000 ffffffff", status: 0xff },
    { name: "a structure", to: "Name", data: "0400 01000000 ffffffff", status: 0xff },
    { name: "masks of no size that exists", to: "Count", data: "0300 010000 ffffff", status: 0x20 },
    { name: "a read-only tag", to: "Fixed", data: "0200 0100 ffff", status: 0x0f },
  ])("refuses $name", async ({ to, data, status }) => {
    expect((await ask(TagService.readModifyWriteTag, to, data)).status).toBe(status);
  });
});

describe("class 0x6B", () => {
  const list = async (to: string, attributes: readonly number[], max = 500) => {
    const reply = await ask(0x55, to, word(attributes.length) + attributes.map((id) => word(id)).join(""), max);
    return { status: reply.status, entries: reply.status > 6 ? [] : decode(symbolList(attributes), reply.data) };
  };

  test("lists the controller's tags and programs, and a program's tags", async () => {
    const controller = await list("{206b 2500 0000}", [1, 2, 7, 8, 10]);
    expect(controller.status).toBe(0);
    expect(controller.entries.map(({ name }) => name)).toEqual([
      "Count",
      "Temps",
      "Grid",
      "Line1",
      "Fixed",
      "Hidden",
      "Ready",
      "Alarms",
      "Big",
      "Name",
      "Program:Main",
    ]);
    expect(controller.entries[2]).toMatchObject({
      instance: 3,
      symbolType: { code: 0xc3, dimensions: 3, structured: false },
      byteCount: 2,
      dimensions: [2, 3, 4],
      externalAccess: 0,
    });
    expect(controller.entries[9]).toMatchObject({ symbolType: { structured: true, code: 0xfce } });
    expect(controller.entries.slice(4, 6).map(({ externalAccess }) => externalAccess)).toEqual([2, 3]);
    const program = await list("Program:Main{206b 2400}", [1]);
    expect(program.entries).toEqual([
      { instance: 1, name: "Speed" },
      { instance: 2, name: "Count" },
    ]);
  });

  test("goes on where a short reply ended", async () => {
    const names: (string | undefined)[] = [];
    for (let from = 0, status = 6; status === 6;) {
      const found = await list(`{206b 2500 ${word(from)}}`, [1, 2], 40);
      status = found.status;
      from = (found.entries.at(-1)?.instance ?? 0) + 1;
      names.push(...found.entries.map(({ name }) => name));
    }
    expect(names).toHaveLength(11);
    expect(new Set(names).size).toBe(11);
  });

  test("refuses what it cannot list", async () => {
    expect((await list("{206b 2400}", [1], 4)).status).toBe(Status.replyDataTooLarge);
    expect((await list("{206b 2400}", [99])).status).toBe(Status.attributeNotSupported);
    expect((await list("Program:Other{206b 2400}", [1])).status).toBe(Status.pathSegmentError);
    expect((await list("Count", [1])).status).toBe(Status.pathSegmentError);
    expect((await list("{206b 2400 3001}", [1])).status).toBe(Status.pathSegmentError);
    expect((await list("{206b}", [1])).status).toBe(0);
  });

  test("attributes of a symbol are read as of any object", async () => {
    expect(toHex((await ask(Service.getAttributeSingle, "{206b 2402 3001}", "")).data)).toBe(
      "0500" + toHex(Buffer.from("Temps")),
    );
    expect(toHex((await ask(Service.getAttributeList, "{206b 2403}", "0200 0700 0800")).data)).toBe(
      "0200 0700 0000 0200 0800 0000 02000000 03000000 04000000".replaceAll(" ", ""),
    );
    expect((await ask(Service.getAttributeSingle, "{206b 2463 3001}", "")).status).toBe(0x05);
    expect(toHex((await ask(Service.getAttributeSingle, "{206b 2400 3002}", "")).data)).toBe("0a00");
  });
});

test("the controller tells its name, which clients ask for first", async () => {
  expect(toHex((await ask(Service.getAttributesAll, "{2064 2401}", "")).data)).toBe(
    `0500${toHex(Buffer.from("Press"))}`,
  );
});

describe("class 0x6C", () => {
  /** Instance of the n-th described structure. */
  const instance = (n: number): string => `{206c 2500 ${word(0x100 + n)}}`;

  test("a template read in windows says members, offsets and names", async () => {
    const attributes = await ask(Service.getAttributeList, instance(0), "0400 0400 0500 0200 0100");
    expect(attributes.status).toBe(0);
    const [words = 0, size, count = 0, handle] = [6, 14, 22, 28].map((at, i) =>
      i < 2
        ? new DataView(attributes.data.buffer, attributes.data.byteOffset).getUint32(at, true)
        : new DataView(attributes.data.buffer, attributes.data.byteOffset).getUint16(at, true),
    );
    expect([size, count]).toEqual([20, 7]);
    expect(handle).not.toBe(0);
    const total = words * 4 - 23;
    const parts: number[] = [];
    let status = 6;
    while (status === 6) {
      const reply = await ask(0x4c, instance(0), word(parts.length, 4) + word(total - parts.length), 30);
      status = reply.status;
      parts.push(...reply.data);
    }
    expect(parts).toHaveLength(total);
    const { name, tail, members } = decode(template(count), Uint8Array.from(parts));
    // One hidden member, then those that people see: pylogix reads two characters for each.
    expect([name, tail]).toEqual(["Motor", "nE@EAEAEAEAEAEA"]);
    expect(members.map(({ name, info, offset, type }) => [name, info, offset, type.code])).toEqual([
      ["ZZZZZZZZZZMotor0", 0, 0, 0xc2],
      ["Running", 0, 0, 0xc1],
      ["Fault", 1, 0, 0xc1],
      ["Speed", 0, 2, 0xc3],
      ["Torque", 0, 4, 0xca],
      ["Steps", 3, 8, 0xc2],
      ["Bits", 2, 12, 0xd3],
    ]);
  });

  test("attribute 3 is there: pylogix reads 4, 3, 2 and 1 by their places in the reply", async () => {
    const { status, data } = await ask(Service.getAttributeList, instance(0), "0400 0400 0300 0200 0100");
    expect(status).toBe(0);
    expect(toHex(data.subarray(10, 22))).toBe("0300 0000 0000 0200 0000 0700".replaceAll(" ", ""));
  });

  test("what attribute 4 counts reads, what is behind does not", async () => {
    const { data } = await ask(Service.getAttributeList, instance(1), "0100 0400");
    const total = 4 * new DataView(data.buffer, data.byteOffset).getUint32(6, true);
    expect((await ask(0x4c, instance(1), word(0, 4) + word(total - 16))).data).toHaveLength(total - 16);
    expect((await ask(0x4c, instance(1), word(total - 2, 4) + word(100))).data).toHaveLength(2);
    expect(await ask(0x4c, instance(1), word(total, 4) + word(1))).toMatchObject({ status: 0xff, extended: [0x2104] });
    expect((await ask(0x4c, instance(9), word(0, 4) + word(1))).status).toBe(0x05);
    expect((await ask(0x4c, "{206c 2500 0101 3001}", word(0, 4) + word(1))).status).toBe(0x08);
  });

  test("64-bit members make a structure of eights, and structures inside keep their own", async () => {
    const { data } = await ask(Service.getAttributeList, instance(1), "0100 0500");
    expect(new DataView(data.buffer, data.byteOffset).getUint32(6, true)).toBe(8 + 2 * 20 + 88);
  });

  test("the handle is the checksum of the type text, as clients compute it", () => {
    const member = (type: string, elements?: number) => (name: string) =>
      elements === undefined ? { name, type } : { name, type, elements };
    const struct = (name: string, ...members: readonly ((name: string) => object)[]) => ({
      name,
      members: members.map((make, i) => make(`M${i}`)),
    });
    const structs = [
      struct("UDT3", member("SINT"), member("SINT", 4)),
      struct("UDT2", member("DINT"), member("SINT", 3), member("UDT3"), member("UDT3", 2)),
      struct("UDT1", member("SINT"), member("SINT", 2), member("UDT2"), member("UDT3", 4)),
      struct("Bits", ...Array<ReturnType<typeof member>>(9).fill(member("BOOL")), member("BOOL", 64)),
    ];
    const made = readDescription({ ...device, structs, tags: [] }).tags?.structs ?? [];
    const find = (name: string) => made.find((type) => type.name === name);
    expect(find("UDT1")).toMatchObject({
      typeText: "UDT1,SINT,SINT[2],UDT2,DINT,SINT[3],UDT3,SINT,SINT[4],UDT3,SINT,SINT[4][2],UDT3,SINT,SINT[4][4]",
      handle: 0x5f58,
    });
    // BOOLs in a row are the octets that hold them, arrays of BOOL their DWORDs.
    expect(find("Bits")?.typeText).toBe("Bits,SINT,SINT,DWORD[2]");
  });

  test("structures inside one another do not make the text grow for ever", () => {
    const structs = Array.from({ length: 20 }, (_, i) => {
      const type = i === 0 ? "SINT" : `S${i - 1}`;
      const members = [
        { name: "A", type },
        { name: "B", type },
      ];
      return { name: `S${i}`, members };
    });
    const made = readDescription({ ...device, structs, tags: [] }).tags?.structs ?? [];
    expect(Math.max(...made.map(({ typeText }) => typeText.length))).toBe(16_384);
  });

  test("another type of a member is another handle", () => {
    const handles = ["INT", "UINT"].map((type) => {
      const structs = [{ name: "S", members: [{ name: "M", type }] }];
      return readDescription({ ...device, structs, tags: [] }).tags?.structs[1]?.handle;
    });
    expect(handles[0]).not.toBe(handles[1]);
  });
});

describe("access", () => {
  test.each([
    { name: "by name, as it is declared", to: "cOUNT" },
    { name: "by instance", to: "{206b 2401}" },
    { name: "a bit of it", to: "Count.3" },
  ])("a rule on a name holds however the tag is reached: $name", async ({ to }) => {
    denied = "Count";
    expect((await read(to)).status).toBe(Status.privilegeViolation);
    expect(questions).toHaveLength(1);
    expect(questions[0]).toMatchObject({ classId: 0x6b, service: 0x4c, symbol: "Count" });
  });

  test("a program's tag by its instance, and one that is not there", async () => {
    await read("Program:main{206b 2402}");
    await read("Program:Main.Other");
    await read("Nothing");
    await ask(Service.getAttributeSingle, "{206b 2402 3001}", "");
    await ask(0x55, "{206b 2400}", "0100 0100");
    expect(questions.map(({ symbol }) => symbol)).toEqual([
      "Program:Main.Count",
      "Program:Main.Other",
      "Nothing",
      "Temps",
      undefined,
    ]);
  });
});

describe("the application's side", () => {
  test("values are what they are set to", () => {
    const motor = {
      Running: true,
      Fault: false,
      Speed: -3,
      Torque: 1.5,
      Steps: [1, 2, 3],
      Bits: Array.from({ length: 64 }, (_, i) => i === 39),
    };
    table.set("Line1.Motors[0]", motor);
    expect(table.get("line1.motors[0]")).toEqual(motor);
    table.set("Line1", { Label: "x" });
    expect(table.get("Line1")).toMatchObject({
      Total: 9_007_199_254_740_993n,
      Label: "x",
      Motors: [motor, { Speed: 7 }],
    });
    table.set("Count.31", 1);
    expect(table.get("Count")).toBe(258 - 0x8000_0000);
    expect(table.get("Count.31")).toBe(true);
    table.set("Fixed", 9);
    expect(table.get("Fixed")).toBe(9);
    expect(table.get("Alarms")).toEqual(Array.from({ length: 64 }, (_, i) => i === 0 || i === 2));
    expect(table.names).toContain("Program:Main.Speed");
  });

  test.each([
    { name: "Nothing", value: 1 },
    { name: "Count[", value: 1 },
    { name: "Temps[9]", value: 1 },
    { name: "x".repeat(401), value: 1 },
    { name: "Count", value: 2 ** 31 },
    { name: "Count", value: 1.5 },
    { name: "Count", value: "1" },
    { name: "Ready", value: 2 },
    { name: "Temps", value: [1, 2, 3] },
    { name: "Temps", value: 1 },
    { name: "Alarms", value: Array.from({ length: 65 }, () => true) },
    { name: "Name", value: "x".repeat(83) },
    { name: "Name", value: "€" },
    { name: "Name", value: 5 },
    { name: "Line1", value: { Weight: 1 } },
    { name: "Line1", value: { Total: 1, Label: 5 } },
    { name: "Line1.Total", value: 2 ** 60 },
    { name: "Line1.Total", value: "99999999999999999999" },
  ])("refuses $name = $value, and nothing changes", ({ name, value }) => {
    const before = table.names.map((each) => table.get(each));
    expect(() => table.set(name, value)).toThrow(expect.objectContaining({ code: "usage/argument" }));
    expect(table.names.map((each) => table.get(each))).toEqual(before);
  });

  test("text of a length that no text has is cut to its room", async () => {
    await ask(TagService.writeTag, "Name.LEN", "c400 0100 ffffff7f");
    expect(table.get("Name")).toHaveLength(82);
    await ask(TagService.writeTag, "Name.LEN", "c400 0100 ffffffff");
    expect(table.get("Name")).toBe("");
  });
});

test("any octets for any tag service are answered with a status, within the way back", async () => {
  const services = fc.constantFrom(...Object.values(TagService), 0x03, 0x0e, 0x01);
  const start = fc.constantFrom(
    "",
    ...["Count", "Line1", "Program:Main", "Alarms"].map((name) => toHex(path(name))),
    "206b2404",
    "206c250000010000",
    "9100",
  );
  await fc.assert(
    fc.asyncProperty(
      services,
      start,
      fc.uint8Array({ maxLength: 24 }),
      fc.nat(12),
      async (service, from, bytes, words) => {
        const octets = Uint8Array.of(service, hex(from).length / 2 + words, ...hex(from), ...bytes);
        const reply = await router.handleOctets(octets, requestContext({ maxReply: 60 }));
        expect(reply.data.length).toBeLessThanOrEqual(60);
      },
    ),
    { numRuns: 500 },
  );
});
