import { ForwardOpen, LargeForwardOpen, UsageError, encode } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { connectionRequest, parseEds, type ConnectionRequest, type ConnectionWishes } from "../src/index.ts";
import { tryDecode } from "../src/eds/path.ts";
import { sample } from "./eds-sample.ts";

const eds = parseEds(sample);

const key = {
  vendorId: 65520,
  deviceType: 43,
  productCode: 129,
  compatibility: true,
  majorRevision: 2,
  minorRevision: 5,
};

const application = [
  { kind: "class", value: 4 },
  { kind: "instance", value: 0x67 },
  { kind: "connectionPoint", value: 150 },
  { kind: "connectionPoint", value: 100 },
];

/** A connection of an EDS with these fields: dwords, directions, configuration and path. */
function one(fields: string, more = ""): ReturnType<typeof parseEds> {
  return parseEds(`${more}\n[Connection Manager]\nConnection1 = ${fields};\n`);
}

function refusal(action: () => unknown): UsageError {
  try {
    action();
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The Forward_Open that the facts make. */
function octetsOf(request: ConnectionRequest): Uint8Array {
  const open = {
    priorityTick: 3,
    timeoutTicks: 250,
    oToTConnectionId: 0,
    tToOConnectionId: 1,
    connectionSerial: 1,
    originatorVendor: 1,
    originatorSerial: 1,
    timeoutMultiplier: 0,
    ...request,
  };
  return encode(request.needsLarge ? LargeForwardOpen : ForwardOpen, open);
}

describe("the sample", () => {
  test("exclusive owner: header and sequence count in the sizes, defaults in path and configuration", () => {
    const request = connectionRequest(eds, "Exclusive Owner");
    expect(request).toEqual({
      name: "Exclusive Owner",
      applicationTypes: ["exclusiveOwner"],
      transport: 0x01,
      oToTRpiMicros: 10_000,
      oToT: { redundantOwner: false, type: 2, priority: 2, variable: false, size: 2 + 4 + 2 },
      tToORpiMicros: 10_000,
      tToO: { redundantOwner: false, type: 2, priority: 2, variable: false, size: 4 + 2 },
      path: [{ kind: "key", key }, ...application, { kind: "data", words: Uint8Array.of(1, 250, 0, 0) }],
      oToTFormat: "header32",
      tToOFormat: "modeless",
      oToTDataSize: 2,
      tToODataSize: 4,
      configuration: Uint8Array.of(1, 250, 0),
      needsLarge: false,
    });
    expect(octetsOf(request).length).toBe(36 + 10 + 8 + 6);
  });

  test("input only: a heartbeat is the sequence count alone", () => {
    const request = connectionRequest(eds, 2);
    expect(request.oToT.size).toBe(2);
    expect(request.path.at(-1)).toEqual({ kind: "connectionPoint", value: 0x64 });
    expect(request.configuration).toHaveLength(0);
  });

  test("wishes choose among what is offered", () => {
    const request = connectionRequest(eds, "Input Only", {
      transportClass: 0,
      trigger: "changeOfState",
      oToT: { rpiMicros: 1 },
      tToO: { rpiMicros: 2_000_000, type: "multicast", priority: "scheduled", isVariable: false, size: 4 },
      key: "exact",
    });
    expect(request).toMatchObject({ transport: 0x10, oToTRpiMicros: 2000, tToORpiMicros: 1_000_000 });
    expect(request.oToT.size).toBe(0);
    expect(request.tToO).toEqual({ redundantOwner: false, type: 1, priority: 2, variable: false, size: 4 });
    expect(request.path[0]).toEqual({ kind: "key", key: { ...key, compatibility: false } });
  });

  test("parameters, slot, key and configuration can be given", () => {
    const request = connectionRequest(eds, 1, { params: { 2: 2, 3: -2, 4: 151 }, key: "none" });
    expect(request.path[2]).toEqual({ kind: "connectionPoint", value: 151 });
    expect(request.configuration).toEqual(Uint8Array.of(2, 0xfe, 0xff));
    expect(connectionRequest(eds, 1, { configuration: Uint8Array.of(9) }).path.at(-1)).toEqual({
      kind: "data",
      words: Uint8Array.of(9, 0),
    });
  });

  test.each<{ wishes: ConnectionWishes; message: string }>([
    { wishes: { transportClass: 3 }, message: "Connection1 (Exclusive Owner): transport class 3 is not offered." },
    { wishes: { trigger: "application" }, message: "trigger application is not offered." },
    {
      wishes: { tToO: { type: "null" } },
      message: "Connection1 (Exclusive Owner), T→O: connection type null is not offered.",
    },
    { wishes: { oToT: { type: "multicast" } }, message: "O→T: connection type multicast is not offered." },
    { wishes: { tToO: { priority: "low" } }, message: "T→O: priority low is not offered." },
    { wishes: { tToO: { isVariable: true } }, message: "T→O: variable size true is not offered." },
    { wishes: { tToO: { size: 5 } }, message: "T→O: 5 octets are not from 4 to 4." },
    { wishes: { oToT: { size: 1 } }, message: "O→T: 1 octets are not from 2 to 2." },
    { wishes: { tToO: { rpiMicros: 20_000.5 } }, message: "an RPI of 20000.5 µs cannot be." },
    { wishes: { params: { 2: "x".repeat(60) } }, message: "Param2 (Reaction): the value does not fit" },
    { wishes: { params: { 2: "x".repeat(2) } }, message: "Param2 (Reaction): the value does not fit" },
    { wishes: { params: { 2: 1.5 } }, message: "Param2 (Reaction): the value does not fit" },
    { wishes: { params: { 2: "\u20ac" } }, message: "Param2 (Reaction): the value does not fit" },
    { wishes: { configuration: new Uint8Array(511) }, message: "the configuration has 511 octets." },
  ])("refuses $wishes", ({ wishes, message }) => {
    const error = refusal(() => connectionRequest(eds, 1, wishes));
    expect(error).toMatchObject({ code: "usage/argument", fix: expect.stringMatching(/./) });
    expect(error.message).toContain(message);
  });

  test("a connection that is not there is refused with those that are", () => {
    const error = refusal(() => connectionRequest(eds, "Exlusive Owner"));
    expect(error.message).toBe("The EDS has no connection 'Exlusive Owner'.");
    expect(error.fix).toBe("Use one of: 1 'Exclusive Owner', 2 'Input Only', 3 'Listen Only'.");
    expect(refusal(() => connectionRequest(parseEds("[X]"), 1)).fix).toContain("declares no connection");
  });
});

const params = `[Params]
Param1 = 0,,,0,0xCA,4,"Real","","",,,1.5,,,,,,,,,;
Param2 = 0,,,0,0xCB,8,"Double","","",,,,,,,,,,,,;
Param3 = 0,,,0,0xDA,6,"Short","","",,,"abc",,,,,,,,,;
Param4 = 0,,,0,0xD0,6,"String","","",,,"abc",,,,,,,,,;
Param5 = 0,,,0,0xD1,1,"Bits","","",0,7,5,,,,,,,,,;
Param6 = 0,,,0,0xC7,2,"Size","","",0,600,600,,,,,,,,,;
Param7 = 0,,,0,0xC7,2,"No default","","",0,600,,,,,,,,,,;
Param8 = 0,,,0,0xCA,8,"Wrong","","",,,1,,,,,,,,,;
Param9 = 0,,,0,0xC9,8,"Big","","",,,18446744073709551615,,,,,,,,,;
Param10 = 0,,,0,0xC6,1,"Word","","",,,word,,,,,,,,,;
Param11 = 0,,,0,0xD1,6,"Text","","",,,"abc",,,,,,,,,;
[Assembly]
Assem1 = "All",,,0,,,,Param1,,Param2,,Param3,,Param4,3,Param5,5,,3,Param5,5,,,Param9;
Assem2 = "Long",,600,0,,,4072,,16,Param5,8,Param5;
Assem3 = "Self",,4,0,,,8,Assem3,8,Param5,8,Assem9,8,Param99;
Assem4 = "Twice",,2,0,,,8,Assem5,8,Assem5;
Assem5 = "Once",,1,0,,,8,Param5;
Assem6 = "Deep",,1,0,,,8,Assem6;
Assem7 = "By parameter",,Param6,0,,;
Assem8 = "Text",,,0,,,,Param11;
`;
const fixed = "0x04010002, 0x44440005";
const path = '"20 04 2C 01 2C 02"';
const simple = (config: string): ReturnType<typeof parseEds> =>
  one(`${fixed}, 1000,1,, 1000,1,, ${config}, "C", "", ${path}`, params);

describe("configuration", () => {
  test.each([
    {
      config: ",,,Assem1",
      octets: [
        0,
        0,
        0xc0,
        0x3f,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        3,
        97,
        98,
        99,
        0,
        0,
        3,
        0,
        97,
        98,
        99,
        0,
        5,
        5,
        ...Array.from({ length: 8 }, () => 255),
      ],
    },
    { config: ",Param5,,Param5", octets: [5, 5] },
    { config: "2,Param5,,", octets: [5, 0] },
    { config: ",,4,", octets: [0, 0, 0, 0] },
    { config: ",,,Assem4", octets: [5, 5] },
    { config: ",,,Param7", octets: [0, 0] },
    { config: ",,,Assem3", octets: [0, 5, 0, 0] },
    { config: ",,,Assem6", octets: [0] },
    { config: ",,,Assem8", octets: [97, 98, 99, 0, 0, 0] },
  ])("$config", ({ config, octets }) => {
    expect([...connectionRequest(simple(config), 1).configuration]).toEqual(octets);
  });

  test.each([
    { config: "0,Param5,,", code: "usage/file", message: "Connection1 (C): config #1 has 0 octets for 1 of data." },
    { config: ",,511,", code: "usage/file", message: "config #2 has 511 octets for 0 of data." },
    { config: ",,,Assem2", code: "usage/file", message: "config #2 has 600 octets for 600 of data." },
    {
      config: ",,,Assem99",
      code: "usage/file",
      message: "config #2 has an unknown number of octets for unknown of data.",
    },
    { config: ",,,Param8", code: "usage/argument", message: "Param8 (Wrong): the value does not fit" },
    { config: ",,,Param10", code: "usage/argument", message: "Param10 (Word): the value does not fit" },
  ])("$config is refused", ({ config, code, message }) => {
    const error = refusal(() => connectionRequest(simple(config), "C"));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  test("a text longer than its parameter, with its length", () => {
    expect(refusal(() => connectionRequest(simple(",,,Param3"), 1, { params: { 3: "abcdef" } })).message).toContain(
      "6 octets",
    );
    expect(
      refusal(() => connectionRequest(simple(",,,Param3"), 1, { params: { 3: "a".repeat(256) } })).message,
    ).toContain("6 octets");
  });

  test("faults of ours are not taken for those of a path", () => {
    const faulty = { type: "faulty", read: () => BigInt("x"), write: () => undefined };
    expect(() => tryDecode(faulty, new Uint8Array(1))).toThrow(SyntaxError);
  });

  test("a text where a real number belongs is refused", () => {
    expect(refusal(() => connectionRequest(simple(",,,Param1"), 1, { params: { 1: "1" } })).code).toBe(
      "usage/argument",
    );
    expect([...connectionRequest(simple(",,,Param2"), 1, { params: { 2: 1 } }).configuration]).toEqual([
      0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
    ]);
  });

  test("what a long assembly holds behind 510 octets is left out", () => {
    const long = one(
      `${fixed}, 1000,1,, 1000,1,, ,,510,Assem10, "C", "", ${path}`,
      params.replace("600,0", "510,0").replace("Assem2", "Assem10"),
    );
    expect(connectionRequest(long, 1).configuration).toHaveLength(510);
  });
});

describe("directions and paths", () => {
  const make = (dwords: string, directions: string, at = path): ReturnType<typeof parseEds> =>
    one(`${dwords}, ${directions}, ,,,, "C", "", ${at}`, params);

  test("zero length takes a variable size; the null type carries nothing; long sizes need Large_Forward_Open", () => {
    const zero = connectionRequest(make("0x04010002, 0x44440107", "1000,8,,1000,8,"), 1);
    expect(zero.oToT).toMatchObject({ variable: true, size: 10 });
    const none = connectionRequest(make("0x04010002, 0x44410005", ",,,1000,Param6,Assem7"), 1);
    expect(none).toMatchObject({ oToTRpiMicros: 0, oToT: { type: 0, size: 0 }, tToODataSize: 600, needsLarge: true });
    expect(
      connectionRequest(make("0x04010002, 0x44410005", ",,,1000,1,"), 1, { oToT: { rpiMicros: 5 } }).oToTRpiMicros,
    ).toBe(5);
    expect(connectionRequest(make("0x04010002, 0x44410005", "7,,,1000,1,"), 1).oToTRpiMicros).toBe(7);
    expect(octetsOf(none).length).toBeGreaterThan(40);
    expect(connectionRequest(make("0x84040008, 0x44440005", "1000,500,,1000,500,"), 1).transport).toBe(0xa3);
    expect(connectionRequest(make("0x04040008, 0x44440005", "1000,500,,1000,500,"), 1).transport).toBe(0x23);
  });

  test("sizes of parameters may be chosen within their bounds", () => {
    const variable = make("0x04010002, 0x4444000A", "1000,Param6,,1000,Param7,");
    const request = connectionRequest(variable, 1, { oToT: { size: 20 }, tToO: { size: 600 } });
    expect(request).toMatchObject({ oToTDataSize: 20, tToODataSize: 600, oToT: { variable: true } });
    expect(refusal(() => connectionRequest(variable, 1)).message).toContain("T→O: neither size nor format says");
    const assembled = make("0x04010002, 0x4444000A", "1000,,Assem7,1000,1,");
    expect(connectionRequest(assembled, 1, { oToT: { size: 7 } }).oToTDataSize).toBe(7);
    expect(connectionRequest(assembled, 1).oToTDataSize).toBe(600);
    const free = make(fixed, "1000,,Array1,1000,1,");
    expect(connectionRequest(free, 1, { oToT: { size: 100 } }).oToTDataSize).toBe(100);
    const heartbeat = make("0x02010002, 0x44440305", "1000,,,1000,1,");
    expect(connectionRequest(heartbeat, 1).oToTDataSize).toBe(0);
  });

  test.each([
    { dwords: fixed, directions: "1000,2,Param5,1000,1,", message: "O→T: the size is 2, but its format has 1 octets." },
    { dwords: fixed, directions: "1000,65530,,1000,1,", message: "O→T: 65530 octets fit no connection." },
    {
      dwords: "0x04010002, 0x44440305",
      directions: "1000,4,,1000,1,",
      message: "O→T: a heartbeat carries no data, not 4 octets.",
    },
    {
      dwords: "0x04010002, 0x44440505",
      directions: "1000,4,,1000,1,",
      message: "O→T: its real-time format is safety.",
    },
    {
      dwords: "0x04010002, 0x44442005",
      directions: "1000,4,,1000,1,",
      message: "T→O: its real-time format is reserved.",
    },
    {
      dwords: "0x04010002, 0x44400005",
      directions: "1000,4,,1000,1,",
      message: "O→T: the EDS offers no connection type.",
    },
    { dwords: "0x04010002, 0x40440005", directions: "1000,4,,1000,1,", message: "O→T: the EDS offers no priority." },
    {
      dwords: "0x04010002, 0x44440004",
      directions: "1000,4,,1000,1,",
      message: "O→T: the EDS offers no variable size.",
    },
    { dwords: "0x04000002, 0x44440005", directions: "1000,4,,1000,1,", message: "(C): the EDS offers no trigger." },
    {
      dwords: "0x04010000, 0x44440005",
      directions: "1000,4,,1000,1,",
      message: "(C): the EDS offers no transport class.",
    },
  ])("$message", ({ dwords, directions, message }) => {
    const error = refusal(() => connectionRequest(make(dwords, directions), 1));
    expect(error.code).toBe("usage/file");
    expect(error.message).toContain(message);
  });

  test("an RPI that nobody gives, or of nothing", () => {
    const none = make(fixed, ",1,,,1,");
    expect(refusal(() => connectionRequest(none, 1))).toMatchObject({
      code: "usage/argument",
      fix: "Pass rpiMicros for this direction.",
    });
    expect(connectionRequest(none, 1, { oToT: { rpiMicros: 1 }, tToO: { rpiMicros: 5_000 } }).tToORpiMicros).toBe(
      5_000,
    );
    expect(refusal(() => connectionRequest(make(fixed, "0,1,,1000,1,"), 1)).message).toContain(
      "an RPI of 0 µs cannot be",
    );
  });

  test("paths through a chassis: the key follows the hops", () => {
    const device = "[Device]\nVendCode = 1;\nProdType = 2;\nProdCode = 3;\nMajRev = 4;\nMinRev = 0;\n";
    const slot = (at: string): ReturnType<typeof parseEds> =>
      one(`${fixed}, 1000,1,, 1000,1,, ,,,,"C","",${at}`, device + params);
    const request = connectionRequest(slot('"01 SLOT 20 04 2C [Param5] 2C SLOT_MINUS_ONE"'), 1, { slot: 3 });
    expect(request.path).toEqual([
      { kind: "port", port: 1, link: Uint8Array.of(3) },
      {
        kind: "key",
        key: { vendorId: 1, deviceType: 2, productCode: 3, compatibility: false, majorRevision: 4, minorRevision: 0 },
      },
      { kind: "class", value: 4 },
      { kind: "connectionPoint", value: 5 },
      { kind: "connectionPoint", value: 2 },
    ]);
    expect(connectionRequest(slot('"01 00"'), 1).path.map(({ kind }) => kind)).toEqual(["port", "key"]);
    const own = '"34 04 01 00 02 00 03 00 04 01 20 04"';
    expect(connectionRequest(slot(own), 1).path.map(({ kind }) => kind)).toEqual(["key", "class"]);
    for (const wish of [undefined, -1, 256, 1.5]) {
      const wishes = wish === undefined ? {} : { slot: wish };
      expect(refusal(() => connectionRequest(slot('"01 [SLOT] 20 04"'), 1, wishes)).code).toBe("usage/argument");
    }
    expect(refusal(() => connectionRequest(slot('"20 [Param99]"'), 1)).message).toContain(
      "names Param99, which is not there",
    );
    expect(refusal(() => connectionRequest(slot('"20 04 24 [Param2]"'), 1)).message).toContain(
      "its path '20 04 24 [Param2]' is none",
    );
    expect(refusal(() => connectionRequest(slot('"20 zz"'), 1)).message).toContain(
      "its path is missing or cannot be read",
    );
  });

  test("whatever an EDS says, a connection of it is refused or makes a Forward_Open", () => {
    const amount = fc.constantFrom("", "0", "4", "1000", "Param1", "Param6", "Param7", "Param99");
    const data = fc.constantFrom("", "Assem1", "Assem2", "Assem3", "Assem7", "Param5");
    const fields = fc.tuple(fc.nat(), fc.nat(), amount, amount, data, amount, amount, data, amount, data, amount, data);
    const dword = fc.nat(0xffff_ffff);
    fc.assert(
      fc.property(
        dword,
        dword,
        fields,
        fc.constantFrom(path, '"20 04 2C [Param5]"', '"01 SLOT"', "zz"),
        (a, b, [, , ...rest], at) => {
          const parsed = one(`${a}, ${b}, ${rest.join(",")}, "C", "", ${at}`, params);
          try {
            expect(octetsOf(connectionRequest(parsed, 1, { slot: 1 })).length).toBeGreaterThan(34);
          } catch (error) {
            if (!(error instanceof UsageError)) throw error;
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
