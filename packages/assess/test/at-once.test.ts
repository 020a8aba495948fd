import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eachApart, keepSeries, makeTurns, newRunId, readSeries, type Series } from "../src/index.ts";

const never = new AbortController().signal;

/** Works on items that are let go by the test, and notes what begins and ends. */
function bench() {
  const told: string[] = [];
  const open = new Map<string, PromiseWithResolvers<void>>();
  const work = async (item: string): Promise<void> => {
    told.push(`+${item}`);
    const held = Promise.withResolvers<void>();
    open.set(item, held);
    await held.promise;
    told.push(`-${item}`);
  };
  const end = async (item: string, error?: Error): Promise<void> => {
    if (error === undefined) open.get(item)?.resolve();
    else open.get(item)?.reject(error);
    await turn();
  };
  return { told, work, end };
}

describe("each apart", () => {
  const placesOf = (item: string): readonly string[] => item.slice(1).split("");

  test("as many as may be, in order, none beside another at its place", async () => {
    const { told, work, end } = bench();
    const all = eachApart(["1a", "2a", "3b", "4c", "5ab"], { width: 2, placesOf, signal: never }, work);
    await turn();
    expect(told).toEqual(["+1a", "+3b"]);
    await end("3b");
    expect(told.slice(2)).toEqual(["-3b", "+4c"]);
    await end("1a");
    expect(told.slice(4)).toEqual(["-1a", "+2a"]);
    await end("4c");
    expect(told.slice(6)).toEqual(["-4c"]);
    await end("2a");
    await end("5ab");
    await all;
    expect(told.slice(7)).toEqual(["-2a", "+5ab", "-5ab"]);
  });

  test("nothing is begun once the signal is aborted, and what runs is waited for", async () => {
    const { told, work, end } = bench();
    const stop = new AbortController();
    const all = eachApart(["1", "2", "3"], { width: 2, placesOf, signal: stop.signal }, work);
    await turn();
    stop.abort();
    await end("1");
    await end("2");
    await all;
    expect(told).toEqual(["+1", "+2", "-1", "-2"]);
  });

  test("an error is told after the others have ended", async () => {
    const { told, work, end } = bench();
    const all = eachApart(["1", "2", "3"], { width: 2, placesOf, signal: never }, work);
    const refused = expect(all).rejects.toThrow("broken");
    await turn();
    await end("1", new Error("broken"));
    await end("2");
    await refused;
    expect(told).toEqual(["+1", "+2", "-2"]);
  });

  test("any list is worked off, each item once", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(3), { maxLength: 3 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (items, width) => {
          const taken = new Set<number>();
          const done: number[] = [];
          let running = 0;
          await eachApart(
            items,
            { width, placesOf: (places) => places.map(String), signal: never },
            async (places, at) => {
              expect((running += 1)).toBeLessThanOrEqual(width);
              const mine = new Set(places);
              expect([...mine].filter((place) => taken.has(place))).toEqual([]);
              for (const place of mine) taken.add(place);
              for (let turns = at % 3; turns > 0; turns--) await turn();
              for (const place of mine) taken.delete(place);
              running -= 1;
              done.push(at);
            },
          );
          expect(done.toSorted((a, b) => a - b)).toEqual(items.map((_item, at) => at));
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("turns", () => {
  test("many share; who needs it alone waits for them, and those after for it", async () => {
    const turns = makeTurns();
    const told: string[] = [];
    const take = async (name: string, isAlone: boolean): Promise<() => void> => {
      const giveBack = await turns.take(isAlone, never);
      told.push(name);
      return giveBack;
    };
    const first = await take("first", false);
    const second = await take("second", false);
    const alone = take("alone", true);
    const third = take("third", false);
    first();
    // Given back twice is given back once.
    first();
    await turn();
    expect(told).toEqual(["first", "second"]);
    second();
    const endAlone = await alone;
    await turn();
    expect(told).toEqual(["first", "second", "alone"]);
    endAlone();
    (await third)();
    (await turns.take(true, never))();
  });

  test("who gives up waiting is passed over", async () => {
    const turns = makeTurns();
    const stop = new AbortController();
    const first = await turns.take(false, never);
    const alone = turns.take(true, stop.signal);
    const third = turns.take(false, never);
    stop.abort(new Error("Ctrl-C"));
    await expect(alone).rejects.toThrow("Ctrl-C");
    (await third)();
    first();
    await expect(turns.take(false, stop.signal)).rejects.toThrow("Ctrl-C");
  });
});

test("a series that several write is whole at any instant, and has the word of all of them in the end", async () => {
  const folder = await mkdtemp(join(tmpdir(), "assess-series-"));
  try {
    const now = new Date();
    const entries = Array.from({ length: 20 }, (_, at) => ({
      kind: "endpoint" as const,
      target: `192.0.2.${at}`,
      options: {},
    }));
    const series: Series = { id: newRunId(now), startedAt: now.toISOString(), options: {}, entries };
    const keeper = keepSeries(folder, series);
    const writing = Promise.all(
      entries.map(async (entry, at) => await keeper.keep(at, { ...entry, run: newRunId(now) })),
    );
    await keeper.keep(0, { ...entries[0]!, run: newRunId(now) });
    for (let looks = 0; looks < 40; looks++) {
      const seen = await readSeries(folder, series.id);
      expect(seen.entries).toHaveLength(20);
      await turn();
    }
    await writing;
    const kept = await readSeries(folder, series.id);
    expect(kept.entries.map((_entry, at) => keeper.entry(at))).toEqual(kept.entries);
    expect(kept.entries.every(({ run }) => run !== undefined)).toBe(true);
    expect(await readFile(join(folder, `${series.id}.json`), "utf8")).toMatch(/\n$/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
