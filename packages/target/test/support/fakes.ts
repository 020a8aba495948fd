import type { Cancel, Channel, ChannelFacts, Clock, CloseReason } from "@cipsec/transport";

/** A clock that stands until it is moved; timers run in the order of their time. */
export class FakeClock implements Clock {
  #now = 0;
  #timers: { readonly at: number; readonly run: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#now = next.at;
      next.run();
    }
    this.#now = end;
  }
}

export const plainFacts: ChannelFacts = {
  protocol: "tcp",
  local: { address: "127.25.0.1", port: 44_818 },
  remote: { address: "127.25.0.2", port: 50_000 },
};

/** Facts of a TLS channel whose peer has shown a certificate with this hash. */
export function tlsFacts(sha256: string): ChannelFacts {
  return {
    ...plainFacts,
    protocol: "tls",
    security: {
      version: "TLSv1.2",
      suite: 0xc02b,
      suiteName: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
      encrypts: true,
      peer: { kind: "certificate", subject: "CN=tool", sha256, der: new Uint8Array(0) },
    },
  };
}

/** Facts of a DTLS association whose peer has shown a certificate with this hash; of the same address for each. */
export function dtlsFacts(sha256: string): ChannelFacts {
  const facts = tlsFacts(sha256);
  const security = facts.security && { ...facts.security, version: "DTLSv1.2" as const };
  return { ...facts, protocol: "dtls", ...(security && { security }) };
}

/** A channel without a socket: what the device sends is kept, what the peer sends is pushed. */
export class FakeChannel implements Channel {
  readonly kind: Channel["kind"];
  maxMessage?: number;
  readonly facts: ChannelFacts;
  readonly queued = 0;
  readonly sent: Uint8Array[] = [];
  readonly closed: Promise<CloseReason>;
  /** How the device ended it. */
  ended: "closed" | "destroyed" | undefined;
  #receiver: (bytes: Uint8Array) => void = () => undefined;
  #settle: (reason: CloseReason) => void = () => undefined;

  constructor(facts: ChannelFacts = plainFacts) {
    this.facts = facts;
    this.kind = facts.protocol === "dtls" ? "datagram" : "stream";
    this.closed = new Promise((resolve) => (this.#settle = resolve));
  }

  send(bytes: Uint8Array): void {
    // A producer uses its octets again.
    if (this.ended === undefined) this.sent.push(bytes.slice());
  }

  receive(receiver: (bytes: Uint8Array) => void): void {
    this.#receiver = receiver;
  }

  /** Octets from the peer, delivered whatever state the channel is in. */
  push(bytes: Uint8Array): void {
    this.#receiver(bytes);
  }

  /** The peer goes away. */
  hangUp(): void {
    this.#settle({ clean: true });
  }

  close(): Promise<void> {
    this.ended ??= "closed";
    this.#settle({ clean: true });
    return Promise.resolve();
  }

  destroy(): void {
    this.ended ??= "destroyed";
    this.#settle({ clean: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Lets everything that is ready run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Octets from hex digits; white space is for the reader. */
export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.replaceAll(/\s/gu, ""), "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
