import type { Channel, Clock } from "@cipsec/transport";
import { Encapsulation, WireError, decode, type Frame } from "@cipsec/wire";
import { EncapsulationSession, type SessionServices } from "./encapsulation-session.ts";

/** What serving frames on an association needs. */
export interface ServeFramesOptions {
  readonly services: SessionServices;
  readonly clock: Clock;
}

/** Octets of a reply around its service data: encapsulation, interface and timeout, two items, sequence count, head of the reply. */
export const frameOverhead = 24 + 6 + 2 + 8 + 4 + 2 + 4;

/** Replies that are kept for requests that come again. */
const maxKept = 16;

/** A request repeats itself when it was lost on the way or its reply was: within 8 s, after which a tool has given up. */
const repeatsWithinMs = 8000;

/** Requests that may wait for their answer; what is beyond comes again. */
const maxWaiting = 8;

/** A request that came lately, and its reply once there is one. */
interface Kept {
  readonly atMs: number;
  reply?: Uint8Array;
}

/**
 * Serves encapsulation frames on a DTLS association, as they follow StartDTLS on UDP 44818: one frame a datagram, answered one after
 * another. A request that comes again with the same sender context, octet for octet, is answered with the reply of before and not
 * carried out twice; a context of zero says nothing. What is no frame is dropped.
 *
 * @see reference cip-security.md 2.1
 */
export function serveFrames(channel: Channel, { services, clock }: ServeFramesOptions): void {
  const session = new EncapsulationSession(services, channel.facts, end);
  const kept = new Map<string, Kept>();
  const waiting: { readonly request: Frame; readonly entry: Kept | undefined }[] = [];
  let isAnswering = false;
  let hasEnded = false;

  channel.receive((bytes) => {
    if (hasEnded) return;
    const request = parse(bytes);
    if (request === undefined) return;
    const key = request.context.some((octet) => octet !== 0) ? Buffer.from(bytes).toString("latin1") : undefined;
    const before = key === undefined ? undefined : kept.get(key);
    if (before !== undefined && clock.now() - before.atMs < repeatsWithinMs) {
      if (before.reply !== undefined) channel.send(before.reply);
      return;
    }
    if (waiting.length >= maxWaiting) return;
    const entry: Kept | undefined = key === undefined ? undefined : { atMs: clock.now() };
    if (key !== undefined && entry !== undefined) {
      kept.delete(key);
      kept.set(key, entry);
      for (const [oldest] of kept) if (kept.size > maxKept) kept.delete(oldest);
    }
    waiting.push({ request, entry });
    if (!isAnswering) void answerAll().catch(() => channel.destroy());
  });
  void channel.closed.then(() => {
    hasEnded = true;
    waiting.length = 0;
    session.ended();
  });

  async function answerAll(): Promise<void> {
    isAnswering = true;
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const { send, close, after } = await session.answer({ type: "frame", frame: next.request });
      waiting.shift();
      if (hasEnded) return;
      if (send !== undefined) {
        if (next.entry !== undefined) next.entry.reply = send;
        channel.send(send);
      }
      for (const run of after ?? []) run();
      if (close === true) return end();
    }
    isAnswering = false;
  }

  function end(): void {
    hasEnded = true;
    waiting.length = 0;
    void channel.close();
  }
}

/** A datagram that is exactly one frame; one that is not says nothing about the next. */
function parse(bytes: Uint8Array): Frame | undefined {
  try {
    return decode(Encapsulation, bytes.slice());
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
