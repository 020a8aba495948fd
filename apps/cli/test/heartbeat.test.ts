import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { makeHeartbeat } from "../src/heartbeat.ts";
import { makeOutput } from "../src/output.ts";

/** A clock that a test moves, with one timer. */
function fakeClock() {
  let at = 0;
  let timer: { readonly due: number; readonly run: () => void } | undefined;
  return {
    now: () => at,
    wallNow: () => at,
    after: (ms: number, run: () => void) => {
      const mine = { due: at + ms, run };
      timer = mine;
      return () => {
        if (timer === mine) timer = undefined;
      };
    },
    isIdle: () => timer === undefined,
    pass(ms: number) {
      for (const end = at + ms; at < end;) {
        at = Math.min(end, timer?.due ?? end);
        if (timer?.due === at) {
          const { run } = timer;
          timer = undefined;
          run();
        }
      }
    },
  };
}

const check = (id: string, number: number) =>
  ({ check: id, title: `title of ${id}`, number, of: 28, remainingMs: 100_000 }) as const;

test("tells what one subject's check does and for how long, and several in a few words each", () => {
  const clock = fakeClock();
  const told: string[] = [];
  const heartbeat = makeHeartbeat({ status: (text) => void told.push(text) }, clock);
  const one = heartbeat.watch("1/2 192.0.2.7");
  clock.pass(1000);
  expect(told).toEqual([]);
  one.begins(check("B-2.6", 27));
  clock.pass(2000);
  one.doing("waits until silent sessions are ended");
  clock.pass(28_000);
  expect([told[0], told.at(-1)]).toEqual([
    "1/2 192.0.2.7: 27/28 B-2.6 for 1 s: title of B-2.6 (about 2 min left)",
    "1/2 192.0.2.7: 27/28 B-2.6 for 30 s: waits until silent sessions are ended (about 70 s left)",
  ]);
  {
    using other = heartbeat.watch("2/2 192.0.2.8");
    other.begins(check("E-7.8", 1));
    clock.pass(1000);
    expect(told.at(-1)).toBe("1/2 192.0.2.7 27/28 B-2.6 31 s, 2/2 192.0.2.8 1/28 E-7.8 1 s");
  }
  one.begins(check("E-7.4", 28));
  clock.pass(1000);
  expect(told.at(-1)).toBe("1/2 192.0.2.7: 28/28 E-7.4 for 1 s: title of E-7.4 (about 2 min left)");
  one[Symbol.dispose]();
  expect(clock.isIdle()).toBe(true);
});

test.each([
  [true, 10, "\r\u001b[2Ka status \r\u001b[2Knotice\n"],
  [true, 0, "\r\u001b[2Ka status  that is too long\r\u001b[2Knotice\n"],
  [false, 10, "notice\n"],
])(
  "a status stands on a terminal alone, cut to its width, until something else is told: %s",
  (isTTY, columns, written) => {
    let text = "";
    const stream = Object.assign(
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          text += chunk.toString();
          done();
        },
      }),
      { isTTY, columns },
    );
    const output = makeOutput({ out: stream, err: stream }, false);
    output.status("a status \nthat is too long");
    output.notice("notice");
    expect(text).toBe(written);
  },
);
