import type { Clock } from "@cipsec/transport";
import { describe, expect, test } from "vitest";
import { Deadline } from "../src/deadline.ts";

/** A clock that goes on by hand and counts the timers that are set. */
function handClock() {
  let nowMs = 1000;
  let timers: { readonly at: number; readonly run: () => void }[] = [];
  let made = 0;
  const clock: Clock = {
    now: () => nowMs,
    wallNow: () => undefined,
    after(ms, run) {
      made += 1;
      const timer = { at: nowMs + ms, run };
      timers.push(timer);
      return () => void (timers = timers.filter((other) => other !== timer));
    },
  };
  return {
    clock,
    made: () => made,
    waiting: () => timers.length,
    /** A runtime's timer may fire a little before its time. */
    goTo(ms: number, earlyMs = 0) {
      for (;;) {
        const [next] = timers.toSorted((a, b) => a.at - b.at);
        if (next === undefined || next.at - earlyMs > ms) break;
        nowMs = Math.max(nowMs, next.at - earlyMs);
        timers = timers.filter((other) => other !== next);
        next.run();
      }
      nowMs = ms;
    },
  };
}

describe("a deadline", () => {
  test("that is moved on with each of many requests costs one timer, and fires when it is reached", () => {
    const hand = handClock();
    const fired: number[] = [];
    const deadline = new Deadline(hand.clock, (nowMs) => fired.push(nowMs));
    for (let at = 1000; at < 1500; at += 1) {
      hand.goTo(at);
      deadline.set(at + 5000);
    }
    expect(hand.made()).toBe(1);
    hand.goTo(6400);
    expect(fired).toEqual([]);
    hand.goTo(6600);
    expect(fired).toEqual([6499]);
    expect(hand.made()).toBe(2);
    hand.goTo(60_000);
    expect(fired).toHaveLength(1);
    expect(deadline.dueMs).toBe(Infinity);
  });

  test("that comes sooner than the timer has one of its own", () => {
    const hand = handClock();
    const fired: number[] = [];
    const deadline = new Deadline(hand.clock, (nowMs) => fired.push(nowMs));
    deadline.set(9000);
    deadline.set(2000);
    expect(hand.waiting()).toBe(1);
    hand.goTo(3000);
    expect(fired).toEqual([2000]);
  });

  test("that is cleared does not fire, and one that has ended leaves no timer", () => {
    const hand = handClock();
    const fired: number[] = [];
    const deadline = new Deadline(hand.clock, (nowMs) => fired.push(nowMs));
    deadline.set(2000);
    deadline.clear();
    hand.goTo(3000);
    expect(fired).toEqual([]);
    deadline.set(4000);
    deadline.end();
    expect(hand.waiting()).toBe(0);
    deadline.set(5000);
    hand.goTo(6000);
    expect(fired).toEqual([5000]);
  });

  test("is reached when a timer of the runtime fires a little early", () => {
    const hand = handClock();
    const fired: number[] = [];
    const deadline = new Deadline(hand.clock, (nowMs) => {
      fired.push(nowMs);
      if (fired.length === 1) deadline.set(3000);
    });
    deadline.set(2000);
    hand.goTo(4000, 0.5);
    expect(fired).toEqual([1999.5, 2999.5]);
  });
});
