import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  MessageRouterReply,
  MessageRouterRequest,
  ReadModifyWriteRequest,
  ReadTagFragmentedRequest,
  ReadTagReply,
  ReadTagRequest,
  SymbolListRequest,
  SymbolType,
  TagService,
  TagType,
  WriteTagFragmentedRequest,
  WriteTagRequest,
  decode,
  encode,
  structureTypeCode,
  tagTypeSize,
} from "@cipsec/wire";
import { flows } from "./support/capture.ts";
import { good } from "./support/good.ts";
import { hex, toHex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";
import { walk } from "./support/walk.ts";

const structure = { code: structureTypeCode, handle: 0x0fce };

/** Reference ethernet-ip.md 8.2 and 8.3; examples of publication 1756-PM020. */
test.each([
  good("type of a DINT", TagType, "c400", { code: 0xc4 }),
  good("type of a structure", TagType, "a002 ce0f", structure),
  good("Read_Tag", ReadTagRequest, "0100", { elements: 1 }),
  good("Read_Tag reply of a DINT", ReadTagReply, "c400 d2040000", { type: { code: 0xc4 }, data: hex("d2040000") }),
  good("Read_Tag reply of a structure", ReadTagReply, "a002ce0f 0102", { type: structure, data: hex("0102") }),
  good("Write_Tag", WriteTagRequest, "c400 0100 0e000000", {
    type: { code: 0xc4 },
    elements: 1,
    data: hex("0e000000"),
  }),
  good("Read_Tag_Fragmented", ReadTagFragmentedRequest, "8407 ee010000", { elements: 1924, offset: 494 }),
  good("Write_Tag_Fragmented", WriteTagFragmentedRequest, "c300 0500 02000000 0100", {
    type: { code: 0xc3 },
    elements: 5,
    offset: 2,
    data: hex("0100"),
  }),
  good("Read_Modify_Write_Tag", ReadModifyWriteRequest, "0400 04000000 dfffffff", {
    or: hex("04000000"),
    and: hex("dfffffff"),
  }),
  good("a symbol: DINT array of one dimension", SymbolType, "c420", {
    structured: false,
    dimensions: 1,
    system: false,
    code: 0xc4,
    bit: 0,
  }),
  good("a symbol: structure of template 0x0FCE", SymbolType, "ce8f", {
    structured: true,
    dimensions: 0,
    system: false,
    code: 0x0fce,
    bit: 0,
  }),
  good("a symbol: bit 3 of an integer, the controller's own", SymbolType, "c113", {
    structured: false,
    dimensions: 0,
    system: true,
    code: 0xc1,
    bit: 3,
  }),
  good("Get_Instance_Attribute_List", SymbolListRequest, "0200 0100 0200", [1, 2]),
])("$name", ({ holds }) => holds());

test.each([{ code: 0xc4 }, structure])("the size of a type is what it takes on the wire: $code", (type) => {
  expect(tagTypeSize(type)).toBe(encode(TagType, type).length);
});

/** Reference ethernet-ip.md 12. */
test("V17: Read_Tag of 'Tag' inside an Unconnected_Send, and V18: its reply", () => {
  const request = decode(MessageRouterRequest, hex("4c03 9103546167 00 0100"));
  expect(request).toMatchObject({ service: TagService.readTag, path: [{ kind: "symbol", name: "Tag" }] });
  expect(decode(ReadTagRequest, request.data)).toEqual({ elements: 1 });
  const reply = decode(MessageRouterReply, hex("cc000000 c400 d2040000"));
  expect(decode(ReadTagReply, reply.data)).toEqual({ type: { code: 0xc4 }, data: hex("d2040000") });
});

describe("refuses", () => {
  test.each([
    { name: "masks of three octets", codec: ReadModifyWriteRequest, octets: "0300 000000 ffffff", code: "wire/value" },
    { name: "one mask only", codec: ReadModifyWriteRequest, octets: "0100 ff", code: "wire/truncated" },
    { name: "a structure without handle", codec: TagType, octets: "a002", code: "wire/truncated" },
    { name: "17 attributes", codec: SymbolListRequest, octets: "1100", code: "wire/length" },
  ])("$name", ({ codec, octets, code }) =>
    expect(() => decode<unknown>(codec, hex(octets))).toThrow(expect.objectContaining({ code })),
  );

  const type = { structured: false, dimensions: 0, system: false, code: 0xc4, bit: 0 };
  test.each([
    ["a handle of an elementary type", () => encode(TagType, { code: 0xc4, handle: 1 })],
    ["a structure without handle", () => encode(TagType, { code: structureTypeCode })],
    ["masks that differ in size", () => encode(ReadModifyWriteRequest, { or: hex("01"), and: hex("0102") })],
    ["four dimensions", () => encode(SymbolType, { ...type, dimensions: 4 })],
    ["an elementary code above 0xFF", () => encode(SymbolType, { ...type, code: 0x100 })],
    ["bit 16", () => encode(SymbolType, { ...type, bit: 16 })],
    ["a template above 0xFFF", () => encode(SymbolType, { ...type, structured: true, code: 0x1000 })],
    ["a bit of a structure", () => encode(SymbolType, { ...type, structured: true, bit: 1 })],
  ])("to write %s", (_, write) => expect(write).toThrow(expect.objectContaining({ code: "wire/value" })));
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(TagType, ["c400", "a002ce0f"]);
  refusesOrReturns(ReadTagReply, ["c400d2040000", "a002ce0f0102"]);
  refusesOrReturns(WriteTagRequest, ["c40001000e000000"]);
  refusesOrReturns(ReadTagFragmentedRequest, ["8407ee010000"]);
  refusesOrReturns(WriteTagFragmentedRequest, ["c3000500020000000100"]);
  refusesOrReturns(ReadModifyWriteRequest, ["0100 ff00", "0c00 000000000000000000000000 ffffffffffffffffffffffff"]);
  refusesOrReturns(SymbolListRequest, ["020001000200"]);
  for (let word = 0; word <= 0xffff; word += 1) {
    const octets = Uint8Array.of(word & 0xff, word >> 8);
    // A structure's twelve bits and an elementary type's bit and code share their place: every word comes back.
    if (toHex(encode(SymbolType, decode(SymbolType, octets))) !== toHex(octets)) expect.fail(`word ${word}`);
  }
});

/*
 * The only services on tags in the captures: Read_Tag, Write_Tag and the symbol list are in none. Service 0x4C there goes to
 * class 0x72, whose layout is the controller's own.
 */
const capture = new URL("../../../../shared/captures/ITI__EthernetIP-CIP.pcap", import.meta.url);
test.skipIf(!existsSync(capture))("a ControlLogix capture: Read_Modify_Write_Tag of symbols", () => {
  const { messages } = walk(flows(readFileSync(capture)));
  const onSymbols = messages.filter(({ request, answers }) => (request ?? answers)?.path[0]?.kind === "symbol");
  const requests = onSymbols.flatMap(({ request }) => (request === undefined ? [] : [request]));
  expect(requests).toHaveLength(1444);
  expect(onSymbols).toHaveLength(2 * 1444);
  for (const { service, data } of requests) {
    expect(service).toBe(TagService.readModifyWriteTag);
    expect(encode(ReadModifyWriteRequest, decode(ReadModifyWriteRequest, data))).toEqual(data);
  }
});
