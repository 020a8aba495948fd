import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { Encapsulation, FrameStream, WireError, encode, frame, headerSize, type StreamEvent } from "@cipsec/wire";
import { hex } from "./support/hex.ts";

const sized = (length: number, command = 0x6f) => frame(command, { data: new Uint8Array(length).fill(length) });

function octetsOf(events: readonly StreamEvent[]): readonly Uint8Array[] {
  return events.flatMap((event) => (event.type === "frame" ? [encode(Encapsulation, event.frame)] : []));
}

describe("frames", () => {
  test("split and coalesced frames come out whole and in order, however they are cut", () => {
    const lengths = fc.array(fc.nat(300), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(lengths, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sizes, cuts) => {
        const frames = sizes.map((size) => sized(size));
        const bytes = Uint8Array.from(Buffer.concat(frames));
        const stream = new FrameStream();
        const events: StreamEvent[] = [];
        for (let at = 0, i = 0; at < bytes.length; i += 1) {
          const next = at + (cuts[i % cuts.length] ?? 1);
          events.push(...stream.push(bytes.subarray(at, next)));
          at = next;
        }
        expect(octetsOf(events)).toEqual(frames);
        expect(stream.isPartial).toBe(false);
      }),
    );
  });

  test("a frame that came whole is a view on its chunk, one in pieces is not", () => {
    const chunk = sized(3);
    const [whole] = new FrameStream().push(chunk);
    const inPieces = new FrameStream();
    const [joined] = [chunk.subarray(0, 25), chunk.subarray(25)].flatMap((piece) => inPieces.push(piece));
    chunk.fill(0xee, headerSize);
    expect(whole).toMatchObject({ frame: { data: hex("ee ee ee") } });
    expect(joined).toMatchObject({ frame: { data: hex("03 03 03") } });
  });

  test("octets of a Buffer come out as plain octets, whose slice is a copy", () => {
    const [event] = new FrameStream().push(Buffer.from(sized(3)));
    expect(event).toEqual(new FrameStream().push(sized(3))[0]);
    expect(event?.type === "frame" && event.frame.data.constructor).toBe(Uint8Array);
  });

  test("a stream is partial while a frame is unfinished", () => {
    const stream = new FrameStream();
    expect(stream.isPartial).toBe(false);
    expect(stream.push(hex(""))).toEqual([]);
    const bytes = sized(4);
    for (const end of [1, headerSize - 1, headerSize, headerSize + 3]) {
      const part = new FrameStream();
      expect(part.push(bytes.subarray(0, end))).toEqual([]);
      expect(part.isPartial).toBe(true);
      expect([part.isOutOfStep, part.error]).toEqual([false, undefined]);
    }
  });
});

describe("a frame larger than the receiver takes", () => {
  test("is announced once and drained; the next frame comes out", () => {
    const stream = new FrameStream(10);
    const bytes = Uint8Array.from(Buffer.concat([sized(11), sized(10), sized(500), sized(0)]));
    const events = Array.from(bytes, (octet) => stream.push(Uint8Array.of(octet))).flat();
    expect(events.map((event) => event.type)).toEqual(["oversize", "frame", "oversize", "frame"]);
    expect(new FrameStream(10).push(bytes)).toEqual(events);
    expect(events[0]).toMatchObject({ header: { command: 0x6f, length: 11 } });
  });

  test("leaves the stream partial until it is drained", () => {
    const stream = new FrameStream(1);
    stream.push(sized(2).subarray(0, headerSize + 1));
    expect(stream.isPartial).toBe(true);
    stream.push(hex("00"));
    expect(stream.isPartial).toBe(false);
  });
});

describe("a length above the protocol's bound", () => {
  const broken = hex("6f00 e8ff 00000000 00000000 0000000000000000 00000000");

  test("ends the stream for good", () => {
    const stream = new FrameStream();
    expect(() => stream.push(broken)).toThrow(
      expect.objectContaining({ code: "wire/length", facts: { length: 65_512, max: 65_511 } }),
    );
    expect(stream.isOutOfStep).toBe(true);
    expect(stream.error).toMatchObject({ code: "wire/length" });
    expect(stream.isPartial).toBe(true);
    expect(() => stream.push(sized(1))).toThrow(expect.objectContaining({ code: "wire/length" }));
  });

  test("does not lose the frames before it in the same chunk", () => {
    const stream = new FrameStream();
    expect(octetsOf(stream.push(Uint8Array.from(Buffer.concat([sized(1), broken]))))).toEqual([sized(1)]);
    expect(stream.isOutOfStep).toBe(true);
    expect(stream.error).toMatchObject({ code: "wire/length" });
    expect(() => stream.push(hex(""))).toThrow(WireError);
  });
});

describe("work", () => {
  test("a large frame in chunks of one octet is copied at most three times over", () => {
    const set = vi.spyOn(Uint8Array.prototype, "set");
    try {
      const bytes = sized(65_000);
      const chunks = Array.from(bytes, (octet) => Uint8Array.of(octet));
      set.mockClear();
      const stream = new FrameStream();
      const events = chunks.flatMap((chunk) => stream.push(chunk));
      const copied = set.mock.calls.reduce((sum, [source]) => sum + source.length, 0);
      expect(events).toHaveLength(1);
      expect(copied).toBeLessThan(3 * bytes.length);
    } finally {
      set.mockRestore();
    }
  });

  test("a header that claims much reserves nothing: memory follows what arrived", () => {
    const stream = new FrameStream();
    const start = sized(60_000).subarray(0, headerSize + 5);
    const allocated: number[] = [];
    const original = globalThis.Uint8Array;
    vi.stubGlobal(
      "Uint8Array",
      new Proxy(original, {
        construct(target, parameters: [number]) {
          if (typeof parameters[0] === "number") allocated.push(parameters[0]);
          return new target(...parameters);
        },
      }),
    );
    try {
      stream.push(start);
    } finally {
      vi.unstubAllGlobals();
    }
    expect(Math.max(...allocated)).toBeLessThan(64);
    expect(stream.isPartial).toBe(true);
  });
});
