import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { TcpSegment } from "../src/segments.ts";
import { TcpStream } from "../src/tcp-stream.ts";
import type { HeldOctets, StreamEvent } from "../src/tcp-stream.ts";
import { concat, hex, toHex } from "./frames.ts";

const end = { address: "10.0.0.1", port: 1 };

function segment(sequence: number, payload: string | Uint8Array, flags = "", missing = 0): TcpSegment {
  return {
    protocol: "tcp",
    src: end,
    dst: end,
    missing,
    sequence: sequence >>> 0,
    acknowledgement: undefined,
    payload: typeof payload === "string" ? hex(payload) : payload,
    syn: flags.includes("S"),
    fin: flags.includes("F"),
    rst: false,
  };
}

const show = (events: readonly StreamEvent[]): string =>
  events
    .map((event) =>
      event.kind === "data" ? toHex(event.bytes) : event.kind === "gap" ? `gap ${event.octets}` : event.kind,
    )
    .join(" ");

const stream = (): TcpStream => new TcpStream({ held: 0 });

test.each([
  {
    name: "in order",
    segments: [segment(9, "", "S"), segment(10, "0102"), segment(12, "03", "F")],
    is: "0102 03 closed",
  },
  { name: "out of order", segments: [segment(9, "", "S"), segment(12, "03"), segment(10, "0102")], is: "0102 03" },
  { name: "retransmission", segments: [segment(10, "0102"), segment(10, "0102"), segment(12, "03")], is: "0102 03" },
  {
    name: "overlap: the first copy wins",
    segments: [segment(10, "01"), segment(12, "0304"), segment(10, "ffeeddccbb")],
    is: "01 ee 0304 bb",
  },
  { name: "across the wrap", segments: [segment(-2, "0102"), segment(0, "03"), segment(-1, "ff04")], is: "0102 03" },
  { name: "starting in the middle", segments: [segment(1000, "aa"), segment(1001, "bb")], is: "aa bb" },
  { name: "keep-alive first", segments: [segment(999, ""), segment(1000, "aa")], is: "aa" },
  { name: "data with the SYN", segments: [segment(9, "aa", "S"), segment(11, "bb")], is: "aa bb" },
  { name: "hole up to the end", segments: [segment(9, "", "S"), segment(12, "03")], is: "gap 2 03" },
  {
    name: "cut by the snap length",
    segments: [segment(10, "01", "", 3), segment(14, "05", "F")],
    is: "01 gap 3 05 closed",
  },
  { name: "hole before the FIN", segments: [segment(10, "01"), segment(15, "", "F")], is: "01 gap 4 closed" },
  {
    name: "nothing after the end",
    segments: [segment(10, "01", "F"), segment(11, "02"), segment(12, "03")],
    is: "01 closed",
  },
  { name: "FIN repeated", segments: [segment(10, "01", "F"), segment(10, "01", "F")], is: "01 closed" },
  { name: "FIN of the past", segments: [segment(10, "0102"), segment(5, "", "F"), segment(12, "03")], is: "0102 03" },
  {
    name: "beyond any window",
    segments: [segment(10, "01"), segment(0x5000_0000, "ff"), segment(11, "02")],
    is: "01 02",
  },
])("$name", ({ segments, is }) => {
  const one = stream();
  const events = segments.flatMap((each) => one.take(each));
  expect(show([...events, ...one.flush()])).toBe(is);
});

test("a hole is passed over when the receiver answers what lies behind it", () => {
  const one = stream();
  one.take(segment(9, "", "S"));
  one.take(segment(12, "03"));
  expect(show(one.acknowledge(12, true))).toBe("");
  expect(show(one.acknowledge(13, true))).toBe("gap 2 03");
});

test("a bare acknowledgement waits a few frames: the capture may have swapped two", () => {
  const one = stream();
  one.take(segment(9, "", "S"));
  one.take(segment(12, "03"));
  for (let frame = 0; frame < 8; frame++) expect(one.acknowledge(13, false)).toEqual([]);
  expect(show(one.acknowledge(13, false))).toBe("gap 2 03");
});

test("what waits behind a hole is bounded, in one stream and in all", () => {
  const held: HeldOctets = { held: 0 };
  const one = new TcpStream(held);
  one.take(segment(0, "", "S"));
  let given = 0;
  for (let index = 0; index < 100; index++) {
    for (const event of one.take(segment(2 + index * 65_537, new Uint8Array(65_536))))
      given += event.kind === "data" ? event.bytes.length : 0;
    expect(held.held).toBeLessThanOrEqual(4 * 1024 * 1024);
  }
  expect(given + held.held).toBe(100 * 65_536);
  const others = Array.from({ length: 40 }, () => new TcpStream(held));
  for (const each of others) {
    each.take(segment(0, "", "S"));
    for (let index = 0; index < 40; index++) each.take(segment(2 + index * 65_537, new Uint8Array(65_536)));
  }
  expect(held.held).toBeLessThanOrEqual(64 * 1024 * 1024);
  for (const each of [one, ...others]) each.flush();
  expect(held.held).toBe(0);
});

test("pieces behind a hole are bounded in number", () => {
  const one = stream();
  one.take(segment(0, "", "S"));
  let gaps = 0;
  for (let index = 0; index < 2100; index++)
    gaps += one.take(segment(2 + index * 2, "aa")).filter(({ kind }) => kind === "gap").length;
  expect(gaps).toBeGreaterThan(50);
});

test("any order, doubling and cutting of segments gives the stream", () => {
  const cuts = fc.array(fc.record({ from: fc.nat(199), length: fc.integer({ min: 1, max: 60 }) }), { maxLength: 40 });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 200, maxLength: 200 }),
      cuts,
      fc.integer({ min: 0, max: 0xffff_ffff }),
      (content, extra, start) => {
        const one = stream();
        const pieces = [
          ...extra,
          ...Array.from({ length: 20 }, (_, index) => ({ from: index * 10, length: 10 })).reverse(),
        ];
        const events = [...one.take(segment(start, "", "S"))];
        for (const { from, length } of pieces)
          events.push(...one.take(segment(start + 1 + from, content.subarray(from, from + length))));
        expect(one.flush()).toEqual([]);
        expect(toHex(concat(events.map((event) => (event.kind === "data" ? event.bytes : hex("")))))).toBe(
          toHex(content),
        );
      },
    ),
  );
});
