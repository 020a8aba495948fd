import { isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";
import type { BroadcastFrom } from "@cipsec/originator";
import { UsageError } from "@cipsec/wire";

/** Where a broadcast leaves from and where it goes. */
export type Broadcast = Required<BroadcastFrom>;

/** Addresses of this machine as Node tells them; tests give their own. */
export type Interfaces = ReturnType<typeof networkInterfaces>;

/**
 * A broadcast on every network that this machine is in, loopback left out.
 *
 * @throws {UsageError} `usage/argument` when it is in none.
 */
export function ownBroadcasts(interfaces: Interfaces = networkInterfaces()): readonly Broadcast[] {
  const all = Object.values(interfaces).flatMap((entries) => (entries ?? []).filter(({ internal }) => !internal));
  const broadcasts = all.flatMap(broadcastOf);
  if (broadcasts.length > 0) return broadcasts;
  throw new UsageError("usage/argument", "RANGE is missing, and this machine is in no network to broadcast in", {
    fix: "Name addresses to ask, such as 192.0.2.0/24.",
  });
}

/**
 * Broadcasts from an interface named on the command line: its name, one of its addresses, or `ADDRESS>TO`.
 *
 * @throws {UsageError} `usage/argument` when this machine has no such interface.
 */
export function broadcastsFrom(text: string, interfaces: Interfaces = networkInterfaces()): readonly Broadcast[] {
  const [from = text, to] = text.split(">");
  if (to !== undefined) {
    if (isIPv4(from) && isIPv4(to)) return [{ address: from, to }];
    throw new UsageError("usage/argument", `--broadcast: '${text}' is not ADDRESS>TO`, {
      fix: "Write two IPv4 addresses, such as 192.0.2.5>192.0.2.255, in quotes.",
    });
  }
  const named =
    interfaces[from] ??
    Object.values(interfaces)
      .flatMap((entries) => entries ?? [])
      .filter(({ address }) => address === from);
  const broadcasts = named.flatMap(broadcastOf);
  if (broadcasts.length > 0) return broadcasts;
  throw new UsageError(
    "usage/argument",
    `--broadcast: '${text}' is no interface of this machine with an IPv4 network`,
    {
      fix: `Use one of: ${Object.keys(interfaces).join(", ")}.`,
    },
  );
}

/** The network's own broadcast address: every bit of the host part set. Point-to-point links have none. */
function broadcastOf({
  address,
  netmask,
  family,
}: {
  address: string;
  netmask: string;
  family: string;
}): readonly Broadcast[] {
  if (family !== "IPv4" || netmask === "255.255.255.255") return [];
  const mask = netmask.split(".").map(Number);
  const to = address.split(".").map((octet, i) => Number(octet) | (~(mask[i] ?? 0) & 0xff));
  return [{ address, to: to.join(".") }];
}
