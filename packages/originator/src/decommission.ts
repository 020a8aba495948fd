import { CipSecurity } from "@cipsec/objects";
import { CipSecurityState, EtherNetIpSecurityState, PeerError, TransportError, UsageError } from "@cipsec/wire";
import { Port, formatTarget, type TargetAddress } from "./address.ts";
import { readStates, type PlainConnectOptions } from "./commission-connect.ts";
import { openPorts } from "./commission-settings.ts";
import { connect } from "./connect.ts";
import { stateNames, type StateNames } from "./device-report.ts";
import type { Session } from "./session.ts";
import { bestEffort } from "./settings.ts";
import type { AcceptedPeer, SecurityOptions } from "./trust.ts";
import { delay } from "./waiting.ts";

/** What a decommissioning needs. */
export interface DecommissionOptions {
  /** Who we are and whom we trust: the device takes a reset only from those it trusts. */
  readonly security: SecurityOptions;
  readonly connect?: PlainConnectOptions;
  /** Open the plaintext ports again; default true, as the device came from the factory. */
  readonly reopenPorts?: boolean;
  /** Called with the factory certificate that the proof accepts. */
  readonly announce?: (accepted: AcceptedPeer) => void;
  readonly progress?: (words: string) => void;
  readonly signal?: AbortSignal;
}

/** A device that is at factory default again. */
export interface DecommissionResult {
  readonly address: string;
  readonly before: StateNames;
  readonly after: StateNames;
}

/** Listeners may take a moment to change over. */
const proofAttempts = 8;
const proofDelayMs = 250;

/**
 * Erases the security configuration of a device over a secure session, opens its plaintext ports again, removes certificates and
 * files that nothing uses any more, and proves it by a new connection.
 *
 * @throws {TrustError} `trust/privilege` when the device does not take a reset from us.
 * @throws {PeerError} `cip/mismatch` when the device says afterwards that it is not at factory default.
 */
export async function decommission(target: TargetAddress, options: DecommissionOptions): Promise<DecommissionResult> {
  const { security, progress, signal } = options;
  if (target.scheme === "eip")
    throw new UsageError("usage/argument", `${formatTarget(target)}: a configured device is reset over eips:// only`);
  const secure: TargetAddress = { scheme: "eips", host: target.host, port: target.port ?? Port.eips };
  const common = { ...options.connect, ...(signal === undefined ? {} : { signal }) };
  progress?.("Connect securely");
  const session = await connect(secure, { ...common, security });
  let before: StateNames;
  try {
    before = stateNames(await readStates(session));
    progress?.("Reset CIP Security and EtherNet/IP Security to factory default");
    await session.object(CipSecurity, 1).call("reset");
    await finish(session, options);
  } finally {
    await session.close();
  }
  progress?.("Connect again and read the state");
  const anyone: SecurityOptions = {
    acceptAny: true,
    ...(options.announce === undefined ? {} : { announce: options.announce }),
  };
  const proof = await connectAgain(secure, { ...common, security: anyone }, session);
  try {
    // A device that ended the first session with the reset is finished over this one.
    await finish(proof, options);
    const states = await readStates(proof);
    const after = stateNames(states);
    const isDefault =
      states.cipState === CipSecurityState.factoryDefault &&
      (states.ethernetIpState === EtherNetIpSecurityState.factoryDefault ||
        states.ethernetIpState === EtherNetIpSecurityState.pullDisabled);
    if (!isDefault)
      throw new PeerError("cip/mismatch", `the device says that it is ${after.cipState} and ${after.ethernetIpState}`, {
        facts: { ...after },
      });
    return { address: target.host, before, after };
  } finally {
    await proof.close();
  }
}

/** What a reset leaves to do; a device that has nothing to do of it refuses, which is as good. */
async function finish(session: Session, { reopenPorts = true, progress }: DecommissionOptions): Promise<void> {
  if (!session.isConnected) return;
  progress?.(reopenPorts ? "Open the plaintext ports, remove what is unused" : "Remove what is unused");
  if (reopenPorts) await bestEffort(openPorts(session));
  await bestEffort(session.object(CipSecurity, 1).call("objectCleanup"));
}

async function connectAgain(
  secure: TargetAddress,
  options: Parameters<typeof connect>[1],
  { clock }: Session,
): Promise<Session> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await connect(secure, options);
    } catch (error) {
      if (!(error instanceof TransportError) || attempt >= proofAttempts) throw error;
      await delay(clock, proofDelayMs);
    }
  }
}
