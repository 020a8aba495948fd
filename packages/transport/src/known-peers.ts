import type { ChannelFacts, Endpoint } from "./channel.ts";

/** Peers whose facts are kept ready; more are a flood from made-up addresses, and the table starts over. */
const maxKnownPeers = 4096;

/** Facts of the peers that datagrams came from, so that a packet allocates none. */
export class KnownPeers {
  readonly #local: Endpoint;
  readonly #byAddress = new Map<string, Map<number, ChannelFacts>>();
  readonly #byNumber = new Map<number, ChannelFacts>();
  #count = 0;

  constructor(local: Endpoint) {
    this.#local = local;
  }

  facts(address: string, port: number): ChannelFacts {
    const known = this.#byAddress.get(address)?.get(port);
    if (known !== undefined) return known;
    if (this.#count >= maxKnownPeers) {
      this.#byAddress.clear();
      this.#byNumber.clear();
      this.#count = 0;
    }
    this.#count += 1;
    const facts: ChannelFacts = { protocol: "udp", local: this.#local, remote: { address, port } };
    const ports = this.#byAddress.get(address) ?? new Map<number, ChannelFacts>();
    ports.set(port, facts);
    this.#byAddress.set(address, ports);
    return facts;
  }

  /** The same for an IPv4 address as a number. */
  numbered(address: number, port: number): ChannelFacts {
    const key = address * 65_536 + port;
    const known = this.#byNumber.get(key);
    if (known !== undefined) return known;
    const facts = this.facts(addressText(address), port);
    this.#byNumber.set(key, facts);
    return facts;
  }
}

/** 0xC0A80114 as 192.168.1.20. */
function addressText(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join(".");
}
