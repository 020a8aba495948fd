import { PullModelStatus } from "@cipsec/objects";
import { EtherNetIpSecurityState } from "@cipsec/wire";
import type { FoundEst } from "@cipsec/pki";
import { beforeEach, describe, expect, test } from "vitest";
import {
  PullMachine,
  afterToolMs,
  startDelayMs,
  type PullFacts,
  type PullOutput,
} from "../src/security/pull-machine.ts";

const one: FoundEst = { url: "https://one.local", source: "mdns" };
const two: FoundEst = { url: "https://two.local", source: "mdns" };
const day = 86_400_000;
const boxed: PullFacts = { ethernetIpState: EtherNetIpSecurityState.factoryDefault, isToolBusy: false, wallNow: 0 };
const enrolled: PullFacts = {
  ethernetIpState: EtherNetIpSecurityState.pullCompleted,
  isToolBusy: false,
  wallNow: 0,
  certificate: { notBefore: 0, notAfter: 90 * day },
};

/** A device by a clock that the test turns. */
let machine: PullMachine;
let facts: PullFacts;
let now: number;

beforeEach(() => {
  now = 1000;
  facts = boxed;
  machine = new PullMachine(now, () => 0);
});

const look = (): PullOutput => machine.handle({ type: "look" }, facts, now);
const found = (...servers: readonly FoundEst[]): PullOutput => machine.handle({ type: "found", servers }, facts, now);
const enrol = (server: FoundEst, renews = false): PullOutput => ({ action: { type: "enrol", server, renews } });
const search: PullOutput = { action: { type: "search" } };
const stop: PullOutput = { action: { type: "stop" } };

/** Wakes when the machine asked for it. */
function wake({ wakeAt }: PullOutput): PullOutput {
  now = wakeAt ?? Number.NaN;
  return look();
}

/** From the box to a server that was found. */
function asking(...servers: readonly FoundEst[]): PullOutput {
  expect(wake(look())).toEqual(search);
  return found(...servers);
}

describe("a device from its box", () => {
  test("searches five seconds after its start, and asks the first server", () => {
    expect(look()).toEqual({ wakeAt: 1000 + startDelayMs });
    now += startDelayMs - 1;
    expect(look()).toEqual({ wakeAt: 1000 + startDelayMs });
    now += 1;
    expect(look()).toEqual(search);
    expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus.searching, false]);
    expect(found(one, two)).toEqual(enrol(one));
    expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus.ok, true]);
    machine.handle({ type: "issued" }, facts, now);
    expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus.ok, false]);
  });

  test("without a server searches again after 30 s, 60 s, … an hour", () => {
    let output = look();
    const waits = Array.from({ length: 10 }, () => {
      expect(wake(output)).toEqual(search);
      output = found();
      expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus.noServer, false]);
      return ((output.wakeAt ?? 0) - now) / 1000;
    });
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
  });

  test("waits up to a tenth longer than another one", () => {
    machine = new PullMachine(now, () => 0.999);
    expect(wake(look())).toEqual(search);
    expect((found().wakeAt ?? 0) - now).toBe(32_997);
  });

  test.each([
    { reason: "tlsFailure", asksNext: true },
    { reason: "noServer", asksNext: true },
    { reason: "badCertificate", asksNext: true },
    { reason: "refused", asksNext: false },
  ] as const)("after $reason asks the next server: $asksNext", ({ reason, asksNext }) => {
    expect(asking(one, two)).toEqual(enrol(one));
    const output = machine.handle({ type: "failed", reason }, facts, now);
    if (asksNext) expect(output).toEqual(enrol(two));
    else expect(output).toEqual({ wakeAt: now + 30_000 });
    const last = asksNext ? machine.handle({ type: "failed", reason }, facts, now) : output;
    expect(last).toEqual({ wakeAt: now + 30_000 });
    expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus[reason], false]);
  });

  test("held for a person asks the same server when it said to, and shows that it waits", () => {
    expect(asking(one, two)).toEqual(enrol(one));
    const held = machine.handle({ type: "pending", retryAfterMs: 90_000 }, facts, now);
    expect(held).toEqual({ wakeAt: now + 90_000 });
    expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus.pending, true]);
    now += 89_999;
    expect(look()).toEqual({ wakeAt: now + 1 });
    expect(wake(held)).toEqual(enrol(one));
    expect(machine.status).toBe(PullModelStatus.pending);
    expect(machine.handle({ type: "failed", reason: "refused" }, facts, now)).toEqual({ wakeAt: now + 30_000 });
  });

  test.each([
    { name: "searching", before: () => wake(look()), answer: stop },
    { name: "asking", before: () => asking(one), answer: stop },
    {
      name: "held",
      before: () => {
        asking(one);
        return machine.handle({ type: "pending", retryAfterMs: 1000 }, facts, now);
      },
      answer: {},
    },
  ])("a tool that begins stops it while $name", ({ before, answer }) => {
    before();
    facts = { ...boxed, isToolBusy: true };
    expect(look()).toEqual(answer);
    expect([machine.status, machine.isEnrolling]).toEqual([PullModelStatus.ok, false]);
    expect(look()).toEqual({});
    facts = boxed;
    expect(look()).toEqual({ wakeAt: now + afterToolMs });
  });

  test("answers to what was stopped start nothing", () => {
    wake(look());
    facts = { ...boxed, isToolBusy: true };
    expect(look()).toEqual(stop);
    expect(found(one)).toEqual({});
    facts = boxed;
    expect(found(one)).toEqual({ wakeAt: now + afterToolMs });
  });

  test.each([EtherNetIpSecurityState.configured, EtherNetIpSecurityState.pullCompleted])(
    "reset from state %i starts anew, a little later",
    (ethernetIpState) => {
      facts = { ...boxed, ethernetIpState };
      look();
      now += day;
      facts = boxed;
      expect(look()).toEqual({ wakeAt: now + startDelayMs });
    },
  );

  test.each([EtherNetIpSecurityState.configured, EtherNetIpSecurityState.pullDisabled])(
    "in state %i without a certificate of its own fetches nothing",
    (ethernetIpState) => {
      facts = { ...boxed, ethernetIpState };
      now += 365 * day;
      expect(look()).toEqual({});
    },
  );
});

