import { parseCertificate, type Certificate } from "@cipsec/pki";
import {
  judgeAgain,
  presented,
  presentsTheSame,
  type Cancel,
  type Channel,
  type Clock,
  type TlsPolicy,
} from "@cipsec/transport";
import type { Facts } from "@cipsec/wire";
import { channelFacts } from "./events.ts";
import type { SessionPolicy } from "./session-policy.ts";

/** What open sessions are judged by: the applied configuration, as far as it counts for them. */
export interface SessionRules {
  /** By which handshakes are done now; another object whenever anything of it is different. */
  readonly policy: TlsPolicy;
  /** The same, but for days: who was let in is not put out because a list or certificate got old. */
  readonly timeless: TlsPolicy;
  /** Whether the days of peers' certificates count. */
  readonly checksDays: boolean;
  /** Milliseconds that a tool which configures the device by this channel has left to finish; 0 for any other channel. */
  readonly configuringMs: (channel: Channel) => number;
}

/** What a {@link SessionGuard} needs of its device. */
export interface GuardOptions {
  readonly policy: SessionPolicy;
  readonly clock: Pick<Clock, "after">;
  /** For what takes hours to years. */
  readonly calendar: Pick<Clock, "now" | "after">;
  /** Milliseconds since 1970, on a device that trusts its clock. */
  readonly wallNow: () => number | undefined;
  /** Nothing before the device has its configuration. */
  readonly rules: () => SessionRules | undefined;
  /** Whether class 0 and 1 connections live that were opened over this channel. */
  readonly carriesIo: (channel: Channel) => boolean;
  /** Ends a session and all that was opened over it, as when it is lost. */
  readonly end: (channel: Channel) => void;
  readonly event: (name: string, facts: Facts) => void;
}

/** Why a session is ended, or would be if policy had it so. */
export type SessionEnd = "revocation" | "trust" | "expiry" | "rotation";

interface Kept {
  readonly channel: Channel;
  /** End of the peer's certificate or one above it that it showed, milliseconds since 1970; looked up once it counts. */
  peerUntil: number | undefined;
  /** On the calendar: since when the device presents another certificate than this session was opened with. */
  drainsSince: number | undefined;
  /** What was told of it already; an event is for once. */
  told: SessionEnd | undefined;
  /** Whether it is judged again once the tool on it has had its time. */
  waits: boolean;
}

/** A clock may be set, and no timer lasts for months. */
const longestWaitMs = 24 * 3_600_000;

/** Sessions judged in one turn: a verdict costs about a millisecond, and I/O must not wait for hundreds of them. */
const perTurn = 4;

/**
 * Watches the sessions that are open: when another configuration is in force each peer is judged again, as a handshake would now,
 * and who would be refused is out where policy says so. Sessions opened with a certificate that the device does not present any
 * more drain. The others are not touched. Trust may also end with time: certificates expire.
 *
 * @see docs/decisions/013-open-sessions.md
 */
export class SessionGuard {
  readonly #options: GuardOptions;
  readonly #kept = new Map<Channel, Kept>();
  /** To be judged, in the order that they came. */
  readonly #queue = new Set<Kept>();
  #judged: TlsPolicy | undefined;
  #wakeAt = Infinity;
  #wake: Cancel = () => undefined;
  #turn: Cancel | undefined;

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** Sessions that it watches over. */
  get size(): number {
    return this.#kept.size;
  }

