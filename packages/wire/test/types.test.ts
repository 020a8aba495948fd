import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as wire from "@cipsec/wire";
import { elementaryTypes } from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const { STRINGI, STRINGN, decode, encode } = wire;
const english = { language: "eng", stringType: 0xd0, characterSet: 4, text: "Hi" };

/** Layouts: reference ethernet-ip.md section 4. */
test.each([
  good("BOOL: 01", wire.BOOL, "01", true),
  good("BOOL: 00", wire.BOOL, "00", false),
  good("SINT: 80", wire.SINT, "80", -128),
  good("INT: 0080", wire.INT, "0080", -32_768),
  good("DINT: 00000080", wire.DINT, "00000080", -2_147_483_648),
  good("LINT: 0000000000000080", wire.LINT, "0000000000000080", -(2n ** 63n)),
  good("USINT: ff", wire.USINT, "ff", 255),
  good("UINT: 0201", wire.UINT, "0201", 0x0102),
  good("UDINT: 04030201", wire.UDINT, "04030201", 0x0102_0304),
  good("ULINT: 0807060504030201", wire.ULINT, "0807060504030201", 0x0102_0304_0506_0708n),
  good("REAL: 0000c03f", wire.REAL, "0000c03f", 1.5),
  good("LREAL: 000000000000f8bf", wire.LREAL, "000000000000f8bf", -1.5),
  good("BYTE: a5", wire.BYTE, "a5", 0xa5),
  good("WORD: 0180", wire.WORD, "0180", 0x8001),
  good("DWORD: 01000080", wire.DWORD, "01000080", 0x8000_0001),
  good("LWORD: 0100000000000080", wire.LWORD, "0100000000000080", 0x8000_0000_0000_0001n),
  good("STIME: 00ca9a3b00000000", wire.STIME, "00ca9a3b00000000", 1_000_000_000n),
  good("DATE: 6e01", wire.DATE, "6e01", 366),
  good("TIME_OF_DAY: 005c2605", wire.TIME_OF_DAY, "005c2605", 86_400_000),
  good("DATE_AND_TIME: e8030000 0200", wire.DATE_AND_TIME, "e8030000 0200", { milliseconds: 1000, days: 2 }),
  good("FTIME: ffffffff", wire.FTIME, "ffffffff", -1),
  good("LTIME: ffffffffffffffff", wire.LTIME, "ffffffffffffffff", -1n),
  good("ITIME: ffff", wire.ITIME, "ffff", -1),
  good("TIME: ffffffff", wire.TIME, "ffffffff", -1),
  good("ENGUNIT: 0210", wire.ENGUNIT, "0210", 0x1002),
  good("STRING: 0200 4869", wire.STRING, "0200 4869", "Hi"),
  good("STRING, ISO 8859-1: 0100 e9", wire.STRING, "0100 e9", "é"),
  good("PADDED_STRING, odd: 0300 616263 00", wire.PADDED_STRING, "0300 616263 00", "abc"),
  good("PADDED_STRING, even: 0200 6162", wire.PADDED_STRING, "0200 6162", "ab"),
  good("STRING2: 0200 4800 ac20", wire.STRING2, "0200 4800 ac20", "H€"),
  good("STRINGN: 0100 0200 4869", wire.STRINGN, "0100 0200 4869", { width: 1, text: "Hi" }),
  good("STRINGN: 0200 0100 ac20", wire.STRINGN, "0200 0100 ac20", { width: 2, text: "€" }),
  good("STRINGN: 0400 0200 48000000 00f60100", wire.STRINGN, "0400 0200 48000000 00f60100", {
    width: 4,
    text: "H\u{1f600}",
  }),
  good("SHORT_STRING: 02 4869", wire.SHORT_STRING, "02 4869", "Hi"),
  good("STRINGI: 01 656e67 d0 0400 0200 4869", wire.STRINGI, "01 656e67 d0 0400 0200 4869", [english]),
  good(
    "STRINGI, every string type: 03 656e67 da 0400 02 4869 646575 d5 e803 0100 4800 667261 d9 e903 0400 0100 48000000",
    wire.STRINGI,
    "03 656e67 da 0400 02 4869 646575 d5 e803 0100 4800 667261 d9 e903 0400 0100 48000000",
    [
      { ...english, stringType: 0xda },
      { language: "deu", stringType: 0xd5, characterSet: 1000, text: "H" },
      { language: "fra", stringType: 0xd9, characterSet: 1001, text: "H", width: 4 },
    ],
  ),
  good("ENGLISH, as one text: 01 656e67 d0 0400 0200 4869", wire.ENGLISH, "01 656e67 d0 0400 0200 4869", "Hi"),
])("$name", ({ holds }) => holds());

