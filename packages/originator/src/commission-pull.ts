import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { systemClock, type Clock } from "@cipsec/transport";
import {
  CipSecurityState,
  EtherNetIpSecurityState,
  type PeerError,
  TransportError,
  TrustError,
  UsageError,
  isStackError,
  type StackErrorShape,
} from "@cipsec/wire";
import { formatTarget, type TargetAddress } from "./address.ts";
import { checkVendor, firstContact, type FirstContact, type PlainConnectOptions } from "./commission-connect.ts";
import { notTrustedFix, provePulled } from "./commission-pull-prove.ts";
import {
  hasPullModel,
  isBetweenAttempts,
  isFailure,
  lookAtPull,
  phaseOf,
  pullError,
  pullWords,
  type PullLook,
  type PullPhase,
} from "./commission-pull-status.ts";
import { stateNames, type IdentityReport, type StateNames } from "./device-report.ts";
import { readIdentity, type CertificateReport, type ChannelReport, type Posture } from "./posture.ts";
import type { Session } from "./session.ts";
import type { SecurityOptions, TrustFacts } from "./trust.ts";
import { shownSerial, type VendorIdentity } from "./vendor-identity.ts";
import { delay, throwIfAborted } from "./waiting.ts";

/** What a commissioning by the pull model needs. */
export interface PullOptions extends FirstContact {
  /** Who we are and whom we trust once the device is enrolled: the authority behind its EST server. */
  readonly security: SecurityOptions;
  /** Milliseconds for the device to be enrolled; default five minutes, as a person may have to approve it. */
  readonly waitMs?: number;
  /** Milliseconds between two looks; default 1000. */
  readonly pollMs?: number;
  /** Erase the security configuration of a device that is configured or enrolled, and let it begin anew. */
  readonly erase?: boolean;
  readonly connect?: PlainConnectOptions;
  /** Called when the device gets from one phase to another. */
  readonly progress?: (progress: PullProgress) => void;
  readonly signal?: AbortSignal;
}

/** The device is at another place on its way. */
export interface PullProgress {
  readonly phase: PullPhase;
  readonly words: string;
  /** Since the beginning. */
  readonly elapsedMs: number;
}

/** A device that has enrolled by itself, and was proven to have. */
export interface PullResult {
  readonly address: string;
  readonly mode: "pull";
  readonly identity: IdentityReport;
  readonly before: StateNames;
  readonly after: StateNames;
  /** Whether it had to be told to begin: `reset` by Reset of 0x5E, `erased` by that on a configured device. */
  readonly start: "by-itself" | "reset" | "erased" | "already-enrolled";
  /** What the trust in the device rested on at first; nothing over a plain channel. */
  readonly firstTrust: TrustFacts | null;
  readonly vendorIdentity: VendorIdentity;
  /** What the EST server gave it. */
  readonly deviceCertificate: CertificateReport;
  /** The connection that proved it. */
  readonly channel: ChannelReport;
  readonly posture: Posture;
  readonly elapsedMs: number;
}

const defaultWaitMs = 300_000;
const defaultPollMs = 1000;

const { configured, pullCompleted, pullDisabled } = EtherNetIpSecurityState;

/**
 * Has a device fetch its certificate by the pull model, watches it, and proves it: it counts as enrolled only when a connection
 * with our own credentials has verified its new certificate strictly (chain, name, days, revocation lists). A device that is
 * about to begin, or at it, is left alone; one whose pull model was disabled, or whose next attempt is far away, is told to begin
 * by Reset of EtherNet/IP Security. Nothing is written to a device that fails the check of its vendor's identity.
 *
 * @throws {UsageError} `usage/state` for a device without the pull model, one that a tool has configured (unless `erase`), and
 *   one that a tool keeps a configuration session of.
 * @throws {PeerError} `pull/no-server`, `pull/pending` and `pull/timeout` when the time is over; `pull/tls`, `pull/refused` and
 *   `pull/bad-certificate` at once, as a person has to act.
 * @throws {TrustError} `trust/counterfeit`, and what else {@link checkVendor} does; `trust/…` when what it got is not trusted here.
 * @see reference cip-security.md 3.2, 5
 */
export async function commissionByPull(target: TargetAddress, options: PullOptions): Promise<PullResult> {
  const run = new PullRun(target, options);
  try {
    return await run.run();
  } finally {
    await run.close();
  }
}

