import { describe, expect, test } from "vitest";
import { ElectronicKey, decode, encode } from "@cipsec/wire";
import { good } from "./support/good.ts";
import { hex } from "./support/hex.ts";
import { refusesOrReturns } from "./support/property.ts";

const key = { vendorId: 1, deviceType: 0x0c, productCode: 65, compatibility: true, majorRevision: 2, minorRevision: 3 };

/** Reference ethernet-ip.md 3.6; the segment type octet 0x34 stands in front. */
test.each([
  good("format 4", ElectronicKey, "04 0100 0c00 4100 82 03", key),
  good("format 4, anything will do", ElectronicKey, "04 0000 0000 0000 00 00", {
    vendorId: 0,
    deviceType: 0,
    productCode: 0,
    compatibility: false,
    majorRevision: 0,
    minorRevision: 0,
  }),
  good("format 5 with a serial number", ElectronicKey, "05 0100 0c00 4100 82 03 04030201", {
    ...key,
    serialNumber: 0x0102_0304,
  }),
])("$name", ({ holds }) => holds());

describe("refuses", () => {
  test.each([
    { name: "format 3", bytes: "03 0100 0c00 4100 82 03", code: "wire/segment" },
    { name: "format 5 without its serial number", bytes: "05 0100 0c00 4100 82 03", code: "wire/truncated" },
  ])("$name", ({ bytes, code }) =>
    expect(() => decode(ElectronicKey, hex(bytes))).toThrow(expect.objectContaining({ code })),
  );

  test("to write a major revision that would set the compatibility bit", () => {
    expect(() => encode(ElectronicKey, { ...key, majorRevision: 128 })).toThrow(
      expect.objectContaining({ code: "wire/value" }),
    );
  });
});

test("any octets are refused or encode back to themselves", () =>
  refusesOrReturns(ElectronicKey, ["04 0100 0c00 4100 82 03", "05 0100 0c00 4100 82 03 04030201"]));
