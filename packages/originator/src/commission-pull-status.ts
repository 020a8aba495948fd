import { CertificateManagement, CipSecurity, EtherNetIpSecurity, PullModelStatus } from "@cipsec/objects";
import { CipSecurityState, EtherNetIpSecurityState, PeerError, SecurityProfile, UsageError } from "@cipsec/wire";
import type { Session } from "./session.ts";
import { tolerant } from "./settings.ts";

/** Where a device stands on its way to a certificate. */
export type PullPhase =
  | "connect"
  | "tool-busy"
  | "start"
  | "waiting"
  | "searching"
  | "no-server"
  | "enrolling"
  | "tls-failure"
  | "refused"
  | "pending"
  | "bad-certificate"
  | "unreachable"
  | "prove";

/** Each phase in words for people. */
export const pullWords: Readonly<Record<PullPhase, string>> = {
  connect: "Connect and read identity and state",
  "tool-busy": "another tool has a configuration session open: the device waits until that ends",
  start: "Start the pull model by Reset of EtherNet/IP Security",
  waiting: "the device is about to look for its EST server",
  searching: "the device looks for its EST server",
  "no-server": "the device found no EST server, or could not reach it; it tries again by itself",
  enrolling: "the device found an EST server and asks for its certificate",
  "tls-failure": "TLS between device and EST server failed, or the device does not believe the server",
  refused: "the EST server refused the device",
  pending: "the request waits for a person: 'cipsec est pending' shows it, 'cipsec est approve ID' lets it through",
  "bad-certificate": "the device cannot use the certificate that it got",
  unreachable: "the device does not answer; it may have restarted",
  prove: "Connect with certificates of the plant, verify the device strictly, read its settings",
};

/** What the security objects say of the pull model at one moment. */
export interface PullLook {
  readonly cipState: number;
  /** State of 0x5E. */
  readonly state: number;
  /** Attribute 13. */
  readonly enabled: boolean;
  /** Attribute 14. */
  readonly status: number;
}

/** Reads where the pull model of a device stands. */
export async function lookAtPull(session: Session): Promise<PullLook> {
  const object = session.object(EtherNetIpSecurity, 1);
  const [cipState, state, enabled, status] = await Promise.all([
    session.object(CipSecurity, 1).get("state"),
    object.get("state"),
    object.get("pullModelEnable"),
    object.get("pullModelStatus"),
  ]);
  return { cipState, state, enabled, status };
}

/**
 * Whether a device has the pull model: its security profiles say so (bit 5, which older editions do not have), or the Capability
 * Flags of Certificate Management.
 */
export async function hasPullModel(session: Session): Promise<boolean> {
  const none = (): void => undefined;
  const profiles = await tolerant("profiles", session.object(CipSecurity, 1).get("securityProfiles"), none);
  if (((profiles ?? 0) & SecurityProfile.pullModel) !== 0) return true;
  const flags = await tolerant("flags", session.class(CertificateManagement).get("capabilityFlags"), none);
  return ((flags ?? 0) & CertificateManagement.classAttributes.capabilityFlags.values.pullModel) !== 0;
}

/** Where the device stands, from what its objects say. */
export function phaseOf({ cipState, state, status }: PullLook): PullPhase {
  if (state === EtherNetIpSecurityState.inProgress || cipState === CipSecurityState.inProgress) return "tool-busy";
  const known = phaseOfStatus(status);
  if (known !== undefined) return known;
  return state === EtherNetIpSecurityState.pullInProgress ? "enrolling" : "waiting";
}

/** Whether a person has to act before the device gets any further. */
export function isFailure(phase: PullPhase): boolean {
  return phase === "tls-failure" || phase === "refused" || phase === "bad-certificate";
}

/** Whether the last attempt failed: the next may be an hour away. */
export function isBetweenAttempts(look: PullLook): boolean {
  const phase = phaseOf(look);
  return look.state === EtherNetIpSecurityState.factoryDefault && (isFailure(phase) || phase === "no-server");
}

/** The error that a device which got no further than this ends with. */
export function pullError(peer: string, phase: PullPhase, waitMs: number): PeerError | UsageError {
  const message = `${peer}: ${pullWords[phase]}`;
  const facts = { phase };
  const late = `${message} (after ${Math.round(waitMs / 1000)} s)`;
  switch (phase) {
    case "tls-failure":
      return new PeerError("pull/tls", message, { facts });
    case "refused":
      return new PeerError("pull/refused", message, { facts });
    case "bad-certificate":
      return new PeerError("pull/bad-certificate", message, { facts });
    case "no-server":
      return new PeerError("pull/no-server", late, { facts });
    case "pending":
      return new PeerError("pull/pending", `${peer}: its request waits for a person at the EST server`, { facts });
    case "tool-busy":
      return new UsageError("usage/state", late, { facts, fix: "End the other tool, then try again." });
    case "connect":
    case "start":
    case "waiting":
    case "searching":
    case "enrolling":
    case "unreachable":
    case "prove":
      return new PeerError("pull/timeout", late, { facts });
  }
}

function phaseOfStatus(status: number): PullPhase | undefined {
  switch (status) {
    case PullModelStatus.searching:
      return "searching";
    case PullModelStatus.noServer:
      return "no-server";
    case PullModelStatus.tlsFailure:
      return "tls-failure";
    case PullModelStatus.refused:
      return "refused";
    case PullModelStatus.pending:
      return "pending";
    case PullModelStatus.badCertificate:
      return "bad-certificate";
    default:
      // Only 0 and 0xFFFF are public: what another maker's device says beyond them is left to its state.
      return undefined;
  }
}
