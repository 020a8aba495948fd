import { PullModelStatus } from "@cipsec/objects";
import { retryDelayMs, type FoundEst } from "@cipsec/pki";
import { EtherNetIpSecurityState } from "@cipsec/wire";

/** Why an attempt failed, as Pull Model Status tells it. */
export type PullFailure = "noServer" | "tlsFailure" | "refused" | "badCertificate";

/** What the device is at the moment of an input. */
export interface PullFacts {
  /** State of 0x5E that is in force, whatever session is open. */
  readonly ethernetIpState: number;
  /** A tool has a configuration session open. */
  readonly isToolBusy: boolean;
  /** Days of the certificate that the pull model made and the device presents; milliseconds since 1970. */
  readonly certificate?: { readonly notBefore: number; readonly notAfter: number };
  /** Milliseconds since 1970, on a device that trusts its clock. */
  readonly wallNow: number | undefined;
}

/** What came of the last action, or that something may have changed. */
export type PullInput =
  | { readonly type: "look" }
  | { readonly type: "found"; readonly servers: readonly FoundEst[] }
  | { readonly type: "issued" }
  | { readonly type: "pending"; readonly retryAfterMs: number }
  | { readonly type: "failed"; readonly reason: PullFailure };

/** What to do; every action but `stop` is answered by one input, unless it is stopped. */
export type PullAction =
  | { readonly type: "search" }
  /** With `renews` by the certificate that is to be renewed, else by the default certificate. */
  | { readonly type: "enrol"; readonly server: FoundEst; readonly renews: boolean }
  | { readonly type: "stop" };

/** What follows from an input. */
export interface PullOutput {
  readonly action?: PullAction;
  /** When to look again, on the caller's clock; nothing: not before something changes. */
  readonly wakeAt?: number;
}

/** Milliseconds from the start of a device in factory default, or its reset, to its first search. */
export const startDelayMs = 5_000;

/** Milliseconds that a tool which gave up its session, or comes back, has before the device goes on by itself. */
export const afterToolMs = 30_000;

/** A clock may be set, and timers do not last for months: look once a day at least. */
const longestWaitMs = 24 * 3_600_000;

const { factoryDefault, pullDisabled } = EtherNetIpSecurityState;

type Phase =
  | { readonly name: "waiting" }
  | { readonly name: "searching" }
  | { readonly name: "asking"; readonly servers: readonly FoundEst[] }
  | { readonly name: "held"; readonly server: FoundEst };

/**
 * When a device looks for an EST server, which it asks, when it asks again, and when it renews. Pure but for the randomness it is
 * given: no socket, no timer.
 *
 * @see reference cip-security.md 5; RFC 7030
 */
export class PullMachine {
  readonly #random: () => number;
  /** Devices that enrolled together do not renew together: up to a hundredth of the lifetime apart. */
  readonly #spread: number;
  #phase: Phase = { name: "waiting" };
  #status: number = PullModelStatus.ok;
  /** No attempt before this. */
  #notBefore: number;
  /** Attempts that failed since the last that did not. */
  #failures = 0;
  /** Times that the server asked to come back. */
  #held = 0;
  /** When the certificate was issued on the monotonic clock, where that was in this run. */
  #issuedAt: number | undefined;
  #state: number | undefined;

  /** @param now On the caller's monotonic clock: the device has started. */
  constructor(now: number, random: () => number) {
    this.#random = random;
    this.#spread = random() / 100;
    this.#notBefore = now + startDelayMs;
  }

  /** Pull Model Status while the pull model is not disabled. */
  get status(): number {
    return this.#status;
  }

  /** Whether a server was found and enrolment goes on, or waits for a person. */
  get isEnrolling(): boolean {
    return this.#phase.name === "asking" || this.#phase.name === "held";
  }

