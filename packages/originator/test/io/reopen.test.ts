import { makeKeyPair, selfSigned, type Certificate } from "@cipsec/pki";
import type { Clock } from "@cipsec/transport";
import { describe, expect, test } from "vitest";
import { dueAt, isGain, nextSession, type Credentials, type ReopenPolicy, type Shown } from "../../src/io/reopen.ts";

const dayMs = 24 * 3600_000;
const span = (from: number, until: number) => ({
  notBefore: new Date(from * dayMs),
  notAfter: new Date(until * dayMs),
});
const resting = (own: string | undefined, ...certificates: Credentials["certificates"]): Credentials => ({
  own,
  certificates,
});

describe("an association", () => {
  test("is due at a share of the life of the certificate that gets there first", () => {
    expect(dueAt(resting("a", span(0, 100), span(50, 90)), 0.8) / dayMs).toBe(80);
    expect(dueAt(resting("a", span(0, 100), span(10, 60)), 0.8) / dayMs).toBe(50);
    expect(dueAt(resting("a", span(0, 100))) / dayMs).toBe(80);
    expect(dueAt(resting(undefined))).toBe(Infinity);
  });

  test("is worth another one that lasts longer, or shows our new certificate", () => {
    const now = resting("a", span(0, 100), span(0, 90));
    expect(isGain(now, resting("a", span(0, 100), span(0, 90)))).toBe(false);
    expect(isGain(now, resting("a", span(0, 200), span(0, 90)))).toBe(false);
    expect(isGain(now, resting("a", span(0, 100), span(80, 180)))).toBe(true);
    expect(isGain(now, resting("b", span(0, 80), span(0, 90)))).toBe(true);
  });
});

/** A clock on which every wait is over at once, and lasts as long as was asked. */
class LeapingClock implements Clock {
  wall: number | undefined = 0;
  #now = 0;

  now(): number {
    return this.#now;
  }

  wallNow(): number | undefined {
    return this.wall;
  }

  after(ms: number, run: () => void): () => void {
    const waiting = setImmediate(() => {
      this.#now += ms;
      if (this.wall !== undefined) this.wall += ms;
      run();
    });
    return () => clearImmediate(waiting);
  }
}

const { privateKey } = await makeKeyPair();
const certificate = async (fromDay: number, days: number): Promise<Certificate> =>
  await selfSigned({ subject: { commonName: `day ${fromDay}` }, privateKey, days, now: new Date(fromDay * dayMs) });
const [mine, mineLater, theirs, theirsLater] = await Promise.all([
  certificate(0, 1000),
  certificate(10, 1000),
  certificate(0, 100),
  certificate(50, 100),
]);

function shown(own: Certificate | undefined, device: Certificate, isLossy = true): Shown {
  const { subject, sha256 } = device.facts;
  const peer = { kind: "certificate", subject, sha256, der: device.der } as const;
  const security = { version: "DTLSv1.2", suite: 0xc02b, suiteName: "", encrypts: true, peer } as const;
  return { isLossy, identity: own, facts: { security } };
}

/** A plan that looks for another session, and what it did on the way. */
function plan(
  policy: ReopenPolicy,
  session: Shown,
  answers: readonly (Shown | "away")[] = [],
  hasClock = true,
  handshake: Promise<void> = Promise.resolve(),
) {
  const clock = new LeapingClock();
  if (!hasClock) clock.wall = undefined;
  const renewed = Promise.withResolvers<void>();
  const stop = new AbortController();
  const did = { opened: [] as number[], released: 0, own: mine.facts.sha256, clock, renewed, stop };
  const next = nextSession({
    name: "press",
    session,
    clock,
    policy: { spreadMs: 0, ...policy },
    ownNow: () => did.own,
    renewed: () => renewed.promise,
    signal: stop.signal,
    open: async () => {
      const answer = answers[did.opened.length];
      did.opened.push(clock.wallNow() ?? NaN);
      if (answer === undefined) stop.abort(new RangeError("enough"));
      if (answer === undefined || answer === "away") throw new RangeError("nobody there");
      await handshake;
      return { session: answer, release: () => Promise.resolve(void (did.released += 1)) };
    },
  });
  return { did, next };
}

const minute = 60_000;

describe("a plan", () => {
  test("waits for the share, for the device to be there, and for something newer", async () => {
    const same = shown(mine, theirs);
    const newer = shown(mine, theirsLater);
    const { did, next } = plan({}, shown(mine, theirs), ["away", same, same, newer]);
    expect((await next).session).toBe(newer);
    const [first = 0, ...later] = did.opened;
    expect(first).toBeGreaterThanOrEqual(dueAt(resting("", theirs.facts)));
    expect(first).toBeLessThan(dueAt(resting("", theirs.facts)) + 60 * minute);
    expect(later.map((at) => (at - first) / minute)).toEqual([1, 3, 7]);
    expect(did.released).toBe(2);
  });

  test("asks whether the line may have the gap, and waits at most an hour between tries", async () => {
    let asked = 0;
    const mayReopen = (name: string): boolean => name === "press" && (asked += 1) > 3;
    const answers = Array.from({ length: 9 }, () => "away" as const);
    const { did, next } = plan({ share: 0, mayReopen, spreadMs: 5 }, shown(mine, theirs), answers);
    await expect(next).rejects.toThrow("enough");
    expect(asked).toBe(3 + 10);
    const waits = did.opened.map((at, n) => Math.round((at - (did.opened[n - 1] ?? at)) / minute));
    expect(waits).toEqual([0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test("goes by our new certificate at once, also without a clock; not where that is switched off", async () => {
    const newer = shown(mineLater, theirs);
    const { did, next } = plan({}, shown(mine, theirs), [newer], false);
    await new Promise(setImmediate);
    expect(did.opened).toEqual([]);
    did.own = mineLater.facts.sha256;
    did.renewed.resolve();
    expect((await next).session).toBe(newer);
    const off = plan({ onRenewal: false }, shown(mine, theirs), [newer], false);
    off.did.own = mineLater.facts.sha256;
    await new Promise((done) => void setTimeout(done, 20));
    expect(off.did.opened).toEqual([]);
    off.did.stop.abort(new RangeError("stopped"));
    await expect(off.next).rejects.toThrow("stopped");
  });

  test("is none for I/O that does not go over the association, or that no certificate ends", async () => {
    const keyed: Shown = {
      isLossy: true,
      identity: mine,
      facts: {
        security: { ...shown(mine, theirs).facts.security!, peer: { kind: "psk", identity: "x" } },
      },
    };
    for (const session of [shown(mine, theirs, false), keyed, { ...keyed, facts: {} }]) {
      const { did, next } = plan({ share: 0 }, session);
      did.own = mineLater.facts.sha256;
      await new Promise((done) => void setTimeout(done, 20));
      expect(did.opened).toEqual([]);
      did.stop.abort(new RangeError("stopped"));
      await expect(next).rejects.toThrow("stopped");
    }
  });

  test("that was stopped while it opened gives back what it got", async () => {
    const handshake = Promise.withResolvers<void>();
    const answers = [shown(mine, theirsLater)];
    const { did, next } = plan({ share: 0 }, shown(mine, theirs), answers, true, handshake.promise);
    await expect.poll(() => did.opened.length).toBe(1);
    did.stop.abort(new RangeError("stopped"));
    handshake.resolve();
    await expect(next).rejects.toThrow("stopped");
    expect(did.released).toBe(1);
  });
});
