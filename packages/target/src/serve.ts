import type { Cancel, Channel, Clock } from "@cipsec/transport";
import { FrameStream, type StreamEvent } from "@cipsec/wire";
import { EncapsulationSession, type SessionServices } from "./encapsulation-session.ts";

/** Bounds on what one channel may ask for, each with its reason. */
export interface ServeLimits {
  /** Octets of data in a frame: room for the largest class 3 message and its items. */
  readonly maxFrame: number;
  /** Milliseconds that a frame may take from its first octet to its last: a slow client holds only itself. */
  readonly partialFrameMs: number;
  /** Frames waiting for their answer: a client that never reads cannot fill memory. */
  readonly maxWaiting: number;
}

/** What serving a channel needs beside the services of the session. */
export interface ServeOptions {
  readonly services: SessionServices;
  readonly clock: Clock;
  readonly limits: ServeLimits;
  /** Seconds of silence after which the channel is closed; 0 never. TCP/IP Interface attribute 13, read anew for each interval. */
  readonly inactivityS: () => number;
}

/**
 * Serves EtherNet/IP on a stream channel until it ends: cuts the stream into frames, answers them one after another,
 * closes on silence, on a frame that stays unfinished, and on a stream that is out of step.
 */
export function serve(channel: Channel, { services, clock, limits, inactivityS }: ServeOptions): EncapsulationSession {
  const stream = new FrameStream(limits.maxFrame);
  const session = new EncapsulationSession(services, channel.facts, () => void channel.close());
  const waiting: StreamEvent[] = [];
  let isAnswering = false;
  let hasEnded = false;
  let silence = watchSilence();
  let partial: Cancel | undefined;

  channel.receive((bytes) => {
    silence();
    silence = watchSilence();
    try {
      for (const event of stream.push(bytes)) waiting.push(event);
    } catch {
      channel.destroy();
      return;
    }
    partial?.();
    partial = stream.isPartial ? clock.after(limits.partialFrameMs, () => channel.destroy()) : undefined;
    if (waiting.length > limits.maxWaiting) channel.destroy();
    else if (!isAnswering) void answerAll();
  });
  void channel.closed.then(() => {
    hasEnded = true;
    silence();
    partial?.();
    session.ended();
  });
  return session;

  async function answerAll(): Promise<void> {
    isAnswering = true;
    for (let event = waiting.shift(); event !== undefined && !hasEnded; event = waiting.shift()) {
      const { send, close, after } = await session.answer(event);
      if (send !== undefined) channel.send(send);
      for (const run of after ?? []) run();
      if (close === true) {
        void channel.close();
        break;
      }
    }
    isAnswering = false;
  }

  function watchSilence(): Cancel {
    const seconds = inactivityS();
    return seconds === 0 ? () => undefined : clock.after(seconds * 1000, () => void channel.close());
  }
}
