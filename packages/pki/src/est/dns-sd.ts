// DNS-SD, asked of a DNS server and by multicast: sockets and timers of its own, beside those of listen.ts and dial.ts.
import { Resolver } from "node:dns/promises";
import mdns from "multicast-dns";
import { UsageError } from "../errors.ts";
import {
  isHostName,
  isServiceType,
  maxFoundServers,
  serversOf,
  type FoundEst,
  type ServiceRecords,
} from "./discovery.ts";

/** Where a search by DNS goes. */
export interface DnsOptions {
  /** Addresses of DNS servers, `HOST` or `HOST:PORT`; the system's where there are none. */
  readonly servers?: readonly string[];
  /** For one question, tried twice; default 3 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Servers that a domain lists by DNS-SD, in the order to try them; none when it lists none or no DNS server answers. Node's
 * resolver asks for no name with a space in it: instances have to be named as hosts are.
 *
 * @see RFC 6763 4, 5, 6
 */
export async function browseEstByDns(
  service: string,
  domain: string,
  options: DnsOptions = {},
): Promise<readonly FoundEst[]> {
  return await withResolver(options, async (resolver) => {
    const instances = await orNone(resolver.resolvePtr(`${service}.${domain}`));
    const records = await Promise.all(
      instances.slice(0, maxFoundServers).map(async (instance) => {
        const services = await orNone(resolver.resolveSrv(instance));
        const texts = await orNone(resolver.resolveTxt(instance));
        return await Promise.all(
          services.slice(0, maxFoundServers).map(async ({ name, port, priority, weight }): Promise<ServiceRecords> => {
            const [address] = isHostName(name) ? await orNone(resolver.resolve4(name)) : [];
            const txt = texts.flat();
            return { target: name, port, priority, weight, txt, ...(address === undefined ? {} : { address }) };
          }),
        );
      }),
    );
    return serversOf(records.flat(), "dns-sd");
  });
}

/** The server under the name that a domain has by habit; nothing when there is no such name. */
export async function findEstByName(host: string, options: DnsOptions = {}): Promise<readonly FoundEst[]> {
  return await withResolver(options, async (resolver) => {
    const [address] = await orNone(resolver.resolve4(host));
    return address === undefined ? [] : [{ url: `https://${host}`, address, source: "host-name" }];
  });
}

/** Where multicast DNS is spoken. */
export interface MdnsOptions {
  /** IPv4 address of the interface; the system's choice where there is none. */
  readonly interface?: string;
  readonly signal?: AbortSignal;
}

/** Once one server is known whole, others have this long to answer too. */
const othersMs = 400;

/**
 * Servers that answer by multicast DNS, in the order to try them.
 *
 * @param timeoutMs How long to listen where nobody answers; asked again at a third and two thirds of it. Default 3 s.
 * @see RFC 6762; RFC 6763
 */
export async function browseEstByMdns(
  service: string,
  { timeoutMs = 3000, signal, ...where }: MdnsOptions & { readonly timeoutMs?: number } = {},
): Promise<readonly FoundEst[]> {
  const name = `${service}.local`;
  const known = new KnownRecords(name);
  const socket = openMdns(where);
  return await new Promise((resolve) => {
    let timers: NodeJS.Timeout[] = [];
    const end = (): void => {
      for (const timer of timers) clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      socket.destroy();
      resolve(serversOf(known.whole(), "mdns"));
    };
    const ask = (): void => socket.query([{ name, type: "PTR" }, ...known.missing()]);
    signal?.addEventListener("abort", end, { once: true });
    // A network that is not up yet answers later; the caller asks again.
    socket.on("error", end);
    socket.on("response", ({ answers, additionals }) => {
      const had = known.whole().length;
      known.take([...(answers ?? []), ...(additionals ?? [])]);
      const missing = known.missing();
      if (missing.length > 0) socket.query([...missing]);
      if (had === 0 && known.whole().length > 0) timers.push(setTimeout(end, othersMs));
    });
    socket.on("ready", ask);
    timers = [setTimeout(ask, timeoutMs / 3), setTimeout(ask, (timeoutMs * 2) / 3), setTimeout(end, timeoutMs)];
    if (signal?.aborted === true) end();
  });
}

/** A server as it is announced. */
export interface EstAnnouncement extends MdnsOptions {
  /** What people see in a list of services; up to 63 octets. */
  readonly name: string;
  /** Name of the host, `….local`: it has to be in the server's certificate. */
  readonly host: string;
  /** IPv4 address of the host. */
  readonly address: string;
  readonly port: number;
  readonly label?: string;
  /** Default {@link estServiceType}. */
  readonly service?: string;
}

/** Seconds that others may keep what was announced. */
const ttl = 120;

/**
 * Announces a server by multicast DNS and answers who asks, until it is closed: then it says good-bye.
 *
 * @throws {UsageError} `usage/argument` for names that cannot be announced
 */
export function announceEst(options: EstAnnouncement): { close(): Promise<void> } {
  const { name, host, address, port, label, service = "_est._tcp", ...where } = options;
  if (!isHostName(host) || !host.endsWith(".local") || !isServiceType(service) || Buffer.byteLength(name) > 63)
    throw new UsageError("usage/argument", `'${name}' at '${host}' cannot be announced as ${service}`, {
      fix: "Give a name of up to 63 octets, a host that ends in .local, and a service type such as _est._tcp.",
    });
  const type = `${service}.local`;
  const instance = `${name.replaceAll(".", "-")}.${type}`;
  const txt = ["txtvers=1", ...(label === undefined ? [] : [`label=${label}`])];
  const records = (seconds: number): readonly MdnsRecord[] => [
    { name: type, type: "PTR", ttl: seconds, data: instance },
    { name: instance, type: "SRV", ttl: seconds, flush: true, data: { target: host, port, priority: 0, weight: 0 } },
    { name: instance, type: "TXT", ttl: seconds, flush: true, data: txt },
    { name: host, type: "A", ttl: seconds, flush: true, data: address },
  ];
  const all = "_services._dns-sd._udp.local";
  const socket = openMdns(where);
  socket.on("error", () => undefined);
  socket.on("query", ({ questions }) => {
    const asked = new Set((questions ?? []).map((question) => question.name.toLowerCase()));
    if (asked.has(all)) socket.respond([{ name: all, type: "PTR", ttl, data: type }]);
    if (![type, instance, host].some((one) => asked.has(one.toLowerCase()))) return;
    const [pointer, ...others] = records(ttl);
    if (pointer === undefined) return;
    if (asked.has(type.toLowerCase())) socket.respond({ answers: [pointer], additionals: [...others] });
    else socket.respond({ answers: [...others] });
  });
  socket.on("ready", () => socket.respond([...records(ttl)]));
  return {
    close: async () =>
      await new Promise((closed) => {
        socket.respond([...records(0)], () => socket.destroy(() => closed()));
      }),
  };
}

type MdnsSocket = ReturnType<typeof mdns>;
type MdnsRecord = Extract<Parameters<MdnsSocket["respond"]>[0], readonly unknown[]>[number];
type Question = { readonly name: string; readonly type: "SRV" | "A" };

function openMdns({ interface: address }: MdnsOptions): MdnsSocket {
  return mdns({
    // Bound to an interface's address, a socket would hear no multicast.
    bind: "0.0.0.0",
    reuseAddr: true,
    loopback: true,
    ...(address === undefined ? {} : { interface: address }),
  });
}

/** Addresses of one host that are tried. */
const maxAddresses = 4;

/** What answers have told so far. Bounded: anybody on the network can send them. */
class KnownRecords {
  readonly #type: string;
  readonly #instances = new Map<string, Partial<Omit<ServiceRecords, "address">>>();
  /** Of hosts: more than one may claim a name, and whoever is lying fails later, in TLS. */
  readonly #addresses = new Map<string, Set<string>>();
  readonly #asked = new Set<string>();

