import { describe, expect, test } from "vitest";
import { watchSilence } from "../src/silence.ts";
import { FakeClock } from "./support/fakes.ts";

function watched(limitMs: number) {
  const clock = new FakeClock();
  const ends: number[] = [];
  const watch = watchSilence(clock, limitMs, () => ends.push(clock.now()));
  return { clock, ends, watch };
}

describe("silence", () => {
  test("ends once, when its limit has passed since the last message", () => {
    const { clock, ends, watch } = watched(100);
    for (const ms of [30, 99, 99]) {
      clock.advance(ms);
      watch.heard(100);
    }
    expect(ends).toEqual([]);
    clock.advance(1000);
    expect(ends).toEqual([328]);
    watch.heard(100);
    clock.advance(1000);
    expect(ends).toEqual([328]);
  });

  test("sets no timer for a message", () => {
    const { clock, watch } = watched(100);
    let timers = 0;
    clock.after = () => {
      timers += 1;
      return () => undefined;
    };
    for (let i = 0; i < 50; i += 1) watch.heard(100);
    expect(timers).toBe(0);
  });

  test.each([
    { name: "shorter", first: 1000, next: 100, at: [150] },
    { name: "longer", first: 100, next: 1000, at: [1050] },
    { name: "none", first: 100, next: 0, at: [] },
    { name: "one where there was none", first: 0, next: 100, at: [150] },
  ])("takes another limit with the next message: $name", ({ first, next, at }) => {
    const { clock, ends, watch } = watched(first);
    clock.advance(50);
    watch.heard(next);
    clock.advance(5000);
    expect(ends).toEqual(at);
  });

  test("stopped, it ends nothing, whatever is heard", () => {
    const { clock, ends, watch } = watched(100);
    watch.stop();
    watch.heard(10);
    clock.advance(1000);
    expect(ends).toEqual([]);
  });
});
