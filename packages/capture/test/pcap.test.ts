import { WireError } from "@cipsec/wire";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readRecords } from "../src/pcap.ts";
import type { CapturedFrame } from "../src/pcap.ts";
import { writePcapng } from "../src/pcapng-write.ts";
import { hex, pcapOf, toHex } from "./frames.ts";

const shape = (bytes: Uint8Array) =>
  [...readRecords(bytes)].map((record) =>
    record.kind === "frame"
      ? `${record.n} ${record.time} ${record.linkType} ${toHex(record.bytes)} ${record.originalLength}`
      : record.kind,
  );

// Laid out by hand from draft-ietf-opsawg-pcap, 4 and 5.
test.each([
  {
    name: "little-endian, microseconds",
    bytes: "d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000  02000000 03000000 02000000 05000000 abcd",
    time: "2.000003000",
  },
  {
    name: "big-endian, microseconds",
    bytes: "a1b2c3d4 0002 0004 00000000 00000000 0000ffff 00000001  00000002 00000003 00000002 00000005 abcd",
    time: "2.000003000",
  },
  {
    name: "little-endian, nanoseconds",
    bytes: "4d3cb2a1 0200 0400 00000000 00000000 ffff0000 01000000  02000000 03000000 02000000 05000000 abcd",
    time: "2.000000003",
  },
  {
    name: "big-endian, nanoseconds",
    bytes: "a1b23c4d 0002 0004 00000000 00000000 0000ffff 00000001  00000002 00000003 00000002 00000005 abcd",
    time: "2.000000003",
  },
])("pcap: $name", ({ bytes, time }) => expect(shape(hex(bytes))).toEqual([`1 ${time} 1 abcd 5`]));

describe("pcapng", () => {
  // Laid out by hand from draft-ietf-opsawg-pcapng, 4.
  const littleSection = "0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000";
  const littleInterface = "01000000 14000000 0100 0000 00000000 14000000";
  test.each([
    {
      name: "little-endian, microseconds by default, padding cut",
      bytes: `${littleSection} ${littleInterface} 06000000 24000000 00000000 00000000 40420f00 01000000 05000000 aa000000 24000000`,
      records: ["1 1.000000000 1 aa 5"],
    },
    {
      name: "if_tsresol 9 and if_tsoffset 10 s",
      bytes: `${littleSection} 01000000 2c000000 6500 0000 00000000 0900 0100 09000000 0e00 0800 0a00000000000000 00000000 2c000000
        06000000 20000000 00000000 00000000 07000000 00000000 00000000 20000000`,
      records: ["1 10.000000007 101  0"],
    },
    {
      name: "if_tsresol 2^-10, big-endian",
      bytes: `0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c
        00000001 0000001c 0001 0000 00000000 0009 0001 8a000000 0000001c
        00000006 00000024 00000000 00000000 00000200 00000002 00000002 abcd0000 00000024`,
      records: ["1 0.500000000 1 abcd 2"],
    },
    {
      name: "simple packet, bounded by the snap length",
      bytes: `${littleSection} 01000000 14000000 0100 0000 02000000 14000000 03000000 14000000 08000000 abcd0000 14000000`,
      records: ["1 0.000000000 1 abcd 8"],
    },
    { name: "unknown block skipped", bytes: `${littleSection} ad0b0000 10000000 01020304 10000000`, records: [] },
    {
      name: "obsolete packet block told",
      bytes: `${littleSection} 02000000 10000000 01020304 10000000`,
      records: ["notice"],
    },
    {
      name: "secrets of another kind skipped",
      bytes: `${littleSection} 0a000000 14000000 01020304 00000000 14000000`,
      records: [],
    },
    {
      name: "key log",
      bytes: `${littleSection} 0a000000 18000000 4b534c54 03000000 23232300 18000000`,
      records: ["secrets"],
    },
  ])("$name", ({ bytes, records }) => expect(shape(hex(bytes))).toEqual(records));

  test.each([
    { name: "block length 8", bytes: `${littleSection} 01000000 08000000 08000000`, code: "wire/value" },
    { name: "block length above the bound", bytes: `${littleSection} 01000000 fcffffff 00000000`, code: "wire/length" },
    {
      name: "byte-order magic",
      bytes: "0a0d0d0a 1c000000 00000000 0100 0000 ffffffffffffffff 1c000000",
      code: "wire/value",
    },
    {
      name: "packet of no interface",
      bytes: `${littleSection} 06000000 20000000 00000000 00000000 07000000 00000000 00000000 20000000`,
      code: "wire/value",
    },
    {
      name: "captured length past the block",
      bytes: `${littleSection} ${littleInterface} 06000000 20000000 00000000 00000000 07000000 01000000 00000000 20000000`,
      code: "wire/length",
    },
    {
      name: "packet block too short",
      bytes: `${littleSection} ${littleInterface} 06000000 0c000000 0c000000`,
      code: "wire/truncated",
    },
  ])("refuses: $name", ({ bytes, code }) => expect(() => shape(hex(bytes))).toThrow(expect.objectContaining({ code })));
});

