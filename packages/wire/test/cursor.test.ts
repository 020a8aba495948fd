import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Reader, WireError, Writer } from "@cipsec/wire";
import { hex } from "./support/hex.ts";

type Field = { readonly write: (w: Writer) => void; readonly read: (r: Reader) => unknown; readonly value: unknown };

const field = fc.oneof(
  fc
    .integer({ min: 0, max: 0xff })
    .map((value): Field => ({ value, write: (w) => w.u8(value), read: (r) => r.u8("f") })),
  fc
    .integer({ min: 0, max: 0xffff })
    .map((value): Field => ({ value, write: (w) => w.u16(value), read: (r) => r.u16("f") })),
  fc
    .integer({ min: 0, max: 0xffff_ffff })
    .map((value): Field => ({ value, write: (w) => w.u32(value), read: (r) => r.u32("f") })),
  fc
    .bigInt({ min: 0n, max: 2n ** 64n - 1n })
    .map((value): Field => ({ value, write: (w) => w.u64(value), read: (r) => r.u64("f") })),
  fc
    .integer({ min: -0x80, max: 0x7f })
    .map((value): Field => ({ value, write: (w) => w.i8(value), read: (r) => r.i8("f") })),
  fc
    .integer({ min: -0x8000, max: 0x7fff })
    .map((value): Field => ({ value, write: (w) => w.i16(value), read: (r) => r.i16("f") })),
  fc.integer().map((value): Field => ({ value, write: (w) => w.i32(value), read: (r) => r.i32("f") })),
  fc
    .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    .map((value): Field => ({ value, write: (w) => w.i64(value), read: (r) => r.i64("f") })),
  fc.float().map((value): Field => ({ value, write: (w) => w.f32(value), read: (r) => r.f32("f") })),
  fc.double().map((value): Field => ({ value, write: (w) => w.f64(value), read: (r) => r.f64("f") })),
  fc
    .integer({ min: 0, max: 0xffff })
    .map((value): Field => ({ value, write: (w) => w.u16be(value), read: (r) => r.u16be("f") })),
  fc
    .integer({ min: 0, max: 0xffff_ffff })
    .map((value): Field => ({ value, write: (w) => w.u32be(value), read: (r) => r.u32be("f") })),
  fc
    .uint8Array({ maxLength: 300 })
    .map((value): Field => ({ value, write: (w) => w.octets(value), read: (r) => r.octets(value.length, "f") })),
);

describe("Writer and Reader", () => {
  test("what is written is read, also where the writer's octets had to grow", () => {
    fc.assert(
      fc.property(fc.array(field, { maxLength: 80 }), fc.integer({ min: 0, max: 64 }), (fields, capacity) => {
        const w = new Writer(capacity);
        for (const { write } of fields) write(w);
        const bytes = w.finish();
        expect(w.length).toBe(bytes.length);
        const r = new Reader(bytes);
        for (const { read, value } of fields) expect(read(r)).toEqual(value);
        r.end("all");
        expect(r.offset).toBe(bytes.length);
      }),
    );
  });

  test("every field that comes after the capacity lands in the new octets", () => {
    const w = new Writer(1);
    w.u8(1);
    w.u16(0x0302);
    w.u32(0x0706_0504);
    w.u64(0x0f0e_0d0c_0b0a_0908n);
    w.octets(hex("10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 20 21"));
    w.u16be(0x2223);
    expect([...w.finish()]).toEqual(Array.from({ length: 35 }, (_, i) => i + 1));
  });

  test("octets are little-endian, socket addresses big-endian", () => {
    const r = new Reader(hex("0102 01020304 0102030405060708 0102 01020304"));
    expect(r.u16("a")).toBe(0x0201);
    expect(r.u32("b")).toBe(0x0403_0201);
    expect(r.u64("c")).toBe(0x0807_0605_0403_0201n);
    expect(r.u16be("d")).toBe(0x0102);
    expect(r.u32be("e")).toBe(0x0102_0304);
  });

  test("a reader of a part sees nothing else, and peeking does not move it", () => {
    const r = new Reader(hex("01 02 03 04"));
    const part = r.sub(2, "part");
    expect(part.peek()).toBe(1);
    expect(part.peek(1)).toBe(2);
    expect(part.peek(2)).toBeUndefined();
    expect([...part.rest()]).toEqual([1, 2]);
    expect([r.offset, r.remaining]).toEqual([2, 2]);
  });

  test("an octet string is a view on the input", () => {
    const bytes = hex("01 02");
    const view = new Reader(bytes).octets(2, "view");
    bytes[0] = 9;
    expect(view[0]).toBe(9);
  });
});

describe("refusals", () => {
  test("a field past the end says its name, offset and what remains", () => {
    const r = new Reader(hex("00 00 00"));
    r.u8("first");
    expect(() => r.u32("serial number")).toThrow(
      expect.objectContaining({
        code: "wire/truncated",
        message: "serial number: 4 octets needed at offset 1, 2 remain",
        facts: { field: "serial number", offset: 1, needed: 4, remaining: 2 },
      }),
    );
  });

  test.each([
    { name: "a count above its bound", code: "wire/length", act: () => new Reader(hex("05")).u8("count", 4) },
    { name: "octets after the end", code: "wire/trailing", act: () => new Reader(hex("05")).end("all") },
    { name: "a pad that is not zero", code: "wire/value", act: () => new Reader(hex("05")).zero("pad") },
    { name: "an octet of 256", code: "wire/value", act: () => new Writer().u8(256) },
    { name: "a negative word", code: "wire/value", act: () => new Writer().u16(-1) },
    { name: "half a number", code: "wire/value", act: () => new Writer().u32(0.5) },
    { name: "not a number", code: "wire/value", act: () => new Writer().i32(Number.NaN) },
    { name: "-129 in eight bits", code: "wire/value", act: () => new Writer().i8(-129) },
    { name: "32768 in sixteen bits", code: "wire/value", act: () => new Writer().i16(32_768) },
    { name: "2^64", code: "wire/value", act: () => new Writer().u64(2n ** 64n) },
    { name: "-2^63-1", code: "wire/value", act: () => new Writer().i64(-(2n ** 63n) - 1n) },
    { name: "1e39 in single precision", code: "wire/value", act: () => new Writer().f32(1e39) },
  ])("$name", ({ code, act }) => {
    expect(act).toThrow(WireError);
    expect(act).toThrow(expect.objectContaining({ code }));
  });

  test("a refused value leaves nothing behind", () => {
    const w = new Writer();
    w.u8(1);
    expect(() => w.u16(0x1_0000)).toThrow(WireError);
    expect([...w.finish()]).toEqual([1]);
  });
});
