import { randomInt } from "node:crypto";
import { openUdp, type Clock, type Endpoint, type UdpSocket } from "@cipsec/transport";
import {
  Command,
  Encapsulation,
  EncapsulationStatus,
  decode,
  frame,
  maxResponseDelayMs,
  type Frame,
} from "@cipsec/wire";
import { answerList, type DiscoveryFacts } from "./identity.ts";

/** Where and how a device answers discovery. */
export interface DiscoveryOptions {
  readonly address: string;
  readonly port: number;
  /** Broadcast addresses to listen on beside the device's own. */
  readonly broadcastAddresses: readonly string[];
  readonly clock: Clock;
  facts(): DiscoveryFacts;
}

/** Replies to broadcasts that may wait at a time; a flood of requests beyond them is dropped. */
const maxDelayed = 16;

/**
 * Answers discovery on UDP: unicast at once, broadcast after a random delay as the request allows, malformed input not at all.
 * Broadcasts are told from unicasts by the socket they arrive on.
 *
 * @see CIP Vol 2, 2-4.3; reference ethernet-ip.md 1.7
 */
export async function answerDiscovery(options: DiscoveryOptions): Promise<AsyncDisposable> {
  await using undo = new AsyncDisposableStack();
  let delayed = 0;
  const unicast: UdpSocket = undo.use(
    await openUdp({
      address: options.address,
      port: options.port,
      receive: (bytes, remote) => receive(bytes, remote, false),
    }),
  );
  for (const address of options.broadcastAddresses) {
    undo.use(
      await openUdp({
        address,
        port: options.port,
        reuse: true,
        receive: (bytes, remote) => receive(bytes, remote, true),
      }),
    );
  }
  return undo.move();

  function receive(bytes: Uint8Array, remote: Endpoint, isBroadcast: boolean): void {
    const request = parse(bytes);
    if (request === undefined) return;
    const wait =
      isBroadcast && request.command === Command.listIdentity ? randomInt(0, maxResponseDelayMs(request) + 1) : 0;
    if (wait === 0) return reply(request, remote, isBroadcast);
    if (delayed >= maxDelayed) return;
    delayed += 1;
    options.clock.after(wait, () => {
      delayed -= 1;
      reply(request, remote, true);
    });
  }

  function reply(request: Frame, remote: Endpoint, isBroadcast: boolean): void {
    const answer = answerList(request, options.facts());
    if (answer !== undefined) unicast.send(answer, remote);
    else if (!isBroadcast && request.command !== Command.nop) {
      unicast.send(
        frame(request.command, {
          session: request.session,
          status: EncapsulationStatus.unsupportedCommand,
          context: request.context,
        }),
        remote,
      );
    }
  }
}

/** A datagram that is exactly one request; anything else is dropped. */
function parse(bytes: Uint8Array): Frame | undefined {
  try {
    const request = decode(Encapsulation, bytes);
    return request.options === 0 && request.status === 0 ? request : undefined;
  } catch {
    return undefined;
  }
}
