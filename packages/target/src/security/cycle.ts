import type { Cancel, Clock } from "@cipsec/transport";
import { CipSecurityState, EtherNetIpSecurityState, Status, isStackError, type Facts } from "@cipsec/wire";
import { refuse, stateConflict } from "../refusal.ts";
import type { Store } from "../store.ts";
import {
  factoryConfiguration,
  factorySettings,
  profilesInForce,
  usesPulled,
  withoutOrphans,
  withoutPulled,
  type Configuration,
  type Defaults,
} from "./configuration.ts";
import { KeyRing } from "./key-ring.ts";
import { fromSaved, toSaved } from "./saved.ts";

/** Name of the store's section that holds the configuration. */
const section = "security";

/** What a {@link ConfigurationCycle} is made of. */
export interface CycleOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Silence after which a configuration session ends, milliseconds. */
  readonly timerMs: number;
  readonly defaults: Defaults;
  /** Told of everything that an operator may want to know; never a secret. */
  readonly event: (name: string, facts: Facts) => void;
}

/** Who asks: an open session of 0x5D belongs to the channel that opened it. */
export interface Asker {
  readonly id: string;
  readonly secure: boolean;
}

/**
 * The configuration cycles of CIP Security (0x5D) and EtherNet/IP Security (0x5E). The applied configuration is what the
 * store holds; a pending one lives in memory from Begin_Config on, and becomes the applied one by a single write of the
 * store. Both objects can have a session open at the same time; what 0x5E changes is its own to apply or to abort.
 *
 * @see CIP Vol 8, 5-3 and 5-4; reference cip-security.md 3.1, 3.2
 */
export class ConfigurationCycle {
  readonly keys: KeyRing;
  readonly #options: CycleOptions;
  #applied: Configuration;
  /** Present while a session of 0x5D or 0x5E is open. */
  #pending: Configuration | undefined;
  #cip: { readonly owner: string; timer: Cancel } | undefined;
  #ethernetIp: { readonly owner: string; snapshot: Configuration; timer: Cancel } | undefined;
  /** Who last began a session or asked for a reset, and when it was last heard of. */
  #tool: { readonly owner: string; atMs: number } | undefined;
  /** Settles when the write that is under way is done, and everything that follows from it. */
  #saving: Promise<void> | undefined;
  /** Whether that write decides what becomes of the pending configuration, so that it must not change meanwhile. */
  #isDeciding = false;
  #session = 0;
  readonly #onDropped = new Set<() => void>();
  readonly #onChanged = new Set<() => void>();
  #isPulling: () => boolean = () => false;

  /** @throws {StateError} `state/corrupt` when what the store holds cannot be used. */
  static async open(options: CycleOptions): Promise<ConfigurationCycle> {
    const saved = options.store.read(section);
    const applied = saved === undefined ? factoryConfiguration(options.defaults) : fromSaved(saved);
    const keys = new KeyRing(options.store);
    await keys.load(applied);
    return new ConfigurationCycle(options, applied, keys);
  }

  private constructor(options: CycleOptions, applied: Configuration, keys: KeyRing) {
    this.#options = options;
    this.#applied = applied;
    this.keys = keys;
  }

  /** What is in force. */
  get applied(): Configuration {
    return this.#applied;
  }

  /** What attributes read: the pending configuration while a session is open, else the applied one. */
  get working(): Configuration {
    return this.#pending ?? this.#applied;
  }

  /** State of 0x5D. */
  get cipState(): number {
    return this.#cip === undefined ? this.#applied.cipState : CipSecurityState.inProgress;
  }

