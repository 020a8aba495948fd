import type { Channel, Clock, CloseReason } from "@cipsec/transport";
import {
  Cpf,
  ItemType,
  MessageRouterReply,
  MessageRouterRequest,
  UnconnectedMessage,
  decode,
  encode,
  type Reply,
  type Request,
} from "@cipsec/wire";

/** A clock that stands until it is moved. */
export class HandClock implements Clock {
  #now = 1000;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  now(): number {
    return this.#now;
  }

  wallNow(): undefined {
    return undefined;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that run. */
  get size(): number {
    return this.#timers.size;
  }

  advance(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#now = next.at;
      this.#timers.delete(next);
      next.run();
    }
    this.#now = end;
  }
}

/** One end of an association of which a test is the other. */
export class FakeAssociation implements Channel {
  readonly kind = "datagram";
  readonly queued = 0;
  readonly maxMessage = 1200;
  readonly sent: Uint8Array[] = [];
  readonly closed: Promise<CloseReason>;
  onSend: ((bytes: Uint8Array) => void) | undefined;
  readonly facts = {
    protocol: "dtls",
    local: { address: "127.38.0.1", port: 50_000 },
    remote: { address: "127.38.0.2", port: 2221 },
    security: {
      version: "DTLSv1.2",
      suite: 0xc02b,
      suiteName: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
      encrypts: true,
      peer: { kind: "anonymous" },
    },
  } as const;
  #receiver: (bytes: Uint8Array) => void = () => undefined;
  readonly #end: (reason: CloseReason) => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<CloseReason>();
    this.closed = promise;
    this.#end = resolve;
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes.slice());
    this.onSend?.(bytes.slice());
  }

  receive(receiver: (bytes: Uint8Array) => void): void {
    this.#receiver = receiver;
  }

  /** What the test sends. */
  deliver(bytes: Uint8Array): void {
    this.#receiver(bytes);
  }

  async close(): Promise<void> {
    this.#end({ clean: true });
    await this.closed;
  }

  destroy(error?: Error): void {
    this.#end({ clean: false, ...(error === undefined ? {} : { error }) });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Transaction id and request of a datagram that is a request; nothing for any other. */
export function requestIn(bytes: Uint8Array): { readonly id: number; readonly request: Request } | undefined {
  const items = decode(Cpf, bytes);
  if (items[0]?.type !== ItemType.unconnectedMessage) return undefined;
  const { type, transactionId, message } = decode(UnconnectedMessage, items[0].data);
  return type === 1 ? { id: transactionId, request: decode(MessageRouterRequest, message) } : undefined;
}

/** The datagram that answers transaction `id`, with fields to spoil. */
export function responseTo(
  id: number,
  reply: Partial<Reply> & Pick<Reply, "service">,
  spoilt: {
    readonly type?: number;
    readonly status?: number;
    readonly twice?: boolean;
    readonly itemType?: number;
  } = {},
): Uint8Array {
  const message = encode(MessageRouterReply, { status: 0, extended: [], data: new Uint8Array(0), ...reply });
  const { type = 0x8001, status = 0 } = spoilt;
  const data = encode(UnconnectedMessage, { type, transactionId: id, status, message });
  const item = { type: spoilt.itemType ?? ItemType.unconnectedMessage, data };
  return encode(Cpf, spoilt.twice === true ? [item, item] : [item]);
}
