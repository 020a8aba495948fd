import { CipSecurity, EtherNetIpSecurity } from "@cipsec/objects";
import { CipSecurityState, EtherNetIpSecurityState, UsageError } from "@cipsec/wire";
import { readStates } from "./commission-connect.ts";
import { ConfigKeeper } from "./config-keeper.ts";
import { stateNames } from "./device-report.ts";
import type { Session } from "./session.ts";
import { bestEffort } from "./settings.ts";

/** A device that checks and saves a revocation list of 100,000 entries takes its time. */
const save = { timeoutMs: 30_000 } as const;

const applied: readonly number[] = [EtherNetIpSecurityState.configured, EtherNetIpSecurityState.pullCompleted];

/**
 * Changes a device that is configured already, by a tool or by itself, in a configuration session of its own: opens it, keeps it
 * alive while `work` runs, makes what it did active, and ends it. When `work` fails, the settings stay what they were. A device
 * whose last configuration was applied and not ended is ended with it.
 *
 * @param work Gets a signal that fires when the configuration session is lost.
 * @throws {UsageError} `usage/state` for a device that is not configured, or that another tool is configuring.
 * @throws {PeerError} `cip/status` 0xD0 when the device finds that it could not work with the change; and what `work` throws.
 * @see reference cip-security.md 3.1, 3.2
 */
export async function configure<T>(
  session: Session,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const states = await readStates(session);
  const isReady = applied.includes(states.ethernetIpState) && states.cipState !== CipSecurityState.inProgress;
  if (!isReady) throw notConfigured(session.peer, states);
  const cip = session.object(CipSecurity, 1);
  const ethernetIp = session.object(EtherNetIpSecurity, 1);
  await cip.call("beginConfig");
  const keeper = new ConfigKeeper(session, signal);
  try {
    await ethernetIp.call("beginConfig");
    const result = await work(keeper.signal);
    await ethernetIp.call("applyConfig", { flags: 0, closeDelayMs: 0 }, save);
    keeper.applied();
    await cip.call("endConfig", undefined, save);
    return result;
  } catch (error) {
    // What was not applied is dropped; the end of the outer session then saves the values of before. What was incomplete stays so.
    await bestEffort(ethernetIp.call("abortConfig"));
    if (states.cipState !== CipSecurityState.incomplete) await bestEffort(cip.call("endConfig"));
    throw error;
  } finally {
    keeper.stop();
  }
}

function notConfigured(peer: string, states: Awaited<ReturnType<typeof readStates>>): UsageError {
  const { cipState, ethernetIpState } = stateNames(states);
  const isBusy =
    states.cipState === CipSecurityState.inProgress || states.ethernetIpState === EtherNetIpSecurityState.inProgress;
  return new UsageError(
    "usage/state",
    `${peer}: CIP Security is ${cipState}, EtherNet/IP Security ${ethernetIpState}`,
    {
      facts: { cipState, ethernetIpState },
      fix: isBusy
        ? "Another tool is configuring the device: end it, or wait ten seconds after its end."
        : "Commission the device first: cipsec commission TARGET.",
    },
  );
}
