import { describe, expect, test } from "vitest";
import {
  AttributeIds,
  EmbeddedMessages,
  FindNextInstanceReply,
  FindNextInstanceRequest,
  MultipleServiceReply,
  MultipleServiceRequest,
  SHORT_STRING,
  SetAttributeListReply,
  UINT,
  decode,
  decodeAttributeResults,
  decodeAttributeValues,
  encode,
  encodeAttributeResults,
  encodeAttributeValues,
  objectPath,
  type Codec,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex, toHex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const codecs = new Map<number, Codec<unknown>>([
  [1, UINT],
  [7, SHORT_STRING],
]);
const codecOf = (id: number) => codecs.get(id);

const get = (attribute: number) => ({ service: 0x0e, path: objectPath(1, 1, attribute), data: hex("") });
const twoRequests = "0200 0600 0e00 0e03200124013001 0e03200124013007";
const twoReplies = "0200 0600 0c00 8e000000ffff 8e0000000444656d6f";

/** Reference ethernet-ip.md 5.2 and 5.3; packets from vectors V15 and V16. */
test.each([
  good("attribute ids", AttributeIds, "0200 0100 0700", [1, 7]),
  good("results of Set_Attribute_List", SetAttributeListReply, "0200 0100 0000 0700 0e00", [
    { id: 1, status: 0 },
    { id: 7, status: 0x0e },
  ]),
  good("how many instances to find", FindNextInstanceRequest, "0a", 10),
  good("instances found", FindNextInstanceReply, "02 0100 2c01", [1, 300]),
  good("a packet of two requests", MultipleServiceRequest, twoRequests, [get(1), get(7)]),
  good("a packet of two replies", MultipleServiceReply, twoReplies, [
    { service: 0x0e, status: 0, extended: [], data: hex("ffff") },
    { service: 0x0e, status: 0, extended: [], data: hex("0444656d6f") },
  ]),
  good("embedded octets", EmbeddedMessages, "0100 0400 e0", [hex("e0")]),
])("$name", ({ holds }) => holds());

describe("Get_Attribute_List", () => {
  const octets = "0300 0100 0000 3412 0700 0000 024142 0900 1400";

  test("results go both ways; an attribute that failed has no value", () => {
    expect(decodeAttributeResults(hex(octets), codecOf)).toEqual([
      { id: 1, status: 0, value: 0x1234 },
      { id: 7, status: 0, value: "AB" },
      { id: 9, status: 0x14 },
    ]);
    const results = [
      { id: 1, status: 0, data: hex("3412") },
      { id: 7, status: 0, data: hex("024142") },
      { id: 9, status: 0x14, data: hex("") },
    ];
    expect(toHex(encodeAttributeResults(results))).toBe(octets.replaceAll(" ", ""));
  });

  test.each([
    { name: "more results than octets", bytes: "4000 0100 0000 3412", code: "wire/truncated" },
    { name: "a value whose type is not known", bytes: "0100 0900 0000 00", code: "wire/value" },
    { name: "65 results", bytes: "4100", code: "wire/length" },
    { name: "octets behind the last result", bytes: "0100 0900 1400 00", code: "wire/trailing" },
  ])("refuses $name", ({ bytes, code }) =>
    expect(() => decodeAttributeResults(hex(bytes), codecOf)).toThrow(expect.objectContaining({ code })),
  );

  test("refuses to write 65 results", () => {
    const many = Array.from({ length: 65 }, (_, id) => ({ id, status: 0, data: hex("") }));
    expect(() => encodeAttributeResults(many)).toThrow(expect.objectContaining({ code: "wire/length" }));
  });
});

describe("Set_Attribute_List", () => {
  const octets = "0200 0100 3412 0700 024142";

  test("values go both ways", () => {
    expect(decodeAttributeValues(hex(octets), codecOf)).toEqual([
      { id: 1, value: 0x1234 },
      { id: 7, value: "AB" },
    ]);
    const values = [
      { id: 1, data: hex("3412") },
      { id: 7, data: hex("024142") },
    ];
    expect(toHex(encodeAttributeValues(values))).toBe(octets.replaceAll(" ", ""));
  });

  test.each([
    { name: "a value whose type is not known", bytes: "0100 0900 00", code: "wire/value" },
    { name: "a value cut short", bytes: "0100 0100 34", code: "wire/truncated" },
    { name: "octets behind the last value", bytes: "0100 0100 3412 00", code: "wire/trailing" },
  ])("refuses $name", ({ bytes, code }) =>
    expect(() => decodeAttributeValues(hex(bytes), codecOf)).toThrow(expect.objectContaining({ code })),
  );
});

describe("Multiple_Service_Packet refuses", () => {
  test.each([
    { name: "no service", bytes: "0000", code: "wire/length" },
    { name: "257 services", bytes: "0101", code: "wire/length" },
    { name: "offsets cut short", bytes: "0200 0600", code: "wire/truncated" },
    { name: "a first offset that is not behind the offsets", bytes: "0100 0500 0e00", code: "wire/value" },
    { name: "offsets that fall", bytes: "0200 0600 0500 0e00 0e00", code: "wire/value" },
    { name: "offsets that are the same", bytes: "0200 0600 0600 0e00", code: "wire/value" },
    { name: "an offset outside", bytes: "0200 0600 0a00 0e00", code: "wire/value" },
    { name: "a last message without octets", bytes: "0100 0400", code: "wire/value" },
  ])("$name", ({ bytes, code }) =>
    expect(() => decode(MultipleServiceRequest, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test("to write no message, too many, or one without octets", () => {
    const length = expect.objectContaining({ code: "wire/length" });
    expect(() => encode(EmbeddedMessages, [])).toThrow(length);
    expect(() =>
      encode(
        EmbeddedMessages,
        Array.from({ length: 257 }, () => hex("00")),
      ),
    ).toThrow(length);
    expect(() => encode(EmbeddedMessages, [hex("")])).toThrow(expect.objectContaining({ code: "wire/value" }));
  });
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(AttributeIds, ["0200 0100 0700"]);
  refusesOrReturns(SetAttributeListReply, ["0200 0100 0000 0700 0e00"]);
  refusesOrReturns(FindNextInstanceReply, ["02 0100 2c01"]);
  refusesOrReturns(EmbeddedMessages, [twoRequests, twoReplies]);
  refusesOrReturns(MultipleServiceRequest, [twoRequests]);
  refusesOrReturns(MultipleServiceReply, [twoReplies]);
});
