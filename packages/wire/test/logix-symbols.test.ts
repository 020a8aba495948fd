import { describe, expect, test } from "vitest";
import {
  ReadTemplateRequest,
  SymbolAttribute,
  decode,
  decodeAttributeResults,
  encode,
  symbolList,
  template,
  templateAttributes,
  templateOctets,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const dint = { structured: false, dimensions: 0, system: false, code: 0xc4, bit: 0 };
const bool = { ...dint, code: 0xc1 };
const all = Object.values(SymbolAttribute);

/** Records of a host octet and two of its bits, then the names. Reference ethernet-ip.md 8.4. */
const records = "0000 c200 00000000  0000 c100 00000000  0100 c100 00000000";
const names = "4142 3b6e454246 00  5a5a5a5a 00  6f6e 00  6f6666 00";
const definition = {
  name: "AB",
  tail: "nEBF",
  members: [
    { name: "ZZZZ", info: 0, type: { ...dint, code: 0xc2 }, offset: 0 },
    { name: "on", info: 0, type: bool, offset: 0 },
    { name: "off", info: 1, type: bool, offset: 0 },
  ],
};

test.each([
  good("names and types", symbolList([1, 2]), "05000000 0300 546167 c400  07000000 0100 58 ce8f", [
    { instance: 5, name: "Tag", symbolType: dint },
    { instance: 7, name: "X", symbolType: { ...dint, structured: true, code: 0x0fce } },
  ]),
  good(
    "every attribute",
    symbolList(all),
    "01000000 0100 41 c400 01020304 05060708 090a0b0c 0400 0a000000 00000000 00000000 02",
    [
      {
        instance: 1,
        name: "A",
        symbolType: dint,
        address: 0x0403_0201,
        objectAddress: 0x0807_0605,
        softwareControl: 0x0c0b_0a09,
        byteCount: 4,
        dimensions: [10, 0, 0] as const,
        externalAccess: 2,
      },
    ],
  ),
  good("no symbols", symbolList([1]), "", []),
  good("Read template", ReadTemplateRequest, "00000000 1c00", { offset: 0, length: 28 }),
  good("a structure with BOOLs", template(3), records + names, definition),
  good("a structure without members and tail", template(0), "4100", { name: "A", members: [] }),
])("$name", ({ holds }) => holds());

test("what is missing in a symbol is written as nothing", () => {
  const octets = encode(symbolList(all), [{ instance: 1 }]);
  expect(decode(symbolList(all), octets)).toEqual([
    {
      instance: 1,
      name: "",
      symbolType: { ...dint, code: 0 },
      address: 0,
      objectAddress: 0,
      softwareControl: 0,
      byteCount: 0,
      dimensions: [0, 0, 0],
      externalAccess: 0,
    },
  ]);
});

test("names that a predefined structure leaves out are empty, and pads are left", () => {
  expect(decode(template(3), hex(records)).members.map(({ name }) => name)).toEqual(["", "", ""]);
  expect(decode(template(3), hex(`${records}${names}000000`))).toEqual(definition);
});

test("attributes of a template, and the octets of its definition", () => {
  const reply = "0400 0400 0000 1e000000  0500 0000 10000000  0200 0000 0300  0100 0000 ce0f";
  expect(decodeAttributeResults(hex(reply), (id) => templateAttributes.get(id)).map(({ value }) => value)).toEqual([
    30, 16, 3, 0x0fce,
  ]);
  expect([30, 5, 0].map(templateOctets)).toEqual([100, 0, 0]);
});

describe("refuses", () => {
  test.each([
    { name: "attribute 4 of a symbol", codec: symbolList([4]), octets: "01000000 00", code: "wire/value" },
    { name: "a name that is cut", codec: symbolList([1]), octets: "01000000 0500 41", code: "wire/truncated" },
    {
      name: "more symbols than a reply holds",
      codec: symbolList([]),
      octets: "00".repeat(4 * 16_385),
      code: "wire/length",
    },
    { name: "fewer members than announced", codec: template(4), octets: records, code: "wire/truncated" },
  ])("$name", ({ codec, octets, code }) =>
    expect(() => decode<unknown>(codec, hex(octets))).toThrow(expect.objectContaining({ code })),
  );

  test("to write an attribute of unknown type, or members that were not announced", () => {
    expect(() => encode(symbolList([4]), [{ instance: 1 }])).toThrow(expect.objectContaining({ code: "wire/value" }));
    expect(() => encode(template(2), definition)).toThrow(expect.objectContaining({ code: "wire/value" }));
  });
});

test("any octets are refused or come back", () => {
  refusesOrReturns(symbolList([1, 2, 7, 8, 10]), ["01000000 0100 41 c400 0400 0a000000 00000000 00000000 02"]);
  refusesOrReturns(ReadTemplateRequest, ["000000001c00"]);
  refusesOrReturns(template(3), [records + names], "value");
  refusesOrReturns(template(1), ["0000 c400 00000000 4100 4200"], "value");
});
