import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDescription, startTarget, type Tags, type Target } from "@cipsec/target";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

/** What these tests use of both packages: they share their ancestry. */
interface Tag {
  value: unknown;
  readonly type: string;
}

interface TagGroup {
  readonly length: number;
  add(tag: Tag): void;
  forEach(visit: (tag: Tag) => void): void;
}

interface Controller extends Omit<Socket, "connect"> {
  connect(address: string, slot?: number, setup?: boolean): Promise<unknown>;
  readTag(tag: Tag, elements?: number): Promise<void>;
  writeTag(tag: Tag, value?: unknown, elements?: number): Promise<void>;
  readTagGroup(group: TagGroup): Promise<void>;
  writeTagGroup(group: TagGroup): Promise<void>;
}

interface ListedTag {
  readonly id: number;
  readonly name: string;
  readonly program: string | null;
  readonly type: {
    readonly code: number;
    readonly typeName: string | null;
    readonly structure: boolean;
    readonly arrayDims: number;
  };
}

interface StController extends Controller {
  readonly tagList: readonly ListedTag[];
  readonly templateList: Readonly<Record<number, { readonly _name: string }>>;
  readonly state: { readonly tagList: object };
  rpi: number;
  getControllerTagList(list: object): Promise<void>;
  newTag(name: string, program?: string | null, subscribe?: boolean, arrayDims?: number, arraySize?: number): Tag;
  disconnect(): Promise<string>;
}

interface StPackage {
  readonly Controller: new (connected: boolean) => StController;
  readonly Tag: new (
    name: string,
    program?: string | null,
    type?: number | null,
    keepAlive?: number,
    arrayDims?: number,
    arraySize?: number,
  ) => Tag;
  readonly TagGroup: new () => TagGroup;
}

interface EthernetIpPackage {
  readonly Controller: new () => Controller;
  readonly Tag: new (name: string, program?: string | null, type?: number | null) => Tag;
  readonly TagGroup: new () => TagGroup;
}

const require = createRequire(import.meta.url);
const st = require("st-ethernet-ip") as StPackage;
const ethernetIp = require("ethernet-ip") as EthernetIpPackage;

const address = "127.34.11.1";

const description = {
  name: "tags",
  identity: {
    vendorId: 65_535,
    productCode: 7,
    revision: { major: 2, minor: 1 },
    serialNumber: 305_419_896,
    productName: "Interop Controller",
  },
  address,
  security: null,
  structs: [
    {
      name: "Motor",
      members: [
        { name: "Running", type: "BOOL" },
        { name: "Fault", type: "BOOL" },
        { name: "Speed", type: "INT" },
        { name: "Torque", type: "REAL" },
        { name: "Steps", type: "DINT", elements: 3 },
      ],
    },
    {
      name: "Line",
      members: [
        { name: "Total", type: "DINT" },
        { name: "Motors", type: "Motor", elements: 2 },
        { name: "Label", type: "STRING" },
      ],
    },
  ],
  tags: [
    { name: "Count", type: "DINT", value: 258 },
    { name: "Small", type: "SINT", value: -2 },
    { name: "Level", type: "INT", value: -300 },
    { name: "Big", type: "LINT", value: "9007199254740993" },
    { name: "Ratio", type: "REAL", value: 0.5 },
    { name: "Ready", type: "BOOL", value: true },
    { name: "Temps", type: "REAL", dimensions: [4], value: [1, 2, 3, 4] },
    { name: "Grid", type: "INT", dimensions: [2, 3, 4], value: Array.from({ length: 24 }, (_, i) => i) },
    { name: "Wide", type: "DINT", dimensions: [2000] },
    { name: "Alarms", type: "BOOL", dimensions: [64], value: [true, false, true] },
    { name: "Line1", type: "Line", value: { Total: 3, Label: "press", Motors: [{ Running: true }, { Speed: 7 }] } },
    { name: "Name", type: "STRING", value: "Hello" },
    { name: "Fixed", type: "UINT", value: 7, access: "read-only" },
    { name: "Fixed2", type: "DINT", value: 7, access: "read-only" },
    { name: "Speed", type: "DINT", program: "Main", value: -5 },
  ],
};

let folder: string;
let target: Target;
let tags: Tags;
let initial: ReadonlyMap<string, ReturnType<Tags["get"]>>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cipsec-interop-tags-"));
  target = await startTarget({ description: readDescription(description), stateDir: join(folder, "state") });
  if (target.tags === undefined) throw new RangeError("the target has no tags");
  tags = target.tags;
  initial = new Map(tags.names.map((name) => [name, tags.get(name)]));
});

beforeEach(() => {
  for (const [name, value] of initial) tags.set(name, value);
});

afterAll(async () => {
  await target.stop();
  await rm(folder, { recursive: true, force: true });
});

