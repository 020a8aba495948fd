import { browseEstByDns, browseEstByMdns, findEstByName, readEstUrl, type FoundEst } from "@cipsec/pki";

/** Where a device looks for its EST server. */
export interface PullSearch {
  /** The server, where the device was told: no other is looked for. */
  readonly url?: string;
  /** DNS-SD service type. */
  readonly service: string;
  /** The domain to look in by unicast; none: only by multicast. */
  readonly domain?: string;
  /** DNS servers, `HOST` or `HOST:PORT`; the system's where there are none. */
  readonly dnsServers: readonly string[];
  readonly mdns: boolean;
  /** Milliseconds that each way of looking may take. */
  readonly timeoutMs: number;
}

/** Looks for EST servers; the best first, none where there is none. */
export type FindEst = (signal: AbortSignal) => Promise<readonly FoundEst[]>;

/**
 * The order of discovery: the configured URL; else DNS-SD in the domain, then by multicast; else the host `est` of the domain.
 * The first way that finds anything counts.
 *
 * @param address Address of the device: its interface is where it asks by multicast.
 * @see reference cip-security.md 5
 */
export function findEst(search: PullSearch, address: string): FindEst {
  const { url, service, domain, dnsServers, mdns, timeoutMs } = search;
  return async (signal) => {
    if (url !== undefined) {
      readEstUrl(url);
      return [{ url, source: "configured" }];
    }
    const dns = { servers: dnsServers, timeoutMs, signal };
    const ways: readonly (() => Promise<readonly FoundEst[]>)[] = [
      ...(domain === undefined ? [] : [() => browseEstByDns(service, domain, dns)]),
      ...(mdns ? [() => browseEstByMdns(service, { ...interfaceOf(address), timeoutMs, signal })] : []),
      ...(domain === undefined ? [] : [() => findEstByName(`est.${domain}`, dns)]),
    ];
    for (const way of ways) {
      const found = signal.aborted ? [] : await way();
      if (found.length > 0) return found;
    }
    return [];
  };
}

function interfaceOf(address: string): { readonly interface?: string } {
  return address === "0.0.0.0" ? {} : { interface: address };
}
