import { execFileSync } from "node:child_process";
import type { Addresses } from "./messages.ts";

/** Where the parties stand, and the cable to the device. */
export interface Network {
  readonly kind: "namespaces" | "loopback";
  readonly addresses: Addresses;
  /** What to put in front of a program so that it runs there. */
  readonly within: Readonly<Record<"scanner" | "relay" | "device", readonly string[]>>;
  /** Takes the link between relay and device down and up; missing where there is none to pull. */
  readonly link?: { readonly down: () => void; readonly up: () => void };
  /** Takes away all that was made. Safe to call twice; never throws. */
  remove(): void;
}

/** Scanner, relay and device on one machine's loopback; needs no rights. */
export function loopbackNetwork(prefix: string): Network {
  const [scanner, front, back, device] = [1, 2, 3, 4].map((last) => `${prefix}.${last}`) as [
    string,
    string,
    string,
    string,
  ];
  return {
    kind: "loopback",
    addresses: { scanner, front, back, device },
    within: { scanner: [], relay: [], device: [] },
    remove: () => undefined,
  };
}

/**
 * Three network namespaces in a row, joined by two cables (veth), with addresses of 192.0.2.0/24 that exist in them alone.
 * `undefined` where this process may not make them.
 */
export function namespaceNetwork(name: string): Network | undefined {
  const [s, r, d] = [`${name}-s`, `${name}-r`, `${name}-d`];
  const remove = (): void => {
    for (const namespace of [s, r, d]) attempt("netns", "del", namespace);
  };
  const made =
    [s, r, d].every((namespace) => attempt("netns", "add", namespace)) &&
    attempt("-n", s, "link", "add", "to-relay", "type", "veth", "peer", "name", "to-scanner", "netns", r) &&
    attempt("-n", r, "link", "add", "to-device", "type", "veth", "peer", "name", "to-relay", "netns", d) &&
    ends(s, r, d).every(
      ([namespace, device, address]) =>
        attempt("-n", namespace, "addr", "add", `${address}/30`, "dev", device) &&
        attempt("-n", namespace, "link", "set", device, "up") &&
        attempt("-n", namespace, "link", "set", "lo", "up"),
    );
  if (!made) {
    remove();
    return undefined;
  }
  const inside = (namespace: string): readonly string[] => ["ip", "netns", "exec", namespace];
  return {
    kind: "namespaces",
    addresses: { scanner: "192.0.2.1", front: "192.0.2.2", back: "192.0.2.5", device: "192.0.2.6" },
    within: { scanner: inside(s), relay: inside(r), device: inside(d) },
    link: {
      down: () => void attempt("-n", r, "link", "set", "to-device", "down"),
      up: () => void attempt("-n", r, "link", "set", "to-device", "up"),
    },
    remove,
  };
}

function ends(s: string, r: string, d: string): readonly (readonly [string, string, string])[] {
  return [
    [s, "to-relay", "192.0.2.1"],
    [r, "to-scanner", "192.0.2.2"],
    [r, "to-device", "192.0.2.5"],
    [d, "to-relay", "192.0.2.6"],
  ];
}

function attempt(...args: readonly string[]): boolean {
  try {
    execFileSync("ip", args, { stdio: "ignore", timeout: 5000 });
    return true;
  } catch {
    return false;
  }
}