  constructor(type: string) {
    this.#type = type.toLowerCase();
  }

  take(records: readonly MdnsRecord[]): void {
    for (const record of records)
      if (record.type === "PTR" && record.name.toLowerCase() === this.#type) this.#add(record);
    for (const record of records) {
      const name = "name" in record ? record.name.toLowerCase() : "";
      const instance = this.#instances.get(name);
      if (record.type === "SRV" && instance !== undefined) {
        const { target, port, priority = 0, weight = 0 } = record.data;
        this.#instances.set(name, { ...instance, target: target.toLowerCase(), port, priority, weight });
      }
      if (record.type === "TXT" && instance !== undefined)
        this.#instances.set(name, { ...this.#instances.get(name), txt: textsOf(record.data) });
      if (record.type === "A") this.#addAddress(name, record);
    }
  }

  /** Instances of which port and address are known, one for each address. */
  whole(): readonly ServiceRecords[] {
    return [...this.#instances.values()].flatMap(({ target, port, priority = 0, weight = 0, txt = [] }) => {
      if (target === undefined || port === undefined) return [];
      const addresses = [...(this.#addresses.get(target) ?? [])];
      return addresses.map((address) => ({ target, port, priority, weight, txt, address }));
    });
  }

  /** What to ask to complete them; each once. */
  missing(): readonly Question[] {
    const wanted = [...this.#instances].flatMap(([name, { target }]): Question[] => {
      if (target === undefined) return [{ name, type: "SRV" }];
      return (this.#addresses.get(target)?.size ?? 0) > 0 ? [] : [{ name: target, type: "A" }];
    });
    const fresh = wanted.filter(({ name, type }) => !this.#asked.has(`${type} ${name}`));
    for (const { name, type } of fresh) this.#asked.add(`${type} ${name}`);
    return fresh;
  }

  #add(record: MdnsRecord): void {
    if (record.type !== "PTR" || typeof record.data !== "string") return;
    const name = record.data.toLowerCase();
    if (!name.endsWith(`.${this.#type}`)) return;
    // Time to live 0 is a good-bye.
    if (record.ttl === 0) this.#instances.delete(name);
    else if (this.#instances.size < maxFoundServers && !this.#instances.has(name)) this.#instances.set(name, {});
  }

  #addAddress(
    name: string,
    { ttl: seconds, data }: { readonly ttl?: number | undefined; readonly data: string },
  ): void {
    const known = this.#addresses.get(name) ?? new Set<string>();
    if (seconds === 0) known.delete(data);
    else if (known.size < maxAddresses) known.add(data);
    if (this.#addresses.size < 4 * maxFoundServers) this.#addresses.set(name, known);
  }
}

function textsOf(data: unknown): readonly string[] {
  const items: readonly unknown[] = Array.isArray(data) ? data : [data];
  return items.slice(0, 16).map((item) => (Buffer.isBuffer(item) ? item.toString("latin1") : String(item)));
}

async function withResolver<T>(
  { servers = [], timeoutMs = 3000, signal }: DnsOptions,
  work: (resolver: Resolver) => Promise<T>,
): Promise<T> {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers.length > 0) resolver.setServers(servers);
  const stop = (): void => resolver.cancel();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    return await work(resolver);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** A question without an answer is an answer here: there are other ways to look. */
async function orNone<T>(question: Promise<readonly T[]>): Promise<readonly T[]> {
  return await question.catch(() => []);
}
