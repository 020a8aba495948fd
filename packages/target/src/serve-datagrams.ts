import type { Channel } from "@cipsec/transport";
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
  /** Octets of service data that a reply may have, where the datagram does not end before. */
  readonly maxReply: number;
}

type Unconnected = Value<typeof UnconnectedMessage>;

/** UCMM without acknowledge; bit 15 tells a response. */
const ucmm = 0x0001;
const responseBit = 0x8000;

/** Transactions whose responses are kept: a request that comes again was lost on its way back, and must not run twice. */
const maxKept = 16;

/** Requests that may wait for their answer; what is beyond comes again. Fewer than are kept, so that none that waits is forgotten. */
const maxWaiting = 8;

/** Octets of a response around its service data: item count, item header, message header, reply header. */
const responseOverhead = 2 + 4 + 10 + 4;

/**
 * Serves EtherNet/IP on a DTLS association: class 0 and 1 data go to the I/O engine, unconnected messages to the router, one after
 * another and with session 0. What is neither is counted and dropped: nothing that comes ends an association.
 *
 * @see CIP Vol 8; reference cip-security.md 2.6
 */
export function serveDatagrams(channel: Channel, { router, io, maxReply }: ServeDatagramsOptions): void {
  const responses = new Map<number, Uint8Array | undefined>();
  const waiting: Unconnected[] = [];
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
    if (responses.has(transactionId)) {
      const response = responses.get(transactionId);
      if (response !== undefined) channel.send(response);
      return;
    }
    if (waiting.length >= maxWaiting) return;
    responses.set(transactionId, undefined);
    // What is oldest has been answered: fewer wait than are kept.
    for (const [oldest] of responses) if (responses.size > maxKept) responses.delete(oldest);
    waiting.push(request);
    if (!isAnswering) void answerAll().catch(() => channel.destroy());
  });
  void channel.closed.then(() => {
    hasEnded = true;
    waiting.length = 0;
  });

  async function answerAll(): Promise<void> {
    isAnswering = true;
    for (let request = waiting[0]; request !== undefined; request = waiting[0]) {
      await answer(request);
      waiting.shift();
    }
    isAnswering = false;
  }

  async function answer({ message, transactionId }: Unconnected): Promise<void> {
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
    responses.set(transactionId, response);
    if (!hasEnded) channel.send(response);
    for (const run of after) run();
  }
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
