import { expect, test } from "vitest";
import { openIoPort, systemClock, TimerWheel, watchSilence } from "../src/index.ts";

/** A clock whose turns a test takes: what is due fires, and what waits for the sockets is called when the test has read them. */
function fakeTime() {
  let now = 0;
  let armed: { readonly at: number; readonly run: () => void } | undefined;
  const waiting: (() => void)[] = [];
  return {
    clock: {
      now: () => now,
      after(ms: number, run: () => void) {
        const mine = { at: now + ms, run };
        armed = mine;
        return () => {
          if (armed === mine) armed = undefined;
        };
      },
      afterReading: (run: () => void) => void waiting.push(run),
    },
    micros: () => now * 1000,
    /** Lets time pass, then fires the one timer, however late it is by then. */
    wakeAt(ms: number) {
      now = ms;
      const due = armed;
      if (due === undefined || due.at > now) return;
      armed = undefined;
      due.run();
    },
    read: () => waiting.shift()?.(),
    get turns() {
      return waiting.length;
    },
  };
}

function watched(limitMicros: number) {
  const time = fakeTime();
  const wheel = new TimerWheel(time.clock);
  const seen = { heardMicros: 0, ends: 0 };
  const cancel = watchSilence(wheel, {
    limitMicros,
    silenceMicros: () => time.micros() - seen.heardMicros,
    graceMicros: 10_000,
    expired: () => (seen.ends += 1),
  });
  return { time, seen, cancel };
}

test("a timer that is due waits until the sockets were read, and a packet found there keeps the connection", () => {
  const { time, seen } = watched(40_000);
  time.wakeAt(500);
  expect([seen.ends, time.turns]).toEqual([0, 1]);
  seen.heardMicros = 500_000;
  time.read();
  expect([seen.ends, time.turns]).toEqual([0, 0]);
  time.wakeAt(539);
  expect(time.turns).toBe(0);
  time.wakeAt(540);
  expect(time.turns).toBe(1);
});

test("with nothing to read it ends after two turns", () => {
  const { time, seen } = watched(40_000);
  time.wakeAt(40);
  time.read();
  expect(seen.ends).toBe(0);
  time.read();
  expect([seen.ends, time.turns]).toEqual([1, 0]);
});

test("cancelled while it reads, it never ends", () => {
  const { time, seen, cancel } = watched(40_000);
  time.wakeAt(40);
  cancel();
  time.read();
  time.read();
  expect([seen.ends, time.turns]).toEqual([0, 0]);
});

test("a process held up for longer than the limit reads what has arrived before it judges", async () => {
  const wheel = new TimerWheel(systemClock);
  let heardMicros = systemClock.now() * 1000;
  let heard = 0;
  await using receiver = await openIoPort({
    address: "127.36.2.1",
    port: 0,
    native: false,
    receive: () => {
      heard += 1;
      heardMicros = systemClock.now() * 1000;
    },
  });
  await using sender = await openIoPort({ address: "127.36.2.2", port: 0, native: false, receive: () => undefined });
  const path = sender.path(receiver.local);
  const ended = Promise.withResolvers<number>();
  watchSilence(wheel, {
    limitMicros: 50_000,
    silenceMicros: () => systemClock.now() * 1000 - heardMicros,
    graceMicros: 10_000,
    expired: () => ended.resolve(heard),
  });
  // More than one turn reads of a socket by the runtime's own means: the last of them counts.
  for (let i = 0; i < 100; i += 1) path.send(Uint8Array.of(i));
  const started = systemClock.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120);
  expect(systemClock.now() - started).toBeGreaterThan(100);
  expect(await ended.promise).toBe(100);
});
