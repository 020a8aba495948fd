import type { Channel, Clock } from "@cipsec/transport";
import {
  Cpf,
  ItemType,
  MessageRouterReply,
  UnconnectedMessage,
  WireError,
  decode,
  encode,
  type CpfItem,
  type Value,
} from "@cipsec/wire";
import type { RequestContext } from "./context.ts";
import type { IoEngine } from "./io/engine.ts";
import type { Router } from "./router.ts";

/** What serving an association needs. */
export interface ServeDatagramsOptions {
  readonly router: Router;
  readonly io: Pick<IoEngine, "receive" | "dropped">;
  readonly clock: Pick<Clock, "now">;
  /** Octets of service data that a reply may have, where the datagram does not end before. */
  readonly maxReply: number;
}

type Unconnected = Value<typeof UnconnectedMessage>;

/** UCMM without acknowledge; bit 15 tells a response. */
const ucmm = 0x0001;
const responseBit = 0x8000;

/** Transactions whose responses are kept: a request that comes again was lost on its way back, and must not run twice. */
const maxKept = 16;

/** A request repeats itself within 8 s, after which a tool has given up: its number may then stand for another. */
const repeatsWithinMs = 8000;

/** A request that came lately, and its response once there is one. */
interface Kept {
  readonly octets: Uint8Array;
  readonly atMs: number;
  response?: Uint8Array;
}

/** Requests that may wait for their answer; what is beyond comes again. Fewer than are kept, so that none that waits is forgotten. */
const maxWaiting = 8;

/** Octets of a response around its service data: item count, item header, message header, reply header. */
const responseOverhead = 2 + 4 + 10 + 4;

/**
 * Serves EtherNet/IP on a DTLS association: class 0 and 1 data go to the I/O engine, unconnected messages to the router, one after
 * another and with session 0. A request that comes again, octet for octet, gets the response of before and is not carried out
 * twice. What is neither is counted and dropped: nothing that comes ends an association.
 *
 * @see CIP Vol 8; reference cip-security.md 2.6
 */
export function serveDatagrams(channel: Channel, { router, io, clock, maxReply }: ServeDatagramsOptions): void {
  const kept = new Map<number, Kept>();
  const waiting: { readonly request: Unconnected; readonly entry: Kept }[] = [];
  let isAnswering = false;
  let hasEnded = false;

  channel.receive((bytes) => {
    if (hasEnded) return;
    if (isIo(bytes)) return io.receive(bytes, channel.facts);
    const request = parse(bytes);
    if (request === undefined) {
      io.dropped.malformed += 1;
      return;
    }
    const { transactionId } = request;
    const before = kept.get(transactionId);
    if (before !== undefined && clock.now() - before.atMs < repeatsWithinMs && isSame(before.octets, bytes)) {
      if (before.response !== undefined) channel.send(before.response);
      return;
    }
    if (waiting.length >= maxWaiting) return;
    const entry: Kept = { octets: bytes.slice(), atMs: clock.now() };
    kept.delete(transactionId);
    kept.set(transactionId, entry);
    for (const [oldest] of kept) if (kept.size > maxKept) kept.delete(oldest);
    waiting.push({ request, entry });
    if (!isAnswering) void answerAll().catch(() => channel.destroy());
  });
  void channel.closed.then(() => {
    hasEnded = true;
    waiting.length = 0;
  });

  async function answerAll(): Promise<void> {
    isAnswering = true;
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      next.entry.response = await answer(next.request);
      waiting.shift();
    }
    isAnswering = false;
  }

  async function answer({ message, transactionId }: Unconnected): Promise<Uint8Array> {
    const after: (() => void)[] = [];
    const room =
      channel.maxMessage === undefined ? maxReply : Math.min(maxReply, channel.maxMessage - responseOverhead);
    const context: RequestContext = {
      channel: channel.facts,
      session: 0,
      maxReply: room,
      afterReply: (run) => after.push(run),
    };
    const reply = await router.handleOctets(message, context);
    const data = encode(UnconnectedMessage, {
      type: responseBit | ucmm,
      transactionId,
      status: 0,
      message: encode(MessageRouterReply, reply),
    });
    const response = encode(Cpf, [{ type: ItemType.unconnectedMessage, data }]);
    if (!hasEnded) channel.send(response);
    for (const run of after) run();
    return response;
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => octet === b[i]);
}

/** Whether a datagram begins with the address item of class 0 and 1 data. */
function isIo(bytes: Uint8Array): boolean {
  const type = (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8);
  return type === ItemType.sequencedAddress || type === ItemType.connectedAddress;
}

/** A request; `undefined` for anything else. Socket addresses beside it mean nothing here: data go by the association. */
function parse(bytes: Uint8Array): Unconnected | undefined {
  try {
    const [item, ...more] = decode(Cpf, bytes);
    if (item?.type !== ItemType.unconnectedMessage || !more.every(isSockaddr)) return undefined;
    const request = decode(UnconnectedMessage, item.data);
    return request.type === ucmm && request.status === 0 ? request : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function isSockaddr({ type, data }: CpfItem): boolean {
  return (type === ItemType.sockaddrOtoT || type === ItemType.sockaddrTtoO) && data.length === 16;
}
