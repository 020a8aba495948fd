import { isIP } from "node:net";
import { UsageError } from "@cipsec/wire";

/** How a target address says that it wants to be reached: plain, TLS, DTLS. */
export type Scheme = "eip" | "eips" | "eipd";

/** Where a target is. Without a scheme the channel is chosen: secure if the device offers it. */
export interface TargetAddress {
  readonly scheme?: Scheme;
  /** IPv4 or IPv6 address (without brackets) or host name. */
  readonly host: string;
  readonly port?: number;
}

/** Ports that IANA lists for EtherNet/IP. @see reference cip-security.md 2.1 */
export const Port = { eip: 44818, io: 2222, eips: 2221 } as const;

/**
 * Reads `HOST`, `HOST:PORT`, `eip://…`, `eips://…`, `eipd://…`; IPv6 addresses stand in brackets when a port follows.
 *
 * @throws {UsageError} `usage/argument` naming what is wrong.
 */
export function parseTarget(text: string): TargetAddress {
  const schemeEnd = text.indexOf("://");
  const scheme = schemeEnd < 0 ? undefined : readScheme(text.slice(0, schemeEnd), text);
  const rest = schemeEnd < 0 ? text : text.slice(schemeEnd + 3);
  const { host, portText } = splitPort(rest, text);
  if (!isHost(host)) throw bad(text, `'${host}' is neither an address nor a host name`);
  return {
    ...(scheme === undefined ? {} : { scheme }),
    host,
    ...(portText === undefined ? {} : { port: readPort(portText, text) }),
  };
}

/** The address as a person writes it. */
export function formatTarget({ scheme, host, port }: TargetAddress): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return `${scheme === undefined ? "" : `${scheme}://`}${name}${port === undefined ? "" : `:${port}`}`;
}

/** Tells whether text can be a host: an address, or a name as RFC 1123 has it. */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  if (text.length === 0 || text.length > 253 || /^[\d.]+$/.test(text)) return false;
  return text.split(".").every((label) => /^[A-Za-z\d_]([A-Za-z\d_-]{0,61}[A-Za-z\d_])?$/.test(label));
}

function readScheme(word: string, text: string): Scheme {
  if (word === "eip" || word === "eips" || word === "eipd") return word;
  throw bad(text, `'${word}://' is not a scheme; there are eip:// (plain), eips:// (TLS) and eipd:// (DTLS)`);
}

function splitPort(rest: string, text: string): { host: string; portText?: string } {
  if (rest.startsWith("[")) {
    const end = rest.indexOf("]");
    const host = rest.slice(1, end);
    const tail = rest.slice(end + 1);
    if (end < 0 || isIP(host) !== 6) throw bad(text, "brackets hold an IPv6 address");
    if (tail === "") return { host };
    if (!tail.startsWith(":")) throw bad(text, `'${tail}' follows the address`);
    return { host, portText: tail.slice(1) };
  }
  if (isIP(rest) === 6) return { host: rest };
  const colon = rest.indexOf(":");
  return colon < 0 ? { host: rest } : { host: rest.slice(0, colon), portText: rest.slice(colon + 1) };
}

function readPort(portText: string, text: string): number {
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : 0;
  if (port < 1 || port > 65_535) throw bad(text, `port '${portText}' is not a number from 1 to 65535`);
  return port;
}

function bad(text: string, why: string): UsageError {
  return new UsageError("usage/argument", `target '${text.slice(0, 100)}': ${why}`, {
    facts: { target: text.slice(0, 100) },
    fix: "Write HOST, HOST:PORT, or either behind eip://, eips:// or eipd://; IPv6 addresses stand in brackets.",
  });
}
