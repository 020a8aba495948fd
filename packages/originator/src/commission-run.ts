import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import {
  ApplyFlag,
  CipSecurityState,
  EtherNetIpSecurityState,
  isStackError,
  PeerError,
  Status,
  TransportError,
  UsageError,
} from "@cipsec/wire";
import { formatTarget, Port, type TargetAddress } from "./address.ts";
import { CertificateWork } from "./commission-certificate.ts";
import { checkVendor, firstContact, readStates, type SecurityStates } from "./commission-connect.ts";
import type { CommissionMode, CommissionPlan, StepName } from "./commission-plan.ts";
import { checkSettings, closePorts, fittingPlan, setSettings } from "./commission-settings.ts";
import type { CommissionOptions, CommissionResult, DeviceAfterFailure } from "./commission.ts";
import { ConfigKeeper } from "./config-keeper.ts";
import { connect } from "./connect.ts";
import { stateNames, type IdentityReport } from "./device-report.ts";
import { certificateReport, channelReport, readIdentity } from "./posture.ts";
import type { Session } from "./session.ts";
import { bestEffort, hasStatus } from "./settings.ts";
import type { TrustFacts } from "./trust.ts";
import type { VendorIdentity } from "./vendor-identity.ts";
import { delay, throwIfAborted } from "./waiting.ts";

/** A device's timer is ten seconds; a little more, and a session left open is gone. */
const defaultSettleMs = 12_000;

/** Between Apply_Config and the end of old connections: time for the reply to arrive. */
const closeDelayMs = 300;

/** Listeners may take a moment to change over. */
const reconnectAttempts = 8;
const reconnectDelayMs = 250;

/** Undoes one change that would outlive the configuration session. */
export type Undo = () => Promise<unknown>;

/** One commissioning under way: what the steps share, and how each change is undone. */
export class CommissionRun {
  readonly #target: TargetAddress;
  readonly #options: CommissionOptions;
  readonly #mode: CommissionMode;
  readonly #certificates: CertificateWork;
  readonly #undo: Undo[] = [];
  readonly #skipped: string[] = [];
  #session: Session | undefined;
  #firstSession: Session | undefined;
  #keeper: ConfigKeeper | undefined;
  #identity: IdentityReport | undefined;
  #before: SecurityStates | undefined;
  #after: SecurityStates | undefined;
  #firstTrust: TrustFacts | undefined;
  #vendor: VendorIdentity | undefined;
  #isApplied = false;
  /** The reply to Apply_Config was lost: only a connection under the new configuration tells whether it was done. */
  #isUnsure = false;
  #plaintextClosed = false;
  /** The plan as it fits the device. */
  #plan: CommissionPlan;

  constructor(target: TargetAddress, options: CommissionOptions, mode: CommissionMode) {
    this.#target = target;
    this.#options = options;
    this.#mode = mode;
    this.#plan = options.plan;
    this.#certificates = new CertificateWork(options, target.host);
  }

