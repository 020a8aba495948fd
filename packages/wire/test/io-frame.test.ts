import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IoWriter, isNewer16, isNewer32, ioOverhead, readIo, readIoData, type RealTimeFormat } from "../src/index.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(text.trim().split(/\s+/), (octet) => parseInt(octet, 16));

/** Reference ethernet-ip.md 12, V9 and V10. */
const outputs = hex(`02 00 02 80 08 00 01 00 66 55 01 00 00 00 b1 00 26 00 01 00 01 00 00 00
  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f`);
const inputs = hex(`02 00 02 80 08 00 01 00 aa 00 01 00 00 00 b1 00 22 00 01 00
  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f`);
const counting = Uint8Array.from({ length: 32 }, (_, i) => i);

test("reads outputs in run, as in vector V9", () => {
  const frame = readIo(outputs);
  expect(frame).toMatchObject({ connectionId: 0x5566_0001, sequence: 1 });
  const data = readIoData(frame?.data ?? new Uint8Array(), 1, "run-idle-32");
  expect(data).toEqual({ count: 1, run: true, header: 1, data: counting });
});

test.each([
  ["V9", outputs, 0x5566_0001, "run-idle-32"],
  ["V10", inputs, 0xaa_0001, "modeless"],
] as const)("writes vector %s", (_, vector, connectionId, format) => {
  const writer = new IoWriter({ connectionId, transportClass: 1, format, size: 32 });
  writer.setData(counting);
  expect(writer.next()).toEqual(vector);
});

test("a packet gets a new sequence number, only new data a new count", () => {
  const writer = new IoWriter({ connectionId: 7, transportClass: 1, format: "modeless", size: 1 });
  const next = (): (number | undefined)[] => {
    const frame = readIo(writer.next());
    return [frame?.sequence, frame?.data[0]];
  };
  expect(next()).toEqual([1, 1]);
  expect(next()).toEqual([2, 1]);
  writer.setData(Uint8Array.of(5));
  writer.setData(Uint8Array.of(6));
  expect(next()).toEqual([3, 2]);
  expect(next()).toEqual([4, 2]);
});

test("a packet allocates nothing: it is the same octets", () => {
  const writer = new IoWriter({ connectionId: 7, transportClass: 0, format: "run-idle-32", size: 4 });
  const first = writer.next();
  expect(writer.next()).toBe(first);
});

describe("idle shows as the format has it", () => {
  test.each<[RealTimeFormat, number, boolean | undefined, boolean | undefined]>([
    ["run-idle-32", 10, true, false],
    ["zero-length", 6, true, false],
    ["modeless", 6, undefined, undefined],
    ["heartbeat", 2, undefined, undefined],
  ])("%s", (format, size, inRun, inIdle) => {
    const writer = new IoWriter({ connectionId: 1, transportClass: 1, format, size: 4 });
    const read = () => readIo(writer.next())?.data ?? new Uint8Array();
    expect(read().length).toBe(size);
    expect(readIoData(read(), 1, format)?.run).toBe(inRun);
    writer.setRun(false);
    expect(readIoData(read(), 1, format)?.run).toBe(inIdle);
    expect(read().length).toBe(format === "zero-length" ? 2 : size);
    expect(ioOverhead(1, format)).toBe(format === "run-idle-32" ? 6 : 2);
  });
});

test("class 0 with a connected address has no sequence number", () => {
  const bytes = hex("02 00 a1 00 04 00 44 33 22 11 b1 00 02 00 aa bb");
  expect(readIo(bytes)).toEqual({ connectionId: 0x1122_3344, sequence: undefined, data: Uint8Array.of(0xaa, 0xbb) });
});

test("anything shorter, longer or of other items is no frame", () => {
  for (let length = 0; length < outputs.length; length += 1)
    expect(readIo(outputs.subarray(0, length))).toBeUndefined();
  expect(readIo(Uint8Array.of(...outputs, 0))).toBeUndefined();
  for (const at of [0, 2, 3, 4, 14, 16]) {
    const changed = outputs.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x40;
    expect(readIo(changed), `octet ${at}`).toBeUndefined();
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const frame = readIo(bytes);
      if (frame === undefined) return;
      expect(frame.data.length).toBeLessThan(bytes.length);
    }),
  );
});

test("data too short for its count and header is refused", () => {
  expect(readIoData(new Uint8Array(5), 1, "run-idle-32")).toBeUndefined();
  expect(readIoData(new Uint8Array(1), 1, "heartbeat")).toBeUndefined();
  expect(readIoData(new Uint8Array(0), 0, "heartbeat")).toMatchObject({ count: undefined, run: undefined });
});

test.each([
  [1, 0, true],
  [0, 0, false],
  [0, 1, false],
  [0, 0xffff_ffff, true],
  [0xffff_ffff, 0, false],
  [0x7fff_ffff, 0, true],
  [0x8000_0000, 0, false],
])("32 bits: %d after %d is newer: %s", (sequence, last, newer) => {
  expect(isNewer32(sequence, last)).toBe(newer);
});

test.each([
  [1, 0, true],
  [7, 7, false],
  [0, 0xffff, true],
  [0xffff, 0, false],
  [0x7fff, 0, true],
  [0x8000, 0, false],
])("16 bits: %d after %d is newer: %s", (count, last, newer) => {
  expect(isNewer16(count, last)).toBe(newer);
});

test("data that no datagram carries is refused", () => {
  expect(() => new IoWriter({ connectionId: 1, transportClass: 1, format: "modeless", size: 65_530 })).toThrow(
    expect.objectContaining({ code: "wire/length" }),
  );
});

test("a writer without data has none; class 0 has no count; data that is too long is cut to its size", () => {
  const empty = new IoWriter({ connectionId: 1, transportClass: 1, format: "modeless", size: 0 });
  expect(empty.data).toHaveLength(0);
  const writer = new IoWriter({ connectionId: 1, transportClass: 0, format: "modeless", size: 2 });
  writer.setData(Uint8Array.of(1, 2, 3));
  expect([...writer.data]).toEqual([1, 2]);
  expect([...writer.next().subarray(-2)]).toEqual([1, 2]);
  writer.setData(Uint8Array.of(4, 5));
  writer.setData(Uint8Array.of(6, 7));
  expect([...writer.next().subarray(-2)]).toEqual([6, 7]);
  writer.setRun(true);
  writer.setRun(false);
  writer.setRun(false);
  expect([...writer.next().subarray(-2)]).toEqual([6, 7]);
});
