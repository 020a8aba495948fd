import type { Cancel, Channel, Clock } from "@cipsec/transport";
import { FrameStream, type StreamEvent } from "@cipsec/wire";
import { EncapsulationSession, type SessionServices } from "./encapsulation-session.ts";
import { watchSilence } from "./silence.ts";

/** Bounds on what one channel may ask for, each with its reason. */
export interface ServeLimits {
  /** Octets of data in a frame: room for the largest class 3 message and its items. */
  readonly maxFrame: number;
  /** Milliseconds that a frame may take from its first octet to its last: a slow client holds only itself. */
  readonly partialFrameMs: number;
  /** Frames waiting for their answer: a client that never reads cannot fill memory. */
  readonly maxWaiting: number;
}

/** Octets of frames waiting for their answer: sixteen of the largest, as many as a tool that pipelines sends ahead. */
const maxWaitingOctets = 1024 * 1024;

/** What serving a channel needs beside the services of the session. */
export interface ServeOptions {
  readonly services: SessionServices;
  readonly clock: Clock;
  readonly limits: ServeLimits;
  /** Seconds of silence after which the channel is closed; 0 never. TCP/IP Interface attribute 13, read anew for each message. */
  readonly inactivityS: () => number;
}

/**
 * Serves EtherNet/IP on a stream channel until it ends: cuts the stream into frames, answers them one after another,
 * closes on silence, on a frame that stays unfinished, and on a stream that is out of step.
 */
export function serve(channel: Channel, { services, clock, limits, inactivityS }: ServeOptions): EncapsulationSession {
  const stream = new FrameStream(limits.maxFrame);
  const session = new EncapsulationSession(services, channel.facts, end);
  const waiting: StreamEvent[] = [];
  let waitingOctets = 0;
  let isAnswering = false;
  let hasEnded = false;
  const silence = watchSilence(clock, 1000 * inactivityS(), end);
  let partial: Cancel | undefined;

  channel.receive((bytes) => {
    if (hasEnded) return;
    silence.heard(1000 * inactivityS());
    const events = take(bytes);
    waiting.push(...events);
    for (const event of events) waitingOctets += octetsOf(event);
    watchPartial(events.length > 0);
    if (waiting.length > limits.maxWaiting || waitingOctets > maxWaitingOctets) cut();
    else if (!isAnswering) void answerAll().catch(cut);
  });
  void channel.closed.then(stop);
  return session;

  /** The frames that these octets complete; on a stream that is out of step none, and `stream.error` says why. */
  function take(bytes: Uint8Array): readonly StreamEvent[] {
    try {
      return stream.push(bytes);
    } catch {
      return [];
    }
  }

  async function answerAll(): Promise<void> {
    isAnswering = true;
    for (let event = waiting.shift(); event !== undefined; event = waiting.shift()) {
      waitingOctets -= octetsOf(event);
      const answer = session.answer(event);
      const { send, close, after } = answer instanceof Promise ? await answer : answer;
      if (hasEnded) return;
      if (send !== undefined) channel.send(send);
      // An answer at once is no later than its request.
      if (answer instanceof Promise) silence.heard(1000 * inactivityS());
      for (const run of after ?? []) run();
      if (close === true) return end();
    }
    isAnswering = false;
    if (stream.error !== undefined) cut();
  }

  /** Ends the channel in order; nothing that comes or waits is answered any more. */
  function end(): void {
    stop();
    void channel.close();
  }

  /** Ends the channel at once. */
  function cut(): void {
    stop();
    channel.destroy();
  }

  function stop(): void {
    hasEnded = true;
    waiting.length = 0;
    silence.stop();
    partial?.();
    session.ended();
  }

  /** A frame's time runs from its first octet, whatever trickles in: only a frame that begins starts the timer. */
  function watchPartial(hasBegun: boolean): void {
    if (stream.isPartial && partial !== undefined && !hasBegun) return;
    partial?.();
    partial = stream.isPartial ? clock.after(limits.partialFrameMs, cut) : undefined;
  }
}

/** Octets of data that an event keeps in memory. */
function octetsOf(event: StreamEvent): number {
  return event.type === "frame" ? event.frame.data.length : 0;
}
