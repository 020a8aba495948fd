import { makeKeyPair, selfSigned } from "@cipsec/pki";
import type { ChannelFacts, Handshake, TlsCertificate, TlsPolicy, Verdict } from "@cipsec/transport";
import { TrustError, type Facts } from "@cipsec/wire";
import { beforeAll, expect, test } from "vitest";
import { SessionGuard, type SessionRules } from "../src/session-guard.ts";
import { defaultSessionPolicy, type SessionPolicy } from "../src/session-policy.ts";
import { FakeChannel, FakeClock, dtlsFacts, tlsFacts } from "./support/fakes.ts";

const dayMs = 86_400_000;
const start = Date.UTC(2026, 10, 21);

/** Certificates for 10, 20 and 30 days; who holds which key does not matter here. */
let shown: readonly TlsCertificate[] = [];

beforeAll(async () => {
  shown = await Promise.all(
    [10, 20, 30].map(async (days) => {
      const { privateKey } = await makeKeyPair();
      const subject = { commonName: `for ${days} days` };
      const made = await selfSigned({ subject, privateKey, now: new Date(start), days });
      return { chain: [made.der], key: privateKey };
    }),
  );
});

const own = (i: number): TlsCertificate => shown[i] ?? { chain: [], key: shown[0]?.key ?? raise() };
const raise = (): never => {
  throw new RangeError("no such certificate");
};

/** A refusal with this code. */
const no = (code: string): Verdict => ({
  ok: false,
  error: Object.assign(new TrustError("trust/refused", "no"), { code }),
});

class Session extends FakeChannel {
  readonly handshake: Handshake;
  constructor(facts: ChannelFacts, policy: TlsPolicy, peer: TlsCertificate) {
    super(facts);
    this.handshake = { policy, peer: { chain: peer.chain, role: "client", remote: facts.remote } };
  }
}

/** A guard on a fake clock; what it is told of trust, and what it did. */
function rig(policy: Partial<SessionPolicy> = {}) {
  const clock = new FakeClock();
  const verdicts = new Map<string, Verdict>();
  const ended: string[] = [];
  const events: string[] = [];
  const io = new Set<string>();
  const names = new Map<unknown, string>();
  const nameOf = (peer: readonly Uint8Array[]): string => names.get(peer) ?? "?";
  const made = (changed: Partial<TlsPolicy> = {}): TlsPolicy => ({
    suites: [0xc02b],
    certificates: [own(1)],
    sendChain: false,
    psks: [],
    verifyPeer: true,
    verify: ({ chain }) => verdicts.get(nameOf(chain)) ?? { ok: true },
    ...changed,
  });
  const state = { now: made(), checksDays: true, hasClock: true, configuringMs: 0 };
  const rules = (): SessionRules => ({
    policy: state.now,
    timeless: state.now,
    checksDays: state.checksDays,
    configuringMs: () => state.configuringMs,
  });
  const guard = new SessionGuard({
    policy: { ...defaultSessionPolicy, ...policy },
    clock,
    calendar: clock,
    wallNow: () => (state.hasClock ? start + clock.now() : undefined),
    rules,
    carriesIo: ({ handshake }) => io.has(nameOf(handshake?.peer.chain ?? [])),
    end: (channel) => {
      ended.push(nameOf(channel.handshake?.peer.chain ?? []));
      void channel.close();
    },
    event: (name: string, { why = "", code = "" }: Facts) => events.push([name, why, code].join(" ").trim()),
  });
  return {
    clock,
    guard,
    ended,
    events,
    io,
    state,
    verdicts,
    /** Opens a session of a peer with a certificate of that many days. */
    open(name: string, days: 10 | 20 | 30 = 30, facts = tlsFacts(name)): Session {
      const certificate = { ...own(days / 10 - 1), chain: [...own(days / 10 - 1).chain] };
      names.set(certificate.chain, name);
      const session = new Session(facts, state.now, certificate);
      guard.admit(session);
      return session;
    },
    /** Another configuration comes into force. */
    apply(changed: Partial<TlsPolicy> = {}): void {
      state.now = made(changed);
      guard.changed();
      clock.advance(10);
    },
  };
}

test("who is revoked is out at once, and the others are not touched", () => {
  const { open, apply, verdicts, ended, events, guard } = rig();
  for (let i = 0; i < 20; i += 1) open(`peer ${i}`, 30, i % 2 === 0 ? tlsFacts(`${i}`) : dtlsFacts(`${i}`));
  verdicts.set("peer 3", no("trust/revoked"));
  verdicts.set("peer 18", no("trust/revoked"));
  apply();
  expect(ended).toEqual(["peer 3", "peer 18"]);
  expect(events).toEqual(Array.from({ length: 2 }, () => "session-closed revocation trust/revoked"));
  expect(guard.size).toBe(18);
});

test.each([
  { code: "trust/unknown-authority", change: {}, why: "trust" },
  { code: "trust/not-pinned", change: {}, why: "trust" },
  { code: undefined, change: { suites: [0xc02c] }, why: "trust" },
])("who is not trusted any more is out: $code $change", ({ code, change, why }) => {
  const { open, apply, verdicts, ended, events } = rig();
  open("peer");
  if (code !== undefined) verdicts.set("peer", no(code));
  apply(change);
  expect(ended).toEqual(["peer"]);
  expect(events).toEqual([`session-closed ${why} ${code ?? "trust/refused"}`]);
});

