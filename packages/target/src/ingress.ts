import { isIPv4 } from "node:net";
import type { ChannelFacts } from "@cipsec/transport";
import { Extended } from "./extended.ts";
import { wrong, type Fields } from "./fields.ts";
import { toNumber } from "./io/multicast.ts";

/** One ingress rule: whom it is about, and whether they may open connections. */
export interface IngressRule {
  readonly allows: boolean;
  /** Addresses that share these leading bits; 0 bits is any. */
  readonly network: { readonly address: string; readonly bits: number };
  /** The device's own ports. */
  readonly ports: { readonly first: number; readonly last: number };
  readonly protocol: "tcp" | "udp" | "any";
  /** `none` is about plain channels only; `required` about any, and refuses plain ones. */
  readonly security: "any" | "none" | "required";
  /** IANA numbers of the cipher suites that a secured channel may have; any where left out. */
  readonly suites?: readonly number[];
}

/** A firewall of this size is for a network's edge, not for one device. */
const maxRules = 64;
const maxRule = 255;
const maxSuites = 64;

const keys = ["action", "ip", "port", "proto", "sec", "ciphers"] as const;

/**
 * Whether rules let a connection be opened over this channel. The first that is about it decides; where there are rules and none is
 * about it, it is refused.
 *
 * @returns The extended status that refuses it: 0x0918 no rule, 0x0919 a rule denies it or its cipher suite, 0x091A it is not secured.
 * @see reference cip-security.md 3.6
 */
export function ingressRefusal(rules: readonly IngressRule[], channel: ChannelFacts): number | undefined {
  if (rules.length === 0) return undefined;
  const rule = rules.find((one) => isAbout(one, channel));
  if (rule === undefined) return Extended.noIngressRule;
  if (!rule.allows) return Extended.ingressDenied;
  const { security } = channel;
  if (security === undefined) return rule.security === "required" ? Extended.ingressNotSecure : undefined;
  return rule.suites === undefined || rule.suites.includes(security.suite) ? undefined : Extended.ingressDenied;
}

function isAbout({ network, ports, protocol, security }: IngressRule, channel: ChannelFacts): boolean {
  const own = channel.protocol === "tcp" || channel.protocol === "tls" ? "tcp" : "udp";
  const { port } = channel.local;
  return (
    (protocol === "any" || protocol === own) &&
    port >= ports.first &&
    port <= ports.last &&
    (security !== "none" || channel.security === undefined) &&
    isWithin(channel.remote.address, network)
  );
}

function isWithin(address: string, { address: network, bits }: IngressRule["network"]): boolean {
  if (bits === 0) return true;
  if (!isIPv4(address)) return false;
  const shift = 2 ** (32 - bits);
  return Math.floor(toNumber(address) / shift) === Math.floor(toNumber(network) / shift);
}

/**
 * Reads `ingress` of a device description: rules as text, `key=value` parts with `;` between them, those left out being any.
 *
 * @throws {UsageError} `usage/file` naming the rule and the part that is wrong.
 */
export function readIngress(device: Fields): { readonly ingress?: readonly IngressRule[] } {
  if (device.raw("ingress") === undefined) return {};
  const ingress = device.items("ingress", maxRules, []).map((text, i) => {
    const where = `${device.where("ingress")}[${i}]`;
    if (typeof text !== "string" || text.length > maxRule)
      throw wrong(where, `must be text of up to ${maxRule} characters`);
    return parseRule(text, where);
  });
  return { ingress };
}

function parseRule(text: string, where: string): IngressRule {
  const parts = new Map<string, string>();
  for (const part of text.split(";")) {
    const [key = "", value = "", ...more] = part.trim().split("=");
    if (!keys.some((known) => known === key) || parts.has(key) || value === "" || more.length > 0)
      throw wrong(where, `must be of key=value with ';' between them, each key once: ${keys.join(", ")}`);
    parts.set(key, value);
  }
  const choice = <const T extends string>(key: string, choices: readonly T[], absent?: T): T => {
    const found = choices.find((one) => one === (parts.get(key) ?? absent));
    if (found === undefined) throw wrong(where, `must have ${key} of ${choices.join(", ")}`);
    return found;
  };
  const protocol = choice("proto", ["tcp", "udp", "*"], "*");
  const suites = parts.get("ciphers");
  return {
    allows: choice("action", ["allow", "deny"]) === "allow",
    network: parseNetwork(parts.get("ip") ?? "*", where),
    ports: parsePorts(parts.get("port") ?? "*", where),
    protocol: protocol === "*" ? "any" : protocol,
    security: choice("sec", ["any", "none", "required"], "any"),
    ...(suites === undefined ? {} : { suites: parseSuites(suites, where) }),
  };
}

function parseNetwork(text: string, where: string): IngressRule["network"] {
  if (text === "*") return { address: "0.0.0.0", bits: 0 };
  const [address = "", length = "32", ...more] = text.split("/");
  const bits = /^\d{1,2}$/.test(length) ? Number(length) : 33;
  if (!isIPv4(address) || bits > 32 || more.length > 0)
    throw wrong(where, "must have ip of * or an IPv4 address such as 192.168.1.0/24");
  return { address, bits };
}

function parsePorts(text: string, where: string): IngressRule["ports"] {
  if (text === "*") return { first: 0, last: 0xffff };
  const [, from = "", to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (from === "" || last > 0xffff || first > last)
    throw wrong(where, "must have port of *, a port or two with - between them");
  return { first, last };
}

function parseSuites(text: string, where: string): readonly number[] {
  const suites = text.split(",");
  if (suites.length > maxSuites || !suites.every((suite) => /^[0-9a-f]{4}$/i.test(suite)))
    throw wrong(where, "must have ciphers of four hexadecimal digits each, such as C02B,C02C");
  return suites.map((suite) => Number.parseInt(suite, 16));
}