  /** State of 0x5E. */
  get ethernetIpState(): number {
    if (this.#ethernetIp !== undefined) return EtherNetIpSecurityState.inProgress;
    const { ethernetIpState } = this.#applied;
    const isPulling = ethernetIpState === EtherNetIpSecurityState.factoryDefault && this.#isPulling();
    return isPulling ? EtherNetIpSecurityState.pullInProgress : ethernetIpState;
  }

  /** Whether 0x5E has been configured, by a tool or by the pull model, whatever session is open now. */
  get isConfigured(): boolean {
    const { ethernetIpState } = this.#applied;
    return (
      ethernetIpState === EtherNetIpSecurityState.configured ||
      ethernetIpState === EtherNetIpSecurityState.pullCompleted
    );
  }

  /** Whether requests that change anything must come over TLS: either object is configured. */
  get isLocked(): boolean {
    return this.isConfigured || this.#applied.cipState === CipSecurityState.configured;
  }

  /** Whether a session of 0x5D or 0x5E is open. */
  get isOpen(): boolean {
    return this.#pending !== undefined;
  }

  /** Changes with every pending configuration: work that takes time compares it before and after. */
  get session(): number {
    return this.#session;
  }

  /** The channel that opened the session of 0x5D, where one is open. */
  get cipOwner(): string | undefined {
    return this.#cip?.owner;
  }

  /**
   * Milliseconds that the tool on a channel has left to finish what it does to the configuration: while a session of its own is
   * open, and as long after its last step as a session lives without one. 0 for a channel that configures nothing.
   */
  configuringMs(id: string): number {
    const { timerMs, clock } = this.#options;
    if (this.#cip?.owner === id || this.#ethernetIp?.owner === id) return timerMs;
    return this.#tool?.owner === id ? Math.max(0, this.#tool.atMs + timerMs - clock.now()) : 0;
  }

  /** Calls `run` whenever a pending configuration has been dropped: what was under way for it must end. */
  onDropped(run: () => void): void {
    this.#onDropped.add(run);
  }

  /** Calls `run` whenever a session opens, a pending configuration is applied or dropped, or another one is in force. */
  onChanged(run: () => void): void {
    this.#onChanged.add(run);
  }

  /** Has 0x5E tell that the pull model is at work, while `isPulling` says so. */
  showPull(isPulling: () => boolean): void {
    this.#isPulling = isPulling;
  }

  /**
   * Makes what the pull model fetched the applied configuration, by one write of the store; a device in factory default is then
   * configured. A tool comes first: while it has a session open, nothing happens.
   *
   * @param edit Makes the new configuration; nothing when it is not wanted any more.
   * @returns Whether it was applied.
   * @throws {StateError} when it cannot be saved; what `edit` throws.
   */
  async applyPulled(edit: (applied: Configuration) => Configuration | undefined): Promise<boolean> {
    await this.#idle();
    const next = this.isOpen ? undefined : edit(this.#applied);
    if (next === undefined) return false;
    const { factoryDefault, pullCompleted } = EtherNetIpSecurityState;
    const isNew = next.ethernetIpState === factoryDefault;
    const configured = isNew ? profilesInForce(this.#options.defaults.profiles, false, true) : next.profilesConfigured;
    await this.#save(
      { ...next, ethernetIpState: isNew ? pullCompleted : next.ethernetIpState, profilesConfigured: configured },
      () => this.#settle(undefined),
    );
    return true;
  }

  /** 0x5D Begin_Config. @throws {Refusal} 0x0C in progress, 0x0F configured and not over TLS. */
  async beginCip(asker: Asker): Promise<void> {
    await this.#idle();
    if (this.#cip !== undefined) throw stateConflict("a CIP Security configuration session is open");
    if (this.isLocked && !asker.secure) throw tlsNeeded();
    this.#open();
    this.#heard(asker);
    this.#cip = { owner: asker.id, timer: this.#afterSilence(() => this.#cipExpired(), true) };
    this.#event("cip-security/begin", { by: asker.id });
  }

  /** 0x5D Kick_Timer. @throws {Refusal} 0x0C when no session is open. */
  kickCip(): void {
    if (this.#cip === undefined) throw stateConflict("no CIP Security configuration session is open");
    this.#cip.timer();
    this.#cip.timer = this.#afterSilence(() => this.#cipExpired(), true);
  }

  /**
   * 0x5D End_Config: the device is configured. What was made in this session and is not 0x5E's to apply is saved.
   *
   * @param check Refuses changed files and certificates with which the applied settings could not work, by throwing.
   * @throws {Refusal} 0x0C when no session is open; {@link StateError} when it cannot be saved: the session stays open.
   */
  async endCip(check: (own: Configuration) => unknown): Promise<void> {
    await this.#idle();
    const session = this.#cip;
    if (session === undefined) throw stateConflict("no CIP Security configuration session is open");
    const own = this.#ethernetIp?.snapshot ?? this.working;
    const { files, certificates } = this.#applied;
    if (own.files !== files || own.certificates !== certificates) check(own);
    await this.#save({ ...own, cipState: CipSecurityState.configured }, () => {
      session.timer();
      this.#cip = undefined;
      if (this.#ethernetIp === undefined) this.#settle(undefined);
      else this.#ethernetIp.snapshot = this.#applied;
    });
    this.#event("cip-security/end");
  }

  /** 0x5D Reset: this object and 0x5E to factory default, or neither. @throws {Refusal} 0x0F configured and not over TLS. */
  async resetCip(asker: Asker): Promise<void> {
    await this.#idle();
    if (this.isConfigured && !asker.secure) throw tlsNeeded();
    this.#heard(asker);
    const next = this.#withoutSecurity({ ...this.#applied, cipState: CipSecurityState.factoryDefault }, true);
    await this.#save(next, () => this.#closeSessions());
    this.#event("cip-security/reset", { by: asker.id });
  }

  /** 0x5E Begin_Config. @throws {Refusal} 0x0C in progress, 0x0F configured and not over TLS. */
  async beginEthernetIp(asker: Asker): Promise<void> {
    await this.#idle();
    if (this.#ethernetIp !== undefined) throw stateConflict("an EtherNet/IP Security configuration session is open");
    if (this.isConfigured && !asker.secure) throw tlsNeeded();
    this.#heard(asker);
    const owner = asker.id;
    this.#ethernetIp = {
      owner,
      snapshot: this.#open(),
      timer: this.#afterSilence(() => this.#ethernetIpExpired(), false),
    };
    this.#event("ethernet-ip-security/begin", { by: asker.id });
  }

  /** 0x5E Kick_Timer. @throws {Refusal} 0x0C when no session is open. */
  kickEthernetIp(): void {
    const session = this.#openEthernetIp();
    session.timer();
    session.timer = this.#afterSilence(() => this.#ethernetIpExpired(), false);
  }

  /**
   * 0x5E Apply_Config: the pending configuration becomes the applied one by one write of the store.
   *
   * @param check Refuses a configuration that could not work, by throwing.
   * @param isIntegrityOnly Whether a configuration allows NULL suites only.
   * @throws {Refusal} 0x0C when no session is open; {@link StateError} when it cannot be saved: the session stays open.
   */
  async apply(
    check: (pending: Configuration) => void,
    isIntegrityOnly: (pending: Configuration) => boolean,
    cleanUp: boolean,
  ): Promise<void> {
    await this.#idle();
    const session = this.#openEthernetIp();
    check(this.working);
    const next = cleanUp ? (withoutOrphans(this.working) ?? this.working) : this.working;
    await this.#save(
      {
        ...next,
        // Power lost before End_Config leaves a device that says so.
        cipState: this.#cip === undefined ? this.#applied.cipState : CipSecurityState.incomplete,
        ethernetIpState: EtherNetIpSecurityState.configured,
        profilesConfigured: profilesInForce(
          this.#options.defaults.profiles,
          isIntegrityOnly(next),
          usesPulled(next) !== undefined,
        ),
      },
      () => {
        session.timer();
        this.#ethernetIp = undefined;
        this.#settle(this.#cip === undefined ? undefined : this.#applied);
      },
    );
    this.#event("ethernet-ip-security/apply");
  }

  /** 0x5E Abort_Config: back to the values before its Begin_Config. @throws {Refusal} 0x0C when no session is open. */
  abort(): void {
    this.#openEthernetIp();
    this.#refuseWhileDeciding();
    this.#dropEthernetIp();
    this.#event("ethernet-ip-security/abort");
  }

  /** 0x5E Reset: settable attributes to default. @throws {Refusal} 0x0F configured and not over TLS. */
  async resetEthernetIp(pullModel: boolean, asker: Asker): Promise<void> {
    await this.#idle();
    if (this.isConfigured && !asker.secure) throw tlsNeeded();
    this.#heard(asker);
    await this.#save(this.#withoutSecurity(this.#applied, pullModel), () => {
      if (this.#ethernetIp !== undefined) this.#dropEthernetIp();
      if (this.#pending !== undefined) this.#pending = this.#withoutSecurity(this.#pending, pullModel);
    });
    this.#event("ethernet-ip-security/reset", { by: asker.id, pullModel });
  }

  /** Identity Reset type 1: everything to factory default, secrets gone from both generations on disk. */
  async resetAll(): Promise<void> {
    await this.#idle();
    const { defaults, store } = this.#options;
    await this.#save(
      factoryConfiguration(defaults),
      () => this.#closeSessions(),
      () => store.forgetPrevious(),
    );
    this.#event("security/factory-reset");
  }

  /** Changes the pending configuration. @throws {Refusal} 0x0C while no session is open. */
  change(edit: (working: Configuration) => Configuration): void {
    this.#refuseWhileDeciding();
    if (this.#pending === undefined) throw stateConflict("this needs an open configuration session");
    this.#pending = edit(this.#pending);
  }

  /** Changes settings of 0x5E. @throws {Refusal} 0x0C unless its own session is open. */
  changeSettings(edit: (working: Configuration) => Configuration): void {
    this.#openEthernetIp();
    this.change(edit);
  }

  /** Changes the pending configuration where a session is open; else the applied one, saved before this returns. */
  async changeOrSave(edit: (working: Configuration) => Configuration): Promise<void> {
    await this.#idle();
    if (this.#pending !== undefined) this.change(edit);
    else await this.#save(edit(this.#applied), nothing);
  }

  /** Stops the timers. */
  close(): void {
    this.#cip?.timer();
    this.#ethernetIp?.timer();
  }

  #open(): Configuration {
    if (this.#pending === undefined) this.#session += 1;
    this.#pending ??= this.#applied;
    this.#changed();
    return this.#pending;
  }

  #heard({ id }: Asker): void {
    this.#tool = { owner: id, atMs: this.#options.clock.now() };
  }

  #openEthernetIp(): { snapshot: Configuration; timer: Cancel } {
    if (this.#ethernetIp === undefined) throw stateConflict("no EtherNet/IP Security configuration session is open");
    return this.#ethernetIp;
  }

  /** Settles when no write is under way. What follows in the same turn finds it so. */
  async #idle(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving;
  }

  /**
   * One write at a time: callers wait with {@link #idle} first. A key that is on disk before the document that names it must not
   * meet the removal of orphans, so that is part of it.
   *
   * @param then What follows from the write, with nothing in between.
   */
  async #save(next: Configuration, then: () => void, tidy = () => this.#removeOrphanKeys()): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#saving = promise;
    this.#isDeciding = then !== nothing;
    try {
      const stored = await this.keys.store(next);
      await this.#options.store.write({ [section]: toSaved(stored) });
      this.#applied = stored;
      then();
      await tidy();
    } catch (error) {
      this.#event("security/not-saved", { code: isStackError(error) ? error.code : "bug/unreachable" });
      throw error;
    } finally {
      this.#saving = undefined;
      this.#isDeciding = false;
      resolve();
      this.#changed();
    }
  }

  /** Best effort: what stays is removed at the next start. */
  async #removeOrphanKeys(): Promise<void> {
    try {
      await this.#options.store.removeOrphanKeys();
    } catch {
      this.#event("security/orphan-keys");
    }
  }

