import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { thisMachine, type SeriesEntry } from "@cipsec/assess";
import { parseTarget } from "@cipsec/originator";

/**
 * Where a subject is, its second unit with it: addresses, as far as names can be looked up. What has one in common with another is never
 * assessed beside it: two runs would take each other's sessions and changes for the subject's own.
 */
export async function placesOf({ kind, target, options }: SeriesEntry): Promise<readonly string[]> {
  const named = [target, ...(options["second"] === undefined ? [] : [options["second"]])];
  return (await Promise.all(named.map(async (one) => await addressesOf(kind, one)))).flat();
}

async function addressesOf(kind: SeriesEntry["kind"], target: string): Promise<readonly string[]> {
  if (kind === "host" && target === thisMachine) return [thisMachine, ...ownAddresses()];
  const host = kind === "host" ? sshHost(target) : parseTarget(target).host;
  if (isIP(host) !== 0) return [host];
  // A Host of the SSH configuration may have no address of its own that we know of.
  const found = await lookup(host, { all: true }).catch(() => []);
  return found.length === 0 ? [host.toLowerCase()] : found.map(({ address }) => address);
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((one) => (one ?? []).map(({ address }) => address));
}

/** The host in `user@host`, `ssh://user@host:port` and `host`. */
function sshHost(destination: string): string {
  const [, host = destination] = /^(?:ssh:\/\/)?(?:[^@]*@)?(\[[^\]]*\]|[^:/]+)/.exec(destination) ?? [];
  return host.replaceAll(/[[\]]/g, "");
}
