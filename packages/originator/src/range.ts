import { isIPv4, isIPv6 } from "node:net";
import { UsageError } from "@cipsec/wire";
import { isHost } from "./address.ts";

/** Hosts of one range: how many, and each in turn without a list of all. */
export interface HostRange {
  readonly text: string;
  readonly count: number;
  hosts(): Iterable<string>;
}

/** Widest range that one argument may name; larger plants name several. */
const minPrefix = 16;
const maxHosts = 2 ** (32 - minPrefix);

/**
 * Reads `a.b.c.d`, `a.b.c.d/nn` (16 to 32; network and broadcast address left out below /31), `a.b.c.d-e` and
 * `a.b.c.d-a.b.c.e`, an IPv6 address, or a host name.
 *
 * @throws {UsageError} `usage/argument`
 */
export function parseRange(text: string): HostRange {
  const slash = text.indexOf("/");
  if (slash >= 0) return block(text, text.slice(0, slash), text.slice(slash + 1));
  const dash = text.indexOf("-");
  if (dash >= 0 && isIPv4(text.slice(0, dash))) return span(text, text.slice(0, dash), text.slice(dash + 1));
  if (isIPv4(text) || isIPv6(text) || isHost(text)) return { text, count: 1, hosts: () => [text] };
  throw bad(text, "it is neither an address, a range of addresses nor a host name");
}

function block(text: string, base: string, bits: string): HostRange {
  const prefix = /^\d{1,2}$/.test(bits) ? Number(bits) : -1;
  if (!isIPv4(base) || prefix < 0 || prefix > 32) throw bad(text, "write a.b.c.d/nn");
  if (prefix < minPrefix) throw bad(text, `/${prefix} is wider than the /${minPrefix} allowed in one range`);
  const size = 2 ** (32 - prefix);
  const first = Math.floor(toNumber(base) / size) * size;
  return prefix >= 31 ? numbers(text, first, size) : numbers(text, first + 1, size - 2);
}

function span(text: string, from: string, to: string): HostRange {
  const first = toNumber(from);
  const octet = /^\d{1,3}$/.test(to) && Number(to) < 256 ? first - (first % 256) + Number(to) : undefined;
  const last = isIPv4(to) ? toNumber(to) : octet;
  if (last === undefined) throw bad(text, "write a.b.c.d-e or a.b.c.d-a.b.c.e");
  if (last < first) throw bad(text, "its end is before its start");
  if (last - first >= maxHosts) throw bad(text, `it names more than the ${maxHosts} addresses allowed in one range`);
  return numbers(text, first, last - first + 1);
}

function numbers(text: string, first: number, count: number): HostRange {
  return {
    text,
    count,
    *hosts() {
      for (let i = 0; i < count; i += 1) yield toText(first + i);
    },
  };
}

function toNumber(address: string): number {
  return address.split(".").reduce((value, octet) => value * 256 + Number(octet), 0);
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");
}

function bad(text: string, why: string): UsageError {
  return new UsageError("usage/argument", `range '${text.slice(0, 100)}': ${why}`, {
    facts: { range: text.slice(0, 100) },
    fix: "Write an address, a.b.c.d/nn, a.b.c.d-e or a host name.",
  });
}
