import { describe, expect, test } from "vitest";
import {
  allClasses,
  parseEds,
  readParametersWord,
  readTransportWord,
  writeParametersWord,
  writeTransportWord,
} from "../src/index.ts";
import { sample } from "./eds-sample.ts";

const eds = parseEds(sample);

/** The sample with a text replaced, and the problems that it did not have. */
function changed(from: string, to: string): { problems: readonly string[]; eds: ReturnType<typeof parseEds> } {
  expect(sample).toContain(from);
  const parsed = parseEds(sample.replace(from, () => to));
  return {
    eds: parsed,
    problems: parsed.problems.map(({ line, severity, message }) => `${line} ${severity} ${message}`),
  };
}

const lineOf = (text: string): number => sample.slice(0, sample.indexOf(text)).split("\n").length;

describe("the sample", () => {
  test("has no problem", () => expect(eds.problems).toEqual([]));

  test("file and device", () => {
    expect(eds.file).toEqual({
      description: "Valve block, 8 coils",
      created: { date: { year: 2024, month: 2, day: 29 }, time: { hours: 8, minutes: 15, seconds: 0 } },
      modified: { date: { year: 1999, month: 6, day: 1 }, time: { hours: 23, minutes: 59, seconds: 59 } },
      revision: "1.10",
      homeUrl: "https://example.org/eds?a=1;b=2$c",
      crc: 0xdeadbeef,
    });
    expect(eds.device).toEqual({
      vendorId: 65520,
      vendorName: 'Example "Works"',
      deviceType: 43,
      deviceTypeText: "Generic Device",
      productCode: 129,
      majorRevision: 2,
      minorRevision: 5,
      productName: "Valve block",
      catalog: "VB\\8",
      icon: "valve.ico",
      iconContents: "AAABAAEAICAQAAAAAAD+AgAA",
    });
    expect(eds.classification).toEqual([["EtherNetIP"], ["65520_Valves", "65520_Blocks"]]);
  });

  test("parameters", () => {
    expect(eds.params.get(1)).toMatchObject({
      name: "RPI",
      units: "us",
      minimum: 2000,
      maximum: 1_000_000,
      default: 10_000,
    });
    expect(eds.params.get(2)).toMatchObject({
      descriptor: 2,
      dataType: 0xc6,
      dataSize: 1,
      path: {
        text: "20 64 24 01 30 05",
        segments: [
          { kind: "class", value: 0x64 },
          { kind: "instance", value: 1 },
          { kind: "attribute", value: 5 },
        ],
      },
      choices: [
        { value: 0, text: "off" },
        { value: 1, text: "keep" },
        { value: 2, text: "as configured" },
      ],
    });
    expect(eds.params.get(3)).toMatchObject({
      minimum: -1000,
      scaling: { multiplier: 1, divisor: 10, base: 1, offset: -5 },
      scalingLinks: { multiplier: 0 },
      decimals: 1,
      international: [{ value: { kind: "group" } }, { value: { kind: "empty" } }, { value: { kind: "empty" } }],
    });
    expect(eds.params.get(5)).toMatchObject({ maximum: 18446744073709551615n, default: 9007199254740993n });
  });

  test("assemblies, with the sizes of their members", () => {
    const facts = [...eds.assemblies].map(([key, { size, members }]) => [key, size, members.map(({ bits }) => bits)]);
    expect(facts).toEqual([
      ["assem100", 4, [8, 16, 5, 1]],
      ["assem103", 3, [8, 16]],
      ["assem150", 2, [16]],
      ["assemexa104", 7, [32, 24]],
      ["assemexa105", undefined, []],
    ]);
    expect(eds.assemblies.get("assemexa105")).toMatchObject({ sizeParam: 4, name: "As long as said" });
  });

  test("connections", () => {
    const [owner, input, listen] = eds.connections;
    expect(owner).toMatchObject({
      number: 1,
      name: "Exclusive Owner",
      help: "Controls the coils",
      transport: { classes: [1], triggers: ["cyclic"], applicationTypes: ["exclusiveOwner"], isServer: false },
      oToT: {
        rpi: { param: 1, minimum: 2000, maximum: 1_000_000, default: 10_000 },
        size: undefined,
        data: { to: "Assem", number: 150 },
      },
      tToO: { size: { param: undefined, default: 4, minimum: 4, maximum: 4 } },
      configurations: [
        { size: undefined, data: undefined },
        { size: { default: 3 }, data: { number: 103 } },
      ],
      path: { parts: [0x20, 4, 0x24, 0x67, 0x2c, "Param4", 0x2c, 0x64], segments: undefined },
    });
    expect(input).toMatchObject({
      name: "Input Only",
      transport: { classes: [0, 1], triggers: ["cyclic", "changeOfState"] },
    });
    expect(listen?.path?.segments).toHaveLength(4);
  });

  test("capacity, ports and classes", () => {
    expect(eds.capacity).toMatchObject({
      ioConnections: 5,
      messageConnections: 8,
      cipConnections: undefined,
      traffic: [
        { direction: "TxRx", size: 32, packetsPerSecond: 1000 },
        { direction: "Tx", size: 500, packetsPerSecond: 100 },
      ],
    });
    expect(eds.ports).toMatchObject([
      { entry: 1, type: "TCP", name: "EtherNet/IP port", number: 2, path: { text: "20 F5 24 01" } },
      { entry: 2, type: "65520_Backplane", name: "Backplane", number: 1, path: { text: "20 66 24 01" } },
    ]);
    expect(eds.classes.find(({ classId }) => classId === 0x5d)).toEqual({
      section: "CIP Security Class",
      classId: 0x5d,
      name: "CIP Security",
      revision: 4,
      maxInstance: 1,
      staticInstances: undefined,
      dynamicInstances: undefined,
      classAttributes: [],
      instanceAttributes: [],
      classServices: [0x0e, 0x4e],
      instanceServices: [0x01, 0x05, 0x0e, 0x4b, 0x4c, 0x4d],
      line: lineOf("[CIP Security Class]"),
      column: 1,
    });
    expect(eds.classes.map(({ classId }) => classId)).toEqual([0x0f, 0x04, 0x06, 0xf4, 0xf5, 0x5d]);
    expect(eds.classes[0]?.name).toBe("Parameter");
  });

  test("what is unknown is kept", () => {
    const section = eds.sections.find(({ name }) => name === "65520_Secret Sauce");
    expect(section?.entries[0]?.fields.map(({ raw }) => raw)).toEqual([
      '{1, {2, "three"}}',
      "04-31-2024",
      "25:00:00",
      "whatever else",
    ]);
  });
});