  async step(name: StepName): Promise<void> {
    throwIfAborted(this.#options.signal);
    throwIfAborted(this.#keeper?.signal);
    await this.#steps[name]();
    // A configuration session that was lost meanwhile has taken the step's work with it.
    if (!this.#isApplied) throwIfAborted(this.#keeper?.signal);
  }

  /** The device as it was, as far as the network lets us. Never throws. */
  async undo(): Promise<DeviceAfterFailure> {
    this.#keeper?.stop();
    if (this.#isApplied) return this.#isUnsure ? "unknown" : "applied";
    if (this.#session === undefined || this.#before === undefined) return "untouched";
    try {
      for (const undo of this.#undo.splice(0).reverse()) await bestEffort(undo());
      const { cipState, ethernetIpState } = await readStates(this.#session);
      const isBack = cipState === this.#before.cipState && ethernetIpState === this.#before.ethernetIpState;
      return isBack ? "untouched" : "unknown";
    } catch (error) {
      if (!isStackError(error)) throw error;
      return "unknown";
    }
  }

  result(): CommissionResult {
    const { before, after, identity, session, vendor } = {
      before: this.#before,
      after: this.#after,
      identity: this.#identity,
      session: this.#session,
      vendor: this.#vendor,
    };
    if (!before || !after || !identity || !session || !vendor)
      throw new UsageError("usage/state", "the commissioning is not done");
    const [certificate] = this.#certificates.issued;
    return {
      address: this.#target.host,
      mode: this.#mode,
      identity,
      before: stateNames(before),
      after: stateNames(after),
      firstTrust: this.#firstTrust ?? null,
      vendorIdentity: vendor,
      deviceCertificate: certificate === undefined ? null : certificateReport(certificate),
      deviceCertificates: this.#certificates.issued.map(certificateReport),
      channel: channelReport(session),
      skipped: this.#skipped,
      plaintextClosed: this.#plaintextClosed,
    };
  }

  async close(): Promise<void> {
    this.#keeper?.stop();
    await Promise.all([this.#firstSession?.close(), this.#session?.close()]);
  }

  readonly #steps: Readonly<Record<StepName, () => Promise<void>>> = {
    connect: () => this.#connect(),
    settle: () => this.#settle(),
    begin: () => this.#begin(),
    create: () => this.#certificates.create(this.#live(), this.#undo),
    request: () => this.#certificates.request(this.#live(), this.#kept()),
    sign: () => this.#certificates.sign(this.#seen()),
    install: () => this.#certificates.install(this.#live(), this.#undo, this.#kept()),
    verify: () => this.#certificates.verify(this.#live()),
    lists: () => this.#certificates.lists(this.#live(), this.#undo, this.#kept()),
    settings: () => this.#settings(),
    ports: () => this.#ports(),
    apply: () => this.#apply(),
    reconnect: () => this.#reconnect(),
    end: () => this.#end(),
    readback: () => this.#readback(),
    cleanup: () => this.#cleanUp(),
  };

  async #connect(): Promise<void> {
    const { security, signal } = this.#options;
    const session = await firstContact(this.#target, security, this.#options, this.#options.connect ?? {}, signal);
    this.#session = session;
    this.#firstSession = session;
    this.#firstTrust = session.trust;
    this.#identity = await readIdentity(session);
    this.#vendor = await checkVendor(session, this.#target, this.#options, this.#identity, signal);
  }

  /** Waits for a session that somebody left open; one that is kept open belongs to a tool that still works. */
  async #settle(): Promise<void> {
    const session = this.#live();
    const until = session.clock.now() + (this.#options.settleMs ?? defaultSettleMs);
    let states = await readStates(session);
    while (isInProgress(states)) {
      if (session.clock.now() >= until)
        throw new UsageError("usage/state", "another tool keeps a configuration session of the device open", {
          fix: "End the other tool, then try again.",
        });
      await delay(session.clock, 500, this.#options.signal);
      states = await readStates(session);
    }
    this.#before = states;
  }

  async #begin(): Promise<void> {
    const session = this.#live();
    const cip = session.object(CipSecurity, 1);
    const ethernetIp = session.object(EtherNetIpSecurity, 1);
    const { cipState, ethernetIpState } = this.#seen().before;
    this.#undo.push(() => this.#putBack(cipState, ethernetIpState));
    await cip.call("beginConfig");
    this.#undo.push(() => ethernetIp.call("abortConfig"));
    await ethernetIp.call("beginConfig");
    this.#keeper = new ConfigKeeper(session, this.#options.signal);
    // What an earlier attempt left behind takes room and names.
    await bestEffort(cip.call("objectCleanup"));
  }

  async #settings(): Promise<void> {
    this.#plan = await fittingPlan(this.#live(), this.#options.plan);
    const skipped = await setSettings(this.#live(), this.#plan, this.#certificates, this.#mode);
    this.#skipped.push(...skipped);
  }

  /** Over the port that would be closed it is done after the move to the secure one. */
  async #ports(): Promise<void> {
    const session = this.#live();
    if (session.facts.security === undefined) return;
    this.#plaintextClosed = await closePorts(session, this.#undo);
  }

  async #apply(): Promise<void> {
    const session = this.#live();
    const { verifyClient } = this.#options.plan;
    // Where clients stay anonymous only this session may still close the configuration, so it must live.
    const flags = verifyClient || this.#mode === "psk" ? ApplyFlag.closeConnections : 0;
    await this.#applyOnce(session, { flags, closeDelayMs });
    this.#isApplied = true;
    this.#keeper?.applied();
    if (flags !== 0) await Promise.race([session.disconnected, delay(session.clock, closeDelayMs + 1000)]);
  }

  /** A reply lost on the way leaves open whether it was done; the next step finds out. */
  async #applyOnce(session: Session, request: { flags: number; closeDelayMs: number }): Promise<void> {
    try {
      await session.object(EtherNetIpSecurity, 1).call("applyConfig", request);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      this.#isUnsure = true;
    }
  }

  async #reconnect(): Promise<void> {
    const { security, signal } = this.#options;
    const port = this.#target.scheme === "eip" ? Port.eips : (this.#target.port ?? Port.eips);
    const secure: TargetAddress = { scheme: "eips", host: this.#target.host, port };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const session = await connect(secure, {
          ...this.#options.connect,
          security: { ...security, acceptAny: false },
          ...(signal === undefined ? {} : { signal }),
        });
        this.#session = session;
        this.#isUnsure = false;
        this.#keeper?.moveTo(session);
        break;
      } catch (error) {
        if (!(error instanceof TransportError) || attempt >= reconnectAttempts) throw error;
        await delay(this.#live().clock, reconnectDelayMs, signal);
      }
    }
    if (this.#options.plan.closePlaintext && !this.#plaintextClosed)
      this.#plaintextClosed = await closePorts(this.#live(), []);
  }

  /** Once more when a connection ends on the way: the device may have closed this one too, and ending twice does no harm. */
  async #end(): Promise<void> {
    try {
      await this.#endOverEither();
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      await this.#reconnect();
      await this.#endOverEither();
    }
    this.#keeper?.stop();
  }

  /** Over the new connection; by the first one where the device lets only that. */
  async #endOverEither(): Promise<void> {
    try {
      await this.#endOver(this.#live());
    } catch (error) {
      const first = this.#firstSession;
      if (!hasStatus(error, Status.privilegeViolation) || first === undefined || !first.isConnected) throw error;
      await this.#endOver(first);
    }
  }

  async #endOver(session: Session): Promise<void> {
    try {
      await session.object(CipSecurity, 1).call("endConfig");
    } catch (error) {
      // Its timer has run out while we reconnected: open it again and end it.
      if (!hasStatus(error, Status.objectStateConflict)) throw error;
      await session.object(CipSecurity, 1).call("beginConfig");
      await session.object(CipSecurity, 1).call("endConfig");
    }
  }

