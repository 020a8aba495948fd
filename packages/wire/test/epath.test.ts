import { describe, expect, test } from "vitest";
import {
  COUNTED_EPATH,
  EPATH,
  PACKED_EPATH,
  Reader,
  Writer,
  decode,
  encode,
  objectPath,
  readSegment,
  words,
  writeSegment,
  type Segment,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex, toHex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const key = { vendorId: 0, deviceType: 0, productCode: 0, compatibility: false, majorRevision: 0, minorRevision: 0 };

/** Reference ethernet-ip.md 3.3 to 3.8: each segment padded and packed; one string where both are the same. */
const segments: readonly { name: string; padded: string; packed?: string; segment: Segment }[] = [
  { name: "class", padded: "20 01", segment: { kind: "class", value: 1 } },
  { name: "class, 16 bits", padded: "21 00 0001", packed: "21 0001", segment: { kind: "class", value: 0x100 } },
  {
    name: "class, 32 bits",
    padded: "22 00 00000100",
    packed: "22 00000100",
    segment: { kind: "class", value: 0x1_0000 },
  },
  { name: "instance", padded: "24 00", segment: { kind: "instance", value: 0 } },
  { name: "instance, 16 bits", padded: "25 00 2024", packed: "25 2024", segment: { kind: "instance", value: 0x2420 } },
  {
    name: "small instance in 16 bits",
    padded: "25 00 0500",
    packed: "25 0500",
    segment: { kind: "instance", value: 5, width: 2 },
  },
  {
    name: "small instance in 32 bits",
    padded: "26 00 05000000",
    packed: "26 05000000",
    segment: { kind: "instance", value: 5, width: 4 },
  },
  { name: "member", padded: "28 07", segment: { kind: "member", value: 7 } },
  { name: "connection point", padded: "2c 64", segment: { kind: "connectionPoint", value: 100 } },
  { name: "attribute", padded: "30 07", segment: { kind: "attribute", value: 7 } },
  { name: "electronic key", padded: "34 04 0000 0000 0000 00 00", segment: { kind: "key", key } },
  { name: "service", padded: "38 0e", segment: { kind: "service", value: 0x0e } },
  {
    name: "array index",
    padded: "3c 01 05 00",
    packed: "3c 01 05",
    segment: { kind: "extendedLogical", subtype: 1, value: 5, width: 1 },
  },
  {
    name: "array index, 16 bits",
    padded: "3d 01 0500",
    segment: { kind: "extendedLogical", subtype: 1, value: 5, width: 2 },
  },
  {
    name: "array index, 32 bits",
    padded: "3e 01 05000000",
    segment: { kind: "extendedLogical", subtype: 1, value: 5, width: 4 },
  },
  { name: "backplane slot", padded: "01 03", segment: { kind: "port", port: 1, link: hex("03") } },
  {
    name: "port to an address of odd length",
    padded: "12 05 312e312e31 00",
    packed: "12 05 312e312e31",
    segment: { kind: "port", port: 2, link: hex("312e312e31"), extendedLink: true },
  },
  {
    name: "port to an address of even length",
    padded: "12 04 31302e30",
    segment: { kind: "port", port: 2, link: hex("31302e30"), extendedLink: true },
  },
  { name: "port 20", padded: "0f 1400 01", segment: { kind: "port", port: 20, link: hex("01"), extendedPort: true } },
  {
    name: "port 20 to an address",
    padded: "1f 02 1400 3132",
    segment: { kind: "port", port: 20, link: hex("3132"), extendedLink: true, extendedPort: true },
  },
  { name: "schedule", padded: "41 02", segment: { kind: "network", type: 0x41, data: hex("02") } },
  { name: "production inhibit time, ms", padded: "43 0a", segment: { kind: "network", type: 0x43, data: hex("0a") } },
  { name: "safety", padded: "50 01 0001", segment: { kind: "network", type: 0x50, data: hex("0001") } },
  {
    name: "production inhibit time, µs",
    padded: "51 02 10270000",
    segment: { kind: "network", type: 0x51, data: hex("10270000") },
  },
  { name: "extended network", padded: "5f 01 0200", segment: { kind: "network", type: 0x5f, data: hex("0200") } },
  { name: "short symbol, odd", padded: "63 546167", segment: { kind: "symbol", name: "Tag", form: "short" } },
  {
    name: "short symbol, even",
    padded: "62 4142 00",
    packed: "62 4142",
    segment: { kind: "symbol", name: "AB", form: "short" },
  },
  {
    name: "symbol of two double-byte characters",
    padded: "60 22 41004200",
    segment: { kind: "wideSymbol", format: 0x22, data: hex("41004200") },
  },
  {
    name: "symbol of one triple-byte character",
    padded: "60 41 414243 00",
    packed: "60 41 414243",
    segment: { kind: "wideSymbol", format: 0x41, data: hex("414243") },
  },
  {
    name: "numeric symbol, USINT",
    padded: "60 c6 05 00",
    packed: "60 c6 05",
    segment: { kind: "wideSymbol", format: 0xc6, data: hex("05") },
  },
  {
    name: "numeric symbol, UINT",
    padded: "60 c7 0500",
    segment: { kind: "wideSymbol", format: 0xc7, data: hex("0500") },
  },
  {
    name: "numeric symbol, UDINT",
    padded: "60 c8 05000000",
    segment: { kind: "wideSymbol", format: 0xc8, data: hex("05000000") },
  },
  {
    name: "symbol, odd",
    padded: "91 03 546167 00",
    packed: "91 03 546167",
    segment: { kind: "symbol", name: "Tag", form: "ansi" },
  },
  { name: "symbol, even", padded: "91 02 4142", segment: { kind: "symbol", name: "AB", form: "ansi" } },
  { name: "configuration data", padded: "80 02 01020304", segment: { kind: "data", words: hex("01020304") } },
];

describe.each(segments)("$name", ({ padded, packed = padded, segment }) => {
  test("padded", () => good("", EPATH, padded, [segment]).holds());
  test("packed", () => good("", PACKED_EPATH, packed, [segment]).holds());
  test("between others", () =>
    good("", EPATH, `20 04 ${padded} 30 01`, [...objectPath(4), segment, { kind: "attribute", value: 1 }]).holds());
  test("cut short", () => {
    const bytes = hex(padded);
    for (let end = 1; end < bytes.length; end += 1)
      expect(() => decode(EPATH, bytes.subarray(0, end))).toThrow(expect.objectContaining({ code: "wire/truncated" }));
  });
});

describe("refuses to read", () => {
  test.each([
    { name: "port 0", bytes: "00 01" },
    { name: "port 0 with an extended link", bytes: "10 01 00 00" },
    { name: "a logical width of three", bytes: "23 00" },
    { name: "a key in 16 bits", bytes: "35 04" },
    { name: "a service in 16 bits", bytes: "39 00" },
    { name: "an extended logical width of three", bytes: "3f 01 00" },
    { name: "key format 6", bytes: "34 06" },
    { name: "an unknown network segment", bytes: "40 00" },
    { name: "a symbol of an unknown format", bytes: "60 01 41" },
    { name: "a numeric symbol of an unknown size", bytes: "60 c9 41" },
    { name: "an unknown data segment", bytes: "81 00" },
    { name: "a data type", bytes: "c4 00" },
    { name: "a reserved type", bytes: "e0 00" },
    { name: "a pad that is not zero before a 16-bit value", bytes: "25 01 0500" },
    { name: "a pad that is not zero behind a symbol", bytes: "91 01 41 20" },
  ])("$name", ({ bytes }) =>
    expect(() => decode(EPATH, hex(bytes))).toThrow(expect.objectContaining({ code: "wire/segment" })),
  );

  test("more than 64 segments", () => {
    expect(decode(EPATH, hex("24 01".repeat(64)))).toHaveLength(64);
    expect(() => decode(EPATH, hex("24 01".repeat(65)))).toThrow(expect.objectContaining({ code: "wire/length" }));
  });
});

describe("refuses to write", () => {
  test.each<{ name: string; segment: Segment; code: string }>([
    { name: "port 0", segment: { kind: "port", port: 0, link: hex("00") }, code: "wire/segment" },
    {
      name: "port 15 in the short form",
      segment: { kind: "port", port: 15, link: hex("00"), extendedPort: false },
      code: "wire/segment",
    },
    {
      name: "two link octets in the short form",
      segment: { kind: "port", port: 1, link: hex("0000"), extendedLink: false },
      code: "wire/segment",
    },
    { name: "300 in one octet", segment: { kind: "class", value: 300, width: 1 }, code: "wire/value" },
    {
      name: "a symbol without characters in the short form",
      segment: { kind: "symbol", name: "", form: "short" },
      code: "wire/segment",
    },
    {
      name: "32 characters in the short form",
      segment: { kind: "symbol", name: "a".repeat(32), form: "short" },
      code: "wire/length",
    },
    { name: "256 characters", segment: { kind: "symbol", name: "a".repeat(256), form: "ansi" }, code: "wire/length" },
    {
      name: "a numeric symbol of another size",
      segment: { kind: "wideSymbol", format: 0xc7, data: hex("05") },
      code: "wire/segment",
    },
    {
      name: "a symbol of an unknown format",
      segment: { kind: "wideSymbol", format: 0x01, data: hex("") },
      code: "wire/segment",
    },
    { name: "an odd data segment", segment: { kind: "data", words: hex("01") }, code: "wire/value" },
    { name: "a data segment of 256 words", segment: { kind: "data", words: new Uint8Array(512) }, code: "wire/length" },
    {
      name: "a schedule of two octets",
      segment: { kind: "network", type: 0x41, data: hex("0102") },
      code: "wire/segment",
    },
    { name: "an odd safety segment", segment: { kind: "network", type: 0x50, data: hex("01") }, code: "wire/segment" },
    {
      name: "a safety segment of 256 words",
      segment: { kind: "network", type: 0x50, data: new Uint8Array(512) },
      code: "wire/segment",
    },
    {
      name: "an unknown network segment",
      segment: { kind: "network", type: 0x42 + 0x10, data: hex("01") },
      code: "wire/segment",
    },
  ])("$name", ({ segment, code }) => expect(() => encode(EPATH, [segment])).toThrow(expect.objectContaining({ code })));

  test("65 segments, and a counted path of 256 words", () => {
    const many = Array.from({ length: 65 }, (): Segment => ({ kind: "member", value: 1 }));
    expect(() => encode(EPATH, many)).toThrow(expect.objectContaining({ code: "wire/length" }));
    const long: Segment = { kind: "symbol", name: "a".repeat(255), form: "ansi" };
    expect(() => encode(COUNTED_EPATH, [long, long])).toThrow(expect.objectContaining({ code: "wire/length" }));
  });
});

describe("helpers", () => {
  test("object paths use the shortest form", () => {
    expect(toHex(encode(EPATH, objectPath(0x5d)))).toBe("205d");
    expect(toHex(encode(EPATH, objectPath(0x5e, 1, 4)))).toBe("205e24013004");
    expect(toHex(encode(EPATH, objectPath(1, 300)))).toBe("200125002c01");
  });

  test("a port link of one octet is short, of more extended, without being told", () => {
    expect(toHex(encode(EPATH, [{ kind: "port", port: 1, link: hex("00") }]))).toBe("0100");
    expect(toHex(encode(EPATH, [{ kind: "port", port: 2, link: hex("3132") }]))).toBe("12023132");
    expect(toHex(encode(EPATH, [{ kind: "port", port: 15, link: hex("00") }]))).toBe("0f0f0000");
  });

  test("a counted path: words in front, none is no path", () => {
    good("", COUNTED_EPATH, "02 20 5f 24 01", objectPath(0x5f, 1)).holds();
    good("", COUNTED_EPATH, "00", []).holds();
    expect(() => decode(COUNTED_EPATH, hex("02 20 5f"))).toThrow(expect.objectContaining({ code: "wire/truncated" }));
    expect(words(510)).toBe(255);
  });

  test("one segment at a time", () => {
    const r = new Reader(hex("01 00 91 01 41 00"));
    expect(readSegment(r, "padded")).toEqual({ kind: "port", port: 1, link: hex("00") });
    const symbol = readSegment(r, "padded");
    const w = new Writer();
    writeSegment(w, symbol, "packed");
    expect(toHex(w.finish())).toBe("910141");
  });
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(
    EPATH,
    segments.map(({ padded }) => padded),
  );
  refusesOrReturns(
    PACKED_EPATH,
    segments.map(({ padded, packed = padded }) => packed),
  );
  refusesOrReturns(COUNTED_EPATH, ["02 20 5f 24 01", "00"]);
});
