import { originatorTrust } from "@cipsec/originator";
import { dial, type Channel, type Clock } from "@cipsec/transport";
import { FrameStream, isStackError, UsageError, type Frame } from "@cipsec/wire";
import type { EndpointSubject } from "./subject.ts";

/** A stream on which any octets can be sent, and what comes back is cut into frames where it can be. */
export interface RawStream extends AsyncDisposable {
  readonly channel: Channel;
  /**
   * Sends octets and waits for the next frame.
   *
   * @returns The frame, or why there is none: the connection ended, nothing came in the time, or what came is no frame.
   */
  ask(octets: Uint8Array, waitMs: number): Promise<RawAnswer>;
}

export type RawAnswer =
  | { readonly kind: "frame"; readonly frame: Frame }
  | { readonly kind: "closed" | "silence" | "garbage" };

/** Opens a raw stream: as the trusted caller over TLS, or plain. @throws as `dial` does. */
export async function openRaw(subject: EndpointSubject, over: "tls" | "tcp"): Promise<RawStream> {
  const { host, eips, eip, timeoutMs, signal, security, clock } = subject;
  if (over === "tls" && security === undefined)
    throw new UsageError("usage/argument", "a secure stream needs something to trust the device by");
  const channel = await dial({
    protocol: over,
    host,
    port: over === "tls" ? eips : eip,
    timeoutMs,
    signal,
    ...(over === "tls" && security !== undefined ? { tls: originatorTrust(security).policy } : {}),
  });
  return rawStream(channel, clock);
}

/** Makes a raw stream of a channel. */
export function rawStream(channel: Channel, clock: Clock): RawStream {
  const stream = new FrameStream();
  const frames: Frame[] = [];
  let isGarbage = false;
  let isClosed = false;
  let wake: () => void = () => undefined;
  channel.receive((octets) => {
    try {
      for (const event of stream.push(octets.slice())) if (event.type === "frame") frames.push(event.frame);
    } catch (error) {
      if (!isStackError(error)) throw error;
      isGarbage = true;
    }
    wake();
  });
  void channel.closed.then(() => {
    isClosed = true;
    wake();
  });
  return {
    channel,
    async ask(octets, waitMs) {
      frames.length = 0;
      channel.send(octets);
      const until = clock.now() + waitMs;
      for (let isLastLook = false; ;) {
        const frame = frames.shift();
        if (frame !== undefined) return { kind: "frame", frame };
        if (isGarbage) return { kind: "garbage" };
        if (isClosed) return { kind: "closed" };
        const left = until - clock.now();
        if (left <= 0) {
          if (isLastLook) return { kind: "silence" };
          isLastLook = true;
          // A process that was held up finds its time over before it reads what came meanwhile.
          await new Promise<void>((resolve) => {
            if (clock.afterReading === undefined) resolve();
            else clock.afterReading(resolve);
          });
          continue;
        }
        await new Promise<void>((resolve) => {
          const cancel = clock.after(left, resolve, true);
          wake = () => {
            cancel();
            resolve();
          };
        });
      }
    },
    async [Symbol.asyncDispose]() {
      channel.destroy();
      await channel.closed;
    },
  };
}