describe("the dwords of a connection", () => {
  const fixed = { isFixed: true, isVariable: false };
  test.each([
    { word: 0x04010002, classes: [1], triggers: ["cyclic"], applicationTypes: ["exclusiveOwner"], isServer: false },
    { word: 0x02010002, classes: [1], triggers: ["cyclic"], applicationTypes: ["inputOnly"], isServer: false },
    { word: 0x01010002, classes: [1], triggers: ["cyclic"], applicationTypes: ["listenOnly"], isServer: false },
    {
      word: 0x8c060008,
      classes: [3],
      triggers: ["changeOfState", "application"],
      applicationTypes: ["exclusiveOwner", "redundantOwner"],
      isServer: true,
    },
  ] as const)("$word", ({ word, ...meaning }) => {
    expect(readTransportWord(word)).toEqual(meaning);
    expect(writeTransportWord(meaning)).toBe(word);
  });

  test.each([
    {
      word: 0x44640405,
      oToT: { ...fixed, format: "header32", types: ["pointToPoint"], priorities: ["scheduled"] },
      tToO: { ...fixed, format: "modeless", types: ["multicast", "pointToPoint"], priorities: ["scheduled"] },
    },
    {
      word: 0x1211_310a,
      oToT: { isFixed: false, isVariable: true, format: "zeroLength", types: ["null"], priorities: ["high"] },
      tToO: { isFixed: false, isVariable: true, format: "heartbeat", types: ["null"], priorities: ["low"] },
    },
  ] as const)("$word", ({ word, ...meaning }) => {
    expect(readParametersWord(word)).toEqual(meaning);
    expect(writeParametersWord(meaning)).toBe(word);
  });

  test("formats that nobody defined are reserved", () => {
    expect(readParametersWord(0x6700)).toMatchObject({ oToT: { format: "reserved" }, tToO: { format: "reserved" } });
  });
});

