import { describe, expect, test } from "vitest";
import {
  EMPTY,
  REST,
  UINT,
  USINT,
  WireError,
  decode,
  encode,
  list,
  mapped,
  octets,
  optional,
  repeated,
  struct,
} from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const Pair = struct("pair", { small: USINT, large: UINT });
const Even = mapped(
  "even",
  USINT,
  (n) => n / 2,
  (half) => half * 2,
);

test.each([
  good("a struct keeps the order of its fields", Pair, "01 0302", { small: 1, large: 0x0203 }),
  good("a list has its count in front", list(UINT, USINT, 3), "0200 07 08", [7, 8]),
  good("an empty list", list(USINT, USINT, 3), "00", []),
  good("as many as there are", repeated(UINT, 2), "0100 0200", [1, 2]),
  good("exactly two octets", octets(2), "0102", hex("0102")),
  good("the rest", REST, "010203", hex("010203")),
  good("nothing", EMPTY, "", undefined),
  good("an optional field that is there", optional(USINT), "05", 5),
  good("an optional field that is not", optional(USINT), "", undefined),
  good("the same octets seen as another value", Even, "0a", 5),
])("$name", ({ holds }) => holds());

describe("refuses", () => {
  test.each<{ name: string; code: string; act: () => unknown }>([
    { name: "octets behind the value", code: "wire/trailing", act: () => decode(USINT, hex("0102")) },
    {
      name: "a list above its bound, read",
      code: "wire/length",
      act: () => decode(list(USINT, USINT, 2), hex("03010203")),
    },
    {
      name: "a list above its bound, written",
      code: "wire/length",
      act: () => encode(list(USINT, USINT, 2), [1, 2, 3]),
    },
    { name: "a list cut short", code: "wire/truncated", act: () => decode(list(USINT, USINT, 2), hex("0201")) },
    { name: "too many to the end, read", code: "wire/length", act: () => decode(repeated(USINT, 2), hex("010203")) },
    { name: "too many to the end, written", code: "wire/length", act: () => encode(repeated(USINT, 2), [1, 2, 3]) },
    { name: "half an entry", code: "wire/truncated", act: () => decode(repeated(UINT, 2), hex("010002")) },
    { name: "three octets for two", code: "wire/length", act: () => encode(octets(2), hex("010203")) },
  ])("$name", ({ code, act }) => {
    expect(act).toThrow(WireError);
    expect(act).toThrow(expect.objectContaining({ code }));
  });

  test("a repeated codec of no octets ends", () => {
    expect(() => decode(repeated(EMPTY, 4), hex("01"))).toThrow(expect.objectContaining({ code: "wire/length" }));
  });
});

test("types name what they hold", () => {
  expect([list(USINT, UINT, 1).type, repeated(UINT, 1).type, octets(3).type, optional(UINT).type]).toEqual([
    "USINT n, UINT[n]",
    "UINT[]",
    "BYTE[3]",
    "[UINT]",
  ]);
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(Pair, ["01 0200"]);
  refusesOrReturns(list(UINT, Pair, 4), ["0200 01 0200 03 0400"]);
  refusesOrReturns(repeated(Pair, 4), ["01 0200 03 0400"]);
  refusesOrReturns(optional(Pair), ["01 0200"]);
  refusesOrReturns(octets(2), ["0102"]);
  refusesOrReturns(REST, ["0102"]);
});
