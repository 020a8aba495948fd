import type { Clock } from "@cipsec/transport";
import { parseCertificate } from "@cipsec/pki";
import {
  EtherNetIpSecurityState,
  PeerError,
  TransportError,
  TrustError,
  isStackError,
  type StackErrorShape,
} from "@cipsec/wire";
import { formatTarget, Port, type TargetAddress } from "./address.ts";
import { readStates, type PlainConnectOptions } from "./commission-connect.ts";
import { connect } from "./connect.ts";
import { stateNames, type IdentityReport, type StateNames } from "./device-report.ts";
import {
  certificateReport,
  channelReport,
  readIdentity,
  readPosture,
  type CertificateReport,
  type ChannelReport,
  type Posture,
} from "./posture.ts";
import type { Session } from "./session.ts";
import type { SecurityOptions } from "./trust.ts";
import { delay } from "./waiting.ts";

/** What proves that a device is enrolled. */
export interface PullProof {
  readonly after: StateNames;
  readonly deviceCertificate: CertificateReport;
  readonly channel: ChannelReport;
  readonly posture: Posture;
}

/** What the proof needs. */
export interface ProofOptions {
  /** Who the device was before. */
  readonly identity: IdentityReport;
  readonly security: SecurityOptions;
  readonly connect: PlainConnectOptions;
  readonly clock: Clock;
  readonly signal: AbortSignal | undefined;
}

/** Listeners may take a moment to change over. */
const attempts = 8;
const attemptDelayMs = 250;

/**
 * Proves that a device is enrolled: by a new connection with our own credentials that verifies its certificate strictly, and by what
 * the device says over that. What it said before, perhaps over a plain channel, counts for nothing.
 *
 * @throws {TrustError} `trust/…` when its certificate is not trusted here. {@link PeerError} `cip/mismatch` when another device
 *   answers, or the device says that it is not enrolled.
 */
export async function provePulled(target: TargetAddress, options: ProofOptions): Promise<PullProof> {
  const port = target.scheme === "eip" ? Port.eips : (target.port ?? Port.eips);
  const secure: TargetAddress = { scheme: "eips", host: target.host, port };
  const session = await connectStrictly(secure, options);
  try {
    const identity = await readIdentity(session);
    checkSame(secure, options.identity, identity);
    const states = await readStates(session);
    const after = stateNames(states);
    if (states.ethernetIpState !== EtherNetIpSecurityState.pullCompleted)
      throw new PeerError(
        "cip/mismatch",
        `${formatTarget(secure)}: the device says that it is ${after.ethernetIpState}`,
        {
          facts: { ...after },
        },
      );
    const peer = session.facts.security?.peer;
    if (peer?.kind !== "certificate")
      throw new TrustError("trust/refused", `${formatTarget(secure)}: the device proved itself by no certificate`);
    return {
      after,
      deviceCertificate: certificateReport(parseCertificate(peer.der)),
      channel: channelReport(session),
      posture: await readPosture(session),
    };
  } finally {
    await session.close();
  }
}

async function connectStrictly(secure: TargetAddress, options: ProofOptions): Promise<Session> {
  const { clock, signal } = options;
  // A key would prove the device as well, but not its certificate.
  const { psk: _, ...security } = options.security;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await connect(secure, {
        ...options.connect,
        security: { ...security, acceptAny: false },
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      if (!(error instanceof TransportError) || attempt >= attempts) throw explained(error);
      await delay(clock, attemptDelayMs, signal);
    }
  }
}

/** The device has its certificate; that it is not trusted here has another cure than with a device from its box. */
function explained(error: unknown): unknown {
  if (!isStackError(error)) return error;
  if (fixes[error.code] === undefined) return error;
  return new TrustError("trust/refused", `enrolled, but not trusted here: ${error.message}`, {
    cause: error,
    facts: { ...error.facts, refusal: error.code },
    fix: notTrustedFix(error),
  });
}

/** What to do about a device that has a certificate which is not trusted here. */
export function notTrustedFix({ code, fix }: StackErrorShape): string {
  return fixes[code] ?? fix;
}

const fixes: Readonly<Record<string, string>> = {
  "trust/unknown-authority":
    "The EST server it found belongs to another authority: name that with --ca, or see which server it was and enrol it anew (--erase).",
  "trust/name":
    'Its certificate does not have its address: have the EST server\'s rules take it ("takeNames": "request", or patterns), then enrol it anew (--erase); or name what it has with --server-name.',
};

function checkSame(secure: TargetAddress, before: IdentityReport, now: IdentityReport): void {
  const isSame =
    before.serial === now.serial && before.vendorId === now.vendorId && before.productCode === now.productCode;
  if (isSame) return;
  throw new PeerError("cip/mismatch", `${formatTarget(secure)}: another device answers there now`, {
    facts: { before: `${before.vendorId}/${before.serial}`, now: `${now.vendorId}/${now.serial}` },
    fix: "Check for a second device with the same address.",
  });
}