describe("what is wrong in a known section is reported", () => {
  const cases: readonly (readonly [string, string, readonly string[]])[] = [
    ["[File]", "[Files]", ["1 error There is no section [File]."]],
    ["[Device]", "[Devices]", ["1 error There is no section [Device]."]],
    ["[Device Classification]", "[Net]", ["1 error There is no section [Device Classification]."]],
    ["02-29-2024", "02-30-2024", ["error [File] CreateDate: '02-30-2024' is not a date."]],
    ["08:15:00", "8h", ["error [File] CreateTime: '8h' is not a time."]],
    ["CreateTime = 08:15:00", "CreateTime = ", []],
    ["CreateDate = 02-29-2024", "CreateDate = ", []],
    ["        CreateTime = 08:15:00;\n", "", ["3 error [File] has no CreateTime."]],
    ["        CreateDate = 02-29-2024;\n", "", ["3 error [File] has no CreateDate."]],
    ["        Revision = 1.10;\n", "", ["3 error [File] has no Revision."]],
    ["Revision = 1.10;", "Revision = ;", []],
    ["        VendCode = 65520;\n", "", ["error [Device] has no VendCode."]],
    ["VendCode = 65520", "VendCode = ", ["error [Device] VendCode, number: nothing is given."]],
    [
      "VendCode = 65520",
      "VendCode = 65536",
      ["error [Device] VendCode, number: '65536' is not a number from 0 to 65535."],
    ],
    ["VendCode = 65520", "VendCode = abc", ["error [Device] VendCode, number: 'abc' is not a number"]],
    ["VendCode = 65520", "VendCode = 1.5", ["'1.5' is not a number"]],
    ["VendCode = 65520", "VendCode = 1, 2", ["warning [Device] VendCode has 2 fields, not 1."]],
    ['ProdName = "Valve block"', "ProdName = {1}", ["error [Device] ProdName, text: '{1}' is not a text."]],
    [
      "        Enum2 =",
      "        Enum9 =",
      ["warning [Params] Param2 is enumerated, but has no Enum2.", "warning [Params] Enum9 belongs to no Param9."],
    ],
    ['1,"keep"', 'x,"keep"', ["error [Params] Enum2, value 2: 'x' is not a number"]],
    [
      '1,"keep"',
      ",",
      ["error [Params] Enum2, value 2: nothing is given.", "error [Params] Enum2, text 2: nothing is given."],
    ],
    ['2,"as configured"', "2", ["error [Params] Enum2, text 3: nothing is given."]],
    [
      "0xC6,\n                1,",
      "0xC6,\n                2,",
      [
        "warning [Params] Param2: 2 octets are not the 1 of its data type.",
        "[Assembly] Assem103",
        "[Assembly] Assem103",
      ].slice(0, 2),
    ],
    ["0xC6,\n                1,", "0xC6,\n                ,", []],
    [
      "0xC6,\n                1,",
      "0xDA,\n                ,",
      ["error [Assembly] Assem103: its members take 2 octets, not the 3 stated."],
    ],
    [
      "0xC6,\n                1,",
      ",\n                1,",
      [
        "error [Params] Param2, data type: nothing is given.",
        "error [Assembly] Assem103: the size of a member is not known.",
        "error [Assembly] AssemExa104",
      ].slice(0, 2),
    ],
    [
      "0xC6,\n                1,",
      "x,\n                1,",
      ["error [Params] Param2, data type: 'x' is not", "error [Assembly] Assem103: the size"],
    ],
    ['6,"20 64 24 01 30 05"', '5,"20 64 24 01 30 05"', ["warning [Params] Param2: the link path has 6 octets, not 5."]],
    ['6,"20 64 24 01 30 05"', '6,"20 64 24"', ["error [Params] Param2, link path: logical value: 1 octets needed"]],
    ['6,"20 64 24 01 30 05"', '6,"20 64 zz"', ["error [Params] Param2, link path: the path holds 'zz'."]],
    ['6,"20 64 24 01 30 05"', ",{0x21, 0x00, 0x64, 0x00, 0x24, 0x01}", []],
    ['6,"20 64 24 01 30 05"', ',"21 64 01 24 01"', []],
    [
      '6,"20 64 24 01 30 05"',
      `,"${"20 ".repeat(511)}"`,
      ["error [Params] Param2, link path: the path is longer than 510 octets."],
    ],
    ["0,2,1,", "0,2,3,", ["warning [Params] Param2: the default '3' is not in '0' to '2'."]],
    ["0,2,1,", "2,0,,", ["warning [Params] Param2: the default 'undefined' is not in '2' to '0'."]],
    ["0,2,1,", "1,2,0,", ["warning [Params] Param2: the default '0' is not in '1' to '2'."]],
    ["0,2,1,", '"a","b",c,', []],
    ['{1, "deu", 0xD0, 4, "Druck"},,;', ",,,,,;", ["warning [Params] Param3 has 27 fields, not 24."]],
    [
      "                4,\n                0x0001,",
      "                5,\n                0x0001,",
      ["error [Assembly] Assem100: its members take 4 octets, not the 5 stated."],
    ],
    [
      "16,;",
      ",;",
      [
        "error [Assembly] Assem150: the size of a member is not known.",
        "error [Assembly] Assem150, size of member 1: nothing is given.",
      ],
    ],
    [
      ",Assem100,,Assem103;",
      ",Assem99,,Assem103;",
      ["error [Assembly] AssemExa104: the size of a member is not known."],
    ],
    [
      "3,0,,,,Param2,,Param3;",
      ",0,,,,AssemExa104,,Param3;",
      ["error [Assembly] Assem103: the size of a member", "error [Assembly] AssemExa104: the size of a member"],
    ],
    ["3,0,,,,Param2,,Param3;", ",0,,,,Param2,,Param3;", []],
    [
      ", 0x44640305,\n                Param1,0,,",
      ", ,\n                Param1,0,,",
      ["error [Connection Manager] Connection2, connection parameters"],
    ],
    ["0x04010002, ", ", ", ["error [Connection Manager] Connection1, trigger and transport: nothing is given."]],
    [
      "0x04010002, ",
      "0x104010002, ",
      ["error [Connection Manager] Connection1, trigger and transport: '0x104010002' is not"],
    ],
    [
      "Param1,4,Assem100",
      "Param9,4,Assem100",
      ["error [Connection Manager] Connection1, T→O RPI: there is no parameter 'Param9'."],
    ],
    [
      "Param1,4,Assem100",
      "Assem100,4,Assem100",
      ["error [Connection Manager] Connection1, T→O RPI: there is no parameter 'Assem100'."],
    ],
    ["Param1,4,Assem100", "x,4,Assem100", ["error [Connection Manager] Connection1, T→O RPI: 'x' is not a number"]],
    [
      "Param1,4,Assem100",
      "Param1,4,Assem99",
      ["error [Connection Manager] Connection1, T→O format: there is no Assem99."],
    ],
    [
      "Param1,4,Assem100",
      "Param1,4,Param99",
      ["error [Connection Manager] Connection1, T→O format: there is no Param99."],
    ],
    ["Param1,4,Assem100", "Param1,4,Array1", []],
    ["Param1,4,Assem100", 'Param1,4,""', []],
    [
      "Param1,4,Assem100",
      "Param1,4,7",
      ["error [Connection Manager] Connection1, T→O format: '7' is not the name of an entry."],
    ],
    ['"Input Only "', '"Exclusive Owner"', ["warning Connection2 has the name of Connection1, 'Exclusive Owner'."]],
    ['"20 04 24 67 2C [Param4] 2C 64"', "", ["error [Connection Manager] Connection1, path: nothing is given."]],
    ["[Capacity]", "[Capacities]", []],
    ["TxRx, 32, 1000", "Both, 32, 1000", ["error [Capacity] TSpec1 is for neither Tx, Rx nor TxRx."]],
    ["TxRx, 32, 1000", "TxRx, , 1000", ["error [Capacity] TSpec1, size: nothing is given."]],
    ["TxRx, 32, 1000", "TxRx, x, 1000", ["error [Capacity] TSpec1, size: 'x' is not"]],
    ["TxRx, 32, 1000", "TxRx, 32, x", ["error [Capacity] TSpec1, packets per second: 'x' is not"]],
    ["TxRx, 32, 1000", "TxRx, 32", ["error [Capacity] TSpec1, packets per second: nothing"]],
    ["Port1 = TCP", "Port1 = ", ["error [Port] Port1, type: nothing is given."]],
    ['"20 F5 24 01", 2;', '"20 F5 24 01";', ["error [Port] Port1, port number: nothing is given."]],
    [
      "Object_Class_Code = 0xF5",
      "Object_Class_Code = 0xF6",
      ["warning [TCP/IP Interface Class] is class 245, but says 246 in Object_Class_Code."],
    ],
    [
      "Class_Services = 0x0E, 0x4E",
      "Class_Services = 0x0E, 0x0E",
      ["warning [CIP Security Class] Class_Services lists '14' twice."],
    ],
    [
      "Class_Services = 0x0E, 0x4E",
      "Class_Services = 0x0E, x,",
      ["error [CIP Security Class] Class_Services, field 2: 'x' is not", "Class_Services, field 3: nothing is given."],
    ],
  ];
  test.each(cases)("%j → %j", (from, to, found) => {
    const { problems } = changed(from, to);
    expect(problems).toHaveLength(found.length);
    for (const [i, text] of found.entries()) expect(problems[i]).toContain(text);
  });

  test("a chain of assemblies longer than sixteen is not followed", () => {
    const chain = (length: number): string =>
      Array.from({ length }, (_, i) => `Assem${i + 1} = "",,,0,,,,Assem${i + 2};`).join("\n");
    const sizeOf = (length: number): number | undefined =>
      parseEds(`[Assembly]\n${chain(length)}\nAssem${length + 1} = "",,2,0,,;`).assemblies.get("assem1")?.size;
    expect(sizeOf(10)).toBe(2);
    expect(sizeOf(40)).toBeUndefined();
  });

  test("classes of sections that have no name of their own", () => {
    const { classes } = parseEds("[Class100_Vendor]\nObject_Class_Code = 0x64;\n[Other]\nA = 1;");
    expect(classes).toMatchObject([{ classId: 0x64, name: "Class100_Vendor" }]);
    expect(allClasses.some(({ classId }) => classId === 0x64)).toBe(false);
  });
});