/** One commissioning by pull under way. */
class PullRun {
  readonly #target: TargetAddress;
  readonly #options: PullOptions;
  readonly #peer: string;
  readonly #clock: Clock;
  readonly #startedAt: number;
  readonly #waitMs: number;
  #session: Session | undefined;
  #phase: PullPhase | undefined;

  constructor(target: TargetAddress, options: PullOptions) {
    this.#target = target;
    this.#options = options;
    this.#peer = formatTarget(target);
    this.#clock = options.connect?.clock ?? systemClock;
    this.#startedAt = this.#clock.now();
    this.#waitMs = options.waitMs ?? defaultWaitMs;
  }

  async run(): Promise<PullResult> {
    this.#tell("connect");
    const session = await this.#contact();
    const firstTrust = session.trust ?? null;
    const identity = await readIdentity(session);
    if (!(await hasPullModel(session)))
      throw new UsageError("usage/state", `${this.#peer}: the device has no pull model`, {
        fix: "Commission it by push: the same command without --pull.",
      });
    const erases = this.#options.erase === true;
    const first = await lookAtPull(session);
    const isEnrolled = first.state === pullCompleted;
    // Whoever is enrolled shows the plant's certificate: its birth certificate is seen again once that is erased.
    const isChecked = !(erases && (isEnrolled || first.state === configured));
    let vendorIdentity = isChecked ? await this.#vendor(identity) : undefined;
    const start = isEnrolled && !erases ? "already-enrolled" : await this.#start(await this.#untilIdle(first));
    if (start === "erased") vendorIdentity = await this.#vendor(identity);
    if (start !== "already-enrolled") await this.#watch();
    this.#tell("prove");
    const { security, connect, signal } = this.#options;
    const proof = await provePulled(this.#target, {
      identity,
      security,
      connect: connect ?? {},
      clock: this.#clock,
      signal,
    });
    return {
      address: this.#target.host,
      mode: "pull",
      identity,
      before: namesOf(first),
      start,
      firstTrust,
      vendorIdentity: vendorIdentity ?? (await this.#vendor(identity)),
      ...proof,
      elapsedMs: this.#elapsed(),
    };
  }

  async close(): Promise<void> {
    await this.#session?.close();
  }

  /** A tool that is at work comes first; the device waits for it, and so do we. */
  async #untilIdle(first: PullLook): Promise<PullLook> {
    let look = first;
    while (phaseOf(look) === "tool-busy") {
      await this.#pause("tool-busy");
      look = (await this.#look()) ?? look;
    }
    return look;
  }

  /** Has the device begin where it would not do so by itself, or not soon. */
  async #start(look: PullLook): Promise<PullResult["start"]> {
    const isConfigured = look.state === configured || look.state === pullCompleted;
    if (isConfigured && this.#options.erase !== true)
      throw new UsageError("usage/state", `${this.#peer}: a tool has configured the device already`, {
        fix: "Commission it by push (without --pull), or erase that configuration and let it begin anew: --erase.",
      });
    const isOff = look.state === pullDisabled || !look.enabled;
    if (!isConfigured && !isOff && !isBetweenAttempts(look)) return "by-itself";
    this.#tell("start");
    const object = this.#live().object(EtherNetIpSecurity, 1);
    if (isConfigured) {
      // Its Reset returns every object; a device that only enrolled has nothing there.
      if (look.cipState !== CipSecurityState.factoryDefault) await this.#live().object(CipSecurity, 1).call("reset");
    } else if (!isOff) {
      // In factory default a Reset to factory default may change nothing: by way of "disabled" it is a new beginning.
      await object.call("reset", false);
    }
    await object.call("reset", true);
    if (isConfigured) await this.#reconnect();
    return isConfigured ? "erased" : "reset";
  }