  #refuseWhileDeciding(): void {
    if (this.#isDeciding) throw stateConflict("a configuration is being saved");
  }

  #withoutSecurity(configuration: Configuration, pullModel: boolean): Configuration {
    const { defaults } = this.#options;
    return {
      ...withoutPulled(configuration),
      settings: factorySettings(defaults),
      ethernetIpState: pullModel ? EtherNetIpSecurityState.factoryDefault : EtherNetIpSecurityState.pullDisabled,
      profilesConfigured: profilesInForce(defaults.profiles, false),
    };
  }

  /**
   * Ends a session after its silence; a write that decides what becomes of it comes first.
   *
   * @param writes Whether the end is saved, so that any other write comes first.
   */
  #afterSilence(expired: () => void, writes: boolean): Cancel {
    let isCancelled = false;
    const end = (): void => {
      if (isCancelled) return;
      if (this.#saving !== undefined && (writes || this.#isDeciding)) void this.#saving.then(end);
      else expired();
    };
    const cancel = this.#options.clock.after(this.#options.timerMs, end);
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  #cipExpired(): void {
    this.#cip = undefined;
    if (this.#ethernetIp === undefined) this.#drop(undefined);
    else this.#ethernetIp.snapshot = this.#applied;
    this.#event("cip-security/expired");
    const incomplete = { ...this.#applied, cipState: CipSecurityState.incomplete };
    this.#applied = incomplete;
    // A failed write was told as an event; the state in memory is right until the next start.
    this.#save(incomplete, nothing).catch(() => undefined);
  }

  #ethernetIpExpired(): void {
    this.#dropEthernetIp();
    this.#event("ethernet-ip-security/expired");
  }

  #dropEthernetIp(): void {
    const session = this.#openEthernetIp();
    session.timer();
    this.#ethernetIp = undefined;
    this.#drop(this.#cip === undefined ? undefined : session.snapshot);
  }

  #closeSessions(): void {
    this.close();
    this.#cip = undefined;
    this.#ethernetIp = undefined;
    this.#drop(undefined);
  }

  /** What was pending is gone, and what was under way for it ends. */
  #drop(to: Configuration | undefined): void {
    this.#settle(to);
    for (const run of this.#onDropped) run();
  }

  /** What was pending is applied or gone; keys that nothing uses any more are forgotten. */
  #settle(to: Configuration | undefined): void {
    // A step of the tool's: what follows from it, it may see on the channel that it came by.
    if (this.#tool !== undefined) this.#tool.atMs = this.#options.clock.now();
    this.#pending = to;
    this.#session += 1;
    this.keys.keepOnly([this.#applied, to]);
    this.#changed();
  }

  #changed(): void {
    for (const run of this.#onChanged) run();
  }

  #event(name: string, facts: Facts = {}): void {
    this.#options.event(name, facts);
  }
}

const nothing = (): void => undefined;

function tlsNeeded(): Error {
  return refuse(Status.privilegeViolation, { reason: "a configured device takes this over TLS only" });
}