test.each(["trust/crl-stale", "trust/crl-missing", "trust/crl-signature"])(
  "that a list cannot be used does not speak against a peer: %s",
  (code) => {
    const { open, apply, verdicts, ended } = rig();
    open("peer");
    verdicts.set("peer", no(code));
    apply();
    expect(ended).toEqual([]);
  },
);

test("policy may leave it to the next handshake, which is told once", () => {
  const { open, apply, verdicts, ended, events } = rig({
    onRevocation: "next-handshake",
    onTrustChange: "next-handshake",
  });
  open("peer");
  verdicts.set("peer", no("trust/revoked"));
  apply();
  apply();
  verdicts.set("peer", no("trust/not-pinned"));
  apply();
  expect(ended).toEqual([]);
  expect(events).toEqual(["session-kept revocation trust/revoked", "session-kept trust trust/not-pinned"]);
});

test("a handshake that began before a change is judged by what came of it", () => {
  const { open, state, verdicts, ended, guard, apply } = rig();
  open("before");
  const policy = state.now;
  apply();
  verdicts.set("late", no("trust/revoked"));
  const now = state.now;
  state.now = policy;
  const late = new Session(tlsFacts("late"), policy, own(2));
  state.now = now;
  verdicts.set("?", no("trust/revoked"));
  guard.admit(late);
  expect(ended).toEqual(["?"]);
  expect(guard.size).toBe(1);
});

test("the tool that configures has its time to finish, and is judged then", () => {
  const { open, apply, verdicts, ended, state, clock } = rig();
  open("tool");
  verdicts.set("tool", no("trust/revoked"));
  state.configuringMs = 5000;
  apply();
  clock.advance(4000);
  expect(ended).toEqual([]);
  state.configuringMs = 0;
  clock.advance(1001);
  expect(ended).toEqual(["tool"]);
});

test("an expired certificate ends its sessions once the grace is over", () => {
  const { open, ended, events, clock } = rig();
  open("ten", 10);
  open("thirty", 30);
  clock.advance(11 * dayMs - 3_600_000);
  expect(ended).toEqual([]);
  clock.advance(2 * 3_600_000);
  expect(ended).toEqual(["ten"]);
  expect(events).toEqual(["session-closed expiry trust/expired"]);
  clock.advance(30 * dayMs);
  expect(ended).toEqual(["ten", "thirty"]);
});

test.each([
  { name: "policy leaves it to the next handshake", policy: { onExpiry: "next-handshake" }, state: {} },
  { name: "the device does not check expiration", policy: {}, state: { checksDays: false } },
  { name: "the device has no clock", policy: {}, state: { hasClock: false } },
] as const)("an expired certificate ends nothing where $name", ({ policy, state }) => {
  const made = rig(policy);
  Object.assign(made.state, state);
  made.open("ten", 10);
  made.clock.advance(50 * dayMs);
  expect(made.ended).toEqual([]);
});

test("after a renewal sessions drain; those with I/O as long as the certificate that they were opened with lasts", () => {
  const { open, apply, ended, events, clock, io, guard } = rig({ drainSeconds: 3600 });
  open("idle");
  open("producing");
  io.add("producing");
  apply({ certificates: [own(2)] });
  expect(events).toEqual(["session-draining", "session-draining"]);
  const later = open("later");
  clock.advance(3_599_000);
  expect(ended).toEqual([]);
  clock.advance(2000);
  expect(ended).toEqual(["idle"]);
  clock.advance(21 * dayMs - 2 * 3_600_000);
  expect(ended).toEqual(["idle"]);
  clock.advance(2 * 3_600_000);
  expect(ended).toEqual(["idle", "producing"]);
  expect([later.ended, guard.size]).toEqual([undefined, 1]);
});

test("a session that drains ends with its last connection once its time is over", () => {
  const { open, apply, ended, clock, io, guard } = rig({ drainSeconds: 60 });
  open("producing");
  io.add("producing");
  apply({ certificates: [own(2)] });
  clock.advance(dayMs);
  guard.ioEnded();
  expect(ended).toEqual([]);
  io.clear();
  guard.ioEnded();
  expect(ended).toEqual(["producing"]);
});

test("a renewal that is taken back ends nothing; with `close` a renewal ends all", () => {
  const drained = rig({ drainSeconds: 60 });
  drained.open("peer");
  drained.apply({ certificates: [own(2)] });
  drained.apply({ certificates: [own(1), own(2)] });
  drained.clock.advance(dayMs);
  expect(drained.ended).toEqual([]);
  const closed = rig({ onRotation: "close" });
  closed.open("peer");
  closed.apply({ certificates: [own(2)] });
  expect(closed.ended).toEqual(["peer"]);
});

test("sessions that end by themselves are forgotten, and a device that stops has no timers left", async () => {
  const { open, guard, clock, apply } = rig();
  open("gone", 10).hangUp();
  open("there", 10);
  await Promise.resolve();
  expect(guard.size).toBe(1);
  apply({ certificates: [own(2)] });
  guard.stop();
  expect([guard.size, clock.waiting]).toEqual([0, 0]);
});

test("a plain channel is none of its business", () => {
  const { guard } = rig();
  guard.admit(new FakeChannel());
  expect(guard.size).toBe(0);
});