  /** Takes an input at `now` on the caller's monotonic clock. */
  handle(input: PullInput, facts: PullFacts, now: number): PullOutput {
    if (this.#wasReset(facts)) return this.#rest(facts, now, startDelayMs);
    const due = this.#due(facts, now);
    if (due === undefined) return this.#rest(facts, now, facts.isToolBusy ? afterToolMs : 0);
    switch (input.type) {
      case "found":
        if (this.#phase.name !== "searching") break;
        if (input.servers.length === 0) return this.#failed("noServer", now);
        return this.#ask(input.servers, facts);
      case "issued":
        this.#phase = { name: "waiting" };
        this.#status = PullModelStatus.ok;
        this.#failures = 0;
        this.#held = 0;
        this.#issuedAt = now;
        // The caller looks again once the certificate is in force.
        return { wakeAt: now + longestWaitMs };
      case "pending":
        return this.#hold(input.retryAfterMs, now);
      case "failed":
        return this.#next(input.reason, facts, now);
      case "look":
        break;
    }
    if (this.#phase.name === "searching" || this.#phase.name === "asking") return {};
    if (now < due) return { wakeAt: Math.min(due, now + longestWaitMs) };
    if (this.#phase.name === "held") return this.#ask([this.#phase.server], facts);
    this.#phase = { name: "searching" };
    this.#status = PullModelStatus.searching;
    return { action: { type: "search" } };
  }

  /** When the next attempt is due; nothing when there is nothing to fetch, or a tool is at it. */
  #due({ ethernetIpState, isToolBusy, certificate, wallNow }: PullFacts, now: number): number | undefined {
    if (isToolBusy) return undefined;
    if (ethernetIpState === factoryDefault) return this.#notBefore;
    if (certificate === undefined || ethernetIpState === pullDisabled) return undefined;
    const lifetime = certificate.notAfter - certificate.notBefore;
    const share = lifetime * (2 / 3 + this.#spread);
    // Without a clock nobody knows how long the device was off: it renews after each start, and then by the time it runs.
    const from = wallNow === undefined ? this.#issuedAt : now + certificate.notBefore - wallNow;
    return Math.max(this.#notBefore, from === undefined ? this.#notBefore : from + share);
  }

  /** Whether the device has come back to factory default since the last input: a new life. */
  #wasReset({ ethernetIpState }: PullFacts): boolean {
    const before = this.#state;
    this.#state = ethernetIpState;
    return before !== undefined && before !== ethernetIpState && ethernetIpState === factoryDefault;
  }

  /** A tool comes first, and there may be nothing to do. */
  #rest(facts: PullFacts, now: number, delayMs: number): PullOutput {
    const wasAtIt = this.#phase.name === "searching" || this.#phase.name === "asking";
    this.#phase = { name: "waiting" };
    this.#status = PullModelStatus.ok;
    this.#failures = 0;
    this.#held = 0;
    if (delayMs > 0) this.#notBefore = now + delayMs;
    const wakeAt = this.#due(facts, now);
    return {
      ...(wasAtIt ? { action: { type: "stop" } } : {}),
      ...(wakeAt === undefined ? {} : { wakeAt: Math.min(wakeAt, now + longestWaitMs) }),
    };
  }

  #ask(servers: readonly FoundEst[], facts: PullFacts): PullOutput {
    const [server] = servers;
    if (server === undefined) return {};
    const isPolled = this.#phase.name === "held";
    this.#phase = { name: "asking", servers };
    this.#status = isPolled ? PullModelStatus.pending : PullModelStatus.ok;
    const { certificate, wallNow } = facts;
    // Who slept too long has nothing to renew by: then the default certificate has to do, as in the beginning.
    const renews = certificate !== undefined && (wallNow === undefined || wallNow < certificate.notAfter);
    return { action: { type: "enrol", server, renews } };
  }

  /** Another server may do what this one did not: but not what it refused. */
  #next(reason: PullFailure, facts: PullFacts, now: number): PullOutput {
    if (this.#phase.name !== "asking") return this.#failed(reason, now);
    const others = this.#phase.servers.slice(1);
    if (others.length === 0 || reason === "refused") return this.#failed(reason, now);
    return this.#ask(others, facts);
  }

  #failed(reason: PullFailure, now: number): PullOutput {
    this.#phase = { name: "waiting" };
    this.#status = PullModelStatus[reason];
    this.#failures += 1;
    this.#held = 0;
    this.#notBefore = now + retryDelayMs(0, this.#failures, this.#random);
    return { wakeAt: this.#notBefore };
  }

  #hold(retryAfterMs: number, now: number): PullOutput {
    if (this.#phase.name !== "asking") return {};
    const [server] = this.#phase.servers;
    if (server === undefined) return {};
    this.#phase = { name: "held", server };
    this.#status = PullModelStatus.pending;
    this.#failures = 0;
    this.#held += 1;
    this.#notBefore = now + retryDelayMs(retryAfterMs, this.#held, this.#random);
    return { wakeAt: this.#notBefore };
  }
}
