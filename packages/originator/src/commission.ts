import { isStackError, type Facts, type StackErrorShape } from "@cipsec/wire";
import type { TargetAddress } from "./address.ts";
import type { FirstContact, PlainConnectOptions } from "./commission-connect.ts";
import {
  checkPlan,
  commissionSteps,
  stepWords,
  type CommissionMode,
  type CommissionPlan,
  type StepName,
} from "./commission-plan.ts";
import { CommissionRun } from "./commission-run.ts";
import type { CertificateReport, ChannelReport } from "./posture.ts";
import type { IdentityReport, StateNames } from "./device-report.ts";
import type { SecurityOptions, TrustFacts } from "./trust.ts";
import type { VendorIdentity } from "./vendor-identity.ts";

/** What the authority is told of the device whose request it signs. */
export interface IssueContext {
  readonly host: string;
  readonly identity: IdentityReport;
}

/** The authority's answer: the device's certificate, and the chain from its issuer up. */
export interface IssuedPem {
  readonly certificatePem: string;
  readonly caChainPem: string;
}

/** What a commissioning needs. */
export interface CommissionOptions extends FirstContact {
  readonly plan: CommissionPlan;
  /** Signs the device's request; its absence means pre-shared key mode. */
  readonly issue?: (csrPem: string, context: IssueContext) => Promise<IssuedPem>;
  /** Who we are and whom we trust once the device is configured; also what a configured device is reached by. */
  readonly security: SecurityOptions;
  readonly connect?: PlainConnectOptions;
  readonly progress?: (progress: CommissionProgress) => void;
  /** Milliseconds to wait for a configuration session that somebody left open; default 12 s, a device's timer being 10. */
  readonly settleMs?: number;
  readonly signal?: AbortSignal;
}

/** A step begins. */
export interface CommissionProgress {
  readonly step: StepName;
  /** From 1. */
  readonly index: number;
  readonly total: number;
  readonly words: string;
}

/** A device that was commissioned and proven to be. */
export interface CommissionResult {
  readonly address: string;
  readonly mode: CommissionMode;
  readonly identity: IdentityReport;
  readonly before: StateNames;
  readonly after: StateNames;
  /** What the trust in the device rested on while it was configured; nothing over a plain channel. */
  readonly firstTrust: TrustFacts | null;
  /** Whether its maker vouches for this very device; looked at before anything was written. */
  readonly vendorIdentity: VendorIdentity;
  readonly deviceCertificate: CertificateReport | null;
  /** All of them, where the plan has several key types. */
  readonly deviceCertificates: readonly CertificateReport[];
  /** The connection under the new configuration that proved it. */
  readonly channel: ChannelReport;
  /** Settings that were wanted if possible, and were not. */
  readonly skipped: readonly string[];
  readonly plaintextClosed: boolean;
}

/** State of the device after a commissioning that failed. */
export type DeviceAfterFailure = "untouched" | "applied" | "unknown";

/**
 * A commissioning that failed: the code, facts and fix of what went wrong, and the state that the device is in.
 * `untouched`: as before. `applied`: the new configuration is active, but not proven or not ended; another run finishes it.
 * `unknown`: it could not be put back; its timer does that within ten seconds.
 */
export class CommissionError extends Error implements StackErrorShape {
  readonly code: string;
  readonly facts: Facts;
  readonly fix: string;
  readonly step: StepName;
  readonly device: DeviceAfterFailure;

  constructor(cause: StackErrorShape, step: StepName, device: DeviceAfterFailure, fix = cause.fix) {
    super(`${stepWords[step]}: ${cause.message} (${deviceWords[device]})`, { cause });
    this.name = "CommissionError";
    this.code = cause.code;
    this.facts = { ...cause.facts, step, device };
    this.fix = device === "untouched" ? fix : `${fix} Then run the commissioning again: it goes on from any state.`;
    this.step = step;
    this.device = device;
  }
}

const deviceWords = {
  untouched: "the device is as it was",
  applied: "the device has the new configuration already",
  unknown: "the device may be left half-way; its own timer ends that",
} as const;

/**
 * Commissions a device by push, in the order of the standard's model, and proves it: the new configuration counts only when a
 * connection under it has been made and the settings read back. Works from any state: factory default, left incomplete, a session
 * somebody left open, and configured by us (then it is reconfigured over TLS).
 *
 * @throws {CommissionError} with the code of the cause; `device` says whether the device was changed.
 * @throws {UsageError} `usage/argument` for a plan that cannot work; nothing is sent then.
 * @see reference cip-security.md 3.5
 */
export async function commission(target: TargetAddress, options: CommissionOptions): Promise<CommissionResult> {
  const mode: CommissionMode = options.issue === undefined ? "psk" : "certificate";
  checkPlan(options.plan, mode);
  const steps = commissionSteps(options.plan, mode);
  const run = new CommissionRun(target, options, mode);
  try {
    for (const [at, step] of steps.entries()) {
      options.progress?.({ step, index: at + 1, total: steps.length, words: stepWords[step] });
      try {
        await run.step(step);
      } catch (error) {
        if (!isStackError(error) && options.signal?.aborted !== true) throw error;
        const device = await run.undo();
        throw isStackError(error) ? new CommissionError(error, step, device, fixFor(error, step, options)) : error;
      }
    }
    return run.result();
  } finally {
    await run.close();
  }
}

/** A device from its box has its maker's certificate, which no plant trusts: the fix is another one than for a stranger. */
function fixFor(error: StackErrorShape, step: StepName, { acceptAny }: CommissionOptions): string {
  const isUnknown = error.code === "trust/unknown-authority" || error.code === "trust/self-signed";
  if (step !== "connect" || !isUnknown || acceptAny === true) return error.fix;
  return (
    "A device as it left the factory shows its maker's certificate: name the maker's root with --vendor, or compare the " +
    "fingerprint and accept it once with --insecure-accept-any."
  );
}