  async #watch(): Promise<void> {
    for (;;) {
      const look = await this.#look();
      if (look?.state === pullCompleted) return;
      if (look?.state === configured || look?.state === pullDisabled)
        throw new UsageError("usage/state", `${this.#peer}: another tool ended the pull model meanwhile`, {
          facts: { ...namesOf(look) },
          fix: "See who else works on this device, then run this again.",
        });
      const phase = look === undefined ? "unreachable" : phaseOf(look);
      if (isFailure(phase)) throw this.#failed(phase);
      await this.#pause(phase);
    }
  }

  /** What the device says now; nothing where it does not answer. Its certificate may change between two looks. */
  async #look(): Promise<PullLook | undefined> {
    try {
      return await lookAtPull(this.#live());
    } catch (error) {
      if (!isLost(error)) throw error;
    }
    try {
      await this.#reconnect();
      return await lookAtPull(this.#live());
    } catch (error) {
      if (error instanceof TransportError && !this.#isLate()) return undefined;
      throw error;
    }
  }

  async #reconnect(): Promise<void> {
    await this.#session?.close();
    try {
      await this.#contact();
    } catch (error) {
      if (this.#target.scheme !== "eip" || !(error instanceof TransportError)) throw error;
      // A device may close its plain ports with its first certificate.
      await this.#contact({ host: this.#target.host });
    }
  }

  async #contact(target = this.#target): Promise<Session> {
    const { security, erase } = this.#options;
    try {
      this.#session = await this.#open(target, security);
    } catch (error) {
      const refusal = knownRefusal(error);
      // A certificate of our authority without the device's address: who may erase it has no other way to mend that.
      if (erase !== true || refusal.code !== "trust/name") throw refusal.error;
      this.#session = await this.#open(target, { ...security, checkName: false });
      await checkOwnSerial(this.#session);
    }
    return this.#session;
  }

  async #open(target: TargetAddress, security: SecurityOptions): Promise<Session> {
    const { connect, signal } = this.#options;
    return await firstContact(target, security, this.#options, connect ?? {}, signal);
  }

  async #vendor(identity: IdentityReport): Promise<VendorIdentity> {
    return await checkVendor(this.#live(), this.#target, this.#options, identity, this.#options.signal);
  }

  /** Tells the phase, and waits for the next look. @throws the error of the phase when the time is over. */
  async #pause(phase: PullPhase): Promise<void> {
    throwIfAborted(this.#options.signal);
    this.#tell(phase);
    if (this.#isLate()) throw this.#failed(phase);
    const restMs = this.#waitMs - this.#elapsed();
    const pauseMs = Math.min(this.#options.pollMs ?? defaultPollMs, Math.max(0, restMs));
    await delay(this.#clock, pauseMs, this.#options.signal);
  }

  #failed(phase: PullPhase): PeerError | UsageError {
    return pullError(this.#peer, phase, this.#waitMs);
  }

  #tell(phase: PullPhase): void {
    if (phase === this.#phase) return;
    this.#phase = phase;
    this.#options.progress?.({ phase, words: pullWords[phase], elapsedMs: this.#elapsed() });
  }

  #isLate(): boolean {
    return this.#elapsed() >= this.#waitMs;
  }

  #elapsed(): number {
    return Math.round(this.#clock.now() - this.#startedAt);
  }

  #live(): Session {
    if (this.#session === undefined) throw new UsageError("usage/state", `${this.#peer}: not connected`);
    return this.#session;
  }
}

function namesOf({ cipState, state }: PullLook): StateNames {
  return stateNames({ cipState, ethernetIpState: state });
}

/** Whether a session is gone, or the device changed its certificate under it: another one may do. */
function isLost(error: unknown): boolean {
  return error instanceof TransportError || (isStackError(error) && /^(?:trust|tls|encap)\//.test(error.code));
}

/** Why a device that is enrolled or configured is not trusted here: that is what a person wants to know. */
function knownRefusal(error: unknown): { readonly error: unknown; readonly code: string | undefined } {
  if (!isStackError(error)) return { error, code: undefined };
  if (error.code !== "trust/refused" || !isStackError(error.cause)) return { error, code: error.code };
  const cause: StackErrorShape = error.cause;
  const words = new TrustError("trust/refused", `${error.message}: ${cause.message}`, {
    cause,
    facts: { ...cause.facts, refusal: cause.code },
    fix: `${notTrustedFix(cause)} Or reset the device to factory default at the device.`,
  });
  return { error: words, code: cause.code };
}

/**
 * A certificate that says which device it is for, if not where that is.
 *
 * @throws {TrustError} `trust/refused` when it is another's, or does not say.
 */
async function checkOwnSerial(session: Session): Promise<void> {
  const identity = await readIdentity(session);
  const serial = session.trust?.kind === "verified" ? shownSerial(session) : undefined;
  if (session.trust?.kind !== "verified" || serial === identity.serial.toUpperCase()) return;
  await session.close();
  throw new TrustError(
    "trust/refused",
    `${session.peer}: its certificate names neither its address nor its serial number`,
    {
      facts: { certificate: serial ?? "", identity: identity.serial },
      fix: "Reset the device to factory default at the device.",
    },
  );
}