describe("refuses", () => {
  test.each<{ name: string; code: string; act: () => unknown }>([
    { name: "text outside ISO 8859-1", code: "wire/value", act: () => encode(wire.STRING, "€") },
    { name: "an emoji in ISO 8859-1", code: "wire/value", act: () => encode(wire.SHORT_STRING, "\u{1f600}") },
    {
      name: "256 characters in a SHORT_STRING",
      code: "wire/length",
      act: () => encode(wire.SHORT_STRING, "a".repeat(256)),
    },
    { name: "65,536 characters in a STRING", code: "wire/length", act: () => encode(wire.STRING, "a".repeat(65_536)) },
    {
      name: "65,536 characters in a STRING2",
      code: "wire/length",
      act: () => encode(wire.STRING2, "a".repeat(65_536)),
    },
    {
      name: "65,536 characters in a STRINGN",
      code: "wire/length",
      act: () => encode(STRINGN, { width: 4, text: "a".repeat(65_536) }),
    },
    { name: "a STRING that ends early", code: "wire/truncated", act: () => decode(wire.STRING, hex("0300 6162")) },
    { name: "a pad that is not zero", code: "wire/value", act: () => decode(wire.PADDED_STRING, hex("0100 61 01")) },
    { name: "three octets a character, read", code: "wire/value", act: () => decode(STRINGN, hex("0300 0000")) },
    {
      name: "three octets a character, written",
      code: "wire/value",
      act: () => encode(STRINGN, { width: 3, text: "" }),
    },
    {
      name: "half a surrogate pair in four octets, read",
      code: "wire/value",
      act: () => decode(STRINGN, hex("0400 0100 00d80000")),
    },
    {
      name: "half a surrogate pair in four octets, written",
      code: "wire/value",
      act: () => encode(STRINGN, { width: 4, text: "\ud800" }),
    },
    { name: "a character above U+10FFFF", code: "wire/value", act: () => decode(STRINGN, hex("0400 0100 00001100")) },
    {
      name: "an unknown string type, read",
      code: "wire/value",
      act: () => decode(STRINGI, hex("01 656e67 d1 0400 00")),
    },
    {
      name: "an unknown string type, written",
      code: "wire/value",
      act: () => encode(STRINGI, [{ ...english, stringType: 0xc1 }]),
    },
    { name: "33 languages, read", code: "wire/length", act: () => decode(STRINGI, hex("21")) },
    {
      name: "33 languages, written",
      code: "wire/length",
      act: () =>
        encode(
          STRINGI,
          Array.from({ length: 33 }, () => english),
        ),
    },
    {
      name: "a language of two letters",
      code: "wire/length",
      act: () => encode(STRINGI, [{ ...english, language: "en" }]),
    },
  ])("$name", ({ code, act }) => expect(act).toThrow(expect.objectContaining({ code })));
});

test("values that more than one encoding has", () => {
  expect(decode(wire.BOOL, hex("ff"))).toBe(true);
  expect(decode(wire.PADDED_STRING, hex("0100 61"))).toBe("a");
  expect(decode(wire.ENGLISH, hex("00"))).toBe("");
  expect(encode(STRINGI, [{ ...english, stringType: 0xd9 }])).toEqual(hex("01 656e67 d9 0400 0100 0200 4869"));
});

test("ISO 8859-1 goes both ways for every octet", () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect(wire.fromLatin1(wire.latin1(all), 256, "all")).toEqual(all);
});

describe("any octets are refused or encode back", () => {
  const text = "01 656e67 d0 0400 0200 4869";
  test.each([...elementaryTypes.values()].filter(({ type }) => !["BOOL", "REAL", "LREAL"].includes(type)))(
    "$type: to themselves",
    (codec) => refusesOrReturns(codec, [seedOf(codec)]),
  );

  test("BOOL, REAL, LREAL and padded STRING: to the same value", () => {
    refusesOrReturns(wire.BOOL, ["01"], "value");
    refusesOrReturns(wire.REAL, ["0000c03f"], "value");
    refusesOrReturns(wire.LREAL, ["000000000000f8bf"], "value");
    refusesOrReturns(wire.PADDED_STRING, ["0300 616263 00"], "value");
  });

  test("STRINGN of each width, STRINGI of each type", () => {
    refusesOrReturns(STRINGN, ["0200 0100 ac20", "0400 0100 48000000"]);
    refusesOrReturns(STRINGI, [text, "01 667261 d9 e903 0400 0100 48000000", "01 646575 d5 e803 0100 4800"]);
    refusesOrReturns(wire.ENGLISH, [text], "value");
  });

  test("wide characters survive both ways", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (value) => {
        expect(decode(STRINGN, encode(STRINGN, { width: 4, text: value })).text).toBe(value);
        expect(decode(wire.STRING2, encode(wire.STRING2, value))).toBe(value);
      }),
    );
  });

  function seedOf({ type }: wire.Codec<unknown>): string {
    const seeds: Readonly<Record<string, string>> = {
      STRING: "0200 4869",
      STRING2: "0200 4800 ac20",
      STRINGN: "0100 0200 4869",
      SHORT_STRING: "02 4869",
      STRINGI: text,
      DATE_AND_TIME: "e8030000 0200",
    };
    if (type in seeds) return seeds[type] ?? "";
    if (/^(?:INT|UINT|WORD|DATE|ITIME|ENGUNIT)$/u.test(type)) return "0102";
    if (/^(?:SINT|USINT|BYTE)$/u.test(type)) return "01";
    return /^(?:L|UL|S)/u.test(type) ? "0102030405060708" : "01020304";
  }
});

test("type codes name the types of the standard", () => {
  const names = [...elementaryTypes].map(([code, codec]) => `${code.toString(16)} ${codec.type}`);
  expect(names).toHaveLength(29);
  expect(names.slice(0, 4)).toEqual(["c1 BOOL", "c2 SINT", "c3 INT", "c4 DINT"]);
  expect(names.slice(-4)).toEqual(["da SHORT_STRING", "db TIME", "dd ENGUNIT", "de STRINGI"]);
});
