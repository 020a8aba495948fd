import { expect, test } from "vitest";
import { connectionStatusText } from "@cipsec/wire";

/** Every code of reference ethernet-ip.md 6.16. */
const ranges: readonly (readonly [from: number, to: number])[] = [
  [0x0100, 0x0100],
  [0x0103, 0x0103],
  [0x0106, 0x0109],
  [0x0110, 0x0139],
  [0x0203, 0x0207],
  [0x0301, 0x0306],
  [0x0311, 0x0312],
  [0x0315, 0x031f],
  [0x0800, 0x0814],
  [0x0916, 0x091b],
];

test("every code of the standard has words of its own, and no other has", () => {
  const known = ranges.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => from + i));
  const told = Array.from({ length: 0x1000 }, (_, code) => code).filter(
    (code) => !connectionStatusText(code).startsWith("unknown"),
  );
  expect(told).toEqual(known);
  expect(new Set(known.map((code) => connectionStatusText(code).replace(/ \(0x.*/u, ""))).size).toBe(known.length);
});

test.each([
  { code: 0x0107, text: "target connection not found (0x0107)" },
  { code: 0x091a, text: "an ingress rule denies connections that are not secure (0x091A)" },
  { code: 0x0200, text: "unknown connection failure (0x0200)" },
])("$text", ({ code, text }) => expect(connectionStatusText(code)).toBe(text));
