import { dial, listen, systemClock, type Channel } from "@cipsec/transport";
import { FrameStream, MessageRouterRequest, encode, type Frame, type Reply, type Request } from "@cipsec/wire";
import { serve } from "../../src/serve.ts";
import type { SessionServices } from "../../src/encapsulation-session.ts";
import { registerSession, rrReply, sendRRData, serveLimits } from "./device.ts";

/** Frames of a channel, one at a time. */
export function receiver(channel: Channel): { next(): Promise<Frame> } {
  const stream = new FrameStream();
  const came: Frame[] = [];
  let wake: () => void = () => undefined;
  channel.receive((bytes) => {
    for (const event of stream.push(bytes)) if (event.type === "frame") came.push(event.frame);
    wake();
  });
  return {
    async next() {
      for (;;) {
        const first = came.shift();
        if (first !== undefined) return first;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

/** A session over a real socket. */
export interface LoopbackSession extends AsyncDisposable {
  request(request: Request): Promise<Reply>;
}

/** Serves a device at an address and opens a session with it. */
export async function loopbackSession(address: string, services: SessionServices): Promise<LoopbackSession> {
  const listener = await listen({
    protocol: "tcp",
    address,
    port: 0,
    accept: (channel) => serve(channel, { services, clock: systemClock, limits: serveLimits, inactivityS: () => 0 }),
  });
  const channel = await dial({ protocol: "tcp", host: address, port: listener.port, timeoutMs: 2000 });
  const frames = receiver(channel);
  channel.send(registerSession());
  const { session } = await frames.next();
  return {
    async request(request) {
      channel.send(sendRRData(session, encode(MessageRouterRequest, request)));
      return rrReply(await frames.next());
    },
    async [Symbol.asyncDispose]() {
      await channel.close();
      await listener[Symbol.asyncDispose]();
    },
  };
}
