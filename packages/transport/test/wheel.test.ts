import * as fc from "fast-check";
import { expect, test } from "vitest";
import { TimerWheel } from "../src/index.ts";

/** A clock that a test sets; one timer is all that a wheel needs. */
function fakeClock() {
  let now = 0;
  let armed: { at: number; run: () => void } | undefined;
  let arms = 0;
  return {
    clock: {
      now: () => now,
      after(ms: number, run: () => void) {
        expect(armed, "a wheel has one timer").toBeUndefined();
        const mine = { at: now + ms, run };
        armed = mine;
        arms += 1;
        return () => {
          if (armed === mine) armed = undefined;
        };
      },
    },
    /** Fires what is due, each `late` milliseconds late, until `to`. */
    runTo(to: number, late = 0) {
      while (armed !== undefined && armed.at + late <= to) {
        const { at, run } = armed;
        armed = undefined;
        now = Math.max(now, at + late);
        run();
      }
      now = Math.max(now, to);
    },
    get arms() {
      return arms;
    },
    get isArmed() {
      return armed !== undefined;
    },
    now: () => now,
  };
}

test("deadlines are absolute: lateness does not add up", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  const at: number[] = [];
  wheel.every(2000, () => at.push(time.now()));
  time.runTo(10.4, 0.4);
  expect(at.map((ms) => Math.round(ms * 10) / 10)).toEqual([2.4, 4.4, 6.4, 8.4, 10.4]);
});

test("a turn is told how late it is", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  const late: number[] = [];
  wheel.every(5000, (micros) => late.push(Math.round(micros)), 1000);
  time.runTo(2, 0.25);
  expect(late).toEqual([250]);
});

test("turns that a stall swallowed are counted, not made up for", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  const at: number[] = [];
  const repeat = wheel.every(2000, () => at.push(time.now()));
  time.runTo(9, 7);
  expect(at).toEqual([9]);
  expect(repeat.missed).toBe(3);
  time.runTo(10);
  expect(at).toEqual([9, 10]);
});

test("what is due together takes one wake-up", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  let turns = 0;
  for (let i = 0; i < 100; i += 1) wheel.every(10_000, () => (turns += 1));
  const before = time.arms;
  time.runTo(10);
  expect(turns).toBe(100);
  expect(time.arms - before).toBe(1);
});

test("an entry can end itself and others while it runs", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  const ran: string[] = [];
  const one = wheel.every(1000, () => {
    ran.push("one");
    one.cancel();
    two();
  });
  const two = wheel.after(1000, () => ran.push("two"));
  time.runTo(5);
  expect(ran).toEqual(["one"]);
  expect(wheel.size).toBe(0);
  expect(time.isArmed).toBe(false);
});

test("an entry that throws does not stop the others", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  let turns = 0;
  const bad = wheel.every(1000, () => {
    bad.cancel();
    throw new RangeError("of the application");
  });
  wheel.every(1000, () => (turns += 1));
  expect(() => time.runTo(1)).toThrow(RangeError);
  time.runTo(3);
  expect(turns).toBe(3);
});

test("a new period counts from the last turn", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  const at: number[] = [];
  const repeat = wheel.every(10_000, () => at.push(time.now()));
  time.runTo(12);
  repeat.setPeriod(4000);
  time.runTo(18);
  repeat.setPeriod(1000);
  time.runTo(20);
  expect(at).toEqual([10, 14, 18, 19, 20]);
});

test("a watchdog is never early and at most a millisecond late", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 50_000 }), { maxLength: 40 }), (waits) => {
      const time = fakeClock();
      const wheel = new TimerWheel(time.clock);
      const fired: (readonly [number, number])[] = [];
      for (const wait of waits) wheel.after(wait, () => fired.push([wait, time.now() * 1000]));
      time.runTo(60);
      expect(fired.length).toBe(waits.length);
      for (const [wait, at] of fired) {
        expect(at).toBeGreaterThanOrEqual(wait - 21);
        expect(at).toBeLessThanOrEqual(wait + 1000);
      }
    }),
    { numRuns: 50 },
  );
});

test("entries come in the order of their deadlines, whatever is cancelled between", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 1000 }), fc.boolean()), { maxLength: 60 }), (entries) => {
      const time = fakeClock();
      const wheel = new TimerWheel(time.clock);
      const ran: number[] = [];
      const cancels = entries.map(([ms]) => wheel.after(ms * 1000, () => ran.push(ms)));
      entries.forEach(([, isCancelled], i) => {
        if (isCancelled) cancels[i]?.();
      });
      time.runTo(2000);
      const kept = entries.filter(([, isCancelled]) => !isCancelled).map(([ms]) => ms);
      expect(ran).toEqual(kept.toSorted((a, b) => a - b));
    }),
    { numRuns: 50 },
  );
});

test("a wait longer than a timer can have is waited in parts", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  let fired = 0;
  wheel.after(5e12, () => (fired += 1));
  time.runTo(4.9e9);
  expect(fired).toBe(0);
  time.runTo(5.1e9);
  expect(fired).toBe(1);
  expect(time.arms).toBe(3);
});

test("on the machine's clock, a short period holds its rate", async () => {
  const wheel = new TimerWheel();
  let turns = 0;
  const started = performance.now();
  const repeat = wheel.every(5000, () => (turns += 1));
  await new Promise((resolve) => void setTimeout(resolve, 260));
  const behind = (): number => Math.floor((performance.now() - started) / 5) - (turns + repeat.missed);
  // A machine that was held up just now has its turns still before it.
  await expect.poll(behind, { interval: 7 }).toBeLessThanOrEqual(2);
  repeat.cancel();
  expect(behind()).toBeGreaterThanOrEqual(-1);
});

test("entries that begin at any time share four wake-ups a period, and none comes later than its period", () => {
  const time = fakeClock();
  const wheel = new TimerWheel(time.clock);
  const turns: number[][] = [];
  for (let i = 0; i < 64; i += 1) {
    time.runTo(i * 1.7);
    const mine: number[] = [];
    turns.push(mine);
    wheel.every(10_000, () => mine.push(time.now()), i % 2 === 0 ? 0 : 10_000);
  }
  time.runTo(200);
  const before = time.arms;
  time.runTo(300);
  expect(time.arms - before).toBe(40);
  for (const mine of turns) {
    const between = mine.slice(1).map((at, i) => Math.round((at - (mine[i] ?? 0)) * 1000) / 1000);
    expect(between[0]).toBeGreaterThanOrEqual(6.5);
    expect(between[0]).toBeLessThanOrEqual(10);
    expect(new Set(between.slice(1))).toEqual(new Set([10]));
  }
});
