import { bringOver, connect, parseTarget, type ConnectOptions } from "@cipsec/originator";
import { isOfIssuer, publishedCrls, retiredRoots, type RetiredRoot } from "@cipsec/pki";
import { PeerError, UsageError } from "@cipsec/wire";
import { connectOptions } from "../credentials.ts";
import { onDevicesBy, type DeviceOutcome } from "../fleet.ts";
import { needTargets, reissuing, retiredHere, type Task } from "./ca-rollover-task.ts";

const resetFix = "Reset the device at the device itself, and commission it anew.";

/**
 * Brings devices over that were away during a whole change of root. They trust the old root alone: the tool shows them its certificate with
 * the new root's key certified by the old one, and itself believes the old root for this one session. What it believes is then held against
 * the index, as there are no revocation lists of that root any more.
 */
export async function bringLate(task: Task): Promise<readonly DeviceOutcome<{ readonly outcome: string }>[]> {
  needTargets(task);
  const { context, options, authority, targets } = task;
  const { caOptions } = context.data;
  const roots = await rootsToBelieve(task);
  const strict = await connectOptions(context, options);
  const late = believing(strict, roots);
  const own = late.security?.certificate?.chain ?? [];
  const { lists } = await publishedCrls(authority, caOptions);
  const drop = await retiredHere(authority);
  for (const { root } of roots)
    context.output.notice(`The withdrawn root ${root.facts.sha256.slice(0, 16)}… is believed for these sessions.`);
  return await onDevicesBy(context, late, targets, async (session, target): Promise<{ outcome: string }> => {
    const { peer } = session.facts.security ?? {};
    if (peer?.kind !== "certificate")
      throw new UsageError("usage/state", "the device shows no certificate", { fix: "Reach it by TLS: eips://HOST." });
    const { outcome, certificate } = await bringOver(session, {
      authorities: authority.anchors,
      crls: lists,
      drop,
      own,
      issue: reissuing(authority),
      isReissued: await isOfIssuer(authority.folder, peer.sha256, caOptions),
      signal: context.signal,
    });
    if (outcome === "already") return { outcome };
    await session.close();
    await requireStrict(target, strict);
    return { outcome: certificate === undefined ? outcome : `${outcome} ${certificate.facts.serialHex}` };
  });
}

/** The withdrawn roots that devices may still be believed by. @throws {UsageError} `usage/state` where there is none */
async function rootsToBelieve({ context, authority }: Task): Promise<readonly RetiredRoot[]> {
  const { caOptions } = context.data;
  if (authority.inService.change !== undefined)
    throw new UsageError("usage/state", "a change of authority is under way: the old one is still in service", {
      fix: "Bring the device along by the steps themselves: --deliver, then --reissue; --late is for after the withdrawal.",
    });
  const all = await retiredRoots(authority.folder, caOptions);
  const [newest] = all;
  if (newest === undefined)
    throw new UsageError("usage/state", "no root was ever withdrawn here: no device can have missed that", {
      fix: "After a change of the issuing authority: --reissue, then --withdraw, with the device named.",
    });
  const good = all.filter(({ refusal }) => refusal === undefined);
  if (good.length === 0) throw unbelievable(newest);
  for (const one of all.filter(({ refusal }) => refusal !== undefined))
    context.output.notice(`warning: ${unbelievable(one).message}`);
  return good;
}

function unbelievable({ root, refusal }: RetiredRoot): UsageError {
  const { sha256, notAfter } = root.facts;
  const which = `the withdrawn root ${sha256.slice(0, 16)}…`;
  const why =
    refusal === "compromised"
      ? "was taken out because others may have its key: whoever has it could pose as the device"
      : `ended on ${notAfter.toISOString().slice(0, 10)}: nothing leads from it to the new one any more`;
  return new UsageError("usage/state", `${which} ${why}`, { fix: resetFix, facts: { sha256 } });
}

/** Sessions that believe these roots too, and show the way to ours from there. */
function believing(strict: ConnectOptions, roots: readonly RetiredRoot[]): ConnectOptions {
  const { certificate, anchors = [] } = strict.security ?? {};
  if (certificate === undefined)
    throw new UsageError("usage/argument", "a device is brought over by a certificate of the plant", {
      fix: "Leave out --psk-identity, or give --cert and --key.",
    });
  // The oldest has the whole way.
  const links = roots.at(-1)?.links ?? [];
  return {
    ...strict,
    requireSecure: true,
    security: {
      ...strict.security,
      certificate: { ...certificate, chain: [...certificate.chain, ...links] },
      anchors: [...anchors, ...roots.flatMap(({ root, issuing }) => [root, issuing])],
    },
  };
}

/** The proof: without the old root we trust the device, and it lets us in. */
async function requireStrict(target: string, strict: ConnectOptions): Promise<void> {
  try {
    await using session = await connect(parseTarget(target), { ...strict, requireSecure: true });
    await session.close();
  } catch (error) {
    throw new PeerError("cip/mismatch", `${target}: brought over, but it cannot be reached without the old root`, {
      cause: error,
      fix: "Run this again; 'cipsec posture' says what the device holds.",
    });
  }
}
