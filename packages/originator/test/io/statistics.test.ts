import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Histogram } from "../../src/index.ts";
import { Arrivals } from "../../src/io/statistics.ts";

describe("histogram", () => {
  test("a quantile is known to one percent, whatever was added", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0.001, max: 1, noNaN: true }),
        (values, share) => {
          const histogram = new Histogram();
          for (const value of values) histogram.add(value);
          const sorted = values.toSorted((a, b) => a - b);
          const exact = sorted[Math.max(0, Math.ceil(share * values.length) - 1)] ?? 0;
          expect(Math.abs(histogram.quantile(share) - exact)).toBeLessThanOrEqual(0.01 * exact);
          expect(histogram.max).toBe(sorted.at(-1));
        },
      ),
      { numRuns: 300 },
    );
  });

  test("nothing, less than nothing, and more than it holds", () => {
    const histogram = new Histogram();
    expect(histogram.quantile(0.5)).toBe(0);
    histogram.add(-5);
    histogram.add(1e12);
    expect([histogram.quantile(0.5), histogram.max, histogram.count]).toEqual([0, 0xffff_ffff, 2]);
    histogram.clear();
    expect([histogram.quantile(0.5), histogram.max, histogram.count]).toEqual([0, 0, 0]);
  });
});

describe("arrivals", () => {
  test.each([
    { sequence: 11, arrival: "next" },
    { sequence: 10, arrival: "duplicate" },
    { sequence: 9, arrival: "old" },
    { sequence: 15, arrival: "gap" },
    { sequence: 10 + 2 ** 31 - 1, arrival: "gap" },
    { sequence: 10 + 2 ** 31, arrival: "old" },
    { sequence: undefined, arrival: "next" },
  ] as const)("after 10, $sequence is $arrival", ({ sequence, arrival }) => {
    const arrivals = new Arrivals(10_000);
    expect(arrivals.judge(10)).toBe("first");
    arrivals.take(10, "first", 0);
    expect(arrivals.judge(sequence)).toBe(arrival);
  });

  test("intervals since the last report stand beside those of all the time", () => {
    const arrivals = new Arrivals(10_000);
    let now = 0;
    const take = (sequence: number, afterMicros: number): void => {
      now += afterMicros;
      arrivals.take(sequence, arrivals.judge(sequence), now);
    };
    take(1, 0);
    take(2, 10_000);
    expect(arrivals.takeIntervals().max).toBe(10_000);
    expect(arrivals.takeIntervals().max).toBe(0);
    take(3, 30_000);
    take(4, 11_000);
    expect(arrivals.takeIntervals()).toMatchObject({ max: 30_000 });
    take(5, 12_000);
    expect(arrivals.takeIntervals()).toMatchObject({ max: 12_000 });
    expect(arrivals.intervals()).toMatchObject({ max: 30_000 });
    arrivals.restartIntervals();
    expect([arrivals.takeIntervals().max, arrivals.intervals().max]).toEqual([0, 0]);
  });

  test("losses by gaps, a producer that starts over is one; late by half an interval, not where one was lost", () => {
    const arrivals = new Arrivals(10_000);
    let now = 0;
    const take = (sequence: number, afterMicros: number): void => {
      now += afterMicros;
      arrivals.take(sequence, arrivals.judge(sequence), now);
    };
    take(1, 0);
    take(2, 10_000);
    take(5, 30_000);
    take(6, 16_000);
    take(0x4000_0000, 10_000);
    expect(arrivals).toMatchObject({ received: 5, lost: 3, late: 1 });
    expect(arrivals.intervals()).toMatchObject({ max: 30_000 });
  });
});