describe.each([
  { how: "unconnected, by Unconnected_Send to port 1, slot 0", connected: false },
  { how: "over class 3 through port 1, slot 0", connected: true },
])("st-ethernet-ip $how", ({ connected }) => {
  let controller: StController;

  beforeEach(async () => {
    controller = new st.Controller(connected);
    // Its default asks for 30 ms, with a timeout of four intervals; a busy machine needs more.
    controller.rpi = 1000;
    await controller.connect(address, 0, false);
    return async () => await controller.disconnect();
  });

  test.each([
    { name: "Count", program: null, type: "DINT", before: 258, after: -7 },
    { name: "Small", program: null, type: "SINT", before: -2, after: 100 },
    { name: "Level", program: null, type: "INT", before: -300, after: 30_000 },
    { name: "Big", program: null, type: "LINT", before: 9_007_199_254_740_993n, after: -1n },
    { name: "Ratio", program: null, type: "REAL", before: 0.5, after: 1.25 },
    { name: "Ready", program: null, type: "BOOL", before: true, after: false },
    { name: "Temps[2]", program: null, type: "REAL", before: 3, after: 9.5 },
    { name: "Grid[1,2,3]", program: null, type: "INT", before: 23, after: -1 },
    { name: "Line1.Motors[1].Speed", program: null, type: "INT", before: 7, after: 8 },
    { name: "Line1.Motors[0].Running", program: null, type: "BOOL", before: true, after: false },
    { name: "Speed", program: "Main", type: "DINT", before: -5, after: 5 },
  ])("reads and writes $name", async ({ name, program, type, before, after }) => {
    const tag = new st.Tag(name, program);
    await controller.readTag(tag);
    expect([tag.type, tag.value]).toEqual([type, before]);
    await controller.writeTag(tag, after);
    expect(tags.get(program === null ? name : `Program:${program}.${name}`)).toBe(after);
    await controller.readTag(tag);
    expect(tag.value).toBe(after);
  });

  test("bits: of an integer by Read_Modify_Write, and of a BOOL array", async () => {
    const bit = new st.Tag("Count.1");
    await controller.readTag(bit);
    expect(bit.value).toBe(true);
    await controller.writeTag(bit, false);
    expect(tags.get("Count")).toBe(256);
    const alarm = new st.Tag("Alarms[34]", null, 0xd3);
    await controller.readTag(alarm);
    expect(alarm.value).toBe(false);
    await controller.writeTag(alarm, true);
    expect(tags.get("Alarms")).toEqual(Array.from({ length: 64 }, (_, i) => [0, 2, 34].includes(i)));
  });

  test("arrays: whole, and in fragments both ways", async () => {
    const temps = new st.Tag("Temps", null, null, 0, 1, 4);
    await controller.readTag(temps);
    expect(temps.value).toEqual([1, 2, 3, 4]);
    await controller.writeTag(temps, [4, 3, 2, 1]);
    expect(tags.get("Temps")).toEqual([4, 3, 2, 1]);

    const values = Array.from({ length: 2000 }, (_, i) => i * 1000 - 5);
    const wide = new st.Tag("Wide", null, null, 0, 1, 2000);
    await controller.readTag(wide);
    expect(wide.value).toHaveLength(2000);
    const heard: boolean[] = [];
    const end = tags.onWrite(({ isComplete }) => heard.push(isComplete));
    wide.value = values;
    await controller.writeTag(wide);
    end();
    expect(tags.get("Wide")).toEqual(values);
    expect(heard.length).toBeGreaterThan(10);
    expect(heard.indexOf(true)).toBe(heard.length - 1);
    const again = new st.Tag("Wide", null, null, 0, 1, 2000);
    await controller.readTag(again);
    expect(again.value).toEqual(values);
  });

  test("the list of tags, of programs and of templates", async () => {
    await controller.getControllerTagList(controller.state.tagList);
    const listed = controller.tagList.map(({ name, program, type }) => [
      ...(program === null ? [] : [program]),
      name,
      type.typeName,
      type.arrayDims,
    ]);
    expect(listed).toEqual([
      ["Count", "DINT", 0],
      ["Small", "SINT", 0],
      ["Level", "INT", 0],
      ["Big", "LINT", 0],
      ["Ratio", "REAL", 0],
      ["Ready", "BOOL", 0],
      ["Temps", "REAL", 1],
      ["Grid", "INT", 3],
      ["Wide", "DINT", 1],
      ["Alarms", "BIT_STRING", 1],
      ["Line1", "Line", 0],
      ["Name", "ASCIISTRING82", 0],
      ["Fixed", "UINT", 0],
      ["Fixed2", "DINT", 0],
      ["Main", "Speed", "DINT", 0],
    ]);
    expect(Object.values(controller.templateList).map(({ _name: name }) => name)).toEqual(
      expect.arrayContaining(["Line", "Motor", "ASCIISTRING82"]),
    );

    // Structures and text by what the templates say.
    const line = controller.newTag("Line1", null, false);
    await controller.readTag(line);
    expect(line.value).toMatchObject({
      Total: 3,
      Label: "press",
      Motors: [
        { Running: true, Fault: false, Speed: 0, Torque: 0, Steps: [0, 0, 0] },
        { Running: false, Fault: false, Speed: 7, Torque: 0, Steps: [0, 0, 0] },
      ],
    });
    const motor = { Running: false, Fault: true, Speed: -3, Torque: 1.5, Steps: [1, 2, 3] };
    line.value = { ...(line.value as object), Total: 4, Label: "stamp", Motors: [motor, motor].map(hosted) };
    await controller.writeTag(line);
    expect(tags.get("Line1")).toEqual({ Total: 4, Label: "stamp", Motors: [motor, motor] });

    const name = controller.newTag("Name", null, false);
    await controller.readTag(name);
    expect(name.value).toBe("Hello");
    name.value = "Goodbye";
    await controller.writeTag(name);
    expect(tags.get("Name")).toBe("Goodbye");
  });

  test("a group of tags in one Multiple_Service_Packet", async () => {
    const group = new st.TagGroup();
    const members = [new st.Tag("Count"), new st.Tag("Ratio"), new st.Tag("Speed", "Main"), new st.Tag("Temps[0]")];
    for (const tag of members) group.add(tag);
    await controller.readTagGroup(group);
    expect(members.map(({ value }) => value)).toEqual([258, 0.5, -5, 1]);
    for (const [i, tag] of members.entries()) tag.value = i;
    await controller.writeTagGroup(group);
    expect(["Count", "Ratio", "Program:Main.Speed", "Temps[0]"].map((name) => tags.get(name))).toEqual([0, 1, 2, 3]);
  });

  test("refusals arrive as such", async () => {
    await expect(controller.readTag(new st.Tag("Nothing"))).rejects.toMatchObject({ generalStatusCode: 0x04 });
    const fixed = new st.Tag("Fixed2");
    await controller.readTag(fixed);
    await expect(controller.writeTag(fixed, 8)).rejects.toMatchObject({ generalStatusCode: 0x0f });
    expect(tags.get("Fixed2")).toBe(7);
  });
});

