import { isIPv4 } from "node:net";
import { readEstUrl } from "./http.ts";

/** An EST server as a device found it. */
export interface FoundEst {
  readonly url: string;
  /** To be dialled in place of what the name resolves to; the name still has to be in the server's certificate. */
  readonly address?: string;
  readonly source: "configured" | "dns-sd" | "mdns" | "host-name";
}

/** Records of one service instance, whole. */
export interface ServiceRecords {
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
  /** `key=value` strings of the TXT record. */
  readonly txt: readonly string[];
  readonly address?: string;
}

/** Service type that EST servers are announced under. Not registered; a plant may choose another. */
export const estServiceType = "_est._tcp";

/** More servers than a plant has; the rest of an answer is not looked at. */
export const maxFoundServers = 16;

/** A service type as DNS-SD writes it. @see RFC 6763 7 */
export function isServiceType(text: string): boolean {
  return /^_[A-Za-z0-9-]{1,15}\._tcp$/.test(text);
}

/**
 * Servers of DNS-SD records, in the order to try them: lowest priority first, then greatest weight, then by name. Records that
 * could not lead to a server, and what is not text of a host name, are left out: anybody on the network may send them.
 */
export function serversOf(records: readonly ServiceRecords[], source: "dns-sd" | "mdns"): readonly FoundEst[] {
  return [...records]
    .sort((a, b) => a.priority - b.priority || b.weight - a.weight || a.target.localeCompare(b.target))
    .flatMap((one) => {
      const found = serverOf(one, source);
      return found === undefined ? [] : [found];
    })
    .slice(0, maxFoundServers);
}

function serverOf({ target, port, txt, address }: ServiceRecords, source: "dns-sd" | "mdns"): FoundEst | undefined {
  const host = target.replace(/\.$/, "").toLowerCase();
  if (!isHostName(host) || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  const label = valueOf(txt, "label");
  const path = valueOf(txt, "path") ?? (label === undefined || label === "" ? "" : `/.well-known/est/${label}`);
  const url = `https://${host}:${port}${path}`;
  try {
    readEstUrl(url);
  } catch {
    return undefined;
  }
  return { url, source, ...(address === undefined || !isIPv4(address) ? {} : { address }) };
}

/** A name that a certificate can have, and nothing that a URL would read otherwise. */
export function isHostName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*$/i.test(text);
}

function valueOf(txt: readonly string[], key: string): string | undefined {
  const found = txt.find((entry) => entry.toLowerCase().startsWith(`${key}=`));
  return found?.slice(key.length + 1);
}
