import { expect, test } from "vitest";
import { productionInhibitMicros } from "@cipsec/wire";
import { hex } from "./support/hex.ts";

/** Reference ethernet-ip.md 3.7. Reading and writing are tested with the other segments in epath.test.ts. */
test.each([
  { name: "milliseconds", type: 0x43, data: "0a", micros: 10_000 },
  { name: "microseconds", type: 0x51, data: "10270000", micros: 10_000 },
  { name: "milliseconds without a value", type: 0x43, data: "", micros: undefined },
  { name: "microseconds cut short", type: 0x51, data: "1027", micros: undefined },
  { name: "another segment", type: 0x41, data: "0a", micros: undefined },
])("production inhibit time in $name", ({ type, data, micros }) => {
  expect(productionInhibitMicros({ kind: "network", type, data: hex(data) })).toBe(micros);
});
