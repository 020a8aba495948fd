import { describe, expect, test } from "vitest";
import { MessageRouterReply, MessageRouterRequest, decode, encode, objectPath } from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

/** Reference ethernet-ip.md 3.1. */
test.each([
  good("a request", MessageRouterRequest, "0e 03 20 01 24 01 30 07", {
    service: 0x0e,
    path: objectPath(1, 1, 7),
    data: hex(""),
  }),
  good("a request with data", MessageRouterRequest, "10 02 20 01 24 01 abcd", {
    service: 0x10,
    path: objectPath(1, 1),
    data: hex("abcd"),
  }),
  good("a request without a path", MessageRouterRequest, "01 00", { service: 1, path: [], data: hex("") }),
  good("a reply", MessageRouterReply, "8e 00 00 00 ffff", {
    service: 0x0e,
    status: 0,
    extended: [],
    data: hex("ffff"),
  }),
  good("a reply with extended status", MessageRouterReply, "d4 00 01 02 2701 2000 0700", {
    service: 0x54,
    status: 1,
    extended: [0x0127, 0x20],
    data: hex("0700"),
  }),
])("$name", ({ holds }) => holds());

describe("refuses a request", () => {
  test.each([
    { name: "with the reply bit", bytes: "8e 00", code: "wire/value" },
    { name: "without a path size", bytes: "0e", code: "wire/truncated" },
    { name: "whose path runs past the message", bytes: "0e 03 20 01 24 01", code: "wire/path-size" },
    { name: "with a segment that claims more than the path", bytes: "0e 01 25 00 01 00", code: "wire/segment" },
    { name: "with a reserved segment", bytes: "0e 01 e0 00", code: "wire/segment" },
    { name: "with more segments than a path may have", bytes: `0e 41 ${"24 01".repeat(65)}`, code: "wire/segment" },
  ])("$name", ({ bytes, code }) =>
    expect(() => decode(MessageRouterRequest, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test("says where the segment is", () => {
    expect(() => decode(MessageRouterRequest, hex("0e 01 e0 00"))).toThrow(
      "path: 0xe0 at offset 0 is not a segment type",
    );
  });
});

describe("refuses a reply", () => {
  test.each([
    { name: "without the reply bit", bytes: "0e 00 00 00", code: "wire/value" },
    { name: "whose reserved octet is not zero", bytes: "8e 01 00 00", code: "wire/value" },
    { name: "with 33 words of extended status", bytes: `8e 00 01 21 ${"0000".repeat(33)}`, code: "wire/length" },
    { name: "with extended status cut short", bytes: "8e 00 01 02 0000", code: "wire/truncated" },
  ])("$name", ({ bytes, code }) =>
    expect(() => decode(MessageRouterReply, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );
});

test("refuses to write a service that has the reply bit, and too many words", () => {
  const value = expect.objectContaining({ code: "wire/value" });
  expect(() => encode(MessageRouterRequest, { service: 0x8e, path: [], data: hex("") })).toThrow(value);
  expect(() => encode(MessageRouterReply, { service: 0x8e, status: 0, extended: [], data: hex("") })).toThrow(value);
  const many = Array.from({ length: 33 }, () => 0);
  expect(() => encode(MessageRouterReply, { service: 1, status: 1, extended: many, data: hex("") })).toThrow(
    expect.objectContaining({ code: "wire/length" }),
  );
});

test("any octets are refused or encode back to themselves", () => {
  refusesOrReturns(MessageRouterRequest, ["0e 03 20 01 24 01 30 07", "4c 03 91 03 546167 00 0100"]);
  refusesOrReturns(MessageRouterReply, ["8e 00 00 00 ffff", "d4 00 01 02 2701 2000 0700"]);
});