describe("ethernet-ip, by Unconnected_Send to port 1, slot 0", () => {
  let controller: Controller;

  beforeEach(async () => {
    // Its own `destroy` calls `write`, and `write` on a closed socket calls `destroy`: the socket's own is put back.
    controller = Object.assign(new ethernetIp.Controller(), { destroy: Socket.prototype.destroy });
    await controller.connect(address, 0);
    return () => void controller.destroy();
  });

  test.each([
    { name: "Count", program: null, before: 258, after: -7 },
    { name: "Small", program: null, before: -2, after: 100 },
    { name: "Level", program: null, before: -300, after: 30_000 },
    { name: "Ratio", program: null, before: 0.5, after: 1.25 },
    { name: "Ready", program: null, before: true, after: false },
    { name: "Temps[2]", program: null, before: 3, after: 9.5 },
    { name: "Grid[1,2,3]", program: null, before: 23, after: -1 },
    { name: "Line1.Motors[1].Speed", program: null, before: 7, after: 8 },
    { name: "Speed", program: "Main", before: -5, after: 5 },
  ])("reads and writes $name", async ({ name, program, before, after }) => {
    const tag = new ethernetIp.Tag(name, program);
    await controller.readTag(tag);
    expect(tag.value).toBe(before);
    await controller.writeTag(tag, after);
    expect(tags.get(program === null ? name : `Program:${program}.${name}`)).toBe(after);
  });

  test("a bit of an integer, a group, and a refusal", async () => {
    const bit = new ethernetIp.Tag("Count.1");
    await controller.readTag(bit);
    expect(bit.value).toBe(true);
    await controller.writeTag(bit, false);
    expect(tags.get("Count")).toBe(256);

    const group = new ethernetIp.TagGroup();
    const members = [new ethernetIp.Tag("Level"), new ethernetIp.Tag("Speed", "Main")];
    for (const tag of members) group.add(tag);
    await controller.readTagGroup(group);
    expect(members.map(({ value }) => value)).toEqual([-300, -5]);
    for (const tag of members) tag.value = 9;
    await controller.writeTagGroup(group);
    expect([tags.get("Level"), tags.get("Program:Main.Speed")]).toEqual([9, 9]);

    await expect(controller.readTag(new ethernetIp.Tag("Nothing"))).rejects.toMatchObject({ generalStatusCode: 0x04 });
  });
});

/** It wants every member of the template, hidden ones that host BOOLs included; the BOOLs are written over them. */
function hosted(motor: object): object {
  return { ZZZZZZZZZZMotor0: 0, ...motor };
}