  /** A session has been opened. What nothing protects proves nothing, and is for the ports to close. */
  admit(channel: Channel): void {
    const { handshake } = channel;
    const rules = this.#options.rules();
    if (handshake === undefined || rules === undefined) return;
    const kept: Kept = {
      channel,
      peerUntil: endOf(handshake.peer.chain),
      drainsSince: undefined,
      told: undefined,
      waits: false,
    };
    this.#kept.set(channel, kept);
    void channel.closed.then(() => this.#drop(kept));
    this.#judged ??= rules.policy;
    // The configuration was changed while the handshake went on.
    if (handshake.policy !== rules.policy) this.#judge(kept, rules);
    if (this.#kept.has(channel)) this.#watch(kept, rules);
  }

  /** Another configuration may be in force. */
  changed(): void {
    const rules = this.#options.rules();
    if (rules === undefined || rules.policy === this.#judged) return;
    this.#judged = rules.policy;
    for (const kept of this.#kept.values()) this.#queue.add(kept);
    this.#work();
  }

  /** A class 0 or 1 connection has ended: a session that drains and carries none any more has no longer than others. */
  ioEnded(): void {
    const rules = this.#options.rules();
    if (rules === undefined) return;
    for (const kept of this.#kept.values()) if (kept.drainsSince !== undefined) this.#watch(kept, rules);
  }

  /** Stops its timers; sessions stay as they are. */
  stop(): void {
    this.#wake();
    this.#turn?.();
    this.#kept.clear();
    this.#queue.clear();
  }

  #drop(kept: Kept): void {
    this.#kept.delete(kept.channel);
    this.#queue.delete(kept);
  }

  #work(): void {
    this.#turn?.();
    this.#turn = undefined;
    const rules = this.#options.rules();
    if (rules === undefined) return;
    let left = perTurn;
    for (const kept of this.#queue) {
      if (left === 0) break;
      left -= 1;
      this.#queue.delete(kept);
      this.#judge(kept, rules);
      if (this.#kept.has(kept.channel)) this.#watch(kept, rules);
    }
    if (this.#queue.size > 0) this.#turn = this.#options.clock.after(0, () => this.#work());
  }

  #judge(kept: Kept, rules: SessionRules): void {
    const { channel } = kept;
    const { policy, calendar } = this.#options;
    const verdict = judgeAgain(channel, rules.timeless);
    if (!verdict.ok) {
      const { code } = verdict.error;
      // That a list is missing or cannot be used says nothing about this peer; the next handshake will.
      if (code.startsWith("trust/crl-")) return;
      const why = code === "trust/revoked" ? "revocation" : "trust";
      this.#refuse(kept, why, why === "revocation" ? policy.onRevocation : policy.onTrustChange, rules, code);
      return;
    }
    if (presentsTheSame(channel, rules.policy)) {
      kept.drainsSince = undefined;
      return;
    }
    if (policy.onRotation === "close") {
      this.#refuse(kept, "rotation", "close", rules);
      return;
    }
    if (kept.drainsSince !== undefined) return;
    kept.drainsSince = calendar.now();
    this.#event("session-draining", kept, { seconds: policy.drainSeconds });
  }

  /** Ends what time has ended, and sees to it that this is called again in time. */
  #watch(kept: Kept, rules: SessionRules): void {
    const { policy, calendar, wallNow } = this.#options;
    const wall = wallNow();
    const graceMs = 1000 * policy.expiryGraceSeconds;
    if (rules.checksDays && wall !== undefined) {
      kept.peerUntil ??= endOf(kept.channel.handshake?.peer.chain ?? []);
      const leftMs = kept.peerUntil + graceMs - wall;
      if (leftMs > 0) this.#lookAfter(leftMs);
      else this.#refuse(kept, "expiry", policy.onExpiry, rules, "trust/expired");
    }
    if (kept.drainsSince === undefined || !this.#kept.has(kept.channel)) return;
    if (this.#options.carriesIo(kept.channel)) {
      const until = ownEndOf(kept.channel);
      const leftMs = wall === undefined ? Infinity : until + graceMs - wall;
      if (leftMs > 0) this.#lookAfter(leftMs);
      else this.#refuse(kept, "rotation", "close", rules);
      return;
    }
    const leftMs = kept.drainsSince + 1000 * policy.drainSeconds - calendar.now();
    if (leftMs > 0) this.#lookAfter(leftMs);
    else this.#refuse(kept, "rotation", "close", rules);
  }

  #refuse(kept: Kept, why: SessionEnd, how: "close" | "next-handshake", rules: SessionRules, code?: string): void {
    const facts: Facts = { why, ...(code === undefined ? {} : { code }) };
    if (how === "next-handshake") {
      if (kept.told !== why) this.#event("session-kept", kept, facts);
      kept.told = why;
      return;
    }
    const waitMs = rules.configuringMs(kept.channel);
    if (waitMs > 0) {
      // It has its reply to get, and a configuration session to end, by the channel that it began them on.
      if (!kept.waits) this.#options.clock.after(waitMs, () => this.#again(kept));
      kept.waits = true;
      return;
    }
    this.#drop(kept);
    this.#event("session-closed", kept, facts);
    this.#options.end(kept.channel);
  }

  #again(kept: Kept): void {
    const rules = this.#options.rules();
    kept.waits = false;
    if (rules === undefined || !this.#kept.has(kept.channel)) return;
    this.#judge(kept, rules);
    if (this.#kept.has(kept.channel)) this.#watch(kept, rules);
  }

  #lookAfter(ms: number): void {
    const { calendar, rules } = this.#options;
    const at = calendar.now() + Math.min(ms, longestWaitMs);
    if (at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#wake();
    this.#wake = calendar.after(at - calendar.now(), () => {
      this.#wakeAt = Infinity;
      const now = rules();
      if (now !== undefined) for (const kept of this.#kept.values()) this.#watch(kept, now);
    });
  }

  #event(name: string, { channel }: Kept, facts: Facts): void {
    this.#options.event(name, { ...channelFacts(channel.facts), ...facts });
  }
}

/** The first end among a leaf and what stands above it of what the peer sent; what else it sent says nothing. */
function endOf(chain: readonly Uint8Array[]): number {
  const [leaf, ...others] = chain.flatMap(read);
  let end = Infinity;
  for (let next = leaf, left = chain.length; next !== undefined && left > 0; left -= 1) {
    end = Math.min(end, next.facts.notAfter.getTime());
    const { issuer } = next.facts;
    next = others.find(({ facts }) => facts.subject === issuer && !facts.selfSigned);
  }
  return end;
}

/** The last end among the certificates of ours that this session may have been opened with. */
function ownEndOf({ facts: { security }, handshake }: Channel): number {
  if (security === undefined || handshake === undefined) return Infinity;
  return Math.max(
    ...presented(security, handshake)
      .flatMap(read)
      .map(({ facts }) => facts.notAfter.getTime()),
  );
}

function read(der: Uint8Array): readonly Certificate[] {
  try {
    return [parseCertificate(der)];
  } catch {
    return [];
  }
}