  async #readback(): Promise<void> {
    const session = this.#live();
    const states = await readStates(session);
    this.#after = states;
    const isConfigured =
      states.cipState === CipSecurityState.configured && states.ethernetIpState === EtherNetIpSecurityState.configured;
    if (!isConfigured) {
      const { cipState, ethernetIpState } = stateNames(states);
      throw new PeerError("cip/mismatch", `the device says that it is ${cipState} and ${ethernetIpState}`, {
        facts: { cipState, ethernetIpState },
      });
    }
    await checkSettings(session, this.#plan, this.#skipped);
  }

  /** 0xD0: there was nothing to remove. */
  async #cleanUp(): Promise<void> {
    await bestEffort(this.#live().object(CipSecurity, 1).call("objectCleanup"));
  }

  /** Brings CIP Security back to the state before its Begin_Config; it has no Abort. */
  async #putBack(cipState: number, ethernetIpState: number): Promise<void> {
    const session = this.#live();
    if (cipState === CipSecurityState.configured) return session.object(CipSecurity, 1).call("endConfig");
    const wasFactory = cipState === CipSecurityState.factoryDefault;
    if (!wasFactory || ethernetIpState === EtherNetIpSecurityState.pullCompleted) return;
    await session.object(CipSecurity, 1).call("reset");
    if (ethernetIpState === EtherNetIpSecurityState.pullDisabled)
      await session.object(EtherNetIpSecurity, 1).call("reset", false);
  }

  #live(): Session {
    if (this.#session === undefined)
      throw new UsageError("usage/state", `${formatTarget(this.#target)}: not connected`);
    return this.#session;
  }

  #kept(): AbortSignal {
    return this.#keeper?.signal ?? AbortSignal.abort();
  }

  #seen(): { readonly identity: IdentityReport; readonly before: SecurityStates } {
    if (this.#identity === undefined || this.#before === undefined)
      throw new UsageError("usage/state", `${formatTarget(this.#target)}: its identity and state have not been read`);
    return { identity: this.#identity, before: this.#before };
  }
}

function isInProgress({ cipState, ethernetIpState }: SecurityStates): boolean {
  return cipState === CipSecurityState.inProgress || ethernetIpState === EtherNetIpSecurityState.inProgress;
}