describe("a device that has enrolled", () => {
  beforeEach(() => {
    facts = enrolled;
  });

  test("renews at two thirds of the lifetime, looking once a day", () => {
    let output = look();
    let days = 0;
    while (output.action === undefined && days < 100) {
      const before = now;
      now = output.wakeAt ?? Number.NaN;
      facts = { ...facts, wallNow: (facts.wallNow ?? 0) + now - before };
      output = look();
      days += 1;
    }
    expect(output).toEqual(search);
    expect([facts.wallNow, days]).toEqual([60 * day, 60]);
    expect(found(one)).toEqual(enrol(one, true));
    expect(machine.isEnrolling).toBe(true);
  });

  test("whose clock is set forward renews at the next look", () => {
    expect(look()).toEqual({ wakeAt: now + day });
    facts = { ...facts, wallNow: 61 * day };
    now += day;
    expect(look()).toEqual(search);
  });

  test("that slept past the end enrols with its default certificate", () => {
    facts = { ...facts, wallNow: 91 * day };
    now += startDelayMs;
    expect(look()).toEqual(search);
    expect(found(one)).toEqual(enrol(one, false));
  });

  test("that cannot renew tries again", () => {
    facts = { ...facts, wallNow: 60 * day };
    now += startDelayMs;
    expect(look()).toEqual(search);
    expect(found(one)).toEqual(enrol(one, true));
    expect(machine.handle({ type: "failed", reason: "noServer" }, facts, now)).toEqual({ wakeAt: now + 30_000 });
  });

  test("renews also what a tool has configured further, but not while the tool is at it, and not once disabled", () => {
    facts = { ...facts, wallNow: 60 * day, ethernetIpState: EtherNetIpSecurityState.configured };
    now += startDelayMs;
    expect(machine.handle({ type: "look" }, { ...facts, isToolBusy: true }, now)).toEqual({});
    expect(wake(look())).toEqual(search);
    facts = { ...facts, ethernetIpState: EtherNetIpSecurityState.pullDisabled };
    expect(look()).toEqual(stop);
  });

  test("without a clock renews after each start, then by the time it runs", () => {
    facts = { ...enrolled, wallNow: undefined };
    expect(wake(look())).toEqual(search);
    expect(found(one)).toEqual(enrol(one, true));
    machine.handle({ type: "issued" }, facts, now);
    const issuedAt = now;
    now = issuedAt + 60 * day - 1;
    expect(look()).toEqual({ wakeAt: issuedAt + 60 * day });
    now += 1;
    expect(look()).toEqual(search);
  });
});