test.each([
  { name: "empty file", bytes: "", code: "wire/truncated" },
  { name: "cut header", bytes: "d4c3b2a1 0200 0400", code: "wire/truncated" },
  { name: "compressed file", bytes: "1f8b0800 00000000", code: "wire/value" },
  {
    name: "frame above the bound",
    bytes: "d4c3b2a1 0200 0400 00000000 00000000 ffff0000 01000000 02000000 03000000 ffffff7f 05000000",
    code: "wire/length",
  },
])("refuses: $name", ({ bytes, code }) => expect(() => shape(hex(bytes))).toThrow(expect.objectContaining({ code })));

test("a file cut anywhere gives the whole frames before, then a notice", () => {
  const file = pcapOf([hex("0102"), hex("0304")]);
  const ends = [24, 24 + 18, 24 + 36];
  for (let length = 24; length <= file.length; length++) {
    const records = [...readRecords(file.subarray(0, length))];
    expect(records.filter(({ kind }) => kind === "frame")).toHaveLength(Math.floor((length - 24) / 18));
    expect(records.some(({ kind }) => kind === "notice")).toBe(!ends.includes(length));
  }
});

test("what is written is read back", () => {
  const frame = fc.record({ timeNanos: fc.bigInt(0n, (1n << 64n) - 1n), bytes: fc.uint8Array({ maxLength: 50 }) });
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      fc.option(fc.string({ maxLength: 20 }), { nil: undefined }),
      (frames, keyLog) => {
        const file = writePcapng({
          linkType: 101,
          frames,
          application: "cipsec",
          ...(keyLog !== undefined && { keyLog }),
        });
        const records = [...readRecords(file)];
        const read = records.filter((record): record is CapturedFrame => record.kind === "frame");
        expect(read.map(({ time, bytes }) => [BigInt(time.replace(".", "")), toHex(bytes)])).toEqual(
          frames.map(({ timeNanos, bytes }) => [timeNanos, toHex(bytes)]),
        );
        const secrets = records.flatMap((record) =>
          record.kind === "secrets" ? [new TextDecoder().decode(record.keyLog)] : [],
        );
        expect(secrets).toEqual(keyLog === undefined ? [] : [keyLog]);
      },
    ),
  );
});

test.each([
  { name: "a frame too long", frame: { timeNanos: 0n, bytes: new Uint8Array(262_145) }, code: "wire/length" },
  { name: "a time before the epoch", frame: { timeNanos: -1n, bytes: new Uint8Array(0) }, code: "wire/value" },
])("refuses to write $name", ({ frame, code }) => {
  expect(() => writePcapng({ linkType: 1, frames: [frame] })).toThrow(
    expect.objectContaining({ code, constructor: WireError }),
  );
});
