import { randomInt } from "node:crypto";
import {
  openUdp,
  type Clock,
  type DtlsListener,
  type DtlsShareOptions,
  type Endpoint,
  type UdpSocket,
} from "@cipsec/transport";
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

const lists: readonly number[] = [Command.listIdentity, Command.listServices, Command.listInterfaces];

/** Where and how a device answers discovery. */
export interface DiscoveryOptions {
  readonly address: string;
  readonly port: number;
  /** Broadcast addresses to listen on beside the device's own. */
  readonly broadcastAddresses: readonly string[];
  readonly clock: Clock;
  /** DTLS on the same port; StartDTLS then says that it is there. */
  readonly dtls?: DtlsShareOptions;
  /** Whether plain requests are answered; read for each. StartDTLS, which leads away from plain, always is. */
  readonly answersPlain?: () => boolean;
  /** Whether StartDTLS is answered with success; read for each. */
  readonly startsDtls?: () => boolean;
  facts(): DiscoveryFacts;
}

/** An open discovery port; disposing of it closes it. */
export interface Discovery extends AsyncDisposable {
  readonly port: number;
  readonly dtls?: DtlsListener;
}

/** The port of discovery by the standard, where other devices answer whatever ours is. */
const standardPort = 44_818;

/** Replies to broadcasts that may wait at a time; a flood of requests beyond them is dropped. */
const maxDelayed = 16;

/**
 * Answers discovery on UDP: unicast at once, broadcast after a random delay as the request allows, malformed input not at all.
 * Broadcasts are told from unicasts by the socket they arrive on.
 *
 * @see CIP Vol 2, 2-4.3; reference ethernet-ip.md 1.7
 */
export async function answerDiscovery(options: DiscoveryOptions): Promise<Discovery> {
  const { answersPlain = () => true, startsDtls = () => false } = options;
  let delayed = 0;
  const unicast: UdpSocket = await openUdp({
    address: options.address,
    port: options.port,
    ...(options.dtls === undefined ? {} : { dtls: options.dtls }),
    receive: (bytes, remote) => receive(bytes, remote, false),
  });
  const open = [unicast];
  const close = async (): Promise<void> => {
    await Promise.all(open.splice(0).map((socket) => socket[Symbol.asyncDispose]()));
  };
  try {
    for (const address of options.broadcastAddresses) {
      const { port } = unicast.local;
      open.push(
        await openUdp({ address, port, reuse: true, receive: (bytes, remote) => receive(bytes, remote, true) }),
      );
    }
  } catch (error) {
    await close();
    throw error;
  }
  const { dtls } = unicast;
  return { port: unicast.local.port, ...(dtls === undefined ? {} : { dtls }), [Symbol.asyncDispose]: close };

  function receive(bytes: Uint8Array, remote: Endpoint, isBroadcast: boolean): void {
    const request = parse(bytes);
    if (request === undefined) return;
    if (request.command === Command.startDtls && !isBroadcast && startsDtls()) {
      // Request and answer look the same: what comes from where devices answer is taken for an answer, or two devices that are
      // shown a forged request of the other would answer each other for ever.
      const isAnswer = remote.port === standardPort || remote.port === unicast.local.port;
      return isAnswer ? undefined : started(request, remote);
    }
    if (!answersPlain()) return;
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

  /** What follows from there is DTLS. Nothing is kept: the handshake proves the address itself. */
  function started({ command, session, context, data }: Frame, remote: Endpoint): void {
    const status = data.length === 0 ? EncapsulationStatus.success : EncapsulationStatus.invalidLength;
    unicast.send(frame(command, { session, status, context }), remote);
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

/**
 * A datagram that is exactly one request; anything else is dropped. So is a List command with data: requests have none, replies
 * have, and a device that answered the reply of another would keep both busy for ever.
 */
function parse(bytes: Uint8Array): Frame | undefined {
  try {
    const request = decode(Encapsulation, bytes);
    const isReply = lists.includes(request.command) && request.data.length > 0;
    return request.options === 0 && request.status === 0 && !isReply ? request : undefined;
  } catch {
    return undefined;
  }
}
