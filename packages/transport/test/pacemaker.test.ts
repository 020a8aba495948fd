import { expect, test } from "vitest";
import { preciseClock } from "../src/pacemaker.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/**
 * Waits until the thread keeps the time. Before that the runtime's timers do, which count whole milliseconds of a clock that
 * stands between turns: some of theirs end early, but not twenty in a row.
 */
async function warm(): Promise<void> {
  for (let inTime = 0; inTime < 20;) {
    const started = performance.now();
    await new Promise<void>((resolve) => void preciseClock.after(0.3, resolve));
    inTime = performance.now() - started < 0.9 ? inTime + 1 : 0;
    if (inTime === 0) await pause(10);
  }
}

test("alarms come in the order of their time, none early, and a cancelled one not at all", async () => {
  await warm();
  const started = performance.now();
  const came: (readonly [number, number])[] = [];
  const alarm = (ms: number): (() => void) =>
    preciseClock.after(ms, () => came.push([ms, performance.now() - started]));
  alarm(30);
  alarm(2.5);
  const cancel = alarm(5);
  alarm(8.25);
  alarm(0);
  cancel();
  cancel();
  await expect.poll(() => came.map(([ms]) => ms)).toEqual([0, 2.5, 8.25, 30]);
  for (const [ms, at] of came) expect(at).toBeGreaterThan(ms - 0.1);
});

test("an alarm that throws stops neither the others nor those after it", async () => {
  await warm();
  const thrown: unknown[] = [];
  const note = (error: unknown): number => thrown.push(error);
  const before = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", note);
  let came = 0;
  preciseClock.after(1, () => {
    throw new RangeError("of the application");
  });
  // Due in the same moment, and later.
  preciseClock.after(1, () => (came += 1));
  preciseClock.after(20, () => (came += 1));
  await expect.poll(() => [came, thrown.length]).toEqual([2, 1]);
  process.off("unhandledRejection", note);
  for (const listener of before) process.on("unhandledRejection", listener);
});
