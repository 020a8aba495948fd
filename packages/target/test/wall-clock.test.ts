import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { initCa, makeKeyPair } from "@cipsec/pki";
import { verifyWith } from "@cipsec/transport";
import { expect, test } from "vitest";
import { openWallClock, type WallClock } from "../src/security/wall-clock.ts";
import { temporaryFolder } from "./security-device.ts";
import { FakeClock } from "./support/fakes.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const start = Date.UTC(2026, 10, 21);

/** A device's clock, whose days can be set. */
class Wall extends FakeClock {
  skewMs = start;
  override wallNow(): number {
    return this.now() + this.skewMs;
  }
}

interface Rig {
  readonly clock: Wall;
  readonly wall: WallClock;
  readonly events: string[];
}

async function rig(folder: string, skewMs = start, hasClock = true): Promise<Rig> {
  const clock = new Wall();
  clock.skewMs = skewMs;
  const events: string[] = [];
  const wall = await openWallClock({ folder, clock, hasClock, event: (name) => events.push(name) });
  return { clock, wall, events };
}

/** Lets time pass, and what is written then. */
async function pass({ clock }: Rig, ms: number, folder: string): Promise<void> {
  const before = await readFile(join(folder, "clock"), "utf8").catch(() => "");
  clock.advance(ms);
  await expect.poll(() => readFile(join(folder, "clock"), "utf8").catch(() => "")).not.toBe(before);
}

test("a device remembers how late it has been, and does not believe a clock that tells less", async () => {
  const folder = temporaryFolder();
  const first = await rig(folder);
  await pass(first, hourMs, folder);
  await pass(first, dayMs, folder);
  first.wall.close();
  const late = start + hourMs + dayMs;
  const dead = await rig(folder, 0);
  expect([dead.wall.wallNow(), dead.wall.atLeast(), dead.wall.isBehind()]).toEqual([undefined, late, true]);
  expect(dead.events).toEqual(["clock/behind"]);
  dead.clock.skewMs = late + dayMs;
  expect([dead.wall.wallNow(), dead.wall.isBehind()]).toEqual([late + dayMs, false]);
  expect(dead.events).toEqual(["clock/behind", "clock/right"]);
});

test("a clock that is corrected by minutes is believed", async () => {
  const folder = temporaryFolder();
  await pass(await rig(folder), hourMs, folder);
  const corrected = await rig(folder, start + hourMs - 4 * 60_000);
  expect(corrected.wall.wallNow()).toBe(start + hourMs - 4 * 60_000);
  corrected.clock.skewMs -= 2 * 60_000;
  expect(corrected.wall.wallNow()).toBeUndefined();
});

test("a clock that runs years ahead is remembered by a month a day, and not at all within an hour", async () => {
  const folder = temporaryFolder();
  await pass(await rig(folder), hourMs, folder);
  const ahead = await rig(folder, start + 3650 * dayMs);
  expect(ahead.wall.wallNow()).toBe(start + 3650 * dayMs);
  ahead.clock.advance(hourMs - 1);
  expect(ahead.events).toEqual([]);
  await pass(ahead, 1, folder);
  expect(ahead.events).toEqual(["clock/ahead"]);
  ahead.wall.close();
  const corrected = await rig(folder, start + 2 * hourMs);
  expect(corrected.wall.atLeast()).toBe(start + hourMs + 31 * dayMs);
  await corrected.wall.forget();
  expect(corrected.wall.wallNow()).toBe(start + 2 * hourMs);
  expect((await rig(folder, start)).wall.isBehind()).toBe(false);
});

test("what an authority has signed was not signed in the future", async () => {
  const { wall, events } = await rig(temporaryFolder());
  wall.believe(start + dayMs);
  expect([wall.wallNow(), wall.atLeast()]).toEqual([undefined, start + dayMs]);
  wall.believe(start - dayMs);
  expect([wall.wallNow(), events]).toEqual([start, ["clock/behind", "clock/right"]]);
});

test("a device without a clock knows no time and remembers none", async () => {
  const folder = temporaryFolder();
  const { wall, clock } = await rig(folder, start, false);
  wall.believe(start);
  clock.advance(10 * dayMs);
  expect([wall.wallNow(), wall.atLeast(), wall.isBehind(), clock.waiting]).toEqual([undefined, undefined, false, 0]);
});

test("what cannot be saved or read is told", async () => {
  const folder = temporaryFolder();
  const made = await rig(join(folder, "nowhere"));
  made.clock.advance(hourMs);
  await expect.poll(() => made.events).toEqual(["clock/not-saved"]);
  const body = `"yesterday"\n`;
  await writeFile(join(folder, "clock"), `cipsec-state target-clock 1 sha256=00\n${body}`);
  await expect(rig(folder)).rejects.toMatchObject({ code: "state/corrupt" });
});

test("with a clock that is behind, what has expired stays so, and who was certified since is let in", async () => {
  const at = { now: start };
  const ca = await initCa(join(temporaryFolder(), "ca"), { name: "Days", now: () => new Date(at.now) });
  const issue = async (days: number): Promise<Uint8Array> => {
    const { publicKey } = await makeKeyPair();
    const { certificate } = await ca.issue({ profile: "tool", publicKey, subject: { commonName: "tool" }, days });
    return certificate.der;
  };
  const old = await issue(10);
  at.now = start + 60 * dayMs;
  const recent = await issue(10);
  const { wall } = await rig(temporaryFolder(), 0);
  wall.believe(start + 30 * dayMs);
  const verify = verifyWith({
    anchors: [ca.root, ca.issuing],
    checkName: false,
    clock: { wallNow: () => wall.atLeast() },
    isAtLeast: () => wall.isBehind(),
  });
  const judged = [old, recent].map((leaf) => {
    const verdict = verify({ chain: [leaf], role: "client", remote: { address: "127.34.1.1", port: 1 } });
    return verdict.ok ? "ok" : verdict.error.code;
  });
  expect(judged).toEqual(["trust/expired", "ok"]);
});
